"""Faults: what goes wrong in a simulated world, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tako.errors import InvalidInput
from tako.testing.vendor import Hangup, Piece, Reset

__all__ = ["Cut", "Faults"]

Cut: TypeAlias = tuple[int, ...] | Literal["written", "seeded"]


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, in every exchange and call of the run. The default is nothing.

    Times are virtual seconds; a place in a body counts its bytes, and one behind its end does
    nothing. Effects are counted from 1, in the order of `trace`. Raises InvalidInput for what is
    negative.
    """

    cut: Cut = "written"
    """How much one Receive gives: a piece as the vendor wrote it; sizes of which each is the next
    one, over and over; or sizes from the seed. Sizes also join what has arrived in two pieces."""
    connect_delay: float = 0.0
    """Until a connection stands."""
    delay: float = 0.0
    """Before the head and each piece of an answer."""
    jitter: float = 0.0
    """Up to so much is added to each delay; how much is chosen by the seed."""
    call_seconds: float = 0.0
    """How long each called function takes."""
    slow_reader: float = 0.0
    """How long the consumer is busy with each event."""
    reset_at: int | None = None
    """The connection breaks at that byte of each body."""
    truncate_at: int | None = None
    """The peer hangs up at that byte of each body."""
    garbage_at: int | None = None
    """`garbage` stands before that byte of each body."""
    garbage: bytes = b"\x00\xff\xfe{]\r\n\xc3("
    cancel_at: float | None = None
    """The run is cancelled so many seconds after it began."""
    cancel_after: int | None = None
    """The run is cancelled just before it is given the reply to that effect: no other begins.
    0 is before the first."""
    cancel_during: int | None = None
    """The run is cancelled while that effect is in flight, and its reply is lost."""
    instead: Callable[[], object] | None = None
    """What is done at those moments instead of cancelling the run: a user who interrupts one tool, say."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, (int, float)) and not value >= 0:
                raise InvalidInput(f"Faults: {name} should not be negative, but is {value!r}")
        if isinstance(self.cut, tuple) and (not self.cut or min(self.cut) < 1):
            raise InvalidInput(f"Faults: cut should hold sizes of at least 1, but is {self.cut!r}")

    def spoil(self, pieces: tuple[Piece, ...]) -> list[Piece]:
        """The pieces of a body with garbage, reset and truncation put in."""
        spoiled = list(pieces)
        for place, fault in (
            (self.garbage_at, self.garbage),
            (self.truncate_at, Hangup()),
            (self.reset_at, Reset()),
        ):
            if place is not None:
                _insert(spoiled, place, fault)
        return spoiled


def _insert(pieces: list[Piece], place: int, fault: Piece) -> None:
    """Put a fault before the byte at `place`; nothing if the body is shorter."""
    for index, piece in enumerate(pieces):
        if isinstance(piece, bytes):
            if place < len(piece):
                pieces[index : index + 1] = [piece[:place], fault, piece[place:]]
                return
            place -= len(piece)
    if place == 0:
        pieces.append(fault)
