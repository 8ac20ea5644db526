"""Fuzz the JSON-RPC reader: no bytes make it raise, and what it understood can be written and read again.

`python fuzz/fuzz_jsonrpc.py --runs 100000 --seed 1` is a plain loop of random inputs. Without --runs it is
guided by coverage, needs atheris, and takes the options of libFuzzer.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tako.errors import InvalidInput
from tako.wire.jsonrpc import Batch, Malformed, Message, encode, parse

NAMES = ['"jsonrpc"', '"method"', '"params"', '"id"', '"result"', '"error"', '"code"', '"message"', '"data"']
VALUES = ['"2.0"', '"m"', "1", "-2.5", "null", "true", "[]", "{}", '{"code":1,"message":"e"}', "1e999"]
WORDS = ["{", "}", "[", "]", ",", ":", '"', "\\u0000", "\u2028", *NAMES, *VALUES]


def check(data: bytes) -> None:
    """Raise AssertionError unless what was read is the same after it was written."""
    found = parse(data)
    for message in found.members if isinstance(found, Batch) else (found,):
        if isinstance(message, Malformed):
            if message.answer is not None:
                check_again(message.answer)
        else:
            check_again(message)


def check_again(message: Message) -> None:
    try:
        written = encode(message)
    except InvalidInput:
        return  # JSON can spell numbers that are too large for it to be written again
    assert b"\n" not in written
    again = parse(written)
    assert again == message, f"{message} became {again}"


def test_one_input(raw: bytes) -> None:
    """The target: the text itself, and the same as the inside of an object and of a batch."""
    for data in (raw, b'{"jsonrpc":"2.0",' + raw + b"}", b"[" + raw + b"]"):
        check(data)


def random_input(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        names = chance.sample(NAMES[1:6], k=chance.randrange(1, 5))
        return ",".join(f"{name}:{chance.choice(VALUES)}" for name in names).encode()
    return "".join(chance.choices(WORDS, k=chance.randrange(20))).encode() + chance.randbytes(
        chance.randrange(2)
    )


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
    print(f"{options.runs} inputs, and what was read could be written and read again")


if __name__ == "__main__":
    main()
