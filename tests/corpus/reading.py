"""Reading one recorded exchange, and what differs from what the vendor's own library makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tako.errors import ProviderError, TakoError
from tako.models import ChatRequest, ChatResponse, Message, ThinkingPart
from tests.corpus.subject import Subject, described
from tests.support.answers import play
from tests.support.corpus import Exchange

__all__ = ["differences", "ends_in_a_cut_call", "read"]

REQUEST = ChatRequest(messages=(Message.user("hello"),))


def read(
    subject: Subject, exchange: Exchange, pieces: list[bytes] | None = None
) -> tuple[ChatResponse | None, TakoError | None]:
    """The response as far as it came, and the error, through the flows that users call."""
    provider = subject.provider(exchange)
    flow = provider.stream_flow(REQUEST) if exchange.is_stream else provider.chat_flow(REQUEST)
    try:
        response, _, _ = play(
            flow, [exchange.body] if pieces is None else pieces, exchange.status, exchange.headers
        )
    except TakoError as error:
        return error.partial, error
    return response, None


def differences(
    subject: Subject, exchange: Exchange, response: ChatResponse | None, error: TakoError | None
) -> list[str]:
    """What differs from the expected result, each with both values; nothing if all is equal."""
    outcome = exchange.expected["outcome"]
    if outcome == "http_error":
        return _refusal(subject, exchange, error)
    if response is not None and ends_in_a_cut_call(exchange, error):
        calls = exchange.expected["tool_calls"][:-1]
        return _answer(
            subject, replace(exchange, expected={**exchange.expected, "tool_calls": calls}), response
        )
    if outcome == "ok" and error is not None:
        return [f"outcome: {described(error)}"]
    if outcome == "stream_error" and error is None:
        return ["outcome: no error"]
    if response is None:
        return [f"response: none, {described(error)}"]
    found = _answer(subject, exchange, response)
    if outcome == "stream_error":
        # Only what came before the error counts; the reason and the usage may not have come.
        return [line for line in found if line.startswith(("text", "reasoning"))]
    return found


def ends_in_a_cut_call(exchange: Exchange, error: TakoError | None) -> bool:
    """Whether the limit of tokens ended the answer in the middle of a call.

    The vendors' libraries hand over half a call then, whose arguments cannot be read. Tako raises, and
    all the rest is in the error's `partial` (contract 3); that rest has to be equal.
    """
    expected = exchange.expected
    if expected["outcome"] != "ok" or not isinstance(error, ProviderError) or not expected["tool_calls"]:
        return False
    reasons = (expected["finish_reason"], expected.get("incomplete_reason"))
    return error.code in reasons and expected["tool_calls"][-1]["arguments"] is None


def _refusal(subject: Subject, exchange: Exchange, error: TakoError | None) -> list[str]:
    if not isinstance(error, ProviderError):
        return [f"outcome: {described(error)}"]
    found = _compared("status", error.status, subject.error_status(exchange))
    found += _compared("code", error.code, subject.error_code(exchange))
    if subject.error_message(exchange) not in error.message:
        found.append(f"message: {error.message!r} lacks {subject.error_message(exchange)!r}")
    return found


def _answer(subject: Subject, exchange: Exchange, response: ChatResponse) -> list[str]:
    expected = exchange.expected
    thinking = "".join([part.text for part in response.message.content if type(part) is ThinkingPart])
    found = _compared("text", response.text, subject.text(exchange))
    found += _compared("reasoning", thinking, expected["reasoning"] or "")
    found += _calls(response, [call for call in expected["tool_calls"] if subject.is_call(exchange, call)])
    found += _compared("finish_reason", response.raw_finish_reason, expected["finish_reason"])
    wanted = expected["usage"] or {}
    for name, count in subject.counts(exchange, response.usage).items():
        found += _compared(f"usage.{name}", count, wanted.get(name))
    return found + subject.more(exchange, response)


def _calls(response: ChatResponse, wanted: list[dict[str, Any]]) -> list[str]:
    calls = response.message.tool_calls
    found = _compared("tool_calls", [call.name for call in calls], [call["name"] for call in wanted])
    if found:
        return found
    if len({call.id for call in calls}) != len(calls) or not all(call.id for call in calls):
        found.append(f"tool_calls: ids are missing or not distinct: {[call.id for call in calls]}")
    for call, other in zip(calls, wanted, strict=True):
        given = [entry["id"] for entry in wanted].count(other["id"]) == 1 and other["id"]
        if given:
            found += _compared("call.id", call.id, other["id"])
        arguments = other["arguments"] if other["arguments"] is not None else other["arguments_raw"] or {}
        found += _compared("call.arguments", call.args, arguments)
    return found


def _compared(name: str, got: object, wanted: object) -> list[str]:
    return [] if got == wanted else [f"{name}: {_shown(got)} is not {_shown(wanted)}"]


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) < 200 else f"{shown[:90]} ... {shown[-90:]}"
