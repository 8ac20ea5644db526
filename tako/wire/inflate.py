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
_WINDOW = 64 * 1024  # input looked at in one go, so that a large input is not copied for every piece


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
    codings = [
        coding for item in value.split(",") if (coding := item.strip().lower()) not in ("", "identity")
    ]
    if len(codings) > MOST_CODINGS:
        raise ProtocolError("the answer has too many content codings stacked", phase="body")
    for coding in codings:
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise ProtocolError(
                f"the answer has the content coding {coding[:40]!r}, which nobody asked for; "
                f"the header accept-encoding should be {CODINGS!r}",
                phase="body",
            )
    return Decoder([_Inflater(coding) for coding in reversed(codings)]) if codings else None


class _Inflater:
    """One coding. "deflate" means a zlib stream; the bare deflate that some servers send is told
    from it by the two bytes that a zlib stream starts with (RFC 1950, section 2.2). A gzip body may
    consist of several members (RFC 1952, section 2.2)."""

    __slots__ = ("_coding", "_fault", "_full", "_inflate", "_input", "_position", "_touched")

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._input = b""
        self._position = 0  # what is in front of it has been inflated
        self._inflate = None if coding == "deflate" else zlib.decompressobj(_GZIP)
        self._touched = False
        self._full = False  # the last piece was full, so there may be more without more input
        self._fault: str | None = None

    def feed(self, data: bytes) -> None:
        self._input = self._input[self._position :] + data
        self._position = 0
        self._touched = self._touched or bool(data)

    def take(self) -> bytes:
        while self._fault is None:
            available = len(self._input) - self._position
            if self._inflate is None:
                if available < 2:
                    return b""
                self._inflate = zlib.decompressobj(_ZLIB if _is_zlib(self._input) else _RAW)
            if self._inflate.eof:
                if not available:
                    return b""
                self._start_next_member()
            elif not available and not self._full:
                return b""
            elif piece := self._next_piece():
                return piece
        raise ProtocolError(f"the {self._coding} body is damaged: {self._fault}", phase="body")

    def finish(self) -> None:
        if self._touched and (self._inflate is None or not self._inflate.eof):
            raise ProtocolError(f"the {self._coding} body is cut off", phase="body")

    def _start_next_member(self) -> None:
        if self._coding == "deflate":
            self._fault = "there are bytes after its end"
        else:
            self._inflate = zlib.decompressobj(_GZIP)

    def _next_piece(self) -> bytes:
        assert self._inflate is not None
        data = self._input[self._position : self._position + _WINDOW]
        before = self._inflate.copy()
        try:
            piece = self._inflate.decompress(data, PIECE)
        except zlib.error as error:
            self._fault = str(error)
            return _inflate_what_is_sound(before, data)
        left = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        self._position += len(data) - len(left)
        self._full = len(piece) == PIECE
        return piece


def _is_zlib(data: bytes) -> bool:
    return data[0] & 0x0F == 8 and data[0] >> 4 <= 7 and (data[0] << 8 | data[1]) % 31 == 0


def _inflate_what_is_sound(inflate: zlib._Decompress, data: bytes) -> bytes:
    """What stands in front of the fault. zlib drops it when it raises, so it is asked byte by byte."""
    sound = bytearray()
    try:
        for index in range(len(data)):
            sound += inflate.decompress(data[index : index + 1], PIECE)
    except zlib.error:
        pass
    return bytes(sound)
