"""Anthropic's Messages API, and every server that speaks the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tako.effects import HttpRequest, TlsOptions
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.anthropic.decode import MessagesDecoder
from tako.providers.anthropic.encode import OWNER, encode_body
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider

__all__ = ["Anthropic"]

CAPABILITIES = Capabilities(
    max_context_tokens=200_000,
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
)


class Anthropic(HttpProvider):
    """A model behind the Messages API.

    model               sent as it is
    api_key             a key, `$ENV:NAME`, or None for ANTHROPIC_API_KEY; "" sends none
    base_url            with or without /v1; an address that ends in /messages is taken as it is
    timeout_secs        how long to wait for the next bytes; the whole answer may take longer
    default_max_tokens  for requests without max_tokens, which this API demands
    version             of the API
    headers             sent with each request, such as anthropic-beta; they win over ours

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    def __init__(
        self,
        model: str,
        api_key: KeySource | None = None,
        *,
        base_url: str = "https://api.anthropic.com",
        timeout_secs: float = 120.0,
        default_max_tokens: int = 4096,
        version: str = "2023-06-01",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        super().__init__(
            OWNER,
            f"anthropic:{model}",
            model,
            key=api_key,
            key_variables=("ANTHROPIC_API_KEY",),
            own_headers=[("anthropic-version", arguments.header_text(OWNER, "version", version))],
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
        )
        self._url = arguments.service_url(OWNER, base_url, "/v1", "/messages")
        self._default_max_tokens = arguments.whole_number(OWNER, "default_max_tokens", default_max_tokens)

    def key_headers(self, key: str) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", key),)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(
            request,
            model=request.model or self.model,
            stream=stream,
            default_max_tokens=self._default_max_tokens,
        )
        return self.post(self._url, body, stream=stream)

    def decode(self, payload: Any) -> ChatResponse:
        return MessagesDecoder().whole(payload)

    def decoder(self) -> MessagesDecoder:
        return MessagesDecoder()
