"""Keys: as text, as $ENV, from variables and from functions; on every driver, and never shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tako.effects import Call, Succeeded
from tako.errors import InvalidInput, ProviderError
from tako.models import ChatRequest, Message
from tako.providers import Anthropic, OpenAI
from tako.providers.credentials import Key, KeySource
from tako.testing import Answer, Playbook, ReceivedRequest, ScriptedVendor, Simulator
from tests.contracts.drivers import DRIVERS, Driver

REQUEST = ChatRequest(messages=(Message.user("hello"),))
VARIABLES = ("FIRST", "SECOND")
SECRET = "sk-secret"


def key(given: Any, variables: tuple[str, ...] = VARIABLES, **environ: str) -> Key:
    return Key("Vendor", "api_key", given, variables, environ)


def complaint(given: Any, variables: tuple[str, ...] = VARIABLES, **environ: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        key(given, variables, **environ)
    assert SECRET not in caught.value.message
    return caught.value.message


def test_text_is_the_key_itself() -> None:
    assert key("k").text == "k"
    assert key("").text == ""
    assert key("$HOME").text == "$HOME"  # only $ENV: is a name here


def test_a_named_variable() -> None:
    assert key("$ENV:my_key2", my_key2="k").text == "k"
    for environ in ({}, {"OTHER": ""}):
        assert complaint("$ENV:OTHER", **environ).startswith(
            "Vendor: environment variable `OTHER` is not set"
        )


def test_the_usual_variables_in_order() -> None:
    assert key(None, SECOND="2").text == "2"
    assert key(None, FIRST="1", SECOND="2").text == "1"
    assert key(None, FIRST="", SECOND="2").text == "2"
    assert "`FIRST` or `SECOND` is not set; set it, or pass api_key=..." in complaint(None)
    assert complaint(None, ()) == "Vendor: api_key is needed"


@pytest.mark.parametrize("value", [f"{SECRET}\n", f"{SECRET}é", f"{SECRET}\x00", f"{SECRET}\x7f"])
def test_what_no_header_can_carry_is_refused(value: str) -> None:
    assert "invalid api key" in complaint(value)
    assert "invalid api key" in complaint(None, FIRST=value)
    assert "invalid api key" in complaint("$ENV:X", X=value)
    with pytest.raises(InvalidInput, match="invalid api key") as caught:
        Simulator().run(key(lambda: value).ask())
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("given", [b"k", 7, ["k"], True])
def test_other_types_are_refused(given: Any) -> None:
    assert "api_key should be a string or a function" in complaint(given)


def test_text_is_known_without_asking_and_a_function_is_asked_each_time() -> None:
    Playbook(key("k").ask()).returns("k")
    counted = iter("abc")
    one = key(lambda: next(counted))
    assert one.text is None
    book = Playbook(one.ask())
    book.expect(Call, reply="t").returns("t")
    assert [Simulator().run(one.ask()) for _ in range(2)] == ["a", "b"]


@pytest.mark.parametrize("value", ["", None, b"k", 7])
def test_what_a_function_returns_has_to_be_a_key(value: Any) -> None:
    with pytest.raises(InvalidInput, match="the function given as api_key should return a string"):
        Simulator().run(key(lambda: value).ask())


def test_what_a_function_raises_is_the_callers() -> None:
    def fails() -> str:
        raise LookupError("no vault")

    with pytest.raises(LookupError, match="no vault"):
        Simulator().run(key(fails).ask())


def test_a_key_is_in_no_repr() -> None:
    assert repr(key(SECRET)) == "<Key of Vendor>"
    for provider in (OpenAI("m", SECRET), Anthropic("m", SECRET), OpenAI("m", lambda: SECRET)):
        assert SECRET not in repr(provider)
        assert SECRET not in repr(
            provider.http_request(ChatRequest(messages=REQUEST.messages, max_tokens=1), stream=False)
        )


async def asynchronous() -> str:
    return SECRET


SOURCES: dict[str, KeySource] = {
    "text": SECRET,
    "function": lambda: SECRET,
    "async function": asynchronous,
}


def greeting(request: ReceivedRequest) -> Answer:
    """Only whoever has the key is greeted; the refusal repeats it, as a careless vendor might."""
    if request.header("authorization") != f"Bearer {SECRET}":
        return Answer.json('{"error": {"message": "who is that"}}', 401)
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    return Answer.json(json.dumps({"choices": [choice]}))


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_of_key_arrives_on_every_driver(driver: Driver, source: str) -> None:
    given = SOURCES[source]
    vendor = ScriptedVendor(greeting)
    seen = driver.observe(vendor, lambda url: OpenAI("m", given, base_url=url).chat_flow(REQUEST))
    assert isinstance(seen.outcome, Succeeded), seen.outcome
    assert seen.outcome.value.text == "hello"
    (request,) = vendor.requests
    assert [name for name, _ in request.headers].count("authorization") == 1


def test_a_fresh_key_for_each_request_and_a_header_of_the_caller_wins() -> None:
    tokens = iter(("one", "two"))
    vendor = ScriptedVendor(greeting)
    provider = OpenAI("m", lambda: next(tokens))
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            Simulator(vendor=vendor).run(provider.chat_flow(REQUEST))
        assert caught.value.status == 401 and "one" not in repr(caught.value)
    assert [request.header("authorization") for request in vendor.requests] == ["Bearer one", "Bearer two"]
    theirs = OpenAI("m", lambda: "mine", headers={"Authorization": "Basic x"})
    with pytest.raises(ProviderError):
        Simulator(vendor=vendor).run(theirs.chat_flow(REQUEST))
    assert [value for name, value in vendor.requests[-1].headers if name == "authorization"] == ["Basic x"]


@pytest.mark.parametrize("make", [Anthropic, OpenAI])
def test_a_function_is_asked_for_streams_too(make: Callable[..., Any]) -> None:
    vendor = ScriptedVendor(Answer.json('{"error": {"message": "no"}}', 400))
    with pytest.raises(ProviderError):
        Simulator(vendor=vendor).run(
            make("m", lambda: SECRET).stream_flow(ChatRequest(messages=REQUEST.messages, max_tokens=1))
        )
    assert any(SECRET in value for _, value in vendor.requests[0].headers)
