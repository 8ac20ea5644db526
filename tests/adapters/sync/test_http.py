"""HTTP exchanges of the blocking arm, against real sockets."""

from __future__ import annotations

import gc
import gzip
import logging
import threading
import time
import zlib
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter

import tako_io_sync
from tako.effects import Close, Emit, Flow, Gather, HttpRequest, Receive, Send
from tako.errors import InvalidInput, ProtocolError, TakoError, TimedOut, TransportError
from tako.testing.vendor import Answer, Hangup, Pause, Piece, ReceivedRequest, Reset, ScriptedVendor
from tako_io_sync import Runtime
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import (
    fetch,
    fetch_with_head,
    full_backlog,
    in_time,
    nothing_left_behind,
    post,
    relay,
    silent_server,
    three_tries,
    wait_until,
)

PIECES = (b"one", b"two" * 30_000, b"three")
BODY = b"".join(PIECES)
LENGTH = (("content-length", str(len(BODY))),)


def compressed(coding: str) -> Answer:
    data = gzip.compress(BODY) if coding == "gzip" else zlib.compress(BODY)
    return Answer((data[:7], data[7:]), 200, (("content-encoding", coding),))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(PIECES),
        Answer(PIECES, framing="length"),
        Answer(PIECES, framing="close"),
        compressed("gzip"),
        compressed("deflate"),
    ],
    ids=["chunked", "length", "close", "gzip", "deflate"],
)
def test_the_whole_answer(answer: Answer, runtime: Runtime) -> None:
    with LoopbackServer(ScriptedVendor(answer)) as server, nothing_left_behind():
        for _ in range(3):
            assert runtime.run(fetch(post(server.url))) == (200, BODY)
        assert server.connections == (3 if answer.framing == "close" else 1)
        runtime.close()


@pytest.mark.parametrize(
    "answer", [Answer(status=204), Answer.json(b""), Answer()], ids=["204", "length 0", "chunked"]
)
def test_an_answer_without_a_body(answer: Answer, runtime: Runtime) -> None:
    with LoopbackServer(ScriptedVendor(answer)) as server:
        for _ in range(2):
            assert runtime.run(fetch(post(server.url))) == (answer.status, b"")
        assert server.connections == 1


def test_what_is_sent(runtime: Runtime) -> None:
    vendor = ScriptedVendor(Answer.json(b"{}"))
    with LoopbackServer(vendor) as server:
        headers = (("Authorization", "Bearer k"), ("x-many", "1"), ("x-many", "2"), ("user-agent", "mine"))
        runtime.run(fetch(HttpRequest("POST", f"{server.url}/a/b?c=d%20e#part", headers, b"body")))
        runtime.run(fetch(HttpRequest("GET", server.url)))
        runtime.run(fetch(HttpRequest("PUT", server.url, (("content-length", "0"),))))
    first, second, third = vendor.requests
    assert (first.method, first.target, first.body) == ("POST", "/a/b?c=d%20e", b"body")
    assert sorted(first.headers) == [
        ("accept-encoding", "gzip, deflate"),
        ("authorization", "Bearer k"),
        ("content-length", "4"),
        ("host", server.url.removeprefix("http://")),
        ("user-agent", "mine"),
        ("x-many", "1, 2"),
    ]
    assert second.header("content-length") is None
    assert second.header("transfer-encoding") is None
    assert third.header("content-length") == "0"


def test_a_redirect_is_an_answer(runtime: Runtime) -> None:
    vendor = ScriptedVendor(Answer.json(b"moved", 302, location="/elsewhere"))
    with LoopbackServer(vendor) as server:
        head, body = runtime.run(fetch_with_head(post(server.url)))
        assert (head.status, head.header("location"), body) == (302, "/elsewhere", b"moved")
        assert len(vendor.requests) == 1


