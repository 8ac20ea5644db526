"""Trinity: roles that speak in one conversation, and a router that chooses among them."""

from __future__ import annotations

from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.effects import Flow, Sleep
from tako.errors import Cancelled, InvalidInput, ProviderError, TakoError, ToolError
from tako.events import (
    AssistantText,
    Final,
    OrchEvent,
    RoleChosen,
    StepStart,
    SubAgentEvent,
    ToolCallResult,
    VerifierScore,
)
from tako.journal import Journal
from tako.models import ChatRequest, ImagePart, Message, Part, TextPart, Usage
from tako.models import Role as MessageRole
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.casting.casting import Scene
from tako.orchestrators.casting.directions import DIRECTION
from tako.orchestrators.decisions import Approved
from tako.orchestrators.opening import Opening
from tako.orchestrators.place import Place
from tako.orchestrators.result import RunResult
from tako.orchestrators.self_caller import SelfCaller
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.orchestrators.trinity import Role, Trinity, TurnTaking, thinker_worker_verifier
from tako.providers.fake import Fake, Reply, Truncated
from tako.routers import RegexRouter
from tako.routers.base import RoutingDecision, Situation
from tako.steering import Steering
from tako.testing import Simulator, check_history
from tako.tools import tool
from tako.verifiers.base import Candidate, Score, Verifier, Watch
from tests.mcp.kit import At, ScriptedServer, World, text
from tests.mcp.kit import tool as remote
from tests.orchestrators.kit import Recorded, call, events_of, kinds, replied, results
from tests.orchestrators.test_casting import Script, priced

TEN = Usage(input_tokens=10)
ROUND = ("a plan", "a draft", "REVISE: too short", "another plan", "a better one", "ACCEPT")


@tool
def add(a: int, b: int) -> int:
    return a + b


@tool(approval=True)
def pay(amount: int) -> str:
    return f"paid {amount}"


class Judge(Verifier):
    """Gives these scores, one an answer, and keeps what it was asked; half of it on the way."""

    def __init__(self, *scores: float, usage: Usage = TEN) -> None:
        self.scores, self.usage = scores, usage
        self.asked: list[Candidate] = []

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        self.asked.append(candidate)
        yield Sleep(1)
        value = self.scores[min(len(self.asked), len(self.scores)) - 1]
        return Score(value=value, reason=f"it is {value}", usage=self.usage, cost_usd=0.5)

    def watch(self) -> Watch | None:
        return lambda candidate: Score(value=0.5, reason=candidate.text)


def run(target: Any, prompt: Any = "go", **options: Any) -> Any:
    return Simulator().run(target, prompt, **options)


def three(*script: Any, **options: Any) -> Trinity:
    return Trinity.classic(Fake(script=script or ROUND), **options)


def said(messages: list[Message]) -> list[str]:
    return [message.text for message in messages if message.role is MessageRole.ASSISTANT]


def directions(messages: list[Message]) -> list[str]:
    return [message.text for message in messages if message.text.startswith(DIRECTION)]


# The run.


def test_three_roles_take_turns_until_the_answer_is_accepted() -> None:
    result = run(three())
    assert (result.text, result.stop_reason, result.steps) == ("a better one", "stop", 6)
    assert said(result.new_messages) == list(ROUND)
    roles = [message.role for message in result.new_messages]
    assert roles == [MessageRole.USER, MessageRole.ASSISTANT] * 6  # defect 23: never two of one in a row
    words = ("the advice of thinker", "the answer of worker", "verifier does not accept the answer")
    for direction, expected in zip(directions(result.new_messages), (*words, *words[:2]), strict=True):
        assert expected in direction
    check_history(result.new_messages)


