"""ChatRequest to the body of Mistral's chat completions, which are not quite OpenAI's.

| ours                    | on the wire                                                              |
|-------------------------|--------------------------------------------------------------------------|
| only text               | `content` is one string                                                  |
| text, images, documents | `content` is a list: text, image_url, document_url (data as `data:`      |
| and sound               | URLs), file, input_audio                                                 |
| thinking                | a `thinking` block, if it came from Mistral; left out otherwise          |
| citations               | the `reference` blocks that they came from                               |
| call                    | `tool_calls`, the arguments as a string of JSON                          |
| result                  | one message with the role `tool` each; an error says so in its text      |
| ids of calls            | nine letters and digits, which is all that is taken (see `wire_id`)      |
| seed                    | `random_seed`                                                            |
| tool_choice "required"  | "any"                                                                    |
| thinking of the request | `reasoning_effort`; "none" for none, "high" if it is not said how much   |
| opaque                  | a block as it came; without a `type`, fields of an assistant's message,  |
|                         | such as {"prefix": true}; left out of those if from another vendor       |
| cache marks             | left out: `prompt_cache_key` in `extra` is this vendor's way             |

What has no place there raises InvalidInput; nothing else is left out.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import (
    AudioPart,
    ChatRequest,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Part,
    Replay,
    Role,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
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
from tako.providers.chat_completions.encode import TOOL_CODEC, encode_tool
from tako.providers.chat_completions.strict import schema_name

__all__ = ["CODEC", "OWNER", "VENDOR", "encode_body", "encode_message", "wire_id"]

OWNER: Final = "Mistral"
VENDOR: Final = "mistral"
"""Whose replay data is sent back."""
CODEC: Final = "mistral.chat"
"""For whom an encoded message is kept."""

OWN_ID: Final = re.compile(r"[a-zA-Z0-9]{9}")
LETTERS: Final = string.ascii_letters + string.digits
SAME: Final = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "n",
    "parallel_tool_calls",
)
"""Fields that are called as ours are."""


def encode_body(
    request: ChatRequest,
    *,
    model: str,
    stream: bool,
    safe_prompt: bool | None,
    random_seed: int | None,
) -> bytes:
    """The body; raises InvalidInput for what Mistral cannot be asked."""
    messages = [data for message in request.messages if (data := message.encoded(CODEC, encode_message))]
    if not messages:
        raise InvalidInput(f"{OWNER}: messages: there is nothing to send")
    theirs, extra = vendor_tools(OWNER, request.extra)
    tools = [tool.encoded(TOOL_CODEC, encode_tool) for tool in request.tools]
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    fields = _fields(request, model)
    if safe_prompt is not None:
        fields["safe_prompt"] = safe_prompt
    if random_seed is not None:
        fields.setdefault("random_seed", random_seed)
    if stream:
        fields["stream"] = True
    merge_extra(OWNER, fields, extra, ("messages", "stream"))
    return join_body(fields, (("messages", messages), ("tools", tools)))


def _fields(request: ChatRequest, model: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": model}
    for name in SAME:
        value = getattr(request, name)
        if value is not None:
            fields[name] = value
    if request.seed is not None:
        fields["random_seed"] = request.seed
    if request.stop:
        fields["stop"] = request.stop
    if request.metadata:
        fields["metadata"] = request.metadata
    if request.top_logprobs is not None:
        fields["logprobs"] = True
        if request.top_logprobs:
            fields["top_logprobs"] = request.top_logprobs
    if request.thinking is not None:
        fields["reasoning_effort"] = _effort(request.thinking)
    if request.output_schema is not None:
        schema = request.output_schema
        json_schema = {"name": schema_name(schema), "schema": schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": json_schema}
    tool = chosen_tool(OWNER, request)
    if tool is not None:
        fields["tool_choice"] = {"type": "function", "function": {"name": tool}}
    elif request.tool_choice is not None and (request.tools or request.extra.get("tools")):
        fields["tool_choice"] = "any" if request.tool_choice == "required" else request.tool_choice
    return fields


def _effort(thinking: Thinking) -> str:
    if thinking.budget_tokens is not None:
        raise InvalidInput(f"{OWNER}: thinking: budget_tokens: this vendor takes none; use effort")
    if thinking.summary not in (None, "auto"):
        raise InvalidInput(f"{OWNER}: thinking: summary: this vendor cannot be asked for one; leave it out")
    return (effort_of(thinking) or "high") if thinking.enabled else "none"


def encode_message(message: Message) -> bytes:
    """The elements of `messages` for one message, joined by commas; none if there is nothing in it."""
    match message.role:
        case Role.SYSTEM:
            text = only_text(OWNER, message)
            return _object({"role": "system", "content": text}) if text else b""
        case Role.USER:
            return _object({"role": "user", "content": _content(message, message.content)})
        case Role.ASSISTANT:
            return _assistant(message)
        case Role.TOOL:
            return b",".join([_result(message, part) for part in message.content])


def _object(fields: Mapping[str, Any]) -> bytes:
    return json_bytes(fields, "a message")


def _content(message: Message, parts: tuple[Part, ...]) -> str | list[dict[str, Any]]:
    """What a user says, or a tool: one string if it is nothing but text."""
    if all(type(part) is TextPart for part in parts):
        return "".join([part.text for part in parts if type(part) is TextPart])
    return [_block(message, part) for part in parts]


def _block(message: Message, part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case ImagePart(mime=mime, data_b64=data):
            return _image(f"data:{mime};base64,{data}", part.detail)
        case ImageUrlPart(url=url):
            return _image(url, part.detail)
        case DocumentPart():
            return _document(part)
        case AudioPart():
            return _audio(part)
        case OpaquePart(replay=replay):
            if replay.vendor != VENDOR:
                raise InvalidInput(
                    f"{OWNER}: an opaque part of {replay.vendor!r} cannot be sent to this vendor"
                )
            return replay.data
        case _:
            raise misplaced(OWNER, message, part)


def _image(url: str, detail: str | None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url if detail is None else {"url": url, "detail": detail}}


def _document(part: DocumentPart) -> dict[str, Any]:
    if part.context is not None:
        raise InvalidInput(f"{OWNER}: document: context: this vendor takes none; say it in a text part")
    if part.citations:
        raise InvalidInput(f"{OWNER}: document: citations: this vendor cannot be asked for them")
    if part.text is not None:
        raise InvalidInput(f"{OWNER}: document: this vendor takes files; give a plain text as a text part")
    if part.file_id is not None:
        if part.title is not None:
            raise InvalidInput(f"{OWNER}: document: title: a file has the name it was uploaded with")
        return {"type": "file", "file_id": part.file_id}
    url = part.url or f"data:{part.mime};base64,{part.data_b64}"
    named = {} if part.title is None else {"document_name": part.title}
    return {"type": "document_url", "document_url": url, **named}


def _audio(part: AudioPart) -> dict[str, Any]:
    """Sound as bare base64, or an address; the vendor finds out its type."""
    if part.file_id is not None:
        raise InvalidInput(f"{OWNER}: audio: file_id: this vendor takes data or an address")
    return {"type": "input_audio", "input_audio": part.data_b64 or part.url}


def _assistant(message: Message) -> bytes:
    blocks: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    fields: dict[str, Any] = {}
    for part in message.content:
        match part:
            case TextPart():
                blocks += _said(part)
            case ThinkingPart(text=text, replay=Replay(vendor="mistral", data=data)):
                blocks.append({"type": "thinking", "thinking": [{"type": "text", "text": text}], **data})
            case OpaquePart(replay=Replay(vendor="mistral", data=data)):
                if "type" in data:
                    blocks.append(data)
                else:
                    fields.update(data)
            case ToolCallPart():
                calls.append(_tool_call(part))
            case ThinkingPart() | OpaquePart():
                pass  # of another vendor
            case _:
                raise misplaced(OWNER, message, part)
    if not blocks and not calls and not fields:
        return b""
    content: str | list[dict[str, Any]] = blocks
    if all(block["type"] == "text" for block in blocks):
        content = "".join([block["text"] for block in blocks])
    if calls:
        fields["tool_calls"] = calls
    return _object({"role": "assistant", "content": content, **fields})


def _said(part: TextPart) -> list[dict[str, Any]]:
    """Text, and the references that came with it."""
    blocks: list[dict[str, Any]] = [{"type": "text", "text": part.text}] if part.text else []
    if part.replay is not None and part.replay.vendor == VENDOR:
        blocks += part.replay.data.get("references", ())
    return blocks


def _tool_call(part: ToolCallPart) -> dict[str, Any]:
    extras = part.replay.data if part.replay and part.replay.vendor == VENDOR else {}
    function = {"name": part.name, "arguments": json_text(part.args, f"the arguments of {part.name!r}")}
    return {"type": "function", **extras, "id": wire_id(part.id), "function": function}


def _result(message: Message, part: Part) -> bytes:
    if type(part) is not ToolResultPart:
        raise misplaced(OWNER, message, part)
    content = _content(message, part.content) if part.content else json_text(part.result, _what(part))
    if part.is_error:
        # This API has no field for it, and the model has to know.
        if isinstance(content, str):
            content = f"Error: {content}"
        else:
            content = [{"type": "text", "text": "Error:"}, *content]
    fields: dict[str, Any] = {"role": "tool", "tool_call_id": wire_id(part.id), "content": content}
    if part.name:
        fields["name"] = part.name
    return _object(fields)


def _what(part: ToolResultPart) -> str:
    return f"the result of {part.name or part.id!r}"


def wire_id(call_id: str) -> str:
    """The id in the form that this vendor demands of every call in a history, whoever made it up.

    An id of its own stays. Any other becomes nine letters and digits that depend on all of it, so
    that a call and its result agree without knowing of each other. That two ids become one is
    possible, but takes a chance of one in 10^16.
    """
    if OWN_ID.fullmatch(call_id):
        return call_id
    number = int.from_bytes(blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=16).digest())
    digits = []
    for _ in range(9):
        number, digit = divmod(number, len(LETTERS))
        digits.append(LETTERS[digit])
    return "".join(digits)
