"""What the tests of the Conductor share: short ways to write what a coordinator says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tako.events import AssistantText, SubAgentEvent

__all__ = ["answer", "deltas", "own", "plan"]


def plan(*tasks: tuple[str, str] | dict[str, Any], **more: Any) -> str:
    """A plan with these tasks, in the documented shape."""
    dispatch = [one if isinstance(one, dict) else {"worker": one[0], "task": one[1]} for one in tasks]
    return json.dumps({"thought": "so", "dispatch": dispatch, "halt": False, "final_answer": None, **more})


def answer(text: str) -> str:
    """The plan that ends a run."""
    return json.dumps({"thought": "done", "dispatch": [], "halt": True, "final_answer": text})


def own(events: Sequence[Any]) -> list[Any]:
    """The events of the Conductor itself."""
    return [event for event in events if not isinstance(event, SubAgentEvent)]


def deltas(events: Sequence[Any]) -> str:
    """What was told as the answer of the run."""
    return "".join([event.delta for event in events if isinstance(event, AssistantText)])
