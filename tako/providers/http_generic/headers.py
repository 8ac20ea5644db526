"""Headers with secrets in them: `$NAME` and `$ENV:NAME` from the environment, or a function.

| value                   | what is sent                                                        |
|-------------------------|---------------------------------------------------------------------|
| `"Bearer $API_KEY"`     | `$` and a name anywhere in it: the variable, read at construction   |
| `"$ENV:api_key2"`       | the same, as keys of other vendors are given                        |
| `"$$5"`                 | `$5`: two dollars are one                                           |
| a function              | what it returns, asked before each request; it may be `async def`   |

No value is ever part of a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias, cast

from tako.errors import InvalidInput
from tako.providers import arguments
from tako.providers.credentials import Key, KeySource

__all__ = ["HeaderValues", "given_values"]

HeaderValues: TypeAlias = Mapping[str, KeySource] | Iterable[tuple[str, KeySource]]

VARIABLE = re.compile(r"\$\$|\$(?:ENV:)?([A-Za-z_][A-Za-z0-9_]*)")


def given_values(
    owner: str, headers: HeaderValues, environ: Mapping[str, str]
) -> tuple[list[tuple[str, str]], list[tuple[str, Key]]]:
    """The headers whose values are known, and those whose functions are to be asked; raises InvalidInput."""
    known: list[tuple[str, str]] = []
    asked: list[tuple[str, Key]] = []
    pairs: list[tuple[str, KeySource]]
    try:
        given = headers.items() if isinstance(headers, Mapping) else headers
        pairs = [(name, value) for name, value in cast("Iterable[tuple[str, KeySource]]", given)]
    except (TypeError, ValueError):
        raise InvalidInput(f"{owner}: headers should be pairs of a name and a value") from None
    for name, value in pairs:
        if callable(value):
            ((header, _),) = arguments.given_headers(owner, [(name, "")])
            asked.append((header, Key(owner, f"headers[{name!r}]", value, (), environ)))
        elif isinstance(value, str):
            known.append((name, _with_variables(owner, name, value, environ)))
        else:
            raise InvalidInput(
                f"{owner}: headers[{name!r}] should be text or a function, not {type(value).__name__}"
            )
    return known, asked


def _with_variables(owner: str, name: str, value: str, environ: Mapping[str, str]) -> str:
    def looked_up(found: re.Match[str]) -> str:
        variable = found[1]
        if variable is None:
            return "$"
        if not (text := environ.get(variable)):
            raise InvalidInput(
                f"{owner}: headers[{name!r}]: environment variable `{variable}` is not set; "
                "set it, or write $$ for a dollar"
            )
        return text

    return VARIABLE.sub(looked_up, value)
