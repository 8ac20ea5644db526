"""The body of a vendor's request, put together from JSON that was encoded before.

Messages and tools are values that keep their encoded bytes, so that a body is a handful of small
fields and a join: what a call costs is what is new in it, not what the conversation has grown to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from tako.errors import InvalidInput
from tako.models import ChatRequest, Message, Part, Role, TextPart, Thinking

__all__ = [
    "EFFORTS",
    "chosen_tool",
    "effort_of",
    "join_body",
    "json_bytes",
    "json_text",
    "merge_extra",
    "misplaced",
    "only_text",
    "vendor_tools",
]


EFFORTS = frozenset(("none", "minimal", "low", "medium", "high", "xhigh", "max"))
"""The words for how hard to think that vendors have in common, as nearly all of them write them."""


def effort_of(thinking: Thinking) -> str | None:
    """How hard to think: a known word in any case becomes the vendors' own, another is sent as it is."""
    effort = thinking.effort
    if effort is None or effort in EFFORTS:
        return effort
    word = effort.lower()
    return word if word in EFFORTS else effort


def json_bytes(value: object, what: str) -> bytes:
    """The value as JSON; raises InvalidInput for what JSON cannot hold.

    NaN and the infinities are no JSON: they are written as the strings "NaN" and "Infinity", which
    a reader understands and no vendor takes for a broken body.
    """
    try:
        return to_json(value, inf_nan_mode="strings")
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} cannot be written as JSON: {error}") from error


def json_text(value: object, what: str) -> str:
    """Text as it is, anything else as JSON; raises InvalidInput."""
    return value if isinstance(value, str) else json_bytes(value, what).decode()


def misplaced(owner: str, message: Message, part: Part) -> InvalidInput:
    """What to raise for a part that this vendor does not take from this role."""
    return InvalidInput(f"{owner}: a {message.role.value} message cannot hold a part of type {part.type!r}")


def only_text(owner: str, message: Message) -> str:
    """The text of a message that may hold nothing else; raises InvalidInput.

    The parts of a system message are blocks to some vendors; for the others a blank line divides them.
    """
    texts: list[str] = []
    for part in message.content:
        if type(part) is not TextPart:
            raise misplaced(owner, message, part)
        texts.append(part.text)
    return ("\n\n" if message.role is Role.SYSTEM else "").join(texts)


def chosen_tool(owner: str, request: ChatRequest) -> str | None:
    """The name in tool_choice, or None if it names no tool; raises InvalidInput for an unknown name."""
    choice = request.tool_choice
    has_tools = bool(request.tools or request.extra.get("tools"))
    if choice in (None, "auto", "none"):
        return None
    if not has_tools:
        raise InvalidInput(f"{owner}: tool_choice is {choice!r}, but the request has no tools")
    if choice == "required":
        return None
    if not request.extra.get("tools") and choice not in [tool.name for tool in request.tools]:
        raise InvalidInput(
            f"{owner}: tool_choice should be auto, required, none or the name of a tool, not {choice!r}"
        )
    return choice


def merge_extra(
    owner: str, fields: dict[str, Any], extra: Mapping[str, Any], reserved: Iterable[str]
) -> dict[str, Any]:
    """Our fields and the caller's, which win; two objects are merged, None takes a field out.

    Raises InvalidInput for a field that belongs elsewhere in the request.
    """
    for name in reserved:
        if name in extra:
            raise InvalidInput(f"{owner}: extra cannot hold {name!r}: use the request's own field")
    for name, value in extra.items():
        ours = fields.get(name)
        if value is None:
            fields.pop(name, None)
        elif isinstance(ours, dict) and isinstance(value, Mapping):
            fields[name] = {**ours, **value}
        else:
            fields[name] = value
    return fields


def vendor_tools(owner: str, extra: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The vendor's own tools in `extra`, which join the request's tools, and the rest of `extra`."""
    tools = extra.get("tools")
    if tools is None:
        return (), extra
    if not isinstance(tools, (list, tuple)):
        raise InvalidInput(f"{owner}: extra: tools should be a list, not {type(tools).__name__}")
    return tools, {name: value for name, value in extra.items() if name != "tools"}


def join_body(fields: Mapping[str, Any], arrays: Iterable[tuple[str, Sequence[bytes]]]) -> bytes:
    """One JSON object of the fields (at least one) and of arrays of elements encoded before."""
    pieces = [json_bytes(fields, "the request")[:-1]]
    for name, elements in arrays:
        if elements:
            pieces.append(b',"%s":[' % name.encode())
            pieces.append(b",".join(elements))
            pieces.append(b"]")
    pieces.append(b"}")
    return b"".join(pieces)
