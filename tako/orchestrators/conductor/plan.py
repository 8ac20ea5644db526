"""Plan: what a coordinator wants, read out of what it said.

The shape that is documented, and that the model is told:

    {"thought": "...",
     "dispatch": [{"worker": "code", "task": "...", "tools": ["read"], "sees": [1]}],
     "join": "all", "halt": false, "final_answer": null}

| key          | means                                                                                     |
|--------------|-------------------------------------------------------------------------------------------|
| thought      | why; for people                                                                           |
| dispatch     | who is to do what, side by side                                                           |
| ... tools    | patterns of the tools that the worker may use for it; absent: all that it has             |
| ... sees     | numbers of earlier results that the worker gets to read, or "all"; absent: none           |
| join         | "all", "first" or {"quorum": n}: so many have to succeed; absent: as the Conductor has it |
| halt         | done; `dispatch` is ignored then                                                          |
| final_answer | the answer, with halt                                                                     |

The shape of the first descriptions is read as well, and any mixture: `workers` with `name` for dispatch
with worker, `join_strategy` for join, and `next_step`. That one says what comes when the workers are done: a
word of ANSWERS asks for the final answer then; a word of ENDS, with nobody to work, is halt.

Invariants. Unknown keys mean nothing. Whatever the text, there is a Plan or an InvalidInput whose message
tells the model what to do better. A final answer without halt, and with nobody to work, is a halt: it is
what the model means that forgets it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tako.errors import InvalidInput
from tako.orchestrators.conductor.json_in_prose import objects_in
from tako.tools.tool import speakable

__all__ = ["Assignment", "Join", "Plan", "Quorum", "join_of", "plan_in", "plan_schema"]

MOST_ASSIGNMENTS = 64
"""Tasks that one plan may hand out."""
KEYS = ("dispatch", "workers", "halt", "final_answer", "next_step")
"""What has one of these is meant to be a plan."""
ANSWERS = ("summarise", "summarize", "summary", "synthesise", "synthesize", "final", "final_answer", "answer")
ENDS = ("halt", "stop", "done", "finish", "finished", "end")


@dataclass(frozen=True, slots=True)
class Quorum:
    """So many workers have to succeed; the others are cancelled then."""

    count: int

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or isinstance(self.count, bool) or self.count < 1:
            raise InvalidInput(f"Quorum: count should be a whole number of at least 1, not {self.count!r}")


Join: TypeAlias = Literal["all", "first"] | Quorum


@dataclass(frozen=True, slots=True)
class Assignment:
    """One task for one worker."""

    worker: str
    task: str
    tools: tuple[str, ...] | None = None
    sees: tuple[int | str, ...] | Literal["all"] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """One turn of the coordinator; what each means stands at the head of this file."""

    thought: str = ""
    dispatch: tuple[Assignment, ...] = ()
    join: Join | None = None
    halt: bool = False
    final_answer: str | None = None
    wants_answer: bool = False
    """Whether the coordinator wants to give the final answer as soon as the workers are done."""


def plan_in(text: str) -> Plan:
    """The first object in the text that reads as a plan; raises InvalidInput with words for the model."""
    reason = ""
    for found in objects_in(text):
        if not any(key in found for key in KEYS):
            continue
        try:
            return _plan(found)
        except InvalidInput as error:
            reason = reason or error.message
    raise InvalidInput(reason or 'there is no whole JSON object in it that has "dispatch" or "halt"')


def join_of(value: object, argument: str = "join") -> Join:
    """How many have to succeed, as somebody who writes a program says it; raises InvalidInput."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Quorum(value)
    found = value if isinstance(value, Quorum) else _join(value)
    if found is None:
        raise InvalidInput(f'{argument} should be "all", "first" or Quorum(n), not {value!r}')
    return found


