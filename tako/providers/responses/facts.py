"""What an answer or a refusal says besides the answer: usage, citations, errors, facts for the details.

| fact      | where servers put it                                                                    |
|-----------|-----------------------------------------------------------------------------------------|
| usage     | `usage` of the response; its input holds what was cached, its output the reasoning      |
| error     | `error`, an object, or a text with a `code` beside it; `detail`; `message` alone         |
| filters   | `innererror.content_filter_result` of a refusal (Azure): which of them said no          |

What does not look as expected is left out: none of it may turn a good answer into a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tako.models import Citation, Replay, Usage
from tako.providers.answer import known_count, known_text

__all__ = ["citation_of", "explained", "facts_of", "usage_of"]

FACTS: Final = (
    "service_tier",
    "system_fingerprint",
    "incomplete_details",
    "moderation",
    "conversation",
    "content_filters",
    "prompt_cache_diagnostics",
)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    read, written = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    read = read if type(read) is dict else {}
    written = written if type(written) is dict else {}
    return Usage(
        input_tokens=known_count(usage.get("input_tokens")),
        output_tokens=known_count(usage.get("output_tokens")),
        cache_read_tokens=known_count(read.get("cached_tokens")),
        cache_write_tokens=known_count(read.get("cache_write_tokens")),
        reasoning_tokens=known_count(written.get("reasoning_tokens")),
        raw=dict(usage),
    )


def facts_of(response: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the details of the answer; nothing that is empty."""
    return {name: response[name] for name in FACTS if response.get(name)}


def citation_of(annotation: Any, vendor: str) -> Citation | None:
    """An annotation of a text: a page, or a file by its name."""
    if type(annotation) is not dict:
        return None
    names = (annotation.get(name) for name in ("url", "filename", "file_id"))
    return Citation(
        source=next((name for name in names if known_text(name)), None),
        title=known_text(annotation.get("title")),
        start=known_count(annotation.get("start_index")),
        end=known_count(annotation.get("end_index")),
        replay=Replay(vendor=vendor, data=annotation),
    )


def explained(payload: Any) -> tuple[str | None, str | None]:
    """The message and the code of a refusal, in the shapes that servers of this API give them."""
    if not isinstance(payload, dict):
        return (payload if isinstance(payload, str) else None), None
    error = payload.get("error")
    found = error if isinstance(error, dict) else payload
    if isinstance(error, str):
        found = {**payload, "message": error}
    message = known_text(found.get("message")) or known_text(found.get("detail"))
    filters = _filters(found.get("innererror"))
    if message and filters:
        message = f"{message} (filtered: {', '.join(filters)})"
    codes = (found.get(name) for name in ("code", "type", "statusCode"))
    code = next((code for code in codes if code not in (None, "")), None)
    return message, (None if code is None else str(code))


def _filters(inner: Any) -> list[str]:
    """The filters that said no, each with how bad it found the text."""
    results = inner.get("content_filter_result") if isinstance(inner, dict) else None
    found = []
    for name, result in results.items() if isinstance(results, dict) else ():
        if isinstance(result, dict) and (result.get("filtered") or result.get("detected")):
            found.append(" ".join([name, *([str(result["severity"])] if result.get("severity") else [])]))
    return found
