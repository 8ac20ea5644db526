"""Anthropic's Messages API: its own host, Vertex AI and Bedrock, and what their recordings hold."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Literal
from urllib.parse import unquote

from tako.models import (
    CacheControl,
    ChatRequest,
    ChatResponse,
    Citation,
    ContentPart,
    DocumentPart,
    Message,
    OpaquePart,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
    Usage,
)
from tako.providers.anthropic import Anthropic, AnthropicBedrock, AnthropicVertex
from tako.providers.http import HttpProvider
from tests.corpus.subject import Read, Subject, need
from tests.support.corpus import Exchange

__all__ = ["SUBJECT", "SUBJECT_BEDROCK"]

MODEL_IN_ADDRESS = re.compile(r"/models?/([^/:]+)[:/](?:rawPredict|streamRawPredict|invoke)")
SUMMARIES: dict[str, Literal["none", "auto"]] = {"omitted": "none", "summarized": "auto"}
CHOICES = {"any": "required", "auto": "auto", "none": "none"}


def provider_of(exchange: Exchange) -> HttpProvider:
    if exchange.name.startswith("bedrock"):
        return AnthropicBedrock("claude", region="us-east-1", access_key_id="a", secret_access_key="s")
    if exchange.provider == "vertex":
        return AnthropicVertex("project", "claude", "token")
    return Anthropic("claude", "")


def counts_of(exchange: Exchange, usage: Usage) -> dict[str, int | None]:
    cached = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    return {
        "input": None if usage.input_tokens is None else usage.input_tokens - cached,
        "output": usage.output_tokens,
        "cached_input": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }


# What else an answer holds.


def more(exchange: Exchange, response: ChatResponse) -> list[str]:
    expected, content = exchange.expected, response.message.content
    opaque = [part.replay.data for part in content if type(part) is OpaquePart]
    redacted = [block for block in opaque if block["type"] == "redacted_thinking"]
    items = [block for block in opaque if block["type"] != "redacted_thinking"]
    wanted = expected.get("server_tool_calls") or []
    signed = [part for part in content if type(part) is ThinkingPart and part.replay]
    cited = [c.replay.data for part in content if type(part) is TextPart for c in part.citations if c.replay]
    pairs = {
        "items": ([block["type"] for block in items], [item["type"] for item in wanted]),
        "arguments": (
            [block.get("input") for block, item in zip(items, wanted, strict=False) if "arguments" in item],
            [item["arguments"] for item in wanted if "arguments" in item],
        ),
        "redacted": (len(redacted), expected.get("redacted_thinking") or 0),
        "signatures": (len(signed), expected.get("thinking_signatures") or 0),
        "stop_sequence": (response.details.get("stop_sequence"), expected.get("stop_sequence")),
        "citations": (cited, citations_in(exchange)),
    }
    return [
        f"{name}: {got!r} is not {theirs!r}"[:300] for name, (got, theirs) in pairs.items() if got != theirs
    ]


def citations_in(exchange: Exchange) -> list[Any]:
    """The citations of an answer, read off its bytes: the vendor's library does not list them."""
    if exchange.name.startswith("bedrock"):
        return []
    if not exchange.is_stream:
        blocks = json.loads(exchange.body).get("content") or []
        return [citation for block in blocks for citation in block.get("citations") or ()]
    lines = [line[5:] for line in exchange.body.split(b"\n") if b'"citations_delta"' in line]
    return [json.loads(line)["delta"]["citation"] for line in lines]


# Reading a recorded request.


def mark_of(block: dict[str, Any]) -> CacheControl | None:
    mark = block.get("cache_control")
    return CacheControl(**mark) if mark else None


def opaque(block: dict[str, Any]) -> OpaquePart:
    return OpaquePart(replay=Replay(vendor="anthropic", data=block))


def text_of(block: dict[str, Any]) -> Any:
    need(block.keys() <= {"type", "text", "cache_control", "citations"}, block)
    cited = [Citation(replay=Replay(vendor="anthropic", data=c)) for c in block.get("citations") or ()]
    return TextPart(text=block["text"], citations=tuple(cited), cache_control=mark_of(block))


