"""HttpProvider: a vendor behind HTTP. The sequence is here, once; the wire format is the vendor's.

A vendor writes four things: `http_request` (ChatRequest to HttpRequest), `decode` (a whole body to
ChatResponse), `decoder` (a StreamDecoder) and, if its errors look unusual, `explain`. Everything
about the exchange itself, what a failure carries, and how long to wait after one, is shared.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from tako.effects import Close, Emit, Flow, HttpHead, HttpRequest, Now, Receive, Send
from tako.errors import InvalidInput, ProtocolError, ProviderError, RateLimited, TakoError
from tako.models import ChatRequest, ChatResponse
from tako.providers.base import (
    Provider,
    Relay,
    ResponseBuilder,
    StreamDecoder,
    as_they_are,
    unexpected_shape,
)
from tako.wire.retry_after import retry_hint

__all__ = ["HttpProvider", "parse_json", "secret"]

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a whole answer that are read at most."""
MAX_ERROR_BODY = 64 * 1024
"""Bytes of a refusal that are read and kept at most."""


def parse_json(data: bytes, what: str = "the answer") -> Any:
    """The JSON value in `data`; raises ProtocolError with the place and the beginning of the text."""
    try:
        return from_json(data)
    except ValueError as error:
        beginning = data[:200].decode("utf-8", "replace")
        raise ProtocolError(
            f"{what} is not JSON: {error}; it begins with {beginning!r}",
            phase="decode",
            body=_kept(data),
        ) from None


def secret(value: str | None, variable: str, owner: str, environ: Mapping[str, str]) -> str:
    """A key as given, as `$ENV:NAME`, or from its usual variable; raises InvalidInput if there is none."""
    if value is None:
        value = f"$ENV:{variable}"
    if not isinstance(value, str):
        raise InvalidInput(f"{owner}: api_key should be a string, not {type(value).__name__}")
    if value.startswith("$ENV:"):
        name = value[5:]
        found = environ.get(name)
        if not found:
            raise InvalidInput(
                f"{owner}: environment variable `{name}` is not set; set it, or pass api_key=..."
            )
        value = found
    if not value.isascii() or not value.isprintable():
        raise InvalidInput(f"{owner}: invalid api key: it contains control or non-ASCII characters")
    return value


class HttpProvider(Provider):
    """A provider whose answers come over one HTTP exchange each."""

    @abstractmethod
    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        """The vendor's request; raises InvalidInput for what the vendor cannot be asked."""

    @abstractmethod
    def decode(self, payload: Any) -> ChatResponse:
        """The response in the JSON of a whole answer. May stumble: that becomes a ProtocolError."""

    @abstractmethod
    def decoder(self) -> StreamDecoder:
        """A machine for one streamed answer."""

    def explain(self, payload: Any) -> tuple[str | None, str | None]:
        """The message and the code in the JSON of a refusal."""
        error = payload.get("error", payload) if isinstance(payload, dict) else payload
        if not isinstance(error, dict):
            return (error if isinstance(error, str) else None), None
        message, code = error.get("message"), error.get("code") or error.get("type")
        return (message if isinstance(message, str) else None), (None if code is None else str(code))

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        head = None
        try:
            head = yield Send(self.http_request(request, stream=False))
            if not 200 <= head.status < 300:
                raise (yield from self._refusal(head))
            body = yield from _read(head, MAX_BODY)
            try:
                response = self.decode(parse_json(body))
            except TakoError as error:
                error.body = error.body or _kept(body)
                raise
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                failure = unexpected_shape(error)
                failure.body = _kept(body)
                raise failure from error
            request_id = request_id_of(head)
            return response.model_copy(update={"request_id": request_id}) if request_id else response
        except TakoError as error:
            self._sign(error, request, head)
            raise

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        decoder, builder, head = self.decoder(), ResponseBuilder(), None
        try:
            head = yield Send(self.http_request(request, stream=True))
            if not 200 <= head.status < 300:
                raise (yield from self._refusal(head))
            _require_stream(head)
            exchange = head.exchange
            while not decoder.ended:
                chunks = decoder.feed((yield Receive(exchange)))
                builder.add(chunks)
                events = relay(chunks)
                if events:
                    yield Emit(events)
                del chunks, events  # or each of a thousand streams holds its last batch while it waits
            yield Close(exchange)
            failure = builder.error
        except TakoError as error:
            chunks = decoder.fail(error)
            builder.add(chunks)
            events = relay(chunks)
            if events:
                yield Emit(events)
            failure = error
        response = builder.response(request_id_of(head) if head else None)
        if failure is None:
            return response
        failure.partial, failure.usage = response, response.usage
        raise self._sign(failure, request, head)

    def _refusal(self, head: HttpHead) -> Flow[ProviderError]:
        """Read a refusal and make an error of it, whatever it looks like."""
        body = yield from _read(head, MAX_ERROR_BODY, cut=True)
        moment: float = yield Now()
        text = body.decode("utf-8", "replace")
        try:
            payload = from_json(body)
        except ValueError:
            payload, message, code = None, text[:200].strip() or None, None
        else:
            message, code = self.explain(payload)
        kind = RateLimited if head.status == 429 else ProviderError
        return kind(
            f"HTTP {head.status} from {self.id}: {message or 'no explanation given'}",
            status=head.status,
            code=code,
            retry_after=retry_hint(head.headers, moment),
            body=text,
            request_id=request_id_of(head),
            phase="head",
        )

    def _sign(self, error: TakoError, request: ChatRequest, head: HttpHead | None = None) -> TakoError:
        """Say whose failure it is, unless that was said already."""
        error.provider = error.provider or self.id
        error.model = error.model or request.model or self.model
        if head is not None:
            error.request_id = error.request_id or request_id_of(head)
        return error


def request_id_of(head: HttpHead) -> str | None:
    """The vendor's id of the exchange, under the names that vendors use."""
    return head.header("x-request-id") or head.header("request-id")


def _kept(body: bytes) -> str:
    return body[:MAX_ERROR_BODY].decode("utf-8", "replace")


def _require_stream(head: HttpHead) -> None:
    """A web page instead of a stream is a proxy or a wrong address; say so at once."""
    kind = head.header("content-type") or ""
    if kind.startswith("text/html"):
        raise ProtocolError(
            f"expected a stream of events but got {kind}: is base_url right, or is a proxy in between?",
            phase="head",
            status=head.status,
        )


def _read(head: HttpHead, limit: int, *, cut: bool = False) -> Flow[bytes]:
    """The whole body; beyond the limit it is cut, or a ProtocolError. Ends the exchange."""
    pieces: list[bytes] = []
    size = 0
    while data := (yield Receive(head.exchange)):
        pieces.append(data)
        size += len(data)
        if size > limit:
            yield Close(head.exchange)
            if not cut:
                raise ProtocolError(f"the answer is larger than {limit} bytes", phase="body")
            return b"".join(pieces)[:limit]
    yield Close(head.exchange)
    return b"".join(pieces)
