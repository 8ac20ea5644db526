"""OpenAI chat completions, and every server that speaks the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from tako.effects import HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.http import HttpProvider, secret
from tako.providers.openai.decode import ChatDecoder
from tako.providers.openai.encode import OWNER, encode_body

__all__ = ["OpenAI"]

CAPABILITIES = Capabilities(
    max_context_tokens=128_000,
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
)


class OpenAI(HttpProvider):
    """A model behind the chat completions API.

    model             sent as it is, whatever colons and slashes are in it
    api_key           a key, `$ENV:NAME`, or None for OPENAI_API_KEY; "" sends none (local servers)
    base_url          with or without /v1; an address that ends in /chat/completions is taken as it is
    timeout_secs      how long to wait for the next bytes; the whole answer may take longer
    max_tokens_field  what max_tokens is called; "auto" goes by the model's family
    headers           sent with each request; they win over ours

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    def __init__(
        self,
        model: str,
        api_key: str | None = None,
        *,
        base_url: str = "https://api.openai.com",
        organization: str | None = None,
        timeout_secs: float = 120.0,
        max_tokens_field: Literal["auto", "max_tokens", "max_completion_tokens"] = "auto",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        self.model = arguments.text(OWNER, "model", model)
        self.id = f"openai:{model}"
        if capabilities is None:
            capabilities = CAPABILITIES
        self.capabilities = arguments.instance(OWNER, "capabilities", capabilities, Capabilities)
        self._url = arguments.service_url(OWNER, base_url, "/v1", "/chat/completions")
        self._timeout = arguments.seconds(OWNER, "timeout_secs", timeout_secs)
        self._tls = None if tls is None else arguments.instance(OWNER, "tls", tls, TlsOptions)
        if max_tokens_field not in ("auto", "max_tokens", "max_completion_tokens"):
            raise InvalidInput(
                f"{OWNER}: max_tokens_field should be auto, max_tokens or max_completion_tokens, "
                f"not {max_tokens_field!r}"
            )
        self._max_tokens_field = max_tokens_field
        own = [("content-type", "application/json")]
        key = secret(api_key, "OPENAI_API_KEY", OWNER, os.environ)
        if key:
            own.append(("authorization", f"Bearer {key}"))
        if organization is not None:
            own.append(("openai-organization", arguments.header_text(OWNER, "organization", organization)))
        theirs = arguments.given_headers(OWNER, headers)
        self._whole_headers = arguments.headers_of([*own, ("accept", "application/json")], theirs)
        self._stream_headers = arguments.headers_of([*own, ("accept", "text/event-stream")], theirs)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(
            request,
            model=request.model or self.model,
            stream=stream,
            max_tokens_field=self._max_tokens_field,
        )
        headers = self._stream_headers if stream else self._whole_headers
        return HttpRequest("POST", self._url, headers, body, read_timeout=self._timeout, tls=self._tls)

    def decode(self, payload: Any) -> ChatResponse:
        return ChatDecoder().whole(payload)

    def decoder(self) -> ChatDecoder:
        return ChatDecoder()
