"""Contract 10, by example: what a tired person reads when something is wrong, on every arm."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tako import (
    ChatRequest,
    InvalidInput,
    Message,
    ProtocolError,
    ProviderError,
    RateLimited,
    SingleAgent,
    TakoError,
    TransportError,
)
from tako.effects import Failed, Succeeded
from tako.models import ToolCallPart
from tako.providers import Anthropic, Fake, OpenAI, Provider, PythonProvider
from tako.testing import Answer, ScriptedVendor
from tests.contracts.drivers import ARMS, DRIVERS, Driver

REQUEST = ChatRequest(messages=[Message.user("hi")])
VENDORS: dict[str, Callable[[str], Provider]] = {
    "openai": lambda url: OpenAI("m", "sk-secret", base_url=url),
    "anthropic": lambda url: Anthropic("m", "sk-secret", base_url=url),
}
drivers = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
arms = pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)
vendors = pytest.mark.parametrize("vendor", VENDORS)
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])

DEEP = 100_000


def ask(driver: Driver, vendor: str, answer: Answer, *, streaming: bool) -> Any:
    """The error that an agent's user gets."""

    def flow(url: str) -> Any:
        return SingleAgent(VENDORS[vendor](url)).flow("hi", streaming=streaming)

    seen = driver.observe(ScriptedVendor(answer), flow)
    assert isinstance(seen.outcome, Failed), seen.outcome
    error = seen.outcome.error
    assert isinstance(error, TakoError) and isinstance(error, ValueError)
    assert error.provider == f"{vendor}:m" and error.model == "m"
    assert error.partial.new_messages == [Message.user("hi")]
    assert "sk-secret" not in repr(error) + str(error) + str(vars(error))
    return error


@drivers
@vendors
@both_ways
@pytest.mark.parametrize(
    ("hints", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:27:51 GMT"}, 9.0),
    ],
)
def test_429(driver: Driver, vendor: str, streaming: bool, hints: dict[str, str], seconds: float) -> None:
    body = b'{"error": {"type": "rate_limit_error", "message": "slow down"}}'
    answer = Answer((body,), 429, (("content-type", "application/json"), *hints.items()))
    error = ask(driver, vendor, answer, streaming=streaming)
    assert type(error) is RateLimited and error.retryable
    assert (error.status, error.code, error.retry_after) == (429, "rate_limit_error", seconds)
    assert error.body == body.decode() and "slow down" in error.message


@drivers
@vendors
@both_ways
@pytest.mark.parametrize("status", [400, 500])
def test_a_refusal_that_is_no_json(driver: Driver, vendor: str, streaming: bool, status: int) -> None:
    answer = Answer((b"<html><h1>Bad \xff Gateway</h1></html>",), status, (("content-type", "text/html"),))
    error = ask(driver, vendor, answer, streaming=streaming)
    assert type(error) is ProviderError and error.status == status and error.retryable is (status == 500)
    assert error.body is not None and "Gateway" in error.body and "<h1>" in error.message


@drivers
@vendors
def test_a_web_page_instead_of_json(driver: Driver, vendor: str) -> None:
    answer = Answer((b"<html>Log in to the hotel</html>",), 200, (("content-type", "text/html"),))
    whole = ask(driver, vendor, answer, streaming=False)
    assert type(whole) is ProtocolError and "not JSON" in whole.message and "Log in" in whole.message
    streamed = ask(driver, vendor, answer, streaming=True)
    assert type(streamed) is ProtocolError and "base_url" in streamed.message


@drivers
@vendors
def test_a_gigantic_line(driver: Driver, vendor: str) -> None:
    answer = Answer.events([b"data: ", *[b"x" * 100_000] * 100])
    error = ask(driver, vendor, answer, streaming=True)
    assert type(error) is ProtocolError and "8388608 bytes" in error.message


@drivers
@vendors
@both_ways
def test_invalid_utf8(driver: Driver, vendor: str, streaming: bool) -> None:
    body = b'{"id": "\xff\xfe"}'
    answer = Answer.events([b"data: " + body + b"\n\n"]) if streaming else Answer.json(body)
    error = ask(driver, vendor, answer, streaming=streaming)
    assert type(error) is ProtocolError and "not JSON" in error.message


@drivers
@vendors
@both_ways
def test_deeply_nested_json(driver: Driver, vendor: str, streaming: bool) -> None:
    body = b"[" * DEEP + b"]" * DEEP
    answer = Answer.events([b"data: " + body + b"\n\n"]) if streaming else Answer.json(body)
    error = ask(driver, vendor, answer, streaming=streaming)
    assert type(error) is ProtocolError and "recursion" in error.message


