"""What a server asks on the stream of the session: heard beside the requests that may be waiting for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tako.effects import Flow, gather
from tako.mcp.host import Host
from tako.testing import Answer
from tako.testing.vendor import Pause, ReceivedRequest
from tests.mcp.http_channel_kit import Client, Server, event, question, result, said

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


def test_a_stream_that_fails_is_no_failure_of_the_request() -> None:
    server = Server(lambda message: said(result(message["id"], json.dumps({}))), get=Answer((b"no",), 501))
    client = Client(server, host=HOST).initialized()

    def flow() -> Flow[Json]:
        return (yield from client.asking())

    assert client.run(flow()) == "{}"
