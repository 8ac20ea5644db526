"""A run as text that somebody else holds: a seal that only the key can make."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.orchestrators.agent_run import AgentRun, RunOptions
from tako.orchestrators.decisions import Approved
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.providers.fake import Fake
from tako.testing.simulator import Simulator
from tako.tools import tool
from tests.orchestrators.kit import call

KEY, OTHER = b"a key of sixteen bytes", "another key of many bytes"


@tool(approval=True)
def pay(amount: int) -> str:
    return f"paid {amount}"


AGENT = SingleAgent(Fake("done"), tools=[pay])


def paused() -> AgentRun:
    run = (
        Simulator().run(SingleAgent(Fake(script=[call("1", "pay", amount=5), "done"]), tools=[pay]), "go").run
    )
    assert run is not None and run.pending
    return run


SEALED = paused().dumps(KEY)


def test_a_sealed_run_comes_back_with_its_key() -> None:
    run = AGENT.load(SEALED, KEY)
    assert run.dumps() == paused().dumps()
    run.answer("1", Approved())
    assert Simulator().run(AGENT, AGENT.load(run.dumps(KEY), KEY)).text == "done"


def test_keys_can_be_changed_while_runs_are_under_way() -> None:
    assert AGENT.load(SEALED, [OTHER, KEY]).pending
    assert AGENT.load(paused().dumps(OTHER), [OTHER, KEY]).pending
    with pytest.raises(InvalidInput, match="the seal of this run is not right"):
        AGENT.load(SEALED, [OTHER])


@given(st.integers(0, len(SEALED) - 1), st.characters(codec="utf-8"))
def test_no_character_of_a_sealed_run_can_be_changed(place: int, character: str) -> None:
    changed = SEALED[:place] + character + SEALED[place + 1 :]
    try:
        same = json.loads(changed) == json.loads(SEALED)
    except ValueError:
        same = False
    if same:  # the same text, escaped in another way
        assert AGENT.load(changed, KEY).pending
    else:
        with pytest.raises(InvalidInput):
            AGENT.load(changed, KEY)


def test_a_run_whose_seal_was_taken_off_is_refused() -> None:
    for text in (paused().dumps(), json.loads(SEALED)["run"]):
        with pytest.raises(InvalidInput, match="this run is not sealed, and a key was given"):
            AGENT.load(text, KEY)


def test_a_sealed_run_is_not_read_without_its_key() -> None:
    with pytest.raises(InvalidInput, match="this run is sealed; load it with the key"):
        AGENT.load(SEALED)


def test_a_seal_of_something_else_is_none() -> None:
    """The same key may be used for other things: what it seals there opens nothing here."""
    import hashlib
    import hmac

    text = paused().dumps()
    seal = hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
    with pytest.raises(InvalidInput, match="the seal of this run is not right"):
        AGENT.load(json.dumps({"sealed": 1, "seal": seal, "run": text}), KEY)


@pytest.mark.parametrize(
    ("key", "words"),
    [("short", "at least 16 bytes"), (b"", "at least 16 bytes"), (5, "text or bytes, not int")],
)
def test_a_key_that_is_none_is_refused(key: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        paused().dumps(key)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=words):
        AGENT.load(SEALED, key)  # type: ignore[arg-type]


def test_a_key_of_sixteen_bytes_is_long_enough() -> None:
    assert AGENT.load(paused().dumps("k" * 16), "k" * 16).pending


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", b"\xff", '{"sealed":1,"seal":"é","run":"x"}'])
def test_what_is_no_run_is_refused(text: str | bytes) -> None:
    for key in (None, KEY):
        with pytest.raises(InvalidInput):
            AGENT.load(text, key)


# What cannot have been dumped, and what was dumped long ago.


def child_paused() -> AgentRun:
    model = Fake(script=[call("c", "agent", prompt="x"), call("1", "pay", amount=5), "done"])
    run = Simulator().run(SingleAgent(model, tools=[pay, SubAgent(trace=print)]), "go").run
    assert run is not None and run.pending[0].path == ("agent:c",)
    return run


def other_path(run: Any) -> None:
    run["pending"][0]["path"] = ["agent:d"]


def other_call(run: Any) -> None:
    run["pending"][0]["call"]["args"] = {"amount": 500}


def nobody_below(run: Any) -> None:
    run["suspended"] = {}


def below_waits_for_nothing(run: Any) -> None:
    run["suspended"]["c"]["pending"] = []


def child_that_contradicts_itself(run: Any) -> None:
    run["suspended"]["c"]["history_size"] = 99


def calls_that_nobody_made(run: Any) -> None:
    run["suspended"]["d"] = run["suspended"]["c"]


def shows_what_nobody_called(run: Any) -> None:
    run["unshown"] = ["d"]


def answer_of_nobody(run: Any) -> None:
    result = {"type": "tool_result", "id": "c", "name": "agent", "result": "done"}
    run["results"], run["unshown"] = {"c": result}, ["c"]


def calls_with_one_id(run: Any) -> None:
    run["calls"] *= 2
    run["messages"][-1]["content"] *= 2


def rejections_below_none(run: Any) -> None:
    run["rejections"] = -1


def place_that_is_none(run: Any) -> None:
    run["sub_agents"] = {"one": run["sub_agents"]["1.0"]}


def calls_left_open(run: Any) -> None:
    run["calls"], run["suspended"], run["pending"] = [], {}, []


def asking_and_waiting(run: Any) -> None:
    run["state"] = "calling"


def steps_below_none(run: Any) -> None:
    run["step"] = -1


@pytest.mark.parametrize(
    "change",
    [
        other_path,
        other_call,
        nobody_below,
        below_waits_for_nothing,
        child_that_contradicts_itself,
        calls_that_nobody_made,
        shows_what_nobody_called,
        answer_of_nobody,
        calls_with_one_id,
        rejections_below_none,
        place_that_is_none,
        calls_left_open,
        asking_and_waiting,
        steps_below_none,
    ],
)
def test_a_state_that_no_run_can_be_in_is_refused(change: Callable[[Any], None]) -> None:
    data = json.loads(child_paused().dumps())
    AGENT.load(json.dumps(data))
    change(data)
    with pytest.raises(InvalidInput, match="this is not a run that was dumped"):
        AGENT.load(json.dumps(data))


def other_call_of_ours(run: Any) -> None:
    run["pending"][0]["call"]["args"] = {"amount": 500}


def nothing_pending(run: Any) -> None:
    run["pending"], run["stop_reason"] = [], "stop"


@pytest.mark.parametrize("change", [other_call_of_ours, nothing_pending])
def test_what_waits_is_what_was_called(change: Callable[[Any], None]) -> None:
    data = json.loads(paused().dumps())
    change(data)
    with pytest.raises(InvalidInput, match="its fields contradict each other"):
        AGENT.load(json.dumps(data))


def test_a_run_that_was_dumped_before_there_were_so_many_fields_still_loads() -> None:
    question = {"role": "user", "content": [{"type": "text", "text": "go"}]}
    asked = {"type": "tool_call", "id": "1", "name": "pay", "args": {"amount": 5}}
    old = {
        "options": {},
        "messages": [question, {"role": "assistant", "content": [asked]}],
        "state": "ended",
        "step": 1,
        "calls": [asked],
        "pending": [{"call": asked, "waits_for": "approval"}],
        "stop_reason": "approval_required",
    }
    run = AGENT.load(json.dumps(old))
    assert run.options == RunOptions()
    run.answer(run.pending[0], Approved())
    result = Simulator().run(AGENT, run)
    assert (result.text, result.steps) == ("done", 2)


def nested(depth: int) -> str:
    """A run in which sub-agents stand that deep in each other, as nobody ever let them."""
    text = '{"options":{},"state":"asking"}'
    asked = '{"type":"tool_call","id":"c","name":"agent","args":{}}'
    said = f'{{"role":"assistant","content":[{asked}]}}'
    for _ in range(depth):
        text = (
            f'{{"options":{{}},"state":"calling","messages":[{said}],"calls":[{asked}],'
            f'"suspended":{{"c":{text}}}}}'
        )
    return text


def test_sub_agents_that_stand_too_deep_are_refused_and_nothing_overflows() -> None:
    assert AGENT.load(nested(20)).suspended("c") is not None
    with pytest.raises(InvalidInput, match="recursion limit"):
        AGENT.load(nested(400))


def test_a_run_that_holds_something_else_than_json_says_so() -> None:
    run = SingleAgent(Fake(), extra={"handle": object()}).start("go")
    with pytest.raises(InvalidInput, match="something in it is not JSON"):
        run.dumps()
