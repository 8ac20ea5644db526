"""Ollama's /api/chat, and /api/generate, whose answers are read by the same decoder."""

from __future__ import annotations

from typing import Any

from tako.models import (
    ChatRequest,
    ContentPart,
    Message,
    Part,
    Role,
    Thinking,
    ThinkingPart,
    ToolSchema,
    Usage,
)
from tako.providers.ollama import Ollama
from tests.corpus.subject import Counts, Read, Subject, need
from tests.support.corpus import Exchange

__all__ = ["SUBJECT"]

PROVIDER = Ollama("m")
OPTIONS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "num_predict": "max_tokens",
    "stop": "stop",
}


def counts(exchange: Exchange, usage: Usage) -> Counts:
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached_input": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }


def read(exchange: Exchange) -> Read:
    body = dict(exchange.request["body_json"])
    need("messages" in body, "/api/generate, which takes a prompt and no messages")
    fields: dict[str, Any] = {"model": body.pop("model"), "messages": messages(body.pop("messages"))}
    # Without `stream` this vendor streams, but some recorded clients asked otherwise by other means.
    is_stream = body.pop("stream", exchange.is_stream)
    rest = {}
    for name, value in body.pop("options", {}).items():
        if name in OPTIONS:
            fields[OPTIONS[name]] = value
        else:
            rest[name] = value
    if rest:
        body["options"] = rest
    if "think" in body:
        fields["thinking"] = thinking(body.pop("think"))
    if isinstance(body.get("format"), dict):
        fields["output_schema"] = body.pop("format")
    fields["tools"] = [tool(entry) for entry in body.pop("tools", ())]
    return Read(ChatRequest(**fields, extra=body), PROVIDER, is_stream)


def thinking(think: bool | str) -> Thinking:
    return Thinking(effort=think) if isinstance(think, str) else Thinking(enabled=think)


def tool(entry: dict[str, Any]) -> ToolSchema:
    function = entry["function"]
    need(entry.keys() == {"type", "function"}, entry)
    need(function.keys() == {"name", "description", "parameters"}, function)
    return ToolSchema(
        name=function["name"], description=function["description"], input_schema=function["parameters"]
    )


def messages(entries: list[dict[str, Any]]) -> list[Message]:
    """The messages; the calls get ids, which the recorded clients did not send, in the order of results."""
    found: list[Message] = []
    waiting: list[str] = []
    for place, entry in enumerate(entries):
        need(entry.keys() <= {"role", "content", "thinking", "tool_calls", "tool_name", "images"}, entry)
        if entry["role"] == "tool":
            need(waiting, "a result without a call")
            result = ContentPart.tool_result(
                waiting.pop(0), entry["content"], name=entry.get("tool_name", "")
            )
            found.append(Message.tool([result]))
            continue
        parts: list[Part] = []
        if entry.get("thinking"):
            parts.append(ThinkingPart(text=entry["thinking"]))
        if entry.get("content"):
            parts.append(ContentPart.text(entry["content"]))
        parts += [ContentPart.image(image) for image in entry.get("images") or ()]
        for number, call in enumerate(entry.get("tool_calls") or ()):
            function = call["function"]
            waiting.append(f"call_{place}_{number}")
            parts.append(ContentPart.tool_call(waiting[-1], function["name"], function["arguments"]))
        found.append(Message(role=Role(entry["role"]), content=parts))
    return found


def plain(body: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in body.items() if value not in (None, [], {}, "", False)}
    # No field for "do not think" is another wish than False.
    found["think"] = body.get("think")
    found.pop("stream", None)
    found["messages"] = [plain_message(message) for message in body.get("messages", ())]
    return found


def plain_message(message: dict[str, Any]) -> dict[str, Any]:
    """Without the ids, which the recorded clients did not send."""
    found = {name: value for name, value in message.items() if value and name != "tool_call_id"}
    if "tool_calls" in found:
        found["tool_calls"] = [call["function"] for call in found["tool_calls"]]
    return found


SUBJECT = Subject(
    name="ollama",
    endpoints=("ollama.chat", "ollama.generate"),
    provider=lambda exchange: PROVIDER,
    counts=counts,
    read=read,
    plain=plain,
    minimum=0.88,  # of the four to /api/generate there is nothing to say
)
