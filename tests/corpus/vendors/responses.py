"""OpenAI's responses, from OpenAI and from those who speak them as well."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

from tako.models import (
    ChatRequest,
    ChatResponse,
    ContentPart,
    Message,
    OpaquePart,
    Part,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
    Usage,
)
from tako.providers.http import HttpProvider
from tako.providers.openai import OpenAICodex, OpenAIResponses
from tako.providers.openai.codex import CodexCredentials
from tests.corpus.subject import Counts, Read, Subject, need
from tests.support.corpus import Exchange

__all__ = ["SUBJECT", "counts", "more", "plain", "read_body"]

STATELESS, STORING = OpenAIResponses("m", ""), OpenAIResponses("m", "", store=True)
CODEX = OpenAICodex("m", CodexCredentials("t", "a"))


def provider(exchange: Exchange) -> HttpProvider:
    return CODEX if "chatgpt.com" in (exchange.request.get("url") or "") else STATELESS


def counts(exchange: Exchange, usage: Usage) -> Counts:
    return {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached_input": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }


def more(exchange: Exchange, response: ChatResponse) -> list[str]:
    """The vendor's own items, and what left the answer incomplete."""
    found = []
    opaque = [part.replay.data for part in response.message.content if type(part) is OpaquePart]
    wanted = exchange.expected.get("server_tool_calls") or []
    if [item["type"] for item in opaque] != [item["type"] for item in wanted]:
        found.append(f"items: {[item['type'] for item in opaque]} is not {[item['type'] for item in wanted]}")
    why = (response.details.get("incomplete_details") or {}).get("reason")
    if why != exchange.expected.get("incomplete_reason"):
        found.append(f"incomplete_reason: {why!r} is not {exchange.expected.get('incomplete_reason')!r}")
    if response.details.get("refusal") != exchange.expected.get("refusal"):
        found.append(f"refusal: {response.details.get('refusal')!r}")
    for name in ("model", "response_id"):
        if getattr(response, name) != exchange.expected[name]:
            found.append(f"{name}: {getattr(response, name)!r} is not {exchange.expected[name]!r}")
    return found


def _told(exchange: Exchange) -> dict[str, Any]:
    """What a refusal says that the vendor's library has no fields for: there, the body is the judge."""
    body: dict[str, Any] = from_json(exchange.body)
    error = body.get("error")
    return error if isinstance(error, dict) else body


def error_message(exchange: Exchange) -> str:
    told = _told(exchange)
    return next(str(told[name]) for name in ("message", "error", "detail") if isinstance(told.get(name), str))


def error_code(exchange: Exchange) -> str | None:
    told = _told(exchange)
    return told.get("code") or told.get("type")


# Requests.


