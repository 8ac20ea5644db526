"""Keys: as text, as `$ENV:NAME`, from the vendor's usual variable, or from a function.

Text is looked up and checked once, at construction. A function is asked before each request, with
the Call effect, so it may block or be `async def`, and may hand out a token that it keeps fresh. No
key is ever part of a message, a repr or an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from tako.effects import Call, Flow
from tako.errors import InvalidInput

__all__ = ["Key", "KeySource"]

KeySource: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]]


class Key:
    """One credential of a provider. `text` is None where a function has to be asked."""

    __slots__ = ("_argument", "_function", "_owner", "text")

    def __init__(
        self,
        owner: str,
        argument: str,
        given: KeySource | None,
        variables: tuple[str, ...],
        environ: Mapping[str, str],
    ) -> None:
        """Raises InvalidInput if there is no key. `variables` are looked at in order if none is given."""
        self._owner = owner
        self._argument = argument
        self._function: Callable[[], object] | None = None
        self.text: str | None = None
        if callable(given):
            self._function = given
        elif given is None:
            self.text = self._checked(self._from_variables(variables, environ))
        elif isinstance(given, str):
            self.text = self._checked(self._named(given, environ))
        else:
            raise InvalidInput(
                f"{owner}: {argument} should be a string or a function, not {type(given).__name__}"
            )

    def __repr__(self) -> str:
        return f"<Key of {self._owner}>"

    def ask(self) -> Flow[str]:
        """The key for the next request; raises InvalidInput for none, and what the function raises."""
        if self._function is None:
            return self.text or ""
        value = yield Call(self._function)
        if not isinstance(value, str) or not value:
            raise InvalidInput(
                f"{self._owner}: the function given as {self._argument} should return a string that is "
                f"not empty, not {type(value).__name__}"
            )
        return self._checked(value)

    def _from_variables(self, variables: tuple[str, ...], environ: Mapping[str, str]) -> str:
        for name in variables:
            if found := environ.get(name):
                return found
        if not variables:
            raise InvalidInput(f"{self._owner}: {self._argument} is needed")
        names = " or ".join(f"`{name}`" for name in variables)
        raise InvalidInput(
            f"{self._owner}: environment variable {names} is not set; set it, or pass {self._argument}=..."
        )

    def _named(self, given: str, environ: Mapping[str, str]) -> str:
        if not given.startswith("$ENV:"):
            return given
        return self._from_variables((given[5:],), environ)

    def _checked(self, value: str) -> str:
        if not value.isascii() or not value.isprintable():
            raise InvalidInput(
                f"{self._owner}: invalid {self._argument.replace('_', ' ')}: "
                "it contains control or non-ASCII characters"
            )
        return value