def test_defect_8_the_stream_tells_who_speaks_and_gives_the_same_result() -> None:
    events = events_of(three(), "go")
    chosen = [event.role for event in events if isinstance(event, RoleChosen)]
    assert chosen == ["thinker", "worker", "verifier"] * 2
    answers = [
        "".join(e.delta for e in events if isinstance(e, AssistantText) and e.step == n) for n in (2, 5)
    ]
    assert answers == ["a draft", "a better one"]
    assert [e.step for e in events if isinstance(e, AssistantText)] == [2, 2, 5, 5, 5]
    aside = [(e.path, e.event.delta) for e in events if isinstance(e, SubAgentEvent)]  # type: ignore[union-attr]
    assert aside[:2] == [(("thinker",), "a"), (("thinker",), " plan")]
    assert (("verifier",), "ACCEPT") in aside
    assert [e.step for e in events if isinstance(e, StepStart)] == [1, 2, 3, 4, 5, 6]
    final = events[-1]
    assert isinstance(final, Final) and final.result == run(three())


def test_workers_alone_are_what_the_original_had() -> None:
    """Defect 44 too: the rules are real, and each sees the question and not the stage."""
    code, math, rest = Recorded("def f()"), Recorded("x = 2"), Recorded("hello")
    trinity = Trinity({"code": code, "math": math, "fallback": rest}, RegexRouter())
    assert run(trinity, "Solve x^2 + 5x + 6 = 0").text == "x = 2"
    assert run(trinity, "write a def in `python`").text == "def f()"
    assert run(trinity, "see https://example.org/a=b").text == "hello"
    assert [one.call_count for one in (code, math, rest)] == [1, 1, 1]


@pytest.mark.parametrize("choice", ["code", "code|fake:b", "fake:b", 1])
def test_a_function_means_a_role_by_its_name_its_whole_name_its_model_or_its_place(choice: object) -> None:
    roles = {"math": Fake("no", id="fake:a"), "code": Fake("yes", id="fake:b")}
    assert run(Trinity(roles, lambda situation: choice)).text == "yes"


def test_the_router_is_asked_at_each_step_with_all_that_was_said() -> None:
    router = Script(0, 1, 2)
    run(Trinity(thinker_worker_verifier(Fake(script=["plan", "draft", "ACCEPT"])), router), "what?")
    assert [len(situation.messages) for situation in router.asked] == [1, 3, 5]
    assert [situation.task for situation in router.asked] == ["what?"] * 3
    first = router.asked[-1]
    assert isinstance(first, Scene)
    assert (first.spoken, first.kinds) == ((0, 1), ("thinker", "worker", "verifier"))
    assert first.candidates == ("thinker|fake:test", "worker|fake:test", "verifier|fake:test")


def test_each_role_has_the_system_prompt_and_its_own_instructions_behind_it() -> None:
    one, two = Recorded("advice"), Recorded("answer")
    roles: dict[str, Any] = {"wise": Role(one, "Only advise.", "thinker"), "busy": two}
    trinity = Trinity(roles, TurnTaking(), system="Speak French.", temperature=0.5, max_tokens=7)
    run(trinity)
    [asked], [then] = one.requests, two.requests
    assert [part.text for part in asked.messages[0].content if isinstance(part, TextPart)] == [
        "Speak French.",
        "Only advise.",
    ]
    assert then.messages[0].text == "Speak French."
    assert [(request.temperature, request.max_tokens) for request in (asked, then)] == [(0.5, 7)] * 2
    run(trinity, system="Speak Danish.", user_id="ada")
    assert two.requests[-1].messages[0].text == "Speak Danish."


def test_defect_5_the_model_is_the_providers_whatever_colons_its_name_has() -> None:
    provider = Recorded("x")
    provider.id, provider.model = "openai:ft:gpt-4o:acme::id", "ft:gpt-4o:acme::id"
    run(Trinity({"code": provider}, lambda task: "openai:ft:gpt-4o:acme::id"))
    assert provider.requests[0].model == "ft:gpt-4o:acme::id"


def test_defect_12_roles_have_tools_and_who_called_them_goes_on() -> None:
    provider = Fake(script=["plan", call("1", "add", a=1, b=2), "3", "ACCEPT"])
    events = events_of(Trinity.classic(provider, tools=[add]), "1 + 2?")
    assert [e.role for e in events if isinstance(e, RoleChosen)] == [
        "thinker",
        "worker",
        "worker",
        "verifier",
    ]
    assert [e.result for e in events if isinstance(e, ToolCallResult)] == [3]
    final = events[-1]
    assert isinstance(final, Final) and final.text == "3"
    check_history(final.result.new_messages)


