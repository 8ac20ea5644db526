"""What fuzzing a vendor's decoder checks, whoever the vendor is.

Whatever the bytes and the cuts: `feed` never raises, there is at most one ChatError and then exactly
one ChatEnd, every cut gives the same chunks, and the response that is built of them is a valid one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from fuzz.guided import main
from tako.errors import TakoError
from tako.events import ChatChunk, ChatEnd, ChatError
from tako.models import ChatResponse
from tako.providers.answer import AnswerDecoder
from tako.providers.base import ResponseBuilder

__all__ = ["Target", "main"]


class Target:
    """One vendor: how to make its decoder, the words that its streams are made of, and their frame."""

    agreed = "every cut of them agreed"

    def __init__(
        self,
        decoder: Callable[[], AnswerDecoder],
        words: list[bytes],
        frame: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._decoder = decoder
        self._words = words
        self._frame = frame

    def __call__(self, raw: bytes) -> None:
        """The first byte chooses the cut, the rest is the stream, and a whole answer if it is JSON."""
        if not raw:
            return
        data = self._frame(raw[1:])
        cut = raw[0] % (len(data) + 1)
        whole = self._outcome([data])
        single = [data[index : index + 1] for index in range(len(data))]
        for pieces in ([data[:cut], data[cut:]], single):
            got = self._outcome([piece for piece in pieces if piece])
            assert got == whole, f"cut {cut}, data {data!r}: {got} is not {whole}"
        self._check_answer(raw[1:])

    def _outcome(self, pieces: list[bytes]) -> list[Any]:
        decoder = self._decoder()
        chunks: list[ChatChunk] = []
        for piece in [*pieces, b""]:
            chunks += decoder.feed(piece)
        errors = [index for index, chunk in enumerate(chunks) if type(chunk) is ChatError]
        assert errors in ([], [len(chunks) - 2]), chunks
        assert [index for index, chunk in enumerate(chunks) if type(chunk) is ChatEnd] == [len(chunks) - 1]
        builder = ResponseBuilder()
        builder.add(chunks)
        response = builder.response()
        assert ChatResponse.model_validate(response.model_dump()) == response
        return [
            (type(chunk.error), str(chunk.error)) if isinstance(chunk, ChatError) else chunk
            for chunk in chunks
        ]

    def _check_answer(self, data: bytes) -> None:
        try:
            payload = from_json(data)
        except ValueError:
            return
        try:
            self._decoder().whole(payload)
        except TakoError as error:
            assert error.partial is not None

    def random_input(self, chance: random.Random) -> bytes:
        """Mostly whole events in some order, now and then cut, doubled or with a byte changed."""
        words = [chance.choice(self._words) for _ in range(chance.randrange(12))]
        data = bytearray(b"".join(words))
        for _ in range(chance.randrange(4)):
            if data:
                place = chance.randrange(len(data))
                data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        return chance.randbytes(1) + bytes(data)

    def varied(self, data: bytes, chance: random.Random) -> bytes:
        """The data with one of the vendor's words more, mostly between two others: nobody guesses JSON."""
        places = [place for place in range(1, len(data)) if data[place - 1 : place] == b"\n"] or [len(data)]
        place = chance.choice(places) if chance.random() < 0.8 else chance.randrange(len(data) + 1)
        return data[:place] + chance.choice(self._words) + data[place:]
