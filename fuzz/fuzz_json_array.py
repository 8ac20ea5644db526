"""Fuzz the parser of a JSON array: whatever the bytes and the cuts, only a TakoError, and the same elements.

`python fuzz/fuzz_json_array.py --runs 100000 --seed 1` is a plain loop of random inputs. Without --runs it is
guided by coverage, needs atheris, and takes the options of libFuzzer.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tako.errors import TakoError
from tako.wire.json_array import JSONArrayParser

WORDS = [
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b'"',
    b"\\",
    b" ",
    b"\n",
    b"\0",
    b"1",
    b'{"a":[1]}',
    b'"],["',
    b'"\\""',
]
WORDS += [b"\xe2\x80\xa8", b"\xc2\x85", b"\xf0\x9f", b"\xff"]


def outcome(pieces: list[bytes], limit: int) -> tuple[list[bytes], bool]:
    """Everything that can be seen of a parser that is fed these pieces and the end of the input."""
    parser = JSONArrayParser(max_element_size=limit)
    elements: list[bytes] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            elements += parser.feed(piece)
        except TakoError:
            failed = True
    return elements, failed


def check(limit: int, cut: int, data: bytes) -> None:
    """Raise AssertionError unless three ways of cutting the data give the same."""
    whole = outcome([data] if data else [], limit)
    halves = [piece for piece in (data[:cut], data[cut:]) if piece]
    single = [data[index : index + 1] for index in range(len(data))]
    for pieces in (halves, single):
        got = outcome(pieces, limit)
        assert got == whole, f"limit {limit}, cut {cut}, data {data!r}: {got} is not {whole}"


def test_one_input(raw: bytes) -> None:
    """The target: the first two bytes choose the limit and the cut, the rest is the stream."""
    if len(raw) >= 2:
        data = raw[2:]
        check(limit=raw[0] + 1, cut=raw[1] % (len(data) + 1), data=data)


def random_input(chance: random.Random) -> bytes:
    count = chance.randrange(40)
    words = [chance.choice(WORDS) if chance.random() < 0.9 else chance.randbytes(3) for _ in range(count)]
    return chance.randbytes(2) + chance.choice((b"[", b"[", b"")) + b"".join(words)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, help="how many random inputs to try without atheris")
    arguments.add_argument("--seed", type=int, default=0)
    options, rest = arguments.parse_known_args()
    if options.runs is None:
        try:
            atheris = importlib.import_module("atheris")  # not in every environment, so not for mypy
        except ImportError:
            sys.exit("atheris is not installed: install it, or pass --runs N for a plain random loop")
        atheris.instrument_all()
        atheris.Setup([sys.argv[0], *rest], test_one_input)
        atheris.Fuzz()
        return
    chance = random.Random(options.seed)
    for _ in range(options.runs):
        test_one_input(random_input(chance))
    print(f"{options.runs} inputs, every cut of them agreed")


if __name__ == "__main__":
    main()
