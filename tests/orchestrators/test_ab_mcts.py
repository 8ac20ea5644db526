"""AbMcts: what it is made of, what it asks of candidates and judges, and what it gives."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Flow, Sleep
from tako.errors import InvalidInput, TakoError, TransportError
from tako.models import Message, Principal, Role, Usage
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.place import TOP
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.tree_search import BetaPrior, GaussianPrior
from tako.providers import Fake
from tako.routers.base import RoutingDecision, Situation
from tako.testing import Simulator
from tako.tools import tool
from tests.orchestrators.kit import Recorded, call
from tests.orchestrators.search_kit import (
    ONE_EACH,
    Choosing,
    Judge,
    Oracle,
    by_number,
    half,
    score_of,
    search,
)

# What it is made of.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"provider": None}, "pass provider, or candidates"),
        ({"provider": "openai:gpt-5"}, "provider should be a provider .* write tako.provider"),
        ({"candidates": [Fake(), 3]}, r"candidates\[1\] should be a provider"),
        ({"candidates": "fake"}, "candidates should be a list"),
        ({"candidates": Fake()}, "candidates should be a list"),
        ({"verifier": None}, "verifier is missing"),
        ({"verifier": 3}, "verifier"),
        ({"router": 3}, "router"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"max_iterations": True}, "max_iterations"),
        ({"max_simulations": 0}, "max_iterations"),
        ({"max_iterations": 4, "max_simulations": 4}, "max_simulations is another name"),
        ({"branching_factor": 0}, "branching_factor"),
        ({"max_depth": 0}, "max_depth"),
        ({"max_depth": 101}, "max_depth"),
        ({"max_steps_per_rollout": 0}, "max_steps_per_rollout"),
        ({"max_steps_per_rollout": "2"}, "max_steps_per_rollout"),
        ({"temperature": "hot"}, "temperature"),
        ({"min_confidence": 1.5}, "min_confidence"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**64}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1001}, "batch_size"),
        ({"posterior": "cauchy"}, "posterior"),
        ({"prior": BetaPrior()}, "prior"),
        ({"prior": 3}, "prior"),
        ({"model_selection": "best"}, "model_selection"),
        ({"refine_prompt": ""}, "refine_prompt"),
        ({"max_total_tokens": 0}, "max_total_tokens"),
        ({"max_cost_usd": 0}, "max_cost_usd"),
        ({"system": 3}, "system"),
        ({"tools": [3]}, "tools"),
        ({"mcp_servers": [3]}, r"mcp_servers\[0\]"),
        ({"provider": Oracle(), "tools": [len]}, "tools is for candidates that are providers"),
        ({"provider": Oracle(), "system": "Be."}, "system is for candidates that are providers"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        AbMcts(**{"provider": Fake(), "verifier": half, **options})


def test_42_the_names_of_candidates_are_their_own() -> None:
    fakes = [Fake(id="a"), Fake(id="a#2"), Fake(id="a"), SingleAgent(Fake(id="a")), Oracle()]
    assert AbMcts(Fake(id="b"), half, candidates=fakes).options.candidates == (
        "b",
        "a",
        "a#2",
        "a#3",
        "a#4",
        "Oracle",
    )


def test_the_names_of_the_documentation_are_taken() -> None:
    agent = AbMcts(candidates=[Fake("one"), Fake("two")], verifier=half, max_simulations=3, max_depth=3)
    assert repr(agent) == "<AbMcts on fake:test, fake:test#2>"
    assert Simulator().run(agent, "Why?").search.iterations == 3
    assert AbMcts(Fake(), half).options.max_iterations == 16


@pytest.mark.parametrize(
    "options", [{"posterior": "beta", "prior": BetaPrior(a=1, b=1)}, {"prior": GaussianPrior(m=0.5)}]
)
def test_a_prior_goes_with_the_run(options: dict[str, Any]) -> None:
    agent = AbMcts(Oracle(), by_number, max_iterations=6, **options)
    run = agent.load(agent.start("Why?").dumps())  # dumped before it has a seed
    again = agent.load(run.dumps())
    for each in (run, again):
        each.begin(bytes(8))
    assert agent.run_sync(run).search.as_text() == agent.run_sync(again).search.as_text()
    assert run.options.prior == options["prior"]


def test_a_run_goes_on_with_its_own_candidates_alone() -> None:
    agent, other = AbMcts(Fake(id="a"), half), AbMcts(Fake(id="b"), half)
    run = agent.start("Why?")
    with pytest.raises(InvalidInput, match="made with the candidates a, and here are b"):
        other.load(run.dumps())
    with pytest.raises(InvalidInput, match="made with the candidates a"):
        other.perform(run, TOP)
    with pytest.raises(InvalidInput, match="has its options already"):
        agent.perform(run, TOP, history=[])
    with pytest.raises(InvalidInput, match="not an AgentRun"):
        agent.perform(SingleAgent(Fake()).start("Why?"), TOP)


# What it gives.


def test_the_best_answer_is_the_result() -> None:
    result = search(Oracle(), by_number)
    best = max((number for number in range(1, 9) if number % 5 != 3), key=score_of)
    assert result.text == f"answer {best}"
    assert result.new_messages == [Message.user("Why?"), Message.assistant(result.text)]
    assert (result.stop_reason, result.detail) == ("stop", "all 8 iterations were used")
    assert (result.steps, result.usage) == (8, Usage(input_tokens=8, output_tokens=8))
    assert [one.path for one in result.sub_agents] == [(f"Oracle:{number}",) for number in range(1, 9)]
    [(text, score, node), *_] = result.best(3)
    assert (text, score, node.number) == (result.text, score_of(best), best)
    assert result.search.as_text().count("* best") == 1


def test_it_stops_when_an_answer_is_good_enough() -> None:
    result = search(Fake("yes"), lambda text: 0.96, min_confidence=0.95)
    assert (result.text, result.search.iterations) == ("yes", 1)
    assert (result.stop_reason, result.detail) == ("stop", "min_confidence was reached: 0.96")


def test_an_answer_that_was_cut_off_is_not_said_to_be_whole() -> None:
    result = search(Oracle(stop_reason="length"), by_number, max_iterations=2)
    assert result.stop_reason == "length"
    assert result.detail == "all 2 iterations were used; the best answer was cut off"
    assert search(Oracle(stop_reason="length"), by_number, max_total_tokens=1).stop_reason == "budget"


@pytest.mark.parametrize("reason", ["max_steps", "content_filter", "other", "interrupted", "aborted"])
def test_an_answer_that_ended_in_another_way_is_none(reason: Any) -> None:
    with pytest.raises(TakoError, match=f"the answer ended with '{reason}'") as caught:
        search(Oracle(stop_reason=reason), by_number, max_iterations=2)
    assert caught.value.usage == Usage(input_tokens=2, output_tokens=2)


def test_a_candidate_that_waits_for_a_person_has_failed() -> None:
    @tool(approval=True)
    def pay() -> str:
        return "paid"

    with pytest.raises(TakoError, match="waits for a decision on pay"):
        search(Fake(script=[[call("c", "pay")]]), half, tools=[pay])


# What is asked.


def test_what_is_asked_is_asked_on_behalf_of_the_same_principal() -> None:
    oracle = Oracle()
    history = [Message.user("Hi"), Message.assistant("Hello")]
    agent = AbMcts(oracle, by_number, max_iterations=1)
    Simulator().run(agent, "Why?", history=history, system="Be brief.", user_id="ada")
    [(before, asked, options)] = oracle.asked
    assert (list(before), list(asked)) == (history, [Message.user("Why?")])
    assert options["principal"] == Principal(user_id="ada")
    assert Message.system(options["system"]) == Message.system("Be brief.")


def test_a_provider_is_an_agent_with_what_was_given() -> None:
    model = Recorded("yes")
    agent = AbMcts(model, half, max_iterations=1, system="Be kind.", temperature=0.3, tools=[len])
    Simulator().run(agent, "Why?")
    [request] = model.requests
    assert (request.temperature, [one.name for one in request.tools]) == (0.3, ["len"])
    assert request.messages == (Message.system("Be kind."), Message.user("Why?"))
    Simulator().run(agent, "Why?", system="Be brief.")
    assert model.requests[-1].messages[0] == Message.system("Be brief.")


def test_a_rollout_calls_its_model_so_often() -> None:
    model = Fake(script=[[call("c", "len", obj="x")]])
    with pytest.raises(TakoError, match="max_steps"):
        search(model, half, tools=iter([len]), max_steps_per_rollout=3, max_iterations=2)
    assert model.call_count == 6


def test_23_no_model_is_asked_with_two_turns_of_the_assistant_in_a_row() -> None:
    model = Recorded("an answer")
    result = search(model, Judge(0.5), max_iterations=16, branching_factor=1)
    depths = [node.depth for node in result.search.tree.nodes]
    assert max(depths) == 16
    for request in model.requests:
        roles = [message.role for message in request.messages]
        assert roles == [Role.USER if place % 2 == 0 else Role.ASSISTANT for place in range(len(roles))]
        assert roles[-1] is Role.USER
    asked = model.requests[1].messages[-1].text
    assert "0.50" in asked and "so so" in asked
    assert [message.role for message in result.new_messages] == [Role.USER, Role.ASSISTANT]


def test_25_the_tool_messages_of_a_rollout_are_kept_for_its_children() -> None:
    @tool(read_only=True)
    def look(at: int) -> str:
        return f"seen {at}"

    model = Recorded([call("c1", "look", at=1)], "first", "second")
    result = search(model, lambda text: 0.1 * len(text), tools=[look], branching_factor=1, max_iterations=2)
    roles = [message.role.value for message in model.requests[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert result.text == "second"
    assert [message.role.value for message in result.new_messages] == ["user", "assistant"]


def test_25_the_tool_messages_of_the_best_answer_are_in_the_result() -> None:
    model = Recorded([call("c1", "len", obj="x")], "first")
    result = search(model, half, tools=[len], max_iterations=1)
    assert [message.role.value for message in result.new_messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]


def test_the_verifier_is_told_the_task_and_the_whole_conversation() -> None:
    judge = Judge()
    search(Recorded("one", "two"), judge, branching_factor=1, max_iterations=2)
    first, second = judge.asked
    assert (first.task, first.text) == ("Why?", "one")
    assert [message.text for message in first.messages] == ["Why?", "one"]
    assert (second.task, second.text) == ("Why?", "two")
    assert [message.text for message in second.messages][::3] == ["Why?", "two"]


# Who is chosen.


def test_42_a_router_chooses_by_place_among_candidates_of_the_same_name() -> None:
    router, one, two = Choosing(), Recorded("one"), Recorded("two")
    result = search(one, half, candidates=[two], router=router, max_iterations=4)
    assert [node.action for node in result.search.tree.nodes[1:]] == ["fake:test#2", "fake:test"] * 2
    assert (one.call_count, two.call_count) == (2, 2)
    assert [situation.step for situation in router.asked] == [1, 2, 3, 4]
    assert router.asked[0].messages == (Message.user("Why?"),)


def test_26_what_a_router_has_used_is_counted() -> None:
    result = search(Fake(), half, router=Choosing(), max_iterations=4)
    assert result.usage == Usage(input_tokens=8, output_tokens=8)


def test_26_so_is_what_one_has_used_that_failed() -> None:
    class Failing(Choosing):
        def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
            yield Sleep(0)
            raise TransportError("lost", usage=ONE_EACH)

    with pytest.raises(TransportError) as caught:
        search(Fake(), half, router=Failing(), max_iterations=4)
    assert caught.value.usage == Usage(input_tokens=4, output_tokens=4)


def test_a_router_is_told_what_the_user_asked_wherever_the_tree_stands() -> None:
    router = Choosing()
    search(Fake(), half, router=router, branching_factor=1, max_iterations=3)
    assert [situation.task for situation in router.asked] == ["Why?"] * 3
    assert [len(situation.messages) for situation in router.asked] == [1, 3, 5]


def test_a_function_does_for_a_router() -> None:
    result = search(Fake(id="a"), half, candidates=[Fake(id="b")], router=lambda task: "b")
    assert {node.action for node in result.search.tree.nodes[1:]} == {"b"}


def test_24_a_router_that_fails_costs_a_trial() -> None:
    def choose(situation: Situation) -> int:
        if situation.step == 2:
            raise OSError("no weather")
        return 0

    result = search(Oracle(lambda number: f"answer {number}"), by_number, router=choose, max_iterations=4)
    assert [node.error is None for node in result.search.tree.nodes[1:]] == [True, False, True, True]


def test_without_a_router_the_tree_learns_who_is_good() -> None:
    result = search(
        candidates=[Fake("good", id="good"), Fake("bad", id="bad")],
        verifier=lambda text: 0.9 if text == "good" else 0.1,
        max_iterations=40,
    )
    names = [node.action for node in result.search.tree.nodes[1:]]
    assert names.count("good") > 2 * names.count("bad")
