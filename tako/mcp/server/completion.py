"""Completions: what the arguments of prompts, and the gaps of templates, may be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tako.effects import Flow, call
from tako.errors import InvalidInput

__all__ = ["Completions"]

Json: TypeAlias = Any
MAX_VALUES: Final = 100
"""The specification's own limit."""


class Completions:
    """By prompt or template, and argument: a list of texts, or a function. Raises InvalidInput for others."""

    __slots__ = ("_sources",)

    def __init__(self, sources: Mapping[str, Mapping[str, Any]]) -> None:
        if not isinstance(sources, Mapping):
            raise InvalidInput(f"completions should be a dict, not {type(sources).__name__}")
        self._sources: dict[tuple[str, str], Sequence[str] | Callable[..., Any]] = {}
        for of, arguments in sources.items():
            if not isinstance(arguments, Mapping):
                raise InvalidInput(f"completions[{of!r}] should be a dict of its arguments")
            for argument, source in arguments.items():
                if isinstance(source, str) or not (callable(source) or isinstance(source, Sequence)):
                    raise InvalidInput(
                        f"completions[{of!r}][{argument!r}] should be a list of texts or a function"
                    )
                self._sources[of, argument] = source

    def complete(
        self, of: str, argument: str, typed: str, others: Mapping[str, str]
    ) -> Flow[dict[str, Json]]:
        """At most MAX_VALUES texts, and how many there are; none if nothing is known of the argument."""
        source = self._sources.get((of, argument), ())
        if callable(source):
            takes_others = len(inspect.signature(source).parameters) > 1
            found = yield from call(source, typed, dict(others)) if takes_others else call(source, typed)
        else:
            found = [value for value in source if value.casefold().startswith(typed.casefold())]
        values = [str(value) for value in found]
        return {
            "values": values[:MAX_VALUES],
            "total": len(values),
            "hasMore": len(values) > MAX_VALUES,
        }
