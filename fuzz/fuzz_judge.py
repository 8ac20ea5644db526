"""Fuzz what a judge and a router say: a text is a score or a choice, or OutputInvalid, and nothing else.

A score is a number from 0 to 1, and the same text is the same score.

`python fuzz/fuzz_judge.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.texts import Target, main
from tako.errors import OutputInvalid
from tako.models import Message
from tako.providers.fake import Fake
from tako.routers import LlmRouter, Situation
from tako.testing import Simulator
from tako.verifiers import Candidate, LlmJudge

WORDS = [
    "0",
    "1",
    "7",
    "10",
    ".",
    ",",
    "-",
    "/",
    "%",
    "e",
    "0.8",
    "7/10",
    "85%",
    "1e308",
    "NaN",
    "Infinity",
    " ",
]
WORDS += [
    "score",
    "Score: ",
    '"score":',
    '"reason":',
    "{",
    "}",
    '"',
    "\\",
    "\n",
    "```",
    '{"score": 0.5}',
    "null",
]
WORDS += [
    "one",
    "two",
    "the second",
    '{"candidate": "two"}',
    '{"choice": 1}',
    "#",
    "(",
    ")",
    "\ud800",
    "\u2028",
]
WORDS += ["٣", "½", "∞", "[" * 200, "9" * 400]
CANDIDATES = ("one|fake:one", "two|fake:two", "two")


def check(text: str) -> None:
    said = text.encode("utf-8", "replace").decode()
    scores: list[float | None] = []
    for _ in range(2):
        try:
            flow = LlmJudge(Fake(said), "Is it good?", retries=0).score_flow(Candidate("task", said))
            scores.append(Simulator().run(flow).value)
        except OutputInvalid:
            scores.append(None)
    assert scores[0] == scores[1], text
    assert scores[0] is None or 0 <= scores[0] <= 1, (text, scores)
    try:
        situation = Situation((Message.user(said or "?"),), CANDIDATES)
        decision = Simulator().run(LlmRouter(Fake(said), retries=0).choose_flow(situation))
    except OutputInvalid:
        return
    assert 0 <= decision.index < len(CANDIDATES), (text, decision)


if __name__ == "__main__":
    main(Target(check, WORDS), __doc__ or "")
