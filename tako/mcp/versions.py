"""Revisions: what each revision of MCP has, as one table.

Two eras. In the handshake era a connection begins with `initialize`, has a session, and either side may ask
the other. In the modern era there is no connection to speak of: each request says in its `_meta` who asks
and under which revision, and a server that needs something answers with what it needs.

| revision   | era       | HTTP                   | batches | version header | tool output schemas |
|------------|-----------|------------------------|---------|----------------|---------------------|
| 2024-11-05 | handshake | a POST and an SSE pair | no      | no             | no                  |
| 2025-03-26 | handshake | streamable             | yes     | no             | no                  |
| 2025-06-18 | handshake | streamable             | no      | yes            | yes                 |
| 2025-11-25 | handshake | streamable             | no      | yes            | yes                 |
| 2026-07-28 | modern    | streamable             | no      | yes            | yes                 |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tako.errors import InvalidInput

__all__ = [
    "HANDSHAKE", "LATEST_HANDSHAKE", "MODERN", "REVISIONS", "VERSION_KEY",
    "Revision", "era_of", "is_modern", "newest",
]  # fmt: skip

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
"""Where in `_meta` a request of the modern era says its revision."""


@dataclass(frozen=True, slots=True)
class Revision:
    """What one revision of the protocol has."""

    name: str
    is_modern: bool = False
    has_batches: bool = False
    has_version_header: bool = True
    """Whether HTTP requests say `MCP-Protocol-Version`."""
    has_streamable_http: bool = True

    def __str__(self) -> str:
        return self.name


HANDSHAKE: Final = (
    Revision("2024-11-05", has_version_header=False, has_streamable_http=False),
    Revision("2025-03-26", has_batches=True, has_version_header=False),
    Revision("2025-06-18"),
    Revision("2025-11-25"),
)
MODERN: Final = (Revision("2026-07-28", is_modern=True),)
LATEST_HANDSHAKE: Final = HANDSHAKE[-1]
REVISIONS: Final = {revision.name: revision for revision in (*HANDSHAKE, *MODERN)}
"""All that we speak, oldest first."""


def is_modern(params: Mapping[str, Any]) -> bool:
    """Whether a request says of itself that it is of the modern era."""
    meta = params.get("_meta")
    return isinstance(meta, Mapping) and VERSION_KEY in meta


def newest(names: Iterable[object], among: tuple[Revision, ...]) -> Revision | None:
    """The newest revision among ours that is also in a peer's list; None if there is none."""
    theirs = {name for name in names if isinstance(name, str)}
    return next((revision for revision in reversed(among) if revision.name in theirs), None)


def era_of(era: str) -> tuple[bool, bool, Revision | None]:
    """What `era=` asks for: whether the modern era is tried, the handshake era, and the only revision
    that is wanted, if it names one. Raises InvalidInput."""
    match era:
        case "auto":
            return True, True, None
        case "modern":
            return True, False, None
        case "handshake":
            return False, True, None
    revision = REVISIONS.get(era) if isinstance(era, str) else None
    if revision is None:
        raise InvalidInput(
            f'era should be "auto", "modern", "handshake" or a revision ({", ".join(REVISIONS)}), not {era!r}'
        )
    return revision.is_modern, not revision.is_modern, revision
