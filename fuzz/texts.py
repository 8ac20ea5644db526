"""Fuzzing what reads the text of strangers: a check, and the words that such texts are made of.

A check raises AssertionError for whatever should not be; what it may see raised, it catches itself, and
that is one family of errors. No input may take longer than SECONDS: a search that tries every way, or
a loop over a loop, is found as a failure and not as a fuzzer that stands still.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from fuzz.guided import main

__all__ = ["Target", "main"]

SECONDS = 2.0
"""Of the processor; what is checked takes some milliseconds, and guided by coverage ten times that."""


class Target:
    """One reader: the check of a text, and the words that get far into it."""

    agreed = "each was read or refused in time"

    def __init__(self, check: Callable[[str], None], words: Sequence[str], most_words: int = 16) -> None:
        self._check = check
        self._words = words
        self._most_words = most_words

    def __call__(self, raw: bytes) -> None:
        began = time.process_time()
        # Half characters too, as the JSON of a model can spell them.
        self._check(raw.decode("utf-8", "surrogateescape"))
        spent = time.process_time() - began
        assert spent < SECONDS, f"{spent:.1f} seconds for {raw[:1000]!r}"

    def random_input(self, chance: random.Random) -> bytes:
        """Words in some order, now and then one of them many times, and a few odd bytes."""
        words = chance.choices(self._words, k=chance.randrange(self._most_words))
        if words and chance.random() < 0.2:
            words[-1] *= chance.randrange(1, 200)
        data = bytearray("".join(words).encode("utf-8", "surrogatepass"))
        for _ in range(chance.randrange(3)):
            place = chance.randrange(len(data) + 1)
            data[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        return bytes(data)

    def varied(self, data: bytes, chance: random.Random) -> bytes:
        """The data with one of the words more, somewhere."""
        place = chance.randrange(len(data) + 1)
        return data[:place] + chance.choice(self._words).encode("utf-8", "surrogatepass") + data[place:]