def plan_schema(workers: Sequence[str]) -> dict[str, Any]:
    """The shape of a plan for vendors that hold a model to it: every object closed, every key required."""
    null = {"type": "null"}
    number = {"type": "array", "items": {"type": "integer"}}
    assignment = _closed(
        worker={"type": "string", "enum": list(workers)},
        task={"type": "string"},
        tools={"anyOf": [{"type": "array", "items": {"type": "string"}}, null]},
        sees={"anyOf": [number, {"type": "string", "enum": ["all"]}, null]},
    )
    quorum = _closed(quorum={"type": "integer"})
    return _closed(
        thought={"anyOf": [{"type": "string"}, null]},
        dispatch={"type": "array", "items": assignment},
        join={"anyOf": [{"type": "string", "enum": ["all", "first"]}, quorum, null]},
        halt={"type": "boolean"},
        final_answer={"anyOf": [{"type": "string"}, null]},
    )


def _closed(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


# Reading: what each value may be.


def _plan(found: dict[str, Any]) -> Plan:
    dispatch = (*_assignments(found, "dispatch"), *_assignments(found, "workers"))
    if len(dispatch) > MOST_ASSIGNMENTS:
        raise InvalidInput(f"a plan may hand out {MOST_ASSIGNMENTS} tasks at once, not {len(dispatch)}")
    answer, halt = _words(found.get("final_answer")), _flag(found.get("halt"))
    next_step = str(found.get("next_step", "")).strip().lower()
    if halt is None:
        halt = not dispatch and (bool(answer) or next_step in ENDS)
    if halt and answer is None:
        raise InvalidInput('"halt" is true and there is no "final_answer"; put the whole answer there')
    join = found.get("join")
    return Plan(
        thought=_words(found.get("thought")) or "",
        dispatch=() if halt else dispatch,
        join=_join(found.get("join_strategy") if join is None else join),
        halt=halt,
        final_answer=answer if halt else None,
        wants_answer=not halt and next_step in (*ANSWERS, *ENDS),
    )


def _assignments(found: dict[str, Any], key: str) -> list[Assignment]:
    entries = found.get(key)
    if entries is None:
        return []
    if isinstance(entries, dict):
        entries = [entries]
    if not isinstance(entries, list):
        raise InvalidInput(f'"{key}" should be a list of objects with "worker" and "task"')
    return [_assignment(entry, f"{key}[{index}]") for index, entry in enumerate(entries)]


def _assignment(entry: Any, where: str) -> Assignment:
    if not isinstance(entry, dict):
        raise InvalidInput(f'{where} should be an object with "worker" and "task"')
    worker = entry.get("worker", entry.get("name"))
    if not isinstance(worker, str) or not worker.strip():
        raise InvalidInput(f'{where} does not say which "worker" is meant')
    task = _words(entry.get("task"))
    if not task or not task.strip():
        raise InvalidInput(f'{where} does not say which "task" the worker {_short(worker)!r} has')
    tools = _list(entry.get("tools"), f"{where}.tools")
    if tools is not None and not all(isinstance(one, str) for one in tools):
        raise InvalidInput(f"{where}.tools should be a list of names of tools")
    return Assignment(
        speakable(worker.strip()),
        task,
        None if tools is None else tuple([speakable(one) for one in tools]),
        _sees(entry.get("sees"), f"{where}.sees"),
    )


def _sees(value: Any, where: str) -> tuple[int | str, ...] | Literal["all"]:
    if value == "all":
        return "all"
    found = _list(value, where) or []
    if not all(isinstance(one, int | str) and not isinstance(one, bool) for one in found):
        raise InvalidInput(f'{where} should be a list of numbers of earlier results, or "all"')
    return tuple(found)


def _list(value: Any, where: str) -> list[Any] | None:
    """A list; one thing alone is a list of it."""
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, str | int):
        return [value]
    raise InvalidInput(f"{where} should be a list")


def _join(value: Any) -> Join | None:
    """None for what says nothing that we know: then the workers are joined as ever."""
    if isinstance(value, dict):
        value = value.get("quorum")
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Quorum(value)
    return value if value in ("all", "first") else None


def _flag(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise InvalidInput('"halt" should be true or false')


def _words(value: Any) -> str | None:
    """A text; other JSON is told as it is written."""
    if value is None:
        return None
    return speakable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    return speakable(text if len(text) <= 60 else f"{text[:57]}...")
