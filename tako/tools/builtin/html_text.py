"""HTML to text that a model can read, in time and memory that grow with the length of the page only.

| element                     | becomes                                                            |
|-----------------------------|--------------------------------------------------------------------|
| title                       | a first line, `Title: ...`                                         |
| h1 to h6                    | `# ` to `###### `                                                  |
| a                           | `[text](absolute URL)`; the text alone for what is not http(s)     |
| ul, ol, dd                  | `- `, `1. `, `: `; what is inside of an item is indented           |
| blockquote                  | `> `                                                               |
| pre, code                   | the very text between fences of backticks; `code`                  |
| tr, td                      | a line, with ` | ` between the cells                               |
| img                         | `[image: alt]`                                                     |
| sup                         | `^`, for 10 to the 6th is not 106                                  |
| hidden, script, nav, svg... | nothing; see html_scan.py                                          |

A page goes through three hands: `scan` says where its tags are, the Reader what they mean, and the
Writer puts words into lines. White space is collapsed, and a gap is only written when words follow it.
So is the marker of an item, and what opens a link, so that an empty one leaves nothing behind.

A link or a piece of code ends with its line: where somebody links a whole card, its heading is the link.

Invariants. Any text gives text, and the words of the body stand in it in their order. No element is
remembered but lists and quotations, MOST_NESTED of them; what is nested deeper is shown at that depth.
At most `most` characters are written, and what is missing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urljoin

from tako.tools.builtin.html_scan import Attributes, scan, unescaped

__all__ = ["html_to_text", "is_title_alone"]

MOST_TEXT = 10_000_000
"""Characters of text that one page may become."""
MOST_URL = 2_000
"""Characters of a link's URL; of a link with a longer one there is the text alone."""
MOST_TITLE = 500
MOST_NESTED = 12
"""Lists and quotations inside of each other that can be told apart."""
MOST_OF_A_MARKER = 60
"""Characters for empty cells in a row."""
PARTS_APART = 10_000
MOST_INDENTED = 10_000
"""Lines of code that are indented with the item they stand in; more of them stand at the margin."""
PIECES_BETWEEN_CHECKS = 1_000
A_LONG_PIECE = 10_000

_TITLE = "Title: "
_SPACE, _LINE, _PARAGRAPH = 1, 2, 3
_GAPS = ("", " ", "\n", "\n\n")
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_LISTS = frozenset(("dir", "menu", "ol", "ul"))
_BLOCKS = {
    **dict.fromkeys(("dl", "fieldset", "figure", "p", "table"), _PARAGRAPH),
    **dict.fromkeys(
        ("address", "article", "aside", "body", "caption", "center", "details", "div", "dt", "figcaption",
         "footer", "form", "header", "hgroup", "html", "legend", "main", "option", "section", "select",
         "summary", "tbody", "textarea", "tfoot", "thead"),
        _LINE,
    ),
}  # fmt: skip
_KNOWN = frozenset(
    (*_BLOCKS, *_HEADINGS, *_LISTS, "a", "base", "blockquote", "br", "code", "dd", "hr", "img", "li", "pre",
     "sup", "td", "th", "title", "tr")
)  # fmt: skip
"""All elements that mean something; most tags of a page are others."""
_LINES_OF_CODE = frozenset(("div", "li", "p", "tr"))
_BACKTICKS = re.compile(r"`{3,}+")
_NOT_IN_A_LINK = re.compile(r"[\s()<>\[\]]")


def html_to_text(
    html: str, url: str = "", *, most: int = MOST_TEXT, check: Callable[[], object] | None = None
) -> str:
    """The readable text of a page that was found at `url`.

    `check` is called now and then, and what it raises ends the work.
    """
    reader = _Reader(url)
    for count, (kind, value, attributes) in enumerate(scan(html)):
        if kind == "text":
            reader.text(unescaped(value))
        elif kind == "start":
            reader.start(value, attributes)
        else:
            reader.end(value)
        if check is not None and (count % PIECES_BETWEEN_CHECKS == 0 or len(value) > A_LONG_PIECE):
            check()
        if reader.writer.size > most:
            break
    return reader.finish(most)


def is_title_alone(text: str) -> bool:
    """Whether a page's text is its title and no more, as of a page that its scripts would fill."""
    return text.startswith(_TITLE) and "\n" not in text


