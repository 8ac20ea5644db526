"""A blocking stream of 2,000 chunks, from the request to each piece of text."""

from __future__ import annotations

import json
from collections.abc import Iterator

import requests

from bench.call import BODY, PROMPT, SYSTEM
from bench.measure import Aim, Line, Work, compare
from bench.payloads import text_of
from bench.vendor import serving
from tako import SingleAgent
from tako.events import AssistantText
from tako.providers import OpenAI

__all__ = ["lines"]

CHUNKS = 2000
FEW = 50
STREAM = {**BODY, "stream": True}


def lines(seconds: float) -> Iterator[Line]:
    with serving() as address, requests.Session() as session:
        session.headers["authorization"] = "Bearer sk-bench"
        whole, single = f"{address}/{CHUNKS}/0/v1", f"{address}/{FEW}/1/v1"
        ours = streaming(OpenAI("gpt-4o-mini", "sk-bench", base_url=whole), CHUNKS)
        by_hand = reading_lines(session, f"{whole}/chat/completions", CHUNKS)
        work = "chunk of a stream"
        result = compare(ours, by_hand, seconds)
        aim = Aim("ratio", 1.2)
        yield result.line(work, "requests: iter_lines, json.loads", aim)
        result = compare(ours, reading_bytes(session, f"{whole}/chat/completions", CHUNKS), seconds)
        yield result.line(work, "requests: iter_content, not looked at")
        ours = streaming(OpenAI("gpt-4o-mini", "sk-bench", base_url=single), FEW)
        result = compare(ours, reading_lines(session, f"{single}/chat/completions", FEW), seconds)
        work = "chunk that comes by itself"
        yield result.line(work, "requests: iter_lines, json.loads")


def streaming(provider: OpenAI, chunks: int) -> Work:
    agent, text = SingleAgent(provider, system=SYSTEM), text_of(chunks)

    def work() -> int:
        with agent.stream_sync(PROMPT) as events:
            texts = [event.delta for event in events if type(event) is AssistantText]
        assert "".join(texts) == text
        return chunks

    return work


def reading_lines(session: requests.Session, url: str, chunks: int) -> Work:
    """What one writes by hand: the text, and no look at anything else."""
    text = text_of(chunks)

    def work() -> int:
        texts = []
        with session.post(url, json=STREAM, stream=True, timeout=120) as response:
            for line in response.iter_lines():
                if line.startswith(b"data: {"):
                    choices = json.loads(line[6:])["choices"]
                    if choices:
                        texts.append(choices[0]["delta"].get("content") or "")
        assert "".join(texts) == text
        return chunks

    return work


def reading_bytes(session: requests.Session, url: str, chunks: int) -> Work:
    """As they arrive, which is how a stream has to be read, and then thrown away."""

    def work() -> int:
        with session.post(url, json=STREAM, stream=True, timeout=120) as response:
            assert sum(1 for _ in response.iter_content(None)) >= chunks
        return chunks

    return work
