"""The conformance kit: what a provider, a decoder, a history and a flow have to keep, as checks.

Plain functions that raise AssertionError and say what is wrong; call them from any test runner,
with bytes of your own or with those that `tako.testing.strategies` makes. The suites over a whole
provider or a whole adapter are in `suites`.

Two decoders agree if their chunks look the same: errors are compared by `comparable`, because no
two exceptions are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from tako.effects import Flow
from tako.errors import TakoError
from tako.events import ChatEnd, ChatError, ToolCall
from tako.models import Message, Role, ToolCallPart, ToolResultPart
from tako.providers.base import StreamDecoder
from tako.testing.describing import brief, describe, name_of

__all__ = [
    "check_determinism",
    "check_history",
    "check_split_invariance",
    "check_stream_contract",
    "check_truncation",
    "comparable",
    "first_difference",
]

MOST_PAIRS = 4096
"""Bodies longer than this are cut in two at this many places only, evenly spread."""


def comparable(value: Any) -> Any:
    """A value that is equal to that of another run if the two look the same.

    An exception becomes its type and its fields, without its words; a flow or a function its name.
    """
    if isinstance(value, TakoError):
        kind, about = type(value).__name__, (value.phase, value.status, value.code, value.retry_after)
        return kind, *about, comparable(value.partial), comparable(value.usage)
    if isinstance(value, BaseException):
        return type(value).__name__, comparable(value.args)
    if is_dataclass(value) and not isinstance(value, type):
        parts = [comparable(getattr(value, field.name)) for field in fields(value) if field.compare]
        return type(value).__name__, *parts
    if isinstance(value, (list, tuple)):
        return [comparable(item) for item in value]
    if isinstance(value, Mapping):
        return {key: comparable(item) for key, item in value.items()}
    if callable(value) or isinstance(value, Iterator):
        return name_of(value)
    return value


def first_difference(expected: Sequence[Any], got: Sequence[Any]) -> str | None:
    """Where two lists of chunks, events or effects part, in words; None if they look the same."""
    for index, (one, other) in enumerate(zip(expected, got, strict=False)):
        if comparable(one) != comparable(other):
            return f"number {index} is {describe(other)} instead of {describe(one)}"
    if len(expected) == len(got):
        return None
    longer, more = (expected, "is missing") if len(expected) > len(got) else (got, "is too much")
    index = min(len(expected), len(got))
    return f"number {index} {more}: {describe(longer[index])}"


def _decode(make_decoder: Callable[[], StreamDecoder], pieces: Iterable[bytes]) -> list[Any]:
    """All chunks of a stream that ends after the pieces."""
    decoder, chunks = make_decoder(), []
    for piece in pieces:
        if piece:
            chunks += decoder.feed(piece)
    return chunks + decoder.feed(b"")


def check_split_invariance(
    make_decoder: Callable[[], StreamDecoder], body: bytes, cut: Sequence[bytes] | None = None
) -> None:
    """Contract 1: however the bytes are cut, the chunks are the same.

    `cut` is the body in pieces; without it, byte by byte and every cut in two are tried.
    """
    whole = _decode(make_decoder, [body])
    if cut is not None:
        assert b"".join(cut) == body, "the pieces of `cut` should be those of the body"
        candidates: Iterable[Sequence[bytes]] = [cut]
    else:
        step = max(1, len(body) // MOST_PAIRS)
        pairs = ([body[:place], body[place:]] for place in range(1, len(body), step))
        candidates = [[body[place : place + 1] for place in range(len(body))], *pairs]
    for pieces in candidates:
        found = first_difference(whole, _decode(make_decoder, pieces))
        if found is not None:
            places = brief([len(piece) for piece in pieces])
            raise AssertionError(
                f"the chunks depend on how the bytes were cut: {found}; pieces of {places} bytes"
            )


def check_stream_contract(chunks: Sequence[Any]) -> None:
    """Contract 2 and 3: chunks, at most one ChatError, one ChatEnd, last; each tool call once."""
    if not chunks or type(chunks[-1]) is not ChatEnd:
        raise AssertionError(f"a stream should end with a ChatEnd: {brief(list(chunks[-3:]))}")
    kinds = [type(chunk) for chunk in chunks]
    if kinds.count(ChatEnd) != 1:
        raise AssertionError(f"a stream should have one ChatEnd, not {kinds.count(ChatEnd)}")
    if ChatError in kinds[:-2]:
        raise AssertionError(f"nothing but the ChatEnd should follow a ChatError: {brief(list(chunks))}")
    broken, reason = ChatError in kinds, chunks[-1].finish_reason
    if broken and reason != "error":
        raise AssertionError(f'after a ChatError the finish_reason should be "error", not {reason!r}')
    calls = [chunk.id for chunk in chunks if isinstance(chunk, ToolCall)]
    for call in calls:
        if calls.count(call) > 1:
            raise AssertionError(f"the tool call {call!r} was announced {calls.count(call)} times")


def check_truncation(make_decoder: Callable[[], StreamDecoder], body: bytes) -> None:
    """Contract 2: a stream that breaks off anywhere ends in a ChatError, or lacks nothing at all.

    What stands behind the vendor's terminal mark may be missing. Quadratic in the size of the body.
    """
    whole = _decode(make_decoder, [body])
    check_stream_contract(whole)
    if any(type(chunk) is ChatError for chunk in whole):
        raise AssertionError("the whole body should be decoded without an error before it is truncated")
    for place in range(len(body)):
        chunks = _decode(make_decoder, [body[:place]])
        check_stream_contract(chunks)
        complete = all(type(chunk) is not ChatError for chunk in chunks)
        if complete and first_difference(whole, chunks) is not None:
            raise AssertionError(f"cut off after {place} of {len(body)} bytes, the answer looks whole")


def check_history(messages: Sequence[Message]) -> None:
    """Contract 4: each tool call is answered once, in the next message, and nothing else is."""
    asked: list[str] = []
    for number, message in enumerate(messages):
        where = f"message {number} ({message.role.value})"
        results = [part.id for part in message.content if isinstance(part, ToolResultPart)]
        calls = [part.id for part in message.content if isinstance(part, ToolCallPart)]
        if results and message.role is not Role.TOOL:
            raise AssertionError(f"{where} holds tool results; they belong into a tool message")
        if calls and message.role is not Role.ASSISTANT:
            raise AssertionError(f"{where} holds tool calls; only an assistant calls tools")
        if len(set(calls)) < len(calls):
            raise AssertionError(f"{where} has two tool calls with one id: {calls}")
        if sorted(results) != sorted(asked):
            raise AssertionError(f"{where} should answer the tool calls {asked}, but answers {results}")
        if message.role is Role.TOOL and not asked:
            raise AssertionError(f"{where} is a tool message, but no tool was called before it")
        asked = calls
    if asked:
        raise AssertionError(f"the tool calls {asked} at the end have no results")


def check_determinism(make_flow: Callable[[], Flow[Any]], replies: Iterable[Any]) -> None:
    """Contract 9: fed the same replies, a flow asks for the same effects and ends in the same way.

    `replies` are given one by one, exceptions are thrown in; after the last one the flow is closed.
    """
    given = list(replies)
    one, other = _effects(make_flow(), given), _effects(make_flow(), given)
    found = first_difference(one, other)
    if found is not None:
        raise AssertionError(f"fed the same replies, the flow did something else the second time: {found}")


def _effects(flow: Flow[Any], replies: Sequence[Any]) -> list[Any]:
    """What a flow asks for, and its result or error last if it comes to its end."""
    asked: list[Any] = []
    try:
        asked.append(flow.send(None))
        for reply in replies:
            asked.append(flow.throw(reply) if isinstance(reply, Exception) else flow.send(reply))
    except StopIteration as stop:
        asked.append(("returned", stop.value))
    except Exception as error:
        asked.append(("raised", error))
    finally:
        flow.close()
    return asked
