"""A run that kills itself without a word, at a model call or at an append: `python killed.py path where`."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from tako.journal import Journal
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake
from tako.tools import tool
from tests.orchestrators.kit import call, replied


def agent(log: str, die_at: str = "") -> SingleAgent[Any]:
    """An agent that notes in a file what it does, and dies after it has done one of these things."""

    def note(what: str) -> None:
        with open(log, "a") as file:
            file.write(f"{what}\n")
        if what == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def answer(request: Any) -> Any:
        step = sum(message.role.value == "assistant" for message in request.messages)
        note(f"model {step}")
        if step == 2:
            return "done"
        calls = [call(f"{step}.{n}", "work", what=f"{step}.{n}") for n in range(3)]
        return replied(*calls, finish_reason="tool_calls")

    @tool
    def work(what: str) -> str:
        note(f"tool {what}")
        return f"{what} done"

    return SingleAgent(Fake(script=answer), tools=[work])


if __name__ == "__main__":
    path, log, die_at = sys.argv[1:]
    agent(log, die_at).run_sync("go", journal=Journal(path))