class _Writer:
    """Words, and what stands before and between them.

    gap       what is between the last words and the next
    indent    what each line begins with
    marker    what a block begins with; until there are words in it, it has no other gap
    opening   what the next words are opened with: "[" of a link, "`" of code, "^" of what stands raised
    """

    __slots__ = ("_lines", "_parts", "gap", "indent", "marker", "marker_indent", "opening", "size")

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._parts: list[str] = []
        self.size = 0
        self.gap = 0
        self.indent = ""
        self.marker = ""
        self.marker_indent = ""
        self.opening = ""

    def widen(self, gap: int) -> None:
        if not self.marker and gap > self.gap:
            self.gap = gap

    def mark(self, marker: str, indent: str | None = None) -> None:
        self.marker = marker
        self.marker_indent = self.indent if indent is None else indent

    def words(self, text: str) -> None:
        words = " ".join(text.split())
        if not words:
            self.widen(_SPACE if text else 0)
            return
        if text[0].isspace():
            self.widen(_SPACE)
        self.verbatim(words)
        if text[-1].isspace():
            self.gap = _SPACE

    def verbatim(self, text: str) -> None:
        indent = self.marker_indent if self.marker else self.indent
        begun = bool(self._parts or self._lines)
        if not begun or self.gap >= _LINE:
            self._add((_GAPS[self.gap] if begun else "") + indent)
        elif self.gap:
            self._add(" ")
        self._add(f"{self.marker}{self.opening}{text}")
        self.gap, self.marker, self.opening = 0, "", ""

    def close(self, opening: str, closing: str) -> None:
        """End what was opened; without words in it, it never was."""
        if opening in self.opening:
            self.opening = self.opening.replace(opening, "")
        else:
            self._add(closing)

    def whole(self) -> str:
        return "".join(self._lines + self._parts)

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self.size += len(text)
        if len(self._parts) >= PARTS_APART:  # a string of one word takes the memory of fifty letters
            self._lines.append("".join(self._parts))
            self._parts.clear()


