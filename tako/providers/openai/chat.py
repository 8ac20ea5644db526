"""OpenAI chat completions, and every server that speaks the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tako.effects import HttpRequest, TlsOptions
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.chat_completions.decode import ChatDecoder
from tako.providers.chat_completions.dialect import OPENAI, LimitField, limited_by
from tako.providers.chat_completions.encode import encode_body
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider
from tako.providers.prefetch import prefetch_policy

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["OpenAI"]

OWNER = OPENAI.owner
CAPABILITIES = Capabilities(
    max_context_tokens=128_000,
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
    supports_documents=True,
    supports_audio=True,
    supports_thinking=True,
)


class OpenAI(HttpProvider):
    """A model behind the chat completions API.

    model             sent as it is, whatever colons and slashes are in it
    api_key           a key, `$ENV:NAME`, or None for OPENAI_API_KEY; "" sends none (local servers)
    base_url          with or without /v1; an address that ends in /chat/completions is taken as it is
    timeout_secs      how long to wait for the next bytes; the whole answer may take longer
    max_tokens_field  what max_tokens is called; "auto" goes by the model's family
    headers           sent with each request; they win over ours
    url_prefetch      whether tako fetches what is given by address (OpenAI fetches images, and nothing
                      else); a UrlPolicy says how, and so do the url_prefetch_... options (see prefetch.py)

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    def __init__(
        self,
        model: str,
        api_key: KeySource | None = None,
        *,
        base_url: str = "https://api.openai.com",
        organization: str | None = None,
        timeout_secs: float = 120.0,
        max_tokens_field: LimitField = "auto",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        url_prefetch: bool | UrlPolicy = False,
        url_prefetch_allow_http: bool = False,
        url_prefetch_allow_private_ips: bool = False,
        url_prefetch_allow_hosts: Sequence[str] | None = None,
        url_prefetch_allow_cidrs: Sequence[str] | None = None,
        url_prefetch_timeout_secs: float | None = None,
        url_prefetch_max_bytes: int | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        own = []
        if organization is not None:
            own.append(("openai-organization", arguments.header_text(OWNER, "organization", organization)))
        super().__init__(
            OWNER,
            f"openai:{model}",
            model,
            key=api_key,
            key_variables=("OPENAI_API_KEY",),
            own_headers=own,
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
        self._url = arguments.service_url(OWNER, base_url, "/v1", "/chat/completions")
        self._dialect = limited_by(OPENAI, max_tokens_field)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        model = request.model or self.model
        body = encode_body(request, dialect=self._dialect, model=model, stream=stream)
        return self.post(self._url, body, stream=stream)

    def decode(self, payload: Any) -> ChatResponse:
        return ChatDecoder(self._dialect).whole(payload)

    def decoder(self) -> ChatDecoder:
        return ChatDecoder(self._dialect)
