"""An answer that is judged, and revised until it is good enough.

    python examples/self_caller.py

The guard is a function here; a tako.verifiers.LlmJudge, a regular expression or the tests of a program do as
well. The model is a fake one that plays a script, so no key is needed. With a real one, write
`tako.provider("openai:gpt-4o-mini")` instead.
"""

from __future__ import annotations

from tako import SingleAgent
from tako.events import AssistantText, Recursion
from tako.orchestrators.self_caller import SelfCaller, SelfCallerResult
from tako.providers import Fake

DRAFTS = [
    "An octopus has a lot of hearts.",
    "An octopus has three hearts.",
    "An octopus has three hearts: two pump blood through the gills, and one through the body.",
]
WANTED = {"three": "how many", "gills": "what they are for", "body": "what the third one does"}


def is_complete(answer: str) -> tuple[float, str]:
    """How much of what is wanted is in the answer, and what is not."""
    missing = [what for word, what in WANTED.items() if word not in answer]
    return 1 - len(missing) / len(
        WANTED
    ), f"it does not say {', '.join(missing)}" if missing else "it says it all"


def main() -> SelfCallerResult:
    caller = SelfCaller(SingleAgent(Fake(script=DRAFTS)), is_complete, max_depth=3, min_confidence=0.9)
    with caller.stream_sync("Why does an octopus have so many hearts?") as events:
        for event in events:
            if isinstance(event, AssistantText):
                print(event.delta, end="")
            elif isinstance(event, Recursion):
                print(f"\n  attempt {event.depth + 1}: {event.confidence:.2f}, {event.reason}")
    result = events.result
    assert isinstance(result, SelfCallerResult)
    print(f"{len(result.attempts)} attempts, {result.usage.output_tokens} tokens: {result.text}")
    return result


if __name__ == "__main__":
    main()
