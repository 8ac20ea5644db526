"""Playing one conversation on every driver: a scripted vendor behind HTTP, an agent, and what came of it.

    played = play(driver, [[call("1", "look")], "done"], lambda model: SingleAgent(model, tools=[look]))

The vendor speaks a real wire format, in the simulator over virtual time and on the arms over a loopback
socket; so what the model was asked is read off the wire as well: `played.asked`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any, TypeAlias

import pytest
import trio

from tako import CancellationToken, Message, RunResult, SingleAgent, Tool
from tako.effects import Flow, Now, Sleep
from tako.models import ToolResultPart
from tako.providers import Provider
from tako.testing import Answer, Faults, ReceivedRequest, ScriptedVendor, Simulator
from tests.checklist.wires import data_lines
from tests.contracts.drivers import ARMS, DRIVERS, SIMULATOR, Driver
from tests.contracts.subjects import OPENAI, Subject
from tests.contracts.wires.reply import Reply
from tests.orchestrators.kit import assert_replayable, call, kinds, results

__all__ = [
    "ANTHROPIC_THINKS", "LOOPS", "SOON", "Asked", "Driver", "Played", "Script", "Span", "arms",
    "assert_side_by_side", "assert_took", "by_task", "call", "drivers", "is_simulated", "most_at_once", "nap",
    "play", "texts", "used",
]  # fmt: skip

Asked: TypeAlias = dict[str, Any]
"""The body of a request to the vendor, decoded."""
Said: TypeAlias = Any
"""What the model is to say: a text, a list of calls, a Reply with both, or a vendor's Answer as it is."""
Script: TypeAlias = Sequence[Said] | Callable[[Asked], Said]
"""What it says one request after the other, and the last from then on; or a function of the request."""

drivers = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
arms = pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)

LOOPS: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "trio": trio.run,
    "asyncio": lambda main: asyncio.run(main()),
}
"""The async libraries, by what runs a main function."""

BUSY_MACHINE = 2.0
"""Seconds that a busy machine may add."""
SOON = 2.0
"""Seconds in which something ends there that would take ten if nobody stopped it."""


@dataclass
class Played:
    """What came of a run: its events, its result or its error, and how long it took."""

    vendor: ScriptedVendor
    events: list[Any] = field(default_factory=list)
    error: Exception | None = None
    returned: RunResult[Any] | None = None
    began: float = 0.0
    ended: float = 0.0

    @property
    def result(self) -> RunResult[Any]:
        """The result; raises what ended the run."""
        if self.error is not None:
            raise self.error
        assert self.returned is not None
        return self.returned

    @property
    def asked(self) -> list[Asked]:
        return [json.loads(request.body) for request in self.vendor.requests]

    @property
    def kinds(self) -> list[str]:
        return kinds(self.events)

    @property
    def seconds(self) -> float:
        """Virtual ones in the simulator."""
        return self.ended - self.began

    @property
    def results(self) -> list[ToolResultPart]:
        """The results of tools, in the order of the calls."""
        return results(self.result.new_messages)

    @property
    def answers(self) -> list[tuple[Any, bool]]:
        """The results of tools without their names: what the model reads, and whether it is an error."""
        return [(part.result, part.is_error) for part in self.results]


def play(
    driver: Driver,
    script: Script,
    agent: Callable[[Provider], SingleAgent[Any]],
    prompt: Any = "go",
    *,
    wire: Subject = OPENAI,
    cancel: CancellationToken | None = None,
    cancel_after: float | None = None,
    faults: Faults | None = None,
    on_event: Callable[[Any], None] = lambda event: None,
    **options: Any,
) -> Played:
    """Run the agent against the script. `options` are those of a run: streaming=, steering=, history=...

    `cancel_after` is a moment of the simulator's time; on the arms a test cancels by itself. `faults`
    are the simulator's too. A result is looked at as every vendor would.
    """
    vendor = ScriptedVendor(_answering(script, wire))
    played = Played(vendor)
    simulator = Simulator(vendor=vendor, faults=faults or Faults(cancel_at=cancel_after))

    def clock() -> float:
        return simulator.now if is_simulated(driver) else monotonic()

    def make_flow(url: str) -> Flow[Any]:
        return _clocked(played, clock, agent(wire.provider(url, [])).flow(prompt, **options))

    if is_simulated(driver):
        run = simulator.stream(make_flow("http://vendor.test"), cancel=cancel)
        try:
            for event in run:
                played.events.append(event)
                on_event(event)
            played.returned = run.result
        except Exception as error:
            played.error = error
    else:
        seen = driver.observe(vendor, make_flow, cancel=cancel, on_event=on_event)
        played.events = seen.events
        played.error = getattr(seen.outcome, "error", None)
        played.returned = getattr(seen.outcome, "value", None)
    if played.returned is not None:
        assert_replayable(played.returned.new_messages)
    return played


