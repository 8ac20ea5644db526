"""The effects: the helpers yield what they say, a reply is what they return, secrets are not shown."""

from __future__ import annotations

from typing import Any

import pytest

import tako.effects as effects
from tako.effects import (
    Call,
    Entropy,
    Flow,
    Gather,
    HttpHead,
    HttpRequest,
    Now,
    OnError,
    Receive,
    Resolve,
    Send,
    Sleep,
    Succeeded,
    Within,
    call,
    entropy,
    gather,
    now,
    receive,
    resolve,
    send,
    sleep,
    within,
)
from tako.testing import Playbook

REQUEST = HttpRequest(
    "POST", "https://vendor.test/v1", (("authorization", "Bearer sk-1"),), b'{"key": "sk-1"}'
)


def nothing() -> Flow[None]:
    return
    yield


INNER = nothing()


@pytest.mark.parametrize(
    ("flow", "effect", "reply"),
    [
        (send(REQUEST), Send(REQUEST), HttpHead(200, (), 1)),
        (receive(3), Receive(3), b"x"),
        (resolve("a.test"), Resolve("a.test", 443), ("192.0.2.1",)),
        (resolve("a.test", 80), Resolve("a.test", 80), ()),
        (call(len, "ab"), Call(len, ("ab",)), 2),
        (call(dict, a=1), Call(dict, (), {"a": 1}), {"a": 1}),
        (gather(INNER), Gather((INNER,)), [Succeeded(None)]),
        (gather(INNER, limit=2, on_error=OnError.COLLECT), Gather((INNER,), 2, OnError.COLLECT), []),
        (within(2.0, INNER), Within(2.0, INNER), "done"),
        (sleep(1.5), Sleep(1.5), None),
        (now(), Now(), 12.5),
        (entropy(4), Entropy(4), b"1234"),
    ],
)
def test_a_helper_yields_its_effect_and_returns_the_reply(flow: Flow[Any], effect: Any, reply: Any) -> None:
    Playbook(flow).expect(effect, reply=reply).returns(reply)


def test_every_effect_is_exported() -> None:
    for name in effects.__all__:
        assert hasattr(effects, name)


def test_a_request_does_not_show_what_may_be_secret() -> None:
    for value in (REQUEST, Send(REQUEST)):
        assert "sk-1" not in repr(value)
        assert "https://vendor.test/v1" in repr(value)


def test_a_header_is_found_by_its_lower_case_name() -> None:
    head = HttpHead(200, (("a", "1"), ("b", "2"), ("a", "3")), 1)
    assert head.header("a") == "1"
    assert head.header("c") is None


def test_effects_take_no_other_attributes() -> None:
    for effect in (Now(), Receive(1), Call(len), Sleep(1)):
        with pytest.raises((AttributeError, TypeError)):
            effect.other = 1  # type: ignore[union-attr]
