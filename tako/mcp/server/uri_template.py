"""UriTemplate: addresses of resources with gaps: RFC 6570 level 1, and `{+name}` of level 2.

| in the template | stands for                                            | matches in an address          |
|-----------------|-------------------------------------------------------|--------------------------------|
| {name}          | a value, percent-encoded but for unreserved letters   | at least one, but no "/?#"     |
| {+name}         | a value with its reserved characters: a path, a query | at least one of any            |
| anything else   | itself                                                | itself                         |

A match takes a bounded time: a template has at most MAX_GAPS gaps, with something between any two of them,
and an address at most MAX_ADDRESS characters.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from tako.errors import InvalidInput

__all__ = ["UriTemplate"]

MAX_GAPS: Final = 8
MAX_ADDRESS: Final = 4096
_GAP: Final = re.compile(r"\{(\+?)([A-Za-z_][A-Za-z0-9_]*)\}")


class UriTemplate:
    """Raises InvalidInput for what is no template of level 1."""

    __slots__ = ("_pattern", "names", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidInput(f"a URI template should be text, not {type(text).__name__}")
        self.text = text
        self.names = tuple([match[2] for match in _GAP.finditer(text)])
        literals = _GAP.sub("\0", text).split("\0")
        if any("{" in literal or "}" in literal for literal in literals):
            raise InvalidInput(f"URI template {text!r}: gaps are written {{name}} or {{+name}}")
        if not self.names or len(self.names) > MAX_GAPS or len(set(self.names)) < len(self.names):
            raise InvalidInput(
                f"URI template {text!r}: it needs 1 to {MAX_GAPS} gaps, each with its own name"
            )
        if not all(literals[1:-1]):
            raise InvalidInput(
                f"URI template {text!r}: put something between {{gaps}}, or nobody can tell them apart"
            )
        pattern = re.escape(literals[0])
        for match, literal in zip(_GAP.finditer(text), literals[1:], strict=True):
            pattern += f"(?P<{match[2]}>{'.+?' if match[1] else '[^/?#]+?'}){re.escape(literal)}"
        self._pattern = re.compile(pattern, re.DOTALL)

    def __repr__(self) -> str:
        return f"<UriTemplate {self.text}>"

    def match(self, address: str) -> dict[str, str] | None:
        """The values of the gaps, percent-decoded; None if the address is not one of these."""
        if len(address) > MAX_ADDRESS:
            return None
        found = self._pattern.fullmatch(address)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}
