"""HTML taken apart: its text and its tags, without comments and scripts, and what of it is hidden.

This is not html.parser, which before Python 3.13.6 needs time by the square of the length for what is
not closed (40 seconds for 100 kB of `<a b='"`), and raises for `<![` and for a number of 5,000 digits.

| found                                   | is                                                          |
|-----------------------------------------|-------------------------------------------------------------|
| `<` and a letter, up to `>`             | a start tag; a `>` between quotation marks does not count   |
| `</` and a letter, up to `>`            | an end tag                                                  |
| `<!--` up to `-->`                      | a comment                                                   |
| `<!`, `<?`, `</` and anything, to `>`   | nothing that anybody reads                                  |
| script, style and their like            | left out up to their end tag; there is no markup in them    |
| nav, svg, template, ... and what is     | left out up to their end tag, if there is one: an element   |
| hidden, display:none, role=navigation   | without an end hides nothing                                |
| any other `<`                           | text                                                        |

As in a browser, a comment, a script or a tag without an end goes on to the end of the page.

Invariants. Any text is HTML. Each character is looked at a bounded number of times, whatever is nested
in what, or never closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import TypeAlias

__all__ = ["Attributes", "Piece", "scan", "unescaped"]

MOST_OF_A_TAG = 20_000
"""Characters in a tag among which attributes are looked for."""
MOST_OF_A_TEXT = 65_536
"""Characters in one piece of text; of a longer one there are several."""
LONGEST_REFERENCE = 40
MOST_NAMES = 1_000
"""Names of elements whose ends are looked for; those of HTML are some 140."""

Attributes: TypeAlias = dict[str, str]
Piece: TypeAlias = tuple[str, str, Attributes]
"""("text", as it stands there, {}), ("start", name, attributes) or ("end", name, {})."""

_OPENING = re.compile(r"<(?=[a-zA-Z/!?])")
# Quotation marks count after an equals sign only. Possessive: what does not fit is not tried again.
_TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+'|))*+)>""")
_BROKEN_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*+)([^>]*+)>")
_ATTRIBUTE = re.compile(
    r"""([^\s/>=][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]*+)))?+""",
)
_WANTED = frozenset(("alt", "hidden", "href", "role", "start", "style"))
_COMMENT_END = re.compile(r"--!?>")
# No character has such a number, and Python refuses to read one of more than 4,300 digits.
_LONG_NUMBER = re.compile(r"&#(?:[0-9]{8,}+|[xX][0-9a-fA-F]{8,}+);?")
_NOT_SHOWN = re.compile(r"(?:^|;)\s*+(?:display\s*+:\s*+none|visibility\s*+:\s*+hidden)", re.IGNORECASE)
_END_NAME = re.compile(r"</([a-zA-Z][^\s/>]{0,40})(?=[\s/>])")

