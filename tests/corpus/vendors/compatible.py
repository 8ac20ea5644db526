"""OpenAICompatible against the recordings of the services that speak as OpenAI does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import from_json

from tako.models import Usage
from tako.providers.openai.compatible import OpenAICompatible
from tako.providers.openai.presets import PRESETS
from tests.corpus.subject import Counts, Read
from tests.corpus.vendors.openai import OPENAI, plain, read_body
from tests.support.corpus import Exchange

__all__ = ["COMPATIBLE"]

PRESET_OF = {
    "api.ai21.com": "ai21",
    "gemini-openai": "gemini",
    "vercel-gateway": "vercel",
}
"""Names of the recordings that are not those of the presets."""


def preset_of(exchange: Exchange) -> str | None:
    name = PRESET_OF.get(exchange.provider, exchange.provider)
    return name if name in PRESETS else None


@cache
def made(preset: str | None, url: str, model: str = "m", **quirks: Any) -> OpenAICompatible:
    return OpenAICompatible(model, "", preset=preset, base_url=url, quirks=quirks)


def provider(exchange: Exchange) -> OpenAICompatible:
    return made(preset_of(exchange), "http://localhost")


def counts(exchange: Exchange, usage: Usage) -> Counts:
    """What we know from elsewhere than OpenAI's own fields, the vendor's numbers do not have."""
    raw = usage.raw or {}
    if exchange.expected["usage"] is None and b'"x_groq"' in exchange.body:
        raw, usage = {}, Usage()  # the library does not look for it in there
    read, written = raw.get("prompt_tokens_details") or {}, raw.get("completion_tokens_details") or {}
    output = usage.output_tokens
    if preset_of(exchange) in ("xai", "gemini"):
        output = raw.get("completion_tokens")  # without the reasoning, which is in the total and in ours
        if output is not None and raw.get("total_tokens") != usage.total:
            output = -1
    return {
        "input": usage.input_tokens,
        "output": output,
        "cached_input": usage.cache_read_tokens if read.get("cached_tokens") is not None else None,
        "cache_write": usage.cache_write_tokens if read.get("cache_write_tokens") is not None else None,
        "reasoning": usage.reasoning_tokens if written.get("reasoning_tokens") is not None else None,
    }


def error_message(exchange: Exchange) -> str:
    """The message in the body: the library has none where the error is a text."""
    error = from_json(exchange.body)["error"]
    return str(error if isinstance(error, str) else error["message"])


def read(exchange: Exchange) -> Read:
    body = exchange.request["body_json"]
    limit = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
    url = exchange.request["url"]
    base = url if urlsplit(url).path.endswith("/chat/completions") else "http://localhost"
    asks = bool((body.get("stream_options") or {}).get("include_usage")) or not body.get("stream")
    kind = made(preset_of(exchange), base, max_tokens_field=limit, asks_for_usage=asks)
    return read_body(body, kind)


def one_answer(body: dict[str, Any]) -> dict[str, Any]:
    """As `plain`, without an `n` of 1: that is what there is anyway, and some services know no `n`."""
    return {name: value for name, value in plain(body).items() if (name, value) != ("n", 1)}


COMPATIBLE = replace(
    OPENAI,
    name="compatible",
    endpoints=("openai-compat.chat.completions",),
    provider=provider,
    counts=counts,
    error_message=error_message,
    read=read,
    plain=one_answer,
    minimum=0.95,
)
