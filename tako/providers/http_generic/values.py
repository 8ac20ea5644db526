"""What the placeholders of a template stand for, and what a request needs them for.

| placeholder                 | stands for                                            | formats      |
|-----------------------------|-------------------------------------------------------|--------------|
| request                     | everything that is set                                | tako, openai |
| model, stream               | the model's name; whether a stream is asked for       | tako         |
| messages                    | the conversation                                      | tako, openai |
| turns                       | the conversation without its system messages          | tako, openai |
| prompt                      | the turns as one text                                 | tako         |
| system                      | the text of the system messages                       | tako         |
| tools, tool_choice          |                                                       | tako, openai |
| output_schema               | the schema; as `openai`, a whole `response_format`    | tako, openai |
| thinking                    | {enabled, effort, ...}                                | tako         |
| thinking_effort, thinking_budget_tokens | one setting of it                         | tako         |
| temperature, top_p, top_k, presence_penalty, frequency_penalty, max_tokens, stop, seed, |||
| parallel_tool_calls, metadata | the request's field of this name                    | tako         |

The format `tako` is the shape of tako's own models as JSON, without replay data, which belongs to
other vendors; `openai` is what a chat completion's body has there. Formats are looked at only where
a template asks for them.

Invariant: what a request sets and the template has no place for is an InvalidInput (`require`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Any, Final

from pydantic_core import from_json

from tako.errors import InvalidInput
from tako.models import ChatRequest, Message, Part, Role, TextPart, ToolSchema, Value
from tako.parts import OpaquePart, ThinkingPart, ToolResultPart
from tako.providers.body import chosen_tool, misplaced, only_text
from tako.providers.chat_completions.dialect import Dialect
from tako.providers.chat_completions.encode import encode_body
from tako.providers.http_generic.template import Slot

__all__ = ["FORMATS", "VENDOR", "Values", "needs_of", "require"]

VENDOR: Final = "http_generic"
"""Whose replay data would be sent back; a template has no place for any."""

OPENAI_FORMAT: Final = Dialect(
    owner="HttpGeneric",
    vendor=VENDOR,
    max_tokens_field="max_tokens",
    takes_top_k=True,
    takes_file_urls=True,
    takes_video=True,
    takes_any_audio=True,
)
"""A template is for a server that nobody knows: it is asked for whatever the dialect has a field for."""

TAKO: Final = ("tako",)
BOTH: Final = ("tako", "openai")
PLAIN: Final = (
    "temperature",
    "top_p",
    "top_k",
    "presence_penalty",
    "frequency_penalty",
    "max_tokens",
    "stop",
    "seed",
    "parallel_tool_calls",
    "metadata",
)
FORMATS: Final = {
    "request": BOTH,
    "model": TAKO,
    "stream": TAKO,
    "messages": BOTH,
    "turns": BOTH,
    "prompt": TAKO,
    "system": TAKO,
    "tools": BOTH,
    "tool_choice": BOTH,
    "output_schema": BOTH,
    "thinking": TAKO,
    "thinking_effort": TAKO,
    "thinking_budget_tokens": TAKO,
    **dict.fromkeys(PLAIN, TAKO),
}

COVERED_BY: Final = {
    "messages": ("messages", "turns", "prompt", "request"),
    "system": ("system", "messages", "request"),
    "thinking_effort": ("thinking_effort", "thinking", "request"),
    "thinking_budget_tokens": ("thinking_budget_tokens", "thinking", "request"),
}
"""Which placeholders say a thing, where it is not the one of the same name or `request`."""


def require(owner: str, request: ChatRequest, names: Collection[str], model: str) -> None:
    """Raise InvalidInput for what the request sets and none of these placeholders says."""
    for name, is_asked in (
        ("n", request.n not in (None, 1)),
        ("top_logprobs", request.top_logprobs is not None),
    ):
        if is_asked:  # no pointer would find the answer
            raise InvalidInput(f"{owner}: {name} cannot be asked of a vendor that is described by a template")
    chosen_tool(owner, request)
    for need in needs_of(request, model):
        if not any(name in names for name in COVERED_BY.get(need, (need, "request"))):
            raise InvalidInput(
                f"{owner}: the request sets {need}, but body_template has no place for it; "
                f"put {{{{ {need} }}}} where the vendor expects it"
            )


def needs_of(request: ChatRequest, model: str) -> Iterable[str]:
    """What the request sets, in the names of placeholders; `model` is the provider's own."""
    is_system = [message.role is Role.SYSTEM for message in request.messages]
    if any(is_system):
        yield "system"
    if not all(is_system):
        yield "messages"
    if request.model not in ("", model):
        yield "model"
    if request.tools:
        yield "tools"
    if request.tool_choice not in (None, "auto") and request.tools:
        yield "tool_choice"
    thinking = request.thinking
    if thinking is not None:
        if thinking.summary or not thinking.enabled or not (thinking.effort or thinking.budget_tokens):
            yield "thinking"
        if thinking.effort:
            yield "thinking_effort"
        if thinking.budget_tokens:
            yield "thinking_budget_tokens"
    for name in (*PLAIN, "output_schema"):
        if getattr(request, name) not in (None, (), {}):
            yield name


