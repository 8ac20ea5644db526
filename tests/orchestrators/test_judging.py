"""Judging: what a verifier thinks of an answer, whole or on its way, and what asking it has used."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tako.effects import Emit, Entropy, Flow, Gather, Sleep, Within
from tako.errors import Cancelled, ProviderError, TakoError
from tako.events import AssistantText, OrchEvent, StepStart, SubAgentEvent, VerifierScore
from tako.models import NOT_COUNTED, ChatResponse, Message, Usage
from tako.orchestrators.judging import scored, watched
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.place import AUDIENCE, TOP, Place
from tako.orchestrators.result import RunResult
from tako.testing.playbook import Playbook
from tako.testing.simulator import Simulator
from tako.verifiers.base import Candidate, Score, Verifier, Watch

ONE = Usage(input_tokens=1, output_tokens=1)


class Length(Verifier):
    """A tenth for each character; counts the answers that it watches."""

    def __init__(self, watch: Watch | None = None, error: TakoError | None = None) -> None:
        self.given, self.error = watch, error
        self.answers = 0

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        yield Sleep(1)
        if self.error is not None:
            raise self.error
        return Score(value=len(candidate.text) / 10, reason=candidate.text, usage=ONE, cost_usd=0.5)

    def watch(self) -> Watch | None:
        self.answers += 1
        return self.given or (lambda candidate: Score(value=len(candidate.text) / 10, reason=candidate.text))


def says(*events: OrchEvent) -> Flow[str]:
    for event in events:
        yield Emit((event,))
    return "said"


class Given:
    """Somebody whose flow this is."""

    def __init__(self, flow: Flow[Any]) -> None:
        self.given = flow

    def flow(self, *_: Any, **__: Any) -> Flow[Any]:
        return self.given


def events_of(flow: Flow[Any]) -> tuple[list[Any], Any]:
    run = Simulator().stream(Given(flow))
    return list(run), run.result


def watch_it(flow: Flow[Any], verifier: Verifier, ledger: Ledger | None = None, **more: Any) -> Flow[Any]:
    fields: dict[str, Any] = {"place": AUDIENCE, "path": (), "step": 3, "branch": 2, **more}
    fields["ledger"] = ledger or Ledger()
    return watched(flow, verifier, "task", **fields)


def text(delta: str, *path: str) -> OrchEvent:
    event = AssistantText(1, delta)
    return SubAgentEvent(path, event) if path else event


# A whole answer.


@pytest.mark.parametrize("place", [TOP, Place(is_journalled=True)])
def test_a_score_is_given_and_what_it_took_is_booked(place: Place) -> None:
    ledger, candidate = Ledger(), Candidate("task", "four")
    assert Simulator().run(scored(place, Length(), candidate, ledger)).value == 0.4
    assert (ledger.usage, ledger.cost_usd, ledger.sub_agents) == (ONE, 0.5, ())


def test_where_a_journal_is_kept_it_is_told_what_was_judged() -> None:
    ledger = Ledger()
    book = Playbook(scored(Place(is_journalled=True), Length(), Candidate("task", "four"), ledger))
    book.expect(Within, reply=Score(value=1, usage=ONE))
    assert isinstance(book.effect, Within) and book.effect.task is not None
    assert (book.effect.task.kind, book.effect.task.about()["text"]) == ("score", "four")
    assert book.returns().value == 1 and ledger.usage == ONE  # counted also where the journal had it


@pytest.mark.parametrize(
    ("fields", "used"),
    [
        ({"partial": ChatResponse(message=Message.assistant("0."), usage=ONE)}, ONE),
        ({"usage": ONE}, ONE),
        ({"partial": RunResult("", ONE, 1, [], "error", cost_usd=2.0), "usage": Usage(input_tokens=9)}, ONE),
        ({}, NOT_COUNTED),
    ],
)
def test_a_judge_that_fails_is_raised_and_booked(fields: dict[str, Any], used: Usage) -> None:
    ledger = Ledger()
    with pytest.raises(ProviderError, match="out"):
        judge = Length(error=ProviderError("out", **fields))
        Simulator().run(scored(TOP, judge, Candidate("", ""), ledger))
    assert ledger.usage == used


# An answer that grows.


def test_each_piece_of_text_is_judged_with_all_before_it() -> None:
    events, result = events_of(watch_it(says(text("a"), text("bc")), Length()))
    assert events == [
        text("a"),
        VerifierScore(3, 2, 0.1, True, "a"),
        text("bc"),
        VerifierScore(3, 2, 0.3, True, "abc"),
    ]
    assert result == "said"


def test_a_verifier_that_cannot_watch_leaves_the_flow_to_itself() -> None:
    class Whole(Length):
        def watch(self) -> None:
            return None

    flow = says()
    assert watch_it(flow, Whole()) is flow


def test_a_new_step_is_a_new_answer() -> None:
    judge = Length()
    flow = watch_it(says(text("a"), StepStart(2, "t"), text("b")), judge)
    events, _ = events_of(flow)
    assert [one.reason for one in events if isinstance(one, VerifierScore)] == ["a", "b"]
    assert judge.answers == 2


def test_several_pieces_at_once_are_judged_once_and_empty_ones_not_at_all() -> None:
    def flow() -> Flow[None]:
        yield Emit((text("old"), StepStart(2, "t"), text("a"), text("b")))
        yield Emit((text(""),))

    events, _ = events_of(watch_it(flow(), Length()))
    assert [one.reason for one in events if isinstance(one, VerifierScore)] == ["ab"]


@pytest.mark.parametrize(
    ("path", "heard"), [((), ["top"]), (("w",), ["work"]), (("w", "deep"), ["deep"]), (("x",), [])]
)
def test_only_that_very_path_is_heard(path: tuple[str, ...], heard: list[str]) -> None:
    spoken = [
        text("top"),
        SubAgentEvent(("w",), StepStart(1, "t")),
        text("work", "w"),
        text("deep", "w", "deep"),
    ]
    events, _ = events_of(watch_it(says(*spoken), Length(), path=path))
    added = [one for one in events if one not in spoken]
    assert [one.reason for one in added] == heard


def test_the_scores_are_told_where_the_place_says() -> None:
    flow = watch_it(says(text("hi", "c", "w")), Length(), path=("c", "w"), place=AUDIENCE.below("c"))
    events, _ = events_of(flow)
    assert events[1] == SubAgentEvent(("c",), VerifierScore(3, 2, 0.2, True, "hi"))


def test_answers_side_by_side_and_within_a_limit_are_seen() -> None:
    def flow() -> Flow[Any]:
        place = AUDIENCE.below("w")
        mine = watch_it(says(text("a", "w"), text("b", "w")), Length(), place=place, path=("w",))
        return (yield Within(9, gathered(mine, says(text("c", "v")))))

    def gathered(*flows: Flow[Any]) -> Flow[Any]:
        return (yield Gather(flows))

    outer = Length()
    events, outcomes = events_of(watch_it(flow(), outer, place=AUDIENCE.below("v"), path=("v",)))
    scores = [
        (one.path, one.event.reason) for one in events if isinstance(getattr(one, "event", 0), VerifierScore)
    ]
    assert sorted(scores) == [(("v",), "c"), (("w",), "a"), (("w",), "ab")]
    assert [one.value for one in outcomes] == ["said", "said"]


def test_what_watching_takes_is_booked_and_may_take_its_time() -> None:
    def later(candidate: Candidate) -> Flow[Score]:
        yield Sleep(2)
        return Score(value=1, usage=ONE, cost_usd=1.0)

    def at_once(candidate: Candidate) -> Score:
        return Score(value=1, usage=ONE, cost_usd=1.0)

    watches: tuple[Watch, ...] = (later, at_once)
    for watch in watches:
        ledger = Ledger()
        flow = watch_it(says(text("a"), text("b")), Length(watch), ledger)
        assert len(list(Simulator().stream(Given(flow)))) == 4
        assert ledger.usage == ONE + ONE and ledger.cost_usd == 2.0


def test_where_a_journal_is_kept_only_a_watch_that_asks_nobody_is_asked() -> None:
    """A run that goes on would ask a model again: pay twice, and stand elsewhere in its journal."""
    ledger, begun = Ledger(), []

    def look(candidate: Candidate) -> Score | Flow[Score]:
        return model(candidate) if len(candidate.text) == 1 else Score(value=0.5, reason=candidate.text)

    def model(candidate: Candidate) -> Flow[Score]:
        begun.append(candidate.text)
        yield Sleep(1)
        return Score(value=1, usage=ONE)

    place = replace(AUDIENCE, is_journalled=True)
    events, _ = events_of(watch_it(says(text("a"), text("b")), Length(look), ledger, place=place))
    assert events == [text("a"), text("b"), VerifierScore(3, 2, 0.5, True, "ab")]
    assert begun == [] and ledger.usage == NOT_COUNTED


def test_nothing_to_say_yet_is_no_score() -> None:
    events, _ = events_of(watch_it(says(text("a")), Length(lambda candidate: None)))
    assert events == [text("a")]


def _raises(candidate: Candidate) -> Score:
    raise KeyError("mine")


def _fails(candidate: Candidate) -> Flow[Score]:
    yield Sleep(1)
    raise ProviderError("out", usage=ONE)


@pytest.mark.parametrize(("watch", "used"), [(_raises, NOT_COUNTED), (_fails, ONE)])
def test_a_watch_that_fails_never_breaks_the_answer_and_is_asked_no_more(watch: Watch, used: Usage) -> None:
    calls: list[str] = []

    def counted(candidate: Candidate) -> Any:
        calls.append(candidate.text)
        return watch(candidate)

    ledger = Ledger()
    spoken = [text("a"), text("b"), StepStart(2, "t"), text("c")]
    events, result = events_of(watch_it(says(*spoken), Length(counted), ledger))
    assert events == spoken and result == "said"
    assert calls == ["a", "c"] and ledger.usage == used + used  # the next answer has a new watch


def test_a_cancel_while_it_is_judged_reaches_the_answer() -> None:
    heard: list[str] = []

    def flow() -> Flow[str]:
        try:
            yield Emit((text("a"),))
        except Cancelled:
            heard.append("cancelled")
        return "what there was"

    book = Playbook(watch_it(flow(), Length(lambda candidate: Length().score_flow(candidate))))
    book.emits(text("a")).expect(Sleep(1), raises=Cancelled())
    assert book.returns() == "what there was" and heard == ["cancelled"]


def test_replies_and_errors_of_other_effects_go_through() -> None:
    def flow() -> Flow[Any]:
        data = yield Entropy(2)
        try:
            yield Sleep(1)
        except TakoError as error:
            return data, error.message

    book = Playbook(watch_it(flow(), Length()))
    book.expect(Entropy(2), reply=b"ab").expect(Sleep(1), raises=TakoError("no"))
    assert book.returns() == (b"ab", "no")
