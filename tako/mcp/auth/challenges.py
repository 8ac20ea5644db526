"""WWW-Authenticate: what a server that refuses a request says about how to be let in.

    WWW-Authenticate: Negotiate abc==, Bearer realm="x", scope="a b", resource_metadata="https://..."

One header holds any number of challenges, and there may be any number of headers; both are lists with
commas, and so are the parameters of a challenge (RFC 9110, 11.6.1), so only the `=` behind a word tells
whether it is a parameter or the next scheme.

| what is found                        | is taken for                                             |
|--------------------------------------|----------------------------------------------------------|
| a word, no `=` behind it             | the scheme of the next challenge                         |
| right behind a scheme: `abc==` alone | its token68, which is dropped                            |
| a word, `=` and a value              | a parameter; the first of a name counts                  |
| a value without quotes               | goes to the next comma or space: servers write URLs so   |
| anything else                        | the end: what came before it is kept                     |

Invariants. Nothing here raises: what a server writes in vain is as if it had not said it. Work is linear in
the length of the headers, of which at most MOST_OF_A_HEADER characters and MOST_CHALLENGES challenges count.
No value holds a control character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Bearer", "Challenge", "bearer_of", "parse_challenges", "scopes_of"]

MOST_OF_A_HEADER: Final = 16 * 1024
MOST_CHALLENGES: Final = 16
MOST_PARAMETERS: Final = 32
MOST_SCOPES: Final = 100

_GAP: Final = re.compile(r"[ \t,]*")
_WORD: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_TOKEN68: Final = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|\Z)")
_EQUALS: Final = re.compile(r"[ \t]*=[ \t]*")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE: Final = re.compile(r'[^\s,"]+')
_ESCAPED: Final = re.compile(r"\\(.)")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")

_SAYS: Final = ("error", "scope", "resource_metadata")


@dataclass(slots=True)
class Challenge:
    """One way to be let in. Scheme and names are in lower case."""

    scheme: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a challenge of RFC 6750 says, with the `resource_metadata` of RFC 9728."""

    error: str | None = None
    scopes: tuple[str, ...] = ()
    resource_metadata: str | None = None


def parse_challenges(header: str) -> list[Challenge]:
    """The challenges of one WWW-Authenticate header, as far as it can be read."""
    return list(_challenges(header[:MOST_OF_A_HEADER]))


def _challenges(text: str) -> Iterator[Challenge]:
    position = 0
    for _ in range(MOST_CHALLENGES):
        position = _after(_GAP, text, position)
        scheme = _WORD.match(text, position)
        if scheme is None:
            return
        challenge = Challenge(scheme[0].lower())
        position = _read_parameters(text, scheme.end(), challenge.parameters)
        yield challenge


def _read_parameters(text: str, position: int, parameters: dict[str, str]) -> int:
    """Read what follows a scheme; where the next one begins."""
    token = _TOKEN68.match(text, position)
    if token is not None:
        return token.end()
    while True:
        start = _after(_GAP, text, position)
        name = _WORD.match(text, start)
        equals = name and _EQUALS.match(text, name.end())
        if not name or not equals:
            return start
        value = _QUOTED.match(text, equals.end()) or _BARE.match(text, equals.end())
        if value is None:
            return len(text)
        found = _ESCAPED.sub(r"\1", value[1]) if value.re is _QUOTED else value[0]
        if len(parameters) < MOST_PARAMETERS and not _CONTROL.search(found):
            parameters.setdefault(name[0].lower(), found)
        position = value.end()


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def bearer_of(headers: Iterable[tuple[str, str]]) -> Bearer | None:
    """The Bearer challenge among the headers of an answer; of several, the one that says most."""
    found = [
        challenge.parameters
        for name, value in headers
        if name.lower() == "www-authenticate"
        for challenge in parse_challenges(value)
        if challenge.scheme == "bearer"
    ]
    if not found:
        return None
    said = max(found, key=lambda parameters: sum(name in parameters for name in _SAYS))
    return Bearer(said.get("error"), scopes_of(said.get("scope")), said.get("resource_metadata"))


def scopes_of(text: object) -> tuple[str, ...]:
    """The scopes of a text, each once, in their order, without what RFC 6749 3.3 does not allow."""
    if not isinstance(text, str):
        return ()
    words = dict.fromkeys(word for word in text.split(" ")[: MOST_SCOPES * 2] if _SCOPE.fullmatch(word))
    return tuple(words)[:MOST_SCOPES]
