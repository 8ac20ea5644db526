"""The strategies make what they promise, and reach the corners that they are for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from tako.models import ChatResponse, ImagePart, Message, Role, ThinkingPart
from tako.testing import Faults, strategies


def reaches(strategy: st.SearchStrategy[Any], condition: Callable[[Any], bool]) -> bool:
    """Whether an example is found that satisfies the condition."""
    quick = settings(
        max_examples=2000, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
    )
    try:
        find(strategy, condition, settings=quick)
    except NoSuchExample:
        return False
    return True


@given(st.data(), st.binary(max_size=40))
def test_cuts_are_the_data_in_pieces(data: st.DataObject, body: bytes) -> None:
    pieces = data.draw(strategies.cuts(body))
    assert b"".join(pieces) == body
    assert all(pieces)


def test_cuts_reach_every_place_the_whole_and_single_bytes() -> None:
    body = b"abcdef"
    for place in range(1, len(body)):
        assert reaches(
            strategies.cuts(body), lambda pieces, place=place: pieces == [body[:place], body[place:]]
        )
    assert reaches(strategies.cuts(body), lambda pieces: pieces == [body])
    assert reaches(strategies.cuts(body), lambda pieces: len(pieces) == len(body))


def test_texts_can_be_encoded() -> None:
    assert not reaches(
        strategies.texts(), lambda text: any("\ud800" <= letter <= "\udfff" for letter in text)
    )


@pytest.mark.parametrize("awkward", ["\u2028", "\x00", "\U0001f419", "\ufeff"])
def test_texts_reach_what_breaks_careless_readers(awkward: str) -> None:
    assert reaches(strategies.texts(), lambda text: awkward in text and text != awkward)


@given(strategies.json_values())
def test_json_values_are_json(value: Any) -> None:
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@settings(max_examples=50)
@given(strategies.conversations(max_turns=2))
def test_conversations_survive_their_json(messages: list[Message]) -> None:
    for message in messages:
        assert Message.model_validate_json(message.model_dump_json()) == message


@pytest.mark.parametrize(
    "condition",
    [
        lambda messages: any(len(message.tool_calls) > 1 for message in messages),
        lambda messages: any(isinstance(part, ThinkingPart) for m in messages for part in m.content),
        lambda messages: any(isinstance(part, ImagePart) for m in messages for part in m.content),
        lambda messages: any("\u2028" in message.text for message in messages),
        lambda messages: messages[0].role is Role.SYSTEM,
        lambda messages: messages[-1].role is Role.TOOL,
        lambda messages: messages[-1].role is Role.ASSISTANT,
        lambda messages: [m.role for m in messages].count(Role.ASSISTANT) > 3,
    ],
)
def test_conversations_reach_their_corners(condition: Callable[[list[Message]], bool]) -> None:
    assert reaches(strategies.conversations(), condition)


@settings(max_examples=50)
@given(strategies.faults(body_size=9, max_seconds=2.0))
def test_faults_keep_their_bounds(faults: Faults) -> None:
    assert faults.cancel_at is faults.cancel_after is faults.cancel_during is None
    for place in (faults.reset_at, faults.truncate_at, faults.garbage_at):
        assert place is None or place <= 9
    assert (
        max(faults.delay, faults.jitter, faults.slow_reader, faults.connect_delay, faults.call_seconds) <= 2.0
    )


def test_faults_shrink_to_none() -> None:
    plain = find(strategies.faults(cancel=True), lambda faults: True)
    assert plain == Faults(garbage=plain.garbage)


@pytest.mark.parametrize("name", ["cancel_at", "cancel_after", "cancel_during"])
def test_faults_reach_every_kind_of_cancelling(name: str) -> None:
    assert reaches(strategies.faults(cancel=True), lambda faults: getattr(faults, name) is not None)


@settings(max_examples=50)
@given(strategies.responses(), strategies.hostile_bytes(max_size=50))
def test_responses_say_why_they_ended_and_hostile_bytes_keep_their_bound(
    response: ChatResponse, data: bytes
) -> None:
    assert (response.finish_reason == "tool_calls") == bool(response.message.tool_calls)
    assert len(data) <= 50


def test_without_hypothesis_one_is_told_what_to_install() -> None:
    code = "import sys; sys.modules['hypothesis'] = None; import tako.testing; tako.testing.strategies"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install tako-sansio[testing]" in done.stderr


def test_the_kit_loads_nothing_that_was_not_asked_for() -> None:
    code = (
        "import sys, tako.testing as t; t.Playbook; t.ANY; dir(t)\n"
        "assert not {'hypothesis', 'pydantic', 'tako.testing.simulator'} & set(sys.modules)\n"
        "assert set(t.__all__) == set(dir(t)) and all(getattr(t, name) is not None for name in t.__all__)\n"
        "try: t.nonsense\nexcept AttributeError as error: assert 'nonsense' in str(error)\n"
        "else: raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
