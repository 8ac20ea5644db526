"""Prompts: what a coordinator and its workers are told, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tako.orchestrators.conductor.plan import Plan
from tako.orchestrators.conductor.rounds import WorkerResult

__all__ = ["feedback", "instructions", "mending", "nudge", "task_for"]

SHOWN = 60
"""Characters of a task that are repeated beside its result."""

LAST = "This is your last turn: halt now, with the best final_answer that can be given from what there is."
FINISH = 'Now halt: answer with {"halt": true, "final_answer": "..."}.'

INSTRUCTIONS = """\
You are a coordinator. You do not do the work yourself: you split it into tasks, hand them to workers, read \
their results, and give the final answer.

At each turn answer with exactly one JSON object, without prose and without markdown:

{{"thought": "why, in a sentence",
 "dispatch": [{{"worker": "<name>", "task": "<what to do>"}}],
 "halt": false,
 "final_answer": null}}

The workers:
{workers}

- The workers of one dispatch run side by side. Their results come back to you, numbered, as one user message.
- A worker knows nothing but its task: put all that it needs into it. To show it earlier results add \
"sees": [1, 2] with their numbers, or "sees": "all". Results of the same dispatch cannot be seen.
- To let a worker use some of its tools only, add "tools": ["<name>"] to its task.
- "join" says how many have to succeed before the others are stopped: "all", "first", or {{"quorum": 2}}.
- When the work is done, answer with {{"thought": "...", "dispatch": [], "halt": true, "final_answer": "<the \
whole answer for the user>"}}, with "halt" before "final_answer". Halt with an answer only."""


def instructions(workers: Iterable[str]) -> str:
    """The coordinator's system prompt; each worker is a line."""
    return INSTRUCTIONS.format(workers="\n".join([f"  - {summary}" for summary in workers]))


def feedback(results: Sequence[WorkerResult], plan: Plan, *, is_last: bool) -> str:
    """The results of a dispatch, and what is wanted next."""
    lines = [f"- #{one.number} {one.worker} (task: {_short(one.task)}): {_outcome(one)}" for one in results]
    closing = LAST if is_last else FINISH if plan.wants_answer else "Dispatch more work, or halt."
    return "\n".join(["Worker results:", *lines, "", closing])


def nudge(plan: Plan, *, is_last: bool) -> str:
    """What follows a plan that neither gives work nor ends it."""
    if is_last:
        return LAST
    if plan.wants_answer:
        return FINISH
    return "Your plan dispatches no work and does not halt. Dispatch a task to a worker, or halt."


def mending(error: str, *, is_cut: bool) -> str:
    """What follows an answer that is no plan."""
    cut = " It was cut off at the limit of its length: be shorter." if is_cut else ""
    return f"That is no plan: {error}.{cut} Answer with one valid JSON object and nothing else."


def task_for(task: str, seen: Sequence[WorkerResult]) -> str:
    """What a worker is told."""
    if not seen:
        return task
    shown = [f"#{one.number} {one.worker} (task: {_short(one.task)}):\n{_outcome(one)}" for one in seen]
    return "\n\n".join(["Results of others, for your task:", *shown, "Your task:", task])


def _outcome(one: WorkerResult) -> str:
    if one.status == "done":
        told = one.text
    elif one.status == "partial":
        told = f"(cut off: {one.error}) {one.text}"
    elif one.status == "cancelled":
        told = f"CANCELLED: {one.error}{_said(one)}"
    else:
        told = f"ERROR: {one.error}{_said(one)}"
    if one.score is None:
        return f"{told}\n  [not scored: {one.reason}]" if one.reason else told
    return f"{told}\n  [score {one.score:.2f}{': ' if one.reason else ''}{one.reason}]"


def _said(one: WorkerResult) -> str:
    return f"; it had said: {one.text}" if one.text else ""


def _short(task: str) -> str:
    """A task on one line, by characters."""
    line = " ".join(task.split())
    return f'"{line if len(line) <= SHOWN else line[: SHOWN - 3] + "..."}"'