def test_header_names_are_in_lower_case_and_repeated_ones_are_kept(runtime: Runtime) -> None:
    headers = (("X-One", "1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Umlaut", "\xfc"))
    with LoopbackServer(ScriptedVendor(Answer((), 200, headers, "length"))) as server:
        head, _ = runtime.run(fetch_with_head(post(server.url)))
    expected = (("x-one", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-umlaut", "\xfc"))
    assert head.headers == (*expected, ("content-length", "0"))


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
def test_the_first_piece_is_there_before_the_second_is_sent(framing: Any, runtime: Runtime) -> None:
    seen = threading.Event()

    def hold(index: int) -> None:
        assert index == 0 or seen.wait(5)

    vendor = ScriptedVendor(Answer((b"first", b"second"), framing=framing))
    with (
        LoopbackServer(vendor, before_piece=hold) as server,
        runtime.stream(relay(post(server.url))) as events,
    ):
        assert next(events) == "head"
        assert next(events) == b"first"
        assert server.sent == [b"first"]
        seen.set()
        assert list(events) == [b"second"]
        assert events.result == "whole"


def test_chunks_that_came_together_are_read_together(runtime: Runtime) -> None:
    framed = b"".join(b"3\r\nabc\r\n" for _ in range(100)) + b"0\r\n\r\n"
    answer = Answer((framed,), 200, (("transfer-encoding", "chunked"),))
    with LoopbackServer(ScriptedVendor(answer)) as server:
        events = list(runtime.stream(relay(post(server.url))))
        assert b"".join(events[1:]) == b"abc" * 100
        assert len(events) <= 3
        runtime.run(fetch(post(server.url)))
        assert server.connections == 1


def test_close_at_the_vendors_last_word_keeps_the_connection(runtime: Runtime) -> None:
    """A stream's end is known before b"" is received, if the last chunk has come."""

    def first_piece(request: HttpRequest) -> Flow[bytes]:
        head = yield Send(request)
        data: bytes = yield Receive(head.exchange)
        yield Close(head.exchange)
        return data

    answer = Answer((b"4\r\ndone\r\n0\r\n\r\n",), 200, (("transfer-encoding", "chunked"),))
    with LoopbackServer(ScriptedVendor(answer)) as server:
        assert [runtime.run(first_piece(post(server.url))) for _ in range(3)] == [b"done"] * 3
        assert server.connections == 1


def test_what_is_not_read_to_its_end_costs_the_connection(runtime: Runtime) -> None:
    def head_only(request: HttpRequest, *, close: bool) -> Flow[int]:
        head = yield Send(request)
        if close:
            yield Close(head.exchange)
        return int(head.status)

    with LoopbackServer(ScriptedVendor(Answer((b"x" * 100_000, Pause(60))))) as server, nothing_left_behind():
        for close in (True, False):
            assert runtime.run(head_only(post(server.url), close=close)) == 200
        wait_until(lambda: server.open_connections == 0, "a connection was left open")
        assert server.connections == 2


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfalse", b"\r\n"])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_what_comes_behind_an_answer_is_never_the_next_answer(
    framing: str, extra: bytes, runtime: Runtime
) -> None:
    if framing == "chunked":
        false = Answer((b"4\r\ntrue\r\n0\r\n\r\n" + extra,), 200, (("transfer-encoding", "chunked"),))
    else:
        false = Answer((b"true" + extra,), 200, (("content-length", "4"),))
    with LoopbackServer(ScriptedVendor([false, Answer.json(b"next")])) as server:
        assert runtime.run(fetch(post(server.url))) == (200, b"true")
        assert runtime.run(fetch(post(server.url))) == (200, b"next")
        assert server.connections == 2


def test_a_stale_connection_is_found_before_anything_is_sent(runtime: Runtime) -> None:
    vendor = ScriptedVendor(Answer.json(b"{}"))
    with LoopbackServer(vendor) as server:
        runtime.run(fetch(post(server.url)))
        for connection in list(server._serving.values()):
            connection.shutdown(2)
        wait_until(lambda: server.open_connections == 0, "the server did not close")
        assert runtime.run(fetch(post(server.url))) == (200, b"{}")
        assert server.connections == 2
    assert len(vendor.requests) == 2


CHUNKED = (("transfer-encoding", "chunked"),)


def coded(coding: str, *pieces: Piece) -> Answer:
    return Answer(pieces, headers=(("content-encoding", coding),))


def with_headers(*headers: tuple[str, str]) -> Answer:
    return Answer((b"x",), headers=headers)


FAULTS: list[tuple[str, Answer, type[TakoError], str]] = [
    ("hangs up before the head", Answer(before=(Hangup(),)), TransportError, "head"),
    ("resets before the head", Answer(before=(Reset(),)), TransportError, "head"),
    ("never answers", Answer(before=(Pause(60),)), TimedOut, "head"),
    ("hangs up in a chunk", Answer((b"5\r\nab", Hangup()), headers=CHUNKED), TransportError, "body"),
    ("hangs up between chunks", Answer((b"ab", Hangup())), TransportError, "body"),
    ("resets in the body", Answer((b"ab", Reset())), TransportError, "body"),
    ("is short of its length", Answer((b"ab", Hangup(), b"cd"), framing="length"), TransportError, "body"),
    ("stops in the body", Answer((b"ab", Pause(60))), TimedOut, "body"),
    ("sends no chunk", Answer((b"zz\r\n",), headers=CHUNKED), ProtocolError, "body"),
    ("sends damaged gzip", coded("gzip", b"nonsense" * 9), ProtocolError, "body"),
    ("cuts off gzip", coded("gzip", gzip.compress(b"x" * 99)[:-9]), ProtocolError, "body"),
    ("uses an unknown coding", coded("rot13", b"x"), ProtocolError, "body"),
    ("sends a length that is none", with_headers(("content-length", "ten")), ProtocolError, "body"),
    (
        "sends two lengths",
        with_headers(("content-length", "1"), ("content-length", "2")),
        ProtocolError,
        "head",
    ),
    ("uses an unknown transfer coding", with_headers(("transfer-encoding", "gzip")), ProtocolError, "body"),
]


@pytest.mark.parametrize(
    ("answer", "kind", "phase"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
@pytest.mark.parametrize("session", [None, "given"])
def test_a_peer_that(answer: Answer, kind: type[TakoError], phase: str, session: str | None) -> None:
    given = requests.Session() if session else None
    with LoopbackServer(ScriptedVendor(answer)) as server, nothing_left_behind(), Runtime(given) as runtime:
        with pytest.raises(TakoError) as caught:
            runtime.run(fetch(post(server.url, read_timeout=0.1)))
        assert (type(caught.value), caught.value.phase) == (kind, phase)
        assert "127.0.0.1" in str(caught.value) or kind is ProtocolError or phase == "body"
        assert len(server.vendor.requests) == 1  # nothing is ever sent twice
        if given:
            given.close()
            del caught  # it holds the frames that hold the connection, and urllib3 closes it no sooner
            gc.collect()


@pytest.mark.parametrize(
    "first", [b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"x" * 70_000]
)
def test_a_peer_that_does_not_speak_http(first: bytes, runtime: Runtime) -> None:
    with silent_server(first=first) as port, pytest.raises(ProtocolError) as caught:
        runtime.run(fetch(post(f"http://127.0.0.1:{port}/")))
    assert caught.value.phase == "head"


@pytest.mark.parametrize("cut", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-half"])
def test_a_peer_that_hangs_up_in_the_head(cut: bytes, runtime: Runtime) -> None:
    with silent_server(first=cut, hangs_up=True) as port, pytest.raises(TransportError) as caught:
        runtime.run(fetch(post(f"http://127.0.0.1:{port}/")))
    assert caught.value.phase == "head"


def test_interim_answers_are_no_answers(runtime: Runtime) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    with silent_server(first=interim * 3 + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") as port:
        assert runtime.run(fetch(post(f"http://127.0.0.1:{port}/"))) == (200, b"{}")
    with silent_server(first=interim * 100) as port, pytest.raises(ProtocolError):
        runtime.run(fetch(post(f"http://127.0.0.1:{port}/", read_timeout=1)))


def test_a_session_without_adapters() -> None:
    with requests.Session() as session, Runtime(session) as runtime:
        session.adapters.clear()
        with pytest.raises(InvalidInput, match="InvalidSchema"):
            runtime.run(fetch(post("http://host/")))


def test_nobody_there(runtime: Runtime) -> None:
    with pytest.raises(TransportError, match="refused") as caught:
        runtime.run(fetch(post("http://127.0.0.1:1/")))
    assert caught.value.phase == "connect"
    with pytest.raises(TransportError, match=r"nowhere\.invalid") as caught:
        runtime.run(fetch(post("http://nowhere.invalid/")))
    assert caught.value.phase == "connect"


@three_tries
def test_connecting_takes_too_long(runtime: Runtime) -> None:
    with full_backlog() as port, nothing_left_behind():
        start = time.monotonic()
        with pytest.raises(TimedOut, match="connect_timeout") as caught:
            runtime.run(fetch(post(f"http://127.0.0.1:{port}/", connect_timeout=0.1)))
        assert caught.value.phase == "connect"
        in_time(time.monotonic() - start, 0.5)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ((("x-key", "secret\nx: y"),), "header x-key"),
        ((("x-key", "s\xe9cret"),), "header x-key"),
        ((("x-key", "secret\u20ac"),), "header x-key"),
        ((("bad name", "secret"),), "header name"),
        ((("transfer-encoding", "chunked"),), "transfer-encoding"),
        ((("content-length", "3"),), "content-length"),
    ],
)
def test_a_header_that_cannot_be_sent(headers: Any, words: str, runtime: Runtime) -> None:
    with LoopbackServer(ScriptedVendor(Answer())) as server:
        with pytest.raises(InvalidInput, match=words) as caught:
            runtime.run(fetch(HttpRequest("POST", server.url, headers, b"{}")))
        assert "secret" not in str(caught.value)
        assert server.vendor.requests == []


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/", "http://", "http://host:99999/"])
def test_a_url_that_is_none(url: str, runtime: Runtime) -> None:
    with pytest.raises(InvalidInput):
        runtime.run(fetch(post(url)))


@pytest.mark.parametrize("option", ["connect_timeout", "read_timeout"])
def test_a_timeout_that_is_none(option: str, runtime: Runtime) -> None:
    with pytest.raises(InvalidInput, match=option):
        runtime.run(fetch(post("http://127.0.0.1:1/", **{option: 0})))


def test_an_exchange_that_is_not_open(runtime: Runtime) -> None:
    def flow() -> Flow[bytes]:
        data: bytes = yield Receive(7)
        return data

    with pytest.raises(InvalidInput, match="exchange 7 is not open"):
        runtime.run(flow())


def test_exchange_numbers_are_unique_in_a_run(runtime: Runtime) -> None:
    def number(request: HttpRequest) -> Flow[int]:
        head = yield Send(request)
        return int(head.exchange)

    def flow(url: str) -> Flow[list[int]]:
        first = yield from number(post(url))
        outcomes = yield Gather(tuple(number(post(url)) for _ in range(4)))
        return [first, *sorted(outcome.value for outcome in outcomes)]

    with LoopbackServer(ScriptedVendor(Answer.json(b"{}"))) as server:
        assert runtime.run(flow(server.url)) == [1, 2, 3, 4, 5]
        assert runtime.run(number(post(server.url))) == 1


def test_a_closed_runtime_says_so() -> None:
    runtime = Runtime()
    runtime.close()
    with pytest.raises(InvalidInput, match="closed"):
        runtime.run(fetch(post("http://127.0.0.1:1/")))


@pytest.mark.parametrize("wrong", [{"session": "x"}, {"max_threads": 0}, {"max_threads": True}])
def test_wrong_arguments_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        Runtime(**wrong)


def test_many_threads_log_no_warning(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    with (
        LoopbackServer(ScriptedVendor(Answer((b"x", Pause(0.1))))) as server,
        caplog.at_level(logging.WARNING),
    ):
        threads = [threading.Thread(target=runtime.run, args=(fetch(post(server.url)),)) for _ in range(80)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert caplog.records == []


# What a Session means is kept.


def echo(request: ReceivedRequest) -> Answer:
    return Answer.json(
        f"{request.header('authorization')} {request.header('cookie')} {request.header('x-own')}"
    )


def asked(session: requests.Session, vendor: ScriptedVendor, request: HttpRequest | None = None) -> bytes:
    with LoopbackServer(vendor) as server, Runtime(session) as runtime:
        body = runtime.run(fetch(request or post(f"{server.url}/x")))[1]
        assert runtime.run(fetch(post(server.url)))[0] == 200
        assert server.connections == 1
        return body


def test_a_sessions_auth_headers_and_cookies() -> None:
    with requests.Session() as session:
        session.headers["X-Own"] = "own"
        assert asked(session, ScriptedVendor(echo)) == b"None None own"
        session.auth = ("user", "pass")
        session.cookies["a"] = "b"
        assert asked(session, ScriptedVendor(echo)) == b"Basic dXNlcjpwYXNz a=b own"


def test_a_pinned_request_has_nothing_of_the_session() -> None:
    """The peer was chosen by whoever wrote the address, so it gets no credentials of ours."""

    def answer(request: ReceivedRequest) -> Answer:
        return Answer.json(f"{echo(request).body.decode()} {request.target}", set_cookie="id=7")

    with requests.Session() as session, LoopbackServer(ScriptedVendor(answer)) as server:
        session.headers["X-Own"], session.auth, session.params = "own", ("user", "pass"), {"key": "K"}
        session.cookies["a"] = "b"
        with Runtime(session) as runtime:
            pinned = HttpRequest("GET", f"{server.url}/x", pinned_address="127.0.0.1")
            assert runtime.run(fetch(pinned))[1] == b"None None None /x"
        assert dict(session.cookies) == {"a": "b"}


def test_cookies_that_an_answer_sets_go_into_the_session() -> None:
    def answer(request: ReceivedRequest) -> Answer:
        return Answer.json(request.header("cookie") or "none", set_cookie="id=7")

    with (
        requests.Session() as session,
        LoopbackServer(ScriptedVendor(answer)) as server,
        Runtime(session) as runtime,
    ):
        bodies = [runtime.run(fetch(post(server.url)))[1] for _ in range(2)]
        assert bodies == [b"none", b"id=7"]


def test_our_own_session_keeps_no_cookies(runtime: Runtime) -> None:
    def answer(request: ReceivedRequest) -> Answer:
        return Answer.json(request.header("cookie") or "none", set_cookie="id=7")

    with LoopbackServer(ScriptedVendor(answer)) as server:
        assert [runtime.run(fetch(post(server.url)))[1] for _ in range(2)] == [b"none", b"none"]


def test_a_netrc_file_does_not_replace_the_callers_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with requests.Session() as session:
        for _ in range(2):
            with LoopbackServer(ScriptedVendor(echo)) as server, Runtime(session) as runtime:
                request = HttpRequest("POST", server.url, (("Authorization", "Bearer k"),), b"{}")
                assert runtime.run(fetch(request))[1].startswith(b"Bearer k ")
            session.cookies["a"] = "b"  # the second time it goes the slow way


def test_parameters_and_response_hooks() -> None:
    statuses: list[int] = []
    with requests.Session() as session:
        session.params = {"version": "2"}
        session.hooks["response"].append(lambda response, **_: statuses.append(response.status_code))
        vendor = ScriptedVendor(Answer.json(b"{}"))
        asked(session, vendor)
        assert vendor.requests[0].target == "/x?version=2"
        assert statuses == [200, 200]


def test_a_mounted_adapter_is_used() -> None:
    class Signing(HTTPAdapter):
        def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
            assert request.headers["CONTENT-TYPE"] == "application/json"
            request.headers["authorization"] = "signed"

    with requests.Session() as session:
        session.mount("http://127.0.0.1", Signing())
        assert asked(session, ScriptedVendor(echo)).startswith(b"signed ")


class Foreign(BaseAdapter):
    """Not built on urllib3 at all."""

    def __init__(self, raw: Any, *, gate: threading.Event | None = None) -> None:
        super().__init__()
        self.raw, self.gate, self.closed = raw, gate, threading.Event()

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        if self.gate is not None:
            self.gate.wait(5)
        response = requests.Response()
        response.status_code = 201
        response.headers["X-One"] = "1"
        response.raw = self.raw
        response.close = self.closed.set  # type: ignore[method-assign]
        return response

    def close(self) -> None:
        pass


class Raw:
    """The least that a response can be read from."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    def read(self, size: int = -1) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


class RawWithRead1(Raw):
    def read1(self, size: int, *, decode_content: bool) -> bytes:
        return self.read()


@pytest.mark.parametrize("raw", [Raw, RawWithRead1])
def test_a_foreign_adapter(raw: type[Raw]) -> None:
    with requests.Session() as session, Runtime(session) as runtime:
        session.mount("http://", Foreign(raw(b"one", b"two")))
        head, body = runtime.run(fetch_with_head(post("http://host/")))
        assert (head.status, head.headers, body) == (201, (("x-one", "1"),), b"onetwo")


def test_an_answer_in_a_coding_that_only_urllib3_knows(
    monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    import urllib3.response

    monkeypatch.setattr(urllib3.response.HTTPResponse, "CONTENT_DECODERS", ["gzip", "deflate", "own"])
    monkeypatch.setattr(urllib3.response, "_get_decoder", lambda _: urllib3.response.GzipDecoder())
    answer = Answer((gzip.compress(BODY),), headers=(("content-encoding", "own"),))
    with LoopbackServer(ScriptedVendor(answer)) as server:
        for _ in range(2):
            assert runtime.run(fetch(post(server.url))) == (200, BODY)
        assert server.connections == 1
    truncated: tuple[Piece, ...] = (gzip.compress(BODY)[:50], Hangup(), b"x")
    answer = Answer(truncated, headers=(("content-encoding", "own"),))
    with LoopbackServer(ScriptedVendor(answer)) as server, pytest.raises(TransportError) as caught:
        runtime.run(fetch(post(server.url)))
    assert caught.value.phase == "body"


def test_2000_chunks_and_a_batch_of_events(runtime: Runtime) -> None:
    def flow(request: HttpRequest) -> Flow[int]:
        head = yield Send(request)
        total = 0
        while data := (yield Receive(head.exchange)):
            lines = data.split(b"\n")
            total += len(data)
            yield Emit(tuple(line for line in lines if line))
        return total

    with LoopbackServer(ScriptedVendor(Answer((b"line\n",) * 2000))) as server:
        events = tako_io_sync.stream(flow(post(server.url)), runtime=runtime)
        assert list(events) == [b"line"] * 2000
        assert events.result == 10_000
