"""A server over Streamable HTTP, both eras: statuses, headers, sessions, streams, doors, hostile input."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Flow, Gather, Sleep, within
from tako.errors import InvalidInput
from tako.mcp.errors import McpError
from tako.mcp.server import Client, McpServer, Resource
from tako.mcp.server.http_session import MAX_RUNNING, HttpSession
from tako.mcp.server.methods import Peer
from tako.mcp.server.news import SUBSCRIPTION_ID
from tako.mcp.versions import HANDSHAKE
from tako.serving import ResponseData, ResponseHead
from tako.testing import Simulator
from tako.tools import Tool, ToolContext
from tests.mcp.server.offers import everything_server, nap
from tests.mcp.server.test_client import ACCEPTED, ROOTS, SAMPLED
from tests.mcp.server.test_stdio import JSON, MESSAGES
from tests.mcp.server.worlds import (
    MODERN,
    Response,
    begin,
    fetch,
    handshake,
    incoming,
    judge,
    modern_headers,
    post,
    post_modern,
    request,
)

LATEST = "2025-11-25"
NO_CAPABILITIES = {"io.modelcontextprotocol/clientCapabilities": {}}
SERVER = everything_server()
HANDLER = SERVER.handler()


def in_session(handler: Any, id: str, message: Any, *headers: tuple[str, str], **options: Any) -> Response:
    return post(handler, message, ("mcp-session-id", id), *headers, **options)


# Guards.


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("accept", "")], 200),
        ([("accept", "*/*")], 200),
        ([("accept", "application/*;q=0.5, text/event-stream")], 200),
        ([("accept", "application/json")], 406),
        ([("accept", "text/event-stream")], 406),
        ([("content-type", "application/json; charset=utf-8")], 200),
        ([("content-type", "text/plain")], 415),
        ([("content-type", "")], 415),
        ([("host", "evil.test")], 403),
        ([("host", "evil.test:8000")], 403),
        ([("host", "")], 403),
        ([("host", "LOCALHOST")], 200),
        ([("host", "127.0.0.1:1")], 200),
        ([("host", "[::1]:80")], 200),
        ([("host", "localhost:evil.test")], 403),
        ([("host", "localhost.evil.test")], 403),
        ([("origin", "http://localhost:3000")], 200),
        ([("origin", "http://evil.test")], 403),
        ([("origin", "null")], 403),
        ([("origin", "file://localhost")], 403),
    ],
)
def test_the_doors(headers: list[tuple[str, str]], status: int) -> None:
    assert post(everything_server().handler(), handshake()[0], *headers).status == status


@pytest.mark.parametrize(
    ("hosts", "origins", "host", "origin", "status"),
    [
        (["mcp.test"], [], "mcp.test", None, 200),
        (["mcp.test"], [], "mcp.test:443", None, 200),
        (["mcp.test:443"], [], "mcp.test:443", None, 200),
        (["mcp.test:443"], [], "mcp.test:80", None, 403),
        (["mcp.test"], [], "localhost", None, 403),
        (["mcp.test"], ["https://app.test"], "mcp.test", "https://app.test", 200),
        (["mcp.test"], ["https://app.test"], "mcp.test", "http://app.test", 403),
        (["*"], [], "anything.test", None, 200),
        (["*"], [], "anything.test", "https://anything.test", 200),
        (["*"], [], "anything.test", "https://other.test", 403),
    ],
)
def test_doors_of_ones_own(hosts: Any, origins: Any, host: str, origin: str | None, status: int) -> None:
    headers = [("host", host), *([("origin", origin)] if origin else [])]
    assert (
        post(McpServer([]).handler(hosts=hosts, origins=origins), handshake()[0], *headers).status == status
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 404),
        ("POST", "/mcp/", 200),
        ("POST", "/mcp/x", 404),
        ("PUT", "/mcp", 405),
        ("OPTIONS", "/mcp", 405),
        ("GET", "/mcp", 405),
        ("DELETE", "/mcp", 405),
        ("HEAD", "/mcp", 405),
    ],
)
def test_methods_and_paths(method: str, path: str, status: int) -> None:
    response = fetch(HANDLER, incoming(handshake()[0], method, path=path))
    assert response.status == status
    assert ("allow" in response.headers) is (status == 405)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":null,"method":"x"}',
        b"\xff",
        b"[" * 5000,
    ],
)
def test_what_is_no_message(body: bytes) -> None:
    response = post(HANDLER, body)
    assert response.status == 400 and response.messages[0]["error"]["code"] in (-32700, -32600)


@pytest.mark.parametrize(
    "options", [{"path": "mcp"}, {"hosts": "a"}, {"origins": 3}, {"max_sessions": 0}, {"session_seconds": -1}]
)
def test_options_that_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        SERVER.handler(**options)


# The modern era.


def test_a_request_of_the_modern_era() -> None:
    response = post_modern(HANDLER, 1, "tools/call", {"name": "add", "arguments": {"a": 1}})
    assert response.status == 200 and not response.is_stream and "mcp-session-id" not in response.headers
    assert response.messages[0]["result"]["content"][0]["text"] == "2"
    assert response.headers["content-length"] == str(len(response.body))


@pytest.mark.parametrize(
    ("method", "params", "status", "number"),
    [
        ("no/such", {}, 404, -32601),
        ("initialize", {}, 404, -32601),
        ("ping", {}, 404, -32601),
        ("resources/subscribe", {"uri": "test://text"}, 404, -32601),
        ("tools/call", {"name": "nothing"}, 400, -32602),
        (
            "tools/call",
            {"name": "samples", "arguments": {"text": "a"}, "_meta": NO_CAPABILITIES},
            400,
            -32021,
        ),
        ("resources/read", {"uri": "test://none"}, 400, -32602),
        ("resources/read", {"uri": "test://bad"}, 200, -32603),
        ("tools/list", {"_meta": {"io.modelcontextprotocol/clientCapabilities": 1}}, 400, -32602),
        ("subscriptions/listen", {}, 400, -32602),
    ],
)
def test_errors_of_the_modern_era_have_their_status(
    method: str, params: Any, status: int, number: int
) -> None:
    response = post_modern(HANDLER, "é", method, params)
    assert (response.status, response.messages[0]["error"]["code"]) == (status, number)
    assert response.messages[0]["id"] == "é"


CALL = request(1, "tools/call", {"name": "raw", "arguments": {"region": "eu", "n": 1}}, MODERN)
RIGHT = {**dict(modern_headers(CALL)), "mcp-param-region": "eu"}


def coded(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 200),
        ({"mcp-method": ""}, 400),
        ({"mcp-method": "tools/list"}, 400),
        ({"mcp-method": "TOOLS/CALL"}, 400),
        ({"mcp-method": " tools/call\t"}, 200),
        ({"mcp-name": ""}, 400),
        ({"mcp-name": "add"}, 400),
        ({"mcp-name": coded("raw")}, 200),
        ({"mcp-name": coded("add")}, 400),
        ({"mcp-name": "=?base64?cmF3=?="}, 400),
        ({"mcp-protocol-version": ""}, 400),
        ({"mcp-protocol-version": "2025-11-25"}, 400),
        ({"mcp-param-region": ""}, 400),
        ({"mcp-param-region": "us"}, 400),
        ({"mcp-param-region": coded("eu")}, 200),
        ({"mcp-param-other": "x"}, 200),
    ],
)
def test_headers_say_what_the_body_says(changes: dict[str, str], status: int) -> None:
    response = post(HANDLER, CALL, *{**RIGHT, **changes}.items())
    assert response.status == status, response.body
    if status != 200:
        assert response.messages[0]["error"]["code"] == -32020


@pytest.mark.parametrize("twice", ["mcp-method", "mcp-name", "mcp-protocol-version", "mcp-param-region"])
def test_a_header_that_comes_twice_is_refused(twice: str) -> None:
    response = post(HANDLER, CALL, *RIGHT.items(), (twice, RIGHT[twice]))
    assert response.messages[0]["error"]["code"] == -32020


@pytest.mark.parametrize(
    ("value", "header", "fine"),
    [
        (42, "42", True),
        (42, "42.0", True),
        (42, "42.5", False),
        (42, "43.0", False),
        (-1, "-1", True),
        (True, "true", True),
        (True, "True", False),
        (None, "", True),
        (None, "x", False),
        (0, "", False),
        (10**30, "1" + "0" * 30, True),
        (42, "42.", True),
        (42, "4२", False),
    ],
)
def test_numbers_and_flags_in_headers(value: Any, header: str, fine: bool) -> None:
    kind = "boolean" if isinstance(value, bool) else "integer"
    schema = {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"v": {"type": kind, "x-mcp-header": "V"}}}},
    }
    handler = McpServer([Tool(lambda **given: "done", name="t", input_schema=schema)]).handler()
    message = request(1, "tools/call", {"name": "t", "arguments": {"a": {"v": value}}}, MODERN)
    response = post(handler, message, *modern_headers(message), ("mcp-param-v", header))
    assert (response.status == 200) is fine, response.body


def test_a_tool_whose_marks_no_client_would_take_is_refused_when_it_is_made() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}
    with pytest.raises(InvalidInput, match="x-mcp-header"):
        McpServer([Tool(lambda **given: "", name="t", input_schema=schema)])


@pytest.mark.parametrize(
    ("version", "in_header", "number"),
    [("v9", "v9", -32022), ("v9", MODERN, -32020), (MODERN, "v9", -32020), (7, MODERN, -32602)],
)
def test_a_revision_that_we_do_not_speak(version: Any, in_header: str, number: int) -> None:
    message = request(
        1, "tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": version}}, MODERN
    )
    response = post(HANDLER, message, ("mcp-protocol-version", in_header), ("mcp-method", "tools/list"))
    assert (response.status, response.messages[0]["error"]["code"]) == (400, number)


def test_what_is_no_request_in_the_modern_era() -> None:
    version = ("mcp-protocol-version", MODERN)
    assert (
        post(HANDLER, {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}, version).status
        == 202
    )
    assert post(HANDLER, {"jsonrpc": "2.0", "id": 1, "result": {}}, version).status == 400
    assert post(HANDLER, [request(1, "tools/list", {}, MODERN)], version).status == 400
    missing = post(
        HANDLER, {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, version, ("mcp-method", "tools/list")
    )
    assert (missing.status, missing.messages[0]["error"]["code"]) == (400, -32602)


def test_what_is_said_before_the_result_makes_a_stream_of_it() -> None:
    response = post_modern(HANDLER, 1, "tools/call", {"name": "speaks", "_meta": {"progressToken": "t"}})
    assert response.status == 200 and response.is_stream
    assert [message.get("method", "result") for message in response.messages] == [
        *["notifications/progress"] * 2,
        "result",
    ]
    assert not post_modern(HANDLER, 1, "tools/call", {"name": "speaks"}).is_stream


def test_what_is_said_is_sent_when_it_is_said() -> None:
    def chatty(context: ToolContext) -> Flow[str]:
        for step in (1, 2):
            Client.of(context).progress(step)
            yield Sleep(40)
        return "done"

    handler = McpServer([Tool.from_flow(chatty)]).handler()
    message = request(1, "tools/call", {"name": "chatty", "_meta": {"progressToken": 1}}, MODERN)
    simulator = Simulator()
    told = []
    for event in simulator.stream(handler(incoming(message, headers=modern_headers(message)))):
        if isinstance(event, ResponseData):
            what = "alive" if event.data.startswith(b":") else json.loads(event.data.partition(b"data: ")[2])
            told.append((simulator.now, what if what == "alive" else what.get("method", "result")))
    step, alive = "notifications/progress", "alive"
    assert told == [
        (0, step), (15, alive), (30, alive), (40, step), (55, alive), (70, alive), (80, "result")
    ]  # fmt: skip


def test_who_has_said_nothing_is_answered_in_json_however_long_it_took() -> None:
    handler = McpServer([Tool.from_flow(nap)]).handler()
    response = post_modern(handler, 1, "tools/call", {"name": "nap", "arguments": {"seconds": 500}})
    assert not response.is_stream and len(response.pieces) == 1


def test_news_of_the_modern_era_come_on_the_stream_of_the_subscription() -> None:
    server = everything_server()
    handler = server.handler()
    listen = request(
        123456789012, "subscriptions/listen", {"notifications": {"promptsListChanged": True}}, MODERN
    )
    token = CancellationToken()

    def change() -> Flow[None]:
        yield Sleep(1)
        server.changed("tools")
        server.changed("prompts")
        yield Sleep(40)
        token.cancel()

    def both() -> Flow[None]:
        flow = handler(incoming(listen, headers=modern_headers(listen)))
        yield Gather((_stopped(flow, token), change()))

    response = Response(list(Simulator().stream(both())))
    assert response.is_stream and response.body.count(b": nothing new") == 2  # every fifteen seconds
    for message in response.messages:
        judge(message, MODERN, {})
    assert [message["method"] for message in response.messages] == [
        "notifications/subscriptions/acknowledged", "notifications/prompts/list_changed"
    ]  # fmt: skip
    assert all(message["params"]["_meta"] == {SUBSCRIPTION_ID: 123456789012} for message in response.messages)
    assert not server._listeners


def _stopped(flow: Flow[None], token: CancellationToken) -> Flow[None]:
    """The flow until its client goes away."""
    from tako.errors import Interrupted

    try:
        yield from within(None, flow, token)
    except Interrupted:
        pass


# The handshake era.


def test_a_session_from_its_beginning_to_its_end() -> None:
    handler = everything_server().handler()
    id = begin(handler)
    assert len(id) == 32
    assert in_session(handler, id, handshake()[1]).status == 202
    response = in_session(
        handler,
        id,
        request(1, "tools/call", {"name": "add", "arguments": {"a": 1}}),
        ("mcp-protocol-version", LATEST),
    )
    assert response.status == 200 and response.messages[0]["result"]["content"][0]["text"] == "2"
    assert in_session(handler, id, request(2, "no/such")).messages[0]["error"]["code"] == -32601
    assert fetch(handler, incoming(b"", "DELETE", [("mcp-session-id", id)])).status == 204
    assert in_session(handler, id, request(1, "tools/list")).status == 404
    assert fetch(handler, incoming(b"", "DELETE", [("mcp-session-id", id)])).status == 404


def test_initialize_may_say_its_revision_in_the_header() -> None:
    assert post(HANDLER, handshake()[0], ("mcp-protocol-version", LATEST)).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        ([("mcp-session-id", "nobody's")], 404),
        ([("mcp-session-id", "ID"), ("mcp-protocol-version", "1999-01-01")], 400),
        ([("mcp-session-id", "ID"), ("mcp-protocol-version", MODERN)], 400),
        ([("mcp-session-id", "ID"), ("mcp-protocol-version", "2025-03-26")], 200),
        ([("mcp-session-id", "ID")], 200),
    ],
)
def test_a_request_of_the_handshake_era_names_its_session(headers: Any, status: int) -> None:
    handler = McpServer([]).handler()
    id = begin(handler)
    told = [(name, id if value == "ID" else value) for name, value in headers]
    assert post(handler, request(1, "tools/list"), *told).status == status


def asking(handler: Any, id: str, name: str, answers: dict[str, Any], **params: Any) -> list[Any]:
    """What comes on the stream of a call whose client answers each question by a POST of its own."""
    call = request(1, "tools/call", {"name": name, **params})
    run = Simulator().stream(_with_answers(handler, id, call, answers))
    events = [event for event in run if isinstance(event, ResponseHead | ResponseData)]
    return Response(events).messages


def _with_answers(handler: Any, id: str, call: Any, answers: dict[str, Any]) -> Flow[None]:
    """The call, and a client beside it that answers question 1, 2, ... in order, once each has been asked."""

    def client() -> Flow[None]:
        for number, answer in enumerate(answers.values(), 1):
            yield Sleep(1)
            given = {"error": answer["error"]} if "error" in answer else {"result": answer}
            message = {"jsonrpc": "2.0", "id": number, **given}
            status = yield from _quietly(handler(incoming(message, headers=[("mcp-session-id", id)])))
            assert status == 202

    yield Gather((handler(incoming(call, headers=[("mcp-session-id", id)])), client()))


def _quietly(flow: Flow[None]) -> Flow[int]:
    """The status of an answer; its events go nowhere."""
    events: list[Any] = []
    from tako.mcp.server.tapping import tapped

    yield from tapped(flow, events.append)
    return Response(events).status


def test_what_the_server_asks_is_answered_by_other_posts() -> None:
    handler = everything_server().handler()
    messages = asking(handler, begin(handler), "asks", {"e": ACCEPTED, "s": SAMPLED, "r": ROOTS})
    for message in messages:
        judge(message, LATEST, {1: "tools/call"})
    methods = [message.get("method") for message in messages]
    assert methods == ["elicitation/create", "sampling/createMessage", "roots/list", None]
    assert messages[-1]["result"]["content"][0]["text"] == "Hi Ann file:///a, 4 rounds"


def test_a_refusal_comes_to_the_function() -> None:
    handler = everything_server().handler()
    messages = asking(handler, begin(handler), "asks", {"e": {"error": {"code": -1, "message": "not now"}}})
    assert messages[-1]["error"] == {"code": -1, "message": "not now"}


def test_an_answer_that_nobody_waits_for_is_passed_over() -> None:
    handler = McpServer([]).handler()
    id = begin(handler)
    for strange in (1, "x", 1.5):
        assert in_session(handler, id, {"jsonrpc": "2.0", "id": strange, "result": {}}).status == 202


def test_a_call_is_cancelled_by_another_post() -> None:
    handler = McpServer([Tool.from_flow(nap)]).handler()
    id = begin(handler)
    call = request("c", "tools/call", {"name": "nap", "arguments": {"seconds": 500}})
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c"}}

    def client() -> Flow[None]:
        yield Sleep(2)
        again = yield from _quietly(handler(incoming(call, headers=[("mcp-session-id", id)])))
        assert again == 200  # an error: its id is in use
        yield from _quietly(handler(incoming(cancel, headers=[("mcp-session-id", id)])))

    def both() -> Flow[None]:
        yield Gather((handler(incoming(call, headers=[("mcp-session-id", id)])), client()))

    simulator = Simulator()
    response = Response(list(simulator.stream(both())))
    assert response.messages == [] and simulator.now < 10


def test_a_batch_over_http() -> None:
    handler = everything_server().handler()
    id = begin(handler, "2025-03-26")
    batch = [
        request(1, "tools/list"),
        handshake()[1],
        request(2, "no/such"),
        request(3, "tools/call", {"name": "speaks"}),
        {"id": 4},
    ]
    response = in_session(handler, id, batch)
    assert response.is_stream  # something was logged
    answers = response.messages[-1]
    assert [one["id"] for one in answers] == [1, 2, 3, 4]
    assert in_session(handler, id, [handshake()[1]]).status == 202
    assert in_session(handler, id, [handshake()[0] | {"id": 9}]).messages[0][0]["error"]["code"] == -32600
    assert in_session(handler, begin(handler), batch).status == 400


# Sessions and their streams.


def get(handler: Any, id: str, seconds: float, do: Any = None, last: str | None = None) -> Response:
    """What comes on the stream of a GET within this time, in the middle of which something is done."""
    headers = [("mcp-session-id", id), *([("last-event-id", last)] if last is not None else [])]
    token = CancellationToken()

    def meanwhile() -> Flow[None]:
        yield Sleep(seconds / 2)
        if do is not None:
            do()
        yield Sleep(seconds / 2)
        token.cancel()

    def both() -> Flow[None]:
        yield Gather((_stopped(handler(incoming(b"", "GET", headers)), token), meanwhile()))

    return Response(list(Simulator().stream(both())))


def test_news_come_on_the_stream_of_a_get_and_can_be_had_again() -> None:
    server = everything_server()
    handler = server.handler()
    id = begin(handler)
    in_session(handler, id, request(1, "resources/subscribe", {"uri": "test://text"}))
    server.changed("tools")  # nobody reads yet
    live = get(handler, id, 1, lambda: (server.updated("test://text"), server.updated("test://blob")))
    methods = [message["method"] for message in live.messages]
    assert methods == ["notifications/tools/list_changed", "notifications/resources/updated"]
    for message in live.messages:
        judge(message, LATEST, {})
    assert b"id: 1\n" in live.body and b"id: 2\n" in live.body
    assert get(handler, id, 1).messages == []
    assert [message["method"] for message in get(handler, id, 1, last="1").messages] == methods[1:]
    assert [message["method"] for message in get(handler, id, 1, last="0").messages] == methods
    assert get(handler, id, 1, last="no number").messages == []


def test_a_get_is_refused_without_its_header_or_session() -> None:
    handler = McpServer([]).handler()
    id = begin(handler)
    headers = [("mcp-session-id", id), ("accept", "application/json")]
    assert fetch(handler, incoming(b"", "GET", headers)).status == 406
    assert fetch(handler, incoming(b"", "GET", [("mcp-session-id", "x")])).status == 404


def test_a_second_get_takes_the_place_of_the_first() -> None:
    handler = McpServer([]).handler()
    id = begin(handler)

    def first() -> Flow[None]:
        yield from _quietly(handler(incoming(b"", "GET", [("mcp-session-id", id)])))

    def second() -> Flow[None]:
        yield Sleep(1)
        yield from _stopped(handler(incoming(b"", "GET", [("mcp-session-id", id)])), token)

    def stop() -> Flow[None]:
        yield Sleep(5)
        token.cancel()

    def all_of_them() -> Flow[None]:
        yield Gather((first(), second(), stop()))

    token = CancellationToken()
    simulator = Simulator()
    list(simulator.stream(all_of_them()))
    assert simulator.now == 5


def test_a_session_has_so_many_requests_at_once() -> None:
    session = HttpSession("1", Peer(HANDSHAKE[-1]), 0.0)
    for number in range(MAX_RUNNING):
        session.begin(number)
    with pytest.raises(McpError, match="at once"):
        session.begin("one more")
    session.end(7)
    with pytest.raises(McpError, match="in use"):
        session.begin(8)
    session.begin("one more")


def test_a_session_that_nobody_uses_is_over_after_its_time() -> None:
    server = McpServer([])
    handler = server.handler(session_seconds=10)
    simulator = Simulator()
    id = post(handler, handshake()[0], simulator=simulator).headers["mcp-session-id"]
    simulator.now = 9.0
    assert in_session(handler, id, request(1, "tools/list"), simulator=simulator).status == 200
    simulator.now = 18.0
    assert in_session(handler, id, request(1, "tools/list"), simulator=simulator).status == 200
    simulator.now = 29.0
    assert in_session(handler, id, request(1, "tools/list"), simulator=simulator).status == 404
    assert not server._listeners


def test_of_too_many_sessions_the_one_unused_longest_goes() -> None:
    handler = McpServer([]).handler(max_sessions=2)
    simulator = Simulator()
    ids = []
    for moment in (1.0, 2.0, 3.0):
        simulator.now = moment
        ids.append(post(handler, handshake()[0], simulator=simulator).headers["mcp-session-id"])
    found = [in_session(handler, id, request(1, "tools/list"), simulator=simulator).status for id in ids]
    assert found == [404, 200, 200]


def test_the_same_tools_at_both_eras_and_one_address() -> None:
    handler = McpServer(resources=[Resource("test://a", "a")]).handler()
    id = begin(handler)
    old = in_session(handler, id, request(1, "resources/list")).messages[0]["result"]["resources"]
    assert post_modern(handler, 1, "resources/list").messages[0]["result"]["resources"] == old


# Hostile input.

HOSTILE_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "mcp-session-id",
                "mcp-protocol-version",
                "mcp-method",
                "mcp-name",
                "accept",
                "content-type",
                "host",
                "origin",
                "last-event-id",
                "mcp-param-region",
            ]
        ),
        st.sampled_from(
            ["SESSION", MODERN, LATEST, "2025-03-26", "tools/call", "raw", "*/*", "localhost", "7", ""]
        )
        | st.text(max_size=6),
    ),
    max_size=5,
)


@given(
    st.sampled_from(["POST", "POST", "DELETE", "PUT"]),
    MESSAGES | st.lists(MESSAGES, max_size=3) | JSON | st.binary(max_size=20),
    HOSTILE_HEADERS,
    st.integers(0, 2),
)
def test_whatever_is_posted_is_answered(
    method: str, message: Any, headers: list[tuple[str, str]], mood: int
) -> None:
    handler = everything_server().handler()
    id = begin(handler, "2025-03-26")
    told = [(name, id if value == "SESSION" else value) for name, value in headers]
    if mood == 1:
        told.append(("mcp-session-id", id))
    elif (
        mood == 2
        and isinstance(message, dict)
        and isinstance(message.get("params"), dict)
        and isinstance(message.get("method"), str)
    ):
        told += modern_headers(message)
    flow = handler(incoming(message, method, told))
    # A listen has no end of its own, nor has a question that nobody answers.
    response = Response(list(Simulator().stream(_stopped(within_time(flow), CancellationToken()))))
    assert 200 <= response.status < 504 and response.status != 500
    for one in response.messages:
        json.dumps(one, allow_nan=False)


def within_time(flow: Flow[None]) -> Flow[None]:
    from tako.errors import TimedOut

    try:
        yield from within(20, flow)
    except TimedOut:
        pass
