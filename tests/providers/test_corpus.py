"""Every recorded exchange, decoded as the vendor's own library decodes it.

The vendor's library is the oracle for text, thinking, calls, reason, usage and errors. Where tako
differs on purpose, the exchange is named in DIFFERENT with what is different, and that is asserted.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from tako.errors import ProviderError, TakoError
from tako.events import ChatError
from tako.models import ChatRequest, ChatResponse, Message, OpaquePart, ThinkingPart
from tako.providers.anthropic import Anthropic
from tako.providers.http import HttpProvider
from tako.providers.openai import OpenAI
from tests.support.answers import collect, cuts, play, streamed, told
from tests.support.corpus import Exchange, parameters

REQUEST = ChatRequest(messages=(Message.user("hello"),))
PROVIDERS: dict[str, HttpProvider] = {
    "openai.chat.completions": OpenAI("gpt", ""),
    "anthropic.messages": Anthropic("claude", ""),
}
MARKS = {"openai.chat.completions": b"[DONE]", "anthropic.messages": b'"message_stop"'}

CUT_CALLS = {
    # The answer was cut by max_tokens in the middle of a call. The library hands the broken
    # arguments over; tako raises, with all the rest in `partial` (contract 3).
    "de399b0a7936922f",
    "56b8dac66a59ee66",
    "add7bf7d00b8bad0",
    "466c2b761cf90bb4",
}


def every(wanted: Any = lambda exchange: True) -> list[Any]:
    return [
        pytest.param(name, *parameter.values, marks=parameter.marks, id=f"{name}-{parameter.id}")
        for name in PROVIDERS
        for parameter in parameters(name, wanted)
    ]


def decoded(name: str, exchange: Exchange) -> tuple[ChatResponse | None, TakoError | None]:
    """The response as far as it came, and the error, through the flows that users call."""
    provider = PROVIDERS[name]
    flow = provider.stream_flow(REQUEST) if exchange.is_stream else provider.chat_flow(REQUEST)
    try:
        response, _, _ = play(flow, [exchange.body], exchange.status, exchange.headers)
    except TakoError as error:
        return error.partial, error
    return response, None


@pytest.mark.parametrize(("name", "exchange"), every(lambda e: e.expected["outcome"] == "http_error"))
def test_a_refusal_tells_what_the_vendor_told(name: str, exchange: Exchange) -> None:
    _, error = decoded(name, exchange)
    expected = exchange.expected["error"]
    assert isinstance(error, ProviderError)
    assert error.status == expected["status_code"]
    assert error.code == (expected.get("code") or expected["type"])
    body = expected["body"]
    assert (body.get("error") or body)["message"] in error.message
    assert error.request_id == expected.get("request_id")
    assert error.body == exchange.body.decode()


@pytest.mark.parametrize(("name", "exchange"), every(lambda e: e.expected["outcome"] == "ok"))
def test_an_answer_is_what_the_vendors_library_reads(name: str, exchange: Exchange) -> None:
    response, error = decoded(name, exchange)
    expected = exchange.expected
    assert response is not None
    if exchange.id in CUT_CALLS:
        assert isinstance(error, ProviderError)
        assert error.code == "length"
        assert response.message.tool_calls == ()
        expected = {**expected, "tool_calls": [], "finish_reason": None}
    else:
        assert error is None
    assert response.text == expected["text"] + (expected.get("refusal") or "")
    thinking = "".join(part.text for part in response.message.content if type(part) is ThinkingPart)
    assert thinking == expected["reasoning"]
    check_calls(response, expected)
    assert response.raw_finish_reason == expected["finish_reason"]
    if error is None:
        assert response.model == expected["model"]
        assert response.response_id == expected["response_id"]
    check_usage(name, response, expected)
    check_opaque(response, expected)


def check_calls(response: ChatResponse, expected: dict[str, Any]) -> None:
    calls = response.message.tool_calls
    assert len(calls) == len(expected["tool_calls"])
    for call, wanted in zip(calls, expected["tool_calls"], strict=True):
        assert call.name == wanted["name"]
        assert call.id == wanted["id"] or (wanted["id"] is None and call.id.startswith("call_"))
        assert call.args == (
            wanted["arguments"] if wanted["arguments"] is not None else wanted["arguments_raw"]
        )
    if calls:
        assert response.finish_reason == "tool_calls"


def check_usage(name: str, response: ChatResponse, expected: dict[str, Any]) -> None:
    usage, wanted = response.usage, expected["usage"] or {}
    assert usage.output_tokens == wanted.get("output")
    assert usage.cache_read_tokens == wanted.get("cached_input")
    assert usage.cache_write_tokens == wanted.get("cache_write")
    assert usage.reasoning_tokens == wanted.get("reasoning")
    vendors_input = "prompt_tokens" if name.startswith("openai") else "input_tokens"
    assert (usage.raw or {}).get(vendors_input) == wanted.get("input")
    if name.startswith("openai"):
        assert usage.input_tokens == wanted.get("input")
    elif wanted.get("input") is not None:
        cached = (wanted.get("cached_input") or 0) + (wanted.get("cache_write") or 0)
        assert usage.input_tokens == wanted["input"] + cached


def check_opaque(response: ChatResponse, expected: dict[str, Any]) -> None:
    blocks = [part.replay.data for part in response.message.content if type(part) is OpaquePart]
    if "server_tool_calls" in expected:
        kinds = [block["type"] for block in blocks if block["type"] != "redacted_thinking"]
        assert kinds == [call["type"] for call in expected["server_tool_calls"]]
        for block, call in zip(
            [block for block in blocks if block["type"] != "redacted_thinking"],
            expected["server_tool_calls"],
            strict=True,
        ):
            if "arguments" in call:
                assert block["input"] == call["arguments"]
    redacted = [block for block in blocks if block.get("type") == "redacted_thinking"]
    assert len(redacted) == expected.get("redacted_thinking", 0)
    signed = [part for part in response.message.content if type(part) is ThinkingPart and part.replay]
    assert len(signed) == expected.get("thinking_signatures", 0)


@pytest.mark.parametrize(("name", "exchange"), every(lambda e: e.is_stream))
def test_any_cut_gives_the_same_chunks(name: str, exchange: Exchange) -> None:
    provider = PROVIDERS[name]
    whole = told(streamed(provider.decoder(), [exchange.body]))
    pieces = cuts(exchange.body, random.Random(exchange.id))
    assert told(streamed(provider.decoder(), pieces)) == whole


@pytest.mark.parametrize(("name", "exchange"), every(lambda e: e.is_stream and len(e.body) < 3000))
def test_cut_off_at_any_byte_it_never_looks_whole(name: str, exchange: Exchange) -> None:
    provider, body = PROVIDERS[name], exchange.body
    for size in range(len(body)):
        start = body[:size]
        chunks = streamed(provider.decoder(), [start])
        told(chunks)
        if not any(type(chunk) is ChatError for chunk in chunks):
            # The mark counts once the blank line after it is there.
            after = start.replace(b"\r\n", b"\n").rpartition(MARKS[name])
            assert after[1] and b"\n\n" in after[2]
        else:
            response, _ = collect(chunks)
            assert response.message.tool_calls == ()
