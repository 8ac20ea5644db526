"""What the tests of the blocking arm share: small flows, leak checks, certificates, odd servers."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec

import trustme

from tako.cancellation import CancellationToken
from tako.effects import Close, Emit, Flow, HttpHead, HttpRequest, Receive, Send

SERVER = "tako-loopback"
"""What the threads of all servers are called."""
P = ParamSpec("P")
HEADERS = (("content-type", "application/json"),)


def post(url: str, **options: Any) -> HttpRequest:
    return HttpRequest("POST", url, HEADERS, b"{}", **options)


def fetch(request: HttpRequest) -> Flow[tuple[int, bytes]]:
    """The whole answer."""
    head, body = yield from fetch_with_head(request)
    return head.status, body


def fetch_with_head(request: HttpRequest) -> Flow[tuple[HttpHead, bytes]]:
    head: HttpHead = yield Send(request)
    pieces = []
    while data := (yield Receive(head.exchange)):
        pieces.append(data)
    yield Close(head.exchange)
    return head, b"".join(pieces)


def relay(request: HttpRequest) -> Flow[str]:
    """The answer as events, piece by piece."""
    head: HttpHead = yield Send(request)
    yield Emit(("head",))
    while data := (yield Receive(head.exchange)):
        yield Emit((data,))
    yield Close(head.exchange)
    return "whole"


SERVERS_SIDE: set[socket.socket] = set()
"""Sockets that odd servers of the tests hold; they live in the same process."""


def descriptors() -> int:
    """Descriptors that are open in this process, but for the servers' side."""
    return len(os.listdir("/proc/self/fd")) - sum(end.fileno() >= 0 for end in SERVERS_SIDE)


def arms_threads() -> set[threading.Thread]:
    """Threads that are not a server's."""
    return {thread for thread in threading.enumerate() if thread.name != SERVER}


@contextlib.contextmanager
def nothing_left_behind() -> Iterator[None]:
    """No descriptor, and no thread of the arm's, more than before, within a moment."""
    threads, files = arms_threads(), descriptors()
    yield
    wait_until(lambda: arms_threads() <= threads, "a thread was left behind")
    wait_until(lambda: descriptors() <= files, "a descriptor was left behind")


def wait_until(condition: Callable[[], bool], complaint: str, seconds: float = 2.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.002)


class TooLate(AssertionError):
    """It took longer than promised; on a busy machine that may not be the arm's doing."""


def in_time(took: float, limit: float = 0.1) -> None:
    """Every effect stops within 100 ms."""
    if not 0 <= took < limit:
        raise TooLate(f"it took {took:.3f} s and should take less than {limit:.3f} s")


def three_tries(test: Callable[P, None]) -> Callable[P, None]:
    """A test that is given two more tries if it was TooLate, and for no other reason."""

    @functools.wraps(test)
    def tried(*arguments: P.args, **keywords: P.kwargs) -> None:
        for _ in range(2):
            with contextlib.suppress(TooLate):
                return test(*arguments, **keywords)
            gc.collect()
        return test(*arguments, **keywords)

    return tried


@dataclass
class Cancelling:
    """Cancels a token a little later, and knows how long it took from then on."""

    token: CancellationToken
    seconds: float = 0.1
    moment: float = 0.0

    def __enter__(self) -> Cancelling:
        self._timer = threading.Timer(self.seconds, self._cancel)
        self._timer.start()
        return self

    def _cancel(self) -> None:
        self.moment = time.monotonic()
        self.token.cancel()

    def __exit__(self, *_: object) -> None:
        self.took = time.monotonic() - self.moment if self.moment else -1.0
        self._timer.join()


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port where connecting neither succeeds nor fails."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.01)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def silent_server(*, first: bytes = b"", trickle: bytes = b"", hangs_up: bool = False) -> Iterator[int]:
    """A port that accepts, says `first`, then `trickle` again and again, and nothing else.

    With `hangs_up` it says that it will say no more.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    accepted: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            accepted.append(connection)
            SERVERS_SIDE.add(connection)
            with contextlib.suppress(OSError):
                connection.sendall(first)
                if hangs_up:
                    connection.shutdown(socket.SHUT_WR)
                while trickle and not stop.wait(0.02):
                    connection.sendall(trickle)

    thread = threading.Thread(target=serve, name=SERVER, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in accepted:
            connection.close()
            SERVERS_SIDE.discard(connection)


@dataclass
class Certificates:
    """An authority, and what it has signed."""

    authority: trustme.CA
    roots: str
    """PEM of the authority."""

    @classmethod
    def make(cls) -> Certificates:
        authority = trustme.CA()
        return cls(authority, authority.cert_pem.bytes().decode())

    def server_context(self, *names: str, names_asked: list[str] | None = None) -> ssl.SSLContext:
        """A server for these names; notes the names that clients ask for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*names).configure_cert(context)
        if names_asked is not None:
            context.sni_callback = lambda _, name, __: names_asked.append(name)
        return context

    def client_files(self, folder: Path) -> tuple[str, str]:
        """Certificate chain and key of a client."""
        client = self.authority.issue_cert("client@example.org")
        chain, key = folder / "client.pem", folder / "client.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in client.cert_chain_pems))
        key.write_bytes(client.private_key_pem.bytes())
        return str(chain), str(key)
