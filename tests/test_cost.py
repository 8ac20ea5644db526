"""What a chunk and a call cost, in function calls: no clock, so no machine is too busy for it.

Python's functions, generators that are resumed, and C's functions all count. The agent by itself is
in tests/orchestrators/test_cost.py, the blocking arm by itself in tests/adapters/sync/test_costs.py;
here it is the whole way. `make bench` says what all this is in microseconds.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from bench.decode import VENDORS, cut, decoding
from bench.measure import Work, count_calls
from bench.payloads import ANSWER, frames, openai_answer, openai_events, text_of
from tako import SingleAgent
from tako.events import AssistantText
from tako.models import ChatRequest, Message
from tako.providers import OpenAI
from tako.testing.vendor import Answer, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer


def calls(work: Callable[[], object]) -> int:
    """Function calls of one run, when what is made at first use has been made."""
    for _ in range(3):
        work()
    gc.disable()  # or it calls back the weak references of other tests
    try:
        return count_calls(work)
    finally:
        gc.enable()


def decoding_of(vendor: int, events: int, size: int) -> tuple[Work, int]:
    """To decode a stream that comes in pieces of that size, and how many bytes it has."""
    _, decoder, render, _ = VENDORS[vendor]
    data = b"".join(frames(render(events)))
    return decoding(decoder, cut(data, size), events, text_of(events)), len(data)


@contextmanager
def asking(answer: Answer) -> Iterator[OpenAI]:
    with LoopbackServer(ScriptedVendor(answer)) as server:
        yield OpenAI("gpt-4o-mini", "sk-test", base_url=server.url)


def streamed(events: int) -> int:
    """Function calls of a blocking stream, each event an HTTP chunk, all of them sent at once."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames(openai_events(events)))
    headers = (("content-type", "text/event-stream"), ("transfer-encoding", "chunked"))
    with asking(Answer((framed + b"0\r\n\r\n",), headers=headers)) as provider:
        agent, text = SingleAgent(provider), text_of(events)

        def work() -> None:
            with agent.stream_sync("Hi") as stream:
                texts = [event.delta for event in stream if type(event) is AssistantText]
            assert "".join(texts) == text

        return calls(work)


def test_a_streamed_chunk_from_the_socket_to_whoever_iterates() -> None:
    assert (streamed(2100) - streamed(100)) / 2000 <= 15


@pytest.mark.parametrize("vendor", range(len(VENDORS)), ids=[name for name, *_ in VENDORS])
def test_a_chunk_from_bytes_to_a_typed_event(vendor: int) -> None:
    few, many = (calls(decoding_of(vendor, events, 16384)[0]) for events in (100, 1100))
    assert (many - few) / 1000 <= 6


@pytest.mark.parametrize("vendor", range(len(VENDORS)), ids=[name for name, *_ in VENDORS])
def test_a_byte_that_comes_by_itself_costs_the_same_however_many_came_before(vendor: int) -> None:
    (short, few), (long, many) = (decoding_of(vendor, events, 1) for events in (20, 200))
    assert calls(short) / few <= 7
    assert calls(long) / many <= 1.02 * calls(short) / few


def test_a_blocking_call_adds_little_to_what_requests_does_for_it() -> None:
    whole = Answer.json(openai_answer(), x_request_id="1")
    with asking(whole) as provider, closing(HTTPAdapter()) as adapter:
        message = Message.user("Hi")

        def ours() -> None:
            assert provider.chat_sync(ChatRequest(messages=(message,))).text == ANSWER

        sent = provider.http_request(ChatRequest(messages=(message,)), stream=False)
        request = requests.Request(sent.method, sent.url, dict(sent.headers), data=sent.body).prepare()

        def theirs() -> Any:
            return json.loads(adapter.send(request).content)["choices"][0]["message"]["content"]

        assert theirs() == ANSWER
        assert calls(ours) <= calls(theirs) + 80


def test_an_old_message_is_not_encoded_again() -> None:
    history = [Message.user("And then?"), Message.assistant("Then the octopus swam away.")] * 100
    with asking(Answer.json(openai_answer())) as provider:
        agent = SingleAgent(provider)

        def asked_after(old: int) -> int:
            return calls(lambda: agent.run_sync("And then?", history=history[:old]))

        assert (asked_after(200) - asked_after(2)) / 198 <= 3
