"""Who asks AWS, and where: the region with its address, and the credentials that requests are signed with.

The first of these that is there is used:

| credentials                                     | looked up         | how a request carries them  |
|-------------------------------------------------|-------------------|-----------------------------|
| `api_key`                                       | as any other key  | Authorization: Bearer       |
| `access_key_id` and `secret_access_key`         | at construction   | Signature Version 4         |
| `profile_name`, by botocore                     | at each request   | Signature Version 4         |
| AWS_BEARER_TOKEN_BEDROCK                        | at construction   | Authorization: Bearer       |
| AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY     | at construction   | Signature Version 4         |
| botocore's chain: profiles, roles, single       | at each request   | Signature Version 4         |
| sign-on, containers, instances                  |                   |                             |

The region is the argument, AWS_REGION or AWS_DEFAULT_REGION. A profile's own region is in a file, which
no constructor reads, so it has to be given.

Invariants. Nothing is read from a disk or a network but in a Call, and botocore is not imported before
it is needed. It is asked anew for each request, because it renews what expires; it answers from memory
as long as that is good. A request that has an Authorization header already is sent as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tako.effects import Call, Flow, HttpRequest, Now
from tako.errors import InvalidInput, ProviderError
from tako.providers.credentials import Key, KeySource
from tako.wire.route import parse_url
from tako.wire.sigv4 import Credentials, sign

__all__ = ["Aws"]

REGION_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
BEARER_VARIABLE: Final = "AWS_BEARER_TOKEN_BEDROCK"
# One label of a host name: the region becomes a part of the address and of the signature's scope.
LABEL: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
MAX_LABEL: Final = 63


class Aws:
    """The region and the credentials of one provider; the table at the head says which.

    api_key       a bearer key of Bedrock: text, `$ENV:NAME` or a function
    profile_name  a profile of the shared configuration files (extra `bedrock`)

    The other keys may be `$ENV:NAME` too. Raises InvalidInput for a missing or wrong region, for half a
    pair of keys, and for credentials of two kinds at once.
    """

    __slots__ = ("_chain", "_credentials", "_key", "_owner", "_profile", "region")

    def __init__(
        self,
        owner: str,
        *,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        profile_name: str | None = None,
        api_key: KeySource | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._owner = owner
        self.region = _region(owner, region, environ)
        self._profile = profile_name
        self._chain: Any = None
        self._key: Key | None = None
        self._credentials: Credentials | None = None
        keys = {
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "session_token": session_token,
        }
        given = {name: value for name, value in keys.items() if value is not None}
        _require_one_kind(
            owner, {"api_key": api_key, "access_key_id": given or None, "profile_name": profile_name}
        )
        if api_key is not None:
            self._key = Key(owner, "api_key", api_key, (), environ)
            if self._key.text == "":
                raise InvalidInput(
                    f"{owner}: api_key should not be empty; leave it out to sign with AWS keys"
                )
        elif given:
            found = {
                name: Key(owner, name, _text(owner, name, value), (), environ).text
                for name, value in given.items()
            }
            self._credentials = _credentials(owner, found, "access_key_id and secret_access_key")
        elif profile_name is not None:
            _text(owner, "profile_name", profile_name)
        elif environ.get(BEARER_VARIABLE):
            self._key = Key(owner, "api_key", None, (BEARER_VARIABLE,), environ)
        elif environ.get("AWS_ACCESS_KEY_ID") or environ.get("AWS_SECRET_ACCESS_KEY"):
            found = {name: environ.get(f"AWS_{name.upper()}") or None for name in keys}
            self._credentials = _credentials(owner, found, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")

    def __repr__(self) -> str:
        return f"<Aws {self.region} for {self._owner}>"

    def runtime_url(self, endpoint_url: str | None) -> str:
        """The address of Bedrock's models, which is the region's own unless the caller has another one.

        It ends in no slash. Raises InvalidInput.
        """
        if endpoint_url is None:
            return f"https://bedrock-runtime.{self.region}.amazonaws.com"
        try:
            parse_url(_text(self._owner, "endpoint_url", endpoint_url))
            is_plain = endpoint_url.isascii() and not set(endpoint_url) & set("?# ")
        except InvalidInput:
            is_plain = False
        if not is_plain:
            raise InvalidInput(
                f"{self._owner}: endpoint_url should look like https://host or https://host/path, "
                f"not {endpoint_url!r}"
            )
        return endpoint_url.rstrip("/")

    def sign(self, message: HttpRequest, service: str = "bedrock") -> Flow[HttpRequest]:
        """The request with what shows who asks.

        Its URL has to be encoded as it is sent, because that is what is signed. Raises InvalidInput
        where there are no credentials, and ProviderError where AWS does not give them out.
        """
        if not LABEL.fullmatch(service):
            raise InvalidInput(f"{self._owner}: service should be a name such as 'bedrock', not {service!r}")
        if any(name.lower() == "authorization" for name, _ in message.headers):
            return message
        if self._key is not None:
            key = yield from self._key.ask()
            return replace(message, headers=(*message.headers, ("authorization", f"Bearer {key}")))
        credentials = self._credentials
        if credentials is None:
            credentials = yield Call(self._ask_chain)
        moment: float = yield Now()
        headers = sign(
            message.method,
            message.url,
            message.headers,
            message.body,
            credentials=credentials,
            region=self.region,
            service=service,
            moment=moment,
        )
        return replace(message, headers=headers)

    def _ask_chain(self) -> Credentials:
        """Ask botocore; may block. Two threads may both make a session, and one of them is kept."""
        try:
            from botocore.exceptions import BotoCoreError, ProfileNotFound
            from botocore.session import Session
        except ImportError:
            raise InvalidInput(
                f"{self._owner}: give access_key_id and secret_access_key or api_key, set the variables "
                "of AWS, or let botocore find credentials: pip install tako-sansio[bedrock]"
            ) from None
        try:
            if self._chain is None:
                self._chain = Session(profile=self._profile).get_credentials()
            if self._chain is None:
                raise InvalidInput(
                    f"{self._owner}: no AWS credentials were found; set AWS_ACCESS_KEY_ID and "
                    "AWS_SECRET_ACCESS_KEY, log in with the AWS command line, or give a profile_name"
                )
            frozen = self._chain.get_frozen_credentials()
            return Credentials(frozen.access_key, frozen.secret_key, frozen.token or None)
        except ProfileNotFound as error:
            raise InvalidInput(f"{self._owner}: profile_name: {error}") from None
        except BotoCoreError as error:
            raise ProviderError(
                f"{self._owner}: AWS did not give credentials: {error}", code=type(error).__name__
            ) from error


def _require_one_kind(owner: str, kinds: Mapping[str, object]) -> None:
    names = [name for name, given in kinds.items() if given is not None]
    if len(names) > 1:
        raise InvalidInput(f"{owner}: give one of {' and '.join(names)}, not both")


def _region(owner: str, region: str | None, environ: Mapping[str, str]) -> str:
    if region is None:
        region = next((environ[name] for name in REGION_VARIABLES if environ.get(name)), None)
    if region is None:
        raise InvalidInput(
            f"{owner}: the region is not known; pass region='us-east-1' or another, or set AWS_REGION"
        )
    if not isinstance(region, str) or not LABEL.fullmatch(region) or len(region) > MAX_LABEL:
        raise InvalidInput(f"{owner}: region should be a name such as 'us-east-1', not {region!r}")
    return region


def _credentials(owner: str, found: Mapping[str, str | None], names: str) -> Credentials:
    key, secret = found.get("access_key_id"), found.get("secret_access_key")
    if not key or not secret:
        raise InvalidInput(f"{owner}: {names} go together; one of them is missing")
    try:
        return Credentials(key, secret, found.get("session_token"))
    except InvalidInput as error:
        raise InvalidInput(f"{owner}: {error.message}") from None


def _text(owner: str, name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidInput(
            f"{owner}: {name} should be a string that is not empty, not {type(value).__name__}"
        )
    return value
