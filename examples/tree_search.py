"""A search for the best answer, drawn as a tree: offline, with two models that are made up.

    python -m examples.tree_search [tree.svg]

The judge says how near an answer is, and what is wrong with it. One of the models listens to that, the other
one only guesses. Nobody tells the search which is which: it finds out, and asks the better one more often.

What to look at:

- An answer is either new, or goes on from one before: the tree says which, by what has paid off so far.
- The same seed and the same answers give the same tree, two at a time or one by one.
- The search is data: it is dumped in the middle, and goes on from its text as if nothing had happened.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tako import AbMcts, ChatRequest, Message
from tako.providers import Fake

__all__ = ["main", "searcher"]

QUESTION = "What are the first four digits of pi?"
ANSWER = "3141"


def judge(text: str) -> tuple[float, str]:
    """How near the digits are, and which of them are wrong."""
    distances = [abs(int(digit) - int(right)) for digit, right in zip(text, ANSWER, strict=True)]
    wrong = [str(place) for place, distance in enumerate(distances, 1) if distance]
    score = 1 - min(1, sum(distances) / 12)
    return score, f"in {text} these are wrong: {', '.join(wrong)}" if wrong else "that is it"


def careful(request: ChatRequest) -> str:
    """Keeps the digits that are right, and tries the next ones for the others."""
    verdicts = re.findall(r"in (\d{4}) these are wrong: ([\d, ]+)", said(request.messages))
    if not verdicts:
        return "0000"
    last, wrong = verdicts[-1]
    digits = [(int(digit) + (str(place) in wrong)) % 10 for place, digit in enumerate(last, 1)]
    return "".join(map(str, digits))


def hasty(request: ChatRequest) -> str:
    """Says some digits or other."""
    return f"{sum(said(request.messages).encode()) * 37 % 10_000:04}"


def said(messages: tuple[Message, ...]) -> str:
    return "\n".join(message.text for message in messages)


def searcher(max_iterations: int = 24) -> AbMcts:
    return AbMcts(
        candidates=[Fake(id="careful", script=careful), Fake(id="hasty", script=hasty)],
        verifier=judge,
        max_iterations=max_iterations,
        min_confidence=1,
        branching_factor=2,
        batch_size=2,
        seed=5,
    )


def main(picture: str | None = None) -> None:
    result = searcher().run_sync(QUESTION)
    print(f"{QUESTION}\n{result.text} ({result.detail}, {result.usage.total} tokens)\n")
    print(result.search.as_text())
    print("\nThe best three:")
    for text, score, node in result.best(3):
        print(f"  {text} with {score:.3f}, by {node.action}")

    begun = searcher(max_iterations=6).run_sync(QUESTION)
    run = searcher().load(begun.search.dumps())  # as if in another process
    run.options = searcher().options  # it may go on for longer than it was begun with
    resumed = searcher().run_sync(run)
    same = resumed.search.as_text() == result.search.as_text()
    print(f"\nStopped after 6, dumped, loaded and gone on with: {'the same' if same else 'another'} tree.")
    if picture is not None:
        Path(picture).write_text(result.search.as_svg(), encoding="utf-8")
        print(f"The picture is in {picture}.")


if __name__ == "__main__":
    main(*sys.argv[1:2])
