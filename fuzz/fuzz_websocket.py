"""Fuzz the WebSocket client: any bytes, in any cut, give the same texts and the same kind of error.

`python fuzz/fuzz_websocket.py --runs 100000 --seed 1` is a plain loop of random inputs. Without --runs it is
guided by coverage, needs atheris, and takes the options of libFuzzer.

The first byte chooses the cut, whether messages may be compressed, and whether the rest is read as frames or
as the answer to the upgrade.
"""

from __future__ import annotations

import base64
import hashlib
import random
import re
import sys
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.guided import main
from tako.errors import ProtocolError, ProviderError, TransportError
from tako.wire import NEED_DATA
from tako.wire.websocket import WebSocketClient

LIMIT = 300
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
KEY = re.compile(rb"Sec-WebSocket-Key: (\S+)", re.IGNORECASE)


def squeezed(text: bytes, how: int = zlib.Z_SYNC_FLUSH) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflate.compress(text) + deflate.flush(how)
    return data[:-4] if how == zlib.Z_SYNC_FLUSH else data + b"\0"


def frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    return bytes([first]) + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")) + payload


WORDS = [
    frame(0x81, b'{"a":1}'), frame(0x82, b"[]"), frame(0x01, b"be"), frame(0x00, b"twe"), frame(0x80, b"en"),
    frame(0xC1, squeezed(b"hello")), frame(0x41, squeezed(b"hello")[:3]),
    frame(0x80, squeezed(b"hello")[3:]), frame(0xC1, squeezed(b"ended", zlib.Z_FINISH)),
    frame(0xC1, squeezed(bytes(100_000))), frame(0x89, b"ping"), frame(0x8A, b""), frame(0x88, b""),
    frame(0x88, b"\x03\xe8bye"), frame(0x88, b"\x0f"), frame(0x81, "é€".encode()), frame(0x81, b"\xff"),
    frame(0x81, b"x" * 200), b"\x81\x7f", b"\0" * 8, b"\x81",
]  # fmt: skip
UPGRADE = [
    b"HTTP/1.1 101 Yes\r\n", b"HTTP/1.1 401 No\r\n", b"HTTP/1.1 100 Soon\r\n\r\n",
    b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n", b"Sec-WebSocket-Accept: ", b"KEY\r\n",
    b"Sec-WebSocket-Protocol: mcp\r\n", b"Sec-WebSocket-Extensions: ", b"; server_max_window_bits=9\r\n",
    b"\r\n", b"\xff", b", ", b";", b"permessage-deflate", b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n", b"2\r\nhi\r\n", b"0\r\n\r\n", b"Retry-After: 7\r\n",
    b"WWW-Authenticate: Bearer\r\n",
]  # fmt: skip


def accepting(opening: bytes, data: bytes, *, deflate: bool, is_upgrade: bool) -> bytes:
    """What the server sends: frames behind a sound answer, or an answer that is not sound."""
    found = KEY.search(opening)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found.group(1) + GUID).digest())
    if is_upgrade:
        return data.replace(b"KEY", accept)
    extension = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else b""
    return (
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept + b"\r\n" + extension + b"\r\n" + data
    )  # fmt: skip


def outcome(raw: bytes, *, is_cut: bool) -> tuple[list[bytes], str]:
    """The texts, and how it ended."""
    choice, data = raw[0], raw[1:]
    client = WebSocketClient("a.example", "/", max_text=LIMIT, subprotocol="mcp")
    wire = accepting(client.opening(), data, deflate=bool(choice & 1), is_upgrade=bool(choice & 2))
    step = choice // 4 + 1 if is_cut else len(wire) or 1
    texts: list[bytes] = []
    for piece in (*(wire[at : at + step] for at in range(0, len(wire), step)), b""):
        client.receive_data(piece)
        try:
            while isinstance(text := client.next_text(), bytes):
                assert len(text) <= LIMIT
                texts.append(text)
            assert text is NEED_DATA, "nobody said goodbye"
        except (ProtocolError, ProviderError, TransportError) as error:
            client.data_to_send()
            return texts, type(error).__name__
    raise AssertionError("the input has ended and there is no outcome")


class WebSocketTarget:
    agreed = "every cut of them agreed"

    def __call__(self, raw: bytes, /) -> None:
        if raw:
            whole, pieces = outcome(raw, is_cut=False), outcome(raw, is_cut=True)
            assert whole == pieces, f"{raw!r}: {whole} is not {pieces}"

    def random_input(self, chance: random.Random) -> bytes:
        choice = chance.randrange(256)
        words = UPGRADE if choice & 2 else WORDS
        return bytes([choice]) + b"".join(
            chance.choice(words) if chance.random() < 0.9 else chance.randbytes(2)
            for _ in range(chance.randrange(12))
        )

    def varied(self, data: bytes, chance: random.Random) -> bytes:
        at = chance.randrange(1, len(data) + 1) if data else 0
        words = UPGRADE if data and data[0] & 2 else WORDS
        return data[:at] + chance.choice(words) + data[at:]


if __name__ == "__main__":
    main(WebSocketTarget(), __doc__ or "")
