"""Host: what servers ask of a program, and what it answers; by itself, and through a session of each era."""

from __future__ import annotations

from typing import Any

import pytest

from tako.errors import InvalidInput, ProtocolError
from tako.mcp import Declined, Elicitation, Host, LogMessage, McpError
from tako.providers.fake import Fake
from tako.testing import Simulator
from tako.testing.vendor import Pause
from tests.mcp.kit import ScriptedServer, line, note, question, session_with, text

FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "default": 7},
        "nick": {"type": "string", "default": ""},
        "odd": True,
    },
    "required": ["name"],
}


def answer(host: Host, method: str, params: Any = None) -> Any:
    return Simulator().run(host.answer(method, params or {}))


def hear(host: Host, method: str, params: Any) -> None:
    Simulator().run(host.hear(method, params))


def elicited(given: Any, **params: Any) -> Any:
    host = Host(elicitation=lambda asked: given)
    return answer(host, "elicitation/create", {"message": "who?", "requestedSchema": FORM, **params})


# Elicitation.


def test_a_form_comes_with_its_message_and_schema() -> None:
    asked: list[Elicitation] = []

    async def ask(one: Elicitation) -> Any:
        asked.append(one)
        return {"name": "Ada"}

    answer(Host(elicitation=ask), "elicitation/create", {"message": "who?", "requestedSchema": FORM})
    assert asked == [Elicitation("who?", FORM)]


def test_a_form_that_was_filled_in_has_the_defaults_of_what_was_left_out() -> None:
    assert elicited({"name": "Ada", "nick": "A"}) == {
        "action": "accept",
        "content": {"name": "Ada", "nick": "A", "age": 7},
    }


def test_true_accepts_the_defaults_alone() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer", "default": 7}}}
    assert elicited(True, requestedSchema=schema) == {"action": "accept", "content": {"age": 7}}
    with pytest.raises(InvalidInput, match="left out what the server needs: name"):
        elicited(True)


@pytest.mark.parametrize(
    ("given", "action"),
    [(None, "cancel"), (False, "decline"), (Declined, "decline"), (Declined(), "decline")],
)
def test_who_does_not_fill_it_in_has_refused_or_left(given: Any, action: str) -> None:
    assert elicited(given) == {"action": action}
    assert elicited(given, mode="url", url="https://x") == {"action": action}


def test_an_address_is_shown_with_its_id_and_nothing_is_sent_back() -> None:
    asked: list[Elicitation] = []

    def ask(one: Elicitation) -> bool:
        asked.append(one)
        return True

    params = {"message": "sign in", "mode": "url", "url": "https://x/y", "elicitationId": "e1"}
    assert answer(Host(elicitation=ask), "elicitation/create", params) == {"action": "accept"}
    assert asked == [Elicitation("sign in", None, "https://x/y", "e1")]


@pytest.mark.parametrize(
    "params",
    [{}, {"message": "m"}, {"message": 5, "requestedSchema": {}}, {"message": "m", "mode": "url"},
     {"message": "m", "requestedSchema": []}],
)  # fmt: skip
def test_an_elicitation_that_is_spoiled_is_a_protocol_error(params: Any) -> None:
    with pytest.raises(ProtocolError):
        answer(Host(elicitation=lambda asked: True), "elicitation/create", params)


def test_a_mode_that_is_not_known_is_refused() -> None:
    with pytest.raises(McpError, match="form or by url"):
        elicited(True, mode="telepathy")


def test_a_function_that_gives_something_else_is_told_so() -> None:
    with pytest.raises(TypeError, match="mapping, True, Declined or None"):
        elicited("Ada")


# Roots.


@pytest.mark.parametrize("roots", [["file:///a", "file:///b"], lambda: ["file:///a", "file:///b"]])
def test_roots_are_told(roots: Any) -> None:
    found = answer(Host(roots=roots), "roots/list")
    assert found == {"roots": [{"uri": "file:///a"}, {"uri": "file:///b"}]}


def test_roots_of_a_function_are_checked_when_it_gives_them() -> None:
    with pytest.raises(InvalidInput, match="file://"):
        answer(Host(roots=lambda: ["/home"]), "roots/list")


# What is not done.


