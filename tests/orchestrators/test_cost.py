"""What a step of an agent costs, in function calls: a figure that no noisy machine can break."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

from tako.effects import Call, Entropy, Flow
from tako.models import ChatRequest, ChatResponse
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.base import Provider, Relay, as_they_are
from tako.tools import tool
from tests.orchestrators.kit import call, replied

CALLING = replied(call("1", "add", a=1, b=2), finish_reason="tool_calls")
DONE = replied("3")


class Instant(Provider):
    """A model that costs nothing: so many calls of a tool, and then an answer."""

    id = "instant"

    def __init__(self, calls: int) -> None:
        self._left = calls

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        self._left -= 1
        return CALLING if self._left >= 0 else DONE
        yield

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        return self.chat_flow(request)


@tool
def add(a: int, b: int) -> int:
    return a + b


def drive(flow: Flow[Any]) -> Any:
    """The least that a driver can do."""
    reply: Any = None
    try:
        while True:
            effect = flow.send(reply)
            if type(effect) is Call:
                reply = effect.function(*effect.arguments, **effect.keywords)
            else:
                assert type(effect) is Entropy
                reply = b"12345678"
    except StopIteration as stop:
        return stop.value


def function_calls(work: Callable[[], Any]) -> int:
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        if event == "call" or event == "c_call":
            count += 1

    gc.disable()  # or it calls back the weak references of other tests
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def agent_run(calls: int) -> Callable[[], Any]:
    agent = SingleAgent(Instant(calls), tools=[add], max_steps=1000)
    return lambda: drive(agent.flow("go"))


def test_an_agent_step_with_a_validated_call_is_at_most_75_function_calls() -> None:
    assert agent_run(3)().steps == 4  # and whatever is made at the first use is made now
    few, many = function_calls(agent_run(1)), function_calls(agent_run(11))
    assert (many - few) / 10 <= 75


def test_a_step_costs_the_same_however_long_the_conversation() -> None:
    agent_run(3)()
    short = function_calls(agent_run(20)) - function_calls(agent_run(10))
    long = function_calls(agent_run(210)) - function_calls(agent_run(200))
    assert short == long