def test_a_picture_and_a_history_reach_every_role() -> None:
    provider = Recorded("plan", "draft", "ACCEPT")
    picture = Message.user(
        [ImagePart(data_b64="iVBORw0KGgo=", mime="image/png"), TextPart(text="what is it?")]
    )
    history = [Message.user("hi"), Message.assistant("hello")]
    result = run(Trinity.classic(provider), picture, history=history)
    assert all(request.messages[1:4] == (*history, picture) for request in provider.requests)
    assert result.new_messages[0] == picture


# The end.


def test_defect_45_turns_that_are_used_up_are_told_and_the_last_answer_stands() -> None:
    result = run(three(*ROUND[:5], "REVISE: no", max_steps=6))
    assert (result.stop_reason, result.text, result.steps) == ("max_steps", "a better one", 6)
    for steps, answer in ((1, ""), (2, "a draft"), (3, "a draft"), (4, "a draft")):
        result = run(three(max_steps=steps))
        assert (result.stop_reason, result.text, result.steps) == ("max_steps", answer, steps)
        assert result.new_messages[-1].role is MessageRole.ASSISTANT  # nobody is left to read a direction
        check_history(result.new_messages)


@pytest.mark.parametrize(
    ("script", "choices", "words"),
    [
        (["ACCEPT", "draft", "ACCEPT"], (2, 1, 2), "there is no answer yet"),
        (["draft", "Well.", "ACCEPT"], (1, 2, 2), "has not said whether it accepts"),
        (["draft", replied("ACCEPT", finish_reason="length"), "ACCEPT"], (1, 2, 2), "has not said whether"),
        (["draft", "draft", "ACCEPT"], (1, 1, 2), "the answer of worker"),
    ],
)
def test_only_a_clear_word_about_an_answer_ends_the_run(
    script: list[Any], choices: tuple[int, ...], words: str
) -> None:
    result = run(Trinity.classic(Fake(script=script), Script(*choices)))
    assert (result.text, result.stop_reason, result.steps) == ("draft", "stop", 3)
    assert any(words in direction for direction in directions(result.new_messages))


def test_an_answer_that_was_cut_off_is_not_accepted() -> None:
    script = ["plan", replied("a dra", finish_reason="length"), "ACCEPT", "plan", "a draft", "ACCEPT"]
    result = run(three(*script))
    assert (result.text, result.stop_reason, result.steps) == ("a draft", "stop", 6)
    assert any("cut off before its end" in direction for direction in directions(result.new_messages))


def test_without_a_verifier_a_worker_has_the_last_word_and_its_reason_is_the_runs() -> None:
    roles: dict[str, Any] = {
        "thinker": Role(Fake("hm"), kind="thinker"),
        "worker": Fake(script=[replied("x", finish_reason="length")]),
    }
    result = run(Trinity(roles, TurnTaking()))
    assert (result.text, result.stop_reason, result.steps) == ("x", "length", 2)


def test_words_beside_a_call_of_a_tool_replace_no_answer() -> None:
    calling: list[Part] = [TextPart(text="let me see"), call("1", "add", a=1, b=2)]
    result = run(Trinity.classic(Fake(script=["draft", calling]), Script(1), tools=[add], max_steps=2))
    assert (result.text, result.stop_reason) == ("draft", "max_steps")
    result = run(Trinity.classic(Fake(script=[calling]), Script(1), tools=[add], max_steps=1))
    assert (result.text, result.stop_reason) == ("let me see", "max_steps")


# Judges.


