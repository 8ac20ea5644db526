"""Mistral's chat completions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tako.effects import HttpHead, HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider
from tako.providers.mistral.decode import MistralDecoder, explained
from tako.providers.mistral.encode import OWNER, encode_body

__all__ = ["Mistral"]

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


class Mistral(HttpProvider):
    """A model of Mistral.

    model         sent as it is
    api_key       a key, `$ENV:NAME`, a function, or None for MISTRAL_API_KEY; "" sends none
    base_url      with or without /v1; an address that ends in /chat/completions is taken as it is
    safe_prompt   whether the vendor puts its safety prompt before every conversation
    random_seed   for requests without a seed of their own
    timeout_secs  how long to wait for the next bytes; the whole answer may take longer
    headers       sent with each request; they win over ours

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    def __init__(
        self,
        model: str,
        api_key: KeySource | None = None,
        *,
        base_url: str = "https://api.mistral.ai",
        safe_prompt: bool | None = None,
        random_seed: int | None = None,
        timeout_secs: float = 120.0,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        super().__init__(
            OWNER,
            f"mistral:{model}",
            model,
            key=api_key,
            key_variables=("MISTRAL_API_KEY",),
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
        )
        self._url = arguments.service_url(OWNER, base_url, "/v1", "/chat/completions")
        self._safe_prompt = (
            None if safe_prompt is None else arguments.instance(OWNER, "safe_prompt", safe_prompt, bool)
        )
        self._random_seed = _checked_seed(random_seed)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(
            request,
            model=request.model or self.model,
            stream=stream,
            safe_prompt=self._safe_prompt,
            random_seed=self._random_seed,
        )
        return self.post(self._url, body, stream=stream)

    def decode(self, payload: Any) -> ChatResponse:
        return MistralDecoder().whole(payload)

    def decoder(self) -> MistralDecoder:
        return MistralDecoder()

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        return explained(payload)


def _checked_seed(seed: int | None) -> int | None:
    if seed is None or (isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0):
        return seed
    raise InvalidInput(f"{OWNER}: random_seed should be a whole number, at least 0, not {seed!r}")
