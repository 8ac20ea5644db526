"""Tokens, and where they are kept between runs.

| key of a record          | its value, as JSON                                                     |
|--------------------------|------------------------------------------------------------------------|
| `tokens CLIENT RESOURCE` | the tokens for one MCP server, and the issuer that they are bound to   |
| `client REDIRECT ISSUER` | the client that was registered with one authorization server           |

A storage knows nothing of this: it keeps texts under keys. Its methods are reached through the Call effect,
so they may block, or be `async def`. A record that cannot be read counts as none.

Invariants. Tokens that one issuer gave are never shown to another, nor a client's secret. No token and no
secret is in a repr. What is kept is what the server said, and when: `renew_at` is a moment, not a duration.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from pydantic_core import from_json, to_json

from tako.effects import Headers

__all__ = ["MemoryTokens", "TokenStorage", "Tokens", "dump", "load_record", "load_tokens"]


class TokenStorage(Protocol):
    """Where tokens and registrations are kept. The values hold secrets."""

    def get(self, key: str) -> str | Awaitable[str | None] | None:
        """The value under a key, None if there is none."""

    def set(self, key: str, value: str | None) -> Awaitable[None] | None:
        """Keep a value; None removes it."""


class MemoryTokens:
    """Tokens for as long as this object lives."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<MemoryTokens with {len(self._values)} records>"

    def get(self, key: str) -> str | None:
        return self._values.get(key)

    def set(self, key: str, value: str | None) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an authorization server gave us for one resource."""

    access: str = field(repr=False)
    issuer: str
    token_endpoint: str
    resource: str
    client_id: str
    method: str
    """How that client authenticates, when they are refreshed."""
    requested: tuple[str, ...] = ()
    """The scopes that were asked for, and those that were granted: what to ask for again."""
    refresh: str | None = field(default=None, repr=False)
    renew_at: float | None = None
    """When to get new ones, a little before they expire; None if the server did not say when they do."""
    granted_at: float | None = None
    """When they were granted; None once they were refreshed."""

    @property
    def headers(self) -> Headers:
        """What a request has with them (RFC 6750, 2.1)."""
        return (("Authorization", f"Bearer {self.access}"),)


def dump(record: Any) -> str:
    """A record as a storage keeps it."""
    return to_json(asdict(record)).decode()


_TEXTS: Final = ("access", "issuer", "token_endpoint", "resource", "client_id", "method")


def load_record(text: object) -> dict[str, Any] | None:
    """A record as a storage kept it; None for what is none."""
    try:
        record = from_json(text) if isinstance(text, str) else None
    except (ValueError, TypeError):  # the second for a lone surrogate
        return None
    return record if isinstance(record, dict) else None


def load_tokens(text: object) -> Tokens | None:
    """Tokens as a storage kept them; None for what is no such record."""
    record = load_record(text)
    if record is None or not all(isinstance(record.get(name), str) for name in _TEXTS):
        return None
    requested, refresh = record.get("requested"), record.get("refresh")
    scopes = requested if isinstance(requested, list) else []
    return Tokens(
        **{name: record[name] for name in _TEXTS},
        requested=tuple(scope for scope in scopes if isinstance(scope, str)),
        refresh=refresh if isinstance(refresh, str) and refresh else None,
        renew_at=_number(record.get("renew_at")),
        granted_at=_number(record.get("granted_at")),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
