"""The passage of a file that is most like one that was looked for and is not there.

Every line is turned into the set of its runs of three characters, white space counting as one blank. As
many lines as were looked for are compared at a time, by how many runs they share with it (the coefficient
of Dice), with sums that slide along. So the work grows with the file and not with its square, as difflib's
would, and it ends at SEARCHED bytes and lines.
"""

from __future__ import annotations

from dataclasses import dataclass

from tako.cancellation import CancellationToken

__all__ = ["Passage", "closest"]

SEARCHED = 1024 * 1024
"""Bytes of the file that are looked at."""
SEARCHED_LINES = 10_000
COMPARED = 200
"""Characters of a line that are compared."""
ALIKE = 0.4
"""How like the best passage must be to be worth showing: 1 is the same."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Lines of a file, from the number `first` on; `spaced` if they differ in white space alone."""

    first: int
    lines: tuple[str, ...]
    spaced: bool


def closest(data: bytes, wanted: str, cancel: CancellationToken) -> Passage | None:
    """The passage that is most like `wanted`; None if nothing is."""
    lines = data[:SEARCHED].split(b"\n", SEARCHED_LINES)[:SEARCHED_LINES]
    looked_for = wanted.strip("\r\n").split("\n")[:SEARCHED_LINES]
    height = min(len(looked_for), len(lines))
    runs = [_runs(line) for line in looked_for]
    shared_with = frozenset[str]().union(*runs)
    weight = sum(map(len, runs))
    best, start = 0.0, 0
    counts: list[tuple[int, int]] = []
    shared = size = 0
    for index, line in enumerate(lines):
        if index % 1000 == 0:
            cancel.raise_if_cancelled()
        found = _runs(line.decode("utf-8", "replace"))
        counts.append((len(found & shared_with), len(found)))
        shared, size = shared + counts[-1][0], size + counts[-1][1]
        if index >= height:
            shared, size = shared - counts[index - height][0], size - counts[index - height][1]
        likeness = 2 * shared / (size + weight or 1)
        if index >= height - 1 and likeness > best:
            best, start = likeness, index - height + 1
    if best < ALIKE:
        return None
    passage = tuple(line.decode("utf-8", "replace").rstrip("\r") for line in lines[start : start + height])
    return Passage(start + 1, passage, " ".join(passage).split() == wanted.split())


def _runs(line: str) -> frozenset[str]:
    text = " ".join(line[: 4 * COMPARED].split())[:COMPARED]
    return frozenset([text[at : at + 3] for at in range(max(1, len(text) - 2))]) if text else frozenset()
