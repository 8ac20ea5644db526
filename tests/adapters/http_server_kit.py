"""What the tests of the HTTP servers share: servers in a thread, mounted ones, raw clients, handlers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from wsgiref import simple_server

import trio

import tako_io_asyncio.http_server
import tako_io_sync.http_server
import tako_io_trio.http_server
from tako.cancellation import CancellationToken
from tako.effects import Call, Emit, Flow, Sleep
from tako.serving import Handler, HttpIncoming, ResponseData, ResponseHead, ServerLimits
from tako_io_asyncio import asgi
from tako_io_sync import wsgi
from tests.adapters.async_kit import descriptors, wait_until

SERVERS = ["sync", "trio", "asyncio"]
MOUNTED = ["wsgi", "asgi under asyncio", "asgi under trio"]
EVERYBODY = [*SERVERS, *MOUNTED]
PATIENCE = 5.0


@dataclass
class Reply:
    """An answer. `whole` is False where the client can tell that something is missing."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True


def ask(
    kind: str,
    handler: Handler,
    target: str = "/",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    limits: ServerLimits | None = None,
) -> Reply:
    """One request to a server of this kind, and its answer."""
    if kind.startswith("asgi"):
        host = AsgiHost(asgi.application(handler, limits=limits))
        return host.play(kind.endswith("trio"), target, method, headers or {}, body)
    running = wsgi_server(handler, limits) if kind == "wsgi" else server(kind, handler, limits=limits)
    with running as port:
        return ask_port(port, target, method=method, headers=headers, body=body)


def ask_port(
    port: int,
    target: str = "/",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, target, body or None, headers or {})
        response = connection.getresponse()
        whole = True
        try:
            content = response.read()
        except http.client.IncompleteRead as error:
            content, whole = error.partial, False
        fields = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, fields, content, whole)
    finally:
        connection.close()


@contextlib.contextmanager
def leaving_nothing() -> Iterator[None]:
    """Fails where a thread or a descriptor is left behind. Trio keeps idle threads for ten seconds."""

    def threads() -> int:
        return sum(not thread.name.startswith("Trio") for thread in threading.enumerate())

    threads_before, files_before = threads(), descriptors()
    yield
    wait_until(lambda: threads() <= threads_before, "a thread was left behind")
    wait_until(lambda: descriptors() <= files_before, "a descriptor was left behind")


# Servers in a thread of their own.


@contextlib.contextmanager
def server(
    kind: str, handler: Handler, *, limits: ServerLimits | None = None, seconds_to_stop: float = 1.5
) -> Iterator[int]:
    """The port of a server of this arm; it must have stopped in time when the `with` is left."""
    token = CancellationToken()
    ready = threading.Event()
    ports: list[int] = []
    errors: list[BaseException] = []

    def is_ready(port: int) -> None:
        ports.append(port)
        ready.set()

    def run() -> None:
        try:
            options: dict[str, Any] = {"cancel": token, "ready": is_ready, "limits": limits}
            if kind == "sync":
                tako_io_sync.http_server.serve(handler, **options)
            elif kind == "trio":
                trio.run(functools.partial(tako_io_trio.http_server.serve, handler, **options))
            else:
                asyncio.run(tako_io_asyncio.http_server.serve(handler, **options))
        except BaseException as error:
            errors.append(error)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        if not errors:
            yield ports[0]
    finally:
        token.cancel()
        thread.join(seconds_to_stop)
        stopped = not thread.is_alive()
        thread.join(PATIENCE)
    assert not errors, errors
    assert stopped, "the server did not stop in time"


