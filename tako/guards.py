"""Guards: verifiers by the name that SelfCaller's callers know them by.

They are the verifiers themselves, but for RuleBased: whether an answer is good enough is a question of yes
or no, so that here it is all or nothing.
"""

from __future__ import annotations

from tako.verifiers import (
    AllOf,
    AnyOf,
    Candidate,
    Command,
    Function,
    JsonSchema,
    LlmJudge,
    Pattern,
    Score,
    Verifier,
    Watch,
    Weighted,
    verifier_of,
)
from tako.verifiers import RuleBased as _GradedRules

__all__ = [
    "AllOf",
    "AnyOf",
    "Candidate",
    "Command",
    "Function",
    "JsonSchema",
    "LlmJudge",
    "Pattern",
    "RuleBased",
    "Score",
    "Verifier",
    "Watch",
    "Weighted",
    "verifier_of",
]


class RuleBased(_GradedRules):
    """1 for an answer of the right length in which the pattern is found, else 0.

    A growing answer has what it has so far: a 1 may become a 0 again where there is max_chars.
    """

    def grade(self, parts: list[float]) -> float:
        return float(all(part == 1 for part in parts))
