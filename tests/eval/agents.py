"""Agents that workers make by their names."""

from __future__ import annotations

import os
import signal

from tako import SingleAgent
from tako.eval import Task
from tako.models import ChatRequest
from tako.providers import Fake

__all__ = ["agent", "dies", "grade", "make_agent"]


def _echo(request: ChatRequest) -> str:
    return request.messages[-1].text.removeprefix("say ")


def make_agent() -> SingleAgent:
    return SingleAgent(Fake(script=_echo))


agent = make_agent()


def grade(task: Task, output: str) -> bool:
    return output == task.id


def dies(prompt: str) -> str:
    if prompt == "say b":
        os._exit(3)
    return prompt.removeprefix("say ")


def whose(prompt: str) -> str:
    """The process that answers."""
    return str(os.getpid())


def interrupts(prompt: str) -> str:
    """Somebody presses Ctrl-C in the middle."""
    if prompt == "say b":
        os.kill(os.getpid(), signal.SIGINT)
    return prompt.removeprefix("say ")


def broken() -> SingleAgent:
    raise KeyError("OPENAI_API_KEY")
