"""What somebody meets first: configs as they are shown, and what is said to one who holds them wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tako.errors import InvalidInput, TimedOut, TransportError
from tako.mcp import BlockingSession, Grpc, Host, Http, Stdio, WebSocket, connect
from tests.mcp.kit import At, ScriptedServer, dies, line, note, session_with, text

PEM = "-----BEGIN secret-----"
SECRETIVE = [
    Stdio("server", ["--key", "secret"], env={"KEY": "secret"}),
    Stdio("mcp-server-postgres", ["postgresql://user:secret@host/db"]),
    Stdio("npx", ["--token", "secret", "server"]),
    Http("https://example.com/mcp?key=secret", headers={"authorization": "Bearer secret"}),
    WebSocket("wss://example.com/mcp?key=secret", headers={"authorization": "Bearer secret"}),
    Grpc("example.com:1", ca_pem=PEM, client_cert_pem=PEM, client_key_pem=PEM),
]


@pytest.mark.parametrize("server", SECRETIVE, ids=lambda server: str(server.label))
def test_no_secret_is_shown(server: Any) -> None:
    shown = f"{server!r} {server.label} {connect(server)!r}"
    assert "secret" not in shown
    assert server.label in repr(server) or isinstance(server, Http)


@pytest.mark.parametrize(
    ("command", "args", "label"),
    [
        ("/usr/bin/python3.11", ["/srv/server.py", "--key", "x"], "python3.11 server.py"),
        ("python", ["-u", "-m", "my.server"], "python my.server"),
        ("npx", ["-y", "@scope/server-files", "/srv"], "npx server-files"),
        ("uvx", ["mcp-server-time"], "uvx mcp-server-time"),
        ("python", ["-c", "import server"], "python"),
        ("my-server", ["token"], "my-server"),
    ],
)
def test_a_launcher_is_called_by_what_it_launches(command: str, args: list[str], label: str) -> None:
    assert Stdio(command, args).label == f"the MCP server {label!r}"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"arguments": ["a"]}, "arguments should be a mapping of names to values, not list"),
    ({"timeout": 0}, "timeout should be a positive number of seconds or None, not 0"),
    ({"timeout": float("nan")}, "timeout should be a positive number"),
    ({"timeout": "3"}, "timeout should be a positive number of seconds or None, not '3'"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_what_a_call_cannot_take_is_named_and_nothing_is_sent(options: Any, words: str) -> None:
    server = ScriptedServer({"tools/call": lambda params: text("done")})
    session, world = session_with(server)
    world.run(session.ready())
    with pytest.raises(InvalidInput, match=words):
        world.run(session.call("search", **options))
    assert "tools/call" not in server.methods


def test_a_listener_that_cannot_be_called_is_refused() -> None:
    blocking = BlockingSession(session_with(ScriptedServer())[0], None)
    with pytest.raises(InvalidInput, match="on_progress should be a function, not int"):
        blocking.call("search", on_progress=3)  # type: ignore[arg-type]


def test_one_who_forgot_the_with_is_told_so() -> None:
    connection: Any = connect(At())
    with pytest.raises(AttributeError, match="has no 'call'; a session has: with connect"):
        connection.call("search")
    with pytest.raises(AttributeError, match=r"has no 'nonsense'$"):
        _ = connection.nonsense


def _silent(params: Any) -> Any:
    yield b"Listening on port 8000\n"


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        (
            _silent,
            TimedOut,
            r"the MCP server 'scripted' was silent for 3 seconds; .*'Listening on port 8000'",
        ),
        (lambda params: dies(), TransportError, r"^the MCP server 'scripted' is gone: "),
    ],
    ids=["silent", "dead"],
)
def test_a_failure_names_the_server(answers: Callable[..., Any], error: Any, words: str) -> None:
    session, world = session_with(ScriptedServer({"tools/call": answers}))
    with pytest.raises(error, match=words):
        world.run(session.call("search", timeout=3.0))


def test_what_is_said_after_a_question_was_answered_is_heard_before_the_result_is_given() -> None:
    def lend(params: Any) -> Any:
        if "inputResponses" not in params:
            wanted = {"method": "elicitation/create", "params": {"message": "Really?", "requestedSchema": {}}}
            return {"resultType": "input_required", "inputRequests": {"sure": wanted}}

        def logged() -> Any:
            yield note("notifications/message", level="info", data="it is lent")
            yield line({"id": server.heard[-1]["id"], "result": text("yours", resultType="complete")})

        return logged()

    heard: list[str] = []
    server = ScriptedServer({"tools/call": lend}, speaks="2026-07-28")
    host = Host(elicitation=lambda question: True, log=lambda message: heard.append(message.data))
    session, world = session_with(server, host=host)
    assert world.run(session.call("lend")).text == "yours"
    assert heard == ["it is lent"]
