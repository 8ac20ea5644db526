"""The user's handle on real sockets and threads: one part stops at once, the rest goes on, nothing is left.

A story is written once and played by all three arms. It yields runs, one after the other on one Runtime
and under one handle, and is sent what came of each; the user is a thread of their own.

| strike          | what is stopped | what follows                                  | told of by      |
|-----------------|-----------------|-----------------------------------------------|-----------------|
| tool            | the call        | the model reads that it was cancelled         | ToolCallResult  |
| turn            | the turn        | nothing: the run ends, "interrupted"          | TurnInterrupted |
| turn and a word | the turn        | the model reads the word                      | TurnInterrupted |
| run, close      | the run         | nothing: the run ends, "cancelled"            | Final           |
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import trio

import tako_io_sync
from tako.effects import Flow, Sleep
from tako.errors import Cancelled, SteeringError
from tako.events import AssistantText, Final, ToolCallResult, ToolProgress, TurnInterrupted
from tako.fetching import UrlPolicy
from tako.orchestrators.decisions import Approved
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.providers import OpenAI
from tako.steering import Answer as Answered
from tako.steering import (
    ContinuationGuard,
    InterruptOutcome,
    QuestionSet,
    Snapshot,
    Steering,
    UserInput,
    ask_user_tool,
)
from tako.testing.vendor import Answer, Pause, ReceivedRequest, ScriptedVendor
from tako.tools import Tool, ToolContext
from tako.tools.builtin.bash import bash_tool
from tako.tools.builtin.web_fetch import web_fetch
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.async_kit import Arm, AsyncioArm, TrioArm
from tests.adapters.sync.kit import in_time, nothing_left_behind, three_tries, wait_until
from tests.contracts.wires import chat_completions
from tests.contracts.wires.reply import Reply
from tests.orchestrators.kit import assert_replayable, call, results

LIMIT = 0.1 + 0.15
"""Seconds in which an interrupt has to be heeded, and what a busy machine may add to them."""
SOON = 0.02
STREAM = (("content-type", "text/event-stream"),)
WORD = "do that instead"
LEFT = "; work did not stop and is still running"
INTERRUPTED = InterruptOutcome.INTERRUPTED


# What is played.


@dataclass
class Run:
    """One run of a story. `on_event` is called with each event before the next is asked for."""

    flow: Flow[RunResult[Any]]
    on_event: Callable[[Any], None] = lambda event: None


Story = Generator[Run, RunResult[Any], None]


def played_by_sync(story: Story) -> None:
    with nothing_left_behind(), tako_io_sync.Runtime() as runtime:
        with contextlib.suppress(StopIteration):
            run = next(story)
            while True:
                try:
                    stream = runtime.stream(run.flow)
                    for event in stream:
                        run.on_event(event)
                    result = stream.result
                except SteeringError as error:
                    run = story.throw(error)
                else:
                    run = story.send(result)


def played_by(arm: Arm) -> Callable[[Story], None]:
    def play(story: Story) -> None:
        async def scenario() -> None:
            async with arm.Runtime() as runtime:
                run = next(story, None)
                while run is not None:
                    try:
                        stream = runtime.stream(run.flow)
                        async for event in stream:
                            run.on_event(event)
                        result = stream.result
                    except SteeringError as error:
                        run = told(story.throw, error)
                    else:
                        await arm.sleep(0.01)  # a library closes a socket a little later
                        run = told(story.send, result)

        arm.play(scenario)  # which looks for what is left behind

    return play


def told(resume: Callable[[Any], Run], value: Any) -> Run | None:
    try:
        return resume(value)
    except StopIteration:
        return None


async def asleep(seconds: float) -> None:
    """As the library sleeps that runs here."""
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        await asyncio.sleep(seconds)
    else:
        await trio.sleep(seconds)


Play = Callable[[Story], None]
PLAYS: dict[str, Play] = {
    "sync": played_by_sync,
    "trio": played_by(TrioArm()),
    "asyncio": played_by(AsyncioArm()),
}
every_arm = pytest.mark.parametrize("play", PLAYS.values(), ids=PLAYS)


# The model.


class Model:
    """A vendor whose first answer in a run is `first`, the next a text; a child's hangs in the midst."""

    def __init__(self, first: Answer, *, page: Answer | None = None) -> None:
        self.first, self.page = first, page
        self.asked: list[dict[str, Any]] = []
        self.hangs = threading.Event()

    def answer(self, request: ReceivedRequest) -> Answer:
        if request.method == "GET":
            self.hangs.set()
            assert self.page is not None
            return self.page
        body = json.loads(request.body)
        self.asked.append(body)
        told = body["messages"]
        if any(message["content"] == "child" for message in told):
            return HANGING
        is_first = not any(message["role"] == "tool" or message["content"] == WORD for message in told)
        return self.first if is_first else said("done")