@pytest.mark.parametrize("method", ["sampling/createMessage", "elicitation/create", "roots/list", "x/y", ""])
def test_what_the_host_does_not_do_is_refused(method: str) -> None:
    with pytest.raises(McpError) as caught:
        answer(Host(), method)
    assert caught.value.number == -32601


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"approve": 1}, "approve"),
        ({"elicitation": "x"}, "elicitation"),
        ({"log": 1}, "log"),
        ({"changed": 1}, "changed"),
        ({"sampling": "gpt"}, "sampling"),
        ({"sampling": Fake("x")}, "approve="),
        ({"log_level": "loud"}, "log_level"),
        ({"roots": "file:///a"}, "roots"),
        ({"roots": ["/a"]}, "file://"),
        ({"roots": [5]}, "file://"),
        ({"roots": 5}, "roots"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(options: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Host(**options)


def test_what_it_can_do_is_what_servers_are_told() -> None:
    assert Host().capabilities == {}
    host = Host(roots=[], sampling=lambda request: "x", elicitation=lambda asked: None)
    assert host.capabilities == {
        "roots": {}, "sampling": {"tools": {}}, "elicitation": {"form": {}, "url": {}},
    }  # fmt: skip


# What servers say.


def test_log_messages_and_changes_go_to_who_hears_them() -> None:
    logged: list[LogMessage] = []
    changed: list[Any] = []
    host = Host(log=logged.append, changed=lambda method, params: changed.append((method, params)))
    hear(host, "notifications/message", {"level": "error", "data": [1], "logger": "db"})
    hear(host, "notifications/message", {"level": 5})
    hear(host, "notifications/prompts/list_changed", {"a": 1})
    hear(host, "notifications/message", {"data": "x", "level": "debug"})
    assert logged == [LogMessage("error", [1], "db"), LogMessage("info", None), LogMessage("debug", "x")]
    assert changed == [("notifications/prompts/list_changed", {"a": 1})]
    hear(Host(), "notifications/message", {"level": "error"})
    hear(Host(), "notifications/resources/updated", {})


# Through a session.


def asking(*requests: tuple[str, str, Any]) -> ScriptedServer:
    """A server that asks before it answers a call, and does not wait long."""

    def call(params: Any) -> Any:
        for id, method, asked in requests:
            yield question(id, method, **asked)
        yield note("notifications/message", data="between")
        yield Pause(1)
        yield line({"id": 3, "result": text("done")})

    return ScriptedServer({"tools/call": call})


def test_answers_and_refusals_reach_the_server() -> None:
    form = {"message": "m", "requestedSchema": {}}
    server = asking(
        ("good", "elicitation/create", form),
        ("spoiled", "elicitation/create", {}),
        ("unknown", "x/y", {}),
        ("roots", "roots/list", {}),
    )
    session, world = session_with(server, host=Host(elicitation=lambda asked: True, roots=["/not a uri"][:0]))
    world.run(session.ready())
    assert world.run(session.call("t")).text == "done"
    answers = {one["id"]: one for one in server.answers}
    assert answers["good"]["result"] == {"action": "accept", "content": {}}
    assert answers["spoiled"]["error"]["code"] == -32602
    assert answers["unknown"]["error"]["code"] == -32601
    assert answers["roots"]["result"] == {"roots": []}


@pytest.mark.parametrize("given", [{"x": float("nan")}, {"x": object()}])
def test_what_json_cannot_say_is_an_error_to_the_server_and_not_silence(given: Any) -> None:
    server = asking(("e", "elicitation/create", {"message": "m", "requestedSchema": {}}))
    session, world = session_with(server, host=Host(elicitation=lambda asked: given))
    world.run(session.ready())
    assert world.run(session.call("t")).text == "done"
    (refused,) = server.answers
    assert (refused["id"], refused["error"]["code"]) == ("e", -32603)


def test_a_host_that_fails_is_an_error_to_the_server_that_tells_nothing_of_it() -> None:
    def fail(asked: Any) -> Any:
        raise ValueError("the password is 1234")

    server = asking(("e", "elicitation/create", {"message": "m", "requestedSchema": {}}))
    session, world = session_with(server, host=Host(elicitation=fail))
    world.run(session.ready())
    assert world.run(session.call("t")).text == "done"
    assert server.answers[0]["error"] == {"code": -32603, "message": "the client failed: ValueError"}


def test_in_the_modern_era_what_the_host_refuses_is_the_error_of_the_call() -> None:
    def call(params: Any) -> Any:
        return {"resultType": "input_required", "inputRequests": {"q": {"method": "roots/list"}}}

    session, world = session_with(ScriptedServer({"tools/call": call}, speaks="2026-07-28"))
    with pytest.raises(McpError, match="roots/list"):
        world.run(session.call("t"))
