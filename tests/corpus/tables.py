"""What the tables at the end are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

__all__ = ["REQUESTS", "TABLE", "Row", "Survival"]


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint of one vendor: how many exchanges, and which are not equal."""

    vendor: str
    endpoint: str
    exchanges: int
    cut_calls: int
    """Equal but for a call that was cut off, which tako does not hand over."""
    unequal: Mapping[str, list[str]]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Survival:
    """How many of a vendor's recorded requests survive being read and encoded again."""

    vendor: str
    requests: int
    survived: int


TABLE = pytest.StashKey[list[Row]]()
REQUESTS = pytest.StashKey[list[Survival]]()
