"""Claude on Google Cloud: the Messages API behind Vertex AI.

| of the Messages API | here                                                              |
|---------------------|-------------------------------------------------------------------|
| the model           | in the address, `...:rawPredict` or `...:streamRawPredict`        |
| anthropic-version   | `anthropic_version` in the body                                   |
| x-api-key           | a token of Google Cloud, as bearer                                |
| an error            | Anthropic's own, or one of Google, which may stand in a list      |
| token counting      | `count-tokens:rawPredict`, with the model in the body             |
| media by address    | not taken; tako can fetch them                                    |
| batches             | none                                                              |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tako.effects import HttpHead, HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest
from tako.providers import arguments
from tako.providers.anthropic.encode import BodyStyle, encode_body
from tako.providers.anthropic.messages import (
    BETA_HEADER,
    CAPABILITIES,
    Headers,
    MessagesProvider,
    beta_names,
    interleaves,
)
from tako.providers.credentials import KeySource
from tako.providers.prefetch import prefetch_policy

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["AnthropicVertex"]

OWNER: Final = "AnthropicVertex"
TOKEN_VARIABLES: Final = ("GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN")
LOCATION: Final = re.compile(r"[a-z0-9-]{1,63}")
HOSTS: Final = {
    "global": "https://aiplatform.googleapis.com",
    "us": "https://aiplatform.us.rep.googleapis.com",
    "eu": "https://aiplatform.eu.rep.googleapis.com",
}


class AnthropicVertex(MessagesProvider):
    """A Claude model on Vertex AI.

    project_id          the project of Google Cloud
    model               such as claude-sonnet-4-5@20250929
    access_token        a token, `$ENV:NAME`, a function that is asked before each request and keeps it
                        fresh, as tokens live an hour, or None for GOOGLE_OAUTH_ACCESS_TOKEN or
                        CLOUDSDK_AUTH_ACCESS_TOKEN
    location            a region, or "global", "us", "eu"
    endpoint_url        another host, up to and without the version
    betas               names for the header anthropic-beta
    url_prefetch        whether tako fetches images and documents given by address, which this host
                        does not (True or a UrlPolicy)

    The rest is as for Anthropic. Raises InvalidInput for a wrong argument.
    """

    def __init__(
        self,
        project_id: str,
        model: str,
        access_token: KeySource | None = None,
        *,
        location: str = "us-east5",
        endpoint_url: str | None = None,
        timeout_secs: float = 120.0,
        default_max_tokens: int = 4096,
        version: str = "vertex-2023-10-16",
        betas: Sequence[str] = (),
        headers: Headers = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
        url_prefetch: bool | UrlPolicy = False,
    ) -> None:
        headers = arguments.given_headers(OWNER, headers)
        names = beta_names(OWNER, betas, headers)
        super().__init__(
            OWNER,
            f"anthropic-vertex:{model}",
            model,
            key=access_token,
            key_argument="access_token",
            key_variables=TOKEN_VARIABLES,
            own_headers=[(BETA_HEADER, ",".join(names))] if names else (),
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
            fetches=prefetch_policy(OWNER, url_prefetch),
        )
        if not isinstance(location, str) or not LOCATION.fullmatch(location):
            raise InvalidInput(f"{OWNER}: location should look like us-east5 or global, not {location!r}")
        host = endpoint_url or HOSTS.get(location, f"https://{location}-aiplatform.googleapis.com")
        project = quote(arguments.text(OWNER, "project_id", project_id), safe=":")
        path = f"/projects/{project}/locations/{location}/publishers/anthropic/models"
        self._models = arguments.service_url(OWNER, host, "/v1", path, argument="endpoint_url")
        self._style = BodyStyle(
            default_max_tokens=arguments.whole_number(OWNER, "default_max_tokens", default_max_tokens),
            interleaved=interleaves(names, headers),
            fetches=False,
            own={"anthropic_version": arguments.text(OWNER, "version", version)},
        )

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        model = quote(request.model or self.model, safe="@")
        method = "streamRawPredict" if stream else "rawPredict"
        body = encode_body(request, self._style, model=None, stream=stream)
        return self.post(f"{self._models}/{model}:{method}", body, stream=stream)

    def count_request(self, request: ChatRequest) -> HttpRequest:
        body = encode_body(request, self._style, model=request.model or self.model, counts=True)
        return self.post(f"{self._models}/count-tokens:rawPredict", body, stream=False)

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        if isinstance(payload, list) and payload:
            payload = payload[0]
        error = payload.get("error") if isinstance(payload, dict) else None
        if isinstance(error, dict) and isinstance(error.get("status"), str):
            # Google's: the code is the HTTP status again, and the word for it says more.
            payload = {"error": {**error, "code": error["status"]}}
        return super().explain(payload, head)