def test_defect_38_each_answer_is_judged_listened_to_or_not() -> None:
    judge = Judge(0.25, 0.75)
    result = run(three(verifier=judge), "the task")
    assert [(asked.task, asked.text) for asked in judge.asked] == [
        ("the task", "a draft"),
        ("the task", "a better one"),
    ]
    assert judge.asked[0].messages == tuple(result.new_messages[:4])
    assert result.usage == Usage(input_tokens=6 + 20, output_tokens=6)

    events = events_of(three(verifier=Judge(0.25, 0.75)), "the task")
    scores = [event for event in events if isinstance(event, VerifierScore)]
    assert [score for score in scores if not score.is_partial] == [
        VerifierScore(2, 1, 0.25, False, "it is 0.25"),
        VerifierScore(5, 1, 0.75, False, "it is 0.75"),
    ]
    assert [(score.step, score.branch, score.reason) for score in scores if score.is_partial] == [
        (2, 1, "a"),
        (2, 1, "a draft"),
        (5, 1, "a"),
        (5, 1, "a better"),
        (5, 1, "a better one"),
    ]
    assert kinds(events)[-1] == "final"


def test_an_answer_below_the_mark_is_not_final_and_the_next_speaker_is_told_why() -> None:
    judge = Judge(0.3, 0.7)
    result = run(
        Trinity(
            {"code": Fake(script=["short", "longer"])}, lambda task: 0, verifier=judge, min_confidence=0.7
        )
    )
    assert (result.text, result.steps, result.stop_reason) == ("longer", 2, "stop")
    assert directions(result.new_messages) == [
        f"{DIRECTION}The answer was judged, and got 0.30 where 0.70 is wanted: it is 0.3\nGive a better one."
    ]


def test_a_verifier_cannot_accept_what_the_judge_does_not() -> None:
    script = ["plan", "draft", "ACCEPT", "plan", "better", "ACCEPT"]
    result = run(three(*script, verifier=Judge(0.1, 0.9), min_confidence=0.5))
    assert (result.text, result.steps) == ("better", 6)


def test_without_a_mark_a_score_decides_nothing() -> None:
    assert run(Trinity({"code": Fake("x")}, lambda task: 0, verifier=lambda text: 0)).steps == 1


def test_a_judge_that_never_is_content_costs_max_steps_and_no_more() -> None:
    result = run(
        Trinity({"c": Fake("x")}, lambda t: 0, verifier=lambda text: 0, min_confidence=1, max_steps=3)
    )
    assert (result.text, result.steps, result.stop_reason) == ("x", 3, "max_steps")


def test_a_judge_that_fails_costs_no_answer() -> None:
    class Failing(Judge):
        def score_flow(self, candidate: Candidate) -> Flow[Score]:
            raise ProviderError("no judge", usage=Usage(input_tokens=3))
            yield

    with pytest.raises(ProviderError, match="no judge") as caught:
        run(Trinity({"code": Fake("the answer")}, lambda task: 0, verifier=Failing()))
    partial = caught.value.partial
    assert (partial.text, partial.stop_reason, partial.usage.input_tokens) == ("the answer", "error", 4)
    check_history(partial.new_messages)


def test_a_run_that_is_cancelled_while_it_is_judged_is_cancelled() -> None:
    token = CancellationToken()

    class Slow(Judge):
        def score_flow(self, candidate: Candidate) -> Flow[Score]:
            token.cancel()
            yield Sleep(5)
            raise AssertionError("it was cancelled")

    result = run(Trinity({"code": Fake("the answer")}, lambda task: 0, verifier=Slow()), cancel=token)
    assert (result.text, result.stop_reason) == ("the answer", "cancelled")


# Roles that are agents.


def test_an_agent_in_a_role_gets_the_conversation_and_its_answer_is_what_is_said() -> None:
    inner = Recorded(call("1", "add", a=1, b=2), "three")
    agent = SingleAgent(inner, system="I add.", tools=[add])
    roles = {"wise": Role(Fake("add them"), "Advise.", "thinker"), "adder": Role(agent, "Be exact.")}
    trinity = Trinity(roles, TurnTaking(), system="not the agent's")
    result = run(trinity, "1 + 2?", user_id="ada")
    assert (result.text, result.steps) == ("three", 2)
    asked = inner.requests[0].messages
    assert [message.text.split("\n")[0] for message in asked[:3]] == ["I add.", "1 + 2?", "add them"]
    assert [part.text for part in asked[3].content if isinstance(part, TextPart)][
        1
    ] == f"\n\n{DIRECTION}Be exact."
    assert result.usage == Usage(input_tokens=3, output_tokens=3)  # one of the thinker, two of the agent
    [used] = result.sub_agents
    assert (used.path, used.usage.input_tokens, used.steps) == (("adder",), 2, 2)
    again = trinity.load(result.run.dumps())
    assert (again.usage, again.sub_agents) == (result.usage, result.sub_agents)


