"""OpenAI's chat completions against the recordings."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic_core import from_json

from tako.models import (
    AudioPart,
    CacheControl,
    ChatRequest,
    ChatResponse,
    ContentPart,
    DocumentPart,
    Message,
    OpaquePart,
    Part,
    Replay,
    Role,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolSchema,
    Usage,
)
from tako.parts import ImageUrlPart
from tako.providers.chat_completions.messages import LEGACY_ID
from tako.providers.openai import OpenAI, OpenAICompatible
from tests.corpus.subject import Counts, Read, Subject, need
from tests.support.corpus import Exchange

__all__ = ["OPENAI", "plain", "read_body"]

Provider = OpenAI | OpenAICompatible


def counts(exchange: Exchange, usage: Usage) -> Counts:
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached_input": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }


def more(exchange: Exchange, response: ChatResponse) -> list[str]:
    """Other choices, what was refused, and who answered."""
    expected, found = exchange.expected, []
    if expected.get("refusal") and response.details.get("refusal") != expected["refusal"]:
        found.append(f"refusal: {response.details.get('refusal')!r} is not {expected['refusal']!r}")
    choices, others = expected.get("choices"), expected.get("other_choices") or []
    if isinstance(choices, int) and 1 + len(response.other_choices) != max(1, choices):
        found.append(f"choices: {1 + len(response.other_choices)} is not {choices}")
    for ours, theirs in zip(response.other_choices, others, strict=False):
        if ours.message.text != theirs["text"] or ours.raw_finish_reason != theirs["finish_reason"]:
            found.append(f"another choice: {ours.message.text!r} is not {theirs!r}")
    for name, got in (("model", response.model), ("response_id", response.response_id)):
        if name in expected and got != (expected[name] or None):
            found.append(f"{name}: {got!r} is not {expected[name]!r}")
    return found


# Requests


def mark_of(block: dict[str, Any]) -> CacheControl | None:
    return CacheControl(**block["cache_control"]) if block.get("cache_control") else None


def is_image(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() <= {"url", "detail"}


def user_part(block: Any, provider: Provider) -> Part:
    if isinstance(block, str):
        return TextPart(text=block)
    need(isinstance(block, dict), block)
    mark = mark_of(block)
    fields = {name: value for name, value in block.items() if name not in ("type", "cache_control")}
    fields = {name: value for name, value in fields.items() if value is not None}
    match block.get("type"):
        case "text" if fields.keys() == {"text"}:
            return TextPart(text=fields["text"], cache_control=mark)
        case "image_url" if fields.keys() == {"image_url"} and is_image(fields["image_url"]):
            return ImageUrlPart(**fields["image_url"], cache_control=mark)
        case "input_audio" if fields["input_audio"]["format"] in ("wav", "mp3"):
            mime = {"wav": "audio/wav", "mp3": "audio/mpeg"}[fields["input_audio"]["format"]]
            return AudioPart(mime=mime, data_b64=fields["input_audio"]["data"])
        case "file" if fields["file"].keys() == {"file_id"}:
            return DocumentPart(file_id=fields["file"]["file_id"])
        case "file" if fields["file"].keys() == {"filename", "file_data"}:
            source = fields["file"]["file_data"]
            mime = source[5:].partition(";")[0] if source.startswith("data:") else "application/pdf"
            data = {"data_b64": source} if source.startswith("data:") else {"url": source}
            return DocumentPart(mime=mime, title=fields["file"]["filename"], **data)
        case None:
            need(False, block)
    return OpaquePart(replay=Replay(vendor=provider._dialect.vendor, data=block))


def call_part(call: dict[str, Any], provider: Provider) -> Part:
    kind = call.get("type", "function")
    need(kind in ("function", "custom") and call.get("id"), call)
    function = call[kind]
    extras = {
        name: value for name, value in call.items() if name not in ("id", "index", "function", "custom")
    }
    extras = {name: value for name, value in extras.items() if (name, value) != ("type", "function")}
    arguments = function["input"] if kind == "custom" else function["arguments"]
    if kind == "function":
        try:
            arguments = from_json(arguments)
        except ValueError:
            pass
    replay = Replay(vendor=provider._dialect.vendor, data=extras) if extras else None
    return ToolCallPart(id=call["id"], name=function["name"], args=arguments, replay=replay)


REPLAYED = ("reasoning_details", "audio", "refusal", "annotations")


def assistant_parts(message: dict[str, Any], provider: Provider) -> list[Part]:
    vendor = provider._dialect.vendor
    parts: list[Part] = []
    for field in ("reasoning_content", "reasoning"):
        if message.get(field):
            parts.append(
                ThinkingPart(text=message[field], replay=Replay(vendor=vendor, data={"field": field}))
            )
    kept = {name: message[name] for name in REPLAYED if message.get(name)}
    if kept:
        parts.append(OpaquePart(replay=Replay(vendor=vendor, data=kept)))
    content = message.get("content")
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    for block in blocks:
        need(block.get("type") == "text", block)
        parts.append(TextPart(text=block["text"]))
    parts += [call_part(call, provider) for call in message.get("tool_calls") or ()]
    legacy = message.get("function_call")
    if legacy:
        parts.append(
            ToolCallPart(id=f"{LEGACY_ID}x", name=legacy["name"], args=from_json(legacy["arguments"]))
        )
    return parts


KNOWN = {"role", "content", "tool_calls", "tool_call_id", "function_call", "name", "cache_control"}


def message_of(message: Any, provider: Provider) -> Message:
    need(isinstance(message, dict), message)
    left = {name for name, value in message.items() if value not in (None, [], {})}
    need(left <= KNOWN | {*REPLAYED, "reasoning_content", "reasoning", "parsed"}, left)
    role, content = message["role"], message.get("content")
    need(not message.get("name") or role in ("tool", "function"), f"the name of a {role}")
    if role == "assistant":
        return Message.assistant(assistant_parts(message, provider))
    blocks = content if isinstance(content, list) else [content or ""]
    mark = mark_of(message)
    if role in ("tool", "function"):
        parts = [user_part(block, provider) for block in blocks]
        need(all(type(part) is TextPart for part in parts), content)
        text = "".join([part.text for part in parts if type(part) is TextPart])
        mark = mark or getattr(parts[-1], "cache_control", None)
        call_id = message["tool_call_id"] if role == "tool" else f"{LEGACY_ID}x"
        result = {"id": call_id, "name": message.get("name") or "", "result": text, "cache_control": mark}
        return Message.tool([ContentPart(type="tool_result", **result)])
    need(role in ("system", "developer", "user"), role)
    parts = [user_part(block, provider) for block in blocks]
    if mark is not None:
        parts[-1] = parts[-1].model_copy(update={"cache_control": mark})
    return Message(role=Role.USER if role == "user" else Role.SYSTEM, content=tuple(parts))


def tools_of(body: dict[str, Any]) -> tuple[list[ToolSchema], list[Any]]:
    ours, theirs = [], []
    for tool in body.pop("tools", None) or ():
        function = tool.get("function") or {}
        names = {"name", "description", "parameters"}
        if tool.keys() == {"type", "function"} and names <= function.keys() <= names | {"strict"}:
            ours.append(
                ToolSchema(
                    name=function["name"],
                    description=function["description"],
                    input_schema=function["parameters"],
                    strict=function.get("strict"),
                )
            )
        else:
            theirs.append(tool)
    return ours, theirs


def thinking_of(body: dict[str, Any], provider: Provider) -> Thinking | None:
    """The thinking that is asked for, where our words say all of it; it is taken out of the body."""
    kind = provider._dialect.thinking
    effort = body.get("reasoning_effort")
    if kind == "effort" and isinstance(effort, str):
        del body["reasoning_effort"]
        return Thinking(enabled=False) if effort == "none" else Thinking(effort=effort)
    asked = body.get("reasoning") or {}
    if kind == "reasoning" and asked and asked.keys() <= {"effort", "max_tokens", "exclude"}:
        summary: Literal["none"] | None = "none" if asked.get("exclude") else None
        del body["reasoning"]
        return Thinking(effort=asked.get("effort"), budget_tokens=asked.get("max_tokens"), summary=summary)
    if kind == "reasoning" and asked.keys() == {"enabled"}:
        return Thinking(enabled=body.pop("reasoning")["enabled"])
    asked = body.get("thinking") or {}
    if kind == "thinking" and asked.keys() == {"type"}:
        del body["thinking"]
        if asked["type"] == "disabled":
            return Thinking(enabled=False)
        return Thinking(effort=body.pop("reasoning_effort", None))
    return None


ELIDED = re.compile(r"<elided base64[^>]*>")


def restored(value: Any) -> Any:
    """The value with some base64 where the recording has a mark for base64 that was cut out."""
    if isinstance(value, str):
        return ELIDED.sub("RUxJREVE", value)
    if isinstance(value, list):
        return [restored(item) for item in value]
    return {key: restored(item) for key, item in value.items()} if isinstance(value, dict) else value


def read_body(body: dict[str, Any], provider: Provider) -> Read:
    body = {name: value for name, value in restored(body).items() if value is not None}
    need(isinstance(body.get("messages"), list), "no messages")
    fields: dict[str, Any] = {"model": body.pop("model", "")}
    fields["messages"] = [message_of(message, provider) for message in body.pop("messages")]
    stream = body.pop("stream", False)
    numbers = ("temperature", "top_p", "top_k", "seed", "n", "presence_penalty", "frequency_penalty")
    for name in (*numbers, "parallel_tool_calls"):
        fields[name] = body.pop(name, None)
    fields["max_tokens"] = body.pop("max_completion_tokens", None) or body.pop("max_tokens", None)
    stop = body.pop("stop", None) or ()
    fields["stop"] = (stop,) if isinstance(stop, str) else stop
    fields["metadata"] = body.pop("metadata", {})
    if body.pop("logprobs", False):
        fields["top_logprobs"] = body.pop("top_logprobs", None) or 0
    fields["thinking"] = thinking_of(body, provider)
    fields["tools"], theirs = tools_of(body)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        choice = choice["function"]["name"]
    if isinstance(choice, str):
        fields["tool_choice"] = choice
        del body["tool_choice"]
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema" and provider._dialect.takes_schema:
        fields["output_schema"] = body.pop("response_format")["json_schema"]["schema"]
    options = dict(body.pop("stream_options", None) or {})
    if options.pop("include_usage", True) and options:
        body["stream_options"] = options
    fields["extra"] = {**body, **({"tools": theirs} if theirs else {})}
    return Read(ChatRequest(**fields), provider, stream)


def read(exchange: Exchange) -> Read:
    body = exchange.request["body_json"]
    limit = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
    return read_body(body, OpenAI("m", "", max_tokens_field=limit))  # type: ignore[arg-type]


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """Spellings that mean the same look the same: a null is nothing, one text block is its text."""
    body = restored(body)
    found = {
        name: value
        for name, value in body.items()
        if name != "messages" and value not in (None, [], {}, False)
    }
    found["messages"] = [plain_message(message) for message in body["messages"]]
    found["tools"] = sorted(json.dumps(tool, sort_keys=True) for tool in body.get("tools") or ())
    if isinstance(found.get("stop"), str):
        found["stop"] = [found["stop"]]
    found.pop("model", None)
    if body.get("stream"):
        # Tako always asks for the usage, where it can be asked for.
        options = {**(body.get("stream_options") or {}), "include_usage": True}
        found["stream_options"] = options
    form = found.get("response_format") or {}
    if form.get("type") == "json_schema":
        # The name is ours, and strict is decided by the schema.
        found["response_format"] = form["json_schema"]["schema"]
    return found


def plain_message(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content") or ""
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    blocks = [plain_block(block) for block in content]
    if message.get("cache_control") and blocks:
        blocks[-1] = {**blocks[-1], "cache_control": message["cache_control"]}
    if all(block.keys() == {"type", "text"} for block in blocks):
        blocks = [{"type": "text", "text": "".join([block["text"] for block in blocks])}]
    found = {
        name: value
        for name, value in message.items()
        if name not in ("content", "name", "cache_control", "parsed") and value not in (None, [], {})
    }
    found["content"] = blocks
    if found["role"] == "developer":
        found["role"] = "system"  # one or the other by the age of the model; the vendor takes both
    found["tool_calls"] = [plain_call(call) for call in message.get("tool_calls") or ()]
    return found


def plain_block(block: Any) -> dict[str, Any]:
    if isinstance(block, str):
        return {"type": "text", "text": block}
    return {name: value for name, value in block.items() if value is not None}


def plain_call(call: dict[str, Any]) -> dict[str, Any]:
    kind = call.get("type", "function")
    function = dict(call[kind])
    try:
        function["arguments"] = from_json(function.get("arguments", ""))
    except ValueError:
        pass
    return {**{name: value for name, value in call.items() if name != "index"}, "type": kind, kind: function}


OPENAI = Subject(
    name="openai",
    endpoints=("openai.chat.completions",),
    provider=lambda exchange: OpenAI("gpt", ""),
    counts=counts,
    read=read,
    plain=plain,
    minimum=0.97,
    more=more,
)