_RAW = frozenset(("script", "style", "xmp", "noembed", "noframes"))
_DROPPED = frozenset(("audio", "canvas", "iframe", "nav", "noscript", "object", "svg", "template", "video"))
_MAY_HIDE = _RAW | _DROPPED
# Some pages hide their body until a script shows it; the rest has no end.
_NEVER_HIDDEN = frozenset(
    ("area", "base", "body", "br", "col", "embed", "hr", "html", "img", "input", "link", "meta", "source",
     "track", "wbr")
)  # fmt: skip
_END_OPTIONAL = frozenset(
    ("dd", "dt", "optgroup", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr", "li")
)
_AROUND_THEM = frozenset(("body", "div", "dl", "main", "menu", "ol", "section", "select", "table", "ul"))


def scan(html: str) -> Iterator[Piece]:
    """The pieces of a page, without comments and scripts and what of it is hidden."""
    place, length = 0, len(html)
    hiding = _Hiding(html)
    while place < length:
        opening = _OPENING.search(html, place)
        start = opening.start() if opening else length
        while start > place and not hiding.name:
            end = _end_of_text(html, place, start)
            yield "text", html[place:end], {}
            place = end
        if opening is None:
            return
        tag = _TAG.match(html, start) or _BROKEN_TAG.match(html, start)
        if tag is None:
            place = _after_other(html, start)
            continue
        place = tag.end()
        name = tag[2].lower()
        if tag[1]:
            if not hiding.ends(name):
                yield "end", name, {}
            continue
        attributes = _attributes(tag[3]) if tag[3] else {}
        if (hiding.name or attributes or name in _MAY_HIDE) and hiding.starts(name, attributes, place):
            place = hiding.skip_raw(name, place)
            continue
        yield "start", name, attributes


def _end_of_text(html: str, place: int, end: int) -> int:
    """Where a piece of text may end: it has a bounded length, and no end inside of a reference."""
    if end - place <= MOST_OF_A_TEXT:
        return end
    end = place + MOST_OF_A_TEXT
    reference = html.rfind("&", end - LONGEST_REFERENCE, end)
    return end if reference < 0 else reference


def _after_other(html: str, start: int) -> int:
    """Where a comment, a declaration or a tag that is none has ended."""
    if html.startswith("<!--", start):
        if html.startswith((">", "->"), start + 4):
            return html.index(">", start) + 1
        end = _COMMENT_END.search(html, start + 4)
        return end.end() if end else len(html)
    return html.find(">", start) + 1 or len(html)


def _attributes(text: str) -> Attributes:
    """Those that matter; of two with one name the first."""
    found: Attributes = {}
    for match in _ATTRIBUTE.finditer(text, 0, MOST_OF_A_TAG):
        name = match[1].lower()
        if name in _WANTED and name not in found:
            found[name] = unescaped(match[2] or match[3] or match[4] or "")
    return found


def unescaped(text: str) -> str:
    return unescape(_LONG_NUMBER.sub("\ufffd", text)) if "&" in text else text


class _Hiding:
    """Which element is being left out, if any, until its end tag comes.

    An element hides something only if there is an end tag of its name later on.
    """

    def __init__(self, html: str) -> None:
        self.name = ""
        self._depth = 0
        self._html = html
        self._last_ends: dict[str, int] | None = None

    def starts(self, name: str, attributes: Attributes, place: int) -> bool:
        """Whether a start tag, which ends at `place`, is left out, and perhaps all that follows."""
        if self.name:
            if name == self.name and name in _END_OPTIONAL:
                self.name = ""  # the next one: the one before it has ended
            else:
                self._depth += name == self.name
                return True
        if name in _RAW:
            return True
        if not (name in _DROPPED or _is_hidden(attributes)) or name in _NEVER_HIDDEN:
            return False
        if self._last_end(name) < place:
            return False
        self.name, self._depth = name, 1
        return True

    def ends(self, name: str) -> bool:
        """Whether an end tag is left out."""
        if not self.name:
            return False
        if name == self.name:
            self._depth -= 1
            if not self._depth:
                self.name = ""
        elif self.name in _END_OPTIONAL and name in _AROUND_THEM:
            self.name = ""  # what is around it has ended
            return False
        return True

    def skip_raw(self, name: str, place: int) -> int:
        """Where to go on after a start tag: behind a script, if it is one."""
        if name not in _RAW:
            return place
        end = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(self._html, place)
        return end.start() if end else len(self._html)

    def _last_end(self, name: str) -> int:
        if self._last_ends is None:
            self._last_ends = {}
            for match in _END_NAME.finditer(self._html):
                end = match[1].lower()
                if end in self._last_ends or len(self._last_ends) < MOST_NAMES:
                    self._last_ends[end] = match.start()
        return self._last_ends.get(name, -1)


def _is_hidden(attributes: Attributes) -> bool:
    if "hidden" in attributes or attributes.get("role", "").strip().lower() == "navigation":
        return True
    return _NOT_SHOWN.search(attributes.get("style", "")) is not None
