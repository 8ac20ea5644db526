"""Amazon Bedrock's Converse API. Claude by invoke is Anthropic's; the rest of invoke has its own test."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from tako.models import (
    CacheControl,
    ChatRequest,
    ChatResponse,
    ContentPart,
    DocumentPart,
    ImagePart,
    Message,
    OpaquePart,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolSchema,
    Usage,
)
from tako.parts import VideoPart
from tako.providers.bedrock import Bedrock
from tako.providers.bedrock.blocks import DOCUMENTS, IMAGES, VIDEOS
from tests.corpus.subject import Counts, Read, Subject, need
from tests.support.corpus import Exchange

__all__ = ["SUBJECT"]

MODEL = re.compile(r"/model/([^/]+)/converse")
ELIDED = re.compile(r"<elided [^>]*>")
DISPLAYS: dict[str | None, Literal["auto", "none"] | None] = {
    "summarized": "auto",
    "omitted": "none",
    None: None,
}
CHOICES = {"any": "required", "auto": "auto"}
LIMITS = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}


def provider(exchange: Exchange) -> Bedrock:
    found = MODEL.search(exchange.request["url"])
    assert found is not None
    return Bedrock(unquote(found[1]), region="us-east-1", api_key="k")


def counts(exchange: Exchange, usage: Usage) -> Counts:
    cached, written = usage.cache_read_tokens, usage.cache_write_tokens
    fresh = usage.input_tokens
    return {
        "input": None if fresh is None else fresh - (cached or 0) - (written or 0),
        "output": usage.output_tokens,
        "cached_input": cached,
        "cache_write": written,
        "reasoning": usage.reasoning_tokens,
        "total": usage.total,
    }


def is_call(exchange: Exchange, call: Mapping[str, Any]) -> bool:
    """AWS runs its own tools itself and puts the result into the same answer; botocore lists them all."""
    tools = (exchange.request["body_json"].get("toolConfig") or {}).get("tools", ())
    return call["name"] not in [entry["systemTool"]["name"] for entry in tools if "systemTool" in entry]


def more(exchange: Exchange, response: ChatResponse) -> list[str]:
    """Citations, signatures, redacted thinking and what AWS's own tools did."""
    parts = response.message.content
    own = [part.replay.data for part in parts if type(part) is OpaquePart]
    found = {
        "citations": sum(len(part.citations) for part in parts if type(part) is TextPart),
        "thinking_signatures": sum(type(part) is ThinkingPart and part.replay is not None for part in parts),
        "redacted_thinking": sum("redactedContent" in data.get("reasoningContent", ()) for data in own),
        "server_tool_calls": [{"type": name} for data in own for name in data if name == "toolResult"],
    }
    # In a stream botocore's results of AWS's own tools were not counted.
    names = [name for name in found if name != "server_tool_calls" or not exchange.is_stream]
    return [
        f"{name}: {found[name]!r} is not {wanted!r}"
        for name in names
        if found[name] != (wanted := exchange.expected.get(name, type(found[name])()))
    ]


def whole(base: str) -> str:
    """Base64 for what the corpus has elided."""
    return base64.b64encode(base.encode()).decode() if ELIDED.fullmatch(base) else base


def own(block: dict[str, Any]) -> OpaquePart:
    return OpaquePart(replay=Replay(vendor="bedrock", data=restored(block)))