def said(text: str, *calls: Any) -> Answer:
    return Answer((chat_completions.stream(Reply(text, calls)),), headers=STREAM)


def cut_short(text: str) -> bytes:
    """The words of an answer that is not over yet."""
    events = chat_completions.stream(Reply(text)).split(b"\n\n")
    return b"\n\n".join(events[: 1 + len(text.split())]) + b"\n\n"


HANGING = Answer((cut_short("one two"), Pause(30)), headers=STREAM)


@dataclass
class User:
    """A thread that strikes a little after `began`, once, and knows when."""

    steering: Steering
    strike: str
    began: threading.Event = field(default_factory=threading.Event)
    outcome: InterruptOutcome | None = None
    moment: float = 0.0
    took: float = -1.0

    def __enter__(self) -> User:
        self._thread = threading.Thread(target=self._act)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.began.set()
        self._thread.join()

    def _act(self) -> None:
        assert self.began.wait(10)
        time.sleep(SOON)
        self.moment = time.monotonic()
        self.outcome = act(self.steering, self.strike)

    def saw(self, event: Any) -> None:
        """An event of the run: was that the one that tells of the strike?"""
        awaited = {"tool": ToolCallResult, "run": Final, "close": Final}.get(self.strike, TurnInterrupted)
        if type(event) is awaited and self.took < 0:
            self.took = time.monotonic() - self.moment
        if type(event) in (AssistantText, ToolProgress):
            self.began.set()


def act(steering: Steering, strike: str) -> InterruptOutcome | None:
    if strike == "tool":
        return steering.interrupt_tool("1")
    if strike == "run":
        return steering.interrupt()
    if strike == "close":
        steering.close()
        return None
    if strike == "turn and a word":
        steering.queue(WORD)
    return steering.interrupt_turn()


# What is in flight.


@dataclass
class Situation:
    """What the model asks for and what it has to do it with. `says` is what the tool itself says when it is
    stopped; otherwise we do, and it may add something."""

    tools: list[Any] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)
    says: str = ""
    adds: str = ""
    page: Answer | None = None
    is_left_behind: bool = False
    clean: Callable[[], None] = lambda: None


Begin = Callable[[], None]


def streaming(begin: Begin, path: Path) -> Situation:
    return Situation()


def heeding(begin: Begin, path: Path) -> Situation:
    def work(context: ToolContext) -> str:
        stop = threading.Event()
        context.cancel.on_cancel(stop.set)
        begin()
        assert stop.wait(10)
        raise Cancelled

    return Situation([work])


def ignoring(begin: Begin, path: Path) -> Situation:
    release = threading.Event()

    def work() -> str:
        begin()
        release.wait(10)
        return "too late"

    return Situation([work], is_left_behind=True, adds=LEFT, clean=release.set)


def awaiting(begin: Begin, path: Path) -> Situation:
    async def work() -> str:
        begin()
        await asleep(10)
        return "too late"

    return Situation([work])


def generating(begin: Begin, path: Path) -> Situation:
    def work(context: ToolContext) -> Iterator[str]:
        stop = threading.Event()
        context.cancel.on_cancel(stop.set)
        yield "half"
        assert stop.wait(10)
        return "half of it"  # type: ignore[return-value]

    return Situation([work], says="half of it")


