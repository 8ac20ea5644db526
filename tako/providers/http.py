"""HttpProvider: a vendor behind HTTP. The sequence is here, once; the wire format is the vendor's.

A vendor writes four things: `http_request` (ChatRequest to HttpRequest), `decode` (a whole body to
ChatResponse), `decoder` (a StreamDecoder) and, if its errors look unusual, `explain`; and `sign`, if
more than a key has to be added. Everything about the exchange itself, what a failure carries, and
how long to wait after one, is shared:

| step    | what happens                                                                          |
|---------|---------------------------------------------------------------------------------------|
| fetch   | media given by address are fetched, if the vendor cannot and the caller allows it     |
| encode  | `http_request`; nothing has been sent if it raises                                    |
| sign    | a key that is a function is asked for; a signature is made                            |
| send    | the head; anything but 2xx is a refusal, whose body is read up to a limit              |
| receive | a whole body up to a limit, or a stream through the decoder, batch by batch           |
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from tako.effects import Close, Emit, Flow, HttpHead, HttpRequest, Now, Receive, Send, TlsOptions
from tako.errors import ProtocolError, ProviderError, TakoError
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.base import (
    Provider,
    Relay,
    ResponseBuilder,
    StreamDecoder,
    as_they_are,
    unexpected_shape,
)
from tako.providers.credentials import Key, KeySource
from tako.providers.refusals import rate_limits_of, refusal, request_id_of

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["HttpProvider", "parse_json", "read_whole"]

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


class HttpProvider(Provider):
    """A provider whose answers come over one HTTP exchange each."""

    accepts = "text/event-stream"
    """The type of a stream."""
    _fetches: UrlPolicy | None = None
    _signs = False
    """Whether `sign` has anything to do."""

    def __init__(
        self,
        owner: str,
        id: str,
        model: str,
        *,
        key: KeySource | None = "",
        key_argument: str = "api_key",
        key_variables: tuple[str, ...] = (),
        own_headers: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        timeout_secs: float = 120.0,
        tls: TlsOptions | None = None,
        capabilities: Capabilities,
        fetches: UrlPolicy | None = None,
    ) -> None:
        """What vendors have in common; raises InvalidInput, which names the argument.

        key      a key, `$ENV:NAME`, a function, None for the first of `key_variables`, "" for none
        fetches  how media given by address are fetched; None leaves it to the vendor
        """
        self.model = arguments.text(owner, "model", model)
        self.id = id
        self.capabilities = arguments.instance(owner, "capabilities", capabilities, Capabilities)
        self._timeout = arguments.seconds(owner, "timeout_secs", timeout_secs)
        self._tls = None if tls is None else arguments.instance(owner, "tls", tls, TlsOptions)
        self._fetches = fetches
        self._key = Key(owner, key_argument, key, key_variables, os.environ)
        self._signs = self._signs or self._key.text is None
        own = [("content-type", "application/json"), *own_headers]
        if self._key.text:
            own += self.key_headers(self._key.text)
        theirs = arguments.given_headers(owner, headers)
        self._whole_headers = arguments.headers_of([*own, ("accept", "application/json")], theirs)
        self._stream_headers = arguments.headers_of([*own, ("accept", self.accepts)], theirs)

    def key_headers(self, key: str) -> tuple[tuple[str, str], ...]:
        """The headers that carry the key."""
        return (("authorization", f"Bearer {key}"),)

    def post(self, url: str, body: bytes, *, stream: bool) -> HttpRequest:
        """A request to the vendor with the headers that all of them have."""
        headers = self._stream_headers if stream else self._whole_headers
        return HttpRequest("POST", url, headers, body, read_timeout=self._timeout, tls=self._tls)

    @abstractmethod
    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        """The vendor's request; raises InvalidInput for what the vendor cannot be asked."""

    def sign(self, message: HttpRequest) -> Flow[HttpRequest]:
        """The request as it is sent: here, with the key that the caller's function gives."""
        given = {name for name, _ in message.headers}
        own = [pair for pair in self.key_headers((yield from self._key.ask())) if pair[0] not in given]
        return replace(message, headers=(*message.headers, *own))

    @abstractmethod
    def decode(self, payload: Any) -> ChatResponse:
        """The response in the JSON of a whole answer. May stumble: that becomes a ProtocolError."""

    @abstractmethod
    def decoder(self) -> StreamDecoder:
        """A machine for one streamed answer."""

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        """The message and the code in the JSON of a refusal; `payload` is None where it is no JSON."""
        error = payload.get("error", payload) if isinstance(payload, dict) else payload
        if not isinstance(error, dict):
            return (error if isinstance(error, str) else None), None
        message, code = error.get("message"), error.get("code") or error.get("type")
        return (message if isinstance(message, str) else None), (None if code is None else str(code))

    def opened(self, request: ChatRequest, *, stream: bool) -> Flow[HttpHead]:
        """Ask, up to the head of an answer that is one; raises what went wrong."""
        if self._fetches is not None:
            from tako.providers.urls import fetched_media  # few ask for it, and it brings a good deal

            request = yield from fetched_media(request, self._fetches)
        return (yield from self.exchange(self.http_request(request, stream=stream)))

    def exchange(self, message: HttpRequest) -> Flow[HttpHead]:
        """Send a request as this provider signs it, up to the head; raises ProviderError for a refusal."""
        if self._signs:
            message = yield from self.sign(message)
        head: HttpHead = yield Send(message)
        if not 200 <= head.status < 300:
            raise (yield from self._refusal(head))
        return head

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        head = None
        try:
            head = yield from self.opened(request, stream=False)
            body = yield from read_whole(head)
            try:
                response = self.decode(parse_json(body))
            except TakoError as error:
                error.body = error.body or _kept(body)
                raise
            except (KeyError, IndexError, TypeError, AttributeError) as error:
                failure = unexpected_shape(error)
                failure.body = _kept(body)
                raise failure from error
            return _with_head(response, head)
        except TakoError as error:
            self._attribute(error, request, head)
            raise

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        decoder, builder, head = self.decoder(), ResponseBuilder(), None
        try:
            head = yield from self.opened(request, stream=True)
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
        response = builder.response()
        if head is not None:
            response = _with_head(response, head)
        if failure is None:
            return response
        failure.partial, failure.usage = response, response.usage
        raise self._attribute(failure, request, head)

    def _refusal(self, head: HttpHead) -> Flow[ProviderError]:
        """Read a refusal and make an error of it, whatever it looks like."""
        body = yield from read_whole(head, MAX_ERROR_BODY, cut=True)
        try:
            payload = from_json(body)
        except ValueError:
            payload = None
        explained = self.explain(payload, head)
        moment: float = yield Now()
        return refusal(self.id, head, body, explained, moment)

    def _attribute(self, error: TakoError, request: ChatRequest, head: HttpHead | None = None) -> TakoError:
        """Say whose failure it is, unless that was said already."""
        error.provider = error.provider or self.id
        error.model = error.model or request.model or self.model
        if head is not None:
            error.request_id = error.request_id or request_id_of(head)
        return error


def _with_head(response: ChatResponse, head: HttpHead) -> ChatResponse:
    """The response with what the head says of it."""
    request_id, rate_limits = request_id_of(head), rate_limits_of(head)
    if request_id is None and rate_limits is None:
        return response
    return response.model_copy(update={"request_id": request_id, "rate_limits": rate_limits})


def _kept(body: bytes) -> str:
    return body[:MAX_ERROR_BODY].decode("utf-8", "replace")


def _require_stream(head: HttpHead) -> None:
    """A web page instead of a stream is a proxy or a wrong address; say so at once."""
    kind = head.header("content-type") or ""
    if kind.startswith("text/html"):
        raise ProtocolError(
            f"expected a stream of events but got {kind}: is the address right, or is a proxy in between?",
            phase="head",
            status=head.status,
        )


def read_whole(head: HttpHead, limit: int = MAX_BODY, *, cut: bool = False) -> Flow[bytes]:
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
