"""The script of one connection of a server: operations out, replies in. No sockets."""

from __future__ import annotations

from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.driving.serving import NO_MORE, Connection, Hear, Say, Take
from tako.serving import ResponseData, ResponseHead, ServerLimits, respond

WITH_LENGTH = ResponseHead(200, (("Content-Length", "4"),))
WITHOUT = ResponseHead(200)
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


def said(*events: Any, request: bytes = REQUEST) -> list[bytes]:
    """What is said in answer to one request by a handler that emits these events, fails, or ends."""
    connection = Connection(
        lambda incoming: respond(200),
        ServerLimits(),
        CancellationToken(),
        lambda: 0.0,
        lambda: 0.0,
        "10.0.0.1",
    )
    script = connection.script()
    pieces: list[bytes] = []
    heard, given = [request, b""], [*events, NO_MORE]
    reply: Any = None
    try:
        while True:
            match operation := script.throw(reply) if isinstance(reply, Exception) else script.send(reply):
                case Hear():
                    reply = heard.pop(0)
                case Take():
                    reply = given.pop(0)
                case Say():
                    pieces.append(operation.data)
                    reply = None
                case _:
                    reply = None
    except StopIteration:
        return pieces


def test_a_head_that_tells_its_length_goes_with_the_first_data() -> None:
    first, second = said(WITH_LENGTH, ResponseData(b"ab"), ResponseData(b"cd"))
    assert first.startswith(b"HTTP/1.1 200") and first.endswith(b"\r\n\r\nab") and second == b"cd"


def test_a_head_that_tells_none_goes_at_once() -> None:
    first, second, *_ = said(WITHOUT, ResponseData(b"ab"))
    assert first.endswith(b"\r\n\r\n") and b"ab" in second


@pytest.mark.parametrize(
    ("events", "request_line"),
    [
        ((ResponseHead(202, (("content-length", "0"),)),), REQUEST),
        ((WITH_LENGTH, ResponseData(b"abcd")), REQUEST.replace(b"GET", b"HEAD")),
        ((WITH_LENGTH, ValueError("before its data")), REQUEST),
        ((WITH_LENGTH,), REQUEST),
    ],
)
def test_a_head_is_never_lost(events: tuple[Any, ...], request_line: bytes) -> None:
    (whole,) = said(*events, request=request_line)
    assert whole.startswith(b"HTTP/1.1 20") and whole.endswith(b"\r\n\r\n")
