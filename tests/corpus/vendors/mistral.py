"""Mistral's chat completions."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

from tako.models import (
    AudioPart,
    ChatRequest,
    ContentPart,
    DocumentPart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Part,
    Replay,
    Role,
    Thinking,
    ThinkingPart,
    ToolSchema,
    Usage,
)
from tako.providers.mistral import Mistral
from tako.providers.mistral.encode import wire_id
from tests.corpus.subject import Counts, Read, Subject, need
from tests.support.corpus import Exchange

__all__ = ["SUBJECT"]

PROVIDER = Mistral("m", "")
SAME = (
    "max_tokens",
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "n",
    "parallel_tool_calls",
)


def counts(exchange: Exchange, usage: Usage) -> Counts:
    """The vendor counts sound that was heard beside its input, and we count all that was read."""
    raw = usage.raw or {}
    read = raw.get("prompt_tokens_details") or {}
    sound = read.get("audio_tokens") or 0
    return {
        "input": None if usage.input_tokens is None else usage.input_tokens - sound,
        "output": usage.output_tokens,
        "cached_input": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }


def error_code(exchange: Exchange) -> str:
    """The library tells of no code, and leaves the body as text."""
    return str(from_json(exchange.body)["code"])


def error_message(exchange: Exchange) -> str:
    return str(from_json(exchange.body)["message"])


def read(exchange: Exchange) -> Read:
    body = dict(exchange.request["body_json"])
    fields: dict[str, Any] = {
        "model": body.pop("model"),
        "messages": [message(entry) for entry in body.pop("messages")],
    }
    is_stream = body.pop("stream", False)
    for name in SAME:
        fields[name] = body.pop(name, None)
    fields["seed"] = body.pop("random_seed", None)
    stop = body.pop("stop", None) or ()
    fields["stop"] = (stop,) if isinstance(stop, str) else stop
    if "reasoning_effort" in body:
        fields["thinking"] = Thinking(effort=body.pop("reasoning_effort"))
    if body.pop("logprobs", False):
        fields["top_logprobs"] = body.pop("top_logprobs", 0)
    fields["tools"], theirs = tools(body.pop("tools", ()))
    choice = body.pop("tool_choice", None)
    if isinstance(choice, dict):
        choice = choice["function"]["name"]
    fields["tool_choice"] = "required" if choice == "any" else choice
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        fields["output_schema"] = response_format["json_schema"]["schema"]
        del body["response_format"]
    extra = {**body, **({"tools": theirs} if theirs else {})}
    return Read(ChatRequest(**fields, extra=extra), PROVIDER, is_stream)


def tools(entries: list[dict[str, Any]]) -> tuple[list[ToolSchema], list[Any]]:
    """The tools that tako has words for, and those of the vendor's own."""
    ours, theirs = [], []
    for entry in entries:
        function = entry["function"]
        if function.keys() == {"name", "description", "parameters"}:
            ours.append(
                ToolSchema(
                    name=function["name"],
                    description=function["description"],
                    input_schema=function["parameters"],
                )
            )
        else:
            theirs.append(entry)
    return ours, theirs


def message(entry: dict[str, Any]) -> Message:
    content = entry.get("content")
    need(entry.keys() <= {"role", "content", "tool_calls", "tool_call_id", "prefix"}, entry.keys())
    if entry["role"] == "tool":
        need(isinstance(content, str), content)
        return Message.tool([ContentPart.tool_result(entry["tool_call_id"], content)])
    parts: list[Part] = [ContentPart.text(content)] if isinstance(content, str) and content else []
    if isinstance(content, list):
        parts += [part(block) for block in content]
    if entry.get("prefix"):
        parts.append(OpaquePart(replay=Replay(vendor="mistral", data={"prefix": True})))
    for call in entry.get("tool_calls") or ():
        function = call["function"]
        arguments = function["arguments"]
        if isinstance(arguments, str):
            try:
                arguments = from_json(arguments)
            except ValueError:
                pass
        parts.append(ContentPart.tool_call(call["id"], function["name"], arguments))
    return Message(role=Role(entry["role"]), content=parts)


def part(block: dict[str, Any]) -> Part:
    match block["type"]:
        case "text":
            return ContentPart.text(block["text"])
        case "image_url":
            image = block["image_url"]
            fields: dict[str, Any] = {"url": image} if isinstance(image, str) else image
            return ImageUrlPart(url=fields["url"], detail=fields.get("detail"))
        case "document_url":
            # The base64 is cut in the recordings, so it can only be an address.
            return DocumentPart(url=block["document_url"], title=block.get("document_name"))
        case "input_audio":
            return AudioPart(mime="audio/mpeg", url=block["input_audio"])
        case "thinking":
            need(all(item["type"] == "text" for item in block["thinking"]), block)
            text = "".join([item["text"] for item in block["thinking"]])
            data = {name: value for name, value in block.items() if name not in ("type", "thinking")}
            return ThinkingPart(text=text, replay=Replay(vendor="mistral", data=data))
        case _:
            return OpaquePart(replay=Replay(vendor="mistral", data=block))


def plain(body: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in body.items() if value not in (None, [], False)}
    if isinstance(found.get("stop"), str):
        found["stop"] = [found["stop"]]
    found["tools"] = sorted(json.dumps(tool["function"], sort_keys=True) for tool in body.get("tools") or ())
    found["messages"] = [plain_message(entry) for entry in body["messages"]]
    if (found.get("response_format") or {}).get("type") == "json_schema":
        found["response_format"] = found["response_format"]["json_schema"]["schema"]  # the name is ours
    if not found["tools"]:
        found.pop("tool_choice", None)
    return found


def plain_message(entry: dict[str, Any]) -> dict[str, Any]:
    content = entry.get("content") or ""
    if isinstance(content, list):
        content = [plain_block(block) for block in content]
        if all(block["type"] == "text" for block in content):
            content = "".join([block["text"] for block in content])
    found: dict[str, Any] = {"role": entry["role"], "content": content}
    if entry.get("prefix"):
        found["prefix"] = True
    if entry.get("tool_call_id"):
        found["tool_call_id"] = wire_id(entry["tool_call_id"])
    found["tool_calls"] = [
        (wire_id(call["id"]), call["function"]["name"], plain_arguments(call["function"]["arguments"]))
        for call in entry.get("tool_calls") or ()
    ]
    return found


def plain_block(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "image_url" and isinstance(block["image_url"], dict):
        image = block["image_url"]
        return {**block, "image_url": image["url"] if image.keys() == {"url"} else image}
    if block["type"] == "thinking":
        return {**block, "thinking": "".join([item["text"] for item in block["thinking"]])}
    return block


def plain_arguments(arguments: Any) -> Any:
    try:
        return from_json(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments


SUBJECT = Subject(
    name="mistral",
    endpoints=("mistral.chat.completions",),
    provider=lambda exchange: PROVIDER,
    counts=counts,
    read=read,
    plain=plain,
    minimum=0.99,
    error_code=error_code,
    error_message=error_message,
)
