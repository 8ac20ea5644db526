"""HTTP on requests: what a Session means is kept, what it repeats for every call is done once.

`Session.request` works out proxies, certificates and the mounted adapter again for every call, which
is half of its cost. Here they are worked out once for each URL, as a Route, and then each request
goes straight to `adapter.send`. So set a Session up before its first request.

What a Session means, and what becomes of it here:

- proxies, CA bundles and client certificates, its own and the environment's, mounted adapters and
  its headers: kept. Its adapters' retries are its own; ours has none, so nothing is sent twice.
- auth, cookies, parameters, hooks: kept, the slow way through `Session.prepare_request`, as soon as
  there are any. Cookies that an answer sets are put into the Session that was handed in.
- redirects are not followed: they are answers. `.netrc` is not read: the caller's key is the key.

A pinned address and TlsOptions need an adapter of our own, which is used with the Session's other
settings. The connection classes in the pools of the Session's adapters are replaced by subclasses
that can be interrupted (see _connections.py). This cannot be done for an adapter that is not built
on requests.HTTPAdapter: its `send` is left behind in its thread when it is cancelled. A connection
which the Session had opened before can be interrupted only from the head of its answer on.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.cookies import extract_cookies_to_jar
from requests.exceptions import ProxyError
from requests.hooks import dispatch_hook
from requests.models import PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.util import Timeout
from urllib3.util.ssl_ import create_urllib3_context

from tako.driving.streams import translate
from tako.driving.tls import apply_tls
from tako.effects import HttpRequest, TlsOptions
from tako.errors import InvalidInput, ProtocolError, TakoError
from tako.wire.inflate import CODINGS
from tako.wire.route import parse_url
from tako_io_sync._connections import Operation, interruptible, performing
from tako_io_sync._exchange import Exchange, root

__all__ = ["Transport"]

MOST_ROUTES = 1000
MOST_IDLE = 256
"""Connections to one host that are kept."""
MOST_CONTEXTS = 32


class _Prepared(PreparedRequest):
    """A request that needs no more preparing."""

    pinned_address: str | None = None
    route: _Route | None = None


@dataclass(slots=True)
class _Route:
    """What is the same for every request to one URL."""

    url: str
    endpoint: str
    authority: str
    adapter: BaseAdapter
    settings: dict[str, Any]
    """The keywords of `adapter.send`."""
    defaults: tuple[tuple[str, str, str], ...]
    """The Session's headers: name in lower case, name, value."""
    can_interrupt: bool
    plain: bool
    """A plain dict may be handed over as headers, because only requests' own adapter sees it."""
    timeouts: dict[tuple[float | None, float | None], Timeout] = field(default_factory=dict)
    pool: tuple[ssl.SSLContext | None, Any] | None = None
    """The pool that the last request was sent by, and the context of its connections."""
    request_target: str | None = None
    """What requests puts into the first line."""


class _Answered:
    """What an Exchange reads of a requests.Response, which costs as much as all the rest of it."""

    __slots__ = ("raw", "status_code")

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.status_code: int = raw.status

    @property
    def headers(self) -> Any:
        return self.raw.headers

    def close(self) -> None:
        """As Response.close."""
        self.raw.close()
        self.raw.release_conn()


