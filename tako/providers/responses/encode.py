"""ChatRequest to the body of a call of the responses API; what a message becomes is in `items`.

| ours                        | on the wire                                                                |
|-----------------------------|----------------------------------------------------------------------------|
| system messages at the      | `instructions`, joined by a blank line: they hold for this call alone, also |
| beginning                   | where the rest of the conversation is the vendor's (previous_response_id)  |
| other messages              | `input`                                                                    |
| max_tokens                  | max_output_tokens                                                          |
| temperature, top_p          | the same; metadata, parallel_tool_calls as well                            |
| top_logprobs                | the same, and `include` asks for them                                      |
| thinking                    | reasoning: effort ("none" for enabled=False), summary ("none" for none)    |
| tools                       | `function` tools; strict only where the tool says so, although the API     |
|                             | would take every tool as strict                                            |
| tool_choice                 | the same; a name may be that of a vendor's own tool                        |
| output_schema               | text.format: json_schema, strict where it fits                             |
| the provider's `store`      | store; where it is off, `include` asks for encrypted reasoning, but not of |
|                             | a model that is known not to think: that is refused                        |
| extra                       | any other field: previous_response_id, text.verbosity, truncation, ...;    |
|                             | its `include` and `tools` join ours                                        |

What the API has no field for (stop, seed, n, penalties, top_k, a budget for thinking) raises
InvalidInput; nothing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import ChatRequest, Message, Part, Role, Thinking, ToolResultPart, ToolSchema
from tako.providers.body import (
    chosen_tool,
    effort_of,
    join_body,
    json_bytes,
    merge_extra,
    only_text,
    vendor_tools,
)
from tako.providers.chat_completions.strict import is_strict, schema_name
from tako.providers.responses.dialect import Dialect
from tako.providers.responses.items import CUSTOM_CALL, encode_items

__all__ = ["encode_body", "encode_tool"]

TOOL_CODEC: Final = "responses"
"""For whom an encoded tool is kept: no dialect is particular about tools."""

CONVERSATIONS: Final = ("previous_response_id", "conversation", "prompt")
"""Fields of `extra` that stand for messages."""
CUSTOM_MARK: Final = f'"type":"{CUSTOM_CALL}"'.encode()
SYSTEM, ASSISTANT, TOOL = Role.SYSTEM, Role.ASSISTANT, Role.TOOL

ENCRYPTED: Final = "reasoning.encrypted_content"
THOUGHTLESS: Final = re.compile(r"\bgpt-[34]|chatgpt-|\bgpt-5[0-9.]*-chat")
"""Models that never think."""
LOGPROBS: Final = "message.output_text.logprobs"

MISSING: Final = {
    "stop": "cut the text yourself",
    "seed": "leave it out",
    "n": "ask several times",
    "presence_penalty": "leave it out",
    "frequency_penalty": "leave it out",
    "top_k": "use top_p",
}
"""What this API has no field for, and what to do about it."""


def encode_body(
    request: ChatRequest,
    *,
    dialect: Dialect,
    model: str,
    stream: bool,
    store: bool = False,
    thinking: Thinking | None = None,
) -> bytes:
    """The body; raises InvalidInput for what this API cannot be asked.

    store     whether the vendor should keep the answer, unless `extra` says so
    thinking  what holds for settings that the request's own thinking leaves open
    """
    _refuse(request, dialect)
    theirs, extra = vendor_tools(dialect.owner, request.extra)
    asked = extra.get("include", ())
    if asked:
        extra = {name: value for name, value in extra.items() if name != "include"}
    stores = bool(extra.get("store", store))
    instructions, rest = _instructions(request, dialect)
    if instructions is not None and "instructions" in extra:
        raise InvalidInput(f"{dialect.owner}: extra cannot hold 'instructions' beside a system message")
    items = _input(rest, dialect, stores=stores)
    if not items and not any(extra.get(name) for name in CONVERSATIONS):
        raise InvalidInput(f"{dialect.owner}: messages: there is nothing to send but system messages")
    tools = [tool.encoded(TOOL_CODEC, encode_tool) for tool in request.tools]
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    fields: dict[str, Any] = {"model": model, **_settings(request, dialect, thinking)}
    if instructions is not None or dialect.needs_instructions:
        fields["instructions"] = instructions or ""
    fields["store"] = store
    included = [] if stores or THOUGHTLESS.search(model) else [ENCRYPTED]
    included += [LOGPROBS] if request.top_logprobs is not None else []
    if included or asked:
        fields["include"] = list(dict.fromkeys((*included, *(asked or ()))))
    fields |= _tool_fields(request, dialect, theirs)
    if stream:
        fields["stream"] = True
    merge_extra(dialect.owner, fields, extra, ("input", "stream"))
    return join_body(fields, (("input", items), ("tools", tools)))


def _refuse(request: ChatRequest, dialect: Dialect) -> None:
    """Raise InvalidInput for the first field that cannot be said."""
    for name, remedy in MISSING.items():
        value = getattr(request, name)
        if value is not None and value != () and (name, value) != ("n", 1):
            raise InvalidInput(f"{dialect.owner}: {name}: the responses API has no such field; {remedy}")
    for name in dialect.refused:
        if getattr(request, name) not in (None, {}):
            raise InvalidInput(f"{dialect.owner}: {name}: this service refuses it; leave it out")


def _instructions(request: ChatRequest, dialect: Dialect) -> tuple[str | None, Sequence[Message]]:
    """The text of the system messages at the beginning, and the messages after them."""
    leading = list(takewhile(lambda message: message.role is SYSTEM, request.messages))
    texts = [text for message in leading if (text := only_text(dialect.owner, message))]
    return ("\n\n".join(texts) if texts else None), request.messages[len(leading) :]


def _input(messages: Sequence[Message], dialect: Dialect, *, stores: bool) -> list[bytes]:
    """The elements of `input`, several of them in one where a message becomes several items."""

    def encode(message: Message) -> bytes:
        return encode_items(message, dialect, stores=stores)

    codec = (dialect, stores)
    found: list[bytes] = []
    custom: set[str] = set()
    for message in messages:
        if custom and message.role is TOOL and any(_answers(part, custom) for part in message.content):
            # What a result is called depends on its call, so it cannot be kept with the message.
            data = encode_items(message, dialect, stores=stores, custom=custom)
        else:
            data = message.encoded(codec, encode)
        if message.role is ASSISTANT and CUSTOM_MARK in data:
            calls = [(call.id, call.replay) for call in message.tool_calls]
            custom |= {id for id, replay in calls if replay and replay.data.get("type") == CUSTOM_CALL}
        if data:
            found.append(data)
    return found


def _answers(part: Part, calls: Collection[str]) -> bool:
    return type(part) is ToolResultPart and part.id in calls


def _settings(request: ChatRequest, dialect: Dialect, thinking: Thinking | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_logprobs": request.top_logprobs,
        "parallel_tool_calls": request.parallel_tool_calls,
        "metadata": request.metadata or None,
        "reasoning": _reasoning(request.thinking, thinking, dialect) or None,
    }
    if request.output_schema is not None:
        schema = request.output_schema
        format = {"name": schema_name(schema), "schema": schema, "strict": is_strict(schema)}
        fields["text"] = {"format": {"type": "json_schema", **format}}
    return {name: value for name, value in fields.items() if value is not None}


def _reasoning(asked: Thinking | None, usual: Thinking | None, dialect: Dialect) -> dict[str, Any]:
    """The `reasoning` field: what is asked for, and where that says nothing, what is usual here."""
    asked, usual = asked or Thinking(), usual or Thinking()
    if asked.budget_tokens is not None:
        raise InvalidInput(
            f"{dialect.owner}: thinking: this API has no budget_tokens; use effort, or max_tokens for all"
        )
    if not asked.enabled:
        return {"effort": "none"}
    effort, summary = effort_of(asked) or effort_of(usual), asked.summary or usual.summary
    fields = {"effort": effort, "summary": None if summary == "none" else summary}
    return {name: value for name, value in fields.items() if value is not None}


def _tool_fields(request: ChatRequest, dialect: Dialect, theirs: Sequence[Any]) -> dict[str, Any]:
    name = chosen_tool(dialect.owner, request)
    if name is not None:
        return {"tool_choice": _choice(name, request, dialect, theirs)}
    if request.tool_choice is None or not (request.tools or theirs):
        return {}
    return {"tool_choice": request.tool_choice}


def _choice(name: str, request: ChatRequest, dialect: Dialect, theirs: Sequence[Any]) -> dict[str, Any]:
    """How a tool is named: by kind and name, by its label, or by its kind alone."""
    if any(tool.name == name for tool in request.tools):
        return {"type": "function", "name": name}
    for tool in theirs:
        found: Mapping[str, Any] = tool if isinstance(tool, Mapping) else {}
        for field in ("name", "server_label"):
            if found.get(field) == name:
                return {"type": found.get("type"), field: name}
        if found.get("type") == name:
            return {"type": name}
    raise InvalidInput(
        f"{dialect.owner}: tool_choice should be auto, required, none or the name of a tool, not {name!r}"
    )


def encode_tool(tool: ToolSchema) -> bytes:
    """One element of `tools`."""
    fields: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    fields["parameters"] = tool.input_schema
    # Without the field the vendor takes the schema as strict, and refuses most.
    fields["strict"] = bool(tool.strict)
    return json_bytes(fields, f"the schema of tool {tool.name!r}")
