"""AWS Signature Version 4: what an AWS service wants to see before it answers.

A signature is made in four steps, each over the hash of the one before:

    canonical request   the request, written in the one way that both sides can write
    string to sign      algorithm, moment, scope (day/region/service) and hash of the above
    key                 the secret, bound to the scope
    Authorization       who signs, which headers are covered, and the HMAC

The canonical request is six lines: method, path, query, headers (one line each and an empty one),
their names, hash of the body. Its rules, and where they are easily got wrong:

| part    | rule                                                                                   |
|---------|----------------------------------------------------------------------------------------|
| path    | as it is sent, dot segments and empty ones removed, and then encoded once more: the    |
|         | %3A of a model id becomes %253A. Only s3 takes it as it is sent                        |
| query   | what is not encoded yet is encoded; sorted by encoded name, then value; "=" is always there |
| headers | names in lower case and sorted; values of one name joined with commas in their order;  |
|         | line breaks and runs of spaces become one space                                        |
| body    | its SHA-256, unless the caller gives `x-amz-content-sha256`                            |

Invariants. Nothing here knows the time: `moment` is given, and AWS refuses one that is more than some
minutes off. The Host header is signed as HTTP libraries write it. Headers that proxies and libraries
add or change on the way are sent and not signed.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, TypeAlias
from urllib.parse import quote, urlsplit

from tako.errors import InvalidInput
from tako.wire.route import parse_url

__all__ = ["Credentials", "canonical_request", "sign"]

Headers: TypeAlias = tuple[tuple[str, str], ...]

ALGORITHM: Final = "AWS4-HMAC-SHA256"

# What is written anew at each signing, so that a request can be signed again for another try.
REPLACED: Final = frozenset({"authorization", "x-amz-date"})
REPLACED_WITH_TOKEN: Final = REPLACED | {"x-amz-security-token"}

# What a proxy, a tracer or an HTTP library may add, change or take away.
UNSIGNED: Final = frozenset(
    {
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)

WHITE_SPACE: Final = re.compile(r"[ \t\r\n]+")
KEY: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs. The repr hides the secret and the token; raises InvalidInput for what cannot be a key."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("access_key_id", "secret_access_key", "session_token"):
            value = getattr(self, name)
            if value is None and name == "session_token":
                continue
            if not isinstance(value, str) or not KEY.fullmatch(value):
                raise InvalidInput(
                    f"{name} must be text without spaces or line breaks; was something else pasted with it?"
                )


def sign(
    method: str,
    url: str,
    headers: Headers,
    body: bytes,
    *,
    credentials: Credentials,
    region: str,
    service: str,
    moment: float,
) -> Headers:
    """The headers to send: those given, x-amz-date, x-amz-security-token where there is one, authorization.

    `url` is what goes over the wire, encoded. `moment` is seconds since 1970. A signature that is there
    already is replaced. Raises InvalidInput for a URL without a host and for text that UTF-8 cannot hold.
    """
    date = datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")
    token = credentials.session_token
    replaced = REPLACED if token is None else REPLACED_WITH_TOKEN
    sent = [(name, value) for name, value in headers if name.lower() not in replaced]
    sent.append(("x-amz-date", date))
    if token is not None:
        sent.append(("x-amz-security-token", token))
    if service == "s3" and not any(name.lower() == "x-amz-content-sha256" for name, _ in sent):
        sent.append(("x-amz-content-sha256", sha256(body).hexdigest()))
    canonical, signed_names = canonical_request(method, url, tuple(sent), body, service=service)
    steps = (date[:8], region, service, "aws4_request")
    scope = "/".join(steps)
    to_sign = "\n".join((ALGORITHM, date, scope, sha256(canonical).hexdigest()))
    key = f"AWS4{credentials.secret_access_key}".encode()
    for step in steps:
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"{credentials.access_key_id}/{scope}"
    authorization = (
        f"{ALGORITHM} Credential={credential}, SignedHeaders={signed_names}, Signature={signature}"
    )
    sent.append(("authorization", authorization))
    return tuple(sent)


def canonical_request(
    method: str, url: str, headers: Headers, body: bytes, *, service: str
) -> tuple[bytes, str]:
    """The request in the form that is signed, and the names of the headers that it covers.

    It is what AWS quotes when a signature does not match. Raises as `sign` does.
    """
    host = parse_url(url).origin.authority
    parts = urlsplit(url)
    values: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() not in UNSIGNED:
            values.setdefault(name.lower(), []).append(WHITE_SPACE.sub(" ", value).strip(" "))
    if "host" not in values:
        values["host"] = [host]
    names = ";".join(sorted(values))
    given = values.get("x-amz-content-sha256")
    digest = given[0] if given else sha256(body).hexdigest()
    try:
        lines = (
            method.upper(),
            _path(parts.path, service),
            _query(parts.query),
            *(f"{name}:{','.join(values[name])}" for name in sorted(values)),
            "",
            names,
            digest,
        )
        return "\n".join(lines).encode(), names
    except UnicodeEncodeError:
        raise InvalidInput("the request holds half of a surrogate pair, which UTF-8 cannot") from None


def _path(path: str, service: str) -> str:
    if service == "s3":
        return quote(path or "/", safe="/~%")
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    end = "/" if segments and path.endswith("/") else ""
    return quote(f"/{'/'.join(segments)}{end}", safe="/~")


def _query(query: str) -> str:
    if not query:
        return ""
    pairs = (pair.partition("=") for pair in query.split("&"))
    encoded = sorted((quote(name, safe="~%"), quote(value, safe="~%")) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)
