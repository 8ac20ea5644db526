"""Excerpt: the beginning and the end of a stream of bytes of any length, as text.

    bytes in  ->  [ first bytes | ....... dropped ....... | last bytes ]  ->  text, with what was cut said

Invariants. What is kept in memory is bounded by the limit, whatever comes. The limit counts characters of
text; of the stream are kept as many bytes as that many characters can have. A character is never split:
not where the stream was cut, and not between two pieces that were taken one after the other. Bytes that
are no UTF-8 become U+FFFD, and so do NUL and the other control characters that no text has.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Excerpt"]

WIDEST = 4
"""Bytes of the longest character in UTF-8."""

# Tabs, line ends, backspace, form feed and ESC belong to what terminals are told; the rest is binary.
CONTROLS = dict.fromkeys((*range(8), *range(14, 27), *range(28, 32), 127), "\ufffd")


class Excerpt:
    """Takes bytes and gives at most `limit` characters: the beginning, the end, and a word on the rest."""

    __slots__ = ("_head", "_limit", "_room", "_tail", "_tail_size", "total")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._room = (limit + 1) // 2 * WIDEST
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.total = 0
        """Bytes that came, kept or not."""

    def write(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(piece)
        missing = self._room - len(self._head)
        if missing > 0:
            self._head += piece[:missing]
            piece = piece[missing:]
        if piece:
            self._tail.append(piece)
            self._tail_size += len(piece)
            while self._tail_size - len(self._tail[0]) >= self._room:
                self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        """What there is, in at most `limit` characters beside the line that tells how much was cut."""
        return self._text(*self._kept())

    def take(self) -> str:
        """What came since the last time, and forget it; a character that has not all come yet stays."""
        head, tail = self._kept()
        last = tail or head
        begun = last[_end_of_whole_characters(last) :]
        whole = len(last) - len(begun)
        self.total -= len(begun)
        text = self._text(head, tail[:whole]) if tail else self._text(head[:whole], tail)
        self._head.clear()
        self._tail.clear()
        self._tail_size = self.total = 0
        self.write(begun)
        return text

    def _kept(self) -> tuple[bytes, bytes]:
        """The beginning and the end, if there is anything between them; otherwise all of it, and nothing."""
        head, tail = bytes(self._head), b"".join(self._tail)
        return (head + tail, b"") if self.total == len(head) + len(tail) else (head, tail)

    def _text(self, head: bytes, tail: bytes) -> str:
        # With surrogates for what is no UTF-8 the bytes can be counted again, exactly.
        if not tail:
            first = last = head.decode("utf-8", "surrogateescape")
            if len(first) <= self._limit:
                return _readable(first)
        else:
            first = head.decode("utf-8", "surrogateescape")
            last = tail[_start_of_characters(tail) :].decode("utf-8", "surrogateescape")
        half = self._limit // 2
        first, last = first[:half], last[-(self._limit - half) :]
        cut = self.total - _size(first) - _size(last)
        return f"{_readable(first)}\n[... {cut:,} bytes cut ...]\n{_readable(last)}"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _readable(text: str) -> str:
    if not text.isascii():
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text.translate(CONTROLS)


def _start_of_characters(data: bytes) -> int:
    """Where the first character begins in bytes that were cut off from others."""
    for index in range(min(len(data), WIDEST - 1)):
        if data[index] & 0xC0 != 0x80:
            return index
    return min(len(data), WIDEST - 1)


def _end_of_whole_characters(data: bytes) -> int:
    """Where a character begins that has not all come yet; the length if there is none."""
    for back in range(1, min(len(data), WIDEST - 1) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if needed > back else len(data)
        if byte < 0x80:
            break
    return len(data)