def restored(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: restored(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [restored(inner) for inner in value]
    return whole(value) if isinstance(value, str) else value


def mime_of(formats: dict[str, str], format: str) -> str:
    return next(mime for mime, name in formats.items() if name == format)


def given(block: dict[str, Any]) -> Any:
    ((kind, value),) = block.items()
    source = value.get("source", {}) if isinstance(value, dict) else {}
    if kind == "text":
        return ContentPart.text(value)
    if kind == "image" and "bytes" in source:
        return ImagePart(mime=mime_of(IMAGES, value["format"]), data_b64=whole(source["bytes"]))
    if kind == "video" and "bytes" in source:
        return VideoPart(mime=mime_of(VIDEOS, value["format"]), data_b64=whole(source["bytes"]))
    if kind == "document" and "content" not in source:
        return document(value, source)
    need(kind in ("image", "video", "document", "guardContent", "searchResult", "json"), kind)
    return own(block)


def document(value: dict[str, Any], source: dict[str, Any]) -> DocumentPart:
    text, place = source.get("text"), source.get("s3Location")
    need(place is None or place.keys() == {"uri"}, place)
    return DocumentPart(
        mime=mime_of(DOCUMENTS, value["format"]),
        title=value["name"],
        context=value.get("context"),
        citations=value["citations"]["enabled"] if "citations" in value else None,
        text=text,
        url=None if place is None else place["uri"],
        data_b64=whole(source["bytes"]) if "bytes" in source else None,
    )


def result(value: dict[str, Any]) -> Any:
    content = value["content"]
    fields: dict[str, Any] = {"id": value["toolUseId"], "is_error": value.get("status") == "error"}
    if len(content) == 1 and "json" in content[0]:
        fields["result"] = content[0]["json"]
    elif len(content) == 1 and "text" in content[0]:
        fields["result"] = content[0]["text"]
    else:
        fields["content"] = [given(block) for block in content]
    return ContentPart(type="tool_result", **fields)


def said(block: dict[str, Any]) -> Any:
    """A block of the assistant's."""
    ((kind, value),) = block.items()
    match kind:
        case "text":
            return ContentPart.text(value)
        case "toolUse" if "type" not in value:
            return ContentPart.tool_call(value["toolUseId"], value["name"], value["input"])
        case "reasoningContent" if "reasoningText" in value:
            thought = dict(value["reasoningText"])
            need("signature" in thought, "thinking without a signature")
            return ThinkingPart(text=thought.pop("text"), replay=Replay(vendor="bedrock", data=thought))
        case "citationsContent":
            text = "".join(piece["text"] for piece in value["content"])
            return TextPart(text=text, replay=Replay(vendor="bedrock", data=block))
        case _:
            return own(block)


def marked(blocks: list[dict[str, Any]], read: Callable[[dict[str, Any]], Any]) -> list[Any]:
    """The parts of the blocks; a cache point is a mark of the part before it."""
    parts: list[Any] = []
    for block in blocks:
        if "cachePoint" not in block:
            parts.append(read(block))
            continue
        need(parts and hasattr(parts[-1], "cache_control"), "a cache point after what takes no mark")
        mark = CacheControl(ttl=block["cachePoint"].get("ttl"))
        parts[-1] = parts[-1].model_copy(update={"cache_control": mark})
    return parts


def messages(entries: list[dict[str, Any]]) -> list[Message]:
    found: list[Message] = []
    for entry in entries:
        if entry["role"] == "assistant":
            found.append(Message.assistant(marked(entry["content"], said)))
            continue
        parts = marked(
            entry["content"],
            lambda block: result(block["toolResult"]) if "toolResult" in block else given(block),
        )
        results: list[Any] = []
        for part in parts:
            if part.type == "tool_result":
                results.append(part)
            else:
                found += [Message.tool(results)] if results else []
                found.append(Message.user([part]))
                results = []
        found += [Message.tool(results)] if results else []
    return found


def tool(block: dict[str, Any]) -> ToolSchema:
    spec = block["toolSpec"]
    return ToolSchema(
        name=spec["name"],
        description=spec.get("description", ""),
        input_schema=spec["inputSchema"]["json"],
        strict=spec.get("strict"),
    )


def thinking(fields: dict[str, Any]) -> Thinking | None:
    """What the fields say of thinking, taken out of them."""
    effort = fields.pop("reasoning_effort", None) or fields.pop("reasoning_config", None)
    if isinstance(effort, str):
        return Thinking(effort=effort)
    asked = fields.pop("thinking", None)
    if asked is None:
        return None
    effort = fields.pop("output_config", {}).get("effort")
    return Thinking(
        budget_tokens=asked.get("budget_tokens"), summary=DISPLAYS[asked.get("display")], effort=effort
    )


def schema(config: dict[str, Any]) -> dict[str, Any]:
    structure = config["textFormat"]["structure"]["jsonSchema"]
    named = {"title": structure["name"]}
    if "description" in structure:
        named["description"] = structure["description"]
    return {**json.loads(structure["schema"]), **named}


def read(exchange: Exchange) -> Read:
    body = dict(exchange.request["body_json"])
    system = marked(body.pop("system", None) or [], given)
    fields: dict[str, Any] = {
        "messages": [*([Message.system(system)] if system else []), *messages(body.pop("messages"))]
    }
    limits = dict(body.pop("inferenceConfig", None) or {})
    for name, ours in LIMITS.items():
        if limits.get(name) is not None:
            fields[ours] = limits.pop(name)
    additional = dict(body.pop("additionalModelRequestFields", None) or {})
    fields["thinking"] = thinking(additional)
    if "outputConfig" in body:
        fields["output_schema"] = schema(body.pop("outputConfig"))
    fields["metadata"] = body.pop("requestMetadata", {})
    config = body.pop("toolConfig", None) or {}
    theirs = [entry for entry in config.get("tools", ()) if "systemTool" in entry]
    fields["tools"] = marked([entry for entry in config.get("tools", ()) if "systemTool" not in entry], tool)
    for kind, value in (config.get("toolChoice") or {}).items():
        fields["tool_choice"] = CHOICES.get(kind) or value["name"]
    extra = {**body, "inferenceConfig": limits, "additionalModelRequestFields": additional, "tools": theirs}
    fields["extra"] = {name: value for name, value in extra.items() if value}
    return Read(
        ChatRequest(**fields), provider(exchange), exchange.request["url"].endswith("converse-stream")
    )


def plain(body: dict[str, Any]) -> dict[str, Any]:
    found = {name: restored(value) for name, value in body.items() if value not in (None, [], {})}
    found["inferenceConfig"] = {
        name: value for name, value in (body.get("inferenceConfig") or {}).items() if value not in (None, [])
    }
    found.pop("system", None)
    found["system"] = [restored(block) for block in body.get("system") or () if not is_blank(block)]
    turns: list[tuple[str, list[Any]]] = []
    for message in body["messages"]:
        blocks = [plain_block(block) for block in message["content"] if not is_blank(block)]
        if not turns or turns[-1][0] != message["role"]:
            turns.append((message["role"], []))
        turns[-1][1].extend(blocks)
    found["messages"] = [turn for turn in turns if turn[1]]
    if "toolConfig" in found:
        tools = found["toolConfig"]["tools"]
        found["toolConfig"]["tools"] = sorted(json.dumps(entry, sort_keys=True) for entry in tools)
    if "outputConfig" in found:
        found["outputConfig"] = plain_schema(found["outputConfig"])
    return found


def is_blank(block: dict[str, Any]) -> bool:
    return isinstance(block.get("text"), str) and not block["text"].strip()


def plain_block(block: dict[str, Any]) -> Any:
    value = restored(block)
    answer = value.get("toolResult")
    if answer and answer.get("status") == "success" and "type" not in answer:
        del answer["status"]
    return value


def plain_schema(config: dict[str, Any]) -> Any:
    structure = dict(config["textFormat"]["structure"]["jsonSchema"])
    text = json.loads(structure.pop("schema"))
    text = {name: value for name, value in text.items() if name not in ("title", "description")}
    # AWS demands that objects are closed; the recorded mocks did not all know.
    text.setdefault("additionalProperties", False)
    return {**config["textFormat"], "structure": structure, "schema": text}


SUBJECT = Subject(
    name="bedrock",
    endpoints=("bedrock.converse", "bedrock.converse-stream"),
    provider=provider,
    counts=counts,
    read=read,
    plain=plain,
    minimum=0.9,
    more=more,
    is_call=is_call,
)
