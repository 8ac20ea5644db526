"""What a search is told when it is made, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal, TypeAlias

from tako.errors import InvalidInput
from tako.orchestrators.tree_search.posteriors import BetaPrior, Family, GaussianPrior, Prior

__all__ = ["LAST_NUMBER", "MOST_PENDING", "ModelSelection", "Options", "score_of", "whole"]

ModelSelection: TypeAlias = Literal["thompson", "ucb", "stack"]

DEEPEST: Final = 100
"""No node stands deeper, so that whatever walks through a tree, or nests it, comes to an end."""
LAST_NUMBER: Final = 1 << 53
"""No trial has a higher one, so that any reader of JSON can tell two of them apart."""
MOST_PENDING: Final = 1000
UNBOUNDED: Final = 1 << 62
PRIORS: Final = {"gaussian": GaussianPrior, "beta": BetaPrior}
SELECTIONS: Final = ("thompson", "ucb", "stack")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a TreeSearch, which says what they mean; raises InvalidInput for wrong ones."""

    actions: tuple[str, ...]
    seed: int
    posterior: Family
    prior: Prior
    model_selection: ModelSelection
    branching_factor: int | None
    max_depth: int | None

    @classmethod
    def of(
        cls,
        actions: Sequence[str],
        seed: int,
        posterior: Family,
        prior: Prior | None,
        model_selection: ModelSelection,
        branching_factor: int | None,
        max_depth: int | None,
    ) -> Options:
        """The options as they were given, checked, with the default prior where there was none."""
        if posterior not in ("gaussian", "beta"):
            raise InvalidInput(f"posterior should be 'gaussian' or 'beta', not {posterior!r}")
        if model_selection not in SELECTIONS:
            raise InvalidInput(f"model_selection should be one of {SELECTIONS}, not {model_selection!r}")
        if prior is None:
            prior = PRIORS[posterior]()
        elif type(prior) is not PRIORS[posterior]:
            raise InvalidInput(f"prior should be a {PRIORS[posterior].__name__} for posterior={posterior!r}")
        return cls(
            _actions_of(actions),
            whole("seed", seed, 0, (1 << 64) - 1),
            posterior,
            prior,
            model_selection,
            None if branching_factor is None else whole("branching_factor", branching_factor, 1),
            None if max_depth is None else whole("max_depth", max_depth, 1, DEEPEST),
        )

    def places(self, depth: int) -> int:
        """How many children a node at this depth may have."""
        if depth >= (self.max_depth or DEEPEST):
            return 0
        return UNBOUNDED if self.branching_factor is None else self.branching_factor


def whole(name: str, value: int, least: int, most: int = UNBOUNDED) -> int:
    """The value, if it is a whole number in this range; raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{name} should be a whole number, not {value!r}")
    if not least <= value <= most:
        limits = f"at least {least}" if most == UNBOUNDED else f"from {least} to {most}"
        raise InvalidInput(f"{name} should be {limits}")
    return value


def score_of(value: float) -> float:
    """The value, if it is a score; raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InvalidInput(f"score should be a number, not {value!r}")
    if not 0 <= value <= 1:
        raise InvalidInput(f"score should be from 0 to 1, not {value!r}")
    return float(value)


def _actions_of(actions: Sequence[str]) -> tuple[str, ...]:
    if isinstance(actions, str) or not isinstance(actions, Sequence) or not actions:
        raise InvalidInput(f"actions should be a list of names, at least one, not {actions!r}")
    for action in actions:
        if not isinstance(action, str) or not action or not _is_unicode(action):
            raise InvalidInput(f"actions should be names, as text, not {action!r}")
    if len(set(actions)) < len(actions):
        raise InvalidInput("actions should have a name each: one is there twice")
    return tuple(actions)


def _is_unicode(text: str) -> bool:
    """Half of a surrogate pair is none, and could not be written."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
