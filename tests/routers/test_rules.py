"""Rules: functions, words, regular expressions, and the three ways of the original."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.routers import RegexRouter, RuleRouter

from .kit import ROLES, choose, situation


async def is_long(task: str) -> bool:
    return len(task) > 20


@pytest.mark.parametrize(
    ("task", "place", "confidence"),
    [
        ("a refund, please", 1, 1.0),
        ("A REFUND", 1, 1.0),
        ("refundable?", 2, 0.5),
        ("prerefund?", 2, 0.5),
        ("see C++ here", 0, 1.0),
        ("a new order, and then again one", 0, 1.0),
        ("hello", 2, 0.5),
    ],
)
def test_rules_are_functions_and_words_and_the_first_that_holds_decides(
    task: str, place: int, confidence: float
) -> None:
    router = RuleRouter(
        [(is_long, "code"), (("invoice", "refund"), 1), (["C++"], "code|fake:a")], default="fake:c"
    )
    decision = choose(router, task, ROLES)
    assert (decision.index, decision.confidence) == (place, confidence)


def test_a_mapping_does_as_well_and_a_function_may_look_at_the_situation() -> None:
    router = RuleRouter({(lambda situation: situation.step == 1): 2})
    assert choose(router, "x").index == 2
    assert choose(RuleRouter([]), "x").index == 0


def test_the_reason_says_which_rule_held() -> None:
    assert choose(RuleRouter([("a", 1)]), "a b").reason == "rules[0]: found 'a'"
    assert choose(RuleRouter([(lambda task: True, 1)]), "x").reason == "rules[0]: it holds"


def test_a_slip_of_the_pen_is_found_at_the_first_choice_whatever_rule_holds() -> None:
    router = RuleRouter([("x", "code"), ("never", "maht")])
    with pytest.raises(InvalidInput, match=r"RuleRouter \(rules\[1\]\) chose 'maht', which is no candidate"):
        choose(router, "x")
    with pytest.raises(InvalidInput, match=r"RegexRouter \(default\) chose the place 3"):
        choose(RegexRouter([("x", 0)], default=3), "x")


def test_a_rule_gives_true_or_false() -> None:
    with pytest.raises(InvalidInput, match=r"rules\[0\] of the RuleRouter gave a Match"):
        choose(RuleRouter([(lambda task: re.search("x", task), 1)]), "x")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RuleRouter("code"), "rules should be a list of pairs"),
        (lambda: RuleRouter(7), "rules should be a list of pairs .* not int"),
        (lambda: RuleRouter(["ab", "cd"]), r"rules\[0\] should be a pair"),
        (lambda: RuleRouter([("a", 1, 2)]), r"rules\[0\] should be a pair"),
        (lambda: RuleRouter([("a", True)]), r"rules\[0\]\[1\] should be the name .* not True"),
        (lambda: RuleRouter([("a", -1)]), r"rules\[0\]\[1\]"),
        (lambda: RuleRouter([("a", "")]), r"rules\[0\]\[1\]"),
        (lambda: RuleRouter([("", 1)]), r"rules\[0\]\[0\]: a word"),
        (lambda: RuleRouter([((), 1)]), r"rules\[0\]\[0\] should be a function, a word"),
        (lambda: RuleRouter([(4, 1)]), r"rules\[0\]\[0\] should be a function, a word .* not int"),
        (lambda: RuleRouter([(lambda: True, 1)]), r"rules\[0\]\[0\] should take one argument"),
        (lambda: RuleRouter([], default=None), "RuleRouter: default"),
        (lambda: RegexRouter([("(", "code")]), r"rules\[0\]\[0\]: '\(' is no regular expression: missing \)"),
        (lambda: RegexRouter([(["a", b"b"], "code")]), r"rules\[0\]\[0\]: an expression should be text"),
        (lambda: RegexRouter([(b"b", "code")]), "should be text, not bytes"),
        (lambda: RegexRouter([([], "code")]), r"rules\[0\]\[0\] should be a regular expression"),
        (lambda: RegexRouter([(is_long, "code")]), "should be a regular expression .* not function"),
        (lambda: RegexRouter(ignore_case=1), "ignore_case should be True or False"),
        (lambda: RegexRouter(default=1.5), "RegexRouter: default"),
    ],
)
def test_a_wrong_argument_is_named(make: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()


def test_defect_44_regular_expressions_are_the_users_own() -> None:
    router = RegexRouter(
        [
            (r"\bdef \w+\(", "code"),
            ([r"\d\s*[-+*/]\s*\d", re.compile("integral", re.I)], 1),
            (r"\b(?P<word>\w+) (?P=word)\b", "fake:c"),
        ],
        default="math",
    )
    expected = {"def f(x)": 0, "3 - 4": 1, "An Integral": 1, "the the": 2, "Def f(x)": 1}
    assert {task: choose(router, task, ROLES).index for task in expected} == expected
    assert choose(RegexRouter({r"\bdef ": 2}, ignore_case=True), "DEF x").index == 2
    assert choose(RegexRouter([(re.compile("a"), 2)], ignore_case=True), "A").index == 2


@pytest.mark.parametrize(
    "task",
    [
        "Look at https://example.org/a/2/3?x=1&y=2",
        "Set name=Ada and go on",
        "x = 5",
        "Tea and/or coffee on 2024/01/02, 24/7",
        "/usr/local/lib",
        "Is C++ older than C?",
        "*Really*?",
    ],
)
def test_defect_44_a_slash_or_an_equals_sign_in_plain_text_is_no_mathematics(task: str) -> None:
    assert choose(RegexRouter(), task).index == 2


@pytest.mark.parametrize(
    ("task", "place"),
    [
        ("What does `x` do?", 0),
        ("def f(): pass", 0),
        ("Import numpy", 0),
        ("Write some CODE", 0),
        ("please let me in", 0),  # the original's word, kept
        ("my outlet is broken", 2),  # and here no longer one
        ("solve this", 1),
        ("3 + 4", 1),
        ("12*12", 1),
        ("x^2", 1),
        ("8 / 2", 1),
        ("2 × (3", 1),
        ("∑ of all", 1),
        ("Mathematics", 1),
        ("Hello", 2),
    ],
)
def test_without_rules_it_is_code_or_mathematics_or_the_rest(task: str, place: int) -> None:
    assert choose(RegexRouter(), task).index == place


def test_without_rules_places_are_clamped_and_the_default_can_be_another() -> None:
    two, one = ("a", "b"), ("a",)
    assert choose(RegexRouter(), "Hello", two).index == 1
    assert [choose(RegexRouter(), task, one).index for task in ("`x`", "3 + 4", "Hello")] == [0, 0, 0]
    assert choose(RegexRouter(default="a"), "Hello", two).index == 0
    decision = choose(RegexRouter(), "Hello", two)
    assert (decision.confidence, decision.reason) == (0.5, "no rule holds")
    assert choose(RegexRouter(), "`x`").confidence == 1.0


@pytest.mark.parametrize("piece", ["1,", "1.", "1 , ", "1", " "])
def test_the_built_in_expressions_are_linear_in_the_text(piece: str) -> None:
    """Each takes some hundredths of a second; a list of numbers took forty seconds once."""
    start = time.process_time()
    choose(RegexRouter(), "7" + piece * 20_000)
    assert time.process_time() - start < 2


def test_a_number_with_commas_is_still_one() -> None:
    for task, place in (("1,000 + 1", 1), ("f(x,2 + 2)", 1), ("1,2,3", 2)):
        assert choose(RegexRouter(), task).index == place


def test_choosing_asks_for_nothing_but_the_users_functions() -> None:
    with pytest.raises(StopIteration) as ended:
        next(RegexRouter().choose_flow(situation("3 + 4")))
    assert ended.value.value.index == 1
    assert repr(RegexRouter()) == "<RegexRouter of 2 rules>"
