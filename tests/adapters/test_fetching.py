"""Fetching by URL from hostile peers: on real sockets, by all three arms, in bounded time and memory.

`door` is a stranger's server, on 127.0.0.1, which the policy of these tests allows. Behind it lies
what must not be reached: `vault`, on 127.0.0.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.effects import Flow, Resolve, Within
from tako.errors import InvalidInput, ProtocolError, TakoError, TimedOut, TransportError
from tako.fetching import Fetched, UrlPolicy, fetch
from tako.testing import Answer, Pause, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.async_kit import read_head, serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(1000)
MIME = (("content-type", "image/png"),)
OK = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n"
IMAGE = Answer((PNG,), 200, MIME)
POLICY = UrlPolicy(allow_http=True, allow_networks=("127.0.0.1",), timeout_secs=5.0, max_bytes=1 << 20)
HURRIED = UrlPolicy(allow_http=True, allow_networks=("127.0.0.1",), timeout_secs=0.2)

Run = Callable[[Flow[Any]], Any]


def run_sync(flow: Flow[Any]) -> Any:
    with tako_io_sync.Runtime() as runtime:
        return runtime.run(flow)


def run_trio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_trio.Runtime() as runtime:
            return await runtime.run(flow)

    return trio.run(main)


def run_asyncio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_asyncio.Runtime() as runtime:
            return await runtime.run(flow)

    return asyncio.run(main())


@pytest.fixture(params=[run_sync, run_trio, run_asyncio], ids=["sync", "trio", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    arm: Run = request.param
    return arm


@contextlib.contextmanager
def vault(port: int = 0) -> Iterator[int]:
    """A port on 127.0.0.2 that nobody may connect to."""
    with socket.create_server(("127.0.0.2", port)) as listener:
        yield listener.getsockname()[1]
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def answering(flow: Flow[Any], resolver: Callable[[str], tuple[str, ...]]) -> Flow[Any]:
    """The flow, with the names looked up by us and everything else done by the arm."""
    resume: Callable[[Any], Any] = flow.send
    reply: Any = None
    while True:
        try:
            effect = resume(reply)
        except StopIteration as stop:
            return stop.value
        resume = flow.send
        if isinstance(effect, Resolve):
            reply = resolver(effect.host)
            continue
        if isinstance(effect, Within):
            effect = Within(effect.seconds, answering(effect.flow, resolver))
        try:
            reply = yield effect
        except Exception as error:
            resume, reply = flow.throw, error


def images(url: str, policy: UrlPolicy = POLICY) -> Flow[Fetched]:
    return fetch(url, policy, accept=("image/png", "image/gif"))


@contextlib.contextmanager
def refused(kind: type[TakoError], match: str, *, seconds: float = 1.5) -> Iterator[None]:
    """In bounded time, naming nothing secret."""
    began = time.monotonic()
    with pytest.raises(kind, match=match) as caught:
        yield
    assert time.monotonic() - began < seconds
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)


def test_a_picture_behind_redirects(run: Run) -> None:
    answers = [Answer((b"x" * 100,), status, (("location", f"/{status}"),)) for status in (301, 307, 308)]
    vendor = ScriptedVendor([*answers, IMAGE])
    with LoopbackServer(vendor) as server:
        fetched = run(images(f"{server.url}/cat?secret"))
        assert (fetched.url, fetched.mime, fetched.data) == (f"{server.url}/308", "image/png", PNG)
    for request in vendor.requests:
        names = {name for name, _ in request.headers} - {"connection"}
        assert names == {"host", "user-agent", "accept", "accept-encoding"}
        assert request.header("accept-encoding") == "identity"
        assert request.header("user-agent") == "tako"


INSIDE = [
    "127.0.0.2", "2130706434", "0177.0.0.2", "127.2", "0x7f.0.0.2", "0x7F000002", "017700000002",
    "[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[::127.0.0.2]", "[64:ff9b::127.0.0.2]", "[::1]", "0.0.0.0",
    "inside.test", "both.test", "mapped.test",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_a_redirect_inside(run: Run, host: str) -> None:
    names = {
        "inside.test": ("127.0.0.2",),
        "both.test": ("127.0.0.1", "127.0.0.2"),
        "mapped.test": ("::ffff:127.0.0.2",),
    }
    with vault() as port:
        answer = Answer((), 302, (("location", f"http://{host}:{port}/?secret"),))
        with LoopbackServer(ScriptedVendor(answer)) as door, refused(InvalidInput, "which is not public"):
            run(answering(images(door.url), lambda name: names[name]))


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://2852039166/", "http://[fe80::1]/"])
def test_a_redirect_to_the_metadata_of_a_cloud(run: Run, url: str) -> None:
    answer = Answer((), 307, (("location", url),))
    with LoopbackServer(ScriptedVendor(answer)) as door, refused(InvalidInput, "which is not public"):
        run(images(door.url))


def test_a_redirect_away_from_https_and_one_with_a_password(run: Run) -> None:
    for location, reason in (("ftp://127.0.0.1/", "http"), ("//user:secret@127.0.0.1/", "password")):
        answer = Answer((), 302, (("location", location),))
        with LoopbackServer(ScriptedVendor(answer)) as door, refused(InvalidInput, reason):
            run(images(door.url))


def test_redirects_in_a_ring(run: Run) -> None:
    vendor = ScriptedVendor(Answer((), 302, (("location", "/again?secret"),)))
    with LoopbackServer(vendor) as door:
        with refused(ProtocolError, "redirects more than 3 times"):
            run(images(door.url))
        assert len(vendor.requests) == 4


class Resolver:
    """The system's, but for one name. Its answer changes as soon as it was given; or it hangs."""

    def __init__(self, name: str, *addresses: str, hangs: float = 0.0) -> None:
        self.asked = 0
        self._name = name
        self._addresses = addresses
        self._hangs = hangs
        self._system = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *options: Any, **named: Any) -> Any:
        if host not in (self._name, self._name.encode()):
            return self._system(host, port, *options, **named)
        flags = named.get("flags", options[3] if len(options) > 3 else 0)
        if flags & socket.AI_NUMERICHOST:  # asked on the loop's own thread, for it takes no time
            raise socket.gaierror(socket.EAI_NONAME, "it is a name")
        time.sleep(self._hangs)
        address = self._addresses[min(self.asked, len(self._addresses) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port)))]


