"""The recorded exchanges with vendors, which lie beside the repository and not in it.

A clone without them skips the tests that need them, and says so in one line each.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

__all__ = ["CORPUS", "Exchange", "exchanges", "parameters"]

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
ABSENT = "the recorded exchanges are not here (../shared/corpus)"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded exchange, and what the vendor's own library makes of it."""

    id: str
    name: str
    """The file that it is from, such as "anthropic.messages"."""
    provider: str
    """Who answered."""
    model: str | None
    features: frozenset[str]
    request: dict[str, Any]
    status: int
    headers: tuple[tuple[str, str], ...]
    is_stream: bool
    body: bytes
    expected: dict[str, Any]


def _lines(path: Path) -> list[dict[str, Any]]:
    # Lines are cut by the file, never by str.splitlines: bodies hold U+2028.
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@cache
def exchanges(name: str) -> tuple[Exchange, ...]:
    """All exchanges of one vendor and endpoint, such as "anthropic.messages"; none in a bare clone."""
    if not CORPUS.is_dir():
        return ()
    expected = {entry["id"]: entry for entry in _lines(CORPUS / "expected" / f"{name}.jsonl")}
    found = []
    for entry in _lines(CORPUS / "exchanges" / f"{name}.jsonl"):
        response = entry["response"]
        body = (
            response["body_text"].encode()
            if "body_text" in response
            else base64.b64decode(response["body_b64"])
        )
        found.append(
            Exchange(
                entry["id"],
                name,
                entry["provider"],
                entry.get("model"),
                frozenset(entry["features"]),
                entry["request"],
                response["status"],
                tuple((key.lower(), str(value)) for key, value in (response.get("headers") or {}).items()),
                response["streaming"],
                body,
                expected[entry["id"]],
            )
        )
    return tuple(found)


def parameters(name: str, wanted: Callable[[Exchange], bool] = lambda exchange: True) -> list[Any]:
    """The exchanges as parameters of a test; one skipped parameter in a bare clone."""
    if not CORPUS.is_dir():
        return [pytest.param(None, marks=pytest.mark.skip(reason=ABSENT), id="absent")]
    return [pytest.param(exchange, id=exchange.id) for exchange in exchanges(name) if wanted(exchange)]
