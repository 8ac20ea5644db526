"""Azure: chat completions and responses, by deployment and under the v1 path."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic_core import from_json

from tako.models import ChatResponse
from tako.providers.openai import AzureOpenAI
from tests.corpus.subject import Read, Subject
from tests.corpus.vendors import openai, responses
from tests.support.corpus import Exchange

__all__ = ["SUBJECT"]

ENDPOINT = "https://REDACTED.openai.azure.com"
FILTERS = ("prompt_filter_results", "content_filter_results", "content_filters")
DEPLOYMENT = re.compile(r"/deployments/([^/]+)/")


def provider(exchange: Exchange, **options: Any) -> AzureOpenAI:
    """The provider whose address is the recorded one."""
    parts = urlsplit(exchange.request["url"])
    deployment = DEPLOYMENT.search(parts.path)
    version = parse_qs(parts.query).get("api-version", ["v1"])[0]
    api = "responses" if parts.path.endswith("/responses") else "chat"
    name = deployment[1] if deployment else "m"
    return AzureOpenAI(ENDPOINT, name, "", api_version=version, api=api, **options)  # type: ignore[arg-type]


def more(exchange: Exchange, response: ChatResponse) -> list[str]:
    """The ids, the vendor's own items, and that what the content filters said is in the details."""
    other = openai.OPENAI if "chat" in exchange.request["url"] else responses.SUBJECT
    wanted = {
        name
        for event in events(exchange)
        for found in (event, *(event.get("choices") or ()), event.get("response") or {})
        for name in FILTERS
        if found.get(name)
    }
    missing = sorted(wanted - response.details.keys())
    return other.more(exchange, response) + [f"{name}: not in the details" for name in missing]


def events(exchange: Exchange) -> list[dict[str, Any]]:
    """The events of a recorded stream, or the one body."""
    if not exchange.is_stream:
        return [from_json(exchange.body)]
    lines = exchange.body.split(b"\n")
    return [from_json(line[5:]) for line in lines if line.startswith(b"data: {")]


def read(exchange: Exchange) -> Read:
    body = exchange.request["body_json"]
    if "chat" not in exchange.request["url"]:
        request, stream, stored = responses.read_body(exchange, "azure.responses")
        return Read(request, provider(exchange, store=stored), stream)
    limit = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
    return openai.read_body(body, provider(exchange, max_tokens_field=limit))  # type: ignore[arg-type]


def plain(body: dict[str, Any]) -> dict[str, Any]:
    return openai.plain(body) if "messages" in body else responses.plain(body)


SUBJECT = Subject(
    name="azure",
    endpoints=("azure.chat.completions", "azure.responses"),
    provider=provider,
    counts=responses.counts,
    read=read,
    plain=plain,
    minimum=0.97,
    more=more,
)
