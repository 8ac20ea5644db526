"""Content codings undone piece by piece: gzip and deflate, alone or stacked.

    decoder = content_decoder("gzip")        # None where there is nothing to undo
    decoder.feed(data)
    while piece := decoder.take(): ...       # b"" = feed me more
    decoder.finish()                         # at the end of the body; raises for a cut-off one

Invariants. A piece is at most PIECE bytes, and nothing is decoded ahead of the caller, so a few
bytes that stand for gigabytes cost no memory. The pieces are the same however the input was cut,
also in front of an error. A body without a single byte is an empty body, in any coding: many
servers answer so.
"""

from __future__ import annotations

import zlib

from tako.errors import ProtocolError

__all__ = ["CODINGS", "PIECE", "Decoder", "content_decoder"]

CODINGS = "gzip, deflate"
"""The value of Accept-Encoding that `content_decoder` can honour."""
PIECE = 256 * 1024
MOST_CODINGS = 3
"""Nobody stacks more in earnest."""

_GZIP = 16 + zlib.MAX_WBITS
_ZLIB = zlib.MAX_WBITS
_RAW = -zlib.MAX_WBITS


class Decoder:
    """A row of inflaters, the coding that was applied last first."""

    __slots__ = ("_stages",)

    def __init__(self, stages: list[_Inflater]) -> None:
        self._stages = stages

    def feed(self, data: bytes) -> None:
        self._stages[0].feed(data)

    def take(self) -> bytes:
        """The next piece, b"" if more input is needed; raises ProtocolError."""
        stages = self._stages
        last = len(stages) - 1
        position = last
        while position >= 0:
            piece = stages[position].take()
            if not piece:
                position -= 1
            elif position == last:
                return piece
            else:
                position += 1
                stages[position].feed(piece)
        return b""

    def finish(self) -> None:
        """Call when the input has ended and `take` gave b""; raises ProtocolError if it was cut off."""
        for stage in self._stages:
            stage.finish()


def content_decoder(value: str) -> Decoder | None:
    """A decoder for the value of Content-Encoding; raises ProtocolError for a coding it cannot undo."""
    codings = [coding for item in value.split(",") if (coding := item.strip().lower()) not in ("", "identity")]
    if len(codings) > MOST_CODINGS:
        raise ProtocolError("the answer has too many content codings stacked", phase="head")
    for coding in codings:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise ProtocolError(
                f"the answer has the content coding {coding[:40]!r}, which was not asked for; ask for {CODINGS!r}",
                phase="head",
            )
    return Decoder([_Inflater(coding) for coding in reversed(codings)]) if codings else None


class _Inflater:
    """One coding. "deflate" means a zlib stream; the bare deflate that some servers send is told
    from it by the two bytes that a zlib stream starts with (RFC 1950, section 2.2)."""

    __slots__ = ("_coding", "_fault", "_pending", "_zlib")

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._pending = b""
        self._zlib = None if coding == "deflate" else zlib.decompressobj(_GZIP)
        self._fault: str | None = None

    def feed(self, data: bytes) -> None:
        self._pending = self._pending + data if self._pending else data

    def take(self) -> bytes:
        while True:
            if self._fault is not None:
                raise ProtocolError(f"the {self._coding} body is damaged: {self._fault}", phase="body")
            if self._zlib is None and not self._sniff():
                return b""
            inflater = self._zlib
            assert inflater is not None
            if inflater.eof and not self._next_member():
                return b""
            elif piece := self._inflate():
                return piece
            elif self._fault is None and not self._pending and not inflater.eof:
                return b""

    def finish(self) -> None:
        begun = self._pending or (self._zlib is not None and self._zlib is not _UNTOUCHED)
        if begun and (self._zlib is None or not self._zlib.eof):
            raise ProtocolError(f"the {self._coding} body is cut off", phase="body")
