"""Directions: what is said to the next speaker when one has spoken and the run goes on.

They are said in the user's name, because a vendor takes no two turns of the assistant in a row; and marked,
because they are not the user's: who looks for the task passes over them, and over what an agent says of an
answer that does not fit its `output_type`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tako.models import Message, Role
from tako.orchestrators.agent_run import NOT_VALID
from tako.orchestrators.casting.verdict import verdict_of

if TYPE_CHECKING:
    from tako.orchestrators.agent_run import AgentRun
    from tako.orchestrators.casting.casting import Casting, Speaker
    from tako.orchestrators.casting.turns import Turns

__all__ = ["DIRECTION", "direction_after", "place_of_task", "task_of"]

DIRECTION = "[stage direction] "
LONGEST_REASON = 2000
"""Characters of what a judge says that the next speaker gets to read."""


def place_of_task(messages: Sequence[Message]) -> int | None:
    """Where that is what the user said last; None if the user has said nothing."""
    for place in range(len(messages) - 1, -1, -1):
        message = messages[place]
        if message.role is Role.USER and not message.text.startswith((DIRECTION, NOT_VALID)):
            return place
    return None


def task_of(messages: Sequence[Message]) -> str:
    """What the user said last."""
    place = place_of_task(messages)
    return "" if place is None else messages[place].text


def direction_after(casting: Casting, speaker: Speaker, run: AgentRun) -> str:
    """What the next speaker is told; "" if there is none, because that was the end."""
    if speaker.kind == "thinker":
        return f"What was just said is the advice of {speaker.name}, and not the answer. Go on with the task."
    if speaker.kind == "verifier":
        return _after_verdict(casting, speaker, run)
    assert run.turns is not None
    if too_low := _too_low(casting, run.turns):
        return too_low
    if not casting.is_checked:
        return ""
    return (
        f"What was just said is the answer of {speaker.name}. It is not final: it has to be checked, and may "
        "be made better."
    )


def _after_verdict(casting: Casting, speaker: Speaker, run: AgentRun) -> str:
    turns = run.turns
    assert turns is not None
    is_whole = run.stop_reason in ("stop", "other")  # of a verdict that was cut off nobody knows the rest
    verdict = verdict_of(_last_words(run)) if is_whole else None
    if not turns.has_answer:
        return f"{speaker.name} has spoken, but there is no answer yet that could be checked. Give one."
    if verdict is None:
        return (
            f"{speaker.name} has not said whether it accepts the answer, so it is not accepted. Go on, and "
            "take into account what it says."
        )
    if not verdict:
        return f"{speaker.name} does not accept the answer. Go on, and take its criticism into account."
    if turns.is_cut:
        return "The answer was cut off before its end, so it is not final. Give it again, and shorter."
    return _too_low(casting, turns)


def _too_low(casting: Casting, turns: Turns) -> str:
    """What is said about an answer that the judge gives less than is wanted."""
    if casting.min_confidence is None or turns.score is None or turns.score >= casting.min_confidence:
        return ""
    reason = f": {turns.score_reason[:LONGEST_REASON]}" if turns.score_reason else ""
    return (
        f"The answer was judged, and got {turns.score:.2f} where {casting.min_confidence:.2f} is wanted"
        f"{reason}\nGive a better one."
    )


def _last_words(run: AgentRun) -> str:
    """What was said last, which is several messages where the vendor paused in it."""
    texts: list[str] = []
    for message in reversed(run.messages):
        if message.role is not Role.ASSISTANT:
            break
        texts.append(message.text)
    return "".join(reversed(texts))
