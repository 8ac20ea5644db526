"""How a target is run: guided by coverage, or as a plain loop of random inputs that a seed repeats."""

from __future__ import annotations

import argparse
import gc
import importlib
import random
import sys
from types import FunctionType
from typing import Protocol

__all__ = ["Target", "main"]

STANDS_STILL = "-timeout=30"
"""Seconds after which libFuzzer takes an input for one that never ends."""


class Target(Protocol):
    """What is fuzzed: called with an input, it raises what is a failure."""

    agreed: str
    """What has been seen of all inputs, when none has failed."""

    def __call__(self, raw: bytes, /) -> None: ...

    def random_input(self, chance: random.Random) -> bytes: ...

    def varied(self, data: bytes, chance: random.Random) -> bytes:
        """Another input, which is nearer to what is meant than one with a byte changed."""
        ...


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
            # Ours alone: to have all of them takes longer than the fuzzing.
            if type(function) is FunctionType and (function.__module__ or "").startswith("tako."):
                atheris.instrument_func(function)

        def mutated(data: bytes, limit: int, seed: int) -> bytes:
            chance = random.Random(seed)
            if chance.random() < 0.5:
                return target.varied(data, chance)[:limit]
            changed: bytes = atheris.Mutate(data, limit)
            return changed

        atheris.Setup([sys.argv[0], STANDS_STILL, *rest], target, custom_mutator=mutated)
        atheris.Fuzz()
        return
    chance = random.Random(options.seed)
    for _ in range(options.runs):
        target(target.random_input(chance))
    print(f"{options.runs} inputs, {target.agreed}")
