"""Contract 7: a consumer that does not read stops the producer, down to the socket; memory stays flat."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.events import TextDelta
from tako.models import ChatRequest, Message
from tako.providers import Anthropic, Bedrock, Ollama, OpenAI, Provider
from tako.testing import Answer, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.contracts.wires.framing import EVENT_STREAM, LINES, SSE, Framing, event_frame

REQUEST = ChatRequest(messages=(Message.user("hello"),))
MEGABYTE = 1 << 20
CHUNKS = 200_000
SLOW_AT = 2_000
"""The consumer stops for half a second here, with more to come than all buffers of a connection hold."""
IN_ONE_WRITE = 20
"""Vendors send an event a write; so many at once keep the server from being what is measured."""


def openai_chunk(text: str) -> bytes:
    delta = {
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        "padding": "x" * 80,
    }
    return b"data: " + json.dumps(delta).encode() + b"\n\n"


def anthropic_chunk(text: str) -> bytes:
    delta = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
        "p": "x" * 80,
    }
    return b"event: content_block_delta\ndata: " + json.dumps(delta).encode() + b"\n\n"


def bedrock_chunk(text: str) -> bytes:
    delta = {"contentBlockIndex": 0, "delta": {"text": text}, "p": "x" * 80}
    return event_frame("contentBlockDelta", delta)


def ollama_chunk(text: str) -> bytes:
    line = {"model": "m", "message": {"role": "assistant", "content": text}, "done": False, "p": "x" * 80}
    return json.dumps(line).encode() + b"\n"


OPENAI_END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
ANTHROPIC_START = (
    b'event: message_start\ndata: {"type": "message_start", '
    b'"message": {"id": "m", "model": "m", "content": []}}\n\n'
    b'event: content_block_start\ndata: {"type": "content_block_start", "index": 0, '
    b'"content_block": {"type": "text", "text": ""}}\n\n'
)
ANTHROPIC_END = (
    b'event: content_block_stop\ndata: {"type": "content_block_stop", "index": 0}\n\n'
    b'event: message_delta\ndata: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}\n\n'
    b'event: message_stop\ndata: {"type": "message_stop"}\n\n'
)

BEDROCK_END = (
    event_frame("contentBlockStop", {"contentBlockIndex": 0})
    + event_frame("messageStop", {"stopReason": "end_turn"})
    + event_frame("metadata", {"usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}})
)
OLLAMA_END = b'{"model": "m", "message": {"content": ""}, "done": true, "done_reason": "stop"}\n'
KEYS: Any = {"region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"}

Vendor = tuple[Callable[[str], Provider], Callable[[str], bytes], bytes, bytes, Framing]
VENDORS: dict[str, Vendor] = {
    "openai": (lambda url: OpenAI("m", "key", base_url=url), openai_chunk, b": hello\n\n", OPENAI_END, SSE),
    "anthropic": (
        lambda url: Anthropic("m", "key", base_url=url),
        anthropic_chunk,
        ANTHROPIC_START,
        ANTHROPIC_END,
        SSE,
    ),
    "bedrock": (
        lambda url: Bedrock("m", endpoint_url=url, **KEYS),
        bedrock_chunk,
        event_frame("messageStart", {"role": "assistant"}),
        BEDROCK_END,
        EVENT_STREAM,
    ),
    "ollama": (lambda url: Ollama("m", base_url=url), ollama_chunk, b"\n", OLLAMA_END, LINES),
}
OnText = Callable[[], float]
"""Called with each piece of text; says how long the consumer is busy with it. It must not sleep itself:
under an event loop nobody would read then, and a driver that reads ahead would not be found out."""


def read_sync(provider: Provider, on_text: OnText) -> None:
    for event in tako_io_sync.stream(provider.stream_flow(REQUEST)):
        if type(event) is TextDelta and (seconds := on_text()):
            time.sleep(seconds)


def read_async(
    module: Any, sleep: Callable[[float], Any], main: Callable[[Callable[[], Any]], Any]
) -> Callable[[Provider, OnText], None]:
    def read(provider: Provider, on_text: OnText) -> None:
        async def reading() -> None:
            async for event in module.stream(provider.stream_flow(REQUEST)):
                if type(event) is TextDelta and (seconds := on_text()):
                    await sleep(seconds)

        main(reading)

    return read


READERS: dict[str, Callable[[Provider, OnText], None]] = {
    "sync": read_sync,
    "trio": read_async(tako_io_trio, trio.sleep, trio.run),
    "asyncio": read_async(tako_io_asyncio, asyncio.sleep, lambda main: asyncio.run(main())),
}

PAIRS = [(arm, vendor) for arm in READERS for vendor in ("openai", "anthropic")]
PAIRS += [("trio", "bedrock"), ("asyncio", "ollama")]
arms_and_vendors = pytest.mark.parametrize(("arm", "vendor"), PAIRS)


def streamed(framing: Framing, pieces: Sequence[bytes]) -> Answer:
    return Answer(tuple(pieces), headers=(("content-type", framing.content_type),))


@arms_and_vendors
def test_7_the_first_chunk_is_there_before_the_second_is_sent(arm: str, vendor: str) -> None:
    """2,000 chunks, of which the server sends each only when the one before it was delivered."""
    make, chunk, start, end, framing = VENDORS[vendor]
    pieces = (start, *[chunk("word ")] * 2000, end)
    delivered = threading.Semaphore(1)
    late: list[int] = []

    def before_piece(number: int) -> None:
        # The first piece holds no text, and neither does the last.
        if 1 < number <= 2001 and not delivered.acquire(timeout=5):
            late.append(number)

    def on_text() -> float:
        delivered.release()
        return 0.0

    with LoopbackServer(ScriptedVendor(streamed(framing, pieces)), before_piece=before_piece) as server:
        delivered.acquire()
        READERS[arm](make(server.url), on_text)
    assert not late


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


@arms_and_vendors
def test_7_a_slow_consumer_stops_the_server_and_memory_stays_flat(arm: str, vendor: str) -> None:
    make, chunk, start, end, framing = VENDORS[vendor]
    one = chunk("word ")
    answer = streamed(framing, (start, *[one * IN_ONE_WRITE] * (CHUNKS // IN_ONE_WRITE), end))
    taken = before = highest = 0
    ahead: list[int] = []

    with LoopbackServer(ScriptedVendor(answer)) as server:

        def on_text() -> float:
            nonlocal taken, before, highest
            taken += 1
            if taken in (SLOW_AT, SLOW_AT + 1):
                # Between the first call and the second the server went on as far as it was let.
                ahead.append((len(server.sent) * IN_ONE_WRITE - taken) * len(one))
            if taken == 1000:
                gc.collect()
                before = resident()
            elif taken % 20_000 == 0:
                highest = max(highest, resident())
            return 0.5 if taken == SLOW_AT else 0.0

        READERS[arm](make(server.url), on_text)
    assert taken == CHUNKS
    # What the kernel buffers on both sides is all that the server may be ahead.
    assert max(ahead) < 12 * MEGABYTE < CHUNKS // 2 * len(one)
    assert highest - before < 8 * MEGABYTE