class Values:
    """What each slot stands for, for one request."""

    def __init__(self, owner: str, request: ChatRequest, *, model: str, stream: bool) -> None:
        self._owner = owner
        self._request = request
        self._model = model
        self._stream = stream

    def of(self, slot: Slot) -> Any:
        """The value, or None for what is not set; raises InvalidInput for what cannot be said so."""
        request = self._request
        match slot.name, slot.format:
            case "request", "openai":
                return self._completion(request.model_copy(update={"extra": {}}))
            case "messages" | "turns", "openai":
                messages = request.messages if slot.name == "messages" else self._turns
                return self._completion(ChatRequest(messages=messages)).get("messages")
            case (("tools" | "tool_choice" | "output_schema"), "openai"):
                return self._openai_fields.get(
                    "response_format" if slot.name == "output_schema" else slot.name
                )
            case "request", _:
                return self._whole_request()
            case "model", _:
                return self._model
            case "stream", _:
                return self._stream
            case "messages", _:
                return [_message(self._owner, message) for message in request.messages]
            case "turns", _:
                return [_message(self._owner, message) for message in self._turns]
            case "prompt", _:
                return self._prompt()
            case "system", _:
                texts = [only_text(self._owner, m) for m in request.messages if m.role is Role.SYSTEM]
                return "\n\n".join(texts) if texts else None
            case "tools", _:
                return [_tool(tool) for tool in request.tools] or None
            case "tool_choice", _:
                return request.tool_choice if request.tools else None
            case "thinking", _:
                return None if request.thinking is None else _without_none(request.thinking)
            case "thinking_effort", _:
                return request.thinking.effort if request.thinking else None
            case "thinking_budget_tokens", _:
                return request.thinking.budget_tokens if request.thinking else None
            case name, _:
                value = getattr(request, name)
                return None if value in ((), {}) else value

    @property
    def _turns(self) -> tuple[Message, ...]:
        return tuple(message for message in self._request.messages if message.role is not Role.SYSTEM)

    def _completion(self, request: ChatRequest) -> dict[str, Any]:
        body = encode_body(request, dialect=OPENAI_FORMAT, model=self._model, stream=self._stream)
        fields: dict[str, Any] = from_json(body)
        return fields

    @cached_property
    def _openai_fields(self) -> dict[str, Any]:
        """What a chat completion says of tools and of the answer's schema."""
        request = self._request
        return self._completion(
            ChatRequest(
                messages=(Message.user("."),),
                tools=request.tools,
                tool_choice=request.tool_choice,
                output_schema=request.output_schema,
            )
        )

    def _whole_request(self) -> dict[str, Any]:
        names = ("tools", "tool_choice", "output_schema", "thinking", *PLAIN)
        fields = {name: self.of(Slot(name, "tako")) for name in ("model", "messages", *names)}
        return {
            **{name: value for name, value in fields.items() if value is not None},
            "stream": self._stream,
        }

    def _prompt(self) -> str | None:
        """The text of a lone user; of several turns, each with the name of who speaks."""
        turns = self._turns
        if not turns:
            return None
        if len(turns) == 1 and turns[0].role is Role.USER:
            return only_text(self._owner, turns[0])
        lines = [f"{turn.role.value.capitalize()}: {_spoken(self._owner, turn)}" for turn in turns]
        if turns[-1].role is not Role.ASSISTANT:
            lines.append("Assistant:")
        return "\n\n".join(lines)


def _spoken(owner: str, message: Message) -> str:
    for part in message.content:
        is_private = message.role is Role.ASSISTANT and type(part) in (ThinkingPart, OpaquePart)
        if type(part) is not TextPart and not is_private:
            raise misplaced(owner, message, part)
    return message.text


# The models of tako as JSON. Not `model_dump`: it would leave out a null within the arguments of a
# call together with the fields that are not set.


def _message(owner: str, message: Message) -> dict[str, Any]:
    parts = [_part(part) for part in message.content if not _is_private(owner, message, part)]
    return {"role": message.role.value, "content": parts}


def _is_private(owner: str, message: Message, part: Part) -> bool:
    """Whether the part is another vendor's own, and left out; raises InvalidInput if a user wrote it."""
    if type(part) is OpaquePart:
        if message.role is not Role.ASSISTANT:
            raise misplaced(owner, message, part)
        return True
    if type(part) is ToolResultPart:
        for inner in part.content:
            if type(inner) is OpaquePart:
                raise misplaced(owner, message, inner)
    return type(part) is ThinkingPart and part.replay is not None


def _part(part: Value) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in type(part).model_fields:
        value = getattr(part, name)
        if name in ("args", "result"):
            fields[name] = value
        elif isinstance(value, Value):
            if name != "replay":
                fields[name] = _without_none(value)
        elif isinstance(value, tuple):
            if value:
                fields[name] = [_part(item) for item in value]
        elif value is not None:
            fields[name] = value
    return fields


def _tool(tool: ToolSchema) -> dict[str, Any]:
    return _without_none(tool)


def _without_none(value: Value) -> dict[str, Any]:
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    return {
        name: _without_none(item) if isinstance(item, Value) else item
        for name, item in fields.items()
        if item is not None
    }