def image_of(block: dict[str, Any]) -> Any:
    source, mark = block["source"], mark_of(block)
    need(block.keys() <= {"type", "source", "cache_control"}, block)
    if source["type"] == "url":
        return ContentPart(type="image_url", url=source["url"], cache_control=mark)
    if source["type"] == "file":
        return opaque(block)
    data = in_full(source["data"])
    return ContentPart(type="image", mime=source["media_type"], data_b64=data, cache_control=mark)


def document_of(block: dict[str, Any]) -> Any:
    source = block["source"]
    fields: dict[str, Any] = {"title": block.get("title"), "context": block.get("context")}
    fields["cache_control"] = mark_of(block)
    if block.get("citations") is not None:
        fields["citations"] = block["citations"]["enabled"]
    match source["type"]:
        case "base64":
            return DocumentPart(mime=source["media_type"], data_b64=in_full(source["data"]), **fields)
        case "text":
            return DocumentPart(mime=source["media_type"], text=source["data"], **fields)
        case "url":
            return DocumentPart(url=source["url"], **fields)
        case "file":
            return DocumentPart(file_id=source["file_id"], **fields)
        case _:
            return opaque(block)


def shown_of(block: Any) -> Any:
    """A part of what a user or a tool shows."""
    need(isinstance(block, dict), block)
    match block["type"]:
        case "text":
            return text_of(block)
        case "image":
            return image_of(block)
        case "document":
            return document_of(block)
        case _:
            return opaque(block)


def result_of(block: dict[str, Any]) -> Any:
    need(block.keys() <= {"type", "tool_use_id", "content", "is_error", "cache_control"}, block)
    content = block.get("content") or ""
    shown: dict[str, Any] = (
        {"result": content} if isinstance(content, str) else {"content": tuple(map(shown_of, content))}
    )
    is_error = block.get("is_error") or False
    return ToolResultPart(id=block["tool_use_id"], is_error=is_error, cache_control=mark_of(block), **shown)


def said_of(block: dict[str, Any]) -> Any:
    """A part of what the model said."""
    others = {name: value for name, value in block.items() if name != "type"}
    match block["type"]:
        case "text":
            return text_of(block)
        case "thinking":
            text = others.pop("thinking")
            return ThinkingPart(text=text, replay=Replay(vendor="anthropic", data=others))
        case "tool_use":
            call = {"id": others.pop("id"), "name": others.pop("name"), "args": others.pop("input")}
            return ToolCallPart(**call, replay=Replay(vendor="anthropic", data=others) if others else None)
        case _:
            return opaque(block)


def messages_of(message: dict[str, Any]) -> list[Message]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if message["role"] == "assistant":
        return [Message.assistant([said_of(block) for block in blocks])]
    need(message["role"] == "user", message)
    found: list[Message] = []
    for block in blocks:
        if block["type"] == "tool_result":
            found.append(Message.tool([result_of(block)]))
        elif found and found[-1].role.value == "user":
            found[-1] = Message.user([*found[-1].content, shown_of(block)])
        else:
            found.append(Message.user([shown_of(block)]))
    return found


def take_tools(body: dict[str, Any], fields: dict[str, Any]) -> None:
    ours, theirs = [], []
    for tool in body.pop("tools", None) or ():
        if (
            {"name", "input_schema"}
            <= tool.keys()
            <= {
                "name",
                "description",
                "input_schema",
                "cache_control",
                "strict",
            }
        ):
            ours.append(ToolSchema(**{"description": "", **tool}))
        else:
            theirs.append(tool)
    fields["tools"] = ours
    if theirs:
        body["tools"] = theirs
    choice = dict(body.get("tool_choice") or {})
    if choice:
        parallel = choice.pop("disable_parallel_tool_use", None)
        fields["parallel_tool_calls"] = None if parallel is None else not parallel
        fields["tool_choice"] = choice.pop("name", None) or CHOICES[choice["type"]]
        del body["tool_choice"]


def take_thinking(body: dict[str, Any], fields: dict[str, Any]) -> None:
    config = dict(body.pop("output_config", None) or {})
    thinking = body.get("thinking")
    if thinking is not None:
        del body["thinking"]
        if thinking["type"] == "disabled":
            fields["thinking"] = Thinking(enabled=False)
        else:
            fields["thinking"] = Thinking(
                effort=config.pop("effort", None),
                budget_tokens=thinking.get("budget_tokens"),
                summary=SUMMARIES[thinking["display"]] if "display" in thinking else None,
            )
    if "format" in config:
        fields["output_schema"] = config.pop("format")["schema"]
    if config:
        body["output_config"] = config