def test_whatever_an_agent_in_a_role_is_it_knows_what_the_task_is() -> None:
    """It takes it from its prompt: what its own judge is asked about, and what its workers are shown."""
    asked: list[str] = []

    def judge(task: str, text: str) -> float:
        asked.append(task)
        return 1.0

    caller = SelfCaller(SingleAgent(Fake("3")), judge)
    for first in ("use your fingers", call("1", "add", a=1, b=2)):
        roles = {"first": Role(Fake(script=[first]), kind="thinker"), "caller": Role(caller)}
        history = [Message.user("hello"), Message.assistant("hi")]
        result = run(Trinity(roles, Script(0, 1), tools=[add]), "1 + 2?", history=history)
        assert (result.text, asked[-1].split("\n")[0]) == ("3", "1 + 2?")


def test_an_agent_that_fails_without_a_word_leaves_no_advice_for_an_answer() -> None:
    agent = SingleAgent(Fake(script=[ProviderError("no")]))
    roles = {"wise": Role(Fake("advice"), kind="thinker"), "busy": Role(agent)}
    with pytest.raises(ProviderError) as caught:
        run(Trinity(roles, TurnTaking()))
    assert caught.value.partial.text == ""


def test_what_an_agent_in_a_role_does_is_told_under_its_name_and_its_answer_at_the_top() -> None:
    agent = SingleAgent(Fake(script=[call("1", "add", a=1, b=2), "it is three"]), tools=[add])
    events = events_of(Trinity({"adder": agent}, lambda task: "adder|fake:test"), "1 + 2?")
    own = [event for event in events if not isinstance(event, SubAgentEvent)]
    assert kinds(own) == ["role_chosen", "step_start", "assistant_text", "final"]
    assert own[2] == AssistantText(1, "it is three")
    below = [event for event in events if isinstance(event, SubAgentEvent)]
    assert {event.path for event in below} == {("adder",)}
    assert [e.event.result for e in below if isinstance(e.event, ToolCallResult)] == [3]
    assert isinstance(below[-1].event, Final)


def test_the_price_of_an_agent_is_in_that_of_the_run_once() -> None:
    roles = {"a": Role(priced(Fake("hm"), 1), kind="thinker"), "b": SingleAgent(priced(Fake("x"), 10))}
    result = run(Trinity(roles, TurnTaking()))  # type: ignore[arg-type]
    assert result.cost_usd == pytest.approx((2 + 20) / 1e6)
    roles["b"] = SingleAgent(Fake("x"))
    assert run(Trinity(roles, TurnTaking())).cost_usd is None  # type: ignore[arg-type]


def test_an_agent_that_fails_leaves_what_it_said_and_what_it_used() -> None:
    agent = SingleAgent(Fake(script=[Truncated("half an")]))
    with pytest.raises(TakoError, match="broke off") as caught:
        run(Trinity({"a": agent}, lambda task: 0))
    partial = caught.value.partial
    assert (partial.text, partial.stop_reason, partial.usage.input_tokens) == ("half an", "error", 1)
    check_history(partial.new_messages)


def test_a_model_that_fails_without_a_word_leaves_no_advice_for_an_answer() -> None:
    roles = {
        "thinker": Role(Fake("plan"), kind="thinker"),
        "worker": Role(Fake(script=[ProviderError("no")])),
    }
    with pytest.raises(ProviderError) as caught:
        run(Trinity(roles, TurnTaking()))
    assert (caught.value.partial.text, caught.value.partial.usage.input_tokens) == ("", 2)


