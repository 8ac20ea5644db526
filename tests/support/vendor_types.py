"""The vendors' own libraries as judges of what we send: their TypedDicts, checked by Pydantic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from pydantic import TypeAdapter

__all__ = ["check", "library"]


def library(module: str) -> Any:
    """A module of a vendor's library, or a skipped test where the library is not installed."""
    return pytest.importorskip(module, reason=f"the vendor's library is not installed: {module}")


def check(kind: Any, value: Any) -> None:
    """Assert that the value is of this type and has no field that the type does not know."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    # Pydantic leaves out what a TypedDict does not know, so that what is left must be everything.
    assert plain(adapter.validate_python(value)) == value


def plain(value: Any) -> Any:
    """The value with Pydantic's lazy iterators read out."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