class _OwnAdapter(HTTPAdapter):
    """An adapter with a TLS context of its own, or whose requests may pin an address.

    urllib3 makes a context for every connection, and takes 45 ms to load the authorities into it;
    here there is one for each bundle of authorities in the process.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        super().__init__(pool_connections=64, pool_maxsize=MOST_IDLE)

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        place: dict[str, Any]
        options: dict[str, Any]
        place, options = super().build_connection_pool_key_attributes(request, verify, cert)  # type: ignore[assignment]
        context = self._context_for(place["scheme"], verify, cert)
        if context is not None:
            options = {"ssl_context": context}
        address = getattr(request, "pinned_address", None)
        if address is not None:
            if place["scheme"] == "https":
                options["server_hostname"] = str(place["host"]).strip("[]").rstrip(".")
            place = {**place, "host": address}
        return place, options

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """The pool of the route, while it is open and trusts whom it should; else requests looks for it."""
        route: _Route | None = getattr(request, "route", None)
        if route is None:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        context = self._context_for(route.url.partition(":")[0], verify, cert)
        kept, pool = route.pool or (None, None)
        if pool is None or pool.pool is None or kept is not context:
            pool = super().get_connection_with_tls_context(request, verify, proxies, cert)
            route.pool = (context, pool)
        return pool

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """As requests makes it of the URL, once for a route."""
        route: _Route | None = getattr(request, "route", None)
        if route is None:
            return super().request_url(request, proxies)
        if route.request_target is None:
            route.request_target = super().request_url(request, proxies)
        return route.request_target

    def build_response(self, req: PreparedRequest, resp: Any) -> Any:
        """The answer, without the parts of a Response that nobody would look at."""
        return super().build_response(req, resp) if getattr(req, "route", None) is None else _Answered(resp)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        if self._context_for(url.partition(":")[0], verify, cert) is None:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        else:
            conn.cert_reqs = "CERT_REQUIRED"  # and nothing that would be loaded into the context

    def close(self) -> None:
        """Close every idle connection now; urllib3 would leave that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in list(manager.pools.keys()):
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()

    def _context_for(self, scheme: str, verify: Any, cert: Any) -> ssl.SSLContext | None:
        """None where requests is to do as it always does."""
        if scheme != "https" or self._context is not None:
            return self._context
        bundle = DEFAULT_CA_BUNDLE_PATH if verify is True else verify
        return None if cert or not isinstance(bundle, str) else _context_trusting(bundle)


_contexts: dict[tuple[str, int], ssl.SSLContext] = {}


def _context_trusting(bundle: str) -> ssl.SSLContext | None:
    """The context for a file of authorities, made again when the file changes; None if it is no file."""
    try:
        status = os.stat(bundle)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    key = (bundle, status.st_mtime_ns)
    context = _contexts.get(key)
    if context is None:
        context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
        context.load_verify_locations(bundle)
        if len(_contexts) >= MOST_CONTEXTS:
            _contexts.clear()
        _contexts[key] = context
    return context