@drivers
@vendors
def test_json_of_another_shape(driver: Driver, vendor: str) -> None:
    for body in (b"null", b"[]", b'"hi"', b"{}", b'{"choices": 7, "content": 7}'):
        error = ask(driver, vendor, Answer.json(body), streaming=False)
        assert type(error) is ProtocolError and error.body == body.decode()


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@arms
@vendors
def test_an_unreachable_host(driver: Driver, vendor: str, closed_port: int) -> None:
    seen = driver.observe(
        ScriptedVendor(Answer()),
        lambda url: VENDORS[vendor](f"http://127.0.0.1:{closed_port}").chat_flow(REQUEST),
    )
    assert isinstance(seen.outcome, Failed)
    error = seen.outcome.error
    assert type(error) is TransportError and error.phase == "connect" and error.retryable
    assert f"127.0.0.1:{closed_port}" in error.message


@arms
@vendors
def test_a_host_that_does_not_exist(driver: Driver, vendor: str) -> None:
    seen = driver.observe(
        ScriptedVendor(Answer()),
        lambda url: VENDORS[vendor]("http://no-such-host.invalid").chat_flow(REQUEST),
    )
    assert isinstance(seen.outcome, Failed)
    error = seen.outcome.error
    assert type(error) is TransportError and "no-such-host.invalid" in error.message


@arms
@vendors
def test_tls_to_a_server_without_it(driver: Driver, vendor: str) -> None:
    seen = driver.observe(
        ScriptedVendor(Answer()),
        lambda url: VENDORS[vendor](url.replace("http:", "https:")).chat_flow(REQUEST),
    )
    assert isinstance(seen.outcome, Failed)
    error = seen.outcome.error
    assert type(error) is TransportError and error.phase == "tls"


@pytest.mark.parametrize("vendor", [OpenAI, Anthropic])
def test_a_missing_key(vendor: type[Provider], monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"{vendor.__name__.upper()}_API_KEY"
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InvalidInput, match=f"environment variable `{variable}` is not set"):
        vendor("m")  # type: ignore[call-arg]
    with pytest.raises(InvalidInput, match="`NOWHERE_KEY` is not set"):
        vendor("m", "$ENV:NOWHERE_KEY")  # type: ignore[call-arg]


WRONG: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
    (OpenAI, (7, "k"), {}, "model"),
    (OpenAI, ("m", 7), {}, "api_key"),
    (OpenAI, ("m", "k"), {"base_url": "nowhere"}, "base_url"),
    (OpenAI, ("m", "k\n"), {}, "api key"),
    (Anthropic, ("m", "k"), {"timeout_secs": "long"}, "timeout_secs"),
    (Anthropic, ("m", "k"), {"default_max_tokens": 0}, "default_max_tokens"),
    (Fake, (7,), {}, "canned_text"),
    (Fake, (), {"delay_ms": -1}, "delay_ms"),
    (PythonProvider, ("",), {"chat": print}, "id"),
    (PythonProvider, ("x",), {"chat": 7}, "chat"),
    (SingleAgent, ("openai",), {}, "provider"),
    (SingleAgent, (Fake(),), {"max_steps": "many"}, "max_steps"),
    (SingleAgent, (Fake(),), {"tools": 7}, "tools"),
    (SingleAgent, (Fake(),), {"temperature": "hot"}, "temperature"),
    (Message, (), {"role": "boss"}, "role"),
    (ChatRequest, (), {"messages": "hi"}, "messages"),
]


@pytest.mark.parametrize(("make", "arguments", "options", "named"), WRONG)
def test_wrong_types_to_constructors(make: Any, arguments: Any, options: Any, named: str) -> None:
    with pytest.raises(TakoError, match=named):
        make(*arguments, **options)


@drivers
def test_a_tool_that_returns_what_is_no_json(driver: Driver) -> None:
    def strange() -> object:
        return object()

    def flow(url: str) -> Any:
        model = Fake(script=[ToolCallPart(id="1", name="strange", args={}), "I see."])
        return SingleAgent(model, tools=[strange]).flow("hi")

    seen = driver.observe(ScriptedVendor(Answer()), flow)
    assert isinstance(seen.outcome, Succeeded)
    (result,) = seen.outcome.value.new_messages[2].content
    assert result.is_error and "not JSON" in result.result and "strange" in result.result
