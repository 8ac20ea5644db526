"""Verifiers: what gives an answer a score from 0 to 1, and says why.

| verifier   | judges by                                      | a growing answer             |
|------------|------------------------------------------------|------------------------------|
| RuleBased  | length and a pattern                           | yes                          |
| Pattern    | a regular expression                           | yes, unless it has to be all |
| JsonSchema | a schema that the answer's JSON should fit     | no                           |
| Function   | a function of yours                            | no                           |
| Command    | what a command says that is run on the answer  | no                           |
| LlmJudge   | a model, and a rubric in words                 | if it is asked to            |
| Weighted   | the weighted mean of others                    | by those of them that can    |
| AllOf      | the lowest of others                           | by those of them that can    |
| AnyOf      | the highest of others                          | by those of them that can    |

Wherever one is wanted a function does as well: `verifier_of`. Each is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tako.verifiers.base import Candidate, Score, Verifier, Watch
from tako.verifiers.function import Function, verifier_of

if TYPE_CHECKING:
    from tako.verifiers.combined import AllOf, AnyOf, Weighted
    from tako.verifiers.command import Command
    from tako.verifiers.json_answer import JsonSchema
    from tako.verifiers.judge import LlmJudge
    from tako.verifiers.rules import Pattern, RuleBased

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

_HOMES = {
    "AllOf": "combined",
    "AnyOf": "combined",
    "Command": "command",
    "JsonSchema": "json_answer",
    "LlmJudge": "judge",
    "Pattern": "rules",
    "RuleBased": "rules",
    "Weighted": "combined",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
