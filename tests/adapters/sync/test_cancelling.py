"""One cancel, and one deadline: whatever is in flight stops within 100 ms and leaves nothing behind."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
import requests

from tako.cancellation import CancellationToken
from tako.effects import (
    Call,
    Emit,
    Flow,
    Gather,
    Receive,
    Resolve,
    Send,
    Sleep,
    TlsOptions,
    Within,
)
from tako.errors import Cancelled, TimedOut
from tako.testing.vendor import Answer, Pause, ScriptedVendor
from tako_io_sync import Runtime
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import (
    Cancelling,
    Certificates,
    arms_threads,
    fetch,
    full_backlog,
    in_time,
    nothing_left_behind,
    post,
    relay,
    silent_server,
    three_tries,
    wait_until,
)
from tests.adapters.sync.test_http import Foreign, Raw
from tests.adapters.sync.test_proxies import TunnelProxy

PATIENT = {"connect_timeout": 30.0, "read_timeout": 30.0}


@contextmanager
def connecting(_: Certificates) -> Iterator[Flow[Any]]:
    with full_backlog() as port:
        yield fetch(post(f"http://127.0.0.1:{port}/", **PATIENT))


@contextmanager
def shaking_hands(_: Certificates) -> Iterator[Flow[Any]]:
    with silent_server() as port:
        yield fetch(post(f"https://127.0.0.1:{port}/", **PATIENT))


@contextmanager
def tunnelling(_: Certificates) -> Iterator[Flow[Any]]:
    with pytest.MonkeyPatch.context() as patch, TunnelProxy(b"HTTP/1.1 200 fi").running() as address:
        patch.setenv("HTTPS_PROXY", f"http://{address}")
        yield fetch(post("https://api.example:1/", **PATIENT))


@contextmanager
def sending(_: Certificates) -> Iterator[Flow[Any]]:
    with silent_server() as port:
        request = post(f"http://127.0.0.1:{port}/", **PATIENT)
        yield fetch(type(request)("POST", request.url, (), b"x" * 50_000_000, 30, 30))


@contextmanager
def waiting_for_the_head(_: Certificates) -> Iterator[Flow[Any]]:
    with LoopbackServer(ScriptedVendor(Answer(before=(Pause(30),)))) as server:
        yield fetch(post(server.url, **PATIENT))
        wait_until(lambda: server.open_connections == 0, "the server still has a connection")


@contextmanager
def waiting_for_the_head_on_a_kept_connection(_: Certificates) -> Iterator[Flow[Any]]:
    def twice(url: str) -> Flow[Any]:
        yield from fetch(post(url))
        yield from fetch(post(url, **PATIENT))

    answers = [Answer.json(b"{}"), Answer(before=(Pause(30),))]
    with LoopbackServer(ScriptedVendor(answers)) as server:
        yield twice(server.url)
        assert server.connections <= 1


@contextmanager
def watching_a_head_trickle(_: Certificates) -> Iterator[Flow[Any]]:
    with silent_server(first=b"HTTP/1.1 200 OK\r\n", trickle=b"x: y\r\n") as port:
        yield fetch(post(f"http://127.0.0.1:{port}/", **PATIENT))


@contextmanager
def reading_chunks(_: Certificates) -> Iterator[Flow[Any]]:
    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server:
        yield fetch(post(server.url, **PATIENT))


@contextmanager
def reading_until_close(_: Certificates) -> Iterator[Flow[Any]]:
    def whole(url: str) -> Flow[None]:
        head = yield Send(post(url, **PATIENT))
        while (yield Receive(head.exchange)):
            pass  # what looks like the end is all that this flow waits for

    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30)), framing="close"))) as server:
        yield whole(server.url)


@contextmanager
def watching_a_chunk_trickle(_: Certificates) -> Iterator[Flow[Any]]:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;"
    with silent_server(first=head, trickle=b"e") as port:
        yield fetch(post(f"http://127.0.0.1:{port}/", **PATIENT))


@contextmanager
def reading_over_tls(certificates: Certificates) -> Iterator[Flow[Any]]:
    tls = TlsOptions(extra_roots=certificates.roots)
    with LoopbackServer(
        ScriptedVendor(Answer((b"one", Pause(30)))), tls=certificates.server_context("127.0.0.1")
    ) as server:
        yield fetch(post(server.url, tls=tls, **PATIENT))


@contextmanager
def sleeping(_: Certificates) -> Iterator[Flow[Any]]:
    def flow() -> Flow[None]:
        yield Sleep(30)

    yield flow()


@contextmanager
def calling(_: Certificates) -> Iterator[Flow[Any]]:
    def flow() -> Flow[None]:
        def tool(token: CancellationToken) -> None:
            stop = threading.Event()
            token.on_cancel(stop.set)
            assert stop.wait(30)
            token.raise_if_cancelled()

        yield Call(tool, token_argument="token")

    yield flow()


@contextmanager
def awaiting(_: Certificates) -> Iterator[Flow[Any]]:
    async def tool() -> None:
        import asyncio

        await asyncio.sleep(30)

    def flow() -> Flow[None]:
        yield Call(tool)

    yield flow()


@contextmanager
def gathering(_: Certificates) -> Iterator[Flow[Any]]:
    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server, sleeping(_) as asleep:
        flows = (fetch(post(server.url, **PATIENT)), asleep, fetch(post(server.url, **PATIENT)))

        def flow() -> Flow[None]:
            yield Gather(flows, limit=2)

        yield flow()


SITUATIONS: list[Callable[[Certificates], AbstractContextManager[Flow[Any]]]] = [
    connecting,
    shaking_hands,
    tunnelling,
    sending,
    waiting_for_the_head,
    waiting_for_the_head_on_a_kept_connection,
    watching_a_head_trickle,
    reading_chunks,
    reading_until_close,
    watching_a_chunk_trickle,
    reading_over_tls,
    sleeping,
    calling,
    awaiting,
    gathering,
]
every_situation = pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)


@every_situation
@pytest.mark.parametrize("given", [False, True], ids=["own session", "given session"])
@three_tries
def test_a_cancel_while(situation: Any, given: bool, certificates: Certificates) -> None:
    token = CancellationToken()
    session = requests.Session() if given else None
    with situation(certificates) as flow, nothing_left_behind():
        with (
            Runtime(session) as runtime,
            Cancelling(token, 0.06) as cancelling,
            pytest.raises(Cancelled) as caught,
        ):
            runtime.run(flow, cancel=token)
        in_time(cancelling.took)
        assert not caught.value.abandoned
        if session is not None:
            session.close()
        del caught, runtime, flow, session
        gc.collect()


@every_situation
@three_tries
def test_a_deadline_while(situation: Any, certificates: Certificates) -> None:
    def limited(flow: Flow[Any]) -> Flow[str]:
        try:
            yield Within(0.06, flow)
        except TimedOut:
            yield Sleep(0)  # the flow goes on: only what was limited has ended
            return "late"
        return "in time"

    with situation(certificates) as flow, nothing_left_behind(), Runtime() as runtime:
        start = time.monotonic()
        assert runtime.run(limited(flow)) == "late"
        in_time(time.monotonic() - start, 0.06 + 0.1)
        del flow


@every_situation
@three_tries
def test_a_token_that_is_cancelled_already(
    situation: Any, certificates: Certificates, runtime: Runtime
) -> None:
    token = CancellationToken()
    token.cancel()
    with situation(certificates) as flow, nothing_left_behind():
        start = time.monotonic()
        with pytest.raises(Cancelled):
            runtime.run(flow, cancel=token)
        in_time(time.monotonic() - start, 0.1)


def test_a_cancel_between_two_pulls_shuts_the_socket_at_once(runtime: Runtime) -> None:
    """The consumer does not read: nobody but the token's callback can stop the exchange."""
    token = CancellationToken()
    with (
        LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server,
        nothing_left_behind(),
        runtime.stream(relay(post(server.url)), cancel=token) as events,
    ):
        assert next(events) == "head"
        assert next(events) == b"one"
        token.cancel()
        wait_until(lambda: server.open_connections == 0, "the socket is still open", 0.2)
        with pytest.raises(Cancelled):
            next(events)