class Reader:
    """A recorded `input` as messages; `vendor` is whose replay data they hold."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.messages: list[Message] = []

    def replay(self, data: dict[str, Any]) -> Replay:
        return Replay(vendor=self.vendor, data=data)

    def add(self, role: str, parts: list[Part]) -> None:
        """A message, or more of the last one: what a model says is one turn."""
        if role in ("assistant", "tool") and self.messages and self.messages[-1].role.value == role:
            parts = [*self.messages.pop().content, *parts]
        self.messages.append(Message(role=role, content=parts))  # type: ignore[arg-type]

    def take(self, item: dict[str, Any]) -> None:
        kind = item.get("type", "message")
        if kind == "message":
            self.message(item)
        elif kind == "reasoning":
            self.add("assistant", [ThinkingPart(replay=self.replay(item))])
        elif kind in ("function_call", "custom_tool_call"):
            own = {k: v for k, v in item.items() if k not in ("call_id", "name", "arguments", "input")}
            args = item["input"] if kind == "custom_tool_call" else json_of(item["arguments"])
            self.add(
                "assistant",
                [ToolCallPart(id=item["call_id"], name=item["name"], args=args, replay=self.replay(own))],
            )
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self.add("tool", [self.result(item)])
        else:
            role = "assistant" if kind.endswith(("_call", "_list_tools", "_output")) else "user"
            self.add(role, [OpaquePart(replay=self.replay(item))])

    def result(self, item: dict[str, Any]) -> ToolResultPart:
        output = item["output"]
        need(item.keys() <= {"type", "call_id", "output", "id", "status"}, item)
        if isinstance(output, list):
            content = tuple(self.block(block) for block in output)
            return ToolResultPart(id=item["call_id"], content=content)  # type: ignore[arg-type]
        return ToolResultPart(id=item["call_id"], result=output)

    def message(self, item: dict[str, Any]) -> None:
        role, content = item["role"], item["content"]
        role = "system" if role == "developer" else role
        if isinstance(content, str):
            self.add(role, [ContentPart.text(content)])
        elif role == "assistant":
            facts = {k: v for k, v in item.items() if k != "content"}
            self.add(role, [self.said(block, facts) for block in content])
        else:
            self.add(role, [self.block(block) for block in content])

    def said(self, block: dict[str, Any], facts: dict[str, Any]) -> Part:
        need(block["type"] in ("output_text", "refusal"), block)
        text = block.get("text") or block.get("refusal") or ""
        if "id" not in facts:
            return ContentPart.text(text)
        cited = [{"replay": self.replay(found)} for found in block.get("annotations") or ()]
        own = {k: v for k, v in block.items() if k not in ("text", "refusal", "annotations", "logprobs")}
        replay = self.replay({"message": facts, "part": own})
        return TextPart(text=text, citations=cited, replay=replay)  # type: ignore[arg-type]

    def block(self, block: dict[str, Any]) -> Part:
        match block:
            case {"type": "input_text", "text": text, **rest} if not rest:
                return ContentPart.text(text)
            case {"type": "input_image", "image_url": url, **rest} if rest.keys() <= {"detail"} and url:
                detail = rest.get("detail")
                return ContentPart(type="image_url", url=url, detail=detail)  # type: ignore[no-any-return]
            case {"type": "input_file", "file_url": url, **rest} if not rest:
                return ContentPart.document(url)
            case {"type": "input_file", "file_id": file_id, **rest} if not rest:
                return ContentPart(type="document", file_id=file_id)  # type: ignore[no-any-return]
        return OpaquePart(replay=self.replay(block))


def json_of(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return text


def read_body(exchange: Exchange, vendor: str) -> tuple[ChatRequest, bool, bool]:
    """The recorded request, whether it streams, and whether the answer is stored."""
    body = dict(exchange.request["body_json"])
    reader = Reader(vendor)
    given = body.pop("input", [])
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        need(isinstance(item, dict), item)
        reader.take(item)
    if body.get("instructions"):
        reader.messages.insert(0, Message.system(body.pop("instructions")))
    fields: dict[str, Any] = {"messages": reader.messages, "model": body.pop("model", "m")}
    names = {"max_output_tokens": "max_tokens"}
    for name in ("temperature", "top_p", "max_output_tokens", "parallel_tool_calls", "top_logprobs"):
        fields[names.get(name, name)] = body.pop(name, None)
    fields["metadata"] = body.pop("metadata", None) or {}
    stream, store = body.pop("stream", None) or False, body.pop("store", None)
    fields["thinking"] = thinking(body)
    fields["tools"], theirs = tools(body.pop("tools", None) or [])
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.keys() <= {"type", "name"}:
        choice = choice.get("name") or choice["type"]
    if isinstance(choice, str) and (choice in ("auto", "none") or fields["tools"] or theirs):
        fields["tool_choice"] = choice
        del body["tool_choice"]
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        fields["output_schema"] = form["schema"]
        body["text"] = {name: value for name, value in body["text"].items() if name != "format"}
    stored = store is not False
    if not stored and "reasoning.encrypted_content" not in (body.get("include") or ()):
        body.setdefault("include", None)
    if "model" not in exchange.request["body_json"]:
        body["model"] = None  # the template that `prompt` names knows it
    extra = {**body, **({"tools": theirs} if theirs else {})}
    return ChatRequest(**fields, extra=extra), stream, stored


def thinking(body: dict[str, Any]) -> Thinking | None:
    reasoning = body.get("reasoning") or {}
    if not reasoning or not reasoning.keys() <= {"effort", "summary"}:
        return None
    del body["reasoning"]
    if reasoning.get("effort") == "none" and not reasoning.get("summary"):
        return Thinking(enabled=False)
    return Thinking(**reasoning)


def tools(entries: list[dict[str, Any]]) -> tuple[list[ToolSchema], list[Any]]:
    """The tools as ours; what is not exactly a function with all of its fields is the vendor's own."""
    ours, theirs = [], []
    for tool in entries:
        known = tool.keys() <= {"type", "name", "description", "parameters", "strict"}
        if (
            tool["type"] == "function"
            and known
            and isinstance(tool.get("strict"), bool)
            and "description" in tool
        ):
            schema = tool.get("parameters")
            ours.append(
                ToolSchema(
                    name=tool["name"],
                    description=tool["description"] or "",
                    input_schema=schema if isinstance(schema, dict) else {},
                    strict=tool["strict"],
                )
            )
        else:
            theirs.append(tool)
    return ours, theirs


