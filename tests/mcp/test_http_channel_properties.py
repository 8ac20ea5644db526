"""HttpChannel against any server: every cut, every place to break off, any bytes, any order of messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tako.effects import within
from tako.errors import ProtocolError, TakoError, TransportError
from tako.mcp.errors import McpError
from tako.testing import Answer
from tako.testing.faults import Faults
from tako.testing.vendor import Hangup, Pause, Reset, ScriptedVendor
from tests.mcp.http_channel_kit import (
    Client,
    Ear,
    Server,
    event,
    events,
    note,
    question,
    refused,
    result,
    said,
)

Json = Any

WORDS = (
    event(note("a", text="\u2028é😀"), id="1", retry=10),
    event(question("q", "x/y", n=1)),
    b": a comment\r\n\r\n",
    event(note("b")).replace(b"\n", b"\r\n"),
    event(result(7, "another's")),
    event(result(1, {"text": "ende\u2029"})),
)
WHOLE = b"".join(WORDS)


def outcome(client: Client, **options: Any) -> tuple[str, Any]:
    """What became of a request: its result, or the one error, which is a TakoError."""
    try:
        return "result", client.ask(timeout=30.0, **options)
    except TakoError as error:
        return "error", error


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(0, 3))
@example([1], 0)
def test_the_cut_does_not_matter(sizes: list[int], seed: int) -> None:
    server = Server(events(WHOLE))
    client = Client(server, seed=seed, faults=Faults(cut=tuple(sizes))).open()
    client.ear = Ear(thinks=0.01)
    assert outcome(client) == ("result", {"text": "ende\u2029"})
    assert client.ear.heard == [("a", {"text": "\u2028é😀"}), ("b", {})]
    assert client.ear.asked == [("x/y", {"n": 1})]


@pytest.mark.parametrize("fault", ["truncate_at", "reset_at"])
@pytest.mark.parametrize("is_stream", [True, False])
def test_broken_off_at_every_byte(fault: str, is_stream: bool) -> None:
    """An answer that is not whole never looks whole; what is lost is resumed, or is an error."""
    body = WHOLE if is_stream else json.dumps(result(1, {"text": "ende"})).encode()
    for place in range(len(body) + 1):
        end = Hangup() if fault == "truncate_at" else Reset()
        pieces = (body[:place], end)
        answer = events(*pieces) if is_stream else Answer((*pieces,))
        client = Client(Server(answer, get=events(result(1, "resumed")))).open()
        kind, value = outcome(client)
        if is_stream and place == len(body):
            assert (kind, value) == ("result", {"text": "ende\u2029"})
        elif is_stream and place >= len(WORDS[0]):
            assert (kind, value) == ("result", "resumed")
        else:
            assert kind == "error"
            assert type(value) is TransportError
            assert value.partial is None


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_body_that_ends_as_if_in_order_at_every_byte(is_stream: bool) -> None:
    body = event(result(1, "done")) if is_stream else json.dumps(result(1, "done")).encode()
    for place in range(len(body)):
        answer = events(body[:place]) if is_stream else Answer((body[:place],))
        kind, value = outcome(Client(Server(answer)).open())
        assert kind == "error"
        assert type(value) is (TransportError if is_stream else ProtocolError)


HEADERS = st.sampled_from(
    [
        (("content-type", "application/json"),),
        (("content-type", "text/event-stream; charset=utf-8"),),
        (("content-type", "TEXT/EVENT-STREAM"),),
        (("content-type", "text/html"),),
        (("content-type", ";;"), ("mcp-session-id", "\x80"), ("retry-after", "soon"), ("location", "//[")),
        (),
    ]
)
RUBBISH = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            b"data: " + b"[" * 500 + b"\n\n",
            b'data: {"jsonrpc":"2.0","id":1e999,"result":1}\n\n',
            b'data: {"jsonrpc":"2.0","id":true,"result":1}\n\n',
            b'data: {"jsonrpc":"2.0","id":{},"method":"x"}\n\n',
            b'data: {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[]}}\n\n',
            b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":{}}}\n\n',
            b'{"jsonrpc":"2.0","id":1,"error":{"code":1e400,"message":[]}}',
            b"id: 1\nretry: 99999999999999999999999\ndata: \xff\n\n",
            event(id="x\x7f"),
            event(id="y"),
        ]
    ),
)


@given(
    st.lists(RUBBISH, max_size=4),
    HEADERS,
    st.sampled_from([200, 201, 202, 204, 301, 307, 308, 400, 401, 403, 404, 405, 429, 500, 503, 999]),
    st.booleans(),
    st.integers(0, 99),
)
def test_any_bytes_are_a_result_or_one_tako_error(
    pieces: list[bytes], headers: Any, status: int, hears: bool, seed: int
) -> None:
    vendor = ScriptedVendor(Answer(tuple(pieces), status, headers))
    client = Client(vendor, seed=seed, faults=Faults(cut="seeded")).open()
    outcome(client, hears=hears)
    assert client.simulator.now <= 30.1
    with pytest.raises(TakoError):
        client.run(_told(client))
    client.run(client.channel.close())


def _told(client: Client) -> Any:
    yield from client.channel.tell("x", {})
    yield from within(60.0, client.channel.listen(client.ear))  # which may go on as long as it is offered
    raise ProtocolError("it was told, and heard")


MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda n: ("note", n), st.integers(0, 9)),
        st.builds(lambda n: ("question", n), st.integers(0, 5)),
        st.builds(lambda n: ("other", n), st.integers(2, 9)),
        st.builds(lambda n: ("pause", n), st.integers(1, 3)),
        st.builds(lambda n: ("cut", n), st.integers(0, 9)),
        st.builds(lambda n: ("cancel", n), st.integers(0, 5)),
    ),
    max_size=12,
)


@given(MESSAGES, st.integers(0, 99), st.sampled_from([0.0, 0.5, 4.0]), st.booleans())
@example([("question", 0), ("pause", 1), ("question", 1), ("cut", 0), ("note", 1)], 0, 4.0, False)
def test_any_order_of_what_is_said(
    said_before: list[tuple[str, int]], seed: int, thinks: float, fails: bool
) -> None:
    """All is heard in its order, each request is answered once at most, and the answer is the answer."""
    streams: list[list[Any]] = [[event(id="0", retry=0)]]
    asked: set[str] = set()
    for place, (what, number) in enumerate(said_before):
        stream = streams[-1]
        if what == "note":
            stream.append(note(f"n{number}"))
        elif what == "question":
            asked.add(f"q{place}")
            stream.append(question(f"q{place}", "x/y"))
        elif what == "other":
            stream.append(result(number, "another's"))
        elif what == "pause":
            stream.append(Pause(float(number)))
        elif what == "cancel":
            stream.append(note("notifications/cancelled", requestId=f"q{number}"))
        else:
            streams.append([event(id=str(place))])
    streams[-1].append(refused(1, -3) if fails else result(1, "done"))
    answers = [events(*stream) for stream in streams]
    server = Server(lambda message: answers.pop(0), get=lambda request: answers.pop(0))
    client = Client(server, seed=seed, faults=Faults(cut="seeded")).open()
    client.ear = Ear(thinks=thinks)
    kind, value = outcome(client)
    assert (kind, value if kind == "result" else type(value)) == (
        ("error", McpError) if fails else ("result", "done")
    )
    assert [method for method, _ in client.ear.heard] == [
        f"n{n}" for what, n in said_before if what == "note"
    ]
    # What the answer follows at once need not be asked any more.
    pauses = [place for place, (what, _) in enumerate(said_before) if what == "pause"]
    cancelled = {f"q{number}" for what, number in said_before if what == "cancel"}
    sure = {id for id in asked - cancelled if pauses and int(id[1:]) < pauses[-1]}
    assert len(sure) <= len(client.ear.asked) <= len(asked)
    told = [answer["id"] for answer in server.answers()]
    assert len(told) == len(set(told))
    assert set(told) <= asked
    if thinks < 1.0:
        assert sure <= set(told)


@given(
    st.integers(0, 999),
    st.lists(st.sampled_from(["json", "stream", "refuse", "silent"]), min_size=1, max_size=8),
)
def test_side_by_side_no_answer_is_lost_or_crossed(seed: int, kinds: list[str]) -> None:
    from tako.effects import OnError, Succeeded, gather

    def asked(message: Json) -> Answer:
        id, n = message["id"], message["params"]["n"]
        match kinds[n]:
            case "json":
                return said(result(id, n))
            case "stream":
                return events(note(f"n{n}"), Pause(seed % 5), result(id, n))
            case "refuse":
                return said(refused(id, n), 400)
        return events(Pause(999))

    client = Client(Server(asked), seed=seed, faults=Faults(cut="seeded", jitter=2.0)).open()
    flows = [client.asking(params={"n": n}, timeout=20.0) for n in range(len(kinds))]
    outcomes = client.run(gather(*flows, on_error=OnError.COLLECT))
    for n, (kind, done) in enumerate(zip(kinds, outcomes, strict=True)):
        if kind in ("json", "stream"):
            assert done == Succeeded(n)
        else:
            assert isinstance(done.error, TakoError)
            assert getattr(done.error, "number", n) == n


@given(st.integers(0, 40), st.booleans())
def test_cancelled_at_any_effect_nothing_is_left_open(place: int, is_stream: bool) -> None:
    answer = (
        events(note("a"), question("q", "x/y"), Pause(1), result(1, 1)) if is_stream else said(result(1, 1))
    )
    client = Client(Server(lambda message: answer)).open()
    client.simulator.faults = Faults(cancel_during=place or None)
    run = client.simulator.stream(client.asking(timeout=9.0))
    try:
        for _ in run:
            pass
        assert run.result == 1
    except TakoError:
        assert client.channel.is_open
    assert run.open_exchanges == ()
