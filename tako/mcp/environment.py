"""Variables in values: "Bearer $TOKEN" as a header, so that no secret has to stand in a program.

| in the value         | becomes                                                                   |
|----------------------|---------------------------------------------------------------------------|
| `$NAME` or `${NAME}` | the variable's value; if it is not set, an error that names it            |
| `$$`                 | a dollar sign                                                             |
| any other `$`        | itself: a name begins with a letter or an underscore                      |

Invariants. What a variable holds is not looked at again. The mapping is read when a connection is made, so
a token that was renewed in the environment is sent at the next. No value is in a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tako.errors import InvalidInput

__all__ = ["expanded", "expanded_headers", "header_pairs"]

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")


def expanded(value: str, environ: Mapping[str, str], where: str) -> str:
    """The value with its variables filled in; raises InvalidInput that names the variable and `where`."""

    def filled(found: re.Match[str]) -> str:
        dollar, bare, braced = found.groups()
        name = bare or braced
        if dollar:
            return "$"
        if name not in environ:
            raise InvalidInput(
                f"{where} needs the environment variable {name}, which is not set; set it, or write $$ for a "
                "dollar sign"
            )
        return environ[name]

    return _VARIABLE.sub(filled, value)


def expanded_headers(
    headers: tuple[tuple[str, str], ...], environ: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Headers as they are sent; raises InvalidInput that names the variable and the header."""
    return tuple((name, expanded(value, environ, f"header {name}")) for name, value in headers)


def header_pairs(headers: object) -> tuple[tuple[str, str], ...]:
    """What a user gave as `headers=`, a mapping or pairs; raises InvalidInput, without a value in it."""
    if headers is None:
        return ()
    items = headers.items() if isinstance(headers, Mapping) else headers
    if isinstance(items, str | bytes):
        raise InvalidInput("headers should be a mapping of names to values")
    try:
        pairs = tuple((name, value) for name, value in items)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise InvalidInput("headers should be a mapping of names to values") from None
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidInput(
                f"headers should be text, but {str(name)[:40]!r} is given as {type(value).__name__}"
            )
    return pairs
