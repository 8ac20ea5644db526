"""Anthropic's Messages API, and every server that speaks the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from tako.effects import HttpRequest, TlsOptions
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.anthropic.decode import MessagesDecoder
from tako.providers.anthropic.encode import OWNER, encode_body
from tako.providers.http import HttpProvider, secret

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
        api_key: str | None = None,
        *,
        base_url: str = "https://api.anthropic.com",
        timeout_secs: float = 120.0,
        default_max_tokens: int = 4096,
        version: str = "2023-06-01",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.model = arguments.text(OWNER, "model", model)
        self.id = f"anthropic:{model}"
        if capabilities is None:
            capabilities = CAPABILITIES
        self.capabilities = arguments.instance(OWNER, "capabilities", capabilities, Capabilities)
        self._url = arguments.service_url(OWNER, base_url, "/v1", "/messages")
        self._timeout = arguments.seconds(OWNER, "timeout_secs", timeout_secs)
        self._tls = None if tls is None else arguments.instance(OWNER, "tls", tls, TlsOptions)
        self._default_max_tokens = arguments.whole_number(OWNER, "default_max_tokens", default_max_tokens)
        own = [
            ("content-type", "application/json"),
            ("anthropic-version", arguments.header_text(OWNER, "version", version)),
        ]
        key = secret(api_key, "ANTHROPIC_API_KEY", OWNER, os.environ)
        if key:
            own.append(("x-api-key", key))
        theirs = arguments.given_headers(OWNER, headers)
        self._whole_headers = arguments.headers_of([*own, ("accept", "application/json")], theirs)
        self._stream_headers = arguments.headers_of([*own, ("accept", "text/event-stream")], theirs)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(
            request,
            model=request.model or self.model,
            stream=stream,
            default_max_tokens=self._default_max_tokens,
        )
        headers = self._stream_headers if stream else self._whole_headers
        return HttpRequest("POST", self._url, headers, body, read_timeout=self._timeout, tls=self._tls)

    def decode(self, payload: Any) -> ChatResponse:
        return MessagesDecoder().whole(payload)

    def decoder(self) -> MessagesDecoder:
        return MessagesDecoder()