def test_a_cancel_does_not_touch_a_connection_that_was_given_back(runtime: Runtime) -> None:
    token = CancellationToken()

    def flow(url: str) -> Flow[None]:
        head = yield Send(post(url))
        while (yield Receive(head.exchange)):
            pass
        yield Emit(("between",))  # the exchange is at its end, and not closed

    with LoopbackServer(ScriptedVendor(Answer.json(b"{}"))) as server:
        with runtime.stream(flow(server.url), cancel=token) as events:
            next(events)
            token.cancel()
        runtime.run(fetch(post(server.url)))
        assert server.connections == 1


def test_what_a_cancelled_flow_still_says_is_handed_out(runtime: Runtime) -> None:
    token = CancellationToken()

    def flow() -> Flow[str]:
        try:
            yield Sleep(30)
        except Cancelled:
            yield Emit(("last", "words"))
        return "what there was"

    with Cancelling(token, 0.03):
        events = runtime.stream(flow(), cancel=token)
        assert list(events) == ["last", "words"]
        assert events.result == "what there was"


@three_tries
def test_a_function_that_does_not_stop_is_left_behind(runtime: Runtime) -> None:
    release, token = threading.Event(), CancellationToken()

    def flow() -> Flow[None]:
        yield Call(lambda: release.wait(5))

    with nothing_left_behind():
        with Cancelling(token, 0.03) as cancelling, pytest.raises(Cancelled) as caught:
            runtime.run(flow(), cancel=token)
        in_time(cancelling.took)
        assert caught.value.abandoned
        assert any(thread.name == "tako-call" for thread in threading.enumerate())
        release.set()


