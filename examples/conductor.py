"""A Conductor: one model plans and hands out the work, others do it side by side.

    python -m examples.conductor

Nothing here needs a key: the models are fakes that say what real ones might. Put `tako.provider("...")` in
their places, and the rest stays as it is.

What to look at:

- The two researchers of the first plan run side by side; what each says arrives while it says it, with a path
  that tells who speaks.
- The writer of the second plan sees their results, because the plan says so: `"sees": [1, 2]`. A worker
  knows nothing else but its task.
- Of the two jokers one is enough: `"join": "first"`, and the slower one is cancelled.
- The answer streams as the coordinator's own text; its plans are PlanMade events.
"""

from __future__ import annotations

import json

from tako.events import (
    AssistantText,
    Final,
    OrchEvent,
    PlanMade,
    SubAgentEvent,
    ToolCallResult,
    VerifierScore,
)
from tako.orchestrators.conductor import Conductor, ConductorResult, Worker
from tako.providers import Fake

__all__ = ["main", "newsroom"]

PLANS = [
    {
        "thought": "The facts first.",
        "dispatch": [
            {"worker": "biologist", "task": "How many hearts does an octopus have, and why?"},
            {"worker": "historian", "task": "Who wrote of octopuses first?"},
        ],
        "halt": False,
        "final_answer": None,
    },
    {
        "thought": "Now the text, and a joke to end with.",
        "dispatch": [
            {"worker": "writer", "task": "Write two sentences on octopuses.", "sees": [1, 2]},
        ],
        "halt": False,
        "final_answer": None,
    },
    {
        "thought": "Any joke will do.",
        "dispatch": [
            {"worker": "joker", "task": "A joke on octopuses."},
            {"worker": "slow joker", "task": "A joke on octopuses."},
        ],
        "join": "first",
        "halt": False,
        "final_answer": None,
    },
    {
        "thought": "All is there.",
        "dispatch": [],
        "halt": True,
        "final_answer": "Three hearts beat in an octopus, as Aristotle half knew. It is armed, not alarmed.",
    },
]


def newsroom() -> Conductor:
    """A coordinator and five workers, each of which could be an agent with tools as well."""
    return Conductor(
        Fake(script=[json.dumps(plan) for plan in PLANS]),
        {
            "biologist": Worker(Fake("Three: two for the gills, one for the rest."), "knows animals"),
            "historian": Worker(Fake("Aristotle, in his History of Animals."), "knows who wrote what"),
            "writer": Worker(Fake("An octopus has three hearts. Aristotle wrote of it."), system="Be brief."),
            "joker": Fake("It is armed, but never alarmed."),
            "slow joker": Fake("Let me think...", delay_ms=60_000),
        },
        verifier=lambda task, text: 0.9 if "heart" in text else 0.5,
    )


def show(event: OrchEvent) -> None:
    """One line for each thing that happens, but for the words of the workers."""
    match event:
        case PlanMade(halt=True):
            print("\n")
        case PlanMade(step=step, thought=thought, assignments=assignments):
            print(f"plan {step}: {thought} {[worker for worker, _ in assignments]}")
        case ToolCallResult(id=id, result=result, is_error=is_error):
            print(f"  {id} {'ERROR ' if is_error else ''}{result}")
        case VerifierScore(branch=branch, score=score, is_partial=False):
            print(f"  score of {branch}: {score}")
        case AssistantText(delta=delta):
            print(delta, end="")


def main() -> None:
    speakers: dict[str, str] = {}
    result: object = None
    with newsroom().stream_sync("Write something on octopuses.") as events:
        for event in events:
            if isinstance(event, SubAgentEvent):
                if isinstance(event.event, AssistantText):
                    who = "/".join(event.path)
                    speakers[who] = speakers.get(who, "") + event.event.delta
            elif isinstance(event, Final):
                result = event.result
            else:
                show(event)
    for who, said in sorted(speakers.items()):
        print(f"{who}: {said}")
    assert isinstance(result, ConductorResult)
    statuses = [[one.status for one in each.results] for each in result.rounds]
    print(f"{result.stop_reason} after {result.steps} steps of all models; {statuses}")


if __name__ == "__main__":
    main()
