"""ChatRequest to the body of Ollama's /api/chat.

| ours                    | on the wire                                                              |
|-------------------------|--------------------------------------------------------------------------|
| text                    | `content`, one string for each message                                   |
| images                  | `images`, bare base64; where in the text they stood is not said          |
| thinking                | `thinking`, unless it came from another vendor                           |
| call                    | `tool_calls`, the arguments as an object                                 |
| result                  | one message with the role `tool` each, by name and id; an error says so  |
|                         | in its text                                                              |
| sampling, max_tokens,   | `options`, over those of the constructor; max_tokens is `num_predict`    |
| stop, seed              |                                                                          |
| output_schema           | `format`                                                                 |
| thinking of the request | `think`: a word for how hard, or true, or false                          |
| tool_choice "none"      | no tools are sent, as there is no field for it                           |
| opaque, of a user       | a whole message of the vendor's own, of which it is the only part        |
| cache marks, `detail`,  | left out: this vendor cannot be told                                     |
| `strict`                |                                                                          |

What has no place there raises InvalidInput; nothing else is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import (
    ChatRequest,
    ImagePart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Part,
    Role,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
)
from tako.providers.body import (
    chosen_tool,
    effort_of,
    join_body,
    json_bytes,
    json_text,
    merge_extra,
    misplaced,
    only_text,
    vendor_tools,
)
from tako.providers.urls import inline_image

__all__ = ["CODEC", "OWNER", "VENDOR", "encode_body", "encode_message", "encode_tool"]

OWNER: Final = "Ollama"
VENDOR: Final = "ollama"
"""Whose replay data is sent back."""
CODEC: Final = "ollama.chat"
"""For whom an encoded message is kept."""

TOOL = Role.TOOL  # looking a member up costs, and it is done for each message
OPTIONS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "max_tokens": "num_predict",
}


def encode_body(
    request: ChatRequest,
    *,
    model: str,
    stream: bool,
    options: Mapping[str, Any],
    keep_alive: float | str | None,
) -> bytes:
    """The body; raises InvalidInput for what Ollama cannot be asked."""
    messages = _messages(request)
    if not messages:
        raise InvalidInput(f"{OWNER}: messages: there is nothing to send")
    fields = _fields(request, options)
    if keep_alive is not None:
        fields["keep_alive"] = keep_alive
    theirs, extra = vendor_tools(OWNER, request.extra)
    tools = [tool.encoded(CODEC, encode_tool) for tool in request.tools]
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    if request.tool_choice == "none":
        tools = []
    merge_extra(OWNER, fields, extra, ("model", "messages", "stream"))
    # Without `stream` this vendor streams.
    fields = {"model": model, "stream": stream, **fields}
    return join_body(fields, (("messages", messages), ("tools", tools)))


def _messages(request: ChatRequest) -> list[bytes]:
    """The elements of `messages`. Results without the name of their tool get it from the call."""
    messages: list[bytes] = []
    for message in request.messages:
        if message.role is TOOL and any(type(p) is ToolResultPart and not p.name for p in message.content):
            data = _results(message, _names(request.messages))
        else:
            data = message.encoded(CODEC, encode_message)
        if data:
            messages.append(data)
    return messages


def _names(messages: Iterable[Message]) -> dict[str, str]:
    return {call.id: call.name for message in messages for call in message.tool_calls}


def _fields(request: ChatRequest, given: Mapping[str, Any]) -> dict[str, Any]:
    _check(request)
    fields: dict[str, Any] = {}
    options = dict(given)
    for name, option in OPTIONS.items():
        value = getattr(request, name)
        if value is not None:
            options[option] = value
    if request.stop:
        options["stop"] = request.stop
    if options:
        fields["options"] = options
    if request.output_schema is not None:
        fields["format"] = request.output_schema
    if request.thinking is not None:
        fields["think"] = _think(request.thinking)
    if request.top_logprobs is not None:
        fields["logprobs"] = True
        if request.top_logprobs:
            fields["top_logprobs"] = request.top_logprobs
    return fields


def _check(request: ChatRequest) -> None:
    """Raise InvalidInput for what this API has no field for."""
    tool = chosen_tool(OWNER, request)
    if tool is not None or request.tool_choice == "required":
        raise InvalidInput(
            f"{OWNER}: tool_choice: no tool can be demanded of this vendor; say in a message what to call, "
            "or give the model that one tool only"
        )
    if request.n not in (None, 1):
        raise InvalidInput(f"{OWNER}: n: this vendor gives one answer; ask as often as you want answers")
    if request.parallel_tool_calls is False:
        raise InvalidInput(f"{OWNER}: parallel_tool_calls: they cannot be forbidden here; leave it out")
    if request.metadata:
        raise InvalidInput(f"{OWNER}: metadata: this vendor takes none; leave it out")


def _think(thinking: Thinking) -> bool | str:
    if thinking.budget_tokens is not None:
        raise InvalidInput(f"{OWNER}: thinking: budget_tokens: this vendor takes none; use effort")
    if thinking.summary not in (None, "auto"):
        raise InvalidInput(f"{OWNER}: thinking: summary: this vendor shows all of it or, unasked, nothing")
    return (effort_of(thinking) or True) if thinking.enabled else False


def encode_tool(tool: ToolSchema) -> bytes:
    """One element of `tools`."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return json_bytes({"type": "function", "function": function}, f"the schema of tool {tool.name!r}")