@three_tries
def test_a_coroutine_that_does_not_stop_is_left_behind(runtime: Runtime) -> None:
    release, token = threading.Event(), CancellationToken()

    async def tool() -> None:
        release.wait(5)

    def flow() -> Flow[None]:
        yield Call(tool)

    with nothing_left_behind():
        with Cancelling(token, 0.03) as cancelling, pytest.raises(Cancelled) as caught:
            runtime.run(flow(), cancel=token)
        in_time(cancelling.took, 0.3)
        assert caught.value.abandoned
        release.set()


@three_tries
def test_a_deadline_leaves_a_function_behind(runtime: Runtime) -> None:
    release = threading.Event()

    def slow() -> Flow[None]:
        yield Call(lambda: release.wait(5))

    def flow() -> Flow[str]:
        try:
            yield Within(0.03, slow())
        except TimedOut as error:
            assert isinstance(error.__cause__, Cancelled)
            assert error.__cause__.abandoned
            return "late"
        return "in time"

    with nothing_left_behind():
        start = time.monotonic()
        assert runtime.run(flow()) == "late"
        in_time(time.monotonic() - start, 0.03 + 0.1)
        release.set()


def test_a_function_that_finishes_in_its_grace_is_heard(runtime: Runtime) -> None:
    token, heard = CancellationToken(), []

    def tool(stop: CancellationToken) -> str:
        ended = threading.Event()
        stop.on_cancel(ended.set)
        ended.wait(5)
        return "half"

    def flow() -> Flow[None]:
        heard.append((yield Call(tool, token_argument="stop")))
        yield Sleep(30)

    with Cancelling(token, 0.03), pytest.raises(Cancelled) as caught:
        runtime.run(flow(), cancel=token)
    assert heard == ["half"]
    assert not caught.value.abandoned


