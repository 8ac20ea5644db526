"""The journal: what a run has worked for, kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tako.effects import Flow

__all__ = ["Journal", "kept_in"]


class Journal:
    """Where it is kept."""


def kept_in(journal: Journal, make: Callable[[], Flow[Any]]) -> Flow[Any]:
    """The flow that `make` makes, each of whose tasks is taken from the journal, or kept there."""
    raise NotImplementedError
