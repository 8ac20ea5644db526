"""Every recorded request that tako can say, said by tako, and compared with what was sent.

A recorded body is read into a ChatRequest and encoded again. Both bodies are then brought into one
plain form, in which spellings that mean the same look the same (text as a string or as one block).
What tako has no words for (documents, audio, roles of old) is left out here; MINIMUM keeps that
from growing unseen.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic_core import from_json

from tako.errors import InvalidInput
from tako.models import ChatRequest, ContentPart, Message, Replay, Role, ToolSchema
from tako.providers.anthropic import Anthropic
from tako.providers.openai import OpenAI
from tests.support.corpus import ABSENT, CORPUS, Exchange, exchanges

MINIMUM = {"openai.chat.completions": 219, "anthropic.messages": 251}


class Inexpressible(Exception):
    """The recorded request holds what tako has no words for."""


def need(condition: object, what: object) -> None:
    if not condition:
        raise Inexpressible(str(what))


# OpenAI


def openai_part(block: Any) -> Any:
    need(isinstance(block, dict), block)
    if block.get("type") == "text":
        need(block.keys() == {"type", "text"}, block)
        return ContentPart.text(block["text"])
    image = block.get("image_url")
    need(isinstance(image, dict) and image.keys() == {"url"}, block)
    return ContentPart.image_url(block["image_url"]["url"])


def openai_message(message: Any) -> Message:
    need(isinstance(message, dict), message)
    content = message.get("content")
    parts = [openai_part(block) for block in content] if isinstance(content, list) else []
    parts += [ContentPart.text(content)] if isinstance(content, str) and content else []
    role = message["role"]
    need(role in ("system", "user", "assistant", "tool"), role)
    if role == "tool":
        need(isinstance(content, str), message)
        return Message.tool([ContentPart.tool_result(message["tool_call_id"], content)])
    need(not message.get("function_call") and not message.get("audio"), message)
    need(
        message.keys()
        <= {"role", "content", "tool_calls", "annotations", "audio", "refusal", "function_call", "parsed"},
        message,
    )
    for call in message.get("tool_calls") or ():
        need(call.get("type", "function") == "function", call)
        arguments = call["function"]["arguments"]
        try:
            arguments = from_json(arguments)
        except ValueError:
            pass
        parts.append(ContentPart.tool_call(call["id"], call["function"]["name"], arguments))
    return Message(role=Role(role), content=tuple(parts))


def openai_tools(body: dict[str, Any]) -> tuple[list[ToolSchema], list[Any]]:
    ours, theirs = [], []
    for tool in body.pop("tools", ()):
        function = tool.get("function", {})
        if tool.keys() == {"type", "function"} and function.keys() == {"name", "description", "parameters"}:
            ours.append(
                ToolSchema(
                    name=function["name"],
                    description=function["description"],
                    input_schema=function["parameters"],
                )
            )
        else:
            theirs.append(tool)
    return ours, theirs


def openai_request(body: dict[str, Any]) -> tuple[ChatRequest, OpenAI, bool]:
    body = dict(body)
    fields: dict[str, Any] = {"model": body.pop("model")}
    fields["messages"] = [openai_message(message) for message in body.pop("messages")]
    stream = body.pop("stream", False)
    limit = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
    for name in ("temperature", "top_p", "seed"):
        fields[name] = body.pop(name, None)
    fields["max_tokens"] = body.pop(limit, None)
    stop = body.pop("stop", None) or ()
    fields["stop"] = (stop,) if isinstance(stop, str) else stop
    fields["tools"], theirs = openai_tools(body)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        choice = choice["function"]["name"]
    if isinstance(choice, str):
        fields["tool_choice"] = choice
        del body["tool_choice"]
    body.pop("stream_options", None)
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        fields["output_schema"] = response_format["json_schema"]["schema"]
        del body["response_format"]
    fields["extra"] = {**body, **({"tools": theirs} if theirs else {})}
    return ChatRequest(**fields), OpenAI("m", "", max_tokens_field=limit), stream  # type: ignore[arg-type]


def openai_plain(body: dict[str, Any]) -> dict[str, Any]:
    plain = {
        name: value
        for name, value in body.items()
        if name not in ("messages", "stream_options") and value not in (None, [], False)
    }
    plain["messages"] = [openai_plain_message(message) for message in body["messages"]]
    plain["tools"] = sorted(json.dumps(tool, sort_keys=True) for tool in body.get("tools", ()))
    if isinstance(plain.get("stop"), str):
        plain["stop"] = [plain["stop"]]
    if plain.get("response_format", {}).get("type") == "json_schema":
        # The name is ours, and strict is decided by the schema.
        plain["response_format"] = plain["response_format"]["json_schema"]["schema"]
    return plain


def openai_plain_message(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content") or ""
    if isinstance(content, list) and all(block["type"] == "text" for block in content):
        content = "".join(block["text"] for block in content)
    calls = []
    for call in message.get("tool_calls") or ():
        try:
            arguments = from_json(call["function"]["arguments"])
        except ValueError:
            arguments = call["function"]["arguments"]
        calls.append((call["id"], call["function"]["name"], arguments))
    return {"role": message["role"], "content": content, "calls": calls, "of": message.get("tool_call_id")}


# Anthropic


def anthropic_part(block: dict[str, Any]) -> Any:
    fields = {name: value for name, value in block.items() if name != "type" and value is not None}
    mark = {"cache_control": fields.pop("cache_control")} if "cache_control" in fields else {}
    match block["type"]:
        case "text":
            need(fields.keys() == {"text"}, block)
            return ContentPart(type="text", text=block["text"], **mark)
        case "image":
            source = block["source"]
            if source["type"] == "url":
                return ContentPart(type="image_url", url=source["url"], **mark)
            need(source["type"] == "base64", source)
            return ContentPart(type="image", mime=source["media_type"], data_b64=source["data"], **mark)
        case "thinking":
            replay = Replay(vendor="anthropic", data={"signature": block["signature"]})
            return ContentPart(type="thinking", text=block["thinking"], replay=replay)
        case "tool_use":
            extras = {name: fields[name] for name in fields.keys() - {"id", "name", "input"}}
            replay_of = Replay(vendor="anthropic", data=extras) if extras else None
            need(not mark, block)
            return ContentPart(
                type="tool_call", id=block["id"], name=block["name"], args=block["input"], replay=replay_of
            )
        case "tool_result":
            content = block.get("content", "")
            if isinstance(content, list):
                need(len(content) == 1 and content[0].keys() == {"type", "text"}, block)
                content = content[0]["text"]
            return ContentPart(
                type="tool_result",
                id=block["tool_use_id"],
                result=content,
                is_error=block.get("is_error", False),
                **mark,
            )
        case "document" | "search_result" | "container_upload":
            raise Inexpressible(block["type"])
        case _:
            return ContentPart(type="opaque", replay=Replay(vendor="anthropic", data=block))


def anthropic_messages(message: Any) -> list[Message]:
    need(isinstance(message, dict), message)
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts = [anthropic_part(block) for block in blocks]
    if message["role"] == "assistant":
        return [Message.assistant(parts)]
    need(message["role"] == "user", message)
    results = [part for part in parts if part.type == "tool_result"]
    others = [part for part in parts if part.type != "tool_result"]
    need(all(part.type in ("text", "image", "image_url") for part in others), message)
    return ([Message.tool(results)] if results else []) + ([Message.user(others)] if others else [])


def anthropic_request(body: dict[str, Any]) -> tuple[ChatRequest, Anthropic, bool]:
    body = dict(body)
    system = body.pop("system", None) or []
    system = [{"type": "text", "text": system}] if isinstance(system, str) else system
    messages = [Message.system([anthropic_part(block) for block in system])] if system else []
    for message in body.pop("messages"):
        messages += anthropic_messages(message)
    fields: dict[str, Any] = {
        "messages": messages,
        "model": body.pop("model", "m"),
        "max_tokens": body.pop("max_tokens"),
    }
    stream = body.pop("stream", False)
    for name in ("temperature", "top_p"):
        fields[name] = body.pop(name, None)
    fields["stop"] = body.pop("stop_sequences", ())
    fields["metadata"] = body.pop("metadata", {})
    ours, theirs = [], []
    for tool in body.pop("tools", ()):
        if tool.keys() - {"cache_control"} == {"name", "description", "input_schema"}:
            ours.append(ToolSchema(**tool))
        else:
            theirs.append(tool)
    fields["tools"] = ours
    choice = body.get("tool_choice")
    if choice and choice.keys() <= {"type", "name"}:
        fields["tool_choice"] = choice.get("name") or {"any": "required"}.get(choice["type"], choice["type"])
        del body["tool_choice"]
    config = body.get("output_config") or {}
    if config.keys() == {"format"}:
        fields["output_schema"] = config["format"]["schema"]
        del body["output_config"]
    fields["extra"] = {**body, **({"tools": theirs} if theirs else {})}
    return ChatRequest(**fields), Anthropic("m", ""), stream


def anthropic_plain(body: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in body.items() if value not in (None, [], False)}
    system = plain.pop("system", None) or []
    plain["system"] = (
        [{"type": "text", "text": system}] if isinstance(system, str) else [without_nulls(b) for b in system]
    )
    plain["tools"] = sorted(json.dumps(tool, sort_keys=True) for tool in body.get("tools", ()))
    messages: list[tuple[str, list[Any]]] = []
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not messages or messages[-1][0] != message["role"]:
            messages.append((message["role"], []))  # the vendor makes one message of several
        messages[-1][1].extend(anthropic_plain_block(block) for block in blocks if block.get("text") != " ")
    plain["messages"] = messages
    plain.setdefault("model", "m")
    return plain


def anthropic_plain_block(block: dict[str, Any]) -> dict[str, Any]:
    plain = without_nulls(block)
    content = plain.get("content")
    if plain["type"] == "tool_result":
        plain["content"] = content[0]["text"] if isinstance(content, list) else content or ""
        plain["is_error"] = plain.get("is_error", False)
    return plain


def without_nulls(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}


VENDORS: dict[str, Any] = {
    "openai.chat.completions": (openai_request, openai_plain),
    "anthropic.messages": (anthropic_request, anthropic_plain),
}


def differences(name: str, exchange: Exchange) -> dict[str, Any]:
    """The fields of the plain forms that differ; raises Inexpressible."""
    read, plain = VENDORS[name]
    recorded = exchange.request["body_json"]
    need(exchange.status == 200, "the vendor refused it")
    need(recorded is not None and not exchange.request.get("elided"), "no whole body")
    request, provider, stream = read(recorded)
    wanted = plain(recorded)
    got = plain(from_json(provider.http_request(request, stream=stream).body))
    return {
        key: (wanted.get(key), got.get(key))
        for key in wanted.keys() | got.keys()
        if wanted.get(key) != got.get(key)
    }


@pytest.mark.skipif(not CORPUS.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("name", VENDORS)
def test_recorded_requests_can_be_said_again(name: str) -> None:
    said = 0
    differing, left_out = {}, {}
    for exchange in exchanges(name):
        try:
            found = differences(name, exchange)
        except (Inexpressible, InvalidInput) as reason:
            left_out[exchange.id] = f"{type(reason).__name__} {reason}"
            continue
        said += 1
        if found:
            differing[exchange.id] = found
    assert differing == {}
    assert said >= MINIMUM[name], (said, left_out)