def test_dns_that_changes_between_check_and_use(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is asked for once, and the address that was checked is the one that is dialled."""
    flipping = Resolver("flip.test", "127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(socket, "getaddrinfo", flipping)
    with LoopbackServer(ScriptedVendor(IMAGE)) as door, vault(door.port):
        assert run(images(f"http://flip.test:{door.port}/")).data == PNG
        assert flipping.asked == 1
        with refused(InvalidInput, "address of flip.test is 127.0.0.2"):
            run(images(f"http://flip.test:{door.port}/"))
        assert flipping.asked == 2


def test_no_proxy_is_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with vault() as port, LoopbackServer(ScriptedVendor(IMAGE)) as server:
        for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.2:{port}")
        named = images(f"http://a.test:{server.port}/")
        assert run(answering(named, lambda _: ("127.0.0.1",))).data == PNG


def test_the_next_address_if_one_takes_no_connection(run: Run) -> None:
    with LoopbackServer(ScriptedVendor(IMAGE)) as server:
        policy = UrlPolicy(allow_http=True, allow_hosts=("*.test",))
        flow = images(f"http://a.test:{server.port}/", policy)
        assert run(answering(flow, lambda _: ("127.0.0.3", "127.0.0.1"))).data == PNG


def test_an_ipv6_address(run: Run) -> None:
    """As it is and by name; the host stays what was asked for."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    heads: list[bytes] = []

    def serve_twice() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                heads.append(read_head(connection).lower())
                connection.sendall(OK + b"\r\n" + PNG)

    policy = UrlPolicy(allow_http=True, allow_networks=("::1",))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=serve_twice, daemon=True)
    with listener:
        thread.start()
        assert run(images(f"http://[::1]:{port}/", policy)).data == PNG
        assert run(answering(images(f"http://a.test:{port}/", policy), lambda _: ("::1",))).data == PNG
        thread.join(5)
    assert f"\r\nhost: [::1]:{port}\r\n".encode() in heads[0]
    assert f"\r\nhost: a.test:{port}\r\n".encode() in heads[1]


# Memory.

MEMBER = gzip.compress(bytes(1 << 23))


