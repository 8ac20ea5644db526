"""A run as text that somebody else holds: a seal that only the key can make."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.decisions import Approved
from tako.orchestrators.single_agent import SingleAgent
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
    if key != 5:
        with pytest.raises(InvalidInput, match=words):
            AGENT.load(SEALED, key)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", b"\xff", '{"sealed":1,"seal":"é","run":"x"}'])
def test_what_is_no_run_is_refused(text: str | bytes) -> None:
    for key in (None, KEY):
        with pytest.raises(InvalidInput):
            AGENT.load(text, key)