class _Threading(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = False  # so that closing it waits for them

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that has left is part of the tests


class _Quiet(simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def wsgi_server(handler: Handler, limits: ServerLimits | None = None) -> Iterator[int]:
    application = wsgi.application(handler, limits=limits)
    with simple_server.make_server("127.0.0.1", 0, application, _Threading, _Quiet) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield running.server_port
        finally:
            running.shutdown()
            thread.join()


@dataclass
class AsgiHost:
    """As little of an ASGI server as the specification wants; `leave_at` pieces the client hangs up."""

    application: asgi.Application
    leave_at: int | None = None
    sent: list[Any] = field(default_factory=list)
    left_at: float = 0.0

    def play(self, under_trio: bool, target: str, method: str, headers: dict[str, str], body: bytes) -> Reply:
        return trio_or_asyncio(under_trio, lambda: self.ask(under_trio, target, method, headers, body))

    async def ask(
        self, under_trio: bool, target: str, method: str, headers: dict[str, str], body: bytes
    ) -> Reply:
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "method": method, "path": unquote(path), "raw_path": path.encode(),
            "query_string": query.encode(), "client": ("127.0.0.1", 5), "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip
        coming = [
            {"type": "http.request", "body": body[:3], "more_body": True},
            {"type": "http.request", "body": body[3:]},
        ]
        gone = trio.Event() if under_trio else asyncio.Event()

        async def receive() -> Any:
            if coming:
                return coming.pop(0)
            await gone.wait()
            self.left_at = time.monotonic()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.sent.append(message)
            if self.leave_at is not None and len(self.pieces) >= self.leave_at:
                gone.set()

        failed = False
        try:
            await self.application(scope, receive, send)
        except ZeroDivisionError:
            failed = True
        if not self.sent:
            return Reply(0, {}, b"", False)
        start = self.sent[0]
        fields = {name.decode(): value.decode() for name, value in start["headers"]}
        whole = not failed and not self.sent[-1]["more_body"]
        return Reply(start["status"], fields, b"".join(self.pieces), whole)

    @property
    def pieces(self) -> list[bytes]:
        return [piece for message in self.sent if (piece := message.get("body"))]


def trio_or_asyncio(under_trio: bool, function: Callable[[], Any]) -> Any:
    async def main() -> Any:
        return await function()

    return trio.run(main) if under_trio else asyncio.run(main())


# Raw clients.


class Client:
    """A socket, and what has been read from it."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.data = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Client:
        self.socket.sendall(data)
        return self

    def until(self, mark: bytes) -> bytes:
        """What comes up to the mark and with it."""
        while mark not in self.data:
            received = self.socket.recv(65536)
            assert received, f"the server hung up: {self.data!r}"
            self.data += received
        found, _, self.data = self.data.partition(mark)
        return found + mark

    def rest(self) -> bytes:
        """What comes until the server hangs up."""
        while received := self.socket.recv(65536):
            self.data += received
        found, self.data = self.data, b""
        return found

    def has_nothing(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        try:
            self.data += self.socket.recv(1)
        except TimeoutError:
            return not self.data
        finally:
            self.socket.settimeout(PATIENCE)
        return False


def get(path: str = "/", *headers: str, version: str = "1.1") -> bytes:
    return "\r\n".join((f"GET {path} HTTP/{version}", "host: x", *headers, "", "")).encode()


# Handlers.

TEXT = (("content-type", "text/plain"),)


def echo(request: HttpIncoming) -> Flow[None]:
    told = f"{request.method} {request.path} {request.query} {request.header('x-name')} ".encode()
    yield Emit((ResponseHead(200, TEXT), ResponseData(told), ResponseData(request.body)))


def pieces(*said: bytes, seconds: float = 0.0, headers: tuple[tuple[str, str], ...] = TEXT) -> Handler:
    def handler(request: HttpIncoming) -> Flow[None]:
        yield Emit((ResponseHead(200, headers),))
        for piece in said:
            yield Emit((ResponseData(piece),))
            if seconds:
                yield Sleep(seconds)

    return handler


@dataclass
class Watched:
    """A handler that streams until it is stopped, and notes when that was."""

    piece: bytes = b"data: x\n\n"
    seconds: float = 0.005
    emits_head: bool = True
    blocks: bool = False
    began: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    ended_at: float = 0.0
    emitted: int = 0
    running: int = 0

    def __call__(self, request: HttpIncoming) -> Flow[None]:
        self.running += 1
        try:
            if self.emits_head:
                yield Emit((ResponseHead(200, (("content-type", "text/event-stream"),)),))
            self.began.set()
            while True:
                if self.blocks:
                    yield Call(_until_cancelled, token_argument="token")
                elif self.emits_head:
                    yield Emit((ResponseData(self.piece),))
                    self.emitted += 1
                if self.seconds:
                    yield Sleep(self.seconds)
        finally:
            self.running -= 1
            self.ended_at = time.monotonic()
            self.ended.set()


def _until_cancelled(token: CancellationToken) -> None:
    stopped = threading.Event()
    token.on_cancel(stopped.set)
    stopped.wait(PATIENCE)
