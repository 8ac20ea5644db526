"""Google's models: behind the Gemini API, and behind Vertex AI."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tako.effects import HttpHead, HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.credentials import KeySource
from tako.providers.gemini.decode import GeminiDecoder
from tako.providers.gemini.encode import encode_body
from tako.providers.gemini.parts import OWNER
from tako.providers.http import HttpProvider
from tako.providers.prefetch import prefetch_policy

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["Gemini", "Vertex"]

CAPABILITIES: Final = Capabilities(
    max_context_tokens=1_000_000,
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
    supports_documents=True,
    supports_audio=True,
    supports_thinking=True,
)
VERTEX: Final = "Vertex"
NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.:-]*[a-z0-9])?", re.IGNORECASE)
MULTI_REGIONS: Final = ("us", "eu")
TOKEN_VARIABLES: Final = ("GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN")


class _GoogleProvider(HttpProvider):
    """What both have in common: the format, and the address as a path of a model with a method."""

    _takes_labels = False
    _base: str
    """Up to the path of the model."""

    @abstractmethod
    def _path_of(self, model: str) -> str:
        """The path of a model below the base."""

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        model = request.model or self.model
        body = encode_body(request, model=model, takes_labels=self._takes_labels)
        method = ":streamGenerateContent?alt=sse" if stream else ":generateContent"
        path = quote(self._path_of(model), safe="/@")
        return self.post(f"{self._base}/{path}{method}", body, stream=stream)

    def decode(self, payload: Any) -> ChatResponse:
        return GeminiDecoder().whole(payload)

    def decoder(self) -> GeminiDecoder:
        return GeminiDecoder()

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        """The message and the word for the status (such as RESOURCE_EXHAUSTED), in a list or not."""
        if isinstance(payload, list) and payload:
            payload = payload[0]
        message, code = super().explain(payload, head)
        error = payload.get("error") if isinstance(payload, dict) else None
        word = error.get("status") if isinstance(error, dict) else None
        return message, word if isinstance(word, str) and word else code


class Gemini(_GoogleProvider):
    """A model behind the Gemini API.

    model         with or without `models/` in front; `tunedModels/...` as it is
    api_key       a key, `$ENV:NAME`, a function, or None for GEMINI_API_KEY or GOOGLE_API_KEY
    base_url      with or without a version, which wins over api_version
    api_version   "v1beta" has everything that this class can ask for; "v1" has not
    timeout_secs  how long to wait for the next bytes; the whole answer may take longer
    headers       sent with each request; they win over ours
    url_prefetch  whether tako fetches media given by https, instead of the vendor; a UrlPolicy says
                  how, and so do the url_prefetch_... options

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    def __init__(
        self,
        model: str,
        api_key: KeySource | None = None,
        *,
        base_url: str = "https://generativelanguage.googleapis.com",
        api_version: str = "v1beta",
        timeout_secs: float = 120.0,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
        url_prefetch: bool | UrlPolicy = False,
        url_prefetch_allow_http: bool = False,
        url_prefetch_allow_private_ips: bool = False,
        url_prefetch_allow_hosts: Sequence[str] | None = None,
        url_prefetch_allow_cidrs: Sequence[str] | None = None,
        url_prefetch_timeout_secs: float | None = None,
        url_prefetch_max_bytes: int | None = None,
    ) -> None:
        super().__init__(
            OWNER,
            f"gemini:{model}",
            model,
            key=api_key,
            key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
            fetches=prefetch_policy(
                OWNER,
                url_prefetch,
                allow_http=url_prefetch_allow_http,
                allow_private_ips=url_prefetch_allow_private_ips,
                allow_hosts=url_prefetch_allow_hosts,
                allow_cidrs=url_prefetch_allow_cidrs,
                timeout_secs=url_prefetch_timeout_secs,
                max_bytes=url_prefetch_max_bytes,
            ),
        )
        self._base = _versioned(OWNER, base_url, api_version, "base_url")

    def key_headers(self, key: str) -> tuple[tuple[str, str], ...]:
        return (("x-goog-api-key", key),)

    def _path_of(self, model: str) -> str:
        return model if "/" in model else f"models/{model}"


