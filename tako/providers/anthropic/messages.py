"""Anthropic's own host, and what all hosts of the Messages API have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tako import _adapters
from tako.effects import Flow, HttpRequest, TlsOptions
from tako.errors import InvalidInput, ProtocolError, TakoError
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.answer import known_count
from tako.providers.anthropic.blocks import OWNER
from tako.providers.anthropic.decode import MessagesDecoder
from tako.providers.anthropic.encode import BodyStyle, encode_body
from tako.providers.base import check_request
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider, parse_json, read_whole

if TYPE_CHECKING:
    from tako.cancellation import CancellationToken
    from tako.providers.anthropic.batches import MessageBatches
    from tako.providers.base import StreamDecoder

__all__ = ["BETA_HEADER", "CAPABILITIES", "Anthropic", "MessagesProvider", "beta_names", "interleaves"]

CAPABILITIES = Capabilities(
    max_context_tokens=200_000,
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
    supports_documents=True,
    supports_thinking=True,
)
BETA_HEADER: Final = "anthropic-beta"
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class MessagesProvider(HttpProvider):
    """Whoever answers and counts requests of the Messages API. A host has its addresses and its keys."""

    _style: BodyStyle

    @abstractmethod
    def count_request(self, request: ChatRequest) -> HttpRequest:
        """The request that asks how many tokens this one has."""

    def count_of(self, payload: dict[str, Any]) -> int | None:
        """The count in the JSON of an answer to that."""
        return known_count(payload.get("input_tokens"))

    def decode(self, payload: Any) -> ChatResponse:
        return MessagesDecoder().whole(payload)

    def decoder(self) -> StreamDecoder:
        return MessagesDecoder()

    def count_tokens_flow(self, request: ChatRequest) -> Flow[int]:
        """How many tokens the model would read, as the vendor counts; raises a TakoError.

        Nothing is answered, and nothing is paid for.
        """
        check_request(request)
        head = None
        try:
            if self._fetches is not None:
                from tako.providers.urls import fetched_media  # few ask for it

                request = yield from fetched_media(request, self._fetches)
            head = yield from self.exchange(self.count_request(request))
            payload = parse_json((yield from read_whole(head)))
            count = self.count_of(payload) if isinstance(payload, dict) else None
            if count is None:
                raise ProtocolError("the answer holds no count of tokens", phase="decode")
            return count
        except TakoError as error:
            self._attribute(error, request, head)
            raise

    def count_tokens_sync(self, request: ChatRequest, *, cancel: CancellationToken | None = None) -> int:
        """How many tokens the model would read, blocking; raises a TakoError."""
        return _adapters.run_sync(self.count_tokens_flow(request), cancel)

    async def count_tokens(self, request: ChatRequest, *, cancel: CancellationToken | None = None) -> int:
        """How many tokens the model would read, under asyncio or trio; raises a TakoError."""
        return await _adapters.run_async(self.count_tokens_flow(request), cancel)


class Anthropic(MessagesProvider):
    """A model behind the Messages API.

    model               sent as it is
    api_key             a key, `$ENV:NAME`, a function that is asked before each request, or None for
                        ANTHROPIC_API_KEY; "" sends none
    base_url            with or without /v1; an address that ends in /messages is taken as it is
    timeout_secs        how long to wait for the next bytes; the whole answer may take longer
    default_max_tokens  for requests without max_tokens, which this API demands
    version             of the API
    betas               names for the header anthropic-beta
    headers             sent with each request; they win over ours

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
        betas: Sequence[str] = (),
        headers: Headers = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        headers = arguments.given_headers(OWNER, headers)
        names = beta_names(OWNER, betas, headers)
        own_headers = [("anthropic-version", arguments.header_text(OWNER, "version", version))]
        if names:
            own_headers.append((BETA_HEADER, ",".join(names)))
        super().__init__(
            OWNER,
            f"anthropic:{model}",
            model,
            key=api_key,
            key_variables=("ANTHROPIC_API_KEY",),
            own_headers=own_headers,
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
        )
        self._url = arguments.service_url(OWNER, base_url, "/v1", "/messages")
        self._style = BodyStyle(
            default_max_tokens=arguments.whole_number(OWNER, "default_max_tokens", default_max_tokens),
            interleaved=interleaves(names, headers),
        )

    def key_headers(self, key: str) -> tuple[tuple[str, str], ...]:
        return (("x-api-key", key),)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(request, self._style, model=request.model or self.model, stream=stream)
        return self.post(self._url, body, stream=stream)

    def count_request(self, request: ChatRequest) -> HttpRequest:
        body = encode_body(request, self._style, model=request.model or self.model, counts=True)
        return self.post(f"{self._url}/count_tokens", body, stream=False)

    @property
    def batches(self) -> MessageBatches:
        """Requests by the thousand, answered within a day at half the price."""
        from tako.providers.anthropic.batches import MessageBatches  # few ask for it

        def params(request: ChatRequest) -> bytes:
            return encode_body(request, self._style, model=request.model or self.model)

        return MessageBatches(self, f"{self._url}/batches", params)


def beta_names(owner: str, betas: Sequence[str], headers: Iterable[tuple[str, str]] = ()) -> tuple[str, ...]:
    """The names of betas; raises InvalidInput for what is none, and if a header would hide them."""
    if isinstance(betas, str):
        raise InvalidInput(f"{owner}: betas should be a list of names, not one string")
    if betas and any(name == BETA_HEADER for name, _ in headers):
        raise InvalidInput(
            f"{owner}: betas: give them all here or all in the header {BETA_HEADER}, not in both"
        )
    return tuple(arguments.header_text(owner, "betas", name) for name in betas)


def interleaves(betas: Iterable[str], headers: Iterable[tuple[str, str]] = ()) -> bool:
    """Whether thinking between calls was asked for, by name or by the caller's own header."""
    named = [*betas, *(value for name, value in headers if name == BETA_HEADER)]
    return any("interleaved-thinking" in name for name in named)
