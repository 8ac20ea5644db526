"""HTTP exchanges over byte streams: everything that an adapter need not decide.

An adapter performs the operations of streams.py, and the loop that does so is in async_http.py. It
closes an exchange at Close and when the flow ends, and `Exchanges` when the runtime does.

A stream belongs to one owner at a time, who shuts it:

| owner         | from                        | until                              | then it is    |
|---------------|-----------------------------|------------------------------------|---------------|
| the operation | Connect or StartTls begins  | it has replied                     | the script's  |
|               |                             | it fails or is cancelled           | shut          |
| the script    | the reply, or the pool      | the head has come                  | the exchange's |
|               |                             | any failure, or the script closed  | shut          |
| the exchange  | the script has returned     | the body is whole and it can carry | the pool's    |
|               |                             | another; else, or `close()`        | shut          |
| the pool      |                             | the next request to the same place | the script's  |
|               |                             | it is stale, too old, or too many  | shut          |

While a StartTls runs, the operation and the script may both shut: shutting twice is harmless.

A request is sent again only if not one byte of it can have reached the server: a kept connection is
looked at before it is used, and one that has something to read is stale; a write on it that accepted
nothing is NothingSent. Anything else is the caller's to retry, who knows whether it may be done twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic

from tako.driving.streams import (
    Budget,
    Connect,
    NothingSent,
    Operation,
    Read,
    S,
    Script,
    StartTls,
    Stream,
    Write,
    attempt,
    translate,
)
from tako.effects import Headers, HttpRequest, TlsOptions
from tako.errors import ProtocolError, TakoError, TransportError
from tako.wire import NEED_DATA, NeedData
from tako.wire.http1 import END_OF_BODY, BodyData, Event, Http1Connection, ResponseHead
from tako.wire.pool import Pool
from tako.wire.route import Origin, Proxy, Route, parse_url, route_for

__all__ = [
    "Connect",
    "Exchange",
    "Exchanges",
    "NothingSent",
    "Operation",
    "Read",
    "Script",
    "StartTls",
    "Stream",
    "Write",
]

MOST_ROUTES = 1000
"""Origins whose route is remembered."""


@dataclass(slots=True)
class _Line(Generic[S]):
    """A stream and the state of HTTP on it."""

    stream: S
    http: Http1Connection


@dataclass(frozen=True, slots=True)
class _Place:
    """What a connection leads to; the key of the pool."""

    route: Route
    pinned_address: str | None
    tls: TlsOptions | None


class Exchange(Generic[S]):
    """One request and its answer, on a stream that nobody else has until it is closed."""

    __slots__ = (
        "_closed",
        "_ended",
        "_endpoint",
        "_http",
        "_keep",
        "headers",
        "read_seconds",
        "status",
        "stream",
    )

    def __init__(
        self,
        line: _Line[S],
        head: ResponseHead,
        *,
        endpoint: str,
        read_seconds: float | None,
        keep: Callable[[_Line[S]], None] | None,
    ) -> None:
        self.status = head.status
        self.headers: Headers = head.headers
        self.stream = line.stream
        self.read_seconds = read_seconds
        self._http = line.http
        self._endpoint = endpoint
        self._keep = keep  # None for a connection that cannot carry another request
        self._ended = False
        self._closed = False

    def take(self) -> bytes | NeedData:
        """All of the body that has arrived, b"" for ever once it has ended.

        The stream goes back to the pool with the end, and is shut with an error. Raises ProtocolError
        and TransportError, the same ones again if asked again.
        """
        if self._ended:
            return b""
        try:
            event = self._http.next_event()
        except TakoError:
            self.close()
            raise
        if event is NEED_DATA:
            return NEED_DATA
        if type(event) is BodyData:
            return event.data
        assert event is END_OF_BODY
        self._ended = True
        self.close()
        return b""

    def receive_data(self, data: bytes) -> None:
        """Feed what was read from the stream, b"" if the peer hung up."""
        self._http.receive_data(data)

    def failure(self, error: OSError) -> TakoError:
        """The error to raise for a read that failed; shuts the stream."""
        self.close()
        return translate(error, "body", self._endpoint, self.read_seconds)

    def close(self) -> None:
        """Give the stream to the pool if the body has been read, else shut it. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._keep is not None and self._at_end():
            self._keep(_Line(self.stream, self._http))
        else:
            self.stream.shut()

    def _at_end(self) -> bool:
        # The end of a chunked body often lies in the buffer behind the last event that its reader
        # wanted to see, so it is looked for once.
        try:
            if not self._ended and self._http.next_event() is END_OF_BODY:
                self._ended = True
        except TakoError:
            return False
        return self._ended and self._http.reusable