def test_an_outer_deadline_leaves_the_exchange_of_the_outer_flow_alone(runtime: Runtime) -> None:
    def flow(url: str) -> Flow[bytes]:
        head = yield Send(post(url))
        try:
            yield Within(0.05, asleep())
        except TimedOut:
            pass
        yield Within(0.02, first(head.exchange))
        yield Sleep(0.05)  # the deadline passes while nothing is under it any more
        data: bytes = yield Receive(head.exchange)
        return data

    def asleep() -> Flow[None]:
        yield Sleep(30)

    def first(exchange: int) -> Flow[bytes]:
        data: bytes = yield Receive(exchange)
        return data

    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(0.3), b"two")))) as server:
        assert runtime.run(flow(server.url)) == b"two"


def test_the_watchdog_lives_only_while_a_deadline_is_pending(runtime: Runtime) -> None:
    before = arms_threads()

    def flow(url: str) -> Flow[bytes]:
        body: bytes
        _, body = yield Within(60, fetch(post(url)))
        return body

    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(0.05))))) as server:
        events: list[set[str]] = []
        watcher = threading.Timer(
            0.03, lambda: events.append({thread.name for thread in threading.enumerate()})
        )
        watcher.start()
        assert runtime.run(flow(server.url)) == b"one"
        assert arms_threads() - before <= {watcher}
        watcher.join()
        assert "tako-watchdog" in events[0]


@three_tries
def test_names_are_left_behind(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(*arguments: Any) -> list[Any]:
        release.wait(5)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    def resolving() -> Flow[Any]:
        yield Resolve("slow.example")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with nothing_left_behind():
        for flow in (resolving(), fetch(post("http://slow.example/"))):
            token = CancellationToken()
            with Cancelling(token, 0.03) as cancelling, pytest.raises(Cancelled):
                runtime.run(flow, cancel=token)
            in_time(cancelling.took)
        release.set()


@three_tries
def test_a_foreign_adapter_is_left_behind() -> None:
    gate, token = threading.Event(), CancellationToken()
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        foreign = Foreign(Raw(b"one"), gate=gate)
        session.mount("http://", foreign)
        runtime = stack.enter_context(Runtime(session))
        with nothing_left_behind():
            with Cancelling(token, 0.03) as cancelling, pytest.raises(Cancelled):
                runtime.run(fetch(post("http://host/")), cancel=token)
            in_time(cancelling.took)
            gate.set()
            assert foreign.closed.wait(2)  # its answer, which nobody waits for any more


@three_tries
def test_a_cancel_from_a_signal_handler(runtime: Runtime) -> None:
    import signal

    token = CancellationToken()
    former = signal.signal(signal.SIGALRM, lambda *_: token.cancel())
    try:
        with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server, nothing_left_behind():
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            start = time.monotonic()
            with pytest.raises(Cancelled):
                runtime.run(fetch(post(server.url)), cancel=token)
            in_time(time.monotonic() - start, 0.05 + 0.1)
    finally:
        signal.signal(signal.SIGALRM, former)


@pytest.mark.parametrize("guarded", [False, True])
@every_situation
@three_tries
def test_control_c_while(situation: Any, guarded: bool, certificates: Certificates) -> None:
    """KeyboardInterrupt goes to the caller, after the flow has ended and everything was released."""
    import signal

    ended: list[str] = []

    def watched(flow: Flow[Any]) -> Flow[Any]:
        try:
            return (yield from flow)
        finally:
            ended.append("finally")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if situation is calling and not guarded:
        pytest.skip("nobody but the function itself could stop it")
    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        with situation(certificates) as flow, nothing_left_behind(), Runtime() as runtime:
            signal.setitimer(signal.ITIMER_REAL, 0.06)
            start = time.monotonic()
            with pytest.raises(KeyboardInterrupt):
                runtime.run(watched(flow), cancel=CancellationToken() if guarded else None)
            in_time(time.monotonic() - start, 0.06 + 0.2)
            assert ended == ["finally"]
            del flow
    finally:
        signal.signal(signal.SIGALRM, former)
