"""OpenAI chat completions, and every server that speaks the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from tako.effects import HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.chat_completions.decode import ChatDecoder
from tako.providers.chat_completions.encode import OWNER, encode_body
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider

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
        api_key: KeySource | None = None,
        *,
        base_url: str = "https://api.openai.com",
        organization: str | None = None,
        timeout_secs: float = 120.0,
        max_tokens_field: Literal["auto", "max_tokens", "max_completion_tokens"] = "auto",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
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
        )
        self._url = arguments.service_url(OWNER, base_url, "/v1", "/chat/completions")
        if max_tokens_field not in ("auto", "max_tokens", "max_completion_tokens"):
            raise InvalidInput(
                f"{OWNER}: max_tokens_field should be auto, max_tokens or max_completion_tokens, "
                f"not {max_tokens_field!r}"
            )
        self._max_tokens_field = max_tokens_field

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(
            request,
            model=request.model or self.model,
            stream=stream,
            max_tokens_field=self._max_tokens_field,
        )
        return self.post(self._url, body, stream=stream)

    def decode(self, payload: Any) -> ChatResponse:
        return ChatDecoder().whole(payload)

    def decoder(self) -> ChatDecoder:
        return ChatDecoder()
