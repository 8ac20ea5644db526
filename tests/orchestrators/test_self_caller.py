"""SelfCaller: attempts, the mark and the cap, what is said, what is shown, and what everything cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from examples import self_caller as example
from tako.effects import Flow, Sleep
from tako.errors import InvalidInput, ProviderError, TakoError, ToolError
from tako.events import AssistantText, Final, Recursion, StepStart, SubAgentEvent, VerifierScore
from tako.journal import Journal
from tako.models import Capabilities, ChatRequest, Message, Principal, Role, TextPart, Usage
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.conductor import Conductor
from tako.orchestrators.place import Place
from tako.orchestrators.result import RunResult
from tako.orchestrators.self_caller import MAX_NESTED, Attempt, SelfCaller, SelfCallerResult
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.orchestrators.trinity import Trinity
from tako.providers.fake import Fake, Reply, Truncated
from tako.testing import check_history
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tako.tools import Tool, ToolContext, tool
from tako.verifiers import LlmJudge
from tako.verifiers.base import Candidate, Score, Verifier, Watch
from tests.orchestrators.kit import Recorded, call, events_of, kinds

ONE = Usage(input_tokens=1, output_tokens=1)


def never(text: str) -> float:
    return 0.0


def scores(**of: float) -> Callable[[str], float]:
    return lambda text: of.get(text, 0.0)


def run(target: Orchestrator[Any], prompt: Any = "go", **options: Any) -> SelfCallerResult[Any]:
    result = Simulator(faults=options.pop("faults", None)).run(target, prompt, **options)
    assert isinstance(result, SelfCallerResult)
    check_history(result.new_messages)
    return result


def texts(result: SelfCallerResult[Any]) -> list[str]:
    return [one.text for one in result.attempts]


class Judge(Verifier):
    """Costs two tokens; content with what it is told to be, and watches if it has to."""

    def __init__(self, *, error: TakoError | None = None, partial: float | None = None, **of: float) -> None:
        self.of, self.error, self.partial = of, error, partial
        self.asked: list[Candidate] = []

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        self.asked.append(candidate)
        yield Sleep(1)
        if self.error is not None and candidate.text not in self.of:
            raise self.error
        value = self.of.get(candidate.text, 0.0)
        return Score(value=value, reason=f"{value}!", usage=ONE + ONE, cost_usd=0.25)

    def watch(self) -> Watch | None:
        partial = self.partial
        return None if partial is None else lambda candidate: Score(value=partial, reason=candidate.text)


class Priced(Fake):
    def __init__(self, *script: Reply) -> None:
        super().__init__(script=script)
        self.capabilities = Capabilities(
            supports_streaming=True, usd_per_input_mtok=1_000_000.0, usd_per_output_mtok=0.0
        )


# The mark and the cap.


def test_an_answer_at_the_mark_is_the_result() -> None:
    result = run(SelfCaller(Fake("good"), scores(good=0.7), min_confidence=0.7))
    assert (result.text, result.stop_reason, result.depth, result.confidence) == ("good", "stop", 0, 0.7)
    assert result.attempts == (Attempt("good", 0.7, "", 1, ONE),)


def test_an_answer_below_it_is_revised_until_it_is_good_enough() -> None:
    result = run(SelfCaller(Fake(script=["bad", "better", "good", "more"]), scores(better=0.5, good=0.9)))
    assert texts(result) == ["bad", "better", "good"] and result.text == "good" and result.depth == 2


@pytest.mark.parametrize("cap", [0, 1, 3])
def test_the_cap_is_how_often_it_is_revised(cap: int) -> None:
    model = Fake(script=["a", "b", "c", "d", "e"])
    result = run(SelfCaller(model, never, max_depth=cap))
    assert model.call_count == cap + 1 and result.depth == cap
    assert result.text == "abcd"[cap] and result.stop_reason == "stop"


@pytest.mark.parametrize(("keep", "text", "confidence"), [("last", "d", 0.1), ("best", "c", 0.4)])
def test_at_the_cap_the_last_or_the_best_is_kept(keep: Any, text: str, confidence: float) -> None:
    caller = SelfCaller(Fake(script=["a", "b", "c", "d"]), scores(a=0.2, b=0.4, c=0.4, d=0.1), keep=keep)
    result = run(caller)
    assert (result.text, result.confidence) == (text, confidence)
    assert [one.text for one in result.new_messages] == ["go", text]
    assert result.usage == Usage(input_tokens=4, output_tokens=4)


def test_an_answer_that_is_good_enough_is_the_best_by_any_rule() -> None:
    caller = SelfCaller(Fake(script=["a", "b"]), scores(a=0.69, b=0.7), keep="best")
    assert run(caller).text == "b"


# What is said.


def test_the_conversation_grows_by_each_answer_and_what_is_said_of_it() -> None:
    model = Recorded("one", "two", "three")
    run(SelfCaller(model, never, max_depth=2, revision_prompt="Again."), "why?")
    assert [[one.text for one in request.messages] for request in model.requests] == [
        ["why?"],
        ["why?", "one", "Again."],
        ["why?", "one", "Again.", "two", "Again."],
    ]
    assert [one.role for one in model.requests[1].messages] == [Role.USER, Role.ASSISTANT, Role.USER]


def test_our_own_words_give_the_guards_reason() -> None:
    model = Recorded("one", "two")
    run(SelfCaller(model, lambda text: (0.25, "no numbers in it"), max_depth=1, min_confidence=0.8))
    said = model.requests[1].messages[-1].text
    assert "0.25" in said and "0.80" in said and "no numbers in it" in said


async def _later(text: str, score: Score) -> str:
    return f"{text} got {score.value}"


@pytest.mark.parametrize("revise", [lambda text, score: f"{text} got {score.value}", _later])
def test_a_function_may_say_it(revise: Any) -> None:
    model = Recorded("one", "two")
    run(SelfCaller(model, lambda text: 0.5, max_depth=1, revision_prompt=revise))
    assert model.requests[1].messages[-1].text == "one got 0.5"


def _broken(text: str, score: Score) -> str:
    raise KeyError("mine")


@pytest.mark.parametrize(
    ("revise", "words"),
    [(_broken, "KeyError"), (lambda text, score: 7, "not int"), (lambda text, score: " ", "not empty text")],
)
def test_a_function_that_says_nothing_is_an_error_with_the_answer_in_it(revise: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=f"revision_prompt .*{words}") as caught:
        run(SelfCaller(Fake("one"), never, revision_prompt=revise))
    assert caught.value.partial.text == "one" and caught.value.usage == ONE


def test_an_empty_answer_is_revised_with_something_in_its_place() -> None:
    model = Recorded([TextPart(text=" ")], "two")
    run(SelfCaller(model, never, max_depth=1))
    assert [one.text for one in model.requests[1].messages][:2] == ["go", "(no answer)"]


def test_history_system_and_who_it_is_for_reach_the_inner_one() -> None:
    seen: list[Principal] = []

    @tool
    def who(context: ToolContext) -> str:
        seen.append(context.principal)
        return "ok"

    model = Recorded([call("c", "who")], "bad", "good")
    before = [Message.user("hello"), Message.assistant("hi")]
    judge = Judge(good=1.0)
    caller = SelfCaller(SingleAgent(model, tools=[who]), judge)
    result = run(caller, history=before, system="Be kind.", tenant_id="acme", user_id="ann")
    assert [one.text for one in model.requests[-1].messages][:4] == ["Be kind.", "hello", "hi", "go"]
    assert (seen[0].tenant_id, seen[0].user_id) == ("acme", "ann")
    assert (
        seen[0].metadata["tako.recursion.depth"] == "0"
        and seen[0].metadata["tako.recursion.max_depth"] == "3"
    )
    assert result.new_messages == [Message.user("go"), Message.assistant("good")]
    assert [one.task for one in judge.asked] == ["go", "go"]
    assert [one.text for one in judge.asked[1].messages] == ["hello", "hi", "go", "good"]
    check_history([*before, *result.new_messages])


def test_tools_of_the_accepted_attempt_are_in_the_new_messages() -> None:
    @tool
    def look() -> str:
        return "seen"

    model = Fake(script=["bad", [call("c", "look")], "good"])
    result = run(SelfCaller(SingleAgent(model, tools=[look]), scores(good=1.0)))
    roles = [one.role for one in result.new_messages]
    assert roles == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT] and result.steps == 3
    assert [one.steps for one in result.attempts] == [1, 2]


def test_the_checked_output_is_that_of_the_accepted_attempt() -> None:
    agent = SingleAgent(Fake(script=["1", "22"]), output_type=int)
    assert run(SelfCaller(agent, scores(**{"22": 1.0}))).output == 22


# What it cost (26).


def test_defect_26_every_attempt_and_the_guard_are_counted() -> None:
    result = run(SelfCaller(Priced("a", "b"), Judge(b=1.0)))
    assert result.usage == Usage(input_tokens=2 + 4, output_tokens=2 + 4)
    assert result.steps == 2 and result.cost_usd == 2.0 + 0.5


def test_a_price_that_is_not_known_makes_the_sum_unknown() -> None:
    assert run(SelfCaller(Fake("a"), Judge(a=1.0))).cost_usd is None


def test_workers_of_every_attempt_are_listed() -> None:
    worker = SingleAgent(Fake("found")).as_tool("worker")
    model = Fake(script=[[call("c", "worker", prompt="x")], "a", [call("d", "worker", prompt="x")], "b"])
    result = run(SelfCaller(SingleAgent(model, tools=[worker]), scores(b=1.0)))
    assert [one.path for one in result.sub_agents] == [("worker:c",), ("worker:d",)]
    assert result.usage == Usage(input_tokens=6, output_tokens=6)


# What is shown.


def test_attempts_are_streamed_as_the_callers_own_with_steps_that_go_on() -> None:
    caller = SelfCaller(Fake(script=["a b", "c d"]), scores(**{"c d": 1.0}))
    events = events_of(caller, "go")
    assert kinds(events) == [
        *("step_start", "assistant_text", "assistant_text", "recursion"),
        *("step_start", "assistant_text", "assistant_text", "recursion", "final"),
    ]
    assert [one.step for one in events if isinstance(one, StepStart | AssistantText)] == [1, 1, 1, 2, 2, 2]
    assert [one for one in events if isinstance(one, Recursion)] == [Recursion(0, 0.0), Recursion(1, 1.0)]
    assert events[-1].result.attempts and events[-1].text == "c d" and events[-1].usage == ONE + ONE


def test_defect_22_no_answer_is_cut_and_its_usage_is_real() -> None:
    judge = Judge(partial=1.0)  # content with the first piece
    events = events_of(SelfCaller(Fake("aaa bbb ccc"), judge, max_depth=0), "go")
    said = [one.delta for one in events if isinstance(one, AssistantText)]
    assert "".join(said) == "aaa bbb ccc" == events[-1].text
    assert events[-1].usage == ONE + ONE + ONE
    partial = [one for one in events if isinstance(one, VerifierScore)]
    assert [(one.reason, one.is_partial, one.branch) for one in partial] == [
        ("aaa", True, 0),
        ("aaa bbb", True, 0),
        ("aaa bbb ccc", True, 0),
    ]


def test_below_another_it_speaks_under_its_path() -> None:
    inner = SelfCaller(Fake(script=["a", "b"]), Judge(b=1.0, partial=0.5))
    agent = SingleAgent(
        Fake(script=[[call("c", "revised", prompt="x")], "done"]), tools=[inner.as_tool("revised")]
    )
    events = events_of(agent, "go")
    told = [one for one in events if isinstance(one, SubAgentEvent)]
    assert {one.path for one in told} == {("revised:c",)}
    assert kinds([one.event for one in told]) == [
        *("step_start", "assistant_text", "verifier_score", "recursion"),
        *("step_start", "assistant_text", "verifier_score", "recursion", "final"),
    ]
    assert events[-1].usage == Usage(input_tokens=2 + 2 + 4, output_tokens=2 + 2 + 4)


def test_what_its_workers_say_is_not_renumbered() -> None:
    worker = SingleAgent(Fake("found")).as_tool("worker")
    model = Fake(script=["a", [call("d", "worker", prompt="x")], "b"])
    events = events_of(SelfCaller(SingleAgent(model, tools=[worker]), scores(b=1.0)), "go")
    inner = [one.event for one in events if isinstance(one, SubAgentEvent)]
    assert [one.step for one in inner if isinstance(one, StepStart)] == [1]
    assert [one.step for one in events if isinstance(one, StepStart)] == [1, 2, 3]
    assert sum(isinstance(one, Final) for one in events) == 1


# Failures, stops and cancels.


def test_a_first_attempt_that_fails_leaves_what_there_was() -> None:
    with pytest.raises(TakoError, match="broke off") as caught:
        run(SelfCaller(Fake(script=[Truncated("half an")]), never))
    partial = caught.value.partial
    assert isinstance(partial, SelfCallerResult) and (partial.text, partial.stop_reason) == (
        "half an",
        "error",
    )
    assert [one.text for one in partial.new_messages] == ["go", "half an"] and caught.value.usage == ONE


def test_a_later_attempt_that_fails_leaves_the_best_before_it() -> None:
    model = Fake(script=["a", "b", Truncated("half")])
    with pytest.raises(TakoError, match="broke off") as caught:
        run(SelfCaller(model, scores(a=0.5, b=0.2)))
    partial = caught.value.partial
    assert (partial.text, partial.confidence, partial.stop_reason) == ("a", 0.5, "error")
    assert texts(partial) == ["a", "b", "half"] and partial.attempts[2].confidence is None
    assert caught.value.usage == ONE + ONE + ONE
    check_history(partial.new_messages)


def test_a_guard_that_fails_leaves_the_answer_that_it_was_asked_about() -> None:
    judge = Judge(error=ProviderError("out", usage=ONE))
    with pytest.raises(ProviderError, match="out") as caught:
        run(SelfCaller(Fake("a"), judge))
    assert (caught.value.partial.text, caught.value.partial.confidence) == ("a", None)
    assert caught.value.usage == ONE + ONE


def test_options_that_cannot_be_are_refused_before_a_model_is_paid() -> None:
    model = Fake()
    with pytest.raises(InvalidInput, match="history"):
        run(SelfCaller(model, never), history=[7])
    assert model.call_count == 0


def test_one_that_waits_for_the_outside_cannot_go_on() -> None:
    @tool(approval=True)
    def dangerous() -> str:
        return "done"

    agent = SingleAgent(Fake(script=[[call("c", "dangerous")]]), tools=[dangerous])
    with pytest.raises(ToolError, match="SingleAgent waits for a decision on dangerous") as caught:
        run(SelfCaller(agent, never))
    check_history(caught.value.partial.new_messages)


class Ending(Orchestrator):
    """Ends for a reason, with each of these answers."""

    def __init__(self, *endings: tuple[str, Any]) -> None:
        self.endings = list(endings)

    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[RunResult]:
        yield Sleep(1)
        text, reason = self.endings.pop(0)
        return RunResult(text, ONE, 1, [Message.assistant(text)], reason, detail=reason)


@pytest.mark.parametrize("reason", ["budget", "interrupted", "aborted"])
def test_a_stop_is_no_reason_to_try_again(reason: str) -> None:
    result = run(SelfCaller(Ending(("a", "length"), ("half", reason)), never))
    assert (result.text, result.stop_reason, result.confidence) == ("a", reason, 0.0)
    alone = run(SelfCaller(Ending(("half", reason)), never))
    assert (alone.text, alone.stop_reason, alone.confidence) == ("half", reason, None)


def test_an_answer_that_is_cut_off_is_judged_and_revised_like_any_other() -> None:
    result = run(SelfCaller(Ending(("half", "length"), ("good", "max_steps")), scores(good=1.0)))
    assert (result.text, result.stop_reason, result.detail) == ("good", "max_steps", "max_steps")
    # An orchestrator that leaves the prompt out of its messages: the answer is taken for what it is.
    assert [one.text for one in result.new_messages] == ["go", "good"]


def test_a_cancel_returns_the_best_there_was() -> None:
    agent = SingleAgent(Fake(script=["a", "b", "c"], delay_ms=1000))
    result = run(SelfCaller(agent, scores(a=0.4, b=0.3)), faults=Faults(cancel_at=2.5))
    assert (result.text, result.stop_reason, result.confidence) == ("a", "cancelled", 0.4)
    assert len(result.attempts) == 3 and result.attempts[2].confidence is None


def test_a_cancel_of_the_first_attempt_returns_what_was_said() -> None:
    rest = Tool.from_flow(_rest, name="rest")
    agent = SingleAgent(Fake(script=[[TextPart(text="so far"), call("c", "rest")]]), tools=[rest])
    result = run(SelfCaller(agent, never), faults=Faults(cancel_at=1))
    assert (result.text, result.stop_reason, result.usage) == ("so far", "cancelled", ONE)
    assert len(result.new_messages) == 3


def _rest() -> Flow[str]:
    yield Sleep(1000)
    return "rested"


def test_a_streamed_run_is_replayed_from_its_journal_with_nobody_asked() -> None:
    """The guard could watch the answer by asking a model; a replay would ask it again."""
    plan = Fake('{"halt": true, "final_answer": "one two three"}')
    guard = Fake('{"score": 0.9, "reason": "good"}')
    caller = SelfCaller(Conductor(plan, {"w": Fake()}), LlmJudge(guard, "good?", streaming_min_chars=1))
    journal = Journal.memory()
    events = events_of(caller, "go", journal=journal)
    asked = (plan.call_count, guard.call_count)
    again = events_of(caller, "go", journal=journal)
    alone = run(caller, "go", journal=journal)
    assert asked == (1, 1) == (plan.call_count, guard.call_count)
    assert events[-1].usage == again[-1].usage == alone.usage == ONE + ONE
    assert events[-1].text == again[-1].text == alone.text == "one two three"


# SelfCallers in each other (39).


def test_defect_39_nested_ones_share_one_cap() -> None:
    model = Fake(script=["a", "b", "c", "d"])
    result = run(SelfCaller(SelfCaller(model, never, max_depth=2), never, max_depth=2))
    assert model.call_count == 3 and result.depth == 2 and result.steps == 3
    assert result.usage == Usage(input_tokens=3, output_tokens=3)


def test_the_outer_one_goes_on_where_the_inner_one_was_content() -> None:
    model = Fake(script=["a", "b", "c", "d", "e"])
    inner = SelfCaller(model, scores(b=1.0, c=1.0), max_depth=9)
    events = events_of(SelfCaller(inner, never, max_depth=3), "go")
    depths = [(one.depth, one.confidence) for one in events if isinstance(one, Recursion)]
    assert depths == [(0, 0.0), (1, 1.0), (1, 0.0), (2, 1.0), (2, 0.0), (3, 0.0), (3, 0.0)]
    assert [one.step for one in events if isinstance(one, StepStart)] == [1, 2, 3, 4]
    assert model.call_count == 4 and sum(isinstance(one, Final) for one in events) == 1


def conductor(worker: Orchestrator[Any]) -> Conductor:
    """Has w do it, and is done."""
    plans = ['{"dispatch": [{"worker": "w", "task": "it"}]}', '{"halt": true, "final_answer": "done"}']
    return Conductor(Fake(script=[*plans, *plans, *plans]), {"w": worker})


def calls(request: ChatRequest) -> Reply:
    return "done" if request.messages[-1].role is Role.TOOL else [call("c", "w", prompt="it")]


AROUND: dict[str, Callable[[Orchestrator[Any]], Orchestrator[Any]]] = {
    "worker": conductor,
    "role": lambda inner: Trinity({"w": inner}, lambda task: 0),
    "rollout": lambda inner: AbMcts(inner, lambda text: 0.5, max_iterations=1, seed=1),
    "tool": lambda inner: SingleAgent(Fake(script=calls), tools=[inner.as_tool("w")]),
    "sub-agent of a tool": lambda inner: SingleAgent(
        Fake(script=calls),
        tools=[SubAgent(name="w", provider=Fake(script=calls), tools=[inner.as_tool("w")])],
    ),
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
def test_defect_39_one_behind_anything_shares_the_cap(around: Any) -> None:
    model = Fake(script=["a", "b", "c", "d", "e", "f"])
    inner = SelfCaller(model, scores(b=1.0, c=1.0), max_depth=9)
    result = run(SelfCaller(around(inner), never, max_depth=3))
    # a and b at the depths 0 and 1 in the first attempt, c at 2 in the second, d at 3 in the last.
    assert (model.call_count, result.depth, len(result.attempts)) == (4, 3, 3)


def test_of_several_side_by_side_the_deepest_counts() -> None:
    model = Fake(script=["a", "b", "c", "d"])
    worker = SelfCaller(model, scores(a=1.0, d=1.0), max_depth=9).as_tool("worker")
    script: list[Reply] = [[call("c", "worker", prompt="x")], [call("d", "worker", prompt="x")], "done"]
    result = run(SelfCaller(SingleAgent(Fake(script=script), tools=[worker]), never, max_depth=2))
    assert (model.call_count, result.depth, len(result.attempts)) == (4, 2, 1)
    assert [one.depth for one in result.sub_agents] == [0, 2]


class Later(Orchestrator):
    """Stands for an orchestrator that is made after it."""

    target: Orchestrator[Any]

    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[RunResult]:
        return self.target.perform(prompt, place, **options)


def test_defect_39_one_that_is_inside_itself_is_an_error() -> None:
    later = Later()
    later.target = SelfCaller(later, never)
    with pytest.raises(InvalidInput, match=f"more than {MAX_NESTED} deep"):
        run(later.target)


def test_defect_39_one_that_is_its_own_tool_comes_to_an_end() -> None:
    def answer(request: ChatRequest) -> Reply:
        return "done" if request.messages[-1].role is Role.TOOL else [call("c", "myself", prompt="again")]

    later, model = Later(), Fake(script=answer)
    later.target = SelfCaller(SingleAgent(model, tools=[later.as_tool("myself")]), never, max_depth=0)
    result = run(later.target)
    assert result.text == "done" and model.call_count == 2 * MAX_NESTED


@pytest.mark.parametrize("key", ["depth", "max_depth", "nested"])
@pytest.mark.parametrize("value", ["", "-1", "1.0", "٣", "9" * 50, "none"])
def test_metadata_that_cannot_be_read_is_refused(key: str, value: str) -> None:
    owner = Principal(metadata={f"tako.recursion.{key}": value})
    with pytest.raises(InvalidInput, match=rf"metadata\['tako.recursion.{key}'\] should be a whole number"):
        run(SelfCaller(Fake(), never), principal=owner)


def test_the_depth_that_another_process_says_counts() -> None:
    model = Fake()
    owner = Principal(metadata={"tako.recursion.depth": "2", "tako.recursion.max_depth": "3", "mine": "x"})
    assert run(SelfCaller(model, never, max_depth=9), principal=owner).depth == 3
    assert model.call_count == 2
    deeper = Principal(metadata={"tako.recursion.depth": "7"})
    assert run(SelfCaller(model, never), principal=deeper).depth == 7 and model.call_count == 3


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"inner": "openai:gpt-5"}, "inner should be a provider"),
        ({"confidence": 0.7}, "confidence"),
        ({"max_depth": -1}, "max_depth"),
        ({"max_depth": True}, "max_depth"),
        ({"min_confidence": 1.1}, "min_confidence"),
        ({"min_confidence": float("nan")}, "min_confidence"),
        ({"min_confidence": "0.7"}, "min_confidence"),
        ({"revision_prompt": "  "}, "revision_prompt"),
        ({"revision_prompt": 7}, "revision_prompt"),
        ({"keep": "first"}, "keep"),
    ],
)
def test_a_wrong_argument_is_refused_by_its_name(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        SelfCaller(**{"inner": Fake(), "confidence": never, **arguments})


def test_the_example_says_what_it_should(capsys: pytest.CaptureFixture[str]) -> None:
    result = example.main()
    assert [one.confidence for one in result.attempts] == [0.0, pytest.approx(1 / 3), 1.0]
    assert "attempt 3: 1.00, it says it all" in capsys.readouterr().out
