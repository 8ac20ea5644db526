"""An agent with candidates: a router chooses at each step which model is asked."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel

from tako.effects import Flow, Sleep
from tako.errors import InvalidInput, ProviderError, TakoError
from tako.events import RoleChosen, StepStart
from tako.models import NOT_COUNTED, Capabilities, ChatRequest, ChatResponse, Message, Usage
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.casting.casting import Scene
from tako.orchestrators.casting.turns import Turns
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.orchestrators.trinity import Role, Trinity
from tako.providers.fake import Fake, Truncated
from tako.routers.base import Router, RoutingDecision, Situation
from tako.testing import Simulator, check_history
from tako.tools import tool
from tests.orchestrators.kit import Recorded, call, events_of, kinds, replied


@tool
def add(a: int, b: int) -> int:
    return a + b


class Script(Router):
    """Chooses what it was told to, and keeps what it was asked."""

    def __init__(self, *choices: int, usage: Usage = NOT_COUNTED, cost: float | None = None) -> None:
        self.choices, self.usage, self.cost = choices, usage, cost
        self.asked: list[Situation] = []

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        self.asked.append(situation)
        place = self.choices[(len(self.asked) - 1) % len(self.choices)]
        yield Sleep(1)
        return RoutingDecision(
            index=place, confidence=0.5, reason="said so", usage=self.usage, cost_usd=self.cost
        )


class Broken(Router):
    """Has used something, said something, and failed."""

    def __init__(self, error: TakoError) -> None:
        self.error = error

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        raise self.error
        yield


def priced(fake: Fake, usd: float) -> Fake:
    """The same, at so much for a million tokens."""
    fake.capabilities = fake.capabilities.model_copy(
        update={"usd_per_input_mtok": usd, "usd_per_output_mtok": usd}
    )
    return fake


def run(agent: Any, prompt: Any = "go", **options: Any) -> Any:
    return Simulator().run(agent, prompt, **options)


# The choice.


def test_the_router_chooses_at_each_step_among_the_provider_and_the_candidates() -> None:
    one, two = Recorded("never"), Recorded(call("1", "add", a=1, b=2), "three")
    router = Script(1)
    agent = SingleAgent(one, candidates=[two], router=router, tools=[add])
    result = run(agent, history=[Message.user("hi"), Message.assistant("hello")])
    assert (result.text, result.steps, one.call_count, two.call_count) == ("three", 2, 0, 2)
    assert [situation.candidates for situation in router.asked] == [("fake:test", "fake:test")] * 2
    assert [situation.step for situation in router.asked] == [1, 2]
    assert [len(situation.messages) for situation in router.asked] == [3, 5]
    assert router.asked[1].task == "go"  # and not the results of tools
    check_history(result.run.messages)


def test_defect_42_two_candidates_with_one_id_are_told_apart_by_place() -> None:
    cast = [Recorded("zero"), Recorded("one"), Recorded("two")]
    for place, name in enumerate(("zero", "one", "two")):
        agent = SingleAgent(cast[0], candidates=cast[1:], router=lambda task, place=place: place)
        assert run(agent).text == name
    assert [one.call_count for one in cast] == [1, 1, 1]


def test_a_function_chooses_by_id_and_an_ambiguous_one_is_refused() -> None:
    agent = SingleAgent(Fake("a"), candidates=[Fake("b", id="other:b")], router=lambda task: "other:b")
    assert run(agent).text == "b"
    agent = SingleAgent(Fake("a"), candidates=[Fake("b")], router=lambda task: "fake:test")
    with pytest.raises(InvalidInput, match="the name of 2 candidates"):
        run(agent)


def test_each_choice_is_told_before_its_step() -> None:
    provider = Fake(script=[call("1", "add", a=1, b=2)])
    agent = SingleAgent(provider, candidates=[Fake("x", id="b:b")], router=Script(0, 1), tools=[add])
    events = events_of(agent, "go")
    assert [event for event in events if isinstance(event, RoleChosen)] == [
        RoleChosen(1, "fake:test", 0, 0.5, "said so"),
        RoleChosen(2, "b:b", 1, 0.5, "said so"),
    ]
    order = [kind for kind in kinds(events) if kind in ("role_chosen", "step_start")]
    assert order == ["role_chosen", "step_start"] * 2


def test_a_vendor_that_pauses_goes_on_itself() -> None:
    """Only it can go on from what it has said: nobody is asked again."""
    router = Script(1, 0)
    two = Recorded(replied("half ", finish_reason="pause"), "done")
    result = run(SingleAgent(Fake("no"), candidates=[two], router=router))
    assert (result.text, len(router.asked), two.call_count) == ("half done", 1, 2)


def test_the_answer_is_checked_whoever_gives_it() -> None:
    class Sum(BaseModel):
        total: int

    cast = [Recorded("nonsense"), Recorded('{"total": 3}')]
    agent = SingleAgent(cast[0], candidates=cast[1:], router=Script(0, 1), output_type=Sum)
    result = run(agent)
    assert result.output == Sum(total=3)
    assert [one.requests[0].output_schema is not None for one in cast] == [True, True]


def test_the_router_is_told_the_users_task_when_an_answer_did_not_fit() -> None:
    router = Script(0, 1)
    run(SingleAgent(Fake("nonsense"), candidates=[Fake("7")], router=router, output_type=int), "the task")
    assert [situation.task for situation in router.asked] == ["the task"] * 2


def test_the_schema_is_in_the_system_prompt_if_one_of_them_needs_that() -> None:
    plain = Recorded('"x"')
    plain.capabilities = Capabilities(supports_streaming=True)
    agent = SingleAgent(Fake("no"), candidates=[plain], router=Script(1), output_type=list[int])
    assert agent.options.system is not None and "JSON schema" in agent.options.system.text


def test_a_sub_agent_speaks_with_the_model_that_called_it_and_has_no_cast() -> None:
    router = Script(1)
    child = Recorded(call("1", "agent", prompt="sub"), "of the child", "of the parent")
    agent = SingleAgent(Fake("no"), candidates=[child], router=router, tools=[SubAgent(tools=[])])
    result = run(agent)
    assert (result.text, child.call_count, len(router.asked)) == ("of the parent", 3, 2)


# What it costs.


def test_each_model_is_paid_at_its_own_price_and_the_router_as_well() -> None:
    cheap, dear = priced(Fake(script=[call("1", "add", a=1, b=2)]), 1), priced(Fake("done"), 100)
    router = Script(0, 1, usage=Usage(input_tokens=7, output_tokens=3), cost=0.25)
    result = run(SingleAgent(cheap, candidates=[dear], router=router, tools=[add]))
    assert result.usage == Usage(input_tokens=2 + 14, output_tokens=2 + 6)
    assert result.cost_usd == pytest.approx(2 / 1e6 + 200 / 1e6 + 0.5)


@pytest.mark.parametrize(
    ("prices", "cost", "known"),
    [((1, 1), 0.5, True), ((1, None), 0.5, False), ((None, 1), 0.5, True), ((1, 1), None, False)],
)
def test_the_price_is_unknown_if_that_of_a_part_is(
    prices: tuple[float | None, float | None], cost: float | None, known: bool
) -> None:
    cast = [Fake("x") if price is None else priced(Fake("x"), price) for price in prices]
    router = Script(1, usage=Usage(input_tokens=1), cost=cost)
    result = run(SingleAgent(cast[0], candidates=cast[1:], router=router))
    assert (result.cost_usd is not None) == known


def test_a_choice_that_costs_nothing_leaves_the_price_known() -> None:
    result = run(SingleAgent(priced(Fake("x"), 1), candidates=[Fake("y")], router=lambda task: 0))
    assert result.cost_usd == pytest.approx(2 / 1e6)


@pytest.mark.parametrize(
    ("fields", "used"),
    [
        ({"usage": Usage(input_tokens=5)}, 5),
        ({"partial": ChatResponse(message=Message.assistant("I think"), usage=Usage(input_tokens=6))}, 6),
        ({}, None),
    ],
)
def test_what_a_router_says_that_fails_is_no_part_of_the_conversation(
    fields: dict[str, Any], used: int | None
) -> None:
    router = Broken(ProviderError("no", **fields))
    with pytest.raises(ProviderError) as caught:
        run(SingleAgent(Fake("x"), candidates=[Fake("y")], router=router))
    partial = caught.value.partial
    assert (partial.new_messages, partial.steps) == ([Message.user("go")], 0)
    assert caught.value.usage.input_tokens == partial.usage.input_tokens == used
    assert partial.cost_usd == (0.0 if used is None else None)


def test_a_model_that_breaks_off_is_paid_and_what_it_said_is_kept() -> None:
    two = priced(Fake(script=[Truncated("half")]), 1)
    with pytest.raises(TakoError) as caught:
        run(SingleAgent(Fake("x"), candidates=[two], router=Script(1)))
    partial = caught.value.partial
    assert (partial.text, partial.stop_reason) == ("half", "error")
    assert partial.cost_usd == pytest.approx(2 / 1e6)


# The run as data.


def test_a_choice_that_was_made_is_not_asked_for_again() -> None:
    router = Script(1)
    agent = SingleAgent(Fake("zero"), candidates=[Fake("one")], router=router)
    begun = agent.start("go")
    for event in Simulator().stream(agent, begun):
        if isinstance(event, StepStart):
            break
    again = agent.load(begun.dumps())
    result = run(agent, again)
    assert (result.text, len(router.asked)) == ("one", 1)
    assert result.run.turns.spoken == (1,)


def test_a_run_of_another_cast_is_refused() -> None:
    begun = SingleAgent(Fake("x"), candidates=[Fake("y"), Fake("z")], router=Script(2)).start("go")
    agent = SingleAgent(Fake("x"), candidates=[Fake("y"), Fake("z")], router=Script(2))
    finished = run(agent, begun).run
    with pytest.raises(InvalidInput, match="another cast: it speaks of place 2, and there are 2"):
        run(SingleAgent(Fake("x"), candidates=[Fake("y")], router=Script(0)), finished)


def test_a_finished_run_gives_its_result_again_and_calls_nobody() -> None:
    provider = Fake("x")
    agent = SingleAgent(provider, candidates=[Fake("y")], router=Script(0))
    first = run(agent)
    assert run(agent, agent.load(first.run.dumps())) == first
    assert provider.call_count == 1


def test_a_run_that_a_single_model_began_goes_on_at_a_price_that_is_not_known() -> None:
    @tool(approval=True)
    def pay() -> str:
        return "paid"

    alone = SingleAgent(priced(Fake(script=[call("1", "pay")]), 1), tools=[pay])
    begun = run(alone).run
    agent = SingleAgent(
        priced(Fake("done"), 1),
        candidates=[Fake("y")],
        router=Script(0),
        tools=[pay],
        approval=lambda asked: True,
    )
    from tako.orchestrators.decisions import Approved

    loaded = AgentRun.loads(begun.dumps())
    loaded.answer("1", Approved())
    result = run(agent, loaded)
    assert (result.text, result.cost_usd, result.usage.input_tokens) == ("done", None, 2)
    assert run(alone, loaded).text == "done"  # and the other way round


def test_a_run_of_a_cast_that_a_single_model_goes_on_with_is_its_own_from_there() -> None:
    @tool(approval=True)
    def pay() -> str:
        return "paid"

    from tako.orchestrators.decisions import Approved

    roles: dict[str, Any] = {"wise": Role(Fake(script=[call("1", "pay")]), kind="thinker"), "busy": Fake("x")}
    trinity = Trinity(roles, Script(0, 1), tools=[pay])
    paused = run(trinity).run
    paused.answer("1", Approved())
    finished = run(SingleAgent(Fake("alone"), tools=[pay]), AgentRun.loads(paused.dumps())).run
    assert finished.result().text == "alone"  # the words of whom nobody chose are an answer, and the last one
    again = run(trinity, AgentRun.loads(finished.dumps()))
    assert (again.text, again.stop_reason, again.cost_usd) == ("alone", "stop", None)


def test_an_agent_and_a_judge_are_booked_side_by_side() -> None:
    """None of the two hides the other, whatever is in a ledger."""
    ledger, judged = Ledger(), Ledger()
    done = run(SingleAgent(priced(Fake("x"), 1)))
    ledger.add_run(("a",), "test", done)
    judged.add(Usage(input_tokens=5), 0.25)
    turns = Turns().ran(ledger).asked(judged).ran(ledger)
    assert [one.usage for one in turns.runs] == [done.usage] * 2
    assert (turns.beside, turns.beside_cost) == (Usage(input_tokens=5), 0.25)


def test_what_was_dumped_before_there_were_casts_is_loaded() -> None:
    begun = SingleAgent(Fake("x")).start("go")
    text = begun.dumps()
    assert '"turns":null' in text
    older = text.replace(',"turns":null', "")
    assert AgentRun.loads(older).turns is None
    finished = run(SingleAgent(Fake("x")), history=[Message.user("a"), Message.assistant("b")]).run
    oldest = finished.dumps().replace('"prompt_end":3,', "").replace(',"turns":null', "")
    assert "prompt_end" not in oldest and AgentRun.loads(oldest).result().text == "x"


@pytest.mark.parametrize("field", ["answer_end", "prompt_end"])
def test_what_ends_behind_the_conversation_is_no_run(field: str) -> None:
    result = run(SingleAgent(Fake("x"), candidates=[Fake("y")], router=Script(0)))
    text = result.run.dumps()
    assert '"answer_end":2' in text and '"prompt_end":1' in text
    with pytest.raises(InvalidInput, match="contradict each other"):
        AgentRun.loads(re.sub(f'"{field}":[12]', f'"{field}":3', text))


def test_an_empty_list_of_candidates_is_none() -> None:
    assert SingleAgent(Fake("x"), candidates=[], model="m").equipment.casting is None


# What cannot work is said at once.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"router": lambda task: 0}, "router has nobody to choose from; pass candidates="),
        ({"candidates": [Fake()]}, "candidates alone cannot be chosen among; pass router="),
        (
            {"candidates": Fake(), "router": lambda task: 0},
            "candidates should be a list of providers, not Fake",
        ),
        ({"candidates": ["x"], "router": lambda task: 0}, r"candidates\[0\] must be a tako.providers"),
        ({"candidates": [Fake()], "router": 5}, "router must be a tako.routers.Router"),
        ({"candidates": [Fake()], "router": lambda: 0}, "router: function should take one argument"),
        ({"candidates": [Fake()], "router": lambda task: 0, "model": "m"}, "model is the provider's alone"),
    ],
)
def test_what_cannot_work_is_said_at_construction(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        SingleAgent(Fake(), **options)


def test_a_place_that_is_none_ends_the_run() -> None:
    with pytest.raises(InvalidInput, match="chose the place 7, and there are 2 candidates"):
        run(SingleAgent(Fake("x"), candidates=[Fake("y")], router=Script(7)))


def test_nobody_can_make_the_request_of_a_step_that_is_still_to_be_chosen_for() -> None:
    agent = SingleAgent(Fake("x"), candidates=[Fake("y")], router=Script(0))
    begun = agent.start("go")
    with pytest.raises(InvalidInput, match="a router chooses whom this agent asks"):
        agent.request(begun, begun.next_step())  # type: ignore[arg-type]


def test_the_router_knows_who_has_spoken() -> None:
    router = Script(1, 0)
    two = Fake(script=[call("1", "add", a=1, b=2)])
    run(SingleAgent(Fake("x"), candidates=[two], router=router, tools=[add]))
    assert all(isinstance(situation, Scene) for situation in router.asked)
    assert [situation.spoken for situation in router.asked if isinstance(situation, Scene)] == [(), (1,)]


def test_a_request_is_made_for_the_model_that_is_asked() -> None:
    """Defect 5: the model's name is the provider's, whatever colons are in it."""
    asked: list[ChatRequest] = []

    def answer(request: ChatRequest) -> str:
        asked.append(request)
        return "x"

    fine = Fake(id="openai:ft:gpt-4o:acme::id", script=answer)
    run(SingleAgent(Fake("no"), candidates=[fine], router=Script(1)))
    assert [request.model for request in asked] == ["ft:gpt-4o:acme::id"]