def test_an_agent_works_for_the_same_principal_and_what_it_left_running_is_told() -> None:
    class Left(Orchestrator[RunResult[None]]):
        def perform(self, prompt: Any, place: Place, **options: Any) -> Flow[RunResult[None]]:
            opening = Opening.of(prompt, **options)
            assert opening.task == "go"
            return RunResult(opening.principal.user_id, TEN, 1, [], "stop", still_running=("dig",))
            yield

    result = run(Trinity({"a": Left()}, lambda situation: "a|Left"), user_id="ada")
    assert (result.text, result.still_running, result.usage) == ("ada", ("a/dig",), TEN)


def test_an_agent_that_waits_for_an_approval_is_an_error_that_says_what_to_do() -> None:
    agent = SingleAgent(Fake(script=[call("1", "pay", amount=5)]), tools=[pay])
    with pytest.raises(ToolError, match=r"waits for a decision on pay.*approval="):
        run(Trinity({"a": agent}, lambda task: 0))


def test_an_agent_that_ran_out_of_steps_has_not_given_a_whole_answer() -> None:
    agent = SingleAgent(
        Fake(script=[[TextPart(text="so far"), call("1", "add", a=1, b=2)]]), tools=[add], max_steps=1
    )
    result = run(Trinity({"a": agent}, lambda task: 0))
    assert (result.text, result.stop_reason) == ("so far", "length")


def test_a_trinity_is_a_role_of_another() -> None:
    inner = Trinity.classic(Fake(script=ROUND))
    events = events_of(Trinity({"team": Role(inner, "Work.")}, lambda task: "team|Trinity"), "go")
    assert isinstance(events[-1], Final) and events[-1].text == "a better one"
    paths = {event.path for event in events if isinstance(event, SubAgentEvent)}
    assert paths == {("team",), ("team", "thinker"), ("team", "verifier")}


def test_the_judge_hears_an_agent_and_a_nested_run_at_its_own_path() -> None:
    inner = Trinity({"c": SingleAgent(Fake("an answer"))}, lambda task: 0, verifier=Judge(1))
    events = events_of(Trinity({"team": inner}, lambda task: 0), "go")
    scores: list[OrchEvent] = [
        event.event
        for event in events
        if isinstance(event, SubAgentEvent)
        and event.path == ("team",)
        and isinstance(event.event, VerifierScore)
    ]
    assert scores == [VerifierScore(1, 0, 0.5, True, "an answer"), VerifierScore(1, 0, 1, False, "it is 1")]


# Pauses, and who has a say.


def test_a_run_that_waits_for_an_approval_goes_on_where_it_was() -> None:
    script: list[Any] = ["plan", call("1", "pay", amount=5), "it is paid", "ACCEPT"]
    router = Script(0, 1, 1, 2)
    trinity = Trinity.classic(Fake(script=script), router, tools=[pay], verifier=Judge(1))
    paused = run(trinity)
    assert (paused.stop_reason, paused.steps) == ("approval_required", 2)
    again = trinity.load(paused.run.dumps())
    again.answer("1", Approved())
    result = run(trinity, again)
    assert (result.text, result.stop_reason, result.steps) == ("it is paid", "stop", 4)
    assert [situation.step for situation in router.asked] == [1, 2, 3, 4]
    assert result.usage.input_tokens == 4 + 10
    check_history(result.new_messages)


def test_a_finished_run_is_neither_judged_nor_asked_again() -> None:
    judge = Judge(0.25, 0.75)
    trinity = three(verifier=judge)
    first = run(trinity)
    assert run(trinity, trinity.load(first.run.dumps())) == first
    assert len(judge.asked) == 2


def test_an_answer_is_judged_once_also_by_a_run_that_is_loaded() -> None:
    judge = Judge(0.25)
    trinity = Trinity({"code": Fake("x")}, lambda task: 0, verifier=judge)
    first = run(trinity)
    assert run(trinity, trinity.load(first.run.dumps())) == first
    assert len(judge.asked) == 1


