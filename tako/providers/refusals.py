"""What vendors say besides the answer: refusals, ids of exchanges, limits, and when to come back.

| fact         | where vendors put it                                                              |
|--------------|-----------------------------------------------------------------------------------|
| retry hint   | retry-after-ms, retry-after (seconds or a date); Google's RetryInfo in the body;  |
|              | `retry_after` in the body; "try again in 1.5s" in the message; the reset of the   |
|              | limit that is used up                                                             |
| request id   | REQUEST_IDS, the first that is there                                              |
| rate limits  | x-ratelimit-{limit,remaining,reset}-{requests,tokens}, anthropic-ratelimit-...;   |
|              | the reset as seconds, as "6m0s" or as a moment, which is compared with the peer's |
|              | own Date, since our clock may be wrong                                            |

What does not look as expected is left out: none of it may turn a good answer into a failure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from pydantic_core import from_json

from tako.effects import HttpHead
from tako.errors import ProviderError, RateLimited
from tako.models import RateLimit, RateLimits
from tako.wire.retry_after import retry_hint

__all__ = ["rate_limits_of", "refusal", "request_id_of", "retry_hint_in"]

REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "x-amzn-requestid",
    "apim-request-id",
    "mistral-correlation-id",
    "x-goog-request-id",
)

LIMIT_HEADER = re.compile(r"(?:x-|anthropic-)?ratelimit-(.+)")
ASPECTS = ("limit", "remaining", "reset")
SUBJECT_OF = {
    "": "requests",
    "requests": "requests",
    "req-minute": "requests",
    "tokens": "tokens",
    "tokens-minute": "tokens",
    "input-tokens": "input_tokens",
    "output-tokens": "output_tokens",
}

SECONDS_IN = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milli|s|m(?!on)|h|d)[a-z]*\s*", re.IGNORECASE)
IN_WORDS = re.compile(
    r"(?:again|retry|reset)\w*\s+(?:in|after)\s+(?:about\s+)?((?:\d+(?:\.\d+)?\s*[a-z]+\s*)+)", re.IGNORECASE
)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
LONG_AGO = 1e9
"""Numbers above are moments in seconds since 1970, and above a thousand times that in milliseconds."""


def request_id_of(head: HttpHead) -> str | None:
    """The vendor's id of the exchange, under the names that vendors use."""
    found = {name: value for name, value in head.headers if name in REQUEST_IDS}
    return next((found[name] for name in REQUEST_IDS if found.get(name)), None)


def refusal(
    owner: str, head: HttpHead, body: bytes, explained: tuple[str | None, str | None], moment: float
) -> ProviderError:
    """The error that a refusal stands for; `explained` is its message and code."""
    message, code = explained
    text = body.decode("utf-8", "replace")
    kind = RateLimited if head.status == 429 else ProviderError
    hint = retry_hint(head.headers, moment)
    return kind(
        f"HTTP {head.status} from {owner}: {message or text[:200].strip() or 'no explanation given'}",
        status=head.status,
        code=code,
        retry_after=retry_hint_in(text, message) if hint is None else hint,
        body=text,
        request_id=request_id_of(head),
        phase="head",
    )


def retry_hint_in(body: str, message: str | None) -> float | None:
    """Seconds to wait, as a body says it in data or in words; None where it does not."""
    try:
        payload = from_json(body)
    except ValueError:
        payload = None
    if isinstance(payload, list) and payload:
        payload = payload[0]
    if isinstance(payload, dict):
        error = payload.get("error")
        for found in (error, payload):
            if isinstance(found, dict) and (hint := _hint_in_fields(found)) is not None:
                return hint
    words = IN_WORDS.search(message or body[:4096])
    return duration(words[1]) if words else None


def _hint_in_fields(error: Mapping[str, Any]) -> float | None:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and "retryDelay" in detail:
            return duration(str(detail["retryDelay"]))
    for name, unit in (("retry_after_ms", 0.001), ("retry_after", 1.0), ("retry_after_seconds", 1.0)):
        value = error.get(name)
        if isinstance(value, int | float) and math.isfinite(value) and value >= 0:
            return float(value) * unit
    return None


def duration(text: str) -> float | None:
    """Seconds in "1.5s", "6m0s", "12ms", "20 seconds" or a bare number; None for anything else."""
    try:
        seconds = float(text)
        return seconds if math.isfinite(seconds) and seconds >= 0 else None
    except ValueError:
        pass
    total, place = 0.0, 0
    while found := DURATION.match(text, place):
        unit = found[2].lower()
        total += float(found[1]) * SECONDS_IN["ms" if unit == "milli" else unit]
        place = found.end()
    return total if place and not text[place:].strip(" .,") and math.isfinite(total) else None


def rate_limits_of(head: HttpHead) -> RateLimits | None:
    """What the headers say of the vendor's limits; None if they say nothing."""
    raw: dict[str, str] = {}
    for name, value in head.headers:
        if "ratelimit" in name:
            raw.setdefault(name, value)
    if not raw:
        return None
    found: dict[str, dict[str, Any]] = {}
    for name, value in raw.items():
        matched = LIMIT_HEADER.fullmatch(name)
        words = matched[1].split("-") if matched else []
        aspect = next((word for word in ASPECTS if word in words), None)
        if aspect is None:
            continue
        words.remove(aspect)
        subject = SUBJECT_OF.get("-".join(words))
        amount = _reset(value, head) if aspect == "reset" else _amount(value)
        if subject is not None and amount is not None:
            field = "reset_secs" if aspect == "reset" else aspect
            found.setdefault(subject, {}).setdefault(field, amount)
    return RateLimits(**{subject: RateLimit(**fields) for subject, fields in found.items()}, raw=raw)


def _amount(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None


def _reset(value: str, head: HttpHead) -> float | None:
    """Seconds until the limit is whole again."""
    seconds = duration(value)
    if seconds is not None and seconds < LONG_AGO:
        return seconds
    if seconds is not None:
        moment = seconds / 1000 if seconds > LONG_AGO * 1000 else seconds
    elif MOMENT.match(value):
        moment = _moment(value)
    else:
        return None
    theirs = retry_hint((("retry-after", head.header("date") or ""),), 0.0)
    return None if theirs is None else max(0.0, moment - theirs)


def _moment(value: str) -> float:
    from datetime import datetime  # needed for one vendor's headers only

    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
