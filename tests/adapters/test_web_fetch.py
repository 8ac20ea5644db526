"""web_fetch on real sockets, by all three arms: from hostile peers, in bounded time and memory.

`door` is a page on 127.0.0.1, which the policy of these tests allows. Behind it lies `vault`, on
127.0.0.2, where nobody may connect.
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
from functools import cache
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.cancellation import CancellationToken
from tako.effects import Flow, Within
from tako.errors import Cancelled, Interrupted, ToolError
from tako.fetching import UrlPolicy
from tako.models import Principal
from tako.parts import ImagePart
from tako.testing import Answer, Pause, ScriptedVendor
from tako.tools import ToolContext
from tako.tools.builtin.web_fetch import web_fetch
from tako.tools.output import ToolOutput
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.async_kit import Cancelling, descriptors, read_head, serving, silence, wait_until
from tests.adapters.test_fetching import Resolver, answering, vault

LIMIT = 1 << 20
POLICY = UrlPolicy(allow_http=True, allow_networks=("127.0.0.1",), timeout_secs=5.0, max_bytes=LIMIT)
HTML = (("content-type", "text/html; charset=utf-8"),)
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n"
PAGE = Answer((b"<title>Door</title><p>h\xc3", b"\xa9llo <a href=/in>in</a>"), 200, HTML)
STOPS_WITHIN = 0.1 + 0.15
"""Seconds in which a cancelled call has to stop, and what a busy machine may add to them."""

Run = Callable[..., Any]


def run_sync(flow: Flow[Any], **options: Any) -> Any:
    with tako_io_sync.Runtime() as runtime:
        return runtime.run(flow, **options)


def run_trio(flow: Flow[Any], **options: Any) -> Any:
    async def main() -> Any:
        async with tako_io_trio.Runtime() as runtime:
            return await runtime.run(flow, **options)

    return trio.run(main)


def run_asyncio(flow: Flow[Any], **options: Any) -> Any:
    async def main() -> Any:
        async with tako_io_asyncio.Runtime() as runtime:
            return await runtime.run(flow, **options)

    return asyncio.run(main())


@pytest.fixture(params=[run_sync, run_trio, run_asyncio], ids=["sync", "trio", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    arm: Run = request.param
    return arm


def page(url: str, policy: UrlPolicy = POLICY, **arguments: Any) -> Flow[ToolOutput]:
    def context() -> ToolContext:
        return ToolContext("id", "web_fetch", 1, "run", Principal())

    return web_fetch(policy).invoke({"url": url, **arguments}, context)


@contextlib.contextmanager
def refused(match: str, *, seconds: float = 1.5) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(ToolError, match=match) as caught:
        yield
    assert time.monotonic() - began < seconds
    assert "secret" not in str(caught.value)


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """No thread that works, and no descriptor, is there that was not there before."""
    before, threads = descriptors(), set(threading.enumerate())

    def new() -> list[threading.Thread]:
        # Idle threads of trio's cache and of the loopback server are not of the call's making.
        return [
            thread
            for thread in set(threading.enumerate()) - threads
            if thread.name.startswith(("tako-call", "asyncio_"))
        ]

    yield
    wait_until(lambda: not new(), "a thread was left behind", STOPS_WITHIN)
    wait_until(lambda: descriptors() <= before, "a descriptor was left behind")


def test_a_page_and_a_picture(run: Run) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(1000)
    vendor = ScriptedVendor([PAGE, Answer((picture,), 200, (("content-type", "image/png"),))])
    with LoopbackServer(vendor) as door:
        text = run(page(f"{door.url}/?secret", headers={"Accept-Language": "de"}))
        assert text.value == f"Title: Door\n\nhéllo [in]({door.url}/in)"
        (part,) = run(page(door.url)).content
        assert isinstance(part, ImagePart)
    assert {name for name, _ in vendor.requests[0].headers} - {"connection"} == {
        "host", "user-agent", "accept", "accept-encoding", "accept-language",
    }  # fmt: skip


def test_redirects_between_hosts_and_then_inside(run: Run) -> None:
    with vault() as port, LoopbackServer(ScriptedVendor(PAGE)) as second:
        onward = Answer((), 302, (("location", f"{second.url}/found?secret"),))
        with LoopbackServer(ScriptedVendor(onward)) as first:
            assert f"[the URL redirects to {second.url}/found, where" in run(page(first.url)).value
        for host in ("127.0.0.2", "2130706434", "0x7f.2", "[::ffff:127.0.0.2]", "inside.test"):
            inside = Answer((), 307, (("location", f"http://{host}:{port}/?secret"),))
            with LoopbackServer(ScriptedVendor(inside)) as last:
                vendor = ScriptedVendor(Answer((), 302, (("location", last.url),)))
                with LoopbackServer(vendor) as first, refused("which is not public"):
                    run(answering(page(first.url), lambda _: ("127.0.0.2",)))
                assert len(last.vendor.requests) == 1


def test_dns_that_changes_between_check_and_use(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    flipping = Resolver("flip.test", "127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(socket, "getaddrinfo", flipping)
    with LoopbackServer(ScriptedVendor(PAGE)) as door, vault(door.port):
        assert "Door" in run(page(f"http://flip.test:{door.port}/")).value
        assert flipping.asked == 1
        with refused("address of flip.test is 127.0.0.2"):
            run(page(f"http://flip.test:{door.port}/"))


def memory_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@cache
def _forty_mebibytes() -> bytes:
    return gzip.compress(b"word " * (1 << 23))


def test_a_bomb_is_cut(run: Run) -> None:
    """120 MiB in 120 KiB, of which the first MiB is read."""
    bomb = _forty_mebibytes()
    headers = (("content-type", "text/plain"), ("content-encoding", "gzip"))
    outputs: list[ToolOutput] = []
    with LoopbackServer(ScriptedVendor(Answer((bomb * 3,), 200, headers))) as door:
        peak = memory_of(lambda: outputs.append(run(page(door.url))))
        outputs.append(run(page(door.url, start=LIMIT - 5)))
    assert "[characters 0-50000 of 1048576; call again with start=50000]" in str(outputs[0].value)
    assert str(outputs[1].value).endswith("[the page is longer than 1,048,576 bytes and was cut there]")
    assert peak < 10 * LIMIT


def test_a_gigabyte_is_cut_and_the_peer_is_left(run: Run) -> None:
    sent = 0
    piece = b"word " * 13_000

    def serve(connection: socket.socket) -> None:
        nonlocal sent
        read_head(connection)
        connection.sendall(OK.replace(b"html", b"plain") + b"content-length: 1000000000\r\n\r\n")
        while sent < 1_000_000_000:
            connection.sendall(piece)
            sent += len(piece)

    with serving(serve) as port:
        peak = memory_of(lambda: run(page(f"http://127.0.0.1:{port}/")))
    assert sent < 20 * LIMIT  # the sockets' buffers hold some of it
    assert peak < 10 * LIMIT


def test_a_peer_that_drips(run: Run) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK + b"\r\n<p>")
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    hurried = UrlPolicy(allow_http=True, allow_networks=("127.0.0.1",), timeout_secs=0.2)
    with serving(serve) as port:
        url = f"http://127.0.0.1:{port}/x"
        with refused(f"^{url} could not be fetched within 0.2 seconds", seconds=0.7):
            run(page(f"{url}?secret", hurried))


def test_a_peer_that_hangs_up_and_one_that_is_not_there(run: Run) -> None:
    def serve(connection: socket.socket) -> None:
        read_head(connection)
        connection.sendall(OK + b"content-length: 9999\r\n\r\n<p>half")

    with serving(serve) as port, refused(f"^http://127.0.0.1:{port}/ could not be fetched: "):
        run(page(f"http://127.0.0.1:{port}/?secret"))
    with refused(f"^http://127.0.0.1:{port}/ could not be fetched: "):
        run(page(f"http://127.0.0.1:{port}/?secret"))


def test_an_error_of_the_server(run: Run) -> None:
    with LoopbackServer(ScriptedVendor(Answer((b"<h1>No</h1>" + b"x" * 9_000,), 404, HTML))) as door:
        output = run(page(door.url))
    assert output.is_error and output.value.startswith(f"HTTP 404 Not Found from {door.url}/\n\n# No\n\nxxx")
    assert output.value.endswith("\n\n[... 7,006 characters cut ...]")


@contextlib.contextmanager
def waiting_for_the_head() -> Iterator[str]:
    with serving(silence) as port:
        yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def in_the_middle_of_the_body() -> Iterator[str]:
    with LoopbackServer(ScriptedVendor(Answer((b"<p>one", Pause(30.0)), 200, HTML))) as door:
        yield door.url


@contextlib.contextmanager
def after_a_redirect() -> Iterator[str]:
    with serving(silence) as port:
        onward = Answer((), 302, (("location", f"http://127.0.0.1:{port}/"),))
        with LoopbackServer(ScriptedVendor(onward)) as door:
            yield door.url


@contextlib.contextmanager
def while_reading_html() -> Iterator[str]:
    """A page that takes seconds to read."""
    with LoopbackServer(ScriptedVendor(Answer((b"<b>x " * (LIMIT // 5),), 200, HTML))) as door:
        yield door.url


SITUATIONS = [waiting_for_the_head, in_the_middle_of_the_body, after_a_redirect, while_reading_html]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_cancel(run: Run, situation: Any) -> None:
    with situation() as url:
        run(iter_nothing())  # whatever an arm keeps for good is there before we look
        with nothing_left():
            cancelling = Cancelling(seconds=0.15)
            with cancelling as token, pytest.raises(Cancelled):
                run(page(url), cancel=token)
            assert 0 <= cancelling.took < STOPS_WITHIN


def iter_nothing() -> Flow[None]:
    return
    yield  # a flow that asks for nothing


@pytest.mark.parametrize("situation", SITUATIONS)
def test_an_interrupt_of_this_call_alone(run: Run, situation: Any) -> None:
    """The run around it goes on."""
    cancelling = Cancelling(CancellationToken(), seconds=0.15)

    def around(url: str) -> Flow[str]:
        with pytest.raises(Interrupted):
            yield Within(None, page(url), cancelling.token)
        return "went on"

    with situation() as url, nothing_left():
        with cancelling:
            assert run(around(url)) == "went on"
        assert 0 <= cancelling.took < STOPS_WITHIN
