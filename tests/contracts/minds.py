"""The orchestrators that the contracts are held to, on models that answer alike every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tako import AbMcts, Conductor, SelfCaller, SingleAgent, Trinity, tool
from tako.errors import ProviderError
from tako.models import ChatRequest, ContentPart, Role
from tako.orchestrators.base import Orchestrator
from tako.providers import Fake, Provider

__all__ = ["MINDS", "Cast", "Make"]


class Cast:
    """Makes the models of a mind: how long each takes, and after how many calls each fails."""

    def __init__(self, *, delay_ms: float = 0, fails_after: int | None = None) -> None:
        self.models: list[Fake] = []
        self._delay = delay_ms
        self._fails_after = fails_after

    def model(self, script: Callable[[ChatRequest], Any], id: str = "fake:test") -> Fake:
        def reply(request: ChatRequest) -> Any:
            if self._fails_after is not None and made.call_count > self._fails_after:
                return ProviderError("overloaded", status=500)
            return script(request)

        made = Fake(script=reply, delay_ms=self._delay, id=id)
        self.models.append(made)
        return made

    @property
    def calls(self) -> int:
        """How often any of them was called."""
        return sum(model.call_count for model in self.models)


Make = Callable[[Cast], Orchestrator[Any]]


@tool(read_only=True)
def look(text: str = "") -> str:
    """Only looks."""
    return f"seen {text}"


def ask_and_answer(request: ChatRequest) -> Any:
    """Call the tool once, then answer."""
    if request.messages[-1].role is Role.TOOL or not request.tools:
        return f"answer to {len(request.messages)} messages, after a look"
    return [
        ContentPart.text("I look."),
        ContentPart.tool_call(f"c{len(request.messages)}", "look", {"text": "around"}),
    ]


def plan(request: ChatRequest) -> str:
    """Two workers, then the answer."""
    if any("Worker results" in message.text for message in request.messages):
        return json.dumps(
            {"thought": "done", "dispatch": [], "halt": True, "final_answer": "Both have spoken."}
        )
    dispatch = [{"worker": "one", "task": "first"}, {"worker": "two", "task": "second"}]
    return json.dumps({"thought": "both", "dispatch": dispatch, "halt": False, "final_answer": None})


def single_agent(cast: Cast) -> SingleAgent:
    models = [cast.model(ask_and_answer, f"fake:{number}") for number in range(2)]
    return SingleAgent(
        models[0], candidates=models[1:], router=lambda situation: situation.step % 2, tools=[look]
    )


def conductor(cast: Cast) -> Conductor:
    workers: dict[str, Provider | Orchestrator[Any]] = {
        "one": cast.model(ask_and_answer, "fake:one"),
        "two": SingleAgent(cast.model(ask_and_answer, "fake:two"), tools=[look]),
    }
    # One at a time, so that the order of events does not depend on the driver.
    return Conductor(cast.model(plan), workers, tools=[look], max_fanout=1, verifier=lambda task, text: 0.5)


def trinity(cast: Cast) -> Trinity:
    return Trinity(
        {
            "first": cast.model(ask_and_answer, "fake:first"),
            "second": cast.model(ask_and_answer, "fake:second"),
        },
        lambda situation: "second" if situation.step > 1 else "first",
        tools=[look],
        verifier=lambda text: 1.0,
    )


def self_caller(cast: Cast) -> SelfCaller:
    inner = SingleAgent(cast.model(ask_and_answer), tools=[look])
    return SelfCaller(SelfCaller(inner, lambda text: 0.1, max_depth=1), lambda text: 0.2, max_depth=2)


def ab_mcts(cast: Cast) -> AbMcts:
    return AbMcts(
        cast.model(ask_and_answer, "fake:left"),
        candidates=[cast.model(ask_and_answer, "fake:right")],
        verifier=lambda task, text: (len(text) * 7 % 10) / 20,
        tools=[look],
        max_iterations=4,
        seed=7,
    )


def nested(cast: Cast) -> Conductor:
    workers: dict[str, Provider | Orchestrator[Any]] = {"one": trinity(cast), "two": self_caller(cast)}
    return Conductor(cast.model(plan), workers, max_fanout=1)


def as_a_tool(cast: Cast) -> SingleAgent:
    """Whose tool is a search."""

    def ask(request: ChatRequest) -> Any:
        if request.messages[-1].role is Role.TOOL:
            return "As the search says."
        return [ContentPart.tool_call("s", "search", {"prompt": "find it"})]

    search = ab_mcts(cast).as_tool(name="search", description="Search for an answer.")
    return SingleAgent(cast.model(ask), tools=[search])


MINDS: dict[str, Make] = {
    "single_agent": single_agent,
    "conductor": conductor,
    "trinity": trinity,
    "self_caller": self_caller,
    "ab_mcts": ab_mcts,
    "nested": nested,
    "as_a_tool": as_a_tool,
}
