"""RuleRouter and RegexRouter: rules that somebody wrote down, tried in order; the first that holds decides.

    RuleRouter([(is_long, "expert"), (("refund", "invoice"), "billing")], default="chat")
    RegexRouter([(r"\\bdef \\w+\\(", "code"), (r"\\d\\s*[-+*/]\\s*\\d", "math")], default="chat")
    RegexRouter()  # three candidates: code, mathematics, the rest

A rule is a pair: what has to hold, and the candidate that it leads to, by name or by place. A mapping of
the one to the other does as well.

| what has to hold                 | holds when                                                         |
|----------------------------------|--------------------------------------------------------------------|
| a function, plain or async       | it gives True; it is given what a FunctionRouter's function is     |
| a word, or several               | one of them is in the task, by itself, in capitals or not          |
| a regular expression, or several | one of them is found in the task (`re.search`); RegexRouter alone  |

Invariants. The confidence is 1 where a rule held, and 0.5 where none did. Every name that a rule leads to
is looked up at every choice, so that a slip of the pen is found by the first one. Regular expressions are
the developer's own, and are compiled once, when the router is made: no model and no user gets to write one.
What they are searched in is anybody's, though, and as long as they like: an expression that runs wild, such
as `(a+)+$`, holds up the whole program. The built-in ones are linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.routers.base import Router, RoutingDecision, Situation
from tako.routers.choosing import Target, asked, place_of, require_target
from tako.routers.function import Sight, sight_of

__all__ = ["RegexRouter", "RuleRouter"]

Words: TypeAlias = str | Sequence[str]
Predicate: TypeAlias = Callable[..., Any]
Pattern: TypeAlias = str | re.Pattern[str]
Rules: TypeAlias = Mapping[Any, Target] | Iterable[tuple[Any, Target]]

SURE, NOT_SURE = 1.0, 0.5


@dataclass(frozen=True, slots=True)
class _Rule:
    """`function` is a predicate, or None where one of the patterns has to be found."""

    target: Target
    patterns: tuple[re.Pattern[str], ...] = ()
    function: Predicate | None = None
    sight: Sight | None = None


class _FirstRule(Router):
    """Tries rules in order."""

    def __init__(self, rules: tuple[_Rule, ...], default: Target) -> None:
        require_target(default, f"{type(self).__name__}: default")
        self._rules = rules
        self._default = default

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self._rules)} rules>"

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        candidates, task = situation.candidates, situation.task
        name = f"the {type(self).__name__}"
        places = [
            self._place(rule.target, candidates, f"{name} (rules[{number}])")
            for number, rule in enumerate(self._rules)
        ]
        otherwise = self._place(self._default, candidates, f"{name} (default)")
        for number, rule in enumerate(self._rules):
            if rule.function is None:
                why = _found(rule.patterns, task)
            else:
                why = "it holds" if (yield from self._holds(rule, situation, number)) else ""
            if why:
                reason = f"rules[{number}]: {why}"
                return RoutingDecision(index=places[number], confidence=SURE, reason=reason)
        return RoutingDecision(index=otherwise, confidence=NOT_SURE, reason="no rule holds")

    def _place(self, target: Target, candidates: Sequence[str], who: str) -> int:
        return place_of(target, candidates, who)

    def _holds(self, rule: _Rule, situation: Situation, number: int) -> Flow[bool]:
        assert rule.function is not None and rule.sight is not None
        who = f"rules[{number}] of the {type(self).__name__}"
        value = yield from asked(rule.function, rule.sight(situation), who)
        if not isinstance(value, bool):
            raise InvalidInput(
                f"{who} gave a {type(value).__name__}; a rule gives True or False", phase="router"
            )
        return value


class RuleRouter(_FirstRule):
    """Chooses by predicates and words.

    rules    pairs of what has to hold and the candidate that it leads to; see the table above
    default  who is chosen where no rule holds; the first candidate, if nothing else is said

    Raises InvalidInput that names the argument.
    """

    def __init__(self, rules: Rules, *, default: Target = 0) -> None:
        super().__init__(tuple(_read("RuleRouter", rules, _rule)), default)


class RegexRouter(_FirstRule):
    """Chooses by regular expressions.

    rules        pairs of a regular expression (or a list of them) and the candidate that it leads to. Without
                 rules the task is code (the first candidate), mathematics (the second) or anything else (the
                 third); where there are fewer candidates, the last one does what those would have done
    default      who is chosen where nothing is found; the first candidate, or without rules the third
    ignore_case  whether capitals make no difference

    Raises InvalidInput that names the argument, and for a bad expression says where it is bad.
    """

    def __init__(
        self, rules: Rules | None = None, *, default: Target | None = None, ignore_case: bool = False
    ) -> None:
        if not isinstance(ignore_case, bool):
            raise InvalidInput(f"RegexRouter: ignore_case should be True or False, not {ignore_case!r}")
        flags = re.IGNORECASE if ignore_case else re.NOFLAG

        def rule(pattern: object, target: Target, argument: str) -> _Rule:
            return _Rule(target, _compiled(pattern, argument, flags))

        self._is_built_in = rules is None
        given = BUILT_IN if rules is None else tuple(_read("RegexRouter", rules, rule))
        usual = OTHER if rules is None else 0
        super().__init__(given, usual if default is None else default)

    def _place(self, target: Target, candidates: Sequence[str], who: str) -> int:
        if self._is_built_in and isinstance(target, int):
            return min(target, len(candidates) - 1)
        return super()._place(target, candidates, who)


def _read(owner: str, rules: object, make: Callable[[object, Target, str], _Rule]) -> Iterable[_Rule]:
    """The rules, checked; raises InvalidInput that names the one that is wrong."""
    pairs = list(rules.items()) if isinstance(rules, Mapping) else rules
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise InvalidInput(
            f"{owner}: rules should be a list of pairs of what has to hold and the candidate that it leads "
            f"to, not {type(rules).__name__}"
        )
    for number, pair in enumerate(pairs):
        argument = f"{owner}: rules[{number}]"
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InvalidInput(
                f"{argument} should be a pair of what has to hold and the candidate that it leads to"
            )
        require_target(pair[1], f"{argument}[1]")
        yield make(pair[0], pair[1], argument)


def _rule(condition: object, target: Target, argument: str) -> _Rule:
    """A rule of a RuleRouter; raises InvalidInput."""
    if callable(condition):
        return _Rule(target, (), condition, sight_of(condition, f"{argument}[0]"))
    words = [condition] if isinstance(condition, str) else condition
    if not isinstance(words, Sequence) or not words:
        raise InvalidInput(
            f"{argument}[0] should be a function, a word or a list of words, not {type(condition).__name__}"
        )
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise InvalidInput(f"{argument}[0]: a word should be text that is not empty, not {word!r}")
    either = "|".join([re.escape(word.strip()) for word in words])
    return _Rule(target, (re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE),))


def _compiled(given: object, argument: str, flags: re.RegexFlag) -> tuple[re.Pattern[str], ...]:
    """One expression or several; raises InvalidInput."""
    patterns = [given] if isinstance(given, str | bytes | re.Pattern) else given
    if not isinstance(patterns, Sequence) or not patterns:
        raise InvalidInput(
            f"{argument}[0] should be a regular expression or a list of them, not {type(given).__name__}"
        )
    compiled: list[re.Pattern[str]] = []
    for one in patterns:
        text, own = (one.pattern, one.flags) if isinstance(one, re.Pattern) else (one, re.NOFLAG)
        if not isinstance(text, str):
            raise InvalidInput(f"{argument}[0]: an expression should be text, not {type(text).__name__}")
        try:
            compiled.append(re.compile(text, own | flags))
        except (re.error, OverflowError, RecursionError) as error:
            raise InvalidInput(f"{argument}[0]: {text!r} is no regular expression: {error}") from error
    return tuple(compiled)


def _found(patterns: Iterable[re.Pattern[str]], task: str) -> str:
    """What was found, to tell of it; "" is nothing."""
    for pattern in patterns:
        found = pattern.search(task)
        if found is not None:
            return f"found {found.group()[:40]!r}"
    return ""


OTHER: Final = 2
"""The place of who does what is neither code nor mathematics."""

CODE: Final = r"`|\b(?:fn|def|class|import|function|return|let|const) |code"
# An operator is mathematics between two numbers or single letters. A slash needs room on both sides, because
# "and/or", dates, paths and URLs have it; "=" alone is none, because an assignment has it. A number with
# commas is begun once and not behind each of them, or a long list of numbers would take for ever.
MATHEMATICS: Final = (
    r"math|solve|[∫∑√]|(?<![\w/.:+*-])(?<!\d,)(?:\d+(?:[.,]\d+)*|[a-z])"
    r"(?:\s*[+*^×÷]\s*|\s+/\s+)(?:\d|[a-z]\b|\()"
)
BUILT_IN: Final = (
    _Rule(0, (re.compile(CODE, re.IGNORECASE),)),
    _Rule(1, (re.compile(MATHEMATICS, re.IGNORECASE),)),
)
