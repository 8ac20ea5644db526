"""What an answer says besides itself: usage, errors, log probabilities, facts for its details.

| fact   | where servers put it                                                                          |
|--------|-----------------------------------------------------------------------------------------------|
| usage  | `usage` of an event, with every event or the last; `x_groq.usage`; `usage` of a choice         |
| error  | `error` of an event or a choice, an object or a text; `object: "error"`; a `message` and a      |
|        | `code` alone; `base_resp` with a status that is not zero; a `finish_reason` in BREAKDOWNS       |
| cached | `prompt_tokens_details.cached_tokens`, `cached_tokens`, `prompt_cache_hit_tokens`,             |
|        | `cache_read_input_tokens`                                                                      |
| total  | may be more than both counts: by reasoning (xAI; Gemini, which names no count of it) or by     |
|        | sound in the prompt (Mistral); that is added to the count it belongs to                        |

What does not look as expected is left out: none of it may turn a good answer into a failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tako.models import TokenLogprob, Usage
from tako.providers.answer import known_count

__all__ = ["facts_of", "logprobs_of", "refusal_in", "usage_in", "usage_of"]

FACTS: Final = frozenset(
    (
        # of OpenAI and Azure
        "service_tier",
        "system_fingerprint",
        "moderation",
        "content_filter_results",
        "content_filter_offsets",
        "prompt_filter_results",
        # of those who search the web
        "annotations",
        "citations",
        "search_results",
        "related_questions",
        # of gateways, and of those who run tools themselves
        "provider",
        "provider_metadata",
        "native_finish_reason",
        "executed_tools",
        "venice_parameters",
        "stop_reason",
    )
)


BREAKDOWNS: Final[Mapping[str, int | None]] = {
    "error": None,
    "insufficient_system_resource": 503,
    "network_error": 502,
}
"""Reasons for ending that mean that the service broke down, and the status that would have said so."""


def facts_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """What goes into the details of the answer; nothing that is empty."""
    return {name: found[name] for name in found.keys() & FACTS if found[name]}


def refusal_in(found: Mapping[str, Any]) -> Any:
    """The error that an event or a choice reports; None if it is none."""
    error = found.get("error")
    if error:
        return error
    reason = found.get("finish_reason")
    if type(reason) is str and reason in BREAKDOWNS:
        message = f'finish_reason is "{reason}", and nothing more is said'
        return {"code": reason, "status": BREAKDOWNS[reason], "message": message}
    state = found.get("base_resp")
    if isinstance(state, dict) and state.get("status_code"):
        return {"code": state["status_code"], "message": state.get("status_msg")}
    is_error = found.get("object") == "error" or ("message" in found and "code" in found)
    return found if is_error and "choices" not in found and "delta" not in found else None


def usage_in(event: Mapping[str, Any]) -> Usage | None:
    """The usage that an event tells, wherever it is; None if it does not."""
    usage = event.get("usage")
    if type(usage) is dict:
        return usage_of(usage)
    for place in (event.get("x_groq"), *(event.get("choices") or ())):
        usage = place.get("usage") if type(place) is dict else None
        if type(usage) is dict:
            return usage_of(usage)
    return None


def usage_of(usage: dict[str, Any]) -> Usage:
    """The counts: the input holds what was cached, the output holds the reasoning."""
    read = usage.get("prompt_tokens_details")
    written = usage.get("completion_tokens_details")
    read = read if type(read) is dict else {}
    written = written if type(written) is dict else {}
    tokens_in = known_count(usage.get("prompt_tokens"))
    tokens_out = known_count(usage.get("completion_tokens"))
    if tokens_in is not None and tokens_out is not None:
        beyond = (known_count(usage.get("total_tokens")) or 0) - tokens_in - tokens_out
        if beyond > 0 and beyond == read.get("audio_tokens"):
            tokens_in += beyond
        elif beyond > 0:
            tokens_out += beyond
    return Usage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cache_read_tokens=_first_count(
            read.get("cached_tokens"),
            usage.get("cached_tokens"),
            usage.get("prompt_cache_hit_tokens"),
            usage.get("cache_read_input_tokens"),
        ),
        cache_write_tokens=_first_count(
            read.get("cache_write_tokens"), usage.get("cache_creation_input_tokens")
        ),
        reasoning_tokens=_first_count(written.get("reasoning_tokens"), usage.get("reasoning_tokens")),
        raw=usage,
    )


def _first_count(*values: Any) -> int | None:
    return next((count for value in values if (count := known_count(value)) is not None), None)


def logprobs_of(found: Any) -> tuple[TokenLogprob, ...]:
    """The tokens in `logprobs`, of the text and of a refusal; none for what is not understood."""
    if type(found) is not dict:
        return ()
    entries = [*_listed(found.get("content")), *_listed(found.get("refusal"))]
    tokens = []
    for entry in entries:
        for token, logprob in _pairs((entry,)):
            top = tuple(_pairs(entry.get("top_logprobs")))
            tokens.append(TokenLogprob(token=token, logprob=logprob, top=top))
    return tuple(tokens)


def _listed(value: Any) -> list[Any]:
    return value if type(value) is list else []


def _pairs(entries: Any) -> Iterator[tuple[str, float]]:
    for entry in entries if isinstance(entries, (list, tuple)) else ():
        if type(entry) is not dict:
            continue
        token, logprob = entry.get("token"), entry.get("logprob")
        if type(token) is str and isinstance(logprob, int | float) and math.isfinite(logprob):
            yield token, float(logprob)
