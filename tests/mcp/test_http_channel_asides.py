"""What a server asks on the stream of the session: heard beside the requests that may be waiting for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tako.effects import Flow, Sleep, gather
from tako.mcp.host import Host
from tako.testing import Answer
from tako.testing.vendor import Pause, ReceivedRequest
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
HOST = Host(roots=["file:///work"])


def asking(method: str = "roots/list", after: float = 0.0) -> Answer:
    """A stream of the session with one question in it, which does not end for a minute."""
    return Answer.events([Pause(after), event(question("q", method)), Pause(60.0)])


def late(seconds: float) -> Any:
    """An answer whose head does not come before its end."""
    return lambda message: Answer.events([Pause(seconds), event(result(message["id"], "done"))])


def gets(server: Server) -> list[ReceivedRequest]:
    return [request for request in server.requests if request.method == "GET"]


def test_a_question_on_the_stream_of_the_session_is_answered() -> None:
    server = Server(late(1.0), get=asking(), session="s")
    client = Client(server, host=HOST).initialized()
    assert client.ask() == "done"
    assert server.answers() == [result("q", {"did": "roots/list"})]
    assert server.methods().index("GET") < server.methods().index("tools/call")


def test_it_is_one_stream_for_all_who_wait() -> None:
    server = Server(late(1.0), get=asking(), session="s")
    client = Client(server, host=HOST).initialized()
    flows = [client.asking() for _ in range(20)]
    assert [outcome.value for outcome in client.run(gather(*flows))] == ["done"] * 20
    assert len(gets(server)) == 1


def test_a_server_that_offers_none_is_asked_once_in_a_session() -> None:
    server = Server(late(0.5), session="s")
    client = Client(server, host=HOST).initialized()
    assert [client.ask(), client.ask()] == ["done", "done"]
    assert len(gets(server)) == 1


@pytest.mark.parametrize("options", [{}, {"host": HOST}])
def test_who_cannot_be_asked_and_the_modern_era_listen_to_nothing(options: Json) -> None:
    server = Server(late(0.5), get=asking())
    client = Client(server, **options).open("2026-07-28" if options else "2025-06-18")
    assert client.ask() == "done"
    assert not gets(server)


def test_the_time_of_a_request_does_not_run_while_the_host_works() -> None:
    server = Server(late(4.0), get=asking(after=0.5), session="s")
    client = Client(server, host=HOST).initialized()
    client.ear._thinks = 3.0
    assert client.ask(timeout=2.0) == "done"


def test_an_answer_that_json_cannot_say_is_refused() -> None:
    server = Server(late(1.0), get=asking(), session="s")
    client = Client(server, host=HOST).initialized()
    client.ear._answers = {"roots/list": object()}
    assert client.ask() == "done"
    assert server.answers()[0]["error"]["code"] == -32603


def test_a_beginning_that_is_held_back_is_waited_for_once_in_a_session() -> None:
    server = Server(late(0.5), get=lambda request: Answer(before=(Pause(60.0),)), session="s")
    client = Client(server, host=HOST).initialized()
    for seconds in (1.5, 0.5, 0.5):
        before = client.simulator.now
        assert client.ask() == "done"
        assert client.simulator.now - before == pytest.approx(seconds, abs=0.01)
    assert len(gets(server)) == 3
    client.initialized()
    before = client.simulator.now
    assert client.ask() == "done"
    assert client.simulator.now - before == pytest.approx(1.5, abs=0.01)


def test_a_beginning_that_was_only_late_is_waited_for_again() -> None:
    server = Server(late(3.0), session="s")
    heads = iter([2.0, 0.8])
    server._get = lambda request: replace(asking(), before=(Pause(next(heads)),))
    client = Client(server, host=HOST).initialized()
    for seconds in (4.0, 3.8):
        before = client.simulator.now
        assert client.ask() == "done"
        assert client.simulator.now - before == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("body", [b"busy", json.dumps(refused(None, -32000, "Conflict")).encode()])
def test_a_server_that_has_not_noticed_the_end_of_the_last_stream_is_asked_again_soon(body: bytes) -> None:
    conflict = Answer((body,), 409)
    streams = [conflict, conflict, asking(), conflict, asking()]
    server = Server(late(0.5), get=lambda request: streams.pop(0), session="s")
    client = Client(server, host=HOST).initialized()
    assert [client.ask(), client.ask()] == ["done", "done"]
    assert len(server.answers()) == 2 and not streams
    assert client.simulator.now == pytest.approx(0.1 + 0.3 + 0.5 + 0.1 + 0.5, abs=0.1)


def test_a_stream_that_is_put_off_is_not_held_back() -> None:
    """It was not there in time, and yet the next request waits for it."""
    slow = Answer((b"",), 409, before=(Pause(0.7),))
    streams = [slow, slow, replace(asking(), before=(Pause(0.8),))]
    server = Server(late(0.1), get=lambda request: streams.pop(0), session="s")
    client = Client(server, host=HOST).initialized()
    assert [client.ask(), client.ask()] == ["done", "done"]
    assert len(server.answers()) == 1


def test_who_listens_takes_the_stream_over() -> None:
    def heard_by(request: ReceivedRequest) -> Answer:
        match len(gets(server)):
            case 1:
                return events(question("q", "roots/list"), Pause(2.0), note("to nobody"), Pause(60.0))
            case 2:
                return events(question("r", "x/y"), note("n"), Pause(1.0))
        return Answer((b"no",), 405)

    server = Server(late(4.0), get=heard_by, session="s")
    client = Client(server, host=HOST).initialized()
    ear = Ear()

    def listening() -> Flow[None]:
        yield Sleep(1.0)
        yield from client.channel.listen(ear)

    asked, listened = client.run(gather(client.asking(), listening()))
    assert (asked.value, listened.value) == ("done", None)
    assert (client.ear.asked, ear.asked) == ([("roots/list", {})], [("x/y", {})])
    assert (client.ear.heard, ear.heard) == ([], [("n", {})])
    assert len(gets(server)) == 3


def test_a_stream_that_fails_is_no_failure_of_the_request() -> None:
    server = Server(lambda message: said(result(message["id"], json.dumps({}))), get=Answer((b"no",), 501))
    client = Client(server, host=HOST).initialized()

    def flow() -> Flow[Json]:
        return (yield from client.asking())

    assert client.run(flow()) == "{}"