class Vertex(_GoogleProvider):
    """A model behind Vertex AI.

    project_id    of Google Cloud; "" with an api_key, which knows its project
    model         a model of Google's; `publisher/model` for another publisher's; `endpoints/...` for a
                  tuned one; `publishers/...` and `projects/...` as they are
    access_token  a token, `$ENV:NAME`, a function that is asked before each request, as tokens live for
                  an hour; None for GOOGLE_OAUTH_ACCESS_TOKEN or CLOUDSDK_AUTH_ACCESS_TOKEN
    location      a region, "us" or "eu", or "global"
    endpoint_url  instead of the location's own host, with or without a version
    api_key       an API key of Google Cloud instead of an access token
    api_version   "v1", or "v1beta1" for what is new

    Everything else is as for Gemini. Raises InvalidInput for a wrong argument and for a token that is
    not there.
    """

    _takes_labels = True

    def __init__(
        self,
        project_id: str,
        model: str,
        access_token: KeySource | None = None,
        *,
        location: str = "us-central1",
        endpoint_url: str | None = None,
        api_key: KeySource | None = None,
        api_version: str = "v1",
        timeout_secs: float = 120.0,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
        url_prefetch: bool | UrlPolicy = False,
        url_prefetch_allow_http: bool = False,
        url_prefetch_allow_private_ips: bool = False,
        url_prefetch_allow_hosts: Sequence[str] | None = None,
        url_prefetch_allow_cidrs: Sequence[str] | None = None,
        url_prefetch_timeout_secs: float | None = None,
        url_prefetch_max_bytes: int | None = None,
    ) -> None:
        if api_key is not None and access_token is not None:
            raise InvalidInput(f"{VERTEX}: api_key and access_token: give one of them")
        self._has_api_key = api_key is not None
        super().__init__(
            VERTEX,
            f"vertex:{model}",
            model,
            key=api_key if self._has_api_key else access_token,
            key_argument="api_key" if self._has_api_key else "access_token",
            key_variables=TOKEN_VARIABLES,
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
            fetches=prefetch_policy(
                VERTEX,
                url_prefetch,
                allow_http=url_prefetch_allow_http,
                allow_private_ips=url_prefetch_allow_private_ips,
                allow_hosts=url_prefetch_allow_hosts,
                allow_cidrs=url_prefetch_allow_cidrs,
                timeout_secs=url_prefetch_timeout_secs,
                max_bytes=url_prefetch_max_bytes,
            ),
        )
        place = _name("location", location)
        if project_id == "" and self._has_api_key:
            self._parent, host = "", _host_of("global")
        else:
            self._parent = f"projects/{_name('project_id', project_id)}/locations/{place}/"
            host = _host_of(place)
        self._base = _versioned(
            VERTEX, host if endpoint_url is None else endpoint_url, api_version, "endpoint_url"
        )

    def key_headers(self, key: str) -> tuple[tuple[str, str], ...]:
        return (("x-goog-api-key", key),) if self._has_api_key else super().key_headers(key)

    def _path_of(self, model: str) -> str:
        first, _, rest = model.partition("/")
        if first == "projects":
            return model
        if first in ("publishers", "endpoints"):
            return self._parent + model
        if not rest or first == "models":
            return f"{self._parent}publishers/google/models/{rest or model}"
        return f"{self._parent}publishers/{first}/models/{rest}"


def _versioned(owner: str, base_url: str, version: str, argument: str) -> str:
    """The base with a version, without a path behind it."""
    version = arguments.text(owner, "api_version", version)
    if not version.isalnum() or not version.isascii():
        raise InvalidInput(f"{owner}: api_version should look like v1 or v1beta, not {version!r}")
    address = arguments.service_url(owner, base_url, f"/{version}", "/models", argument=argument)
    return address.removesuffix("/models")


def _host_of(location: str) -> str:
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def _name(argument: str, value: str) -> str:
    """A name that can stand in an address; raises InvalidInput."""
    if not NAME.fullmatch(arguments.text(VERTEX, argument, value)):
        raise InvalidInput(
            f"{VERTEX}: {argument} should hold letters, digits, dots, colons and hyphens only, not {value!r}"
        )
    return value
