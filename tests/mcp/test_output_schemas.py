"""What a tool gives is held to its output schema, and what a person fills in to the form of the server."""

from __future__ import annotations

from typing import Any

import pytest

from tako import SingleAgent
from tako.errors import InvalidInput, ProtocolError
from tako.mcp import Host, McpError, Session
from tako.testing import Simulator
from tests.mcp.kit import At, ScriptedServer, World, line, note, session_with, text, tool
from tests.orchestrators.kit import Recorded, call, replied, results

MODERN = "2026-07-28"
WEATHER = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "degrees": {"type": "number"}},
    "required": ["place", "degrees"],
}
FINE = {"place": "Kyoto", "degrees": 21.5}


def weather_server(
    given: Any, *, schema: Any = WEATHER, speaks: str = "2025-11-25"
) -> tuple[Session, World, ScriptedServer]:
    handlers = {
        "tools/list": lambda params: {"tools": [tool("weather", outputSchema=schema), tool("free")]},
        "tools/call": given if callable(given) else lambda params: given,
    }
    server = ScriptedServer(handlers, speaks=speaks)
    session, world = session_with(server)
    return session, world, server


@pytest.mark.parametrize("speaks", ["2025-06-18", "2025-11-25", MODERN])
@pytest.mark.parametrize(
    ("result", "words"),
    [
        (text("?", structuredContent={**FINE, "degrees": "warm"}), "/degrees: should be a number, not text"),
        (text("?", structuredContent={"place": "Kyoto"}), 'the value lacks "degrees"'),
        (text("?", structuredContent=None), "should be an object, not null"),
        (text("?"), "is missing, though it has an output schema"),
    ],
)
def test_a_result_that_does_not_fit_is_the_servers_error(speaks: str, result: Any, words: str) -> None:
    session, world, _ = weather_server(result, speaks=speaks)
    world.run(session.tools())
    with pytest.raises(ProtocolError) as caught:
        world.run(session.call("weather"))
    assert words in caught.value.message
    assert "'weather'" in caught.value.message
    assert caught.value.partial.text == "?"
    assert world.run(session.call("free")).text == "?"


@pytest.mark.parametrize(
    "result",
    [text("21", structuredContent=FINE), text("no such place", isError=True), text("", isError=True)],
)
def test_a_result_that_fits_and_an_error_are_given(result: Any) -> None:
    session, world, _ = weather_server(result)
    world.run(session.tools())
    for _ in range(2):
        assert world.run(session.call("weather")).raw == result


def test_null_is_a_value_if_the_schema_says_so() -> None:
    session, world, _ = weather_server(
        text("", structuredContent=None), schema={"type": "null"}, speaks=MODERN
    )
    world.run(session.tools())
    assert world.run(session.call("weather")).structured is None


def test_what_is_not_known_of_a_tool_is_not_asked_for() -> None:
    session, world, server = weather_server(text("21"))
    assert world.run(session.call("weather")).text == "21"
    assert server.methods.count("tools/list") == 0


def test_a_schema_that_is_wrong_is_said_to_be() -> None:
    session, world, _ = weather_server(text("", structuredContent=1), schema={"type": "whole"})
    world.run(session.tools())
    for _ in range(2):
        with pytest.raises(ProtocolError, match=r"'weather' .* the schema is wrong at /type"):
            world.run(session.call("weather"))


def test_a_schema_that_changes_while_the_tool_works_says_nothing_of_its_result() -> None:
    def changing(params: Any) -> Any:
        yield note("notifications/tools/list_changed")
        yield line({"id": 4, "result": text("21")})

    session, world, _ = weather_server(changing)
    world.run(session.tools())
    assert world.run(session.call("weather")).text == "21"


def test_for_an_agent_it_is_an_error_result_and_it_goes_on() -> None:
    answer = text("?", structuredContent={"place": 3, "degrees": 1})
    _, _, server = weather_server(answer)
    provider = Recorded(replied(call("1", "weather")), replied("done"))
    result = World(scripted=server).run(SingleAgent(provider, mcp_servers=[At()]).flow("go"))
    (part,) = results(result.new_messages)
    assert part.is_error
    assert "/place: should be text, not a number" in str(part.result)
    assert result.text == "done"


FORM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


def elicited(given: Any, form: Any = FORM) -> Any:
    host = Host(elicitation=lambda asked: given)
    return Simulator().run(host.answer("elicitation/create", {"message": "who?", "requestedSchema": form}))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": 3}, "/name: should be text, not a number"),
        ({"name": "Ada", "age": "old"}, "/age: should be a whole number, not text"),
        ({"name": "Ada", "age": {7}}, "/age: should be JSON, which has no set"),
    ],
)
def test_a_form_that_is_filled_in_wrongly_is_the_programs_error(given: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        elicited(given)
    assert words in caught.value.message


def test_a_form_that_is_none_is_refused() -> None:
    with pytest.raises(
        McpError, match="requestedSchema: the schema is wrong at /properties/a/type"
    ) as caught:
        elicited({"a": 1}, {"type": "object", "properties": {"a": {"type": "date"}}})
    assert caught.value.number == -32602
