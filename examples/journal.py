"""A run that is killed, goes on, is replayed, and is asked "what if the model had said ...".

    python examples/journal.py run.jsonl

It begins a run in a process of its own, which is killed (`kill -9`) while it sends the second of three
letters. Then it goes on from the journal: the model is not asked again for what it has said, and the first
letter is not sent twice. The model is a fake one, so no key is needed; with a real one, write
`tako.provider("openai:gpt-4o-mini")` instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from tako import Message, SingleAgent, tool
from tako.journal import Journal
from tako.models import ChatRequest, Part, TextPart, ToolCallPart
from tako.providers import Fake

PROMPT = "Tell Ada, Grace and Mary that the meeting is on Monday."
NAMES = ("Ada", "Grace", "Mary")


def model(request: ChatRequest) -> Message:
    """Calls the tool for one after the other, and then says what it has done."""
    sent = sum(len(message.tool_calls) for message in request.messages)
    if sent == len(NAMES):
        return Message.assistant(f"{', '.join(NAMES)} know of it.")
    arguments = {"to": NAMES[sent], "text": "The meeting is on Monday."}
    parts: list[Part] = [
        TextPart(text=f"Now {NAMES[sent]}."),
        ToolCallPart(id=f"{sent}", name="send", args=arguments),
    ]
    return Message.assistant(parts)


def agent(dies_at: str = "") -> SingleAgent[None]:
    """An agent that sends letters; its process dies when it is about to send the one to `dies_at`."""

    @tool
    def send(to: str, text: str) -> str:
        """Send a letter."""
        if to == dies_at:
            print(f"  killed before the letter to {to} is sent", flush=True)
            os.kill(os.getpid(), 9)
        print(f"  to {to}: {text}", flush=True)
        return "sent"

    return SingleAgent(Fake(script=model), tools=[send])


def main(path: str) -> None:
    print("A process begins:", flush=True)
    subprocess.run([sys.executable, __file__, path, "Grace"], check=False)

    journal = Journal(path)
    print(f"In the journal: {len(journal.steps())} replies of the model, finished: {journal.is_finished}")
    print("Another goes on:", flush=True)
    result = agent().run_sync(PROMPT, journal=journal)
    print(f"  {result.text}")

    print("A replay sends nothing:", flush=True)
    again = agent().run_sync(PROMPT, journal=Journal.replay(path))
    print(f"  the same result: {again == result}")

    print("What if the model had stopped after Ada?")
    fork = journal.fork(Journal.memory(), at=2, reply="I have told Ada; shall I go on?")
    print(f"  {agent().run_sync(PROMPT, journal=fork).text}")
    for step in journal.steps():
        print(f"  step {step.number}, {step.provider}: {step.text}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        agent(sys.argv[2]).run_sync(PROMPT, journal=Journal(sys.argv[1]))
    elif len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(os.path.join(folder, "run.jsonl"))