def test_a_resumed_call_runs_with_the_model_that_asked_for_it() -> None:
    """What its sub-agents speak with, unless they have their own."""
    thinker, worker = (
        Recorded("plan"),
        Recorded(call("1", "agent", prompt="sub"), "of the child", "of the worker"),
    )
    roles = {"thinker": Role(thinker, kind="thinker"), "worker": Role(worker)}
    tools = [SubAgent(tools=[])]
    trinity = Trinity(roles, Script(0, 1, 1), tools=tools, needs_approval="all")
    paused = run(trinity)
    again = trinity.load(paused.run.dumps())
    again.answer("1", Approved())
    result = run(trinity, again)
    assert (result.text, thinker.call_count, worker.call_count) == ("of the worker", 1, 3)


def test_a_run_that_was_stopped_before_its_answer_was_judged_has_it_judged() -> None:
    judge = Judge(0.25, 0.75)
    trinity = Trinity({"code": Fake("x")}, lambda task: 0, verifier=judge)
    begun = trinity.start("go")
    for event in Simulator().stream(trinity, begun):
        if isinstance(event, AssistantText):
            said_so_far = begun.copy()
    assert run(trinity, said_so_far).text == "x"
    assert judge.asked[-1].text == "x"


def test_the_user_interrupts_a_role_and_says_something_to_the_next() -> None:
    steering = Steering()
    provider = Fake(script=["plan", "a long draft that nobody wants", "short", "ACCEPT"], delay_ms=10)
    trinity = Trinity.classic(provider, Script(0, 1, 1, 2))
    for event in (stream := Simulator().stream(trinity, "go", steering=steering)):
        if isinstance(event, AssistantText) and event.step == 2 and event.delta == " long":
            steering.queue("shorter, please")
            steering.interrupt_turn()
    result = stream.result
    assert (result.text, result.stop_reason) == ("short", "stop")
    texts = [message.text for message in result.new_messages]
    assert texts[3:6] == ["a long", "shorter, please", "short"]
    check_history(result.new_messages)


def test_a_cancelled_agent_in_a_role_cancels_the_run_and_its_words_stay() -> None:
    token = CancellationToken()
    agent = SingleAgent(Fake("one two three", delay_ms=1000))
    stream = Simulator().stream(Trinity({"a": agent}, lambda task: 0), "go", cancel=token)
    for event in stream:
        if isinstance(event, SubAgentEvent) and isinstance(event.event, AssistantText):
            token.cancel()
    assert (stream.result.stop_reason, stream.result.text) == ("cancelled", "one")
    assert not isinstance(stream.result, Cancelled)


def test_a_run_that_is_killed_anywhere_goes_on_and_nothing_is_done_twice() -> None:
    """A journal keeps choices, replies, tools and scores: each as soon as it is there."""
    script: list[Any] = ["plan", call("1", "add", a=1, b=2), "3", "REVISE", "plan", "three", "ACCEPT"]
    done: list[str] = []

    def say(request: ChatRequest) -> Reply:
        done.append("model")
        return script[len(said(list(request.messages)))]  # type: ignore[no-any-return]

    def judge(text: str) -> float:
        done.append("score")
        return 0.5

    class Counted(TurnTaking):
        def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
            done.append("route")
            return super().choose_flow(situation)

    trinity = Trinity.classic(Fake(script=say), Counted(), tools=[add], verifier=judge)
    journal = Journal.memory()
    expected = run(trinity, journal=journal)
    assert (expected.text, len(done)) == ("three", 7 + 7 + 2)
    lines = list(journal._store.lines)  # type: ignore[attr-defined]
    for kept in range(0, len(lines) + 1, 3):
        done.clear()
        again = Journal.memory(lines[:kept])
        before = [entry.kind for entry in again.entries() if entry.kind in ("model", "route", "score")]
        result = run(trinity, journal=again)
        assert result == expected
        assert len(done) == 16 - len(before)


def test_the_tools_of_a_server_are_the_roles_too() -> None:
    server = ScriptedServer({
        "tools/list": lambda params: {"tools": [remote("search")]},
        "tools/call": lambda params: text(f"found {params['arguments']['q']}"),
    })  # fmt: skip
    provider = Recorded("plan", call("1", "search", q="sea"), "it is wet", "ACCEPT")
    result = World(one=server).run(Trinity.classic(provider, mcp_servers=[At("one")]).flow("go"))
    assert result.text == "it is wet"
    assert [part.result for part in results(result.new_messages)] == ["found sea"]
    assert all([schema.name for schema in request.tools] == ["search"] for request in provider.requests)


