"""What was wrong with the first original for whoever ran any of its orchestrators, by number.

The defects of one orchestrator alone stand with its tests; those of providers and MCP servers with theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import tako
from tako import AbMcts, Conductor, Message, SelfCaller, SingleAgent, Tool, Trinity
from tako.effects import Flow, Sleep
from tako.errors import InvalidInput
from tako.mcp import Http
from tako.models import ChatRequest, ContentPart, Role
from tako.orchestrators.base import Orchestrator
from tako.providers import Fake, Mistral, Ollama, Provider, PythonProvider
from tako.testing import Simulator

PLAN = '{"dispatch": [{"worker": "w", "task": "go"}], "halt": false, "final_answer": null}'
DONE = '{"dispatch": [], "halt": true, "final_answer": "fine"}'

Make = Callable[..., Orchestrator[Any]]


def planning(request: ChatRequest) -> str:
    return DONE if "Worker results" in request.messages[-1].text else PLAN


MINDS: dict[str, Make] = {
    "single_agent": SingleAgent,
    "conductor": lambda model, **options: Conductor(Fake(script=planning), {"w": model}, **options),
    "trinity": lambda model, **options: Trinity({"r": model}, lambda task: "r", **options),
    "self_caller": lambda model, **options: SelfCaller(SingleAgent(model, **options), lambda text: 1.0),
    "ab_mcts": lambda model, **options: AbMcts(model, lambda text: 1.0, **options),
}
minds = pytest.mark.parametrize("make", MINDS.values(), ids=MINDS)


def _look(place: str) -> Flow[str]:
    """Look somewhere, which takes a second."""
    yield Sleep(1.0)
    return f"nothing in {place}"


look = Tool.from_flow(_look, name="look", read_only=True)


def looking(request: dict[str, Any]) -> Any:
    """Two calls in one answer, then words."""
    if request["messages"][-1]["role"] == "tool":
        return "fine"
    return {
        "message": {
            "role": "assistant",
            "content": [
                {"type": "tool_call", "id": str(n), "name": "look", "args": {"place": str(n)}} for n in (1, 2)
            ],
        }
    }


@minds
def test_defect_1_any_provider_will_do(make: Make) -> None:
    assert make(Ollama("llama3.2:11b"))


@minds
def test_defect_5_a_model_is_asked_by_its_whole_name(make: Make) -> None:
    asked: list[str] = []

    def model(request: ChatRequest) -> str:
        asked.append(request.model)
        return "fine"

    make(Fake(id="fake:ft:gpt-4o:acme::id", script=model)).run_sync("go")
    assert asked == ["ft:gpt-4o:acme::id"]


@minds
def test_defects_8_and_9_all_stream_with_await_or_without(make: Make) -> None:
    async def main() -> list[list[str]]:
        mind = make(Fake("fine"))
        async with mind.stream("go") as events:
            first = [event.kind async for event in events]
        return [first, [event.kind async for event in await mind.stream("go")]]

    first, second = asyncio.run(main())
    assert first == second
    assert first[-1] == "final"
    assert "assistant_text" in first


@minds
def test_defects_12_13_and_43_tools_are_functions_that_any_model_calls_side_by_side(make: Make) -> None:
    mind = make(PythonProvider("mine", chat=looking), tools=[look])
    simulator = Simulator()
    assert simulator.run(mind, "go").text == "fine"
    assert simulator.now == pytest.approx(1.0, abs=0.1)  # and not two
    with pytest.raises(InvalidInput, match="look"):
        make(Fake("fine"), tools=[look, look])


@minds
def test_defect_14_blocking_works_inside_a_running_loop(make: Make) -> None:
    async def later(request: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        return "fine"

    async def main() -> str:
        return make(PythonProvider("mine", chat=later)).run_sync("go").text  # and not a deadlock

    assert asyncio.run(main()) == "fine"


@minds
def test_defect_19_nothing_is_connected_before_it_is_needed(make: Make) -> None:
    mind = make(Fake("fine"), mcp_servers=[Http("http://127.0.0.1:9/mcp")])
    try:
        failed = str(mind.run_sync("go", timeout=5).rounds[0].results[0].error)  # what a coordinator is told
    except tako.TakoError as error:
        failed = error.message
    assert "127.0.0.1" in failed


@minds
def test_defects_6_and_7_an_error_is_data_and_is_a_value_error_too(make: Make) -> None:
    overloaded = tako.ProviderError("overloaded", status=529, code="overloaded_error", request_id="req_1")
    try:
        result = make(Fake(script=[overloaded])).run_sync("go")
    except ValueError as error:
        assert isinstance(error, tako.ProviderError)
        assert (error.status, error.code, error.request_id) == (529, "overloaded_error", "req_1")
        assert error.partial.new_messages[0] == Message.user("go")
    else:  # a worker's failure is what the coordinator is told
        assert "overloaded" in str(result.rounds[0].results[0].error)


@minds
def test_defect_10_a_run_takes_a_conversation_and_not_a_text_alone(make: Make) -> None:
    told: list[ChatRequest] = []

    def model(request: ChatRequest) -> str:
        told.append(request)
        return "fine"

    picture = Message.user([ContentPart.text("What is it?"), ContentPart.image(b"png", "image/png")])
    history = [Message.user("Hello"), Message.assistant("Hi.")]
    make(Fake(script=model)).run_sync([picture], history=history, tenant_id="t", user_id="u")
    assert any(part.type == "image" for message in told[0].messages for part in message.content)
    assert all(message.role is not Role.SYSTEM or message.text for message in told[0].messages)


def test_defects_11_and_17_a_provider_can_be_asked_by_itself_and_mistral_is_one() -> None:
    request = ChatRequest(messages=[Message.user("go")])
    model: Provider = Fake("fine")
    assert model.chat_sync(request).text == "fine"
    with model.stream_sync(request) as chunks:
        assert "".join([chunk.text for chunk in chunks if chunk.kind == "delta"]) == "fine"
    assert Mistral("mistral-small", "key").id == "mistral:mistral-small"