def read(exchange: Exchange) -> Read:
    body = dict(exchange.request["body_json"])
    system = body.pop("system", None) or []
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    need(all(block["type"] == "text" for block in blocks), system)
    messages = [Message.system([text_of(block) for block in blocks])] if blocks else []
    for message in body.pop("messages"):
        messages += messages_of(message)
    fields: dict[str, Any] = {"messages": messages, "max_tokens": body.pop("max_tokens")}
    stream = bool(body.pop("stream", False)) or exchange.name.endswith("invoke-stream")
    need((body.get("top_k") or 1) > 0, "a negative top_k")
    for name in ("temperature", "top_p", "top_k"):
        fields[name] = body.pop(name, None)
    fields["stop"] = body.pop("stop_sequences", None) or ()
    fields["metadata"] = body.pop("metadata", None) or {}
    fields["model"] = body.pop("model", None) or model_in(exchange)
    take_tools(body, fields)
    take_thinking(body, fields)
    provider = speaking(exchange, body.pop("anthropic_version", None), body.pop("anthropic_beta", None))
    fields["extra"] = {name: value for name, value in body.items() if value is not None}
    return Read(ChatRequest(**fields), provider, stream)


def model_in(exchange: Exchange) -> str:
    found = MODEL_IN_ADDRESS.search(exchange.request["url"])
    return unquote(found[1]) if found else unquote(exchange.request["url"].split("/model/")[1].split("/")[0])


def speaking(exchange: Exchange, version: str | None, betas: list[str] | None) -> HttpProvider:
    if exchange.name.startswith("bedrock"):
        return AnthropicBedrock(
            "m",
            region="us-east-1",
            access_key_id="a",
            secret_access_key="s",
            version=version or "",
            betas=betas or (),
        )
    if exchange.provider == "vertex":
        return AnthropicVertex("p", "m", "t", version=version or "")
    return Anthropic("m", "", headers=exchange.request["headers"])


# The plain form of a body.


def plain(body: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in body.items() if value not in (None, [], {}, False)}
    found["model"] = body.get("model") or "in the address"
    found["system"] = [plain_block(block) for block in as_blocks(found.pop("system", None) or [])]
    found["tools"] = sorted(json.dumps(plain_tool(tool), sort_keys=True) for tool in body.get("tools") or ())
    messages: list[tuple[str, list[Any]]] = []
    for message in body["messages"]:
        if not messages or messages[-1][0] != message["role"]:
            messages.append((message["role"], []))  # the vendor makes one message of several
        blocks = as_blocks(message["content"])
        # The vendor refuses blank text, and sends it all the same.
        messages[-1][1].extend(plain_block(b) for b in blocks if str(b.get("text", "x")).strip())
    found["messages"] = messages
    return found


def as_blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def plain_tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tool.items() if value not in (None, "")}


def plain_block(block: dict[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in block.items() if value is not None}
    if found["type"] == "tool_result":
        found["content"] = [plain_block(inner) for inner in as_blocks(found.get("content") or "")]
        found["is_error"] = found.get("is_error") or False
    source = found.get("source")
    if isinstance(source, dict) and source.get("type") == "base64":
        found["source"] = {**source, "data": in_full(source["data"])}
    return found


def in_full(data: str) -> str:
    """Base64 of which the recording kept a marker only, as base64 of the marker."""
    return base64.b64encode(data.encode()).decode() if "<elided" in data else data


SUBJECT = Subject(
    name="anthropic",
    endpoints=("anthropic.messages",),
    provider=provider_of,
    counts=counts_of,
    read=read,
    plain=plain,
    minimum=0.95,
    more=more,
)
SUBJECT_BEDROCK = Subject(
    name="anthropic-bedrock",
    endpoints=("bedrock.invoke", "bedrock.invoke-stream"),
    provider=provider_of,
    counts=counts_of,
    read=read,
    plain=plain,
    minimum=0.95,
    wanted=lambda exchange: "sub_oracle" in exchange.expected,
    more=more,
)
