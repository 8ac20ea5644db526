"""Fuzz the gRPC stream: any bytes, in any cut, give the same texts and the same kind of error.

`python fuzz/fuzz_grpc.py --runs 100000 --seed 1` is a plain loop of random inputs. Without --runs it is
guided by coverage, needs atheris, and takes the options of libFuzzer. The first byte chooses the cut.
"""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hpack import Encoder

from fuzz.guided import main
from tako.errors import ProtocolError, ProviderError, TransportError
from tako.wire import NEED_DATA
from tako.wire.grpc import GrpcStream, encode_frame

LIMIT = 300


def frame(kind: int, payload: bytes, flags: int = 0, stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def head(*fields: tuple[str, str]) -> bytes:
    return bytes(Encoder().encode(fields))


def message(body: bytes, flag: int = 0) -> bytes:
    return struct.pack("!BL", flag, len(body)) + body


SETTINGS = frame(4, b"", stream=0)
HEAD = frame(1, head((":status", "200"), ("content-type", "application/grpc")), 4)
START = SETTINGS + HEAD
WORDS = [
    SETTINGS, frame(4, b"", 1, 0), frame(4, struct.pack("!HL", 4, 10), 0, 0), HEAD,
    frame(0, message(encode_frame(b"{}"))), frame(0, message(encode_frame(b"one")) * 2),
    frame(0, message(encode_frame(b"cut"))[:7]), frame(0, message(encode_frame(b"cut"))[7:]),
    frame(0, message(b"\x10\x01\x0a\x01x")), frame(0, message(b"\x0a\xff")), frame(0, message(b"x", 1)),
    frame(0, b"\0\0\xff\xff\xff"), frame(0, b"", 1), frame(0, b"\x02\0\0\0\0", 8),
    frame(1, head(("grpc-status", "0")), 5),
    frame(1, head(("grpc-status", "16"), ("grpc-message", "%C3%")), 5),
    frame(1, head((":status", "404")), 4), frame(1, head((":status", "103")), 4), frame(1, b"\xff", 4),
    frame(1, head(("grpc-status", "0")), 1), frame(9, b"", 4), frame(2, bytes(5)), frame(3, bytes(4)),
    frame(5, bytes(4), 4), frame(6, bytes(8), 0, 0), frame(7, struct.pack("!LL", 2**31 - 1, 0), 0, 0),
    frame(7, struct.pack("!LL", 0, 2) + b"bye", 0, 0), frame(8, struct.pack("!L", 1)),
    frame(8, bytes(4), 0, 0), frame(99, b"new"), b"HTTP/1.1 400 No\r\n", b"\0\0", b"\0\0\x05",
]  # fmt: skip


def outcome(raw: bytes, *, is_cut: bool) -> tuple[list[bytes], str]:
    """The texts, and how it ended."""
    wire = (START if raw[0] & 1 else b"") + raw[1:]
    step = raw[0] // 4 + 1 if is_cut else len(wire) or 1
    stream = GrpcStream("a.example", "/s/m", scheme="http", max_text=LIMIT)
    stream.opening()
    texts: list[bytes] = []
    for piece in (*(wire[at : at + step] for at in range(0, len(wire), step)), b""):
        stream.receive_data(piece)
        try:
            while isinstance(text := stream.next_text(), bytes):
                assert 0 < len(text) <= LIMIT
                texts.append(text)
            assert text is NEED_DATA, "nobody said goodbye"
        except (ProtocolError, ProviderError, TransportError) as error:
            stream.data_to_send()
            return texts, type(error).__name__
    raise AssertionError("the input has ended and there is no outcome")


class GrpcTarget:
    agreed = "every cut of them agreed"

    def __call__(self, raw: bytes, /) -> None:
        if raw:
            whole, pieces = outcome(raw, is_cut=False), outcome(raw, is_cut=True)
            assert whole == pieces, f"{raw!r}: {whole} is not {pieces}"

    def random_input(self, chance: random.Random) -> bytes:
        return chance.randbytes(1) + b"".join(
            chance.choice(WORDS) if chance.random() < 0.9 else chance.randbytes(3)
            for _ in range(chance.randrange(12))
        )

    def varied(self, data: bytes, chance: random.Random) -> bytes:
        at = chance.randrange(1, len(data) + 1) if data else 0
        return data[:at] + chance.choice(WORDS) + data[at:]


if __name__ == "__main__":
    main(GrpcTarget(), __doc__ or "")
