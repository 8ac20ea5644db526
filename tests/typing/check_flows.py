"""A flow's replies are typed where they arrive, and its result where it is driven."""

from __future__ import annotations

from typing import assert_type

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.effects import Flow, HttpHead, HttpRequest, entropy, now, receive, resolve, send, sleep, within


def fetch(url: str) -> Flow[bytes]:
    addresses = yield from resolve("example.org", 443)
    assert_type(addresses, tuple[str, ...])
    head = yield from send(HttpRequest("GET", url))
    assert_type(head, HttpHead)
    body = yield from receive(head.exchange)
    assert_type(body, bytes)
    assert_type((yield from now()), float)
    assert_type((yield from entropy(8)), bytes)
    assert_type((yield from sleep(1.0)), None)
    return body


def limited() -> Flow[int]:
    body = yield from within(5.0, fetch("https://example.org"))
    assert_type(body, bytes)
    return len(body)


def refused() -> Flow[int]:
    return (yield from fetch("https://example.org"))  # type: ignore[return-value]


assert_type(tako_io_sync.run(limited()), int)


async def asynchronous() -> None:
    assert_type(await tako_io_asyncio.run(limited()), int)
    assert_type(await tako_io_trio.run(limited()), int)
