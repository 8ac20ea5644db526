"""E01-E12: carrying out a batch of calls. See docs/checklist.md for what was decided otherwise."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tako import (
    CancellationToken,
    ConcurrencyConfig,
    Denied,
    SingleAgent,
    SubAgent,
    Tool,
    ToolPolicy,
    tool,
)
from tako.effects import Call, Flow
from tako.testing import Faults
from tako.tools.concurrency import ToolConcurrency
from tests.checklist.plays import (
    SOON,
    Driver,
    Played,
    Span,
    arms,
    assert_side_by_side,
    assert_took,
    by_task,
    call,
    drivers,
    is_simulated,
    most_at_once,
    nap,
    play,
)


@tool(read_only=True)
def look(at: str = "") -> str:
    return f"seen {at}"


def naps(*labels: str, name: str = "nap", **args: Any) -> list[Any]:
    """Calls of a tool that sleeps, one a label."""
    return [call(label, name, label=label, **args) for label in labels]


@drivers
def test_E01_a_call_that_nobody_objects_to_runs(driver: Driver) -> None:
    played = play(
        driver,
        [[call("1", "look", at="sea")], "done"],
        lambda model: SingleAgent(model, tools=[look], policy=ToolPolicy.ALL),
    )
    assert played.answers == [("seen sea", False)]


@drivers
def test_E02_a_tool_that_is_not_there_is_an_error_result(driver: Driver) -> None:
    played = play(driver, [[call("1", "lok")], "done"], lambda model: SingleAgent(model, tools=[look]))
    assert played.answers == [("tool 'lok' not found; the tools are: look", True)]


@drivers
def test_E03_what_the_policy_denies_is_an_error_result(driver: Driver) -> None:
    ran: list[str] = []

    @tool
    def change() -> None:
        ran.append("change")

    played = play(
        driver,
        [[call("1", "change"), call("2", "look")], "done"],
        lambda model: SingleAgent(model, tools=[look, change], policy=ToolPolicy(allow=["look"])),
    )
    [(words, is_error), second] = played.answers
    assert "not allowed by policy" in words and is_error and ran == []
    assert second == ("seen ", False)


@drivers
def test_E04_reads_run_side_by_side_and_their_results_keep_the_order(driver: Driver) -> None:
    spans: list[Span] = []
    played = play(
        driver,
        [[call("1", "nap", label="slow", seconds=0.2), call("2", "nap", label="fast", seconds=0.1)], "done"],
        lambda model: SingleAgent(model, tools=[nap(driver, 0.1, spans, read_only=True)]),
    )
    assert played.answers == [("slow", False), ("fast", False)]
    assert spans[0].ended - spans[0].began < 0.2, "the second is done first"
    assert_side_by_side(driver, spans, 2)
    assert_took(driver, played, 0.2)


@drivers
def test_E05_reads_a_write_and_a_read_are_four_results_in_order_with_barriers_between(
    driver: Driver,
) -> None:
    spans: list[Span] = []
    batch = [*naps("a", "b", name="read"), *naps("c", name="write"), *naps("d", name="read")]
    played = play(
        driver,
        [batch, "done"],
        lambda model: SingleAgent(
            model, tools=[nap(driver, 0.05, spans, "read", read_only=True), nap(driver, 0.05, spans, "write")]
        ),
    )
    assert [said for said, _ in played.answers] == ["a", "b", "c", "d"]
    assert [span.name for span in spans] == ["read", "read", "write", "read"]
    assert max(spans[0].ended, spans[1].ended) <= spans[2].began
    assert spans[2].ended <= spans[3].began
    assert_took(driver, played, 0.15)


@drivers
def test_E06_no_call_of_a_batch_runs_that_is_cancelled_before_it_begins(driver: Driver) -> None:
    token, ran = CancellationToken(), []

    @tool(read_only=True)
    def note(n: int) -> None:
        ran.append(n)

    def stop(event: Any) -> None:
        if event.kind == "tool_call_pending":
            token.cancel()

    played = play(
        driver,
        [[call(str(n), "note", n=n) for n in range(3)]],
        lambda model: SingleAgent(model, tools=[note]),
        cancel=token,
        on_event=stop,
        streaming=True,
    )
    assert ran == []
    assert played.answers == [("not run: cancelled before execution", True)] * 3
    assert (played.result.stop_reason, len(played.asked)) == ("cancelled", 1)


@drivers
def test_E07_a_denied_call_is_an_error_with_the_reason_and_its_tool_does_not_run(driver: Driver) -> None:
    ran: list[str] = []

    @tool(approval=True)
    def change() -> None:
        ran.append("change")

    played = play(
        driver,
        [[call("1", "change")], "done"],
        lambda model: SingleAgent(model, tools=[change], approval=lambda request: Denied(reason="too risky")),
    )
    assert played.answers == [("approval denied: too risky", True)]
    assert ran == []


def asking_for_ever(
    driver: Driver, approve: Callable[[Any], Any], faults: Faults | None = None
) -> tuple[Played, list[str]]:
    """A run that is cancelled a tenth of a second after it has begun to ask."""
    token, ran = CancellationToken(), []
    timer = threading.Timer(0.1, token.cancel)

    @tool(approval=True)
    def change() -> None:
        ran.append("change")

    def begun(event: Any) -> None:
        if event.kind == "tool_call_pending" and not is_simulated(driver):
            timer.start()

    played = play(
        driver,
        [[call("1", "change")]],
        lambda model: SingleAgent(model, tools=[change], approval=approve),
        cancel=token,
        faults=faults,
        on_event=begun,
        streaming=True,
    )
    return played, ran


@drivers
def test_E08_a_cancel_does_not_wait_for_an_approval_that_hangs(driver: Driver) -> None:
    hangs = threading.Event()

    def approve(request: Any) -> bool:
        return True if is_simulated(driver) else hangs.wait(10)

    played, ran = asking_for_ever(driver, approve, Faults(call_seconds=10, cancel_at=0.5))
    hangs.set()
    assert played.seconds < SOON
    assert played.answers == [("not run: cancelled before execution", True)]
    assert (played.result.stop_reason, len(played.asked), ran) == ("cancelled", 1, [])


@arms
def test_E08_also_if_the_approval_is_async(driver: Driver) -> None:
    async def approve(request: Any) -> bool:
        await (trio.sleep(10) if driver.name == "trio" else asyncio.sleep(10))
        return True

    played, ran = asking_for_ever(driver, approve)
    assert played.seconds < SOON
    assert (played.result.stop_reason, ran) == ("cancelled", [])


@drivers
def test_E09_without_an_approval_all_may_run_and_a_callbacks_own_reason_is_kept(driver: Driver) -> None:
    @tool
    def change() -> str:
        return "changed"

    script = [[call("1", "change")], "done"]
    assert play(driver, script, lambda model: SingleAgent(model, tools=[change])).answers == [
        ("changed", False)
    ]
    for answer, result in [
        (True, ("changed", False)),
        (Denied(reason="Friday"), ("approval denied: Friday", True)),
    ]:
        played = play(
            driver,
            script,
            lambda model, answer=answer: SingleAgent(  # type: ignore[misc]
                model, tools=[change], needs_approval="all", approval=lambda request: answer
            ),
        )
        assert played.answers == [result]


@drivers
def test_E10_what_changes_something_runs_alone(driver: Driver) -> None:
    spans: list[Span] = []
    played = play(
        driver,
        [naps("a", "b", "c"), "done"],
        lambda model: SingleAgent(model, tools=[nap(driver, 0.05, spans)]),
    )
    assert most_at_once(spans) == 1
    assert_took(driver, played, 0.15)


@drivers
@pytest.mark.parametrize("promoted_by", ["the tool", "the agent"])
def test_E10_unless_it_is_promoted(driver: Driver, promoted_by: str) -> None:
    spans: list[Span] = []
    config = ConcurrencyConfig(tools={"nap": ToolConcurrency()} if promoted_by == "the agent" else {})
    one = nap(driver, 0.15, spans, concurrent=promoted_by == "the tool")
    played = play(
        driver,
        [naps("a", "b", "c"), "done"],
        lambda model: SingleAgent(model, tools=[one], concurrency=config),
    )
    assert_side_by_side(driver, spans, 3)
    assert [said for said, _ in played.answers] == ["a", "b", "c"]
    assert_took(driver, played, 0.15)


@drivers
def test_E10_a_cap_holds_for_its_tool_alone(driver: Driver) -> None:
    spans: list[Span] = []
    config = ConcurrencyConfig(tools={"capped": ToolConcurrency(limit=2)})
    tools = [nap(driver, 0.1, spans, "capped"), nap(driver, 0.1, spans, "free", concurrent=True)]
    played = play(
        driver,
        [[*naps("a", "b", "c", "d", name="capped"), *naps("e", "f", name="free")], "done"],
        lambda model: SingleAgent(model, tools=tools, concurrency=config),
    )
    assert most_at_once(spans, "capped") <= 2
    assert_side_by_side(driver, spans, 4)
    assert_took(driver, played, 0.2)


@drivers
def test_E10_a_read_behind_a_write_sees_it_and_one_before_it_does_not(driver: Driver) -> None:
    value = ["old"]

    @tool(read_only=True)
    def get() -> str:
        return value[0]

    @tool(concurrent=True)
    def put(new: str) -> None:
        value[0] = new

    batch = [call("1", "get"), call("2", "put", new="new"), call("3", "get")]
    played = play(driver, [batch, "done"], lambda model: SingleAgent(model, tools=[get, put]))
    assert [said for said, _ in played.answers] == ["old", None, "new"]


@drivers
def test_E11_agents_in_agents_do_not_wait_for_each_other_when_one_may_run_at_a_time(driver: Driver) -> None:
    delegate = SubAgent(tools_allow=["look", "agent"])
    script = by_task(
        go=[[call("1", "agent", prompt="middle"), call("2", "agent", prompt="middle")], "done"],
        middle=[[call("3", "agent", prompt="leaf"), call("4", "agent", prompt="leaf")], "middle done"],
        leaf=[[call("5", "look"), call("6", "look")], "leaf done"],
    )
    played = play(
        driver,
        script,
        lambda model: SingleAgent(
            model, tools=[look, delegate], concurrency=ConcurrencyConfig(read_only=1, mutating=1)
        ),
    )
    assert played.answers == [("middle done", False)] * 2
    assert [len(child.sub_agents) for child in played.result.sub_agents] == [2, 2]
    assert len(played.asked) == 2 + 2 * (2 + 2 * 2)


@drivers
def test_E12_three_sub_agents_take_as_long_as_one_and_answer_in_the_order_of_the_calls(
    driver: Driver,
) -> None:
    spans: list[Span] = []
    tasks = {name: [naps(name, seconds=seconds), f"{name} done"] for name, seconds in SECONDS.items()}
    batch = [call(name, "agent", prompt=name) for name in SECONDS]
    played = play(
        driver,
        by_task(go=[batch, "done"], **tasks),
        lambda model: SingleAgent(model, tools=[nap(driver, 0.1, spans, read_only=True), SubAgent()]),
    )
    assert [said for said, _ in played.answers] == ["a done", "b done", "c done"]
    assert_side_by_side(driver, spans, 3)
    assert_took(driver, played, max(SECONDS.values()))


SECONDS = {"a": 0.2, "b": 0.15, "c": 0.1}


@drivers
def test_E12_writes_to_different_files_overlap(driver: Driver, tmp_path: Path) -> None:
    spans: list[Span] = []

    def writing(model: Any) -> SingleAgent:
        return SingleAgent(model, tools=[slow_write(driver, tmp_path, spans)])

    batch = [call(name, "write", path=name) for name in ("a", "b", "c")]
    played = play(driver, [batch, "done"], writing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
    assert_side_by_side(driver, spans, 3)
    assert [said for said, _ in played.answers] == ["wrote a", "wrote b", "wrote c"]
    assert_took(driver, played, 0.15)


def slow_write(driver: Driver, room: Path, spans: list[Span]) -> Tool:
    """Writes a file, slowly; it changes something and may all the same run beside others."""
    resting = nap(driver, 0.15, spans, "write")

    def flow(path: str) -> Flow[str]:
        yield from resting(path)
        yield Call((room / path).write_text, (path,))
        return f"wrote {path}"

    def block(path: str) -> str:
        resting(path)
        (room / path).write_text(path)
        return f"wrote {path}"

    if is_simulated(driver):
        return Tool.from_flow(flow, name="write", concurrent=True)
    return Tool(block, name="write", concurrent=True)