def encode_message(message: Message) -> bytes:
    """The elements of `messages` for one message, joined by commas; none if there is nothing in it."""
    match message.role:
        case Role.SYSTEM:
            text = only_text(OWNER, message)
            return _object({"role": "system", "content": text}) if text else b""
        case Role.USER:
            return _user(message)
        case Role.ASSISTANT:
            return _assistant(message)
        case Role.TOOL:
            return _results(message, {})


def _object(fields: Mapping[str, Any]) -> bytes:
    return json_bytes(fields, "a message")


def _user(message: Message) -> bytes:
    for part in message.content:
        if type(part) is OpaquePart:
            return _object(_own_message(message, part))
    return _object({"role": "user", **_content(message, message.content)})


def _own_message(message: Message, part: OpaquePart) -> dict[str, Any]:
    """A message that the caller wrote as this vendor wants it; raises InvalidInput for another's."""
    if part.replay.vendor != VENDOR:
        raise InvalidInput(f"{OWNER}: an opaque part of {part.replay.vendor!r} cannot be sent to this vendor")
    if len(message.content) > 1:
        raise InvalidInput(f"{OWNER}: an opaque part is a whole message here: give it one of its own")
    return {"role": "user", **part.replay.data}


def _content(message: Message, parts: Iterable[Part]) -> dict[str, Any]:
    """`content`, and `images` where there are some; raises InvalidInput for everything else."""
    texts: list[str] = []
    images: list[str] = []
    for part in parts:
        match part:
            case TextPart(text=text):
                texts.append(text)
            case ImagePart(data_b64=data):
                images.append(data)
            case ImageUrlPart():
                images.append(inline_image(OWNER, part)[1])
            case _:
                raise misplaced(OWNER, message, part)
    fields: dict[str, Any] = {"content": "".join(texts)}
    if images:
        fields["images"] = images
    return fields


def _assistant(message: Message) -> bytes:
    said: list[Part] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for part in message.content:
        match part:
            case ThinkingPart(text=text, replay=replay):
                if replay is None or replay.vendor == VENDOR:
                    thoughts.append(text)
            case ToolCallPart():
                calls.append(_tool_call(part))
            case OpaquePart():
                pass  # of another vendor: this one's answers have none
            case _:
                said.append(part)
    fields = _content(message, said)
    if thoughts:
        fields["thinking"] = "".join(thoughts)
    if calls:
        fields["tool_calls"] = calls
    if len(fields) == 1 and not fields["content"]:
        return b""
    return _object({"role": "assistant", **fields})


def _tool_call(part: ToolCallPart) -> dict[str, Any]:
    extras = part.replay.data if part.replay and part.replay.vendor == VENDOR else {}
    # The model may have written something else than an object, which the server takes for an error.
    arguments = part.args if isinstance(part.args, dict) else {"INVALID_JSON": part.args}
    function = {"name": part.name, "arguments": arguments}
    return {"type": "function", **extras, "id": part.id, "function": function}


def _results(message: Message, names: Mapping[str, str]) -> bytes:
    return b",".join([_object(_result(message, part, names)) for part in message.content])


def _result(message: Message, part: Part, names: Mapping[str, str]) -> dict[str, Any]:
    if type(part) is not ToolResultPart:
        raise misplaced(OWNER, message, part)
    name = part.name or names.get(part.id)
    if part.content:
        fields = _content(message, part.content)
    else:
        fields = {"content": json_text(part.result, f"the result of {name or part.id!r}")}
    if part.is_error:
        # This API has no field for it, and the model has to know.
        fields["content"] = f"Error: {fields['content']}"
    if name:
        fields["tool_name"] = name
    return {"role": "tool", **fields, "tool_call_id": part.id}
