"""What editors infer of a provider, in each of the four ways to ask it."""

from __future__ import annotations

from typing import assert_type

import tako
from tako.effects import Flow
from tako.events import ChatChunk, TextBlock, TextDelta
from tako.models import (
    ChatRequest,
    ChatResponse,
    Citation,
    Message,
    RateLimits,
    TextPart,
    Thinking,
    TokenLogprob,
)
from tako.providers import Anthropic, Gemini, OpenAI, Provider, UrlPolicy

request = ChatRequest(messages=[Message.user("hello")], thinking=Thinking(effort="low"), stop=["."])
provider = tako.provider("openai:gpt-5", api_key=lambda: "key")
assert_type(provider, Provider)
assert_type(OpenAI("gpt-5", "$ENV:KEY"), OpenAI)
assert_type(provider.chat_flow(request), Flow[ChatResponse])
assert_type(provider.estimate_tokens(request), int)


async def fresh_token() -> str:
    return "token"


gemini = Gemini("gemini-2.5-flash", fresh_token, url_prefetch=UrlPolicy(max_bytes=1_000_000))


def blocking() -> None:
    response = provider.chat_sync(request, cancel=tako.CancellationToken())
    assert_type(response, ChatResponse)
    assert_type(response.usage.cache_read_tokens, int | None)
    assert_type(response.rate_limits, RateLimits | None)
    assert_type(response.logprobs, tuple[TokenLogprob, ...] | None)
    assert_type(Anthropic("claude").count_tokens_sync(request), int)
    with provider.stream_sync(request) as chunks:
        for chunk in chunks:
            assert_type(chunk, ChatChunk)
            match chunk:
                case TextDelta(text):
                    assert_type(text, str)
                case TextBlock(part):
                    assert_type(part, TextPart)
                    assert_type(part.citations, tuple[Citation, ...])
                case _:
                    pass
    assert_type(chunks.result, ChatResponse)


async def asynchronous() -> None:
    assert_type(await provider.chat(request), ChatResponse)
    async with provider.stream(request) as chunks:
        async for chunk in chunks:
            assert_type(chunk, ChatChunk)
    assert_type(chunks.result, ChatResponse)