class _Reader:
    """What the tags mean."""

    def __init__(self, url: str) -> None:
        self.writer = _Writer()
        self._base = url
        self._based = False
        self._title = ""
        self._title_is = "to come"
        self._link: str | None = None
        self._in_code = False
        self._preformatted: list[str] | None = None
        self._nested: list[tuple[str, str]] = []
        """Lists and quotations: the name, and the indentation around it."""
        self._deeper = 0
        self._numbers: list[int] = []
        """The next item of each list, 0 where they have no numbers."""
        self._cells = 0
        self._row_began_at = 0
        """The size of the text before the row."""

    def text(self, text: str) -> None:
        if self._title_is == "read":
            self._title = (self._title + text)[:MOST_TITLE]
        elif self._preformatted is not None:
            self._preformatted.append(text)
            self.writer.size += len(text)
        else:
            self.writer.words(text)

    def start(self, name: str, attributes: Attributes) -> None:
        writer = self.writer
        if self._title_is == "read":
            self._title_is = "known"
        if self._preformatted is not None:
            self._in_preformatted(name, starts=True)
        elif name not in _KNOWN:
            return
        elif name == "a":
            self._open_link(attributes.get("href", ""))
        elif name in _BLOCKS:  # a paragraph does not part its row from the one before
            self._break(_LINE if writer.size == self._row_began_at else _BLOCKS[name])
        elif name in _HEADINGS:
            self._break(_PARAGRAPH)
            writer.mark(_HEADINGS[name])
        elif name == "br":
            self._break(_PARAGRAPH if writer.gap == _LINE else _LINE)
        elif name == "li":
            self._item()
        elif name in ("td", "th"):
            self._cell()
        elif name in ("tr", "dd"):
            self._cells, self._row_began_at = 0, writer.size
            writer.marker = ""
            self._break(_LINE)
            if name == "dd":
                writer.mark(": ")
        elif name == "pre":
            self._break(_PARAGRAPH)
            self._preformatted = []
        elif name in _LISTS or name == "blockquote":
            self._nest(name, attributes)
        else:
            self._start_other(name, attributes)

    def _start_other(self, name: str, attributes: Attributes) -> None:
        if name == "code" and not self._in_code:
            self._in_code = True
            self.writer.opening += "`"
        elif name == "sup" and "^" not in self.writer.opening:
            self.writer.opening += "^"
        elif name == "img" and (alt := attributes.get("alt", "").strip()):
            self.writer.words(f"[image: {alt}]")
        elif name == "hr":
            self._break(_PARAGRAPH)
            self.writer.words("---")
            self._break(_PARAGRAPH)
        elif name == "title" and self._title_is == "to come":
            self._title_is = "read"
        elif name == "base" and not self._based and "href" in attributes:
            self._based = True
            self._base = self._absolute(attributes["href"]) or self._base

    def end(self, name: str) -> None:
        if self._title_is == "read":
            self._title_is = "known"
        if self._preformatted is not None:
            self._in_preformatted(name, starts=False)
        elif name == "a":
            self._close_link()
        elif name in _BLOCKS:
            self._break(_BLOCKS[name])
        elif name == "code":
            self._close_code()
        elif name == "sup":
            self.writer.close("^", "")
        elif name in _HEADINGS or name in ("li", "dd", "tr"):
            self.writer.marker = ""
            self._break(_PARAGRAPH if name in _HEADINGS else _LINE)
            if name == "tr" and self.writer.size > self._row_began_at:
                self.writer.gap = _LINE  # a paragraph in its last cell does not part the rows
        elif name in _LISTS or name == "blockquote":
            self._leave(name)

    def finish(self, most: int) -> str:
        self._close_preformatted()
        self._close_inline()
        text = self.writer.whole()
        if self.writer.size > most:
            text = f"{text[:most]}\n\n[... the page goes on; {most:,} characters of it are read ...]"
        title = " ".join(self._title.split())
        return f"{_TITLE}{title}\n\n{text}".rstrip() if title else text

    def _break(self, gap: int) -> None:
        self._close_inline()
        self.writer.widen(gap)

    def _close_inline(self) -> None:
        """End what may not go on in the next line, unless it has yet to begin."""
        if self._in_code and "`" not in self.writer.opening:
            self._close_code()
        if self._link is not None and "[" not in self.writer.opening:
            self._close_link()

    def _close_code(self) -> None:
        if self._in_code:
            self._in_code = False
            self.writer.close("`", "`")

    def _open_link(self, href: str) -> None:
        self._close_link()
        if url := self._absolute(href):
            self._link = url
            self.writer.opening += "["

    def _close_link(self) -> None:
        if self._link is not None:
            self.writer.close("[", f"]({self._link})")
            self._link = None

    def _absolute(self, href: str) -> str:
        """The whole URL of a link that leads to another page, else nothing."""
        href = href.strip()
        if not href or href.startswith("#"):
            return ""
        try:
            url = urljoin(self._base, href)
        except ValueError:  # brackets that are no IPv6 address
            return ""
        if not url.lower().startswith(("http://", "https://")) or len(url) > MOST_URL:
            return ""
        return _NOT_IN_A_LINK.sub(lambda found: f"%{ord(found[0]):02X}" if found[0].isascii() else "", url)

    def _item(self) -> None:
        writer = self.writer
        writer.marker = ""
        self._break(_LINE)
        in_list = bool(self._nested) and self._nested[-1][0] in _LISTS
        number = self._numbers[-1] if in_list else 0
        if number:
            self._numbers[-1] += 1
        writer.mark(f"{number}. " if number else "- ", self._nested[-1][1] if in_list else None)

    def _cell(self) -> None:
        writer = self.writer
        self._close_inline()
        if self._cells:
            if writer.marker.endswith("| "):
                writer.marker = (writer.marker + "| ")[:MOST_OF_A_MARKER]
            else:
                if writer.size > self._row_began_at:  # a paragraph in a cell does not end the line
                    writer.gap = _SPACE
                writer.mark("| ")
        self._cells += 1

    def _nest(self, name: str, attributes: Attributes) -> None:
        writer = self.writer
        writer.marker = "" if name in _LISTS else writer.marker
        self._break(self._gap_around(name))
        if len(self._nested) == MOST_NESTED:
            self._deeper += 1
            return
        start = attributes.get("start", "")
        self._numbers.append((int(start) if start.isdecimal() and len(start) < 9 else 1) * (name == "ol"))
        self._nested.append((name, writer.indent))
        writer.indent += "> " if name == "blockquote" else "  "

    def _leave(self, name: str) -> None:
        writer = self.writer
        writer.marker = ""
        if self._deeper:
            self._deeper -= 1
        elif any(kind == name for kind, _ in self._nested):
            while True:
                kind, writer.indent = self._nested.pop()
                self._numbers.pop()
                if kind == name:
                    break
        self._break(self._gap_around(name))

    def _gap_around(self, name: str) -> int:
        """A list inside of a list stands close to its item."""
        inside = name in _LISTS and any(kind in _LISTS for kind, _ in self._nested)
        return _LINE if inside else _PARAGRAPH

    def _in_preformatted(self, name: str, *, starts: bool) -> None:
        pieces = self._preformatted
        assert pieces is not None
        if name == "pre" and not starts:
            self._close_preformatted()
        elif name == "br" or (name in _LINES_OF_CODE and pieces and not pieces[-1].endswith("\n")):
            pieces.append("\n")

    def _close_preformatted(self) -> None:
        """Write what stood in a pre, with a fence that is longer than any in it."""
        if self._preformatted is None:
            return
        text = "".join(self._preformatted).replace("\r\n", "\n").removeprefix("\n").rstrip()
        self._preformatted = None
        if text:
            fence = "`" * max([3, *(len(found[0]) + 1 for found in _BACKTICKS.finditer(text))])
            lines = f"{fence}\n{text}\n{fence}"
            if lines.count("\n") <= MOST_INDENTED:
                lines = lines.replace("\n", "\n" + self.writer.indent)
            self.writer.verbatim(lines)
        self.writer.widen(_PARAGRAPH)
