"""Section 6.11: the original's live runs of agents and its examples, with a vendor that is scripted.

What a real model would decide is in the script; everything else is real: the wire, the tools, the files.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tako import (
    Approved,
    CancellationToken,
    Denied,
    SingleAgent,
    Steering,
    SubAgent,
    ToolError,
    tool,
)
from tako.events import AssistantText, SubAgentEvent, ToolCallStart
from tako.steering import PromptPolicy
from tako.testing import Answer, Pause
from tako.tools.builtin import bash_tool, defaults
from tests.checklist.plays import (
    SOON,
    Driver,
    Played,
    Script,
    Span,
    assert_took,
    by_task,
    call,
    drivers,
    is_simulated,
    nap,
    play,
)
from tests.contracts.subjects import OPENAI
from tests.contracts.wires.reply import Reply


def at_work(driver: Driver, room: Path, script: Script, **options: Any) -> Played:
    """An agent with the built-in tools in a directory of its own."""
    streaming = options.pop("streaming", False)
    return play(
        driver,
        script,
        lambda model: SingleAgent(model, tools=defaults(room), **options),
        streaming=streaming,
    )


SMOKE = {
    "reads_file": (call("1", "read", file_path="note.txt"), "codeword"),
    "runs_bash": (call("1", "bash", command="echo mark > made; echo out"), "out\n"),
    "writes_file": (call("1", "write", file_path="made", content="mark\n"), "made"),
    "finds_files": (call("1", "glob", pattern="*.txt"), "note.txt"),
    "greps": (call("1", "grep", pattern="code.*d"), "note.txt:1:the codeword is squid"),
}


@drivers
@pytest.mark.parametrize("what", SMOKE)
def test_smoke_agent(driver: Driver, what: str, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("the codeword is squid\n")
    asked_for, expected = SMOKE[what]
    played = at_work(driver, tmp_path, [[asked_for], "done"])
    [(said, is_error)] = played.answers
    assert expected in said and not is_error, said
    if what in ("runs_bash", "writes_file"):
        assert (tmp_path / "made").read_text() == "mark\n"


@drivers
def test_full_agent_edit_chain_and_create_and_modify(driver: Driver, tmp_path: Path) -> None:
    """Also the example streaming_multi_tool: write, edit, read, as a stream."""
    script = [
        [call("1", "write", file_path="src/a.py", content="arms = 7\n")],
        [call("2", "edit", file_path="src/a.py", old_string="7", new_string="8")],
        [call("3", "read", file_path="src/a.py")],
        "There are eight.",
    ]
    played = at_work(driver, tmp_path, script, streaming=True)
    assert (tmp_path / "src" / "a.py").read_text() == "arms = 8\n"
    assert [event.name for event in played.events if isinstance(event, ToolCallStart)] == [
        "write", "edit", "read",
    ]  # fmt: skip
    assert [is_error for _, is_error in played.answers] == [False] * 3
    assert "arms = 8" in played.answers[2][0]
    assert (played.result.text, played.result.steps) == ("There are eight.", 4)


@drivers
def test_full_agent_multi_tool_search(driver: Driver, tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(f"def {name[0]}(): ...\n")
    script = [
        [call("1", "glob", pattern="*.py"), call("2", "grep", pattern="def b")],
        [call("3", "read", file_path="b.py")],
        "It is in b.py.",
    ]
    (found, _), (line, _), (text, _) = at_work(driver, tmp_path, script).answers
    assert "a.py" in found and "b.py" in found
    assert "b.py:1:def b" in line and "a.py" not in line
    assert "def b(): ..." in text


@drivers
def test_full_agent_sub_agent_and_streaming_subagent(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("the codeword is squid\n")
    script = by_task(
        go=[[call("1", "agent", prompt="find the codeword")], "It is squid."],
        **{"find the codeword": [[call("2", "read", file_path="note.txt")], "squid"]},
    )
    played = play(
        driver,
        script,
        lambda model: SingleAgent(model, tools=[*defaults(tmp_path), SubAgent(tools_allow=["read"])]),
        streaming=True,
    )
    assert (played.answers, played.result.text) == ([("squid", False)], "It is squid.")
    inner = [event.event.kind for event in played.events if isinstance(event, SubAgentEvent)]
    assert "tool_call_result" in inner and "assistant_text" in inner
    [child] = played.result.sub_agents
    assert (child.steps, played.result.usage.input_tokens) == (2, 4 * 11)


@drivers
def test_smoke_agent_stream_end_to_end(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("the codeword is squid\n")
    script = [[call("1", "read", file_path="note.txt")], "The codeword is squid."]
    played = at_work(driver, tmp_path, script, streaming=True)
    deltas = [event.delta for event in played.events if isinstance(event, AssistantText)]
    assert len(deltas) > 1 and "".join(deltas) == played.result.text == "The codeword is squid."
    assert played.result.usage.total == 2 * (11 + 7)


class Catch(BaseModel):
    """What typed_pipeline hands from one step to the next."""

    species: str
    arms: int


@drivers
def test_basic_streaming_custom_tool_and_typed_pipeline(driver: Driver) -> None:
    @tool(read_only=True)
    def species(arms: int) -> str:
        """Which animal has so many arms."""
        return {8: "octopus", 10: "squid"}[arms]

    script = [[call("1", "species", arms=8)], '{"species": "octopus", "arms": 8}']
    for streaming in (False, True):
        played = play(
            driver,
            script,
            lambda model: SingleAgent(model, tools=[species], output_type=Catch),
            streaming=streaming,
        )
        assert played.result.output == Catch(species="octopus", arms=8)
        assert played.asked[0]["tools"][0]["function"]["description"] == "Which animal has so many arms."


@drivers
def test_specialised_subagents(driver: Driver, tmp_path: Path) -> None:
    """Three profiles: one reads, one is not asked about, one writes under a trace."""
    (tmp_path / "note.txt").write_text("seven arms\n")
    traced: list[SubAgentEvent] = []
    profiles = [
        SubAgent(name="reader", tools_allow=["read", "glob", "grep"]),
        SubAgent(name="autonomous", approval=lambda request: True, trace=lambda event: None),
        SubAgent(name="writer", tools_allow=["write"], approval=lambda request: True, trace=traced.append),
    ]
    script = by_task(
        go=[
            [call("1", "reader", prompt="a")],
            [call("2", "autonomous", prompt="b")],
            [call("3", "writer", prompt="c")],
            "done",
        ],
        a=[[call("4", "read", file_path="note.txt"), call("5", "bash", command="touch no")], "a done"],
        b=[[call("6", "bash", command="touch yes")], "b done"],
        c=[[call("7", "write", file_path="note.txt", content="eight arms\n")], "c done"],
    )
    played = play(
        driver,
        script,
        lambda model: SingleAgent(
            model,
            tools=[*defaults(tmp_path), *profiles],
            needs_approval=lambda asked, one: one.name in ("bash", "write"),
            approval=lambda request: Denied(),
        ),
    )
    assert [said for said, _ in played.answers] == ["a done", "b done", "c done"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["note.txt", "yes"]
    assert (tmp_path / "note.txt").read_text() == "eight arms\n"
    assert "tool_call_result" in [event.event.kind for event in traced]


@drivers
def test_streaming_cancel(driver: Driver) -> None:
    begun, rest = OPENAI.answer(Reply("one two three"))[1].body.split(b"three", 1)  # type: ignore[misc]
    begun, last = begun.rsplit(b"data: ", 1)
    slow = Answer.events([begun, Pause(30), b"data: " + last + b"three" + rest])
    token = CancellationToken()

    def stop(event: Any) -> None:
        if event == AssistantText(1, " two"):
            token.cancel()

    played = play(driver, [slow], SingleAgent, cancel=token, on_event=stop, streaming=True)
    assert (played.result.stop_reason, played.result.text) == ("cancelled", "one two")
    assert played.result.new_messages[-1].text == "one two", "so that it can be gone on with"
    assert played.seconds < SOON


@drivers
def test_streaming_resilience_an_error_of_a_tool_does_not_end_the_run(driver: Driver) -> None:
    @tool
    def flaky(n: int) -> str:
        if n == 1:
            raise ToolError("try another number")
        return "fine"

    script = [
        Reply("Let me try.", (call("1", "flaky", n=1),)),
        Reply("Once more.", (call("2", "flaky", n=2),)),
        "It works.",
    ]
    played = play(driver, script, lambda model: SingleAgent(model, tools=[flaky]), streaming=True)
    assert played.answers == [("try another number", True), ("fine", False)]
    first = played.result.new_messages[1]
    assert (first.text, [one.name for one in first.tool_calls]) == ("Let me try.", ["flaky"])
    assert played.result.text == "It works."


@drivers
def test_streaming_resilience_a_cancel_kills_what_bash_runs(driver: Driver, tmp_path: Path) -> None:
    """On the simulator too: its functions are real, and only their time is not."""
    token = CancellationToken()

    def stop(event: Any) -> None:
        if event.kind == "tool_progress":
            token.cancel()

    played = play(
        driver,
        [[call("1", "bash", command="echo begun; sleep 3 && touch late")]],
        lambda model: SingleAgent(model, tools=[bash_tool(str(tmp_path))]),
        cancel=token,
        on_event=stop,
        streaming=True,
    )
    [(said, is_error)] = played.answers
    assert "cancelled" in said and "begun" in said and is_error
    assert (played.result.stop_reason, list(tmp_path.iterdir())) == ("cancelled", [])
    assert played.seconds < SOON


@drivers
def test_approval_flow(driver: Driver, tmp_path: Path) -> None:
    """Reads are let through, the first command is denied, the model does better, the second is approved."""
    asked: list[str] = []

    def approve(request: Any) -> Approved | Denied:
        asked.append(request.args["command"])
        return Denied(reason="do not delete") if "rm" in request.args["command"] else Approved()

    script = [
        [call("1", "glob", pattern="*"), call("2", "bash", command="rm -r .")],
        [call("3", "bash", command="ls")],
        "done",
    ]
    (tmp_path / "kept").write_text("")
    played = at_work(driver, tmp_path, script, streaming=True, needs_approval="mutating", approval=approve)
    assert asked == ["rm -r .", "ls"]
    assert played.kinds.count("tool_call_pending") == 3
    read, denied, listed = played.answers
    assert denied == ("approval denied: do not delete", True)
    assert "kept" in read[0] and "kept" in listed[0] and not read[1] and not listed[1]


@drivers
@pytest.mark.parametrize(("batch", "seconds"), [("rwr", 0.2), ("rr", 0.1)])
def test_parallel_tools(driver: Driver, batch: str, seconds: float) -> None:
    """A read, a quick write and a read take as long as two reads; two reads as long as one."""
    spans: list[Span] = []
    tools = [nap(driver, 0.1, spans, "r", read_only=True), nap(driver, 0.0, spans, "w")]
    calls = [call(str(n), name, label=f"{n}") for n, name in enumerate(batch)]
    played = play(driver, [calls, "done"], lambda model: SingleAgent(model, tools=tools))
    assert [said for said, _ in played.answers] == [str(n) for n in range(len(batch))]
    assert_took(driver, played, seconds)


@drivers
def test_steering_edge_cases(driver: Driver) -> None:
    """G01 to G04 in one run, each request looked at."""
    steering, ran = Steering(), []
    hangs = threading.Event()

    def slow() -> str:
        steering.queue("and the fins")
        steering.add_policy(PromptPolicy("brief", "Be brief.", scope="next_turn"))
        steering.set_mode("plan")
        steering.interrupt_tool("1")
        if not is_simulated(driver):
            hangs.wait(10)
        return "done all the same"

    @tool
    def change() -> None:
        ran.append("change")

    played = play(
        driver,
        [[call("1", "slow")], [call("2", "change")], "a plan"],
        lambda model: SingleAgent(model, tools=[slow, change]),
        steering=steering,
    )
    hangs.set()
    _, second, third = [
        [(message["role"], message.get("content") or "") for message in body["messages"]]
        for body in played.asked
    ]
    assert "Be brief." in second[0][1] and "Be brief." not in third[0][1]
    assert "plan mode" in second[0][1]
    assert second[-1] == ("user", "and the fins")
    assert second[-2][0] == "tool"
    if not is_simulated(driver):
        assert "the user interrupted this call" in second[-2][1]
    assert "does not allow tools that change something" in third[-1][1]
    assert (ran, played.result.text) == ([], "a plan")