def flowing(begin: Begin, path: Path) -> Situation:
    def work() -> Flow[str]:
        begin()
        yield Sleep(10)
        return "too late"

    return Situation([Tool.from_flow(work)])


def commanding(begin: Begin, path: Path) -> Situation:
    bash = bash_tool(str(path))
    bash.name = "work"
    return Situation(
        [bash],
        {"command": "echo begun; sleep 10; echo over > file"},
        says="The command was cancelled and stopped. What it had written:\nbegun\n",
    )


def delegating(begin: Begin, path: Path) -> Situation:
    child = SubAgent(name="work", trace=lambda event: begin() if type(event.event) is AssistantText else None)
    return Situation([child], {"prompt": "child"}, adds="\nSub-agent cancelled; it last said: one two")


def fetching(begin: Begin, path: Path) -> Situation:
    page = Answer((b"<p>one", Pause(30)), headers=(("content-type", "text/html"),))
    policy = UrlPolicy(allow_http=True, allow_networks=("127.0.0.1",))
    return Situation([web_fetch(policy, name="work")], {"url": ""}, page=page)


SITUATIONS = (streaming, heeding, ignoring, awaiting, generating, flowing, commanding, delegating, fetching)


def agent_of(server: LoopbackServer, *tools: Any, **options: Any) -> SingleAgent[Any]:
    return SingleAgent(OpenAI("m", "key", base_url=server.url), tools=tools, **options)


@every_arm
@pytest.mark.parametrize("make", SITUATIONS, ids=lambda make: make.__name__)
@three_tries
def test_a_user_interrupts_while(play: Play, make: Any, tmp_path: Path) -> None:
    """Each strike in a run of its own, one after the other, all under one handle; `close` is the last."""
    steering = Steering()
    user = User(steering, "")
    situation: Situation = make(lambda: user.began.set(), tmp_path)
    model = Model(HANGING, page=situation.page)
    strikes = ("tool", "turn", "turn and a word", "run", "close")[make is streaming :]

    def story() -> Story:
        nonlocal user
        for strike in strikes:
            began = threading.Event() if model.page is None else model.hangs
            with User(steering, strike, began) as user:
                asked = len(model.asked)
                result = yield Run(agent.flow("go", streaming=True, steering=steering), user.saw)
            assert user.outcome is (None if strike == "close" else INTERRUPTED)
            in_time(user.took, LIMIT)
            if make is streaming:
                assert result.new_messages[1].text == "one two"
            else:
                check_call(situation, strike, result)
            check_end(strike, result, model.asked[asked:])
            wait_until(lambda: server.open_connections <= 1, "a socket was not shut")
            model.hangs.clear()
        with pytest.raises(SteeringError, match="closed"):
            yield Run(agent.flow("go", streaming=True, steering=steering))
        situation.clean()

    with LoopbackServer(ScriptedVendor(model.answer)) as server:
        if situation.tools:
            arguments = {"url": server.url} if "url" in situation.arguments else situation.arguments
            model.first = said("", call("1", "work", **arguments))
        agent = agent_of(server, *situation.tools)
        play(story())
    assert not any(tmp_path.iterdir())


def check_call(situation: Situation, strike: str, result: RunResult[Any]) -> None:
    [part] = results(result.new_messages)
    words = "cancelled: the user interrupted this call" if strike == "tool" else "cancelled during execution"
    assert part.result == (situation.says or words + situation.adds)
    assert result.still_running == (("work",) if situation.is_left_behind else ())


def check_end(strike: str, result: RunResult[Any], asked: list[Any]) -> None:
    assert_replayable(result.new_messages)
    assert result.undelivered == ()
    if strike in ("tool", "turn and a word"):
        assert (result.stop_reason, result.text) == ("stop", "done")
        says = asked[-1]["messages"][-1]
        assert says["content"] == WORD if strike != "tool" else says["role"] == "tool"
    else:
        assert result.stop_reason == ("interrupted" if strike == "turn" else "cancelled")


# Words, without an interrupt.