def read(exchange: Exchange) -> Read:
    if provider(exchange) is CODEX:
        request, stream, _ = read_body(exchange, "codex.responses")
        if not (exchange.request["body_json"].get("reasoning") or {}).get("summary"):
            request = request.model_copy(update={"thinking": without_summary(request.thinking)})
        return Read(request, CODEX, stream)
    request, stream, stored = read_body(exchange, "openai.responses")
    return Read(request, STORING if stored else STATELESS, stream)


def without_summary(thinking: Thinking | None) -> Thinking:
    return Thinking(effort=thinking.effort if thinking else None, summary="none")


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """Without the defaults that one spells out and another leaves to the vendor."""
    found = {name: value for name, value in body.items() if value not in (None, [], {}, "", False)}
    found.pop("stream", None)
    found["store"] = body.get("store") is not False
    form = (found.get("text") or {}).get("format")
    if form and form["type"] == "json_schema":
        # The name is ours, and strict is decided by the schema.
        found["text"] = {**found["text"], "format": form["schema"]}
    if form and form["type"] == "text":
        found["text"] = {name: value for name, value in found["text"].items() if name != "format"}
    reasoning = {k: v for k, v in (found.get("reasoning") or {}).items() if v is not None}
    found["reasoning"] = reasoning
    found["include"] = sorted(body.get("include") or ())
    found["tools"] = sorted((plain_tool(tool) for tool in body.get("tools") or ()), key=order)
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    plain_items = [plain_item(item) for item in items]
    # `instructions` are a system message at the beginning, by another name.
    system = [body["instructions"]] if body.get("instructions") else []
    while plain_items and plain_items[0].get("role") == "system":
        system += [block["text"] for block in plain_items.pop(0)["content"]]
    found["instructions"] = "\n\n".join(system)
    found["input"] = plain_items
    return found


def plain_tool(tool: dict[str, Any]) -> dict[str, Any]:
    found = plain_value(tool)
    return {name: value for name, value in found.items() if (name, value) != ("description", "")}


def order(tool: dict[str, Any]) -> str:
    return json.dumps(tool, sort_keys=True)


def plain_item(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = plain_value(item)
    kind = found.setdefault("type", "message")
    if kind == "message":
        if found["role"] == "developer":
            found["role"] = "system"
        content = item["content"]
        if isinstance(content, str):
            content = [
                {"type": "output_text" if found["role"] == "assistant" else "input_text", "text": content}
            ]
        found["content"] = [plain_block(block) for block in content]
        if "id" not in found:
            found.pop("status", None)
    elif kind == "function_call":
        found["arguments"] = json_of(found["arguments"])
    elif kind in ("function_call_output", "custom_tool_call_output"):
        found.pop("status", None)
        found.pop("id", None)
        output = found["output"]
        found["output"] = [plain_block(block) for block in output] if isinstance(output, list) else output
    elif kind == "reasoning":
        found.setdefault("summary", [])
    return found


def plain_block(block: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = plain_value(block)
    for name in ("annotations", "logprobs"):
        found.pop(name, None) if not found.get(name) else None
    if found["type"] == "input_image":
        found.setdefault("detail", "auto")
    return found


def plain_value(value: dict[str, Any]) -> dict[str, Any]:
    return {name: item for name, item in value.items() if item is not None}


SUBJECT = Subject(
    name="responses",
    endpoints=("openai.responses", "openai-compat.responses"),
    provider=provider,
    counts=counts,
    read=read,
    plain=plain,
    minimum=0.98,
    error_code=error_code,
    error_message=error_message,
    more=more,
)
