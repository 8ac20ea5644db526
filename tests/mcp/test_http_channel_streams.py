"""HttpChannel: what comes in event streams before an answer, streams that end too early, and listening."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tako.effects import within
from tako.errors import InvalidInput, ProtocolError, TimedOut, TransportError
from tako.mcp.channel import UNSENT
from tako.mcp.errors import McpError
from tako.mcp.http_channel import SessionExpired
from tako.mcp.http_peer import HttpRefusal
from tako.testing import Answer
from tako.testing.vendor import Hangup, Pause, ReceivedRequest, Reset, ScriptedVendor
from tests.mcp.http_channel_kit import (
    ACCEPTED,
    Client,
    Ear,
    Server,
    ended_by,
    event,
    events,
    note,
    question,
    refused,
    result,
    said,
)

Json = Any


# What comes before the answer.


def test_notifications_are_heard_in_order_and_progress_if_it_is_ours() -> None:
    before = (
        note("notifications/message", level="info"),
        note("notifications/progress", progressToken=1, progress=1),
        note("notifications/progress", progressToken=7, progress=2),
        note("notifications/progress", progressToken="1", progress=3),
        note("notifications/tools/list_changed"),
        {"jsonrpc": "2.0", "method": "bare"},
        {"jsonrpc": "2.0", "method": "odd", "params": [1]},
    )
    client = Client(Server(ended_by(1, *before))).open()
    assert client.ask(hears=True) == 1
    methods = [method.rpartition("/")[2] for method, _ in client.ear.heard]
    assert methods == ["message", "progress", "list_changed", "bare", "odd"]
    assert client.ear.heard[1][1]["progress"] == 1
    assert client.ear.heard[4][1] == {}
    deaf = Client(Server(ended_by(1, *before))).open()
    deaf.ask()
    assert [method for method, _ in deaf.ear.heard if "progress" in method] == []


def test_answers_to_others_and_other_events_are_passed_over() -> None:
    before = (result(8, "no"), result("1", "no"), refused(9, -1), b"event: ping\ndata: {]\n\n", b"data\n\n")
    assert Client(Server(ended_by("yes", *before))).open().ask() == "yes"


@pytest.mark.parametrize("id", [1, None])
def test_an_error_in_a_stream(id: Json) -> None:
    with pytest.raises(McpError) as caught:
        Client(Server(events(note("x"), refused(id, -7)))).open().ask()
    assert caught.value.number == -7


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"data: {\n\n", "event 2 of the MCP server .* is no message"),
        (b"data: [1]\n\n", "is a batch"),
        (b'data: {"jsonrpc":"2.0","id":1,"result":1,"error":{}}\n\n', "event 2"),
        (b'data: {"jsonrpc":"1.0","method":"x"}\n\n', "event 2"),
    ],
)
def test_rubbish_in_a_stream_has_a_place(data: bytes, match: str) -> None:
    client = Client(Server(ended_by(1, note("x"), data))).open()
    with pytest.raises(ProtocolError, match=match):
        client.ask()
    assert len(client.ear.heard) == 1


def test_an_event_has_a_limit() -> None:
    piece = b"x" * (1 << 20)
    with pytest.raises(ProtocolError, match="more than 16777216 bytes"):
        Client(Server(events(b"data: ", *[piece] * 17))).open().ask()


def test_batches_in_a_stream_where_the_revision_has_them() -> None:
    def asked(message: Json) -> Answer:
        batch = json.dumps([note("x"), question("q", "roots/list"), result(message["id"], 5)])
        return events(f"data: {batch}\n\n".encode())

    server = Server(asked)
    client = Client(server).open("2025-03-26")
    assert client.ask() == 5
    assert client.ear.heard == [("x", {})]
    assert server.answers() == [] or server.answers() == [result("q", {"did": "roots/list"})]


# Requests of the server's.


def test_a_request_is_answered_while_reading_goes_on() -> None:
    server = Server(
        ended_by(
            "done",
            question("q", "sampling/createMessage", n=1), Pause(1), note("meanwhile"), Pause(9),
            note("after"),
        )
    )  # fmt: skip
    client = Client(server).open()
    client.ear = Ear(thinks=5.0)
    assert client.ask() == "done"
    assert server.answers() == [result("q", {"did": "sampling/createMessage"})]
    assert client.ear.asked == [("sampling/createMessage", {"n": 1})]
    assert [method for method, _ in client.ear.heard] == ["meanwhile", "after"]
    assert client.simulator.now == pytest.approx(10.0)


def test_ping_needs_no_ear() -> None:
    server = Server(ended_by(1, question(3, "ping"), Pause(1)))
    client = Client(server).open()
    assert client.ask() == 1
    assert server.answers() == [result(3, {})]
    assert client.ear.asked == []


def test_answers_carry_the_session() -> None:
    server = Server(ended_by(1, question(3, "ping"), Pause(1)), session="s")
    Client(server).initialized().ask()
    assert server.requests[2].header("mcp-session-id") == "s"
    assert server.requests[2].header("mcp-protocol-version") == "2025-06-18"


@pytest.mark.parametrize(
    ("failure", "number", "match"),
    [
        (McpError("declined", -1, {"why": 1}), -1, "declined"),
        (InvalidInput("bad params"), -32602, "bad params"),
        (KeyError("secret"), -32603, "the client failed: KeyError"),
    ],
)
def test_a_request_that_is_refused(failure: Exception, number: int, match: str) -> None:
    server = Server(ended_by(1, question("q", "x/y"), Pause(1)))
    client = Client(server).open()
    client.ear = Ear(answers={"x/y": failure})
    assert client.ask() == 1
    [answer] = server.answers()
    assert (answer["id"], answer["error"]["code"], answer["error"]["message"]) == ("q", number, match)
    assert answer["error"].get("data") == getattr(failure, "data", None)


def test_what_the_server_cancels_is_not_answered() -> None:
    pieces = (question("q", "x/y"), Pause(1), note("notifications/cancelled", requestId="q"), Pause(9))
    server = Server(ended_by(1, *pieces))
    client = Client(server).open()
    client.ear = Ear(thinks=5.0)
    assert client.ask() == 1
    assert (server.answers(), client.ear.answered) == ([], [])
    assert len(client.ear.asked) == 1


def test_the_answer_ends_what_is_still_thought_about() -> None:
    server = Server(ended_by(1, question("q", "x/y"), Pause(1)))
    client = Client(server).open()
    client.ear = Ear(thinks=99.0)
    assert client.ask() == 1
    assert server.answers() == []
    assert client.simulator.now == pytest.approx(1.0)


def test_many_requests_side_by_side_are_bounded() -> None:
    server = Server(ended_by(1, *[question(n, "x/y") for n in range(20)], Pause(60)))
    client = Client(server).open()
    client.ear = Ear(thinks=5.0)
    assert client.ask() == 1
    answers = {answer["id"]: answer for answer in server.answers()}
    assert sorted(answers) == list(range(20))
    assert [id for id in range(20) if "error" in answers[id]] == [16, 17, 18, 19]
    assert answers[16]["error"]["message"] == "more than 16 requests at once"
    assert client.simulator.now == pytest.approx(60.0)


def test_many_requests_one_after_the_other_are_not() -> None:
    pieces = [piece for n in range(60) for piece in (question(n, "x/y"), Pause(1))]
    server = Server(ended_by(1, *pieces))
    client = Client(server).open()
    client.ear = Ear(thinks=0.5)
    assert client.ask(timeout=5.0) == 1
    assert server.answers() == [result(n, {"did": "x/y"}) for n in range(60)]
    depths = {entry.task.count(".") for entry in client.simulator.trace}
    assert max(depths) <= 2


def test_no_time_is_counted_while_the_host_thinks_and_then_it_is() -> None:
    client = Client(Server(ended_by(1, question("q", "x/y"), Pause(23)))).open()
    client.ear = Ear(thinks=20.0)
    assert client.ask(timeout=5.0) == 1
    server = Server(ended_by(1, question("q", "x/y"), Pause(99)))
    client = Client(server).open()
    client.ear = Ear(thinks=20.0)
    with pytest.raises(TimedOut, match="silent for 5 seconds"):
        client.ask(timeout=5.0)
    assert client.simulator.now == pytest.approx(25.0)
    assert server.messages[-1]["method"] == "notifications/cancelled"


def test_a_refused_answer_is_the_servers_own_affair_and_a_lost_one_is_not() -> None:
    def playing(answer: Answer) -> Client:
        def play(request: ReceivedRequest) -> Answer:
            message = json.loads(request.body)
            return answer if "result" in message else ended_by(1, question("q", "x/y"), Pause(1))(message)

        return Client(ScriptedVendor(play)).open()

    assert playing(Answer((b"too late",), 400)).ask() == 1
    with pytest.raises(TransportError) as caught:
        playing(Answer((), before=(Reset(),))).ask()
    assert caught.value.partial is None


# Streams that end before the answer.


def resuming(*streams: Answer) -> Server:
    """The POST is answered with the first stream, the GETs with the others, the last again and again."""
    rest = list(streams[1:])

    def get(request: ReceivedRequest) -> Answer:
        return rest.pop(0) if len(rest) > 1 else rest[0]

    return Server(streams[0], get=get if rest else None, session="s")


@pytest.mark.parametrize("end", [(), (Reset(),), (Hangup(),)])
def test_a_stream_is_resumed_after_its_last_event(end: tuple[Any, ...]) -> None:
    server = resuming(
        events(event(id="e1", retry=500), event(note("a"), id="e2"), *end),
        events(event(note("b"), id="e3"), *end),
        events(note("c"), result(2, "done")),
    )
    client = Client(server).initialized()
    assert client.ask() == "done"
    assert [method for method, _ in client.ear.heard] == ["a", "b", "c"]
    gets = [request for request in server.requests if request.method == "GET"]
    assert [request.header("last-event-id") for request in gets] == ["e2", "e3"]
    assert {request.header("mcp-session-id") for request in gets} == {"s"}
    assert {request.header("mcp-protocol-version") for request in gets} == {"2025-06-18"}
    assert {request.header("accept") for request in gets} == {"text/event-stream"}
    assert {request.header("content-type") for request in gets} == {None}
    assert client.simulator.now == pytest.approx(1.0, abs=0.06)  # two delays of 500 ms


def test_the_delay_is_a_second_unless_the_server_says_otherwise_and_is_bounded() -> None:
    for retry, seconds in ((None, 1.0), (0, 0.0), (250, 0.25), (10**15, 300.0)):
        server = resuming(events(event(id="e", retry=retry)), events(result(2, 1)))
        client = Client(server).initialized()
        assert client.ask() == 1
        assert client.simulator.now == pytest.approx(seconds, abs=0.06)


@pytest.mark.parametrize("first", [events(note("a")), events(event(note("a"), id="ä")), events(Reset())])
def test_a_stream_without_ids_is_not_resumed(first: Answer) -> None:
    server = resuming(first, events(result(2, 1)))
    with pytest.raises(TransportError, match="no event an id from which to resume") as caught:
        Client(server).initialized().ask()
    assert caught.value.partial is None
    assert "GET" not in server.methods()


def test_five_tries_without_hearing_anything_are_enough() -> None:
    server = resuming(events(event(id="e")), events())
    client = Client(server).initialized()
    with pytest.raises(TransportError, match="could not be resumed 5 times"):
        client.ask()
    assert server.methods().count("GET") == 5
    assert client.simulator.now == pytest.approx(5.0)


def test_hearing_something_begins_the_count_anew() -> None:
    empty = [events()] * 4
    server = resuming(
        events(event(id="e")), *empty, events(event(note("a"), id="f")), *empty, events(result(2, 1))
    )
    assert Client(server).initialized().ask() == 1


@pytest.mark.parametrize("answer", [Answer((b"",), 503), Answer((), before=(Reset(),)), Answer((b"",), 429)])
def test_a_server_that_is_away_for_a_while(answer: Answer) -> None:
    server = resuming(events(event(id="e")), answer, answer, events(result(2, 1)))
    assert Client(server).initialized().ask() == 1
    with pytest.raises(TransportError, match="5 times") as caught:
        Client(resuming(events(event(id="e")), answer)).initialized().ask()
    assert isinstance(caught.value.__cause__, TransportError)


def test_a_server_that_resumes_nothing() -> None:
    for answer, kind in (
        (Answer((b"",), 405), HttpRefusal),
        (said(result(2, 1)), ProtocolError),
        (Answer((b"",), 404), SessionExpired),
    ):
        client = Client(resuming(events(event(id="e")), answer)).initialized()
        with pytest.raises(kind) as caught:
            client.ask()
        assert caught.value.partial is None  # the request was sent
        assert client.channel.is_open is (kind is not SessionExpired)


def test_a_stream_that_ends_while_the_host_thinks_is_resumed_after() -> None:
    server = resuming(events(event(question("q", "x/y"), id="e")), events(note("b"), result(2, "done")))
    client = Client(server).initialized()
    client.ear = Ear(thinks=3.0)
    assert client.ask(timeout=2.0) == "done"
    assert server.methods() == ["initialize", "tools/call", "an answer", "GET"]


def test_the_end_of_a_stream_is_waited_for_but_not_for_ever() -> None:
    server = Server(lambda message: events(result(message["id"], 1), Pause(99)))
    client = Client(server).open()
    for _ in range(10):
        assert client.ask() == 1
    assert client.simulator.now == pytest.approx(0.15)  # after three times in vain no more


def test_an_answer_that_could_not_be_sent_does_not_make_the_request_unsent() -> None:
    class Failing:
        """Lets two requests pass."""

        calls = 0

        def authorizer(self, url: str, tls: Any = None) -> Failing:
            return self

        def renew(self) -> Any:
            yield from ()

        def headers(self, url: str) -> Any:
            self.calls += 1
            if self.calls > 2:
                raise TransportError("the authorization server is away", partial=UNSENT)
            return ()
            yield

        def challenged(self, status: int, headers: Any, attempt: int, sent: Any) -> Any:
            return False
            yield

    server = Server(ended_by(1, question("q", "x/y"), Pause(1)))
    client = Client(server, auth=Failing()).initialized()
    with pytest.raises(TransportError, match="is away") as caught:
        client.ask()
    assert caught.value.partial is None


# Listening.


@pytest.mark.parametrize("status", [400, 404, 405, 406])
def test_a_server_that_offers_nothing_to_listen_to(status: int) -> None:
    server = Server(ACCEPTED, get=Answer((b"no",), status), session="s")
    client = Client(server).initialized()
    client.run(client.channel.listen(client.ear))
    assert client.channel.is_open
    assert server.methods() == ["initialize", "GET"]


def test_listening_goes_on_over_many_streams() -> None:
    streams = [
        events(event(note("a"), id="1"), Pause(5)),
        events(note("b"), question("q", "x/y"), Pause(5)),
        Answer((b"",), 503),
        events(note("c"), Pause(1), Reset()),
        events(Pause(999)),
        events(note("d")),
        Answer((b"",), 405),
    ]
    server = Server(ACCEPTED, get=lambda request: streams.pop(0))
    client = Client(server).open()
    client.ear = Ear(thinks=1.0)
    client.run(client.channel.listen(client.ear))
    assert [method for method, _ in client.ear.heard] == ["a", "b", "c", "d"]
    assert server.answers() == [result("q", {"did": "x/y"})]
    ids = [request.header("last-event-id") for request in server.requests if request.method == "GET"]
    assert ids == [None, "1", "1", "1", "1", "1", "1"]


def test_a_server_that_has_nothing_to_say_is_listened_to_on() -> None:
    streams = [*[events()] * 9, events(note("a")), Answer((b"",), 405)]
    client = Client(Server(ACCEPTED, get=lambda request: streams.pop(0))).open()
    client.run(client.channel.listen(client.ear))
    assert client.ear.heard == [("a", {})]


def test_streams_that_end_at_once_are_asked_for_ever_less_often() -> None:
    server = Server(ACCEPTED, get=events(b"retry: 0\n\n", b"id: 1\ndata:\n\n"))
    client = Client(server).open()
    with pytest.raises(TimedOut):
        client.run(within(3600.0, client.channel.listen(client.ear)))
    assert 60 < len(server.requests) < 80


@pytest.mark.parametrize(("useful", "lasts"), [(events(note("a")), 0.0), (events(Pause(1.5)), 1.5)])
def test_a_stream_that_lasts_or_says_something_begins_the_pauses_anew(useful: Answer, lasts: float) -> None:
    brief = events(b"retry: 10\n\n")
    streams = [*[brief] * 6, useful, brief, Answer((b"",), 405)]
    client = Client(Server(ACCEPTED, get=lambda request: streams.pop(0))).open()
    client.run(client.channel.listen(client.ear))
    pauses = 0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2, 0.01, 0.1
    assert client.simulator.now == pytest.approx(lasts + sum(pauses))


@pytest.mark.parametrize("answer", [Answer((b"",), 500), Answer((), before=(Reset(),))])
def test_listening_to_a_server_that_fails_ends(answer: Answer) -> None:
    client = Client(Server(ACCEPTED, get=answer)).open()
    with pytest.raises(TransportError, match="ended the stream, and it could not be resumed 5 times"):
        client.run(client.channel.listen(client.ear))


def test_listening_without_being_let_in() -> None:
    client = Client(Server(ACCEPTED, get=Answer((b"",), 401))).open()
    with pytest.raises(HttpRefusal, match="authorization"):
        client.run(client.channel.listen(client.ear))


def test_the_modern_era_has_another_way_of_listening() -> None:
    server = Server(ACCEPTED)
    client = Client(server).open("2026-07-28")
    client.run(client.channel.listen(client.ear))
    assert server.requests == []