def memory_of(run: Run, url: str, kind: type[TakoError], match: str) -> int:
    """The most memory that was in use at once while it was refused."""
    tracemalloc.start()
    try:
        with refused(kind, match, seconds=4.0):
            run(images(url))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_bomb(run: Run, framing: Any) -> None:
    """128 MiB in 128 KiB, with a limit of 1 MiB."""
    bomb = gzip.compress(PNG) + MEMBER * 16
    assert len(bomb) < POLICY.max_bytes
    with LoopbackServer(
        ScriptedVendor(Answer((bomb,), 200, (*MIME, ("content-encoding", "gzip")), framing))
    ) as door:
        assert memory_of(run, door.url, ProtocolError, "larger than 1048576 bytes") < 8 << 20


def test_a_bomb_in_a_bomb(run: Run) -> None:
    bomb = gzip.compress(MEMBER * 64)
    headers = (*MIME, ("content-encoding", "gzip"), ("content-encoding", "gzip"))
    with LoopbackServer(ScriptedVendor(Answer((bomb,), 200, headers))) as door:
        assert memory_of(run, door.url, ProtocolError, "content coding") < 4 << 20


def test_a_body_without_end(run: Run) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(PNG * 64)

    with serving(serve) as port:
        url = f"http://127.0.0.1:{port}/?secret"
        assert memory_of(run, url, ProtocolError, "larger than 1048576 bytes") < 8 << 20


def test_a_length_over_the_limit_is_not_read(run: Run) -> None:
    headers = (*MIME, ("content-length", str((1 << 20) + 1)))
    with LoopbackServer(ScriptedVendor(Answer((Pause(60.0), PNG), 200, headers))) as door:
        with refused(ProtocolError, "larger than"):
            run(images(door.url))


def test_a_body_that_was_encoded_though_nobody_asked_for_it(run: Run) -> None:
    headers = (*MIME, ("content-encoding", "GZip"))
    with LoopbackServer(ScriptedVendor(Answer((gzip.compress(PNG),), 200, headers))) as server:
        assert run(images(server.url)).data == PNG


# Types.


@pytest.mark.parametrize(
    ("mime", "body", "reason"),
    [
        ("text/html", b"<html>", "it is text/html, and should be one of image/gif, image/png"),
        ("image/png", b"<html>", "calls it image/png, but its first bytes are not"),
        ("image/gif", PNG, "calls it image/gif, but it is image/png"),
    ],
)
def test_the_wrong_type(run: Run, mime: str, body: bytes, reason: str) -> None:
    answer = Answer((body,), 200, (("content-type", mime),))
    with LoopbackServer(ScriptedVendor(answer)) as door, refused(ProtocolError, reason):
        run(images(f"{door.url}/x?secret"))


# Time.


SLOW = {
    "silent": (b"", b""),
    "status line": (b"", b"H"),
    "head": (OK, b"a: b\r\n"),
    "informational heads": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (OK + b"\r\n" + PNG, b"x"),
    "chunk size": (OK + b"transfer-encoding: chunked\r\n\r\n", b"0"),
    "empty members": (OK + b"content-encoding: gzip\r\n\r\n", gzip.compress(b"")),
    "a flood of them": (OK + b"content-encoding: gzip\r\n\r\n", gzip.compress(b"") * 10_000),
}


@pytest.mark.parametrize("where", SLOW)
def test_a_peer_that_drips(run: Run, where: str) -> None:
    """It says something, and then a little more for ever."""
    beginning, drop = SLOW[where]

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(beginning)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    with serving(serve) as port:
        url = f"http://127.0.0.1:{port}/x"
        with refused(TimedOut, f"^{url} could not be fetched within 0.2 seconds", seconds=0.7):
            run(images(f"{url}?secret", HURRIED))


def test_a_resolver_that_hangs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver("slow.test", "127.0.0.1", hangs=0.6))
    with refused(TimedOut, "^http://slow.test/ could not be fetched within 0.2 seconds", seconds=0.55):
        run(images("http://slow.test/", HURRIED))


def test_a_peer_that_hangs_up(run: Run) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK + b"content-length: 9999\r\n\r\n" + PNG)

    with serving(serve) as port:
        url = f"http://127.0.0.1:{port}/x"
        with refused(TransportError, f"^{url} could not be fetched: "):
            run(images(f"{url}?secret"))