class Exchanges(Generic[S]):
    """The connections of one runtime. For one thread, or one event loop."""

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: Callable[[], float],
        *,
        max_idle_per_host: int = 32,
        idle_seconds: float = 90.0,
    ) -> None:
        """`environ` is where proxies are looked for; `clock` counts seconds and never goes back."""
        self._environ = environ
        self._clock = clock
        self._idle: Pool[_Line[S]] = Pool(max_idle_per_key=max_idle_per_host, idle_seconds=idle_seconds)
        self._routes: dict[Origin, Route] = {}
        self._closed = False

    def open(self, request: HttpRequest) -> Script[S, Exchange[S]]:
        """Send a request and wait for the head of its answer.

        Raises InvalidInput before anything is opened, TransportError, TimedOut, ProtocolError.
        """
        origin, path = (target := parse_url(request.url)).origin, target.path
        # A pinned address is one that was checked: a proxy would resolve the name again.
        route = Route(origin) if request.pinned_address else self._route(origin)
        headers = request.headers
        if route.proxy and not route.tunnel:
            path = f"{origin.scheme}://{origin.authority}{path}"
            headers += _credentials(route.proxy)
        place = _Place(route, request.pinned_address, request.tls)
        while True:
            line = self._take_idle(place)
            kept = line is not None
            http = line.http if line else Http1Connection(peer=origin.endpoint)
            payload = http.send_request(
                request.method, path, headers, request.body, authority=origin.authority
            )
            if line is None:
                line = _Line((yield from self._dial(place, request.connect_timeout)), http)
            try:
                return (yield from self._converse(line, payload, place, request.read_timeout))
            except NothingSent as error:
                if not kept:
                    raise translate(error, "send", origin.endpoint, None) from error

    def close(self) -> None:
        """Shut every idle connection; those in use are shut when their exchanges are closed."""
        self._closed = True
        _shut_all(self._idle.drain())

    def _route(self, origin: Origin) -> Route:
        route = self._routes.get(origin)
        if route is None:
            if len(self._routes) >= MOST_ROUTES:
                self._routes.clear()
            route = self._routes[origin] = route_for(origin, self._environ)
        return route

    def _take_idle(self, place: _Place) -> _Line[S] | None:
        """The kept connection to use, if there is one that is not stale."""
        while True:
            line, expired = self._idle.take(place, self._clock())
            _shut_all(expired)
            if line is None or not line.stream.readable():
                return line
            line.stream.shut()

    def _keep(self, place: _Place, line: _Line[S]) -> None:
        if self._closed:
            line.stream.shut()
            return
        line.http.start_next_cycle()
        _shut_all(self._idle.put(place, line, self._clock()))

    def _converse(
        self, line: _Line[S], payload: bytes, place: _Place, seconds: float | None
    ) -> Script[S, Exchange[S]]:
        """Write the request and read the head; raises NothingSent as it is. The stream is shut on failure."""
        endpoint = place.route.origin.endpoint
        keep: Callable[[_Line[S]], None] | None = partial(self._keep, place)
        head: Event | NeedData
        try:
            try:
                yield Write(line.stream, payload, seconds)
            except NothingSent:
                raise
            except OSError as error:
                keep = None
                failure = translate(error, "send", endpoint, seconds)
                failure.__cause__ = error
                head = yield from _read_early_head(line, failure, seconds)
            else:
                while (head := line.http.next_event()) is NEED_DATA:
                    operation = Read(line.stream, seconds)
                    line.http.receive_data((yield from attempt(operation, "head", endpoint, seconds)))
        except BaseException:
            line.stream.shut()
            raise
        assert isinstance(head, ResponseHead)
        return Exchange(line, head, endpoint=endpoint, read_seconds=seconds, keep=keep)

    def _dial(self, place: _Place, seconds: float | None) -> Script[S, S]:
        """A stream that ends at the origin, all of it within the seconds."""
        origin, proxy = place.route.origin, place.route.proxy
        hop = place.route.first_hop
        budget = Budget(self._clock, seconds)
        stream: S = yield from attempt(
            Connect(place.pinned_address or hop.host, hop.port, seconds), "connect", hop.endpoint, seconds
        )
        try:
            if proxy and hop.scheme == "https":
                # The certificate is meant for the origin: the proxy is not to see it.
                tls = replace(place.tls, client_cert=None, client_key=None) if place.tls else None
                stream = yield from self._start_tls(stream, hop, tls, budget)
            if proxy and place.route.tunnel:
                yield from self._open_tunnel(stream, origin, proxy, budget)
            if origin.scheme == "https":
                stream = yield from self._start_tls(stream, origin, place.tls, budget)
        except BaseException:
            stream.shut()
            raise
        return stream

    def _start_tls(self, stream: S, peer: Origin, options: TlsOptions | None, budget: Budget) -> Script[S, S]:
        # A name may end in a dot in a URL, but not in SNI (RFC 6066, section 3) nor in a certificate.
        operation = StartTls(stream, peer.host.rstrip("."), options, budget.left("tls", peer.endpoint))
        secured: S = yield from attempt(operation, "tls", peer.endpoint, budget.seconds)
        return secured

    def _open_tunnel(self, stream: S, origin: Origin, proxy: Proxy, budget: Budget) -> Script[S, None]:
        """Have the proxy connect us with the origin."""
        endpoint = proxy.origin.endpoint
        http = Http1Connection(peer=f"the proxy {endpoint}")
        payload = http.send_request(
            "CONNECT", origin.endpoint, _credentials(proxy), b"", authority=origin.endpoint
        )
        yield from attempt(
            Write(stream, payload, budget.left("proxy", endpoint)), "proxy", endpoint, budget.seconds
        )
        try:
            while (head := http.next_event()) is NEED_DATA:
                operation = Read(stream, budget.left("proxy", endpoint))
                http.receive_data((yield from attempt(operation, "proxy", endpoint, budget.seconds)))
        except (ProtocolError, TransportError) as error:
            error.phase = "proxy"
            raise
        assert isinstance(head, ResponseHead)
        if not 200 <= head.status < 300:
            advice = "its user and password" if head.status == 407 else "whether it may reach that host"
            raise TransportError(
                f"the proxy {endpoint} answered {head.status} when asked to connect to {origin.endpoint}; "
                f"check {advice} (it is set in {proxy.variable})",
                phase="proxy",
                status=head.status,
            )
        if not http.quiet:
            raise ProtocolError(f"the proxy {endpoint} sent bytes of its own into the tunnel", phase="proxy")


def _read_early_head(line: _Line[S], failure: TakoError, seconds: float | None) -> Script[S, Event]:
    """The answer of a peer that stopped listening in the midst of the request, for it may say why
    ("413", "401"). Does not wait for one to come; raises the failure to send where there is none."""
    try:
        while (event := line.http.next_event()) is NEED_DATA and line.stream.readable():
            line.http.receive_data((yield Read(line.stream, seconds)))
    except (OSError, ProtocolError, TransportError):
        raise failure from failure.__cause__
    if event is NEED_DATA:
        raise failure
    return event


def _credentials(proxy: Proxy) -> Headers:
    return (("Proxy-Authorization", proxy.authorization),) if proxy.authorization else ()


def _shut_all(lines: list[_Line[S]]) -> None:
    for line in lines:
        line.stream.shut()
