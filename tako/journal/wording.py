"""Wording: what people read of a place in a run, and of two askings that should have been the same."""

from __future__ import annotations

from typing import Any, Final

from tako.journal.entry import Position

__all__ = ["difference", "named", "shown_place"]

SHOWN: Final = 60
"""Characters of a value."""
BEFORE: Final = 20
"""Characters of a text before the place where it differs."""
HIDDEN: Final = "a part that a journal does not show, such as the schema of a tool or the end of a long text"


def named(kind: str, asked: Any) -> str:
    """A piece of work in few words."""
    name = ""
    if isinstance(asked, dict):
        name = next((str(asked[key]) for key in ("tool", "model", "provider") if asked.get(key)), "")
    return f"{kind} {name!r}" if name else f"{kind!r}"


def shown_place(position: Position) -> str:
    return ".".join(map(str, position)) or "the beginning"


def difference(before: Any, now: Any) -> str:
    """Where the two part first, and what stands there; both as they are kept for readers."""
    parting = _parting(before, now, "")
    if parting is None:
        return HIDDEN
    path, there, here = parting
    return f"{path or 'what it is about'}: {there} there, {here} now"


def _parting(before: Any, now: Any, path: str) -> tuple[str, str, str] | None:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            found = _parting(before.get(name), now.get(name), f"{path}.{name}" if path else name)
            if found is not None:
                return found
        return None
    if isinstance(before, list) and isinstance(now, list):
        for place, (there, here) in enumerate(zip(before, now, strict=False)):
            if (found := _parting(there, here, f"{path}[{place}]")) is not None:
                return found
        return None if len(before) == len(now) else (path, f"{len(before)} items", f"{len(now)} items")
    if before == now:
        return None
    if isinstance(before, str) and isinstance(now, str):
        pairs = enumerate(zip(before, now, strict=False))
        same = next((place for place, (there, here) in pairs if there != here), min(len(before), len(now)))
        start = max(0, same - BEFORE)
        return path, _shown(before[start:]), _shown(now[start:])
    return path, _shown(before), _shown(now)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN else f"{value[:SHOWN]}…")
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
