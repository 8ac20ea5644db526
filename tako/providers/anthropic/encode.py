"""ChatRequest to the body of a call of the Messages API.

| ours                     | on the wire                                                             |
|--------------------------|-------------------------------------------------------------------------|
| system messages          | `system`, blocks of all of them in order                                |
| user                     | `user`                                                                  |
| tool                     | `user`, `tool_result` blocks; tool messages in a row are one message    |
| assistant                | `assistant`                                                             |
| no content               | left out                                                                |
| tool_choice, parallel_   | `tool_choice`; where no call can be made, nothing need be said of       |
| tool_calls               | parallel ones                                                           |
| output_schema, effort    | `output_config`                                                         |
| thinking                 | see `thinking`                                                          |
| seed, n, penalties,      | InvalidInput                                                            |
| top_logprobs             |                                                                         |

What the parts of a message become is told in `blocks`. What has no place there raises InvalidInput;
nothing else is left out. On other clouds the model is in the address, and the version in the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import ChatRequest, Role
from tako.providers.anthropic.blocks import (
    CODEC,
    INLINE_CODEC,
    OWNER,
    encode_blocks,
    encode_inline_blocks,
    encode_tool,
)
from tako.providers.anthropic.thinking import add_thinking
from tako.providers.body import chosen_tool, join_body, json_bytes, merge_extra, vendor_tools
from tako.providers.closed_schema import closed_schema

__all__ = ["BodyStyle", "encode_body"]

SYSTEM, TOOL = Role.SYSTEM, Role.TOOL  # looking a member up costs, and it is done for each message
CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}
ABSENT: Final = ("seed", "presence_penalty", "frequency_penalty", "top_logprobs")
UNCOUNTED: Final = (
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "metadata",
    "service_tier",
    "stop_sequences",
    "temperature",
    "top_k",
    "top_p",
)
"""Fields that the counting of tokens refuses, as they change nothing of what is read."""


@dataclass(frozen=True, slots=True)
class BodyStyle:
    """What differs between those who serve the Messages API, and between our callers' settings.

    default_max_tokens  for requests that say nothing; the API demands a number
    interleaved         thinking goes on between calls, so that its budget may exceed max_tokens
    fetches             the host fetches images and documents that are given by address
    own                 fields that the host wants in each body, such as the version
    """

    default_max_tokens: int = 4096
    interleaved: bool = False
    fetches: bool = True
    own: Mapping[str, Any] = field(default_factory=dict)


def encode_body(
    request: ChatRequest, style: BodyStyle, *, model: str | None, stream: bool = False, counts: bool = False
) -> bytes:
    """The body; raises InvalidInput for what Anthropic cannot be asked.

    model   None where it is in the address
    counts  the request is to be counted, and not answered
    """
    system, messages = _conversation(request, fetches=style.fetches)
    if not messages:
        raise InvalidInput(f"{OWNER}: messages: there is nothing to send but system messages")
    theirs, extra = vendor_tools(OWNER, request.extra)
    tools = [tool.encoded(CODEC, encode_tool) for tool in request.tools]
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    fields: dict[str, Any] = dict(style.own)
    if model is not None:
        fields["model"] = model
    fields |= _fields(request, style)
    if stream:
        fields["stream"] = True
    merge_extra(OWNER, fields, extra, ("messages", "stream", "system"))
    if counts:
        fields = {name: value for name, value in fields.items() if name not in UNCOUNTED}
    arrays = (("system", system), ("messages", messages), ("tools", tools))
    return join_body(fields, arrays)


def _conversation(request: ChatRequest, *, fetches: bool) -> tuple[list[bytes], list[bytes]]:
    """The elements of `system` and of `messages`. Every call of a turn has its result in one message."""
    codec, encode = (CODEC, encode_blocks) if fetches else (INLINE_CODEC, encode_inline_blocks)
    system: list[bytes] = []
    messages: list[bytes] = []
    results: list[bytes] = []
    for message in request.messages:
        data = message.encoded(codec, encode)
        role = message.role
        if role is TOOL:
            if data:
                results.append(data)
        elif role is SYSTEM:
            if data:
                system.append(data)
        elif data:
            if results:
                messages.append(_user_message(results))
                results = []
            messages.append(data)
    if results:
        messages.append(_user_message(results))
    return system, messages


def _user_message(blocks: list[bytes]) -> bytes:
    return b'{"role":"user","content":[%s]}' % b",".join(blocks)


def _fields(request: ChatRequest, style: BodyStyle) -> dict[str, Any]:
    _refuse_what_is_absent(request)
    fields: dict[str, Any] = {"max_tokens": request.max_tokens or style.default_max_tokens}
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(request, name)
        if value is not None:
            fields[name] = value
    if request.stop:
        fields["stop_sequences"] = request.stop
    if request.metadata:
        fields["metadata"] = request.metadata
    choice = _tool_choice(request)
    if choice is not None:
        fields["tool_choice"] = choice
    if request.output_schema is not None:
        format = {"type": "json_schema", "schema": closed_schema(request.output_schema)}
        fields["output_config"] = {"format": format}
    add_thinking(fields, request, interleaved=style.interleaved)
    return fields


def _refuse_what_is_absent(request: ChatRequest) -> None:
    for name in ABSENT:
        if getattr(request, name) is not None:
            raise InvalidInput(f"{OWNER}: {name}: this vendor has none; leave it out")
    if request.n not in (None, 1):
        raise InvalidInput(f"{OWNER}: n: this vendor gives one answer; ask {request.n} times instead")
    unknown = request.metadata.keys() - {"user_id"}
    if unknown:
        raise InvalidInput(f"{OWNER}: metadata: this vendor takes user_id only, not {sorted(unknown)}")


def _tool_choice(request: ChatRequest) -> dict[str, Any] | None:
    """The choice, or None where nothing was said, or where there is nothing to choose from."""
    name = chosen_tool(OWNER, request)
    if not (request.tools or request.extra.get("tools")):
        return None
    parallel = request.parallel_tool_calls
    if name is not None:
        choice: dict[str, Any] = {"type": "tool", "name": name}
    elif request.tool_choice is not None:
        choice = {"type": CHOICES[request.tool_choice]}
    elif parallel is not None:
        choice = {"type": "auto"}
    else:
        return None
    if parallel is not None and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = not parallel
    return choice
