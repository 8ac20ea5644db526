"""Fuzz the AWS event stream parser: whatever the bytes and the cuts, only a TakoError and the same frames.

`python fuzz/fuzz_eventstream.py --runs 100000 --seed 1` is a plain loop of random inputs. Without --runs
it is guided by coverage, needs atheris, and takes the options of libFuzzer. Bytes behind two zeros are
wrapped into a frame with right checksums, or a fuzzer would never get past those.
"""

from __future__ import annotations

import argparse
import importlib
import random
import struct
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tako.errors import TakoError
from tako.wire.eventstream import EventStreamParser, Frame, encode_frame

HEADERS = [b"\x01a\x00", b"\x01b\x01", b"\x01c\x02\xff", b"\x01d\x03\x00\x01", b"\x01e\x04\0\0\0\1"]
HEADERS += [
    b"\x01f\x05" + bytes(8),
    b"\x01g\x06\0\2xy",
    b"\x05:type\x07\0\2\xc3\xa9",
    b"\x01h\x08" + bytes(8),
]
HEADERS += [b"\x01i\x09" + bytes(16), b"\x01j\x0a", b"\x01\xff\x00", b"\x01k\x07\0\1\xff", b"\x09", b"\0\0"]
FRAMES = [encode_frame({}), encode_frame({":message-type": "event", ":event-type": "x"}, b"{}"), bytes(12)]


def framed(headers: bytes, payload: bytes) -> bytes:
    """A frame whose checksums are right, whatever its headers are."""
    sizes = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    frame = sizes + struct.pack("!I", zlib.crc32(sizes)) + headers + payload
    return frame + struct.pack("!I", zlib.crc32(frame))


def outcome(pieces: list[bytes], limit: int) -> tuple[list[Frame], bool]:
    """Everything that can be seen of a parser that is fed these pieces and the end of the input."""
    parser = EventStreamParser(max_payload_size=limit, max_headers_size=limit)
    frames: list[Frame] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            frames += parser.feed(piece)
        except TakoError:
            failed = True
    return frames, failed


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
        if data[:2] == b"\0\0":
            data = framed(data[2:], b"{}") + framed(b"", data[2:])
        check(limit=raw[0] + 1, cut=raw[1] % (len(data) + 1), data=data)


def random_input(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return chance.randbytes(2) + b"\0\0" + b"".join(chance.choices(HEADERS, k=chance.randrange(6)))
    words = [chance.choice(FRAMES) if chance.random() < 0.9 else chance.randbytes(3) for _ in range(4)]
    data = bytearray(b"".join(words))
    if chance.random() < 0.5:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return chance.randbytes(2) + bytes(data[: chance.randrange(len(data) + 40)])


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
