"""From what somebody means to a place; the base, functions as routers, and what others are checked by."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Flow
from tako.errors import InvalidInput, TakoError
from tako.models import Message, TextPart, ToolResultPart
from tako.routers import FunctionRouter, RegexRouter, Router, RoutingDecision, Situation, chosen, router_of
from tako.routers.choosing import place_of
from tako.testing import Simulator

from .kit import ROLES, THREE, choose, situation


class Index:
    """A whole number of another kind, as numpy's are."""

    def __index__(self) -> int:
        return 2


class Always(Router):
    def __init__(self, decision: Any) -> None:
        self.decision = decision

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        yield from ()
        return self.decision  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("target", "candidates", "place"),
    [
        (0, THREE, 0),
        (2, THREE, 2),
        (Index(), THREE, 2),
        ("math", THREE, 1),
        ("math", ROLES, 1),
        ("math|fake:b", ROLES, 1),
        ("fake:c", ROLES, 2),
        ("b", ("a|b", "b|a"), 1),  # a role before a provider
        ("a", ("a|b", "a"), 1),  # a whole name before both
    ],
)
def test_a_candidate_is_meant_by_its_place_or_its_name(
    target: object, candidates: tuple[str, ...], place: int
) -> None:
    assert place_of(target, candidates) == place


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (3, "3 candidates, from place 0 to 2"),
        (-1, "the place -1"),
        (True, "chose True"),
        (1.0, "chose 1.0"),
        (None, "a NoneType"),
        ([0], "a list"),
        ("Math", "'Math', which is no candidate; there are 'code', 'math', 'chat'"),
        ("", "no candidate"),
    ],
)
def test_what_is_no_place_and_no_name_is_refused_with_words(target: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        place_of(target, THREE)
    with pytest.raises(InvalidInput, match=words):
        choose(router_of(lambda task: target), "x")


def test_defect_42_a_name_of_several_is_refused_and_their_places_choose_each() -> None:
    twins = ("openai:gpt", "openai:gpt", "ollama:small")
    for place in range(3):
        assert choose(router_of(lambda task, place=place: place), "x", twins).index == place
    with pytest.raises(InvalidInput, match=r"2 candidates; choose one of them by its place \(0, 1\)"):
        choose(router_of(lambda task: "openai:gpt"), "x", twins)
    with pytest.raises(InvalidInput, match="its place"):
        choose(router_of(lambda task: "p"), "x", ("a|p", "b|p"))


@given(st.lists(st.text("ab|", max_size=4), min_size=1, max_size=4), st.text("ab|", max_size=4))
def test_a_name_leads_to_a_candidate_that_has_it_or_to_an_error(names: list[str], name: str) -> None:
    try:
        place = place_of(name, names)
    except InvalidInput:
        assert not name or names.count(name) != 1
    else:
        role, _, provider = names[place].partition("|")
        assert name in (names[place], role, provider)
        if name in names:
            assert names[place] == name


async def later(task: str) -> str:
    return "math" if "sum" in task else "chat"


def of_annotated(where: Situation) -> int:
    return where.step


def of_quoted(where: Any) -> int:
    return len(where.candidates) - 1


of_quoted.__annotations__["where"] = "tako.routers.Situation"


class Chooser:
    def __call__(self, situation) -> RoutingDecision:  # type: ignore[no-untyped-def]
        return RoutingDecision(index=situation.step - 1, confidence=0.25, reason="mine")


@pytest.mark.parametrize(
    ("function", "place"),
    [
        (lambda task: len(task), 1),
        (lambda situation: situation.candidates.index("chat"), 2),
        (lambda *arguments: len(arguments[0]), 1),
        (lambda task, more=0: more, 0),
        (later, 2),
        (of_annotated, 1),
        (of_quoted, 2),
        (Chooser(), 0),
        (len, 1),  # a built-in one gets the text
    ],
)
def test_a_function_gets_the_task_or_the_situation(function: Any, place: int) -> None:
    assert choose(router_of(function), "x").index == place


def test_a_function_may_give_a_whole_decision_and_its_place_is_checked() -> None:
    decision = choose(router_of(Chooser()), "x")
    assert (decision.index, decision.confidence, decision.reason) == (0, 0.25, "mine")
    with pytest.raises(InvalidInput, match="place 7"):
        choose(router_of(lambda task: RoutingDecision(index=7)), "x")


def test_what_a_function_raises_becomes_an_error_of_the_family() -> None:
    with pytest.raises(TakoError, match="the router <lambda> raised ZeroDivisionError") as caught:
        choose(router_of(lambda task: 1 // 0), "x")
    assert caught.value.phase == "router" and isinstance(caught.value.__cause__, ZeroDivisionError)
    mine = TakoError("mine")

    def fails(task: str) -> int:
        raise mine

    with pytest.raises(TakoError) as caught:
        choose(router_of(fails), "x")
    assert caught.value is mine


def test_router_of_leaves_a_router_alone_and_refuses_the_rest_by_name() -> None:
    router = RegexRouter()
    assert router_of(router) is router
    assert repr(router_of(later)) == "<FunctionRouter later>"
    for value, words in (
        ("code", "picker must be a tako.routers.Router.*not str"),
        (RegexRouter, r"picker should be a router and not its class: write RegexRouter\(...\)"),
        (lambda: 0, "picker: function should take one argument"),
        (lambda a, b: 0, "picker: function should take one argument"),
        (lambda *, task: 0, "picker: function should take one argument"),
    ):
        with pytest.raises(InvalidInput, match=words):
            router_of(value, "picker")
    with pytest.raises(InvalidInput, match="function should be a function, not int"):
        FunctionRouter(3)  # type: ignore[arg-type]


def test_chosen_checks_what_anybodys_router_gives() -> None:
    good = RoutingDecision(index=1)
    assert Simulator().run(chosen(Always(good), situation("x"))) is good
    with pytest.raises(InvalidInput, match="the router Always chose the place 3"):
        Simulator().run(chosen(Always(RoutingDecision(index=3)), situation("x")))
    with pytest.raises(InvalidInput, match="the router Always gave a str"):
        Simulator().run(chosen(Always("code"), situation("x")))


@pytest.mark.parametrize("candidates", [(), "code", [], None, 3, [1, 2], ["a", None]])
def test_somebody_has_to_be_there(candidates: Any) -> None:
    with pytest.raises(InvalidInput, match="candidates should be a list of names"):
        Situation((), candidates)
    with pytest.raises(InvalidInput, match="candidates should be a list of names"):
        RegexRouter().choose_sync("x", candidates)
    with pytest.raises(InvalidInput, match="prompt should be text, not int"):
        RegexRouter().choose_sync(3, THREE)  # type: ignore[arg-type]


def test_the_task_is_what_the_user_said_last_and_no_result_of_a_tool() -> None:
    """The original saw an empty text once a tool had answered (reference 2.5, 3)."""
    messages = (
        Message.user("first"),
        Message.assistant("hm"),
        Message.user([TextPart(text="one"), TextPart(text="two")]),
        Message.tool([ToolResultPart(id="1", name="t", result="42")]),
    )
    assert Situation(messages, THREE).task == "one\ntwo"
    assert Situation((Message.assistant("hm"),), THREE).task == ""


def test_a_router_is_asked_blocking_and_under_asyncio_and_trio() -> None:
    router = router_of(later)

    async def ask() -> int:
        return (await router.choose("a sum", THREE)).index

    assert router.choose_sync("a sum", list(THREE)).index == 1
    assert asyncio.run(ask()) == trio.run(ask) == 1
