"""Fuzzing what reads the text of strangers: a check, and the words that such texts are made of.

A check raises AssertionError for whatever should not be; what it may see raised, it catches itself, and
that is one family of errors. No input may take longer than SECONDS: a search that tries every way, or
a loop over a loop, is found as a failure and not as a fuzzer that stands still.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import random
import sys
import time
from collections.abc import Callable, Sequence
from types import FunctionType

__all__ = ["Target", "main"]

SECONDS = 2.0
"""Of the processor; what is checked takes some milliseconds, and guided by coverage ten times that."""


class Target:
    """One reader: the check of a text, and the words that get far into it."""

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


def main(target: Target, description: str) -> None:
    """Run by coverage with atheris, or with --runs as a plain loop of random inputs."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--runs", type=int, help="how many random inputs to try without atheris")
    arguments.add_argument("--seed", type=int, default=0)
    options, rest = arguments.parse_known_args()
    if options.runs is None:
        try:
            atheris = importlib.import_module("atheris")  # not in every environment, so not for mypy
        except ImportError:
            sys.exit("atheris is not installed: install it, or pass --runs N for a plain random loop")
        for function in gc.get_objects():
            if type(function) is FunctionType and (function.__module__ or "").startswith("tako."):
                atheris.instrument_func(function)

        def mutated(data: bytes, limit: int, seed: int) -> bytes:
            chance = random.Random(seed)
            if chance.random() < 0.5:
                return target.varied(data, chance)[:limit]
            changed: bytes = atheris.Mutate(data, limit)
            return changed

        atheris.Setup([sys.argv[0], *rest], target, custom_mutator=mutated)
        atheris.Fuzz()
        return
    chance = random.Random(options.seed)
    for _ in range(options.runs):
        target(target.random_input(chance))
    print(f"{options.runs} inputs, and each was read or refused in time")
