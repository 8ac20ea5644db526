"""Function: a verifier that is somebody's own function; and `verifier_of`, which takes either.

| the function takes                                    | it is given                     |
|-------------------------------------------------------|---------------------------------|
| one argument                                          | the text of the answer          |
| one argument that is annotated as Candidate           | the whole Candidate             |
| two arguments, or as many as it likes                 | the task and the text           |
| what cannot be found out, as of some built-in ones    | the text of the answer          |

| it gives                                              | which is                        |
|-------------------------------------------------------|---------------------------------|
| a number from 0 to 1, of any kind that `float` reads  | the score                       |
| True, False                                           | 1, 0                            |
| a pair of one of these and a text                     | the score and its reason        |
| a Score                                               | itself                          |
| anything else, NaN and 1.1 among it                   | an error that says so           |

Invariants. A number out of range is never bent into it: who gave it means another scale. The function is
run by the Call effect, plain or async, under every adapter; what it raises becomes a TakoError, with the
original as its cause.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, SupportsFloat

from tako.effects import Call, Flow
from tako.errors import InvalidInput, TakoError
from tako.verifiers.base import Candidate, Score, Verifier

__all__ = ["Function", "score_of", "verifier_of"]


class Function(Verifier):
    """Scores by a function of (task, text), of (text), or of (candidate: Candidate), plain or async."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises InvalidInput for what cannot be called with an answer."""
        if not callable(function):
            raise InvalidInput(f"Function: function should be callable, not {type(function).__name__}")
        self.name: str = getattr(function, "__name__", type(function).__name__)
        """What errors call it."""
        self._function = function
        self._arguments = _arguments_for(function, self.name)

    def __repr__(self) -> str:
        return f"<Function {self.name}>"

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        try:
            value = yield Call(self._function, self._arguments(candidate))
        except TakoError:
            raise
        except Exception as error:
            raise TakoError(
                f"the verifier {self.name} raised {type(error).__name__}: {error}", phase="verifier"
            ) from error
        return score_of(value, f"the verifier {self.name}")


def verifier_of(value: object, argument: str = "verifier") -> Verifier:
    """The verifier that somebody means: one as it is, a function as a Function.

    Raises InvalidInput that names the argument.
    """
    if isinstance(value, Verifier):
        return value
    if isinstance(value, type) and issubclass(value, Verifier):
        raise InvalidInput(f"{argument} should be a verifier and not its class: write {value.__name__}(...)")
    if not callable(value):
        raise InvalidInput(
            f"{argument} must be a tako.verifiers.Verifier, as RuleBased(min_chars=200) is, or a function of "
            f"(task, text) or (text) that gives a number from 0 to 1, not {type(value).__name__}"
        )
    try:
        return Function(value)
    except InvalidInput as error:
        raise InvalidInput(f"{argument}: {error}") from None


def _arguments_for(function: Callable[..., Any], name: str) -> Callable[[Candidate], tuple[Any, ...]]:
    """What makes the function's arguments of a candidate."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return _text_alone
    positional = [
        each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    needed = sum(each.default is each.empty for each in positional)
    takes_more = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    named = [
        each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty
    ]
    if named or needed > 2 or not (positional or takes_more):
        raise InvalidInput(
            f"Function: function should take (task, text) or (text), and {name} takes "
            f"({', '.join(map(str, parameters))})"
        )
    if needed <= 1 and positional and _is_candidate(positional[0].annotation):
        return _whole
    if needed == 1 or (needed == 0 and len(positional) == 1 and not takes_more):
        return _text_alone
    return _task_and_text


def _is_candidate(annotation: object) -> bool:
    return annotation is Candidate or (
        isinstance(annotation, str) and annotation.rpartition(".")[2] == Candidate.__name__
    )


def _whole(candidate: Candidate) -> tuple[Any, ...]:
    return (candidate,)


def _text_alone(candidate: Candidate) -> tuple[Any, ...]:
    return (candidate.text,)


def _task_and_text(candidate: Candidate) -> tuple[Any, ...]:
    return (candidate.task, candidate.text)


def score_of(value: object, who: str) -> Score:
    """The score in what a function gave; raises InvalidInput that says who gave what instead."""
    if isinstance(value, Score):
        return value
    reason = ""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], str):
        value, reason = value
    number = _number(value)
    if number is None:
        raise InvalidInput(
            f"{who} gave {_shown(value)}; it should give a number from 0 to 1, True or False, "
            "a Score, or a pair of one of these numbers and a reason"
        )
    if not 0 <= number <= 1:  # NaN is not either
        raise InvalidInput(f"{who} gave {_shown(value)}; a score is a number from 0 to 1")
    return Score(value=number, reason=reason)


def _number(value: object) -> float | None:
    """Its value if it is a number of some kind: numpy's and fractions are."""
    if not isinstance(value, SupportsFloat):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf")
    except Exception:  # an array of several, a decimal's signalling NaN: what stands there is not ours
        return None


def _shown(value: object) -> str:
    """A number as it is; of anything else the kind, for it may be long, or a secret."""
    number = _number(value)
    return f"{number:g}" if number is not None else f"a value of type {type(value).__name__}"
