"""ToolPolicy: which calls may be made at all, told once and by nobody's leave.

| rule  | holds                                                                          |
|-------|--------------------------------------------------------------------------------|
| deny  | a call that one of these patterns touches is refused, whatever else is allowed |
| allow | if there is a list, a call has to match one of its patterns; None allows all   |

A policy is asked before anybody is asked to approve, and its answer is words for the model. Two policies
together (`one & other`) allow what both allow: so a part of a tree of agents can lose what its parent
has, and never win back what its parent has lost. Why the two lists read a pattern differently
stands in `patterns`.

A subclass may say no for reasons of its own: override `refusal`, and `can_be_called` if it can tell that
a tool is out of the question.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from tako.errors import InvalidInput
from tako.tools.patterns import CallPattern

__all__ = ["EVERYTHING", "ToolPolicy"]

SHOWN_PATTERNS = 20
"""Patterns of an allow list that a refusal tells; a list may be long, and a model reads every word."""


class ToolPolicy:
    """What is allowed, by the name of the tool and by its arguments.

    allow  patterns, or their texts; None is everything, and an empty list nothing
    deny   patterns, or their texts; stronger than allow

    Raises InvalidInput that names the argument.
    """

    ALL: ClassVar[ToolPolicy]
    """Everything is allowed."""

    allow: tuple[CallPattern, ...] | None = None
    deny: tuple[CallPattern, ...] = ()

    def __init__(
        self,
        allow: Iterable[str | CallPattern] | None = None,
        deny: Iterable[str | CallPattern] = (),
    ) -> None:
        self.allow = None if allow is None else _patterns("allow", allow)
        self.deny = _patterns("deny", deny)

    def refusal(self, name: str, args: object) -> str | None:
        """Why the call is not allowed, in words for the model; None if it is."""
        for pattern in self.deny:
            if pattern.touches(name, args):
                return f"tool {name!r} is not allowed by policy: the rule {str(pattern)!r} denies this call"
        if self.allow is None or any(pattern.matches(name, args) for pattern in self.allow):
            return None
        about = [pattern for pattern in self.allow if pattern.is_about(name)]
        if about:
            return (
                f"tool {name!r} is not allowed by policy with these arguments: "
                f"they are not on the allow list, which has {_listed(about)}"
            )
        return f"tool {name!r} is not allowed by policy: it is not on the allow list ({_listed(self.allow)})"

    def can_be_called(self, name: str) -> bool:
        """False if no arguments at all could make a call of this tool allowed."""
        if any(pattern.takes_any_arguments and pattern.is_about(name) for pattern in self.deny):
            return False
        return self.allow is None or any(pattern.is_about(name) for pattern in self.allow)

    def __and__(self, other: ToolPolicy) -> ToolPolicy:
        """What both allow."""
        if not isinstance(other, ToolPolicy):
            return NotImplemented
        mine = self._parts()
        parts = (*mine, *(part for part in other._parts() if not any(part is one for one in mine)))
        return _Intersection(parts) if len(parts) > 1 else parts[0] if parts else EVERYTHING

    def _parts(self) -> tuple[ToolPolicy, ...]:
        """The policies that have to agree; one that allows everything has no say."""
        return () if type(self) is ToolPolicy and self.allow is None and not self.deny else (self,)

    def __repr__(self) -> str:
        allow = None if self.allow is None else [*map(str, self.allow)]
        return f"{type(self).__name__}(allow={allow}, deny={[*map(str, self.deny)]})"


class _Intersection(ToolPolicy):
    """Policies that have to agree; the first that says no has the word."""

    def __init__(self, parts: tuple[ToolPolicy, ...]) -> None:
        super().__init__()
        self.parts = parts

    def refusal(self, name: str, args: object) -> str | None:
        for part in self.parts:
            words = part.refusal(name, args)
            if words is not None:
                return words
        return None

    def can_be_called(self, name: str) -> bool:
        return all(part.can_be_called(name) for part in self.parts)

    def _parts(self) -> tuple[ToolPolicy, ...]:
        return self.parts

    def __repr__(self) -> str:
        return " & ".join(map(repr, self.parts))


def _patterns(argument: str, patterns: Iterable[str | CallPattern]) -> tuple[CallPattern, ...]:
    if isinstance(patterns, str | CallPattern) or not isinstance(patterns, Iterable):
        raise InvalidInput(
            f"{argument} should be a list of patterns such as ['read', 'bash(command=git *)'], "
            f"not {patterns!r}"
        )
    found = []
    for index, pattern in enumerate(patterns):
        try:
            found.append(CallPattern.of(pattern))
        except InvalidInput as error:
            raise InvalidInput(f"{argument}[{index}]: {error.message}") from error
    return tuple(found)


def _listed(patterns: Iterable[CallPattern]) -> str:
    texts = [*map(str, patterns)]
    more = len(texts) - SHOWN_PATTERNS
    return ", ".join(texts[:SHOWN_PATTERNS]) + (f", and {more} more" if more > 0 else "") or "which is empty"


EVERYTHING = ToolPolicy()
"""Allows every call."""
ToolPolicy.ALL = EVERYTHING