@every_arm
def test_a_word_that_comes_while_the_model_streams_keeps_the_run_from_its_end(play: Play) -> None:
    steering, queued = Steering(), threading.Event()
    answers = [Answer((cut_short("one two"), rest_of("one two")), headers=STREAM), said("done")]
    model = ScriptedVendor(lambda request: answers[min(len(model.requests), 2) - 1])
    began = threading.Event()

    def interject() -> None:
        assert began.wait(5)
        steering.queue(WORD)
        queued.set()

    def story() -> Story:
        result = yield Run(
            agent_of(server).flow("go", streaming=True, steering=steering), lambda event: began.set()
        )
        said = [(message.role.value, message.text) for message in result.new_messages]
        assert said == [("user", "go"), ("assistant", "one two"), ("user", WORD), ("assistant", "done")]
        assert result.undelivered == ()

    user = threading.Thread(target=interject)
    user.start()
    with LoopbackServer(model, before_piece=lambda number: number and queued.wait(5)) as server:
        play(story())
    user.join()


def rest_of(text: str) -> bytes:
    return chat_completions.stream(Reply(text))[len(cut_short(text)) :]


@every_arm
def test_a_word_that_comes_during_a_tool_is_read_with_its_result(play: Play) -> None:
    steering = Steering()

    def work() -> str:
        user = threading.Thread(target=steering.queue, args=(WORD,))
        user.start()
        user.join()
        return "worked"

    model = Model(said("", call("1", "work")))

    def story() -> Story:
        result = yield Run(agent_of(server, work).flow("go", streaming=True, steering=steering))
        assert (result.text, result.undelivered) == ("done", ())
        told = [(message["role"], message["content"]) for message in model.asked[-1]["messages"][-2:]]
        assert told == [("tool", "worked"), ("user", WORD)]

    with LoopbackServer(ScriptedVendor(model.answer)) as server:
        play(story())


# Signal handlers, in the thread that runs the agent.


@contextlib.contextmanager
def on_alarm(action: Callable[[], Any], seconds: float = 0.0) -> Iterator[None]:
    """The action is what a signal handler does; after so many seconds, or when the signal is raised."""
    former = signal.signal(signal.SIGALRM, lambda *_: action())
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@every_arm
@pytest.mark.parametrize("strike", ["turn", "turn and a word", "run", "close"])
def test_a_signal_handler_interrupts_the_thread_that_reads_the_wire(play: Play, strike: str) -> None:
    steering = Steering()
    model = Model(HANGING)

    def story() -> Story:
        began = time.monotonic()
        result = yield Run(agent_of(server).flow("go", streaming=True, steering=steering))
        assert time.monotonic() - began < 5
        assert result.new_messages[1].text == "one two"
        check_end(strike, result, model.asked)

    with (
        LoopbackServer(ScriptedVendor(model.answer)) as server,
        on_alarm(lambda: act(steering, strike), seconds=0.15),
    ):
        play(story())


@every_arm
@pytest.mark.parametrize("strike", ["tool", "turn", "turn and a word", "run", "close"])
def test_a_signal_handler_interrupts_the_tool_that_its_thread_waits_for(play: Play, strike: str) -> None:
    steering = Steering()

    def work(context: ToolContext) -> str:
        stop = threading.Event()
        context.cancel.on_cancel(stop.set)
        os.kill(os.getpid(), signal.SIGALRM)
        assert stop.wait(5)
        raise Cancelled

    model = Model(said("", call("1", "work")))

    def story() -> Story:
        result = yield Run(agent_of(server, work).flow("go", streaming=True, steering=steering))
        check_call(Situation(), strike, result)
        check_end(strike, result, model.asked)

    with LoopbackServer(ScriptedVendor(model.answer)) as server, on_alarm(lambda: act(steering, strike)):
        play(story())


# Questions.


def answering(questions: QuestionSet) -> UserInput:
    return UserInput(status="answered", answers=(Answered(question_index=0, text="the north"),))


async def answering_late(questions: QuestionSet) -> UserInput:
    await asleep(10)
    raise AssertionError("nobody waits for so long")


async def answering_async(questions: QuestionSet) -> UserInput:
    await asleep(0.01)
    return answering(questions)


ANSWER = {"question": "Which?", "text": "the north"}


