"""One blocking call that is not streamed, over a connection that is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import requests
from requests.adapters import HTTPAdapter

from bench.measure import Aim, Line, Work, compare
from bench.payloads import ANSWER
from bench.vendor import serving
from tako import SingleAgent
from tako.models import ChatRequest, Message
from tako.providers import OpenAI

__all__ = ["lines"]

SYSTEM, PROMPT = "You are a helpful assistant.", "Hello, how are you today?"
BODY = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
}


def lines(seconds: float) -> Iterator[Line]:
    with serving() as address, requests.Session() as session:
        url = f"{address}/0/0/v1/chat/completions"
        session.headers["authorization"] = "Bearer sk-bench"
        floors = (
            ("Session.post", posting(session, url), 0.65),
            ("HTTPAdapter.send, prepared before", sending(session, url), None),
        )
        provider = OpenAI("gpt-4o-mini", "sk-bench", base_url=f"{address}/0/0/v1")
        for name, ours in (("agent.run_sync", running(provider)), ("provider.chat_sync", chatting(provider))):
            for against, floor, limit in floors:
                result = compare(ours, floor, seconds)
                aim = None if limit is None else Aim("ratio", limit)
                yield result.line(f"call, {name}", against, aim)


def running(provider: OpenAI) -> Work:
    agent = SingleAgent(provider, system=SYSTEM)

    def work() -> int:
        assert agent.run_sync(PROMPT).text == ANSWER
        return 1

    return work


def chatting(provider: OpenAI) -> Work:
    def work() -> int:
        # Made each time, as a caller would: what is kept with a message must not flatter us.
        request = ChatRequest(messages=(Message.system(SYSTEM), Message.user(PROMPT)))
        assert provider.chat_sync(request).text == ANSWER
        return 1

    return work


def posting(session: requests.Session, url: str) -> Work:
    def work() -> int:
        answer = session.post(url, json=BODY, timeout=120).json()
        assert answer["choices"][0]["message"]["content"] == ANSWER
        return 1

    return work


def sending(session: requests.Session, url: str) -> Work:
    """Everything done before that can be, which no caller with a new body can have."""
    prepared = session.prepare_request(requests.Request("POST", url, json=BODY))
    adapter = session.get_adapter(url)
    assert isinstance(adapter, HTTPAdapter)

    def work() -> int:
        answer = json.loads(adapter.send(prepared, timeout=120).content)
        assert answer["choices"][0]["message"]["content"] == ANSWER
        return 1

    return work
