"""The terminal: a screen that several threads write to and nobody but us controls, and a keyboard.

What a model says, what a file holds and what a command prints is text of strangers. A terminal takes
orders in its text: it moves the cursor, hides what stands there, sets the clipboard. So:

| function  | for                          | what could give orders                           |
|-----------|------------------------------|--------------------------------------------------|
| `plain`   | everything that is shown     | is taken out: colours, moves, titles             |
| `visible` | what the user is to agree to | is written out: `\\x1b[2J`; so nothing is hidden |

`Stripper` is `plain` for text that comes in pieces: however it is cut, the same is shown.
"""

from __future__ import annotations

import os
import re
import select
import signal
import threading
from collections.abc import Iterator
from typing import TextIO

__all__ = ["Keyboard", "Screen", "Stripper", "plain", "visible"]

CSI = r"\x1b\[[0-?]{0,64}[ -/]{0,8}"  # colours and moves, up to the letter that ends them
STRING = r"\x1b[]P^_X][^\x1b\x07\n]{0,1024}"  # titles, links, the clipboard, up to their end; else shown
SHORT = r"\x1b[ -/]{0,8}"
BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # would show text in another order than it has
CONTROL = rf"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{BIDI}]"  # 8-bit sequences begin in here as well

ORDER = re.compile(rf"(\r\n?)|{CSI}[@-~]|{STRING}(?:\x07|\x1b\\)|{SHORT}[0-~]|{CONTROL}")
UNFINISHED = re.compile(rf"(?:\r|{CSI}|{STRING}\x1b?|{SHORT})\Z")


def plain(text: str) -> str:
    """The text without anything that a terminal would obey but line ends and tabs.

    A carriage return is a line end: otherwise a line could be written over by another.
    """
    return ORDER.sub(lambda found: "\n" if found[1] else "", text)


def visible(text: str) -> str:
    """The text with everything that cannot be seen written out, but for line ends and tabs."""
    if text.isprintable():
        return text
    shown = [one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text]
    return "".join(shown)


class Stripper:
    """`plain`, for a text that comes in pieces: the beginning of an order waits for its end."""

    def __init__(self) -> None:
        self._rest = ""

    def feed(self, piece: str) -> str:
        text = self._rest + piece
        begun = UNFINISHED.search(text)
        cut = begun.start() if begun else len(text)
        self._rest = text[cut:]
        return plain(text[:cut])

    def end(self) -> str:
        """What is left when no more will come."""
        text, self._rest = self._rest, ""
        return plain(text)


class Screen:
    """Lines, and streams of text that others may break in upon; each begins on a line of its own."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.RLock()
        self._is_coloured = (
            out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )
        self._source: object = None
        self._stripper = Stripper()
        self._at_start = True

    def line(self, text: str, style: str = "", *, depth: int = 0) -> None:
        """Text in lines of its own."""
        with self._lock:
            self._end_stream()
            self._write(f"{plain(text)}\n", style, depth)
            self._out.flush()

    def stream(self, source: object, piece: str, style: str = "", *, depth: int = 0) -> None:
        """A piece of text that goes on where the last piece of the same source ended."""
        with self._lock:
            if source != self._source:
                self._end_stream()
                self._source = source
            self._write(self._stripper.feed(piece), style, depth)
            self._out.flush()

    def prompt(self, text: str) -> None:
        """Ask for a line; the user's cursor stays behind it."""
        with self._lock:
            self._end_stream()
            self._write(text, "1", 0)
            self._out.flush()

    def typed(self) -> None:
        """The user has ended a line, and with it ours."""
        with self._lock:
            self._at_start = True

    def _end_stream(self) -> None:
        self._write(self._stripper.end(), "", 0)
        self._source = None
        if not self._at_start:
            self._out.write("\n")
            self._at_start = True

    def _write(self, text: str, style: str, depth: int) -> None:
        for piece in re.findall(r"[^\n]+\n?|\n", text):
            words = piece.removesuffix("\n")
            if self._at_start and words:
                self._out.write("  " * depth)
            self._out.write(f"\x1b[{style}m{words}\x1b[0m" if style and self._is_coloured else words)
            self._at_start = piece.endswith("\n")
            if self._at_start:
                self._out.write("\n")


class Keyboard:
    """The lines that are typed; for the main thread.

    The system may hand a signal to any thread, and a read in another one would sleep on: so we wait for
    the input and for `set_wakeup_fd` at once, and the signal's handler runs as soon as either comes.
    """

    def __init__(self, file: int = 0) -> None:
        self._file = file
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)

    def lines(self) -> Iterator[str]:
        former = signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        try:
            rest = b""
            while True:
                ready, _, _ = select.select([self._file, self._woken], [], [])
                if self._woken in ready:
                    os.read(self._woken, 4096)
                if self._file in ready:
                    data = os.read(self._file, 65536)
                    *lines, rest = (rest + data).split(b"\n")
                    yield from [line.decode("utf-8", "replace") for line in lines]
                    if not data:
                        break
            if rest:
                yield rest.decode("utf-8", "replace")
        finally:
            signal.set_wakeup_fd(former)
            os.close(self._woken)
            os.close(self._waker)
