"""AbMcts on its way: what it makes of failures, what it counts, how it goes on, and what it tells."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Entropy, Flow, Sleep, Within
from tako.errors import InvalidInput, ProviderError, TakoError, TimedOut, TransportError
from tako.events import AssistantText, Final, NodeAdded, RoleChosen, StepStart, SubAgentEvent, VerifierScore
from tako.models import Capabilities, ChatRequest, Message, Role, Usage
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.ab_mcts.search_result import SearchResult
from tako.orchestrators.ab_mcts.search_run import SearchRun
from tako.orchestrators.place import Place
from tako.providers import Fake
from tako.providers.fake import Truncated
from tako.routers.base import RoutingDecision
from tako.testing import ANY, Faults, Playbook, Simulator
from tako.verifiers import Score
from tests.orchestrators.kit import call, events_of, kinds
from tests.orchestrators.search_kit import (
    Choosing,
    Judge,
    Oracle,
    by_number,
    half,
    search,
)

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


@pytest.mark.parametrize("seed", range(4))
def test_24_one_wrong_key_of_two_does_not_end_the_search(seed: int) -> None:
    def refuse(request: ChatRequest) -> str:
        raise ProviderError("wrong key", status=401)

    models = [Fake(id="wrong", script=refuse), Fake("yes", id="right")]
    assert search(candidates=models, verifier=half, seed=seed).text == "yes"


def test_24_a_text_that_cannot_be_written_is_a_failure_even_as_the_first_answer() -> None:
    result = search(Fake(script=["half a character: \ud800", "whole"]), half, max_iterations=2)
    assert result.text == "whole"
    assert result.search.as_svg()


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