class Transport:
    """The connections of a runtime. For any number of threads."""

    def __init__(self, session: requests.Session | None) -> None:
        self._given = session
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._session = self._given if self._given is not None else _own_session()
        self._routes: dict[tuple[str, TlsOptions | None, bool], _Route] = {}
        self._adapters: dict[TlsOptions | None, _OwnAdapter] = {}

    def prepare(
        self, request: HttpRequest, *, can_stop: bool
    ) -> tuple[Operation, Callable[[], Exchange], bool]:
        """How to send it: what can be stopped, what to call, and whether stopping wakes that call.

        Raises InvalidInput. The function raises InvalidInput, TransportError, TimedOut, ProtocolError.
        """
        if self._closed:
            raise InvalidInput("the runtime is closed")
        key = (request.url, request.tls, request.pinned_address is not None)
        route = self._routes.get(key)
        if route is None:
            try:
                route = self._plan(key, request)
            except requests.RequestException as error:
                raise InvalidInput(
                    f"the Session does not serve this URL ({type(error).__name__}); check its adapters"
                ) from error
        operation = Operation(route.endpoint, can_stop=can_stop)
        return operation, partial(self._send, route, request, operation), route.can_interrupt

    def close(self) -> None:
        """Close idle connections; who uses one closes it. A Session that was handed in stays open."""
        self._closed = True
        for adapter in self._adapters.values():
            adapter.close()
        if self._given is None:
            self._session.close()

    def forget(self) -> None:
        """In a forked child: the connections are the parent's. They are not touched, nor are their locks."""
        _of_the_parent.append((list(self._session.adapters.values()), self._adapters))
        if self._given is not None:
            for adapter in self._given.adapters.values():
                if isinstance(adapter, HTTPAdapter):
                    _of_the_parent.append((adapter.poolmanager, adapter.proxy_manager))
                    state = {name: getattr(adapter, name, None) for name in adapter.__attrs__}
                    adapter.__setstate__(state)  # type: ignore[attr-defined]  # as if it had been unpickled here
        self._start()

    def _plan(self, key: tuple[str, TlsOptions | None, bool], request: HttpRequest) -> _Route:
        target, session = parse_url(request.url), self._session
        origin = target.origin
        url = f"{origin.scheme}://{origin.authority}{target.path}"
        settings: dict[str, Any] = {**session.merge_environment_settings(url, {}, True, None, None)}
        _, tls, pinned = key
        if pinned:
            settings["proxies"] = {}
            settings["cert"] = None
        adapter: BaseAdapter = (
            session.get_adapter(url) if tls is None and not pinned else self._own_adapter(tls)
        )
        defaults = tuple(
            [
                (name.lower(), name, value if isinstance(value, str) else value.decode("latin-1"))
                for name, value in ({} if pinned else session.headers).items()
            ]
        )
        kind = type(adapter)
        route = _Route(
            url, origin.endpoint, origin.authority, adapter, settings, defaults,
            can_interrupt=isinstance(adapter, HTTPAdapter),
            plain=kind is HTTPAdapter or kind is _OwnAdapter,
        )  # fmt: skip
        if isinstance(adapter, HTTPAdapter):
            _make_interruptible(adapter, self._fill(route, request), settings)
        if len(self._routes) >= MOST_ROUTES:
            self._routes.clear()
        self._routes[key] = route
        return route

    def _own_adapter(self, tls: TlsOptions | None) -> _OwnAdapter:
        adapter = self._adapters.get(tls)
        if adapter is None:
            context = None
            if tls is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                apply_tls(context, tls)
            adapter = self._adapters.setdefault(tls, _OwnAdapter(context))
        return adapter

    def _send(self, route: _Route, request: HttpRequest, operation: Operation) -> Exchange:
        session = self._session
        key = (request.connect_timeout, request.read_timeout)
        try:
            timeout = route.timeouts.get(key)
            if timeout is None:
                timeout = route.timeouts[key] = _timeout(request)
            given = None if request.pinned_address else self._given
            special = given is not None and _needs_preparing(given)
            prepared = self._prepare_fully(route, request) if special else self._fill(route, request)
            with performing(operation):
                response = route.adapter.send(prepared, timeout=timeout, **route.settings)  # type: ignore[arg-type]
                if special:
                    settings = {**route.settings, "timeout": timeout}
                    response = dispatch_hook("response", prepared.hooks, response, **settings)  # type: ignore[no-untyped-call]
        except Exception as error:
            raise _failure(error, operation, key) from error
        if given is not None and "set-cookie" in response.headers:
            extract_cookies_to_jar(session.cookies, prepared, response.raw)  # type: ignore[no-untyped-call]
        exchange = Exchange(operation, response, request.read_timeout)
        if operation.stopped:
            exchange.close()  # whoever waited for it may have gone
        return exchange

    def _fill(self, route: _Route, request: HttpRequest) -> _Prepared:
        """The request as it is sent; raises InvalidInput for one that cannot be."""
        _check(request)
        names = {name.lower() for name, _ in request.headers}
        headers = {name: value for lower, name, value in route.defaults if lower not in names}
        for name, value in request.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if "content-length" in names:  # requests looks for it under its own spelling
            headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        prepared = _Prepared()
        prepared.method = request.method
        prepared.url = route.url
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(request.body))
            prepared.body = request.body
        if request.pinned_address is not None:
            prepared.pinned_address = request.pinned_address
            if "host" not in names:
                headers["Host"] = route.authority
        elif self._given is None:
            prepared.route = route  # a pin makes another pool of it, a Session given may be changed meanwhile
        prepared.headers = headers if route.plain else CaseInsensitiveDict(headers)  # type: ignore[assignment]
        return prepared

    def _prepare_fully(self, route: _Route, request: HttpRequest) -> PreparedRequest:
        """The way of the Session itself, for one that has auth, cookies, parameters or hooks."""
        plain = self._fill(route, request)
        headers = {name: value for name, value in plain.headers.items() if name != "Content-Length"}
        session = self._session
        full = session.prepare_request(
            requests.Request(
                request.method,
                route.url,
                headers=headers,
                data=request.body or None,
                auth=session.auth or _as_it_is,
            )
        )
        full.pinned_address = request.pinned_address  # type: ignore[attr-defined]
        return full


