"""Http1Connection against h11: as the server that writes, and as the client that reads beside it."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput, ProtocolError, TransportError
from tako.wire import NEED_DATA
from tako.wire.chunked import MAX_LINE
from tako.wire.http1 import END_OF_BODY, BodyData, Http1Connection, ResponseHead
from tako.wire.inflate import PIECE
from tests.effort import examples

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass
class Reading:
    """What came out of a connection."""

    head: ResponseHead | None = None
    body: bytes = b""
    end: str = "need data"


def ask(method: str = "GET", **options: Any) -> Http1Connection:
    connection = Http1Connection(**options)
    connection.send_request(method, "/", (), b"", authority="a.example")
    return connection


def read(connection: Http1Connection, pieces: Iterable[bytes]) -> Reading:
    """Feed the pieces, b"" as the end of the input, and collect the events up to the first failure."""
    reading = Reading()
    for piece in pieces:
        connection.receive_data(piece)
        try:
            while (event := connection.next_event()) is not NEED_DATA:
                match event:
                    case ResponseHead():
                        assert reading.head is None
                        reading.head = event
                    case BodyData(data):
                        assert data
                        reading.body += data
                    case _:
                        reading.end = "whole"
                        break
        except (ProtocolError, TransportError) as error:
            reading.end = f"{type(error).__name__} {error.phase}"
            with pytest.raises(type(error)) as again:  # faults are sticky
                connection.next_event()
            assert again.value.message == error.message
            break
    return reading


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data cut at these places, without empty pieces (they would be the end of the input)."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if b > a]


places = st.lists(st.integers(0, 2000), max_size=8)
names = st.sampled_from(["X-One", "x-two", "Request-Id", "Set-Cookie"])
values = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=8)


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "method": draw(st.sampled_from(["GET", "HEAD", "POST"])),
        "interim": draw(st.lists(st.sampled_from([100, 102, 103]), max_size=3)),
        "status": draw(st.sampled_from([200, 201, 204, 304, 400, 429, 500])),
        "headers": draw(st.lists(st.tuples(names, values), max_size=4)),
        "framing": draw(st.sampled_from(["chunked", "length", "close"])),
        "connection": draw(st.sampled_from([None, None, "close", "Keep-Alive, Close"])),
        "pieces": draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6)),
    }


def serve(answer: dict[str, Any]) -> tuple[bytes, bytes]:
    """The head and the body that an h11 server answers with."""
    request = Http1Connection().send_request(
        answer["method"], "/", (("X-Key", "k"),), b"{}", authority="a.example"
    )
    server = h11.Connection(h11.SERVER)
    server.receive_data(request)
    while type(server.next_event()) is not h11.EndOfMessage:
        pass
    headers = list(answer["headers"])
    if answer["framing"] == "length":
        headers.append(("Content-Length", str(sum(map(len, answer["pieces"])))))
    elif answer["framing"] == "close":
        server.their_http_version = b"1.0"  # h11 chunks for everybody newer
    if answer["connection"]:
        headers.append(("Connection", answer["connection"]))
    head = body = b""
    for status in answer["interim"]:
        head += server.send(h11.InformationalResponse(status_code=status, headers=[("X-Hint", "1")])) or b""
    head += server.send(h11.Response(status_code=answer["status"], headers=headers)) or b""
    if not is_bodiless(answer):
        for piece in answer["pieces"]:
            body += server.send(h11.Data(data=piece)) or b""
        body += server.send(h11.EndOfMessage()) or b""
    return head, body


def is_bodiless(answer: dict[str, Any]) -> bool:
    return answer["method"] == "HEAD" or answer["status"] in (204, 304)


def is_ended_by_hanging_up(answer: dict[str, Any]) -> bool:
    return answer["framing"] == "close" and not is_bodiless(answer)


# ------------------------------------------------------------------ properties


@given(answers(), places)
@settings(max_examples=examples(3))
def test_every_answer_is_read_as_it_was_written_however_it_is_cut(
    answer: dict[str, Any], where: list[int]
) -> None:
    head, body = serve(answer)
    connection = ask(answer["method"])
    pieces = cut(head + body, where)
    reading = read(connection, [*pieces, b""] if is_ended_by_hanging_up(answer) else pieces)
    assert reading.end == "whole"
    assert reading.head is not None
    assert reading.head.status == answer["status"]
    sent = [(name.lower(), value) for name, value in answer["headers"]]
    assert list(reading.head.headers)[: len(sent)] == sent
    assert reading.body == (b"" if is_bodiless(answer) else b"".join(answer["pieces"]))
    says_close = re.search(rb"\r\nconnection:[^\r]*close", head.lower())
    assert connection.reusable == (says_close is None)


@given(answers())
def test_a_truncated_answer_never_looks_whole(answer: dict[str, Any]) -> None:
    head, body = serve(answer)
    for size in range(len(head) + len(body)):
        reading = read(ask(answer["method"]), [*cut((head + body)[:size], []), b""])
        if size < len(head):
            assert reading.end == "TransportError head"
        elif is_ended_by_hanging_up(answer):
            assert reading.end == "whole"
        else:
            assert reading.end == "TransportError body"
        assert b"".join(answer["pieces"]).startswith(reading.body)


chunked_scraps = st.lists(
    st.sampled_from(
        [b"5\r\nhello\r\n", b"0\r\n", b"\r\n", b"A;x=y\r\n0123456789", b"5 \r\n", b"hello", b"a: b\r\n"]
        + [b"1", b"g", b"\r", b"\n", b"-", b"0x1\r\n", b": \r\n", b"\x00"]
    ),
    max_size=12,
).map(b"".join)


@given(chunked_scraps, places)
@example(b"5\r\nhello\r\n0\r\n\r\nrest", [])
@example(b"5\r\nhelloX", [])
@example(b"0x1\r\na\r\n0\r\n\r\n", [])
@example(b"+1\r\na\r\n0\r\n\r\n", [])
@example(b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n", [])
@example(b" 1\r\na\r\n0\r\n\r\n", [])
@example(b"\r\na\r\n0\r\n\r\n", [])
def test_chunks_are_read_as_h11_reads_them(scraps: bytes, where: list[int]) -> None:
    ours = read(ask(), cut(CHUNKED + scraps, where))
    theirs = read_with_h11(CHUNKED + scraps)
    if theirs.end == "need data":  # h11 waits for the end of a line before it looks at it
        assert ours.end in ("need data", "ProtocolError body")
    else:
        assert ours.end == theirs.end
    assert ours.body == theirs.body


def read_with_h11(data: bytes) -> Reading:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a.example")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    reading = Reading()
    try:
        while (event := client.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Data):
                reading.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                reading.end = "whole"
    except h11.RemoteProtocolError:
        reading.end = "ProtocolError body"
    return reading


@given(
    answers(), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), min_size=1, max_size=3), places
)
@settings(max_examples=examples(3))
def test_damaged_bytes_give_the_same_outcome_however_they_are_cut(
    answer: dict[str, Any], damage: list[tuple[int, int]], where: list[int]
) -> None:
    damaged = bytearray(b"".join(serve(answer)))
    for place, value in damage:
        damaged[place % len(damaged)] = value
    once = read(ask(answer["method"]), [bytes(damaged), b""])
    assert once.end in (
        "whole",
        "ProtocolError head",
        "ProtocolError body",
        "TransportError head",
        "TransportError body",
    )
    assert read(ask(answer["method"]), [*cut(bytes(damaged), where), b""]) == once


# ------------------------------------------------------------- content codings


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def two_members(data: bytes) -> bytes:
    return gzipped(data[:7]) + gzipped(data[7:])


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzipped,
    "X-GZIP": gzipped,
    "gzip, identity": two_members,
    "deflate": zlib.compress,
    " deflate ": raw_deflate,
    "deflate, gzip": lambda data: gzipped(zlib.compress(data)),
    "gzip, gzip, deflate": lambda data: raw_deflate(gzipped(gzipped(data))),
}


def coded(coding: str, body: bytes) -> bytes:
    return OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding.encode(), len(body)) + body


@given(st.sampled_from(sorted(ENCODERS)), st.binary(max_size=300), places)
@settings(max_examples=examples(3))
def test_codings_are_undone_however_the_bytes_are_cut(coding: str, data: bytes, where: list[int]) -> None:
    reading = read(ask(), cut(coded(coding, ENCODERS[coding](data)), where))
    assert (reading.end, reading.body) == ("whole", data)


@pytest.mark.parametrize("coding", sorted(ENCODERS))
def test_a_coding_that_is_cut_off_never_looks_whole(coding: str) -> None:
    data = bytes(range(60))
    body = ENCODERS[coding](data)
    # A member that ends where the body ends is a whole gzip body.
    ends = {len(gzipped(data[:7]))} if coding == "gzip, identity" else set()
    for size in set(range(1, len(body))) - ends:
        reading = read(ask(), [coded(coding, body[:size])])
        assert reading.end == "ProtocolError body", size
        assert data.startswith(reading.body)


@given(st.sampled_from(sorted(ENCODERS)), st.integers(0, 2000), st.integers(1, 255), places)
@settings(max_examples=examples(4))
def test_a_damaged_coding_gives_the_same_outcome_however_it_is_cut(
    coding: str, place: int, change: int, where: list[int]
) -> None:
    body = bytearray(ENCODERS[coding](b"the quick brown fox jumps over the lazy dog, " * 5))
    body[place % len(body)] ^= change
    once = read(ask(), [coded(coding, bytes(body))])
    assert read(ask(), cut(coded(coding, bytes(body)), where)) == once
    assert once.end in ("whole", "ProtocolError body")


@pytest.mark.parametrize("coding", ["gzip", "deflate", " deflate "])
def test_bytes_behind_the_end_of_a_coding_are_refused(coding: str) -> None:
    for surplus in (b"\0", b"surplus"):
        reading = read(ask(), [coded(coding, ENCODERS[coding](b"hello") + surplus)])
        assert (reading.body, reading.end) == (b"hello", "ProtocolError body")


def test_a_bomb_comes_in_pieces_and_only_when_asked_for() -> None:
    size = 64 * 1024 * 1024
    for coding in ("gzip", "deflate, gzip"):
        bomb = ENCODERS[coding](bytes(size))
        connection = ask()
        connection.receive_data(coded(coding, bomb))
        assert isinstance(connection.next_event(), ResponseHead)
        total = 0
        while isinstance(event := connection.next_event(), BodyData):
            assert len(event.data) <= PIECE
            total += len(event.data)
        assert (event, total) == (END_OF_BODY, size)


def test_what_a_cut_off_bomb_stands_for_is_the_same_however_it_is_cut() -> None:
    bomb = raw_deflate(bytes(2 * PIECE))
    for size in range(len(bomb) // 2 - 10, len(bomb) // 2 + 20):
        wire = OK + b"Content-Encoding: deflate\r\n\r\n" + bomb[:size]
        once = read(ask(), [wire, b""])
        assert once.end == "ProtocolError body"
        assert read(ask(), [*(wire[at : at + 1] for at in range(len(wire))), b""]) == once


@pytest.mark.parametrize("coding", [b"br", b"gzip, zstd", b"gzip, gzip, gzip, gzip"])
def test_an_unknown_coding_is_refused_after_the_head(coding: bytes) -> None:
    connection = ask()
    reading = read(connection, [b"HTTP/1.1 503 Busy\r\nContent-Encoding: " + coding + b"\r\n\r\nxx"])
    assert reading.head is not None and reading.head.status == 503
    assert reading.end == "ProtocolError body"


def test_an_empty_body_is_empty_in_every_coding() -> None:
    for head in (
        b"Content-Length: 0\r\nContent-Encoding: br",
        b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip",
    ):
        assert read(ask(), [OK + head + b"\r\n\r\n0\r\n\r\n"]).end == "whole"


# ---------------------------------------------------------------------- limits


def test_the_head_is_limited_however_it_is_cut() -> None:
    head = OK + b"A: " + b"x" * 100 + b"\r\nContent-Length: 0\r\n\r\n"
    hint = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    for limit, end in ((len(hint + head), "whole"), (len(hint + head) - 1, "ProtocolError head")):
        for step in (1, 7, 1000):
            wire = hint + head
            pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
            assert read(ask(max_head_size=limit), pieces).end == end


def test_interim_answers_without_end_are_limited() -> None:
    hint = b"HTTP/1.1 102 Processing\r\n\r\n"
    assert read(ask(max_head_size=1000), [hint] * 100).end == "ProtocolError head"


@pytest.mark.parametrize("step", [1, 100_000])
def test_lines_between_chunks_are_limited(step: int) -> None:
    def reading_of(wire: bytes) -> Reading:
        return read(ask(max_head_size=10_000), [wire[at : at + step] for at in range(0, len(wire), step)])

    line = b"1;" + b"x" * (MAX_LINE - 4) + b"\r\n"
    end = b"a\r\n0\r\n\r\n"
    assert reading_of(CHUNKED + line + end).end == "whole"
    assert reading_of(CHUNKED + b"1;x" + line[2:] + end).end == "ProtocolError body"
    trailer = b"a: " + b"x" * (MAX_LINE - 5) + b"\r\n"
    assert reading_of(CHUNKED + b"0\r\n" + trailer * 2 + b"\r\n").end == "whole"
    assert reading_of(CHUNKED + b"0\r\n" + b"a" + trailer + b"\r\n").end == "ProtocolError body"
    assert reading_of(CHUNKED + b"0\r\n" + trailer * 3 + b"\r\n").end == "ProtocolError body"
    assert reading_of(CHUNKED + b"f" * 17 + b"\r\n").end == "ProtocolError body"


# ---------------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("wire", "end"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "ProtocolError head"),
        (b"HTTP/2 200\r\n\r\n", "ProtocolError head"),
        (b"<html>", "need data"),
        (b"<html>\r\n\r\n", "ProtocolError head"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "ProtocolError head"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "ProtocolError head"),
        (OK + b"Content-Length: -1\r\n\r\n", "ProtocolError head"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "ProtocolError head"),
        (b"", "need data"),
    ],
)
def test_what_is_not_an_answer_is_refused(wire: bytes, end: str) -> None:
    assert read(ask(), cut(wire, [])).end == end


@pytest.mark.parametrize(
    ("method", "wire", "reusable"),
    [
        ("GET", OK + b"Content-Length: 2\r\n\r\nok", True),
        ("GET", OK + b"Content-Length: 2\r\n\r\nok!", False),
        ("GET", CHUNKED + b"0\r\n\r\n", True),
        ("GET", CHUNKED + b"0\r\n\r\nHTTP/1.1 200 OK\r\n", False),
        ("GET", OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        ("GET", OK + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\nok", False),
        ("HEAD", OK + b"Content-Length: 2\r\n\r\n", True),
        ("HEAD", OK + b"Content-Length: 2\r\n\r\nok", False),
        ("GET", b"HTTP/1.1 304 Same\r\nContent-Length: 2\r\n\r\n", True),
    ],
)
def test_when_a_connection_may_carry_another_request(method: str, wire: bytes, reusable: bool) -> None:
    connection = ask(method)
    assert not connection.reusable
    assert read(connection, [wire]).end == "whole"
    assert connection.reusable is reusable
    if reusable:
        connection.start_next_cycle()
        connection.send_request("GET", "/2", (), b"", authority="a.example")
        assert read(connection, [OK + b"Content-Length: 1\r\n\r\n2"]).body == b"2"
        connection.receive_data(b"")
        assert not connection.reusable
    else:
        with pytest.raises(InvalidInput):
            connection.start_next_cycle()


def test_bytes_after_the_end_spoil_the_connection() -> None:
    connection = ask()
    read(connection, [OK + b"Content-Length: 0\r\n\r\n"])
    connection.receive_data(b"HTTP/1.1 408 Timeout\r\n\r\n")
    assert connection.next_event() is END_OF_BODY
    assert not connection.reusable


def test_an_answer_before_the_request_is_not_taken_for_its_answer() -> None:
    connection = Http1Connection()
    assert connection.next_event() is NEED_DATA
    connection.receive_data(OK + b"Content-Length: 0\r\n\r\n")
    connection.send_request("GET", "/", (), b"", authority="a.example")
    with pytest.raises(ProtocolError, match="before it was asked"):
        connection.next_event()


def test_close_in_our_request_ends_the_connection() -> None:
    connection = Http1Connection()
    connection.send_request("GET", "/", (("Connection", "close"),), b"", authority="a.example")
    assert read(connection, [OK + b"Content-Length: 0\r\n\r\n"]).end == "whole"
    assert not connection.reusable


@pytest.mark.parametrize(("wire", "quiet"), [(OK + b"\r\n", True), (OK + b"\r\n\x16", False)])
def test_a_tunnel_starts_behind_the_head(wire: bytes, quiet: bool) -> None:
    connection = ask("CONNECT")
    connection.receive_data(wire)
    assert isinstance(connection.next_event(), ResponseHead)
    assert connection.next_event() is END_OF_BODY
    assert connection.quiet is quiet


def test_all_chunks_that_have_arrived_are_one_event() -> None:
    connection = ask()
    connection.receive_data(CHUNKED + b"1\r\na\r\n1\r\nb\r\n2\r\nc")
    connection.receive_data(b"d\r\n1")
    assert isinstance(connection.next_event(), ResponseHead)
    assert connection.next_event() == BodyData(b"abcd")
    assert connection.next_event() is NEED_DATA


def test_what_is_sound_comes_before_the_fault() -> None:
    reading = read(ask(), [CHUNKED + b"5\r\nhello\r\nXX\r\n"])
    assert (reading.body, reading.end) == (b"hello", "ProtocolError body")


# --------------------------------------------------------------------- request


def test_what_is_missing_in_a_request_is_added() -> None:
    assert Http1Connection().send_request(
        "POST", "/v1?a=b", (("X-Key", " k\t"),), b"{}", authority="h:81"
    ) == (
        b"POST /v1?a=b HTTP/1.1\r\nHost: h:81\r\nX-Key: k\r\nAccept-Encoding: gzip, deflate\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    given = (("host", "x"), ("accept-encoding", "identity"), ("content-length", "0"))
    assert Http1Connection().send_request("PUT", "*", given, b"", authority="h") == (
        b"PUT * HTTP/1.1\r\nhost: x\r\naccept-encoding: identity\r\ncontent-length: 0\r\n\r\n"
    )
    assert b"Content-Length" not in Http1Connection().send_request("GET", "/", (), b"", authority="h")


@pytest.mark.parametrize(
    ("method", "target", "header", "named"),
    [
        ("GET", "/", ("Authorization", "Bearer secret\n"), "Authorization"),
        ("GET", "/", ("Authorization", "secret\r\nX-Evil: 1"), "Authorization"),
        ("GET", "/", ("Authorization", "secret\x00"), "Authorization"),
        ("GET", "/", ("Authorization", "secret\u2026"), "Authorization"),
        ("GET", "/", ("Bad Name", "secret"), "Bad Name"),
        ("GET", "/", ("", "secret"), "header name"),
        ("GET", "/", ("Transfer-Encoding", "chunked"), "transfer-encoding"),
        ("GET", "/", ("Content-Length", "7"), "content-length"),
        ("GE T", "/", ("A", "secret"), "method"),
        ("GET", "/secret path", ("A", "b"), "target"),
        ("GET", "/secret\r\n", ("A", "b"), "target"),
        ("GET", "", ("A", "b"), "target"),
    ],
)
def test_a_bad_request_is_named_and_its_values_are_not(
    method: str, target: str, header: tuple[str, str], named: str
) -> None:
    connection = Http1Connection()
    with pytest.raises(InvalidInput, match=named) as caught:
        connection.send_request(method, target, (header,), b"", authority="h")
    assert "secret" not in str(caught.value)
    connection.send_request("GET", "/", (), b"", authority="h")  # nothing has happened
    with pytest.raises(InvalidInput, match="not complete"):
        connection.send_request("GET", "/", (), b"", authority="h")


def test_a_header_that_must_be_alone_is_not_taken_twice() -> None:
    with pytest.raises(InvalidInput, match="host"):
        Http1Connection().send_request("GET", "/", (("Host", "a"), ("host", "b")), b"", authority="h")


def test_the_same_head_again_is_the_same_bytes_and_another_is_checked_anew() -> None:
    connection = Http1Connection()
    heads = []
    for headers, body in (
        ((("X-Key", "one"),), b"12"),
        ((("X-Key", "one"),), b"34"),
        ((("X-Key", "two"),), b"34"),
        ((("X-Key", "two"),), b"345"),
    ):
        sent = connection.send_request("POST", "/p", headers, body, authority="h")
        heads.append(sent.removesuffix(body))
        connection.receive_data(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        while connection.next_event() is not END_OF_BODY:
            pass
        connection.start_next_cycle()
    assert heads[0] == heads[1]
    assert len(set(heads)) == 3
    with pytest.raises(InvalidInput, match="X-Key"):
        connection.send_request("POST", "/p", (("X-Key", "t\nwo"),), b"345", authority="h")
    assert connection.send_request("POST", "/p", (("X-Key", "two"),), b"345", authority="h")


ANSWERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 3\r\n\r\nxyz",
    b"HTTP/1.1 200 OK\r\ncontent-type: a/b\r\ncontent-length: 0\r\n\r\n",
    b"HTTP/1.1 204 No\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    b"HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nz",
)


@given(st.lists(st.tuples(st.sampled_from(ANSWERS), st.sets(st.integers(1, 60), max_size=3)), min_size=2))
def test_an_answer_is_read_alike_whatever_was_read_on_the_connection_before(
    answers: list[tuple[bytes, set[int]]],
) -> None:
    kept = Http1Connection()
    for answer, cuts in answers:
        places = [0, *sorted(cut for cut in cuts if cut < len(answer)), len(answer)]
        pieces = [answer[start:end] for start, end in pairwise(places)]
        told = []
        for connection in (kept, Http1Connection()):
            connection.send_request("POST", "/p", (), b"12", authority="h")
            for piece in pieces:
                connection.receive_data(piece)
            head, body = connection.next_event(), b""
            while isinstance(event := connection.next_event(), BodyData):
                body += event.data
            assert event is END_OF_BODY and connection.reusable
            told.append((head, body))
        assert told[0] == told[1]
        kept.start_next_cycle()
