"""One call late in a conversation against one at its beginning: what was encoded is not encoded again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.call import PROMPT, SYSTEM
from bench.measure import Aim, Line, Work, compare
from bench.payloads import ANSWER
from bench.vendor import serving
from tako import SingleAgent
from tako.models import Message
from tako.providers import OpenAI

__all__ = ["lines"]

OLD, NEW = 200, 2


def lines(seconds: float) -> Iterator[Line]:
    with serving() as address:
        agent = SingleAgent(OpenAI("gpt-4o-mini", "sk-bench", base_url=f"{address}/0/0/v1"), system=SYSTEM)
        result = compare(calling(agent, OLD), calling(agent, NEW), seconds)
    aim = Aim("ratio", 1.5)
    yield result.line(f"call with {OLD} old messages", f"with {NEW}", aim)


def calling(agent: SingleAgent[Any], old: int) -> Work:
    history = []
    for number in range(old // 2):
        history.append(Message.user(f"Question {number}: what is the capital of France?"))
        history.append(Message.assistant(ANSWER))

    def work() -> int:
        result = agent.run_sync(PROMPT, history=history)
        assert result.text == ANSWER and len(result.new_messages) == 2
        return 1

    return work