_of_the_parent: list[object] = []
"""Connections that a forked child must not touch: their locks may be held by threads it does not have."""


def _own_session() -> requests.Session:
    session = requests.Session()
    session.headers.clear()
    session.headers.update({"User-Agent": "tako", "Accept-Encoding": CODINGS})
    for prefix in ("https://", "http://"):
        session.mount(prefix, _OwnAdapter())
    return session


def _make_interruptible(adapter: HTTPAdapter, prepared: PreparedRequest, settings: dict[str, Any]) -> None:
    """Have the pools that serve this request make connections which can be interrupted."""
    verify, cert, proxies = settings["verify"], settings["cert"], settings["proxies"]
    pool: Any = adapter.get_connection_with_tls_context(prepared, verify, proxies=proxies, cert=cert)
    proxy = select_proxy(prepared.url or "", proxies)
    for manager in (
        (adapter.poolmanager, *adapter.proxy_manager.values()) if proxy else (adapter.poolmanager,)
    ):
        manager.pool_classes_by_scheme = {
            scheme: _interruptible_pool(pool_class)
            for scheme, pool_class in manager.pool_classes_by_scheme.items()
        }
    pool.ConnectionCls = interruptible(pool.ConnectionCls)


def _interruptible_pool(pool_class: type[Any]) -> type[Any]:
    connection_class = interruptible(pool_class.ConnectionCls)
    if connection_class is pool_class.ConnectionCls:
        return pool_class
    return type(f"Interruptible{pool_class.__name__}", (pool_class,), {"ConnectionCls": connection_class})


def _failure(error: Exception, operation: Operation, seconds: tuple[float | None, float | None]) -> TakoError:
    """What a failed `adapter.send` means. No header and no key is in its message."""
    if isinstance(error, TakoError):
        return error
    if operation.failure is not None:
        return operation.failure
    cause, phase = root(error), operation.phase
    if isinstance(cause, ssl.SSLError) and phase in ("connect", "proxy"):
        phase = "tls"
    elif isinstance(error, ProxyError) and phase == "connect":
        phase = "proxy"
    if cause is not None:
        limit = seconds[1] if phase in ("send", "head") else seconds[0]
        return translate(cause, phase, operation.endpoint, limit)
    return ProtocolError(
        f"{operation.endpoint} does not speak HTTP/1.1 as it should ({type(error).__name__})", phase=phase
    )


def _timeout(request: HttpRequest) -> Timeout:
    for name in ("connect_timeout", "read_timeout"):
        seconds = getattr(request, name)
        if seconds is not None and not seconds > 0:
            raise InvalidInput(f"{name} must be None or more than 0 seconds, not {seconds}")
    return Timeout(connect=request.connect_timeout, read=request.read_timeout)


def _needs_preparing(session: requests.Session) -> bool:
    return bool(session.auth or len(session.cookies) or session.params or session.hooks["response"])


def _as_it_is(prepared: PreparedRequest) -> PreparedRequest:
    """An auth that does nothing. Without one, requests would put a key from .netrc for the caller's."""
    return prepared


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")


def _check(request: HttpRequest) -> None:
    """Raise InvalidInput, naming the header but never its value, for what http.client would send as it is."""
    if not _TOKEN.fullmatch(request.method):
        raise InvalidInput(f"method {request.method[:40]!r} is not an HTTP method")
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name):
            raise InvalidInput(
                f"header name {name[:40]!r} holds a character that HTTP does not allow in a name"
            )
        if not _FIELD_VALUE.fullmatch(value):
            raise InvalidInput(
                f"the value of header {name} holds a line break, a control or a non-ASCII character; "
                "was it copied with something around it?"
            )
        lower = name.lower()
        if lower == "transfer-encoding":
            raise InvalidInput("header transfer-encoding is not for the caller: the body is sent whole")
        if lower == "content-length" and value.strip() != str(len(request.body)):
            raise InvalidInput("header content-length is not the length of the body; leave it out")
