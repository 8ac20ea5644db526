"""A scripted vendor: the answers that a test wants, as data.

The simulator plays it in virtual time and a loopback server plays it on real sockets, so one
scenario runs on every driver. An answer's pieces are sent one by one; between them stand the
faults: Pause, Reset (the connection breaks), Hangup (it is closed before the body has ended).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

__all__ = ["Answer", "Hangup", "Pause", "Piece", "ReceivedRequest", "Reset", "ScriptedVendor"]


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing comes for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks here."""


@dataclass(frozen=True, slots=True)
class Hangup:
    """The peer closes the connection here, before the body has ended."""


Piece: TypeAlias = bytes | Pause | Reset | Hangup
Framing: TypeAlias = Literal["chunked", "length", "close"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `before` is played before the head is sent."""

    pieces: tuple[Piece, ...] = ()
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    framing: Framing = "chunked"
    before: tuple[Pause | Reset | Hangup, ...] = ()

    @classmethod
    def json(cls, body: bytes | str, status: int = 200, **headers: str) -> Answer:
        """A whole JSON answer; underscores in header names become dashes."""
        data = body.encode() if isinstance(body, str) else body
        extra = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return cls((data,), status, (("content-type", "application/json"), *extra), "length")

    @classmethod
    def events(cls, pieces: Iterable[Piece]) -> Answer:
        """A stream of server-sent events, in the pieces given."""
        return cls(tuple(pieces), 200, (("content-type", "text/event-stream"),))

    @property
    def body(self) -> bytes:
        """All bytes of the body that the script would send."""
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """What a client sent. Header names are in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class ScriptedVendor:
    """Answers in order, the last one again and again; or a function from the request to the answer.

    `requests` is what it was asked, in order of arrival.
    """

    def __init__(self, answers: Answer | Sequence[Answer] | Callable[[ReceivedRequest], Answer]) -> None:
        self._answers = [answers] if isinstance(answers, Answer) else answers
        self.requests: list[ReceivedRequest] = []

    def answer(self, request: ReceivedRequest) -> Answer:
        """The answer to the next request."""
        self.requests.append(request)
        if callable(self._answers):
            return self._answers(request)
        return self._answers[min(len(self.requests), len(self._answers)) - 1]
