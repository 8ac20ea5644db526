"""AbMcts: what it is made of, what it asks of candidates and judges, and what it makes of their failures."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Entropy, Flow, Sleep, Within
from tako.errors import InvalidInput, ProviderError, TakoError, TimedOut, TransportError
from tako.events import AssistantText, Final, NodeAdded, RoleChosen, StepStart, SubAgentEvent, VerifierScore
from tako.models import Capabilities, ChatRequest, Message, Principal, Role, Usage
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.ab_mcts.search_result import SearchResult
from tako.orchestrators.ab_mcts.search_run import SearchRun
from tako.orchestrators.place import TOP, Place
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.tree_search import BetaPrior, GaussianPrior
from tako.providers import Fake
from tako.providers.fake import Truncated
from tako.routers.base import Router, RoutingDecision, Situation
from tako.testing import ANY, Faults, Playbook, Simulator, check_history
from tako.tools import tool
from tako.verifiers import Candidate, Score, Verifier
from tako.verifiers.base import Watch
from tests.orchestrators.kit import Recorded, call, events_of, kinds
from tests.orchestrators.search_kit import ONE_EACH, Oracle, by_number, score_of


def search(*arguments: Any, seed: int = 0, prompt: Any = "Why?", **options: Any) -> SearchResult:
    """The result of a search in the simulator, of which what always holds is checked."""
    agent = AbMcts(*arguments, **{"seed": 7, "min_confidence": None, "max_iterations": 8, **options})
    result = Simulator(seed).run(agent, prompt)
    assert isinstance(result, SearchResult)
    check_history(result.new_messages)
    return result


def half(text: str) -> float:
    return 0.5


class Judge(Verifier):
    """Gives the same score to all, has used something, and says in words what it thinks."""

    def __init__(self, value: float = 0.5, usage: Usage = ONE_EACH, watches: bool = False) -> None:
        self.score, self.watches = Score(value=value, reason="so so", usage=usage), watches
        self.asked: list[Candidate] = []

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        self.asked.append(candidate)
        yield Sleep(0)
        return self.score

    def watch(self) -> Watch | None:
        return (lambda candidate: self.score) if self.watches else None


class Choosing(Router):
    """Chooses place after place, and has used something."""

    def __init__(self) -> None:
        self.asked: list[Situation] = []

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        self.asked.append(situation)
        yield Sleep(0)
        return RoutingDecision(
            index=situation.step % len(situation.candidates), reason="in turn", usage=ONE_EACH
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


# Failures.


def test_24_a_failed_call_or_judge_does_not_end_the_search() -> None:
    def judge(text: str) -> float:
        if text == "answer 4":
            raise OSError("the tests do not start")
        return by_number(text)

    result = search(Oracle(), judge)
    errors = {node.number: node.error for node in result.search.tree.nodes if node.error}
    assert list(errors) == [3, 4, 8]
    assert errors[3] == "lost 3"
    assert "the tests do not start" in errors[4]
    assert result.text
    assert result.usage == Usage(input_tokens=8, output_tokens=8)  # 26: the failed calls as well


@pytest.mark.parametrize(
    "error", [InvalidInput("no such model"), *[ProviderError("no", status=s) for s in (400, 401, 403, 404)]]
)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_24_what_trying_cannot_cure_is_raised_at_once(error: TakoError, batch_size: int) -> None:
    oracle = Oracle(lambda number: error)
    with pytest.raises(type(error)) as caught:
        search(oracle, by_number, batch_size=batch_size)
    assert caught.value is error
    assert len(oracle.asked) == batch_size
    assert isinstance(error.partial, SearchResult)
    assert (error.partial.stop_reason, error.partial.text) == ("error", "")
    assert error.partial.usage == error.usage == Usage(input_tokens=batch_size, output_tokens=batch_size)
    assert error.partial.new_messages == [Message.user("Why?")]


def test_24_after_a_success_even_that_is_one_failure_of_many() -> None:
    result = search(
        Oracle(lambda number: "answer 1" if number == 1 else ProviderError("no", status=401)), by_number
    )
    assert (result.text, result.search.iterations) == ("answer 1", 8)


@pytest.mark.parametrize("status", [None, 408, 409, 429, 500, 503])
def test_24_if_all_fail_the_last_error_is_raised(status: int | None) -> None:
    with pytest.raises(ProviderError, match="no 8") as caught:
        search(Oracle(lambda number: ProviderError(f"no {number}", status=status)), by_number, batch_size=3)
    assert caught.value.partial.search.iterations == 8
    assert caught.value.usage == Usage(input_tokens=8, output_tokens=8)


def test_24_in_another_process_the_words_of_the_failure_are_left() -> None:
    agent = AbMcts(Oracle(lambda number: TransportError(f"lost {number}")), by_number, max_iterations=2)
    with pytest.raises(TransportError, match="lost 2") as caught:
        Simulator().run(agent, "Why?")
    run = agent.load(caught.value.partial.search.dumps())
    with pytest.raises(TakoError, match="no answer could be found: lost 2") as again:
        Simulator().run(agent, run)
    assert again.value.partial == caught.value.partial


@pytest.mark.parametrize(
    ("message", "kept"),
    [("", "TransportError"), ("half \ud800", "half ?"), ("x" * 9999, "of 9,999 characters cut")],
)
def test_24_any_words_of_an_error_can_be_kept(message: str, kept: str) -> None:
    error = TransportError(message)
    result = search(Oracle(lambda number: error if number == 1 else "answer 2"), by_number, max_iterations=2)
    words = result.search.tree.nodes[1].error
    assert words is not None and kept in words
    assert len(words) <= 2000
    assert SearchRun.loads(result.search.dumps()).best() == result.best()


def test_24_an_answer_that_cannot_be_kept_is_a_failure() -> None:
    odd = [[call("c", "len", obj=object())], "done", "plain"]
    result = search(Fake(script=["first", *odd]), half, tools=[len], max_iterations=3)
    assert ["cannot be kept" in (node.error or "") for node in result.search.tree.nodes] == [
        False,
        False,
        True,
        False,
    ]


def test_an_error_that_is_no_tako_error_is_a_mistake_in_the_program() -> None:
    def plan(number: int) -> str:
        raise KeyError(number)

    for batch_size in (1, 2):
        with pytest.raises(KeyError):
            search(Oracle(plan), by_number, batch_size=batch_size)


def test_a_search_that_takes_too_long_gives_what_it_has() -> None:
    agent = AbMcts(Oracle(seconds=lambda number: 1.0), by_number, seed=7)
    with pytest.raises(TimedOut) as caught:
        Simulator().run(_limited(agent))
    partial = caught.value.partial
    assert (partial.stop_reason, partial.search.iterations) == ("cancelled", 4)
    assert partial.text == max(partial.best(4), key=lambda one: one.score).text


def _limited(agent: AbMcts) -> Flow[Any]:
    return (yield Within(4.5, agent.flow("Why?")))


# What was used.


def test_26_every_judge_is_counted() -> None:
    result = search(Fake("yes"), Judge(), max_iterations=4)
    assert result.usage == Usage(input_tokens=8, output_tokens=8)
    assert result.steps == 4


def test_26_so_is_a_judge_that_is_asked_on_the_way() -> None:
    agent = AbMcts(Fake("yes it is"), Judge(watches=True), max_iterations=2, seed=7)
    events = events_of(agent, "Why?")
    partial = [event for event in events if isinstance(event, VerifierScore) and event.is_partial]
    assert len(partial) == 6
    assert [(event.step, event.branch) for event in partial] == [(1, 1)] * 3 + [(2, 2)] * 3
    assert events[-1].result.usage == Usage(input_tokens=2 + 2 + 6, output_tokens=2 + 2 + 6)


def test_26_a_truncated_answer_is_counted() -> None:
    result = search(Fake(script=[Truncated("half"), "whole"]), half, max_iterations=2)
    assert (result.text, result.usage) == ("whole", Usage(input_tokens=2, output_tokens=2))


def test_25_a_budget_stops_the_search_between_two_batches() -> None:
    result = search(Oracle(), by_number, batch_size=2, max_total_tokens=7)
    assert (result.stop_reason, result.detail) == ("budget", "max_total_tokens was reached: 8")
    assert result.search.iterations == 4
    assert result.text


def test_25_dollars_are_a_budget_too() -> None:
    model = Fake("yes")
    model.capabilities = Capabilities(
        supports_streaming=True, usd_per_input_mtok=1e6, usd_per_output_mtok=1e6
    )
    result = search(model, half, max_cost_usd=5)
    assert (result.stop_reason, result.cost_usd, result.search.iterations) == ("budget", 6.0, 3)
    assert search(Fake("yes"), half, max_cost_usd=5).search.iterations == 1  # its price is not known


def test_25_a_batch_is_answered_side_by_side() -> None:
    world = Simulator()
    agent = AbMcts(Oracle(seconds=lambda number: 1.0), by_number, batch_size=4, max_iterations=8)
    world.run(agent, "Why?")
    assert world.now == 2.0


# Going on.


def test_it_goes_on_from_where_it_was_dumped() -> None:
    agent = AbMcts(Oracle(), by_number, seed=7, batch_size=3)
    whole = Simulator().run(agent, "Why?")
    run = agent.start("Why?")
    run.begin(bytes(8))
    run.next_step()
    result = Simulator().run(agent, agent.load(run.dumps()))
    assert result.search.tree.dumps() == whole.search.tree.dumps()
    assert result == whole


def test_a_search_that_has_ended_gives_its_result_again() -> None:
    agent = AbMcts(Oracle(), by_number, seed=7, max_iterations=4)
    result = Simulator().run(agent, "Why?")
    assert Simulator().run(agent, result.search) == result
    assert Simulator().run(agent, agent.load(result.search.dumps())) == result


# What is told.


def test_the_events_of_a_search() -> None:
    agent = AbMcts(Fake("yes"), half, max_iterations=2, seed=7)
    events = events_of(agent, "Why?")
    iteration = ["step_start", "sub_agent_event", "sub_agent_event", "sub_agent_event"]
    iteration += ["verifier_score", "node_added"]
    assert kinds(events) == [*iteration, *iteration, "assistant_text", "final"]
    starts = [event for event in events if isinstance(event, StepStart)]
    result = events[-1].result
    assert [(event.step, event.turn_id) for event in starts] == [
        (number, f"turn_{result.search.run_id}_{number}") for number in (1, 2)
    ]
    assert [event.path for event in events if isinstance(event, SubAgentEvent)] == [
        (f"fake:test:{number}",) for number in (1, 1, 1, 2, 2, 2)
    ]
    assert events[4] == VerifierScore(1, 1, 0.5, False, "")
    assert events[5] == NodeAdded(1, 1, 0, "fake:test", 0.5)
    assert events[-2] == AssistantText(1, "yes")
    assert events[-1] == Final("yes", result.usage, result)


def test_the_events_of_a_batch_and_of_its_failures() -> None:
    agent = AbMcts(Oracle(), by_number, max_iterations=3, batch_size=3, seed=7, router=Choosing())
    events = events_of(agent, "Why?")
    assert kinds(events)[:3] == ["step_start"] * 3
    assert kinds(events)[-5:] == ["node_added"] * 3 + ["assistant_text", "final"]
    assert events[-3] == NodeAdded(3, 3, 0, "Oracle", 0.0, "lost 3")
    assert {event.step for event in events if isinstance(event, VerifierScore)} == {1, 2}
    chosen = [event for event in events if isinstance(event, RoleChosen)]
    assert sorted(chosen, key=lambda event: event.step)[0] == RoleChosen(1, "Oracle", 0, 1.0, "in turn")


def test_who_does_not_listen_is_told_nothing() -> None:
    world = Simulator()
    world.run(AbMcts(Fake("yes"), Judge(watches=True), max_iterations=2), "Why?")
    assert not [entry for entry in world.trace if entry.what.startswith("Emit")]


def test_without_an_answer_only_the_end_is_told() -> None:
    world = Simulator(faults=Faults(cancel_at=0.5))
    agent = AbMcts(Oracle(seconds=lambda number: 1.0), by_number)
    events = list(world.stream(agent, "Why?"))
    assert kinds(events) == ["step_start", "final"]
    assert (events[-1].text, events[-1].result.stop_reason) == ("", "cancelled")


def test_a_search_in_a_search() -> None:
    inner = AbMcts(Fake("yes"), half, max_iterations=2, seed=7)
    events = events_of(AbMcts(inner, half, max_iterations=2, seed=7), "Why?")
    paths = {event.path for event in events if isinstance(event, SubAgentEvent)}
    assert paths == {
        (f"AbMcts:{outer}", *inner_path)
        for outer in (1, 2)
        for inner_path in [(), ("fake:test:1",), ("fake:test:2",)]
    }
    result = events[-1].result
    assert (result.steps, result.usage.input_tokens) == (4, 4)
    assert [one.path for one in result.sub_agents[0].sub_agents] == [
        ("AbMcts:1", "fake:test:1"),
        ("AbMcts:1", "fake:test:2"),
    ]
    assert [event.delta for event in events if isinstance(event, AssistantText)] == ["yes"]


def test_in_a_search_in_a_search_what_watches_hears_of_its_own_alone() -> None:
    inner = AbMcts(Fake("a b"), Judge(0.25, watches=True), max_iterations=1)
    events = events_of(AbMcts(inner, Judge(0.75, watches=True), max_iterations=1), "Why?")
    partial = [
        (getattr(event, "path", ()), score.score)
        for event in events
        if isinstance(score := getattr(event, "event", event), VerifierScore) and score.is_partial
    ]
    assert partial == [*[(("AbMcts:1",), 0.25)] * 2, ((), 0.75)]


def test_where_a_journal_is_kept_the_choices_and_scores_are_tasks() -> None:
    agent = AbMcts(Oracle(), by_number, router=Choosing(), seed=7, max_iterations=1)
    run = agent.start("Why?")
    played = Playbook(agent.perform(run, Place(is_journalled=True)))
    played.expect(Entropy(8), reply=bytes(8))
    tasks: list[Any] = []
    for reply in (RoutingDecision(index=0), None, Score(value=0.5)):
        played.expect(Sleep if reply is None else Within(None, ANY, None, ANY), reply=reply)
        tasks.append(getattr(played.effect, "task", None))
    assert [task and task.kind for task in tasks] == ["route", None, "score"]
    assert played.returns().text == "answer 1"


def test_an_answer_that_nobody_heard_of_is_in_the_search() -> None:
    """The consumer hears of a score; by then the answer is fed, so a dump has it."""
    agent = AbMcts(Fake("yes"), half, batch_size=2, seed=7)
    run = agent.start("Why?")
    for event in Simulator().stream(agent, run):
        if isinstance(event, VerifierScore):
            break
    loaded = SearchRun.loads(run.dumps())
    assert loaded.best()[0].text == "yes"
    assert loaded.iterations == 0  # the batch is not over


def test_a_model_sees_the_request_of_its_own_branch_alone() -> None:
    seen: list[ChatRequest] = []

    def model(request: ChatRequest) -> str:
        seen.append(request)
        return f"answer {len(seen)}"

    result = search(Fake(script=model), by_number, max_iterations=12)
    nodes = result.search.tree.nodes
    for number, request in enumerate(seen, 1):
        path, node = [], nodes[number]
        while node.parent:
            node = nodes[node.parent]
            path.insert(0, f"answer {node.number}")
        assert [message.text for message in request.messages if message.role is Role.ASSISTANT] == path
