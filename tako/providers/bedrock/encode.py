"""ChatRequest to the body of a Converse call; the model is in the address.

| ours                       | on the wire                                                          |
|----------------------------|----------------------------------------------------------------------|
| system messages            | `system`, blocks of all of them in order                             |
| user, tool, assistant      | `user`, `user`, `assistant`; neighbours of one role are one message, |
|                            | because this vendor wants the roles to take turns                    |
| tools, tool_choice         | `toolConfig`; extra["tools"] (system tools) join the tools           |
| max_tokens, temperature,   | `inferenceConfig`                                                    |
| top_p, stop                |                                                                      |
| top_k, thinking            | `additionalModelRequestFields`, see `families`                       |
| output_schema              | `outputConfig.textFormat`, see `closed_schema`                       |
| metadata                   | `requestMetadata`                                                    |
| extra                      | any other field: guardrailConfig, performanceConfig, serviceTier,    |
|                            | promptVariables, additionalModelResponseFieldPaths                   |

There is no tool_choice "none": the tools are left out. AWS refuses calls in the history without any
tools, so "none" with such a history raises InvalidInput. Whatever else has no place here does too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import ChatRequest, Message, Role, ToolSchema
from tako.providers.bedrock.blocks import (
    CODEC,
    OWNER,
    DocumentNames,
    cache_point,
    documents_of,
    encode_blocks,
)
from tako.providers.bedrock.families import additional_fields
from tako.providers.body import chosen_tool, join_body, json_bytes, json_text, merge_extra, vendor_tools
from tako.providers.closed_schema import closed_schema

__all__ = ["encode_body"]

SYSTEM, ASSISTANT = Role.SYSTEM, Role.ASSISTANT  # looking a member up costs, for each message
RESERVED: Final = ("messages", "modelId", "system", "toolConfig")
NOT_ASKED: Final = ("presence_penalty", "frequency_penalty", "top_logprobs", "seed")
MAX_METADATA: Final = 16
NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]+")


def encode_body(request: ChatRequest, *, model: str) -> bytes:
    """The body; raises InvalidInput for what this model cannot be asked."""
    system, messages = _conversation(request)
    if not messages:
        raise InvalidInput(f"{OWNER}: messages: there is nothing to send but system messages")
    theirs, extra = vendor_tools(OWNER, request.extra)
    tools = _tools(request, theirs)
    fields = merge_extra(OWNER, _fields(request, model), extra, RESERVED) or {"inferenceConfig": {}}
    body = join_body(fields, (("system", system), ("messages", messages)))
    return body if tools is None else b'%s,"toolConfig":%s}' % (body[:-1], tools)


def _conversation(request: ChatRequest) -> tuple[list[bytes], list[bytes]]:
    """The elements of `system` and of `messages`."""
    names = DocumentNames()
    system: list[bytes] = []
    turns: list[tuple[bytes, list[bytes]]] = []
    for message in request.messages:
        data = _encoded(message, names)
        if not data:
            continue
        if message.role is SYSTEM:
            system.append(data)
            continue
        role = b"assistant" if message.role is ASSISTANT else b"user"
        if turns and turns[-1][0] is role:
            turns[-1][1].append(data)
        else:
            turns.append((role, [data]))
    return system, [b'{"role":"%s","content":[%s]}' % (role, b",".join(data)) for role, data in turns]


def _encoded(message: Message, names: DocumentNames) -> bytes:
    documents = documents_of(message.content)
    if not documents:
        return message.encoded(CODEC, encode_blocks)
    given = tuple([names.new(document.title) for document in documents])
    return message.encoded((CODEC, *given), lambda message: encode_blocks(message, given))


def _tools(request: ChatRequest, theirs: Sequence[Any]) -> bytes | None:
    chosen = chosen_tool(OWNER, request)
    if request.tool_choice == "none":
        if any(message.tool_calls for message in request.messages):
            raise InvalidInput(
                f"{OWNER}: tool_choice: this vendor has no 'none', and refuses earlier calls without tools; "
                "leave it out"
            )
        return None
    tools = [tool.encoded(CODEC, encode_tool) for tool in request.tools]
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    if not tools:
        return None
    choice: dict[str, Any] = {}
    if chosen is not None:
        choice = {"tool": {"name": chosen}}
    elif request.tool_choice is not None:
        choice = {"any" if request.tool_choice == "required" else "auto": {}}
    if not choice:
        return b'{"tools":[%s]}' % b",".join(tools)
    return join_body({"toolChoice": choice}, (("tools", tools),))


def encode_tool(tool: ToolSchema) -> bytes:
    """One element of `toolConfig.tools`, and the cache mark after it."""
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.input_schema}}
    if tool.description.strip():
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    elements = [{"toolSpec": spec}, *cache_point(tool.cache_control)]
    return json_bytes(elements, f"the schema of tool {tool.name!r}")[1:-1]


def _fields(request: ChatRequest, model: str) -> dict[str, Any]:
    for name in NOT_ASKED:
        if getattr(request, name) is not None:
            raise InvalidInput(f"{OWNER}: {name}: this vendor has none; leave it out")
    if request.n not in (None, 1):
        raise InvalidInput(f"{OWNER}: n: this vendor gives one answer; ask as often as you want answers")
    if request.parallel_tool_calls is False:
        raise InvalidInput(
            f"{OWNER}: parallel_tool_calls: this vendor cannot be told to make one call; leave it out"
        )
    limits = {
        "maxTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": request.stop or None,
    }
    fields: dict[str, Any] = {
        "inferenceConfig": {name: value for name, value in limits.items() if value is not None}
    }
    additional = additional_fields(request, model)
    if additional:
        fields["additionalModelRequestFields"] = additional
    if request.output_schema is not None:
        fields["outputConfig"] = {"textFormat": _format(request.output_schema)}
    if request.metadata:
        if len(request.metadata) > MAX_METADATA:
            raise InvalidInput(f"{OWNER}: metadata: this vendor takes {MAX_METADATA} entries at most")
        fields["requestMetadata"] = request.metadata
    return fields


def _format(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema as text, and its title as a name."""
    text = json_text(closed_schema(schema), "output_schema")
    title, description = schema.get("title"), schema.get("description")
    name = NOT_IN_NAMES.sub("_", title).strip("_")[:64] if isinstance(title, str) else ""
    structure = {"name": name or "answer", "schema": text}
    if isinstance(description, str) and description:
        structure["description"] = description
    return {"type": "json_schema", "structure": {"jsonSchema": structure}}
