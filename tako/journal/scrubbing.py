"""Scrubbing: secrets are not written down.

| what                      | is known by                                                                  |
|---------------------------|------------------------------------------------------------------------------|
| keys of vendors           | their beginnings: sk-, AKIA, AIza, ghp_, xoxb-, glpat-, hf_, ...             |
| tokens                    | Bearer and Basic before them; the three parts of a JWT                       |
| private keys              | the lines of PEM around them                                                 |
| passwords in text         | password=, api_key:, and the like before them, and a digit or a sign in them |
| fields                    | their names: password, api_key, authorization, client_secret, ...            |
| passwords in addresses    | scheme://user:...@                                                           |
| those that the user names | being just those texts                                                       |

A password of letters alone is known in a field and in an address, and not in text: there it would be any
word behind "password:", and what a model says of passwords, or writes of a program, would be spoiled.

Invariants. What was scrubbed is not changed by scrubbing it again, so a run that goes on from a scrubbed
reply asks for the same as before. What a vendor wants back unchanged, and the bytes of media, are searched
for the user's own secrets alone. The time it takes is linear in the size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from tako.errors import InvalidInput

__all__ = ["MARK", "Scrubber"]

MARK: Final = "[scrubbed]"
LEAST: Final = 6
"""Characters of a secret that somebody names: less would be found in every text."""

_NAMES: Final = (
    "password", "passwd", "passphrase", "secret", "api_key", "apikey", "access_key", "secret_key",
    "access_token", "refresh_token", "auth_token", "id_token", "session_token", "client_secret",
    "private_key", "authorization", "x-api-key", "aws_secret_access_key", "aws_session_token",
)  # fmt: skip
_SECRET_FIELDS: Final = frozenset(name.replace("-", "_") for name in _NAMES)
_OPAQUE_FIELDS: Final = frozenset(("data_b64", "replay", "id"))
"""What is not ours to look into: a change would make it worthless, and no person writes there."""

_ASSIGNED: Final = (
    r"password|passwd|passphrase|client[_-]?secret|secret[_-]?(?:access[_-]?)?key|"
    r"api[_-]?key|(?:access|refresh|auth|session)[_-]?token"
)
_SHAPES: Final = re.compile(
    r"""
      -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[^-]*(?:-----END\ [A-Z ]*PRIVATE\ KEY-----)?
    | \b(?:sk|pk|rk)[-_](?=[A-Za-z_-]{0,99}[0-9])[A-Za-z0-9_-]{16,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \bAIza[A-Za-z0-9_-]{30,}
    | \b(?:gh[pousr]|github_pat|glpat|hf|xai|gsk|npm|pypi)[_-][A-Za-z0-9_-]{20,}
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,}
    | (?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*
    | (?P<scheme>\b(?:[Bb]earer|[Bb]asic)\ )(?=[A-Za-z0-9._~+/-]*[0-9])[A-Za-z0-9._~+/-]{12,}=*
    | (?P<address>\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@"'\[]{0,100}:)[^\s/@"'\[]{1,200}(?=@)
    | (?P<name>\b(?i:"""
    + _ASSIGNED
    + r""")["']?\ ?[=:]\ ?["']?)
      (?=[^\s"'\\,;&<>(){}\[\]]{0,99}(?:[0-9]|[!@#%^*][A-Za-z]))[^\s"'\\,;&<>(){}\[\]]{6,}+(?!\()
    """,
    re.VERBOSE,
)


def _mark(found: re.Match[str]) -> str:
    return f"{found['scheme'] or found['address'] or found['name'] or ''}{MARK}"


class Scrubber:
    """Replaces what looks like a secret, and the secrets that it was told."""

    __slots__ = ("_literals",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        if isinstance(secrets, str) or not isinstance(secrets, Iterable):
            raise InvalidInput('journal: secrets should be a list of texts: secrets=["...", "..."]')
        literals = list(secrets)
        for index, literal in enumerate(literals):
            if not isinstance(literal, str) or len(literal) < LEAST or literal in MARK:
                raise InvalidInput(f"journal: secrets[{index}] should be text of at least {LEAST} characters")
        longest_first = sorted(set(literals), key=lambda literal: (-len(literal), literal))
        self._literals = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, value: Any) -> Any:
        """The same JSON without secrets."""
        return self._scrub(value, looks=True)

    def _scrub(self, value: Any, *, looks: bool) -> Any:
        if isinstance(value, str):
            return self._text(value, looks=looks)
        if isinstance(value, dict):
            return {
                self._text(str(name), looks=looks): self._field(name, item, looks)
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._scrub(item, looks=looks) for item in value]
        return value

    def _field(self, name: Any, value: Any, looks: bool) -> Any:
        known = str(name).lower().replace("-", "_")
        if looks and known in _SECRET_FIELDS and isinstance(value, str) and value:
            return MARK
        return self._scrub(value, looks=looks and known not in _OPAQUE_FIELDS)

    def _text(self, text: str, *, looks: bool) -> str:
        if self._literals is not None:
            text = self._literals.sub(MARK, text)
        return _SHAPES.sub(_mark, text) if looks else text
