"""Ollama: models on a machine of one's own, or on Ollama's, by /api/chat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tako.effects import HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.body import json_bytes
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider
from tako.providers.ollama.decode import OllamaDecoder
from tako.providers.ollama.encode import OWNER, encode_body
from tako.providers.prefetch import prefetch_policy

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["Ollama"]

CAPABILITIES = Capabilities(
    max_context_tokens=8192,
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
    supports_thinking=True,
    usd_per_input_mtok=0.0,
    usd_per_output_mtok=0.0,
)
"""The context is what a server gives a model by default; `options={"num_ctx": ...}` asks for another."""


class Ollama(HttpProvider):
    """A model that an Ollama server runs.

    model           as `ollama list` shows it
    base_url        with or without /api
    timeout_secs    how long to wait for the next bytes; a model has to be loaded first
    api_key         for hosted models: a key, `$ENV:NAME`, or None for OLLAMA_API_KEY; "" sends none
    keep_alive      how long the model stays in memory: seconds, or a text such as "5m"; -1 for ever
    options         the vendor's own, such as num_ctx; what a request says wins over them
    url_prefetch    whether tako fetches images given by address, which this vendor does not; a
                    UrlPolicy says how, and so do the url_prefetch_... options (see prefetch.py)
    headers         sent with each request; they win over ours

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    accepts = "application/x-ndjson"

    def __init__(
        self,
        model: str,
        *,
        base_url: str = "http://localhost:11434",
        timeout_secs: float = 600.0,
        api_key: KeySource | None = "",
        keep_alive: float | str | None = None,
        options: Mapping[str, Any] | None = None,
        url_prefetch: bool | UrlPolicy = False,
        url_prefetch_allow_http: bool = False,
        url_prefetch_allow_private_ips: bool = False,
        url_prefetch_allow_hosts: Sequence[str] | None = None,
        url_prefetch_allow_cidrs: Sequence[str] | None = None,
        url_prefetch_timeout_secs: float | None = None,
        url_prefetch_max_bytes: int | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        super().__init__(
            OWNER,
            f"ollama:{model}",
            model,
            key=api_key,
            key_variables=("OLLAMA_API_KEY",),
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
        self._url = _chat_url(base_url)
        self._keep_alive = _checked_keep_alive(keep_alive)
        self._options = _checked_options(options)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(
            request,
            model=request.model or self.model,
            stream=stream,
            options=self._options,
            keep_alive=self._keep_alive,
        )
        return self.post(self._url, body, stream=stream)

    def decode(self, payload: Any) -> ChatResponse:
        return OllamaDecoder().whole(payload)

    def decoder(self) -> OllamaDecoder:
        return OllamaDecoder()


def _chat_url(base_url: str) -> str:
    base = arguments.text(OWNER, "base_url", base_url).rstrip("/")
    if base.endswith("/v1"):
        raise InvalidInput(
            f"{OWNER}: base_url: {base_url!r} speaks as OpenAI does: leave /v1 out, or use OpenAICompatible"
        )
    base = base.removesuffix("/chat").removesuffix("/api")
    return arguments.service_url(OWNER, base, "/api", "/chat")


def _checked_keep_alive(value: float | str | None) -> float | str | None:
    well_formed = value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))
    if not well_formed or value == "":
        raise InvalidInput(f'{OWNER}: keep_alive should be seconds, or a text such as "5m", not {value!r}')
    return value


def _checked_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    if options is None:
        return {}
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise InvalidInput(f"{OWNER}: options should be a mapping by name, such as {{'num_ctx': 8192}}")
    json_bytes(dict(options), f"{OWNER}: options")
    return dict(options)
