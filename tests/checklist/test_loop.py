"""A01-A14: the loop, as a whole answer at a time. See docs/checklist.md for what was decided otherwise."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tako import CancellationToken, ProviderError, SingleAgent, Tool, tool
from tako.effects import Flow, Sleep
from tako.models import Message, ToolResultPart
from tako.testing import Answer
from tako.tools.builtin import bash_tool, defaults
from tests.checklist.plays import SOON, Driver, call, drivers, is_simulated, play, texts, used
from tests.contracts.subjects import ANTHROPIC, OPENAI, Subject
from tests.contracts.wires import chat_completions, messages
from tests.contracts.wires.reply import Reply


@tool(read_only=True)
def look(at: str = "") -> str:
    return f"seen {at}"


def looking(model: Any) -> SingleAgent:
    return SingleAgent(model, tools=[look])


@drivers
def test_A01_a_text_is_the_answer_and_the_prompt_and_it_are_what_is_new(driver: Driver) -> None:
    result = play(
        driver, ["Hello!"], SingleAgent, "Hi", history=[Message.user("a"), Message.assistant("b")]
    ).result
    assert (result.text, result.stop_reason, result.steps) == ("Hello!", "stop", 1)
    assert texts(result.new_messages) == [("user", "Hi"), ("assistant", "Hello!")]


@drivers
def test_A02_a_call_then_text_is_assistant_results_assistant(driver: Driver) -> None:
    played = play(driver, [[call("1", "look", at="sea")], "a fish"], looking)
    assert [message.role.value for message in played.result.new_messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert (played.result.text, played.answers) == ("a fish", [("seen sea", False)])


@drivers
def test_A03_two_calls_of_one_answer_have_their_results_in_one_message(driver: Driver) -> None:
    result = play(driver, [[call("1", "look", at="a"), call("2", "look", at="b")], "both"], looking).result
    _, _, answered, _ = result.new_messages
    assert [part.id for part in answered.content if isinstance(part, ToolResultPart)] == ["1", "2"]
    assert len(answered.content) == 2


@drivers
def test_A04_max_steps_is_a_result_with_all_that_was_done_and_no_exception(driver: Driver) -> None:
    played = play(driver, [[call("1", "look")]], lambda model: SingleAgent(model, tools=[look], max_steps=3))
    assert (played.result.stop_reason, played.result.steps, len(played.asked)) == ("max_steps", 3, 3)
    assert len(played.result.new_messages) == 1 + 6
    assert all(not is_error for _, is_error in played.answers)


@drivers
def test_A05_a_token_that_was_cancelled_before_ends_the_run_before_the_model_is_called(
    driver: Driver,
) -> None:
    token = CancellationToken()
    token.cancel()
    played = play(driver, ["never"], looking, cancel=token)
    assert (played.result.stop_reason, played.result.text, played.result.steps) == ("cancelled", "", 0)
    assert texts(played.result.new_messages) == [("user", "go")]
    assert played.asked == []


@drivers
def test_A06_an_unknown_tool_is_an_error_result_and_the_run_goes_on(driver: Driver) -> None:
    played = play(driver, [[call("1", "lok")], "sorry"], looking)
    last = played.asked[1]["messages"][-1]
    assert (last["role"], last["tool_call_id"]) == ("tool", "1")
    assert last["content"].startswith("Error: tool 'lok' not found")
    assert played.answers[0][1] is True
    assert (played.result.text, played.result.stop_reason) == ("sorry", "stop")


@drivers
def test_A07_usage_is_the_sum_of_all_steps(driver: Driver) -> None:
    script = [used([call("1", "look")], input=100, output=50), used("done", input=200, output=30)]
    usage = play(driver, script, looking).result.usage
    assert (usage.input_tokens, usage.output_tokens) == (300, 80)


@drivers
def test_A08_read_gives_what_the_file_holds(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("the codeword is squid\n")
    script = [[call("1", "read", file_path="note.txt")], "done"]
    [(said, is_error)] = play(
        driver, script, lambda model: SingleAgent(model, tools=defaults(tmp_path))
    ).answers
    assert "the codeword is squid" in said and not is_error


@drivers
def test_A09_glob_finds_a_file_that_is_there(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "ink.py").write_text("")
    script = [[call("1", "glob", pattern="**/*.py")], "done"]
    [(said, is_error)] = play(
        driver, script, lambda model: SingleAgent(model, tools=defaults(tmp_path))
    ).answers
    assert "src/ink.py" in said and not is_error


@drivers
def test_A10_read_and_then_edit_changes_the_file(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("eight arms\n")
    script = [
        [call("1", "read", file_path="note.txt")],
        [call("2", "edit", file_path="note.txt", old_string="eight", new_string="8")],
        "done",
    ]
    played = play(driver, script, lambda model: SingleAgent(model, tools=defaults(tmp_path)))
    assert [is_error for _, is_error in played.answers] == [False, False]
    assert (tmp_path / "note.txt").read_text() == "8 arms\n"


@drivers
def test_A11_an_agent_needs_no_tools(driver: Driver) -> None:
    played = play(driver, ["alone"], SingleAgent)
    assert (played.result.text, "tools" in played.asked[0]) == ("alone", False)


ASKS = Reply("Let me see.", (call("1", "look", at="sea"),))


def openai_says_stop() -> Answer:
    body = json.loads(chat_completions.whole(ASKS))
    body["choices"][0]["finish_reason"] = "stop"
    return Answer.json(json.dumps(body))


def anthropic_says_end_turn() -> Answer:
    return Answer.json(json.dumps({**json.loads(messages.whole(ASKS)), "stop_reason": "end_turn"}))


@drivers
@pytest.mark.parametrize(
    ("wire", "says"),
    [(OPENAI, openai_says_stop), (ANTHROPIC, anthropic_says_end_turn)],
    ids=["stop", "end_turn"],
)
def test_A12_calls_are_carried_out_whatever_reason_the_vendor_gives(
    driver: Driver, wire: Subject, says: Callable[[], Answer]
) -> None:
    played = play(driver, [says(), "a fish"], looking, wire=wire)
    assert played.answers == [("seen sea", False)]
    assert (played.result.text, played.result.new_messages[1].text) == ("a fish", "Let me see.")


def sleeper(driver: Driver) -> Tool:
    """A shell that sleeps for as long as it is told; in the simulator the time is virtual."""

    def sleeping(command: str) -> Flow[str]:
        yield Sleep(float(command.split()[1]))
        return "(no output)"

    return Tool.from_flow(sleeping, name="bash") if is_simulated(driver) else bash_tool(".")


@drivers
def test_A13_a_cancel_stops_a_sleeping_command_and_the_model_is_not_called_again(driver: Driver) -> None:
    token = CancellationToken()
    timer = threading.Timer(0.1, token.cancel)

    def began(event: Any) -> None:
        if event.kind == "tool_call_pending" and not is_simulated(driver):
            timer.start()

    played = play(
        driver,
        [[call("1", "bash", command="sleep 10")], "never"],
        lambda model: SingleAgent(model, tools=[sleeper(driver)]),
        cancel=token,
        cancel_after=0.1,
        on_event=began,
        streaming=True,
    )
    assert (played.result.stop_reason, played.result.steps, len(played.asked)) == ("cancelled", 1, 1)
    [(said, is_error)] = played.answers
    assert "cancelled" in said and is_error
    assert played.seconds < SOON
    if is_simulated(driver):
        assert played.seconds == 0.1


@drivers
@pytest.mark.parametrize("streaming", [False, True])
def test_A13_a_step_that_was_cancelled_before_it_was_asked_is_none(driver: Driver, streaming: bool) -> None:
    token = CancellationToken()

    @tool
    def last_straw() -> str:
        token.cancel()
        return "done"

    played = play(
        driver,
        [[call("1", "last_straw")], "never"],
        lambda model: SingleAgent(model, tools=[last_straw]),
        cancel=token,
        streaming=streaming,
    )
    assert (played.result.stop_reason, played.result.steps, len(played.asked)) == ("cancelled", 1, 1)
    assert played.answers == [("done", False)], "what it did is not forgotten"


@drivers
def test_A14_a_failure_of_the_second_step_carries_what_the_first_has_done(driver: Driver) -> None:
    overloaded = Answer.json('{"error": {"message": "overloaded"}}', 503)
    played = play(driver, [used([call("1", "look")], input=100, output=50), overloaded], looking)
    error = played.error
    assert type(error) is ProviderError and error.retryable and error.status == 503
    partial = error.partial
    assert [message.role.value for message in partial.new_messages] == ["user", "assistant", "tool"]
    assert (partial.usage.input_tokens, partial.usage.output_tokens) == (100, 50)
    assert (partial.stop_reason, error.usage) == ("error", partial.usage)
