"""Fuzz the HTTP/1.1 client: any bytes, in any cut, give events, a ProtocolError or a TransportError.

    python fuzz/fuzz_http1.py                    coverage-guided, where atheris is installed
    python fuzz/fuzz_http1.py --runs 10000       random damage to the seeds, with nothing installed

The first byte chooses the method and how the rest is cut. What it checks besides the exceptions:
the outcome is the same uncut, nothing comes after the end, and a piece is never over its limit.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import random
import sys
import zlib
from itertools import islice

from tako.errors import ProtocolError, TransportError
from tako.wire import NEED_DATA
from tako.wire.http1 import END_OF_BODY, BodyData, Http1Connection, ResponseHead
from tako.wire.inflate import PIECE

METHODS = ("GET", "POST", "HEAD", "CONNECT")
MOST_EVENTS = 10_000
HEAD = b"HTTP/1.1 200 OK\r\n"
ZIPPED = gzip.compress(b"hello, hello, hello")
SEEDS = (
    HEAD + b"Content-Length: 5\r\n\r\nhello",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nyou\r\n0\r\nX-Sum: 1\r\n\r\n",
    HEAD + b"Connection: close\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno",
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED,
    HEAD + b"Content-Encoding: deflate, gzip\r\n\r\n" + gzip.compress(zlib.compress(b"hello")),
    b"HTTP/1.0 204 Nothing\r\n\r\n",
)


def outcome(method: str, pieces: list[bytes]) -> tuple[ResponseHead | None, bytes, str]:
    """Head, body, and how it ended."""
    connection = Http1Connection()
    connection.send_request(method, "/", (), b"", authority="a.example")
    head, body = None, bytearray()
    for piece in (*pieces, b""):
        connection.receive_data(piece)
        try:
            for event in islice(iter(connection.next_event, NEED_DATA), MOST_EVENTS):
                if isinstance(event, ResponseHead):
                    assert head is None
                    head = event
                elif isinstance(event, BodyData):
                    assert 0 < len(event.data) <= max(PIECE, sum(map(len, pieces)))
                    body += event.data
                else:
                    assert event is END_OF_BODY
                    assert head is not None
                    return head, bytes(body), "whole"
        except (ProtocolError, TransportError) as error:  # the family that is allowed
            return head, bytes(body), f"{type(error).__name__} {error.phase}"
    raise AssertionError("the input has ended and there is no outcome")


def test_one_input(data: bytes) -> None:
    if len(data) < 2:
        return
    method, step, wire = METHODS[data[0] % 4], data[0] // 4 + 1, data[1:]
    pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
    assert outcome(method, pieces) == outcome(method, [wire])


def damaged(chance: random.Random) -> bytes:
    """A seed, or two joined, with a few bytes changed, dropped, doubled or moved."""
    data = bytearray(chance.choice(SEEDS) + (chance.choice(SEEDS) if chance.random() < 0.2 else b""))
    for _ in range(chance.randrange(6)):
        at, size = chance.randrange(len(data) + 1), chance.randrange(1, 9)
        match chance.randrange(4):
            case 0:
                data[at : at + 1] = chance.randbytes(1)
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size]
            case _:
                data[at:at] = chance.choice((b"\r\n", b"\n", b"0", b";", b": ", b"f" * 17))
    return chance.randbytes(1) + bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, help="random inputs instead of atheris")
    parser.add_argument("--seed", type=int, default=0)
    options, rest = parser.parse_known_args()
    if options.runs is not None:
        chance = random.Random(options.seed)
        for _ in range(options.runs):
            data = damaged(chance)
            try:
                test_one_input(data)
            except BaseException:
                print("failed on", data, file=sys.stderr)
                raise
        print(f"{options.runs} inputs, all in the family")
        return
    try:
        atheris = importlib.import_module("atheris")  # not in every environment, so not for mypy
    except ImportError:
        sys.exit("atheris is not installed: install it, or pass --runs N for random inputs")
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *rest], test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
