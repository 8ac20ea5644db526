"""How long to wait after a refusal, in every form in which a header says it.

`retry-after-ms` is milliseconds and wins, because who sends it means it; `retry-after` is seconds,
whole or not, or an HTTP date, which is compared with the peer's own clock (its Date header) where
there is one, since ours may be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["retry_hint"]


def retry_hint(headers: Iterable[tuple[str, str]], now: float) -> float | None:
    """Seconds to wait, never negative; None where there is no hint that makes sense."""
    wanted = ("retry-after-ms", "retry-after", "date")
    found = {name: value.strip() for name, value in headers if name in wanted}
    milliseconds = _number(found.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = found.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    moment = _date(value)
    if moment is None:
        return None
    return max(0.0, moment - (_date(found.get("date")) or now))


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _date(value: str | None) -> float | None:
    if not value:
        return None
    from email.utils import parsedate_to_datetime  # a heavy import, needed after refusals only

    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
