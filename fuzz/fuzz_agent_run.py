"""Fuzz runs that were dumped: a text is a run that can go on, or InvalidInput.

Nothing else may be raised. Whatever was read can be asked, dumped, read again, answered and driven to an
end; and no text is read with a key but what was sealed with it.

`python fuzz/fuzz_agent_run.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import copy
import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.texts import Target, main
from tako.errors import InvalidInput, TakoError
from tako.models import ChatResponse, Message, ToolCallPart, ToolResultPart
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.agent_steps import Broken, ModelReplied, ToolReplied
from tako.orchestrators.decisions import Answered, Approved, Denied
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.providers.fake import Fake
from tako.steering import Steering
from tako.testing.simulator import Simulator
from tako.tools import Tool, tool

KEY = b"a key of sixteen bytes"


@tool(approval=True)
def pay(amount: int) -> str:
    return f"paid {amount}"


def unseen(event: object) -> None:
    """A trace that only has to be there."""


TOOLS = [pay, Tool.external("ask", "Ask a person.", {"type": "object"}), SubAgent(trace=unseen)]
AGENT = SingleAgent(Fake("done"), tools=TOOLS)


def call(id: str, name: str, **args: Any) -> ToolCallPart:
    return ToolCallPart(id=id, name=name, args=args)


def driven(*answers: Any) -> AgentRun:
    """Where a run stands that got these answers of the model."""
    run = Simulator().run(SingleAgent(Fake(script=list(answers)), tools=TOOLS), "go").run
    assert run is not None
    return run


def by_hand() -> list[AgentRun]:
    """The states in which no run is ever left, but in which it may be dumped."""
    asking, calling, checking = (AGENT.start("go", history=[Message.assistant("hm")]) for _ in range(3))
    calls = Message.assistant([call("1", "pay", amount=1), call("2", "pay", amount=2)])
    calling.feed(ModelReplied(ChatResponse(message=calls)))
    calling.feed(ToolReplied(ToolResultPart(id="2", name="pay", result="paid 2")))
    checking.feed(ModelReplied(ChatResponse(message=Message.assistant("{}")), wants_output=True))
    return [asking, calling, checking]


def seeds() -> list[AgentRun]:
    answered = driven([call("1", "pay", amount=5), call("2", "ask")])
    answered.answer("2", Answered(result={"a": [None, 1.5]}))
    below = driven(call("c", "agent", prompt="x"), [call("1", "pay", amount=5), call("2", "ask")])
    remembered = driven(call("1", "pay", amount=5))
    remembered.answer("1", Denied(remember=True))
    return [driven("done"), answered, below, remembered, *by_hand()]


SEEDS = [run.dumps() for run in seeds()]
TREES = [json.loads(text) for text in SEEDS]
VALUES: list[Any] = [None, True, 0, -1, 1, 10**9, 1.5, "", "1", "c", "1.0", "agent:c", "stop", "ended"]
VALUES += ["calling", "*", [], {}]


def check(text: str) -> None:
    check_sealed(text)
    try:
        run = AgentRun.loads(text)
    except InvalidInput:
        return
    again = AgentRun.loads(run.dumps())
    assert again.dumps() == run.dumps(), text
    sealed = AgentRun.loads(run.dumps(KEY), KEY)
    assert sealed.dumps() == run.dumps(), text
    assert type(run.next_step()) is type(again.copy().next_step()), text
    result = run.result(0.0)
    assert result.new_messages == run.new_messages and result.usage == run.usage and repr(result), text
    go_on(again, Broken("interrupted"))
    for decision in (Approved(remember=True), Denied(remember=True), Answered(result=1)):
        answer(sealed.copy(), decision)
    drive(sealed.copy(), None)
    drive(sealed, Steering())


def check_sealed(text: str) -> None:
    """Nobody without the key has written a run, and a seal over something else is none."""
    for sealed in (text, json.dumps({"sealed": 1, "seal": "0" * 64, "run": text})):
        try:
            AgentRun.loads(sealed, KEY)
        except InvalidInput:
            continue
        raise AssertionError(f"read with a key: {sealed}")


def go_on(run: AgentRun, outcome: Broken) -> None:
    """What has been stopped says so, and stays valid."""
    run.feed(outcome)
    assert run.is_finished
    AgentRun.loads(run.dumps())


def answer(run: AgentRun, decision: Approved | Denied | Answered) -> None:
    for pending in run.pending:
        try:
            run.answer(pending, decision)
        except InvalidInput:
            continue
    AgentRun.loads(run.dumps()).next_step()


def drive(run: AgentRun, steering: Steering | None) -> None:
    try:
        for event in Simulator().stream(AGENT, run, steering=steering):
            assert repr(event)
    except TakoError:
        pass  # a model that was asked with what it cannot be, a handle that was told to stop
    AgentRun.loads(run.dumps())


class Runs(Target):
    """Runs of which a few places have another value: nobody guesses a whole one."""

    def random_input(self, chance: random.Random) -> bytes:
        tree = json.loads(chance.choice(SEEDS))
        for _ in range(chance.randrange(4)):
            change(tree, chance)
        return json.dumps(tree).encode()

    def varied(self, data: bytes, chance: random.Random) -> bytes:
        try:
            tree = json.loads(data)
        except (ValueError, RecursionError):
            tree = None
        if not isinstance(tree, dict):
            return self.random_input(chance)
        change(tree, chance)
        return json.dumps(tree).encode()


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every value in it, as what holds it and where."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [place for key in keys for place in ((tree, key), *places(tree[key]))]


def change(tree: Any, chance: random.Random) -> None:
    """One value is another, one from elsewhere, gone, or there twice."""
    found = places(tree)
    if not found:
        return
    holder, key = chance.choice(found)
    other, where = chance.choice(places(chance.choice(TREES)))
    same = [other[where] for other, where in places(chance.choice(TREES)) if where == key]
    kind = chance.randrange(4)
    if kind == 0:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    elif kind == 1:
        holder[key] = copy.deepcopy(other[where])
    elif kind == 2 and same:
        holder[key] = copy.deepcopy(chance.choice(same))
    elif isinstance(holder, list) and chance.random() < 0.5:
        holder.append(copy.deepcopy(holder[key]))
    else:
        del holder[key]


if __name__ == "__main__":
    main(Runs(check, SEEDS), __doc__ or "")
