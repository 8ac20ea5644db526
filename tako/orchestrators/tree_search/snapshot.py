"""A search as JSON text: its options, a counter, and what it was told.

Beliefs are not written: they follow from the scores in the order of telling. So there is nothing in a text
that could contradict the rest, but for what is checked: `read` sees to types and ranges and to the counter,
and the search itself to each node and pending trial, which it takes up only where it could have asked for
it. The text is believed, as far as scores and states go: whoever can write it can put any into it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, ValidationError

from tako.errors import InvalidInput
from tako.orchestrators.tree_search.node import Node, Trial, parsed
from tako.orchestrators.tree_search.options import LAST_NUMBER, MOST_PENDING, PRIORS, ModelSelection, Options
from tako.orchestrators.tree_search.posteriors import BetaPrior, Family, GaussianPrior, Prior
from tako.parts import Value, describe

__all__ = ["NOT_DUMPED", "Saved", "read", "write"]

NOT_DUMPED: Final = "this is not a tree search that was dumped"
Number = Annotated[int, Field(ge=0, le=LAST_NUMBER)]


class SavedOptions(Value):
    called: ClassVar[str | None] = "TreeSearch"
    actions: tuple[str, ...]
    seed: int
    posterior: Family
    prior: dict[str, float]
    model_selection: ModelSelection
    branching_factor: int | None
    max_depth: int | None


class SavedNode(Value):
    called: ClassVar[str | None] = "TreeSearch"
    parent: Number
    action: str
    score: float | None = Field(ge=0, le=1)
    state: Any
    error: str | None


class SavedTrial(Value):
    called: ClassVar[str | None] = "TreeSearch"
    id: Number
    node: Number
    action: str


class Saved(Value):
    """What a search is as data. A field is added with a default, so that older text still loads."""

    called: ClassVar[str | None] = "TreeSearch"
    version: Literal[1]
    options: SavedOptions
    asked: Number
    nodes: tuple[SavedNode, ...]
    pending: tuple[SavedTrial, ...] = Field(max_length=MOST_PENDING)

    @property
    def prior(self) -> Prior:
        """The prior of the options; raises InvalidInput."""
        kind: type[GaussianPrior] | type[BetaPrior] = PRIORS[self.options.posterior]
        if self.options.prior.keys() != asdict(kind()).keys():
            raise InvalidInput(f"{NOT_DUMPED}: prior has other fields than a {kind.__name__}")
        return kind(**self.options.prior)

    @property
    def is_consistent(self) -> bool:
        """Every trial has a number of its own, and each node was a trial; what failed has no score."""
        ids = [0, *[trial.id for trial in self.pending], self.asked + 1]
        return (
            all(earlier < later for earlier, later in pairwise(ids))
            and len(self.nodes) + len(self.pending) <= self.asked
            and all((node.score is None) is (node.error is not None) for node in self.nodes)
        )


def write(options: Options, asked: int, nodes: Iterable[Node], pending: Iterable[Trial]) -> str:
    """The JSON text of a search, whose root is left out."""
    saved = {
        "version": 1,
        "options": asdict(options),
        "asked": asked,
        "nodes": [
            {
                "parent": node.parent,
                "action": node.action,
                "score": node.score,
                "state": node.state,
                "error": node.error,
            }
            for node in nodes
        ],
        "pending": [asdict(trial) for trial in pending],
    }
    return json.dumps(saved, allow_nan=False, separators=(",", ":"))


def read(text: str | bytes) -> Saved:
    """What is in the text; raises InvalidInput when it is no search."""
    if not isinstance(text, str | bytes):
        raise InvalidInput(f"text should be what dumps() gave, not {type(text).__name__}")
    try:
        saved = Saved.model_validate(parsed(text))
    except ValidationError as error:
        raise InvalidInput(f"{NOT_DUMPED}: {describe(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{NOT_DUMPED}: {error}") from error
    if not saved.is_consistent:
        raise InvalidInput(f"{NOT_DUMPED}: its fields contradict each other")
    return saved
