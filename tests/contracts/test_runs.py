"""Contracts 4, 5, 6 and 9 for the runs of an agent, in the simulator and on all arms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Call, Effect, Emit, Failed, Flow, Gather, Succeeded
from tako.errors import TakoError
from tako.events import Final
from tako.models import ChatRequest, Message, Role, ToolCallPart
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.providers import Fake
from tako.testing import Faults, Simulator, check_determinism, check_history, first_difference, strategies
from tako.tools import tool
from tests.contracts.drivers import ARMS, DRIVERS, SIMULATOR, Driver
from tests.contracts.subjects import SUBJECTS, VENDORS, Subject, cut_off, examples, replies
from tests.contracts.wires.reply import Reply

drivers = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
arms = pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)
subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
conversations = st.lists(replies(), min_size=1, max_size=3)


@tool(read_only=True)
def look(text: str = "", n: Any = None) -> str:
    """Only reads."""
    return f"seen {text}"


@tool
def write(text: str = "", n: Any = None) -> dict[str, Any]:
    """Changes something."""
    if not text:
        raise OSError("the disk is full")
    return {"written": text}


def agent(subject: Subject, url: str, said: list[Reply]) -> SingleAgent:
    # One at a time, so that the order of results does not depend on the driver.
    return SingleAgent(
        subject.provider(url, said), system="Be brief.", tools=[look, write], max_steps=3, tool_concurrency=1
    )


def check_result(result: RunResult[Any], history: list[Message]) -> None:
    """Contract 4: what came of a run is valid input for the next one, at every vendor."""
    check_history([*history, *result.new_messages])
    request = ChatRequest(messages=(*history, *result.new_messages, Message.user("go on")))
    for vendor in VENDORS:
        provider = vendor.provider("http://vendor.test", [])
        provider.http_request(request, stream=False)  # type: ignore[attr-defined]
    assert result.new_messages[0] == Message.user("start")
    assert result.steps <= 3


@drivers
@subjects
def test_4_the_messages_of_a_run_are_valid_input(driver: Driver, subject: Subject) -> None:
    @examples(8, driver, subject)
    @given(said=conversations, history=strategies.conversations(max_turns=2))
    def holds(said: list[Reply], history: list[Message]) -> None:
        seen = driver.observe(
            subject.vendor(said),
            lambda url: agent(subject, url, said).flow("start", history=history, streaming=True),
        )
        assert isinstance(seen.outcome, Succeeded), seen.outcome
        check_result(seen.outcome.value, history)
        assert type(seen.events[-1]) is Final

    holds()


@arms
@subjects
def test_8_all_drivers_give_the_same_events_and_result(driver: Driver, subject: Subject) -> None:
    @examples(8, driver, subject)
    @given(said=conversations)
    def holds(said: list[Reply]) -> None:
        def flow(url: str) -> Flow[RunResult[Any]]:
            # The turn ids come from chance, which each driver has of its own.
            run = agent(subject, url, said).start("start")
            run.run_id = "same"
            return agent(subject, url, said).flow(run, streaming=True)

        expected, got = (
            SIMULATOR.observe(subject.vendor(said), flow),
            driver.observe(subject.vendor(said), flow),
        )
        assert first_difference(expected.events, got.events) is None
        assert isinstance(expected.outcome, Succeeded) and isinstance(got.outcome, Succeeded)
        assert expected.outcome.value == got.outcome.value

    holds()


@drivers
@subjects
def test_4_and_6_a_cancelled_run_returns_what_it_had(driver: Driver, subject: Subject) -> None:
    @examples(8, driver, subject)
    @given(said=conversations, after=st.integers(0, 12))
    def holds(said: list[Reply], after: int) -> None:
        token = CancellationToken()
        seen_so_far = 0

        def on_event(event: Any) -> None:
            nonlocal seen_so_far
            seen_so_far += 1
            if seen_so_far == after:
                token.cancel()

        if after == 0:
            token.cancel()
        seen = driver.observe(
            subject.vendor(said),
            lambda url: agent(subject, url, said).flow("start", streaming=True),
            cancel=token,
            on_event=on_event,
        )
        assert isinstance(seen.outcome, Succeeded), seen.outcome
        result = seen.outcome.value
        check_result(result, [])
        if result.stop_reason == "cancelled":
            shown = [e.delta for e in seen.events if e.kind == "assistant_text" and e.step == result.steps]
            assert result.text.startswith("".join(shown)) or result.text == ""

    holds()


@subjects
@pytest.mark.parametrize("streaming", [False, True])
def test_4_and_6_cancelled_at_any_effect_in_flight(subject: Subject, streaming: bool) -> None:
    """In the simulator every place where a run can be cancelled is reached."""

    @examples(8, SIMULATOR, subject)
    @given(said=conversations, data=st.data())
    def holds(said: list[Reply], data: st.DataObject) -> None:
        plain = Simulator(vendor=subject.vendor(said))
        plain.run(agent(subject, "http://vendor.test", said).flow("start", streaming=streaming))
        place = data.draw(st.integers(1, max(1, len(plain.trace))))
        during = data.draw(st.booleans())
        faults = Faults(cancel_during=place) if during else Faults(cancel_after=place)
        simulator = Simulator(vendor=subject.vendor(said), faults=faults)
        run = simulator.stream(agent(subject, "http://vendor.test", said).flow("start", streaming=streaming))
        for _ in run:
            pass
        assert not run.open_exchanges
        check_result(run.result, [])

    holds()


@drivers
@subjects
def test_4_and_5_a_failed_run_keeps_what_it_had(driver: Driver, subject: Subject) -> None:
    @examples(8, driver, subject)
    @given(said=replies(), fraction=st.floats(0, 0.999))
    def holds(said: Reply, fraction: float) -> None:
        def flow(url: str) -> Flow[Any]:
            provider = (
                subject.broken(url, said, fraction) if subject.broken else subject.provider(url, [said])
            )
            return SingleAgent(provider, tools=[look, write], max_steps=3).flow("start", streaming=True)

        seen = driver.observe(subject.vendor([said], cut_off(fraction)), flow)
        assert isinstance(seen.outcome, Failed) and isinstance(seen.outcome.error, TakoError)
        partial = seen.outcome.error.partial
        assert isinstance(partial, RunResult) and partial.stop_reason == "error"
        check_result(partial, [])
        shown = "".join(e.delta for e in seen.events if e.kind == "assistant_text")
        assert partial.text == shown
        assert seen.outcome.error.usage == partial.usage

    holds()


@subjects
def test_9_the_same_replies_give_the_same_effects(subject: Subject) -> None:
    @examples(8, SIMULATOR, subject)
    @given(said=conversations, streaming=st.booleans())
    def holds(said: list[Reply], streaming: bool) -> None:
        def flow() -> Flow[Any]:
            return agent(subject, "http://vendor.test", said).flow("start", streaming=streaming)

        heard: list[Any] = []
        Simulator(vendor=subject.vendor(said)).run(_listening(flow(), heard))
        if subject.name == "python":
            # Its own generator is a reply, and can be read only once: look at what is asked, not fed.
            assert [type(effect) for effect, _ in heard] == [
                type(effect) for effect, _ in _heard_again(subject, said, flow)
            ]
        else:
            check_determinism(flow, [reply for _, reply in heard])

    holds()


def _heard_again(
    subject: Subject, said: list[Reply], flow: Callable[[], Flow[Any]]
) -> list[tuple[Effect, Any]]:
    heard: list[Any] = []
    Simulator(vendor=subject.vendor(said)).run(_listening(flow(), heard))
    return heard


def _listening(flow: Flow[Any], heard: list[tuple[Effect, Any]]) -> Flow[Any]:
    """The flow, with a note of each effect and its reply. Children of a Gather are part of its effect."""
    reply: Any = None
    error: Exception | None = None
    while True:
        try:
            effect = flow.throw(error) if error is not None else flow.send(reply)
        except StopIteration as stop:
            return stop.value
        reply, error = None, None
        try:
            reply = yield effect
        except Exception as raised:
            error = raised
        heard.append((effect, reply if error is None else error))


@subjects
def test_the_run_is_data_between_any_two_steps(subject: Subject) -> None:
    """Dumped anywhere, loaded, and gone on with: the same result."""

    @examples(8, SIMULATOR, subject)
    @given(said=conversations, data=st.data())
    def holds(said: list[Reply], data: st.DataObject) -> None:
        straight = Simulator(vendor=subject.vendor(said)).run(
            agent(subject, "http://vendor.test", said).flow("start")
        )
        run = agent(subject, "http://vendor.test", said).start("start")
        stop_after = data.draw(st.integers(0, 10))
        Simulator(vendor=subject.vendor(said)).run(
            _some_of(agent(subject, "http://vendor.test", said).flow(run), stop_after)
        )
        again = AgentRun.loads(run.dumps())
        resumed = Simulator(vendor=subject.vendor(said)).run(
            agent(subject, "http://vendor.test", said).flow(again)
        )
        assert resumed.new_messages == straight.new_messages
        assert (resumed.text, resumed.usage, resumed.steps) == (straight.text, straight.usage, straight.steps)

    holds()


@pytest.mark.parametrize("effects", range(1, 12))
def test_a_call_that_was_answered_is_not_made_again(effects: int) -> None:
    """A run that was dumped in the midst of its calls goes on with those that are left."""
    made: list[str] = []

    @tool
    def note(text: str) -> str:
        made.append(text)
        return text

    def model(request: ChatRequest) -> list[ToolCallPart] | str:
        if request.messages[-1].role is Role.TOOL:
            return "done"
        return [ToolCallPart(id=word, name="note", args={"text": word}) for word in ("one", "two", "three")]

    one_agent = SingleAgent(Fake(script=model), tools=[note])
    run = one_agent.start("start")
    Simulator().run(_some_of(one_agent.flow(run), effects))
    begun = len(made)
    resumed = Simulator().run(one_agent.flow(AgentRun.loads(run.dumps())))
    assert resumed.text == "done"
    # The call in flight when the process died may be made twice; no other may.
    assert made[begun:] in (["one", "two", "three"][begun:], ["one", "two", "three"][max(0, begun - 1) :])


def _some_of(flow: Flow[Any], effects: int) -> Flow[None]:
    """The beginning of a flow; then it is thrown away, as by a process that dies."""
    reply: Any = None
    error: Exception | None = None
    for _ in range(effects):
        try:
            effect = flow.throw(error) if error is not None else flow.send(reply)
        except StopIteration:
            return
        reply, error = None, None
        try:
            reply = yield effect
        except Exception as raised:
            error = raised
    flow.close()


def test_the_agent_of_these_tests_reaches_every_kind_of_effect() -> None:
    """So that the properties above are about something."""
    said = [Reply("", (*_calls("look", "look"), *_calls("write", start=2))), Reply("done")]
    provider = SUBJECTS[0].provider("http://vendor.test", said)
    simulator = Simulator(vendor=SUBJECTS[0].vendor(said))
    flow = SingleAgent(provider, tools=[look, write]).flow("start", streaming=True)
    heard: list[Any] = []
    simulator.run(_listening(flow, heard))
    kinds = {type(effect) for effect, _ in heard}
    assert {Emit, Gather, Call} <= kinds


def _calls(*names: str, start: int = 0) -> list[ToolCallPart]:
    return [ToolCallPart(id=f"c{start + i}", name=name, args={"text": "x"}) for i, name in enumerate(names)]