# What cannot work is said at once.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (({}, TurnTaking()), "roles is empty: at least one role is required"),
        (([Fake()], TurnTaking()), "roles should be a mapping from names to roles, not list"),
        (({"x": 5}, TurnTaking()), r"roles\['x'\] should be a provider .* not int, or a Role"),
        (({"x": "openai:gpt-5"}, TurnTaking()), r"roles\['x'\].*write tako.provider\('openai:gpt-5'\)"),
        (({"a|b": Fake()}, TurnTaking()), "should be text without a |"),
        (({"": Fake()}, TurnTaking()), "not empty"),
        (({5: Fake()}, TurnTaking()), "the name of a role should be text"),
        (({"x": Role(Fake(), kind="thinker")}, TurnTaking()), "roles has no worker"),
        (({"x": Fake()}, 5), "router must be a tako.routers.Router"),
        (({"x": Fake()}, TurnTaking), "router should be a router and not its class"),
    ],
)
def test_what_cannot_work_is_said_at_construction(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Trinity(*arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"verifier": 5}, "verifier must be a tako.verifiers.Verifier"),
        ({"min_confidence": 0.5}, "min_confidence is for the scores of a verifier"),
        (
            {"min_confidence": 1.5, "verifier": Judge(1)},
            "min_confidence should be a number from 0 to 1, not 1.5",
        ),
        ({"min_confidence": True, "verifier": Judge(1)}, "min_confidence should be a number"),
        ({"max_steps": 0}, "max_steps should be a whole number of at least 1"),
        ({"mcp_servers": ["x"]}, r"mcp_servers\[0\] should be"),
        ({"policy": 5}, "policy should be a ToolPolicy"),
        ({"approval": 5}, "approval should be a function"),
        ({"system": 5}, "system should be text"),
    ],
)
def test_an_option_that_is_wrong_is_named(options: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Trinity.classic(Fake(), **options)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Role(5), "Role: who should be a provider"),  # type: ignore[arg-type]
        (lambda: Role(Fake(), 5), "Role: instructions should be text, not int"),  # type: ignore[arg-type]
        (lambda: Role(Fake(), "", "boss"), "kind should be one of worker, thinker, verifier, not 'boss'"),  # type: ignore[arg-type]
        (lambda: Trinity.classic(5), "who should be a provider"),  # type: ignore[arg-type]
        (lambda: Trinity.classic({"worker": Fake()}), "who should have the keys thinker, worker, verifier"),
        (
            lambda: Trinity({"a": SingleAgent(Fake())}, TurnTaking(), tools=[add]),
            "tools: for roles that are providers, and there is none",
        ),
        (
            lambda: Trinity({"a": SingleAgent(Fake())}, TurnTaking(), system="x", seed=1),
            "system, seed: for roles that are providers",
        ),
        (
            lambda: run(Trinity({"a": SingleAgent(Fake())}, TurnTaking()), max_tokens=5),
            "max_tokens: for roles that are providers",
        ),
    ],
)
def test_a_role_that_is_wrong_is_named(make: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()


def test_one_model_for_each_of_the_three() -> None:
    who: dict[str, Any] = {
        "thinker": Fake("plan"),
        "worker": SingleAgent(Fake("draft")),
        "verifier": Fake("ACCEPT"),
    }
    trinity = Trinity.classic(who)
    assert run(trinity).text == "draft"
    assert trinity.roles == ("thinker", "worker", "verifier")
    assert repr(trinity) == "<Trinity of thinker, worker, verifier>"


def test_turn_taking_by_itself_goes_by_the_step() -> None:
    router = TurnTaking()
    situations = [Situation((Message.user("x"),), ("a", "b"), step) for step in (1, 2, 3)]
    assert [Simulator().run(router.choose_flow(one)).index for one in situations] == [0, 1, 0]
    assert repr(router) == "<TurnTaking>"