@every_arm
@pytest.mark.parametrize(
    ("bridge", "timeout", "told"),
    [
        (answering, None, {"status": "answered", "answers": [ANSWER]}),
        (answering_async, 5.0, {"status": "answered", "answers": [ANSWER]}),
        (answering_late, 0.05, {"status": "timed_out", "answers": []}),
    ],
    ids=["plain", "async", "late"],
)
def test_the_user_is_asked(play: Play, bridge: Any, timeout: float | None, told: Any) -> None:
    question = {"header": "Where", "question": "Which?"}
    model = Model(said("", call("1", "ask_user", questions=[question])))

    def story() -> Story:
        began = time.monotonic()
        result = yield Run(agent.flow("go", streaming=True, steering=Steering(ask=bridge)))
        assert time.monotonic() - began < 5
        assert results(result.new_messages)[0].result == told
        assert result.text == "done"

    with LoopbackServer(ScriptedVendor(model.answer)) as server:
        agent = agent_of(server, ask_user_tool(timeout=timeout))
        play(story())


# Two runs.


@every_arm
def test_a_guard_that_does_not_come_back_loses_no_message_and_spoils_no_later_run(play: Play) -> None:
    """It is left behind when the run is interrupted, and goes on in the midst of the next one."""
    steering, release = Steering(), threading.Event()

    def decide(snapshot: Snapshot) -> Literal["continue"]:
        steering.queue(WORD)
        steering.interrupt()
        release.wait(5)
        return "continue"

    def work() -> str:
        release.set()
        time.sleep(SOON)
        return "worked"

    guard = steering.add_guard(ContinuationGuard("slow", "more", decide, 1, "turn_end"))
    answers = [said("first"), said("", call("1", "work")), said("second")]
    model = ScriptedVendor(lambda request: answers[len(model.requests) - 1])

    def story() -> Story:
        agent = agent_of(server, work)
        result = yield Run(agent.flow("go", streaming=True, steering=steering))
        assert (result.stop_reason, [message.text for message in result.undelivered]) == ("stop", [WORD])
        steering.remove_guard(guard)
        result = yield Run(agent.flow("again", streaming=True, steering=steering))
        assert (result.stop_reason, result.text, result.undelivered) == ("stop", "second", ())
        assert [message.text for message in result.new_messages if message.role.value == "user"] == ["again"]

    with LoopbackServer(model) as server:
        play(story())


@every_arm
def test_a_handle_that_is_not_free_refuses_a_paused_run_and_leaves_it_as_it_was(play: Play) -> None:
    """Another run has it; the paused one is refused, and goes on under a handle of its own."""
    steering = Steering()
    refusals: list[SteeringError] = []

    def pay() -> str:
        return "paid"

    def work() -> str:
        """Meanwhile, on another thread and another Runtime."""
        with pytest.raises(SteeringError, match="under this handle") as caught:
            paused_agent.run_sync(paused[0], steering=steering)
        refusals.append(caught.value)
        assert steering.is_active
        return "worked"

    def story() -> Story:
        waiting = yield Run(paused_agent.flow("go", streaming=True, steering=steering))
        assert waiting.stop_reason == "approval_required" and waiting.run is not None
        waiting.run.answer("1", Approved())
        paused.append(waiting.run)
        before = waiting.run.dumps()
        result = yield Run(agent_of(working, work).flow("go", streaming=True, steering=steering))
        assert (result.text, refusals[0].code) == ("done", "busy")
        assert not results(result.new_messages)[0].is_error
        assert waiting.run.dumps() == before
        result = yield Run(paused_agent.flow(waiting.run, streaming=True, steering=Steering()))
        assert (result.text, results(result.new_messages)[0].result) == ("done", "paid")

    paused: list[Any] = []
    with (
        LoopbackServer(ScriptedVendor(Model(said("", call("1", "work"))).answer)) as working,
        LoopbackServer(ScriptedVendor(Model(said("", call("1", "pay"))).answer)) as paying,
    ):
        paused_agent = agent_of(paying, Tool(pay, approval=True))
        play(story())
