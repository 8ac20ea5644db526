"""SearchRun: the table at its head, line by line, and what holds wherever it is dumped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput, TakoError
from tako.models import Message, ToolCallPart, ToolResultPart, Usage
from tako.orchestrators.ab_mcts.search_run import REASON_LIMIT, SearchRun
from tako.orchestrators.ab_mcts.search_steps import (
    Answer,
    Expand,
    Expansion,
    Finished,
    Spending,
    TrialDropped,
    TrialFailed,
    TrialScored,
)
from tests.effort import examples
from tests.orchestrators.search_kit import ONE_EACH, SEED, finish, new_run, outcome_of, score_of


def trials(run: SearchRun) -> tuple[Expansion, ...]:
    step = run.next_step()
    assert isinstance(step, Expand), step
    return step.trials


def feed_batch(run: SearchRun, *scores: float) -> None:
    """Score the batch that is open; the last score holds for the rest of it."""
    for index, trial in enumerate(trials(run)):
        run.feed(outcome_of(trial, scores[min(index, len(scores) - 1)]))


def failed(trial: Expansion, error: str = "lost", **fields: Any) -> TrialFailed:
    return TrialFailed(number=trial.number, candidate=trial.candidate, error=error, **fields)


def end_of(run: SearchRun) -> Finished:
    step = run.next_step()
    assert isinstance(step, Finished), step
    return step


# Begun, and asked.


def test_without_a_seed_it_has_to_be_begun() -> None:
    run = SearchRun(new_run().opening, new_run(seed=None).options)
    with pytest.raises(InvalidInput, match="no seed yet"):
        run.next_step()
    assert (run.best(), run.iterations, run.usage) == ([], 0, Usage())
    run.begin(SEED)
    assert trials(run)[0].number == 1
    with pytest.raises(InvalidInput, match="begun already"):
        run.begin(SEED)


@pytest.mark.parametrize("chance", [b"", bytes(7), "12345678"])
def test_it_is_begun_with_eight_bytes(chance: Any) -> None:
    with pytest.raises(InvalidInput, match="eight bytes"):
        SearchRun(new_run().opening, new_run().options).begin(chance)


def test_the_seed_that_was_given_counts_and_another_chance_changes_the_id_alone() -> None:
    one, other = new_run(), SearchRun(new_run().opening, new_run().options)
    other.begin(bytes(8))
    assert finish(one).as_text() == finish(other).as_text()
    assert one.run_id != other.run_id


def test_chance_is_the_seed_where_none_was_given() -> None:
    trees = {finish(new_run(seed=seed, max_iterations=12)).as_text() for seed in (None, 0x0001020304050607)}
    assert len(trees) == 1


def test_asked_again_it_says_the_same() -> None:
    run = new_run(batch_size=3)
    first = run.next_step()
    assert run.next_step() == first
    [_, second, _] = trials(run)
    run.feed(outcome_of(second))
    assert [trial.number for trial in trials(run)] == [1, 3]


def test_the_last_batch_is_as_large_as_what_is_left() -> None:
    run = new_run(batch_size=3, max_iterations=4)
    assert len(trials(run)) == 3
    for trial in trials(run):
        run.feed(outcome_of(trial))
    assert [trial.number for trial in trials(run)] == [4]


# Fed.


def test_what_is_not_open_is_refused_and_changes_nothing() -> None:
    run = new_run(batch_size=2)
    with pytest.raises(InvalidInput, match="no trial 1 is open"):
        run.feed(TrialDropped(number=1))
    [first, _] = trials(run)
    run.feed(outcome_of(first))
    before = run.dumps()
    for number in (0, 1, 3, -1):
        with pytest.raises(InvalidInput, match=f"no trial {number} is open"):
            run.feed(outcome_of(Expansion(number, 0, first.candidate, (), ())))
    with pytest.raises(InvalidInput, match="no candidate 'who'"):
        run.feed(outcome_of(Expansion(2, 0, "who", (), ())))
    assert run.dumps() == before


def test_a_batch_goes_into_the_tree_as_a_whole_in_the_order_of_its_numbers() -> None:
    run = new_run(batch_size=3)
    one, two, three = trials(run)
    run.feed(outcome_of(three))
    run.feed(outcome_of(one))
    assert run.settle() == ()
    assert run.iterations == 0
    run.feed(outcome_of(two))
    assert [(node.number, node.score) for node in run.settle()] == [
        (1, score_of(1)),
        (2, score_of(2)),
        (3, None),  # as `said` has it
    ]
    assert run.settle() == ()


def test_another_candidate_than_the_tree_chose_is_the_one_that_is_judged() -> None:
    run = new_run(candidates=("a", "b"))
    [trial] = trials(run)
    other = "b" if trial.candidate == "a" else "a"
    run.feed(TrialFailed(number=1, candidate=other, error="lost"))
    assert [node.action for node in run.settle()] == [other]


def test_a_dropped_trial_stays_to_be_done_and_is_counted() -> None:
    run = new_run()
    [trial] = trials(run)
    run.feed(TrialDropped(number=1, spent=Spending(usage=ONE_EACH, cost_usd=0.5)))
    assert trials(run) == (trial,)
    run.feed(TrialFailed(number=1, candidate="answer", error="x", spent=Spending(cost_usd=0.25)))
    assert (run.usage, run.cost_usd) == (ONE_EACH, 0.75)
    run.settle()
    assert (run.usage, run.cost_usd) == (ONE_EACH, 0.75)


def test_a_price_that_is_not_known_makes_the_sum_unknown() -> None:
    known, unknown = Spending(cost_usd=0.5), Spending(cost_usd=None)
    assert (known + known).cost_usd == 1.0
    assert (known + unknown).cost_usd is (unknown + known).cost_usd is None


# The ends.


def test_it_ends_when_a_score_is_good_enough() -> None:
    run = new_run(min_confidence=0.5)
    feed_batch(run, 0.49)
    feed_batch(run, 0.5)
    assert end_of(run) == Finished("stop", "min_confidence was reached: 0.5")
    assert end_of(run) == end_of(run)


def test_without_min_confidence_it_goes_on_with_the_best_score_there_is() -> None:
    run = new_run(min_confidence=None, max_iterations=2)
    feed_batch(run, 1.0)
    feed_batch(run, 1.0)
    assert end_of(run) == Finished("stop", "all 2 iterations were used")


def test_it_ends_when_the_tokens_are_used_up_but_not_before_the_first_batch() -> None:
    run = new_run(max_total_tokens=4)
    feed_batch(run, 0.1)
    feed_batch(run, 0.1)
    assert end_of(run) == Finished("budget", "max_total_tokens was reached: 4")


def test_it_ends_when_the_dollars_are_used_up() -> None:
    run = new_run(max_cost_usd=0.3)
    for _ in range(3):
        [trial] = trials(run)
        run.feed(
            outcome_of(trial, 0.1).model_copy(update={"spent": Spending(cost_usd=0.125)})
            if trial.number < 3
            else failed(trial, spent=Spending(cost_usd=0.125))
        )
    assert end_of(run) == Finished("budget", "max_cost_usd was reached: 0.375")


def test_a_price_that_nobody_knows_cannot_be_kept_to() -> None:
    run = new_run(max_cost_usd=100)
    [trial] = trials(run)
    run.feed(outcome_of(trial, 0.1).model_copy(update={"spent": Spending(cost_usd=None)}))
    assert end_of(run) == Finished(
        "budget", "max_cost_usd cannot be kept: the price of what was used is not known"
    )


def test_it_ends_when_the_tree_has_no_place_left() -> None:
    run = new_run(branching_factor=1, max_depth=2, batch_size=2)
    assert len(trials(run)) == 1  # no second place yet
    feed_batch(run, 0.1)
    feed_batch(run, 0.2)
    assert end_of(run) == Finished("stop", "the tree has no place for another node")
    assert SearchRun.loads(run.dumps()).next_step() == run.next_step()


def test_a_hopeless_failure_ends_it_if_nothing_has_succeeded() -> None:
    run = new_run(batch_size=3)
    one, two, three = trials(run)
    run.feed(failed(three, "other key", is_hopeless=True))
    run.feed(failed(one))
    run.feed(failed(two, "wrong key", is_hopeless=True))
    assert end_of(run) == Finished("error", "wrong key", 2)
    assert SearchRun.loads(run.dumps()).next_step() == end_of(run)


def test_24_while_a_candidate_is_left_that_may_do_a_wrong_key_of_another_ends_nothing() -> None:
    run = new_run(candidates=("a", "b"))
    for number, candidate, is_hopeless in [(1, "b", False), (2, "a", True), (3, "a", True), (4, "b", True)]:
        assert [trial.number for trial in trials(run)] == [number]
        run.feed(TrialFailed(number=number, candidate=candidate, error=f"{number}", is_hopeless=is_hopeless))
        run.settle()
        run = SearchRun.loads(run.dumps())  # which knows who has failed
    assert end_of(run) == Finished("error", "2", 2)


def test_a_hopeless_failure_beside_an_answer_or_after_one_is_one_of_many() -> None:
    run = new_run(batch_size=2)
    one, two = trials(run)
    run.feed(failed(one, is_hopeless=True))
    run.feed(outcome_of(two, 0.5))
    for trial in trials(run):
        run.feed(failed(trial, is_hopeless=True))
    assert trials(run)[0].number == 5


@pytest.mark.parametrize("limits", [{"max_iterations": 2}, {"max_total_tokens": 1}])
def test_where_nothing_has_succeeded_the_end_is_the_last_failure(limits: dict[str, int]) -> None:
    run = new_run(batch_size=2, **limits)
    one, two = trials(run)
    run.feed(failed(two, "second", spent=Spending(usage=ONE_EACH)))
    run.feed(failed(one, "first"))
    assert end_of(run) == Finished("error", "second", 2)


def test_with_options_that_allow_more_it_goes_on() -> None:
    run = finish(new_run(max_iterations=4))
    run.options = run.options.model_copy(update={"max_iterations": 9})
    assert finish(run).iterations == 9
    assert run.as_text() == finish(new_run(max_iterations=9)).as_text()


# The conversation.


def test_at_the_root_the_question_is_asked() -> None:
    history = (Message.user("Hi"), Message.assistant("Hello"))
    [trial] = trials(new_run(history))
    assert (trial.history, trial.prompt) == (history, (Message.user("Why?"),))
    assert trial.questions == 0


def below_the_root(**options: Any) -> tuple[SearchRun, Expansion]:
    """A search of which each node goes on from the one before, and its third trial."""
    run = new_run(branching_factor=1, **options)
    feed_batch(run, 0.25)
    feed_batch(run, 0.5)
    return run, trials(run)[0]


def test_23_below_the_root_a_turn_of_the_user_asks_for_a_better_answer() -> None:
    _, trial = below_the_root(refine_prompt="It got {score}. {reason} Again, {kindly}!")
    assert [message.text for message in trial.history] == [
        "Why?",
        "answer 1",
        "It got 0.25. because of 1 Again, {kindly}!",
        "answer 2",
    ]
    [asked] = trial.prompt
    assert asked == Message.user("It got 0.50. because of 2 Again, {kindly}!")


def test_23_what_a_judge_says_is_bounded_and_no_template() -> None:
    run = new_run(branching_factor=1, refine_prompt="{reason}")
    answer = Answer.of([Message.assistant("x")], text="x", reason="{score}" + "y" * REASON_LIMIT)
    run.feed(TrialScored(number=trials(run)[0].number, candidate="answer", answer=answer, score=0.5))
    [asked] = trials(run)[0].prompt
    assert asked.text.startswith("{score}yyy")
    assert len(asked.text) < REASON_LIMIT + 200


def test_23_without_a_reason_it_says_so() -> None:
    run = new_run(branching_factor=1)
    answer = Answer.of([Message.assistant("x")], text="x")
    run.feed(TrialScored(number=trials(run)[0].number, candidate="answer", answer=answer, score=0.5))
    [asked] = trials(run)[0].prompt
    assert "0.50" in asked.text
    assert "not given" in asked.text and "{" not in asked.text


def test_25_the_calls_of_tools_and_their_results_are_kept_however_deep_their_arguments() -> None:
    deep: Any = 1
    for _ in range(120):
        deep = [deep]
    messages = [
        Message.assistant([ToolCallPart(id="c", name="look", args={"at": deep})]),
        Message.tool([ToolResultPart(id="c", name="look", result="seen")]),
        Message.assistant("done"),
    ]
    run = new_run(branching_factor=1)
    [trial] = trials(run)
    run.feed(TrialScored(number=1, candidate="answer", answer=Answer.of(messages, text="done"), score=0.5))
    run = SearchRun.loads(run.dumps())
    assert list(trials(run)[0].history) == [Message.user("Why?"), *messages]
    assert trial.number == 1


def test_what_is_no_json_cannot_be_kept() -> None:
    with pytest.raises(TakoError, match="cannot be kept") as caught:
        Answer.of([Message.assistant([ToolCallPart(id="c", name="n", args={"at": object()})])], text="")
    assert not isinstance(caught.value, InvalidInput)  # the model has said it: another try may do


# What there is.


def test_of_an_open_batch_the_tree_has_what_is_there() -> None:
    run = new_run(batch_size=4)
    for trial in trials(run)[1:2]:
        run.feed(outcome_of(trial, 0.5))
    assert [(node.number, node.score, node.error) for node in run.tree.nodes[1:]] == [
        (1, None, "cancelled before there was an answer"),
        (2, 0.5, None),
    ]
    assert run.tree.pending == ()
    assert [(text, score, node.number) for text, score, node in run.best(3)] == [("answer 2", 0.5, 2)]
    assert (run.iterations, run.usage) == (0, ONE_EACH)
    assert [trial.number for trial in trials(run)] == [1, 3, 4]  # looking has changed nothing


def test_the_best_are_sorted_and_of_equals_the_older_one_comes_first() -> None:
    run = new_run(batch_size=4)
    feed_batch(run, 0.5, 0.75, 0.5, 0.25)
    run.settle()
    assert [(one.text, one.score) for one in run.best(3)] == [
        ("answer 2", 0.75),
        ("answer 1", 0.5),
        ("answer 3", 0.5),
    ]


def test_the_drawings_say_who_answered_what() -> None:
    run = finish(new_run(max_iterations=3))
    assert run.as_text().splitlines()[0].startswith("root Why?")
    assert "answer 1" in run.as_text() and "lost 3" in run.as_text()
    assert "answer 1" in run.as_dot() and "answer 1" in run.as_svg()
    assert [one["score"] for one in run.as_data()["children"]] == [score_of(1), score_of(2), None]


def test_a_copy_goes_its_own_way() -> None:
    run = new_run()
    twin = run.copy()
    feed_batch(twin, 0.5)
    twin.settle()
    assert (run.iterations, twin.iterations) == (0, 1)
    assert finish(run).iterations == 16


# Dumped.


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"version": 2}', b"\xff"])
def test_what_is_no_search_is_refused(text: Any) -> None:
    with pytest.raises(InvalidInput, match="not a search that was dumped"):
        SearchRun.loads(text)


def halfway() -> dict[str, Any]:
    run = new_run(batch_size=3)
    feed_batch(run, 0.25, 0.5, 0.75)
    run.feed(outcome_of(trials(run)[1], 0.5))
    loaded: dict[str, Any] = json.loads(run.dumps())
    return loaded


def spoiled(data: dict[str, Any], *path: Any, to: Any) -> str:
    at: Any = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return json.dumps(data)


@pytest.mark.parametrize(
    ("path", "to", "words"),
    [
        (("options", "candidates"), ["x"], "other actions"),
        (("hopeless",), {"answer": 9}, "does not have the failures"),
        (("hopeless",), {"who": 1}, "does not have the failures"),
        (("tree",), None, "no trial 5 is open"),
        (("outcomes", 0, "number"), 4711, "no trial 4711 is open"),
        (("outcomes", 0, "candidate"), "who", "no candidate 'who'"),
        (("outcomes", 0, "kind"), "dropped", "outcomes"),
        (("outcomes", 0, "answer", "conversation"), "?", "JSON"),
        (("tree", "nodes", 0, "state"), None, "Answer"),
        (("tree", "nodes", 0, "state", "conversation"), "[]", "node 1 has no answer"),
        (("tree", "nodes", 0, "score"), 7, "score"),
        (("outcomes", 0, "answer", "conversation"), "[]", "trial 5 has no answer"),
        (("prompt", 0, "role"), "who", "prompt"),
    ],
)
def test_what_contradicts_itself_is_refused(path: tuple[Any, ...], to: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match="not a search that was dumped") as caught:
        SearchRun.loads(spoiled(halfway(), *path, to=to))
    assert words in caught.value.message


@settings(max_examples=examples(2))
@given(data=st.data())
def test_whatever_stands_in_a_text_it_is_refused_or_the_search_goes_on(data: st.DataObject) -> None:
    """Contract 10."""
    whole = halfway()
    path: list[Any] = []
    at: Any = whole
    while isinstance(at, dict | list) and at and (not path or data.draw(st.integers(0, 5))):
        path.append(data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at)))))
        at = at[path[-1]]
    value = data.draw(
        st.sampled_from([None, 0, 1, 2, -1, 1.5, "", "x", "answer", [], {}, True, [None], 1e300])
    )
    try:
        run = SearchRun.loads(spoiled(whole, *path, to=value))
    except InvalidInput as error:
        assert "not a search that was dumped" in error.message
        return
    if not run.run_id:
        run.begin(SEED)
    finish(run)
    assert run.as_text().startswith("root")
    assert SearchRun.loads(run.dumps()).best() == run.best()


@settings(max_examples=examples(0.6))
@given(data=st.data(), batch_size=st.integers(1, 5), seed=st.integers(0, 9))
def test_whatever_arrives_first_and_wherever_it_is_dumped_the_tree_is_the_same(
    data: st.DataObject, batch_size: int, seed: int
) -> None:
    options: dict[str, Any] = {
        "seed": seed,
        "batch_size": batch_size,
        "candidates": ("a", "b"),
        "max_iterations": 13,
    }
    expected = finish(new_run(**options))
    run = new_run(**options)
    while isinstance(step := run.next_step(), Expand):
        run.feed(outcome_of(data.draw(st.sampled_from(step.trials))))
        if data.draw(st.booleans()):
            loaded = SearchRun.loads(run.dumps())
            assert loaded.next_step() == run.next_step()
            run = loaded
    assert run.tree.dumps() == expected.tree.dumps()
    assert (run.usage, run.next_step()) == (expected.usage, expected.next_step())