def is_simulated(driver: Driver) -> bool:
    return driver is SIMULATOR


def _clocked(played: Played, clock: Callable[[], float], flow: Flow[Any]) -> Flow[Any]:
    played.began = clock()
    try:
        return (yield from flow)
    finally:
        played.ended = clock()


def _answering(script: Script, wire: Subject) -> Callable[[ReceivedRequest], Answer]:
    asked = 0

    def answer(request: ReceivedRequest) -> Answer:
        nonlocal asked
        body = json.loads(request.body)
        asked += 1
        said = script(body) if callable(script) else script[min(asked, len(script)) - 1]
        if isinstance(said, Answer):
            return said
        reply = _reply(said)
        assert wire.answer is not None
        whole, streamed = wire.answer(reply)
        return streamed if wire.is_stream(request, body) else whole

    return answer


def _reply(said: Said) -> Reply:
    if isinstance(said, Reply):
        return said
    return Reply(said) if isinstance(said, str) else Reply("", tuple(said))


def by_task(**said: Script) -> Callable[[Asked], Said]:
    """A model that knows agents by their tasks, the prompts that they began with: what each of them says."""

    def answer(body: Asked) -> Said:
        conversation = [message for message in body["messages"] if message["role"] != "system"]
        replies = said[conversation[0]["content"]]
        turn = sum(message["role"] == "assistant" for message in conversation)
        return replies[turn] if isinstance(replies, list) else replies

    return answer


def used(said: Said, *, input: int, output: int) -> Answer:
    """An answer, whole, with these counts of tokens."""
    assert OPENAI.answer is not None
    body = json.loads(OPENAI.answer(_reply(said))[0].body)
    body["usage"] = {"prompt_tokens": input, "completion_tokens": output}
    return Answer.json(json.dumps(body))


def texts(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """Who says what."""
    return [(message.role.value, message.text) for message in messages]


ANTHROPIC_THINKS = data_lines(
    {
        "type": "message_start",
        "message": {"id": "m", "model": "m", "content": [], "usage": {"input_tokens": 3}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "so"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s=="}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "eight"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)
"""What Anthropic streams of a thought, with its signature, and a text."""


@dataclass
class Span:
    """When a call ran."""

    name: str
    began: float
    ended: float


def nap(driver: Driver, seconds: float, spans: list[Span], name: str = "nap", **options: Any) -> Tool:
    """A tool that takes its time, and answers with its argument: a plain function that blocks on the arms,
    an effect in the simulator, where a function takes no time."""

    def flow(label: str = "", seconds: float = seconds) -> Flow[str]:
        began = yield Now()
        yield Sleep(seconds)
        spans.append(Span(name, began, (yield Now())))
        return label

    def block(label: str = "", seconds: float = seconds) -> str:
        began = monotonic()
        sleep(seconds)
        spans.append(Span(name, began, monotonic()))
        return label

    if is_simulated(driver):
        return Tool.from_flow(flow, name=name, **options)
    return Tool(block, name=name, **options)


def most_at_once(spans: Sequence[Span], *names: str) -> int:
    """How many of these ran at the same moment, at most."""
    chosen = [span for span in spans if not names or span.name in names]
    return max(sum(other.began <= span.began < other.ended for other in chosen) for span in chosen)


def assert_side_by_side(driver: Driver, spans: Sequence[Span], count: int) -> None:
    """So many at the same moment in the simulator; on the arms a thread may start late: two at least."""
    most = most_at_once(spans)
    assert most == count if is_simulated(driver) else 2 <= most <= count


def assert_took(driver: Driver, played: Played, seconds: float) -> None:
    """Exactly so long in the simulator; on the arms at least, and not much more."""
    if is_simulated(driver):
        assert played.seconds == pytest.approx(seconds)
    else:
        assert seconds * 0.95 <= played.seconds <= seconds + BUSY_MACHINE
