"""MCP servers and a journal: what tools they had is in it, so a replay reaches nobody."""

from __future__ import annotations

from typing import Any

import pytest

from tako.errors import InvalidInput, ToolError
from tako.journal import Journal
from tako.orchestrators.single_agent import SingleAgent
from tests.mcp.kit import At, ScriptedServer, World, line, note, text, tool
from tests.orchestrators.kit import Recorded, call, replied, results

SCRIPT = (replied(call("1", "search", q="sea")), replied(call("2", "search", q="sky")), replied("done"))


def served(tools: list[Any]) -> ScriptedServer:
    """A server that has one tool more once it was called."""

    def called(params: Any) -> Any:
        if len(tools) == 1:
            tools.append(tool("fetch"))
            yield note("notifications/tools/list_changed")
        yield line({"id": server.heard[-1]["id"], "result": text("found")})

    server = ScriptedServer({"tools/list": lambda params: {"tools": list(tools)}, "tools/call": called})
    return server


def agent(*script: Any, **options: Any) -> SingleAgent[Any]:
    return SingleAgent(Recorded(*script), mcp_servers=[At("one", **options)])


def names(agent: SingleAgent[Any]) -> list[list[str]]:
    return [[schema.name for schema in request.tools] for request in agent.provider.requests]  # type: ignore[attr-defined]


def test_a_replay_connects_to_no_server() -> None:
    journal, world, nobody = Journal.memory(), World(one=served([tool("search")])), World()
    first = agent(*SCRIPT)
    expected = world.run(first.flow("go", journal=journal))
    assert names(first) == [["search"], ["fetch", "search"], ["fetch", "search"]]
    assert [part.result for part in results(expected.new_messages)] == ["found", "found"]
    assert nobody.run(agent("?").flow("go", journal=Journal.replay(journal))) == expected
    assert nobody.run(agent("?").flow("go", journal=journal)) == expected
    assert nobody.opened == []


def test_a_killed_run_goes_on_with_the_tools_that_it_had() -> None:
    """By then the server has others from the start, which the run hears of when it asks for them anew."""
    journal, world = Journal.memory(), World(one=served([tool("search")]))
    expected = world.run(agent(*SCRIPT).flow("go", journal=journal))
    lines = journal._store.lines
    for kept in range(len(lines) + 1):
        left, again = Journal.memory(lines[:kept]), World(one=served([tool("search"), tool("fetch")]))
        rest = agent(*SCRIPT[len(left.steps()) :], "?")
        result = again.run(rest.flow("go", journal=left))
        assert result.new_messages == expected.new_messages
        assert len(names(rest)) == 3 - min(
            3, len([line for line in lines[:kept] if b'"kind":"model"' in line])
        )


def test_a_tool_of_a_kept_list_is_called_when_the_server_has_passed_its_check() -> None:
    """The list is that of yesterday; whoever may not be called today is not."""
    journal, world = Journal.memory(), World(one=served([tool("search")]))
    world.run(agent(*SCRIPT).flow("go", journal=journal))
    lines = journal._store.lines
    cut = next(place for place, line in enumerate(lines) if b'"kind":"tool"' in line)

    def check(tools: Any) -> None:
        raise ToolError("these tools are not those that were agreed on")

    server = served([tool("search")])
    rest = agent(*SCRIPT[1:], check=check)
    with pytest.raises((ToolError, InvalidInput), match="agreed on"):
        World(one=server).run(rest.flow("go", journal=Journal.memory(lines[:cut])))
    assert server.asked("tools/call") == []
