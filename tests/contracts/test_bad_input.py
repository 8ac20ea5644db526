"""Contract 10, by example: what a tired person reads when something is wrong, on every arm.

One vendor stands for each wire format. OpenAI and Anthropic are played by all drivers, each other one
by the simulator and by one arm, in turn: what differs between arms is not what a vendor said.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from tako.providers import (
    Anthropic,
    AnthropicBedrock,
    Bedrock,
    Fake,
    Gemini,
    Mistral,
    Ollama,
    OpenAI,
    OpenAIResponses,
    Provider,
    PythonProvider,
)
from tako.testing import Answer, ScriptedVendor
from tako.wire.eventstream import encode_frame
from tests.contracts.drivers import ARMS, DRIVERS, SIMULATOR, Driver
from tests.contracts.wires.framing import EVENT_STREAM, LINES, SSE, Framing, event_frame

REQUEST = ChatRequest(messages=[Message.user("hi")])
SECRET = "sk-secret"
AWS: Any = {"region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET}
PROSE = b'{"error": {"type": "rate_limit_error", "message": "slow down"}}'


def in_sse(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


def in_lines(payload: bytes) -> bytes:
    return payload + b"\n"


def in_a_frame(payload: bytes) -> bytes:
    return encode_frame({":message-type": "event", ":event-type": "contentBlockDelta"}, payload)


def in_base64_in_a_frame(payload: bytes) -> bytes:
    return event_frame("chunk", {"bytes": base64.b64encode(payload).decode()})


@dataclass(frozen=True)
class Vendor:
    """One vendor, how it frames an event, and how it says 429."""

    id: str
    provider: Callable[[str], Provider]
    framing: Framing = SSE
    framed: Callable[[bytes], bytes] = in_sse
    refusal: bytes = PROSE
    code: str | None = "rate_limit_error"
    largest: int = 8 << 20
    """Bytes of an event that are held at most."""

    def event(self, payload: bytes) -> Answer:
        """A stream of one event, which may not be what an event should be."""
        return self.stream(self.framed(payload))

    def stream(self, *pieces: bytes) -> Answer:
        return Answer(pieces, headers=(("content-type", self.framing.content_type),))


THROTTLED = b'{"__type": "com.amazon#ThrottlingException", "message": "slow down"}'
EXHAUSTED = b'{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}'
ANTHROPIC = Vendor("anthropic:m", lambda url: Anthropic("m", SECRET, base_url=url))
THOROUGH = (Vendor("openai:m", lambda url: OpenAI("m", SECRET, base_url=url)), ANTHROPIC)
OTHERS = (
    Vendor(
        "gemini:m",
        lambda url: Gemini("m", SECRET, base_url=url),
        refusal=EXHAUSTED,
        code="RESOURCE_EXHAUSTED",
        largest=64 << 20,  # an event may be a picture
    ),
    Vendor("openai-responses:m", lambda url: OpenAIResponses("m", SECRET, base_url=url)),
    Vendor(
        "bedrock:m",
        lambda url: Bedrock("m", endpoint_url=url, **AWS),
        EVENT_STREAM,
        in_a_frame,
        THROTTLED,
        "ThrottlingException",
        24 << 20,
    ),
    Vendor(
        "anthropic-bedrock:m",
        lambda url: AnthropicBedrock("m", endpoint_url=url, **AWS),
        EVENT_STREAM,
        in_base64_in_a_frame,
        THROTTLED,
        "ThrottlingException",
        24 << 20,
    ),
    Vendor(
        "mistral:m",
        lambda url: Mistral("m", SECRET, base_url=url),
        refusal=b'{"object": "error", "message": "slow down", "type": "rate_limit_error"}',
    ),
    Vendor(
        "ollama:m",
        lambda url: Ollama("m", base_url=url, api_key=SECRET),
        LINES,
        in_lines,
        b'{"error": "slow down"}',
        None,
    ),
)
ON_ARMS = [(arm, vendor) for vendor in THOROUGH for arm in ARMS]
ON_ARMS += [(ARMS[number % len(ARMS)], vendor) for number, vendor in enumerate(OTHERS)]
EVERYWHERE = [*((SIMULATOR, vendor) for vendor in (*THOROUGH, *OTHERS)), *ON_ARMS]


def named(value: Any) -> str:
    return value.name if isinstance(value, Driver) else str(value.id).removesuffix(":m")


drivers = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
played = pytest.mark.parametrize(("driver", "vendor"), EVERYWHERE, ids=named)
on_arms = pytest.mark.parametrize(("driver", "vendor"), ON_ARMS, ids=named)
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])

DEEP = 100_000


def ask(driver: Driver, vendor: Vendor, answer: Answer, *, streaming: bool) -> Any:
    """The error that an agent's user gets."""

    def flow(url: str) -> Any:
        return SingleAgent(vendor.provider(url)).flow("hi", streaming=streaming)

    seen = driver.observe(ScriptedVendor(answer), flow)
    assert isinstance(seen.outcome, Failed), seen.outcome
    error = seen.outcome.error
    assert isinstance(error, TakoError) and isinstance(error, ValueError)
    assert error.provider == vendor.id and error.model == "m"
    assert error.partial.new_messages == [Message.user("hi")]
    assert SECRET not in repr(error) + str(error) + str(vars(error))
    return error


@played
@both_ways
@pytest.mark.parametrize(
    ("hints", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:27:51 GMT"}, 9.0),
    ],
)
def test_429(driver: Driver, vendor: Vendor, streaming: bool, hints: dict[str, str], seconds: float) -> None:
    body = vendor.refusal
    answer = Answer((body,), 429, (("content-type", "application/json"), *hints.items()))
    error = ask(driver, vendor, answer, streaming=streaming)
    assert type(error) is RateLimited and error.retryable
    assert (error.status, error.code, error.retry_after) == (429, vendor.code, seconds)
    assert error.body == body.decode() and "slow down" in error.message


@played
@both_ways
@pytest.mark.parametrize("status", [400, 500])
def test_a_refusal_that_is_no_json(driver: Driver, vendor: Vendor, streaming: bool, status: int) -> None:
    answer = Answer((b"<html><h1>Bad \xff Gateway</h1></html>",), status, (("content-type", "text/html"),))
    error = ask(driver, vendor, answer, streaming=streaming)
    assert type(error) is ProviderError and error.status == status and error.retryable is (status == 500)
    assert error.body is not None and "Gateway" in error.body and "<h1>" in error.message


@played
def test_a_web_page_instead_of_json(driver: Driver, vendor: Vendor) -> None:
    answer = Answer((b"<html>Log in to the hotel</html>",), 200, (("content-type", "text/html"),))
    whole = ask(driver, vendor, answer, streaming=False)
    assert type(whole) is ProtocolError and "not JSON" in whole.message and "Log in" in whole.message
    streamed = ask(driver, vendor, answer, streaming=True)
    assert type(streamed) is ProtocolError and "address" in streamed.message


def endless(vendor: Vendor) -> tuple[bytes, ...]:
    """The beginning of an event that is larger than anybody wants to hold."""
    if vendor.framing is EVENT_STREAM:
        prelude = struct.pack(">II", 2 * vendor.largest, 0)
        return (prelude + struct.pack(">I", zlib.crc32(prelude)), b"x" * 100_000)
    start = b"data: " if vendor.framing is SSE else b'{"'
    return (start, *[b"x" * (1 << 20)] * (vendor.largest // (1 << 20) + 1))


@played
def test_a_gigantic_event(driver: Driver, vendor: Vendor) -> None:
    error = ask(driver, vendor, vendor.stream(*endless(vendor)), streaming=True)
    assert type(error) is ProtocolError and f"{vendor.largest} bytes" in error.message


@played
@both_ways
def test_invalid_utf8(driver: Driver, vendor: Vendor, streaming: bool) -> None:
    body = b'{"id": "\xff\xfe"}'
    answer = vendor.event(body) if streaming else Answer.json(body)
    error = ask(driver, vendor, answer, streaming=streaming)
    assert type(error) is ProtocolError and "not JSON" in error.message


@played
@both_ways
def test_deeply_nested_json(driver: Driver, vendor: Vendor, streaming: bool) -> None:
    body = b"[" * DEEP + b"]" * DEEP
    answer = vendor.event(body) if streaming else Answer.json(body)
    error = ask(driver, vendor, answer, streaming=streaming)
    assert type(error) is ProtocolError and "recursion" in error.message


@played
def test_a_stream_in_another_framing(driver: Driver, vendor: Vendor) -> None:
    """A gateway that speaks for another vendor, or a damaged frame."""
    other = in_lines if vendor.framing is EVENT_STREAM else in_a_frame
    error = ask(driver, vendor, vendor.stream(other(json.dumps({"done": 7}).encode() * 9)), streaming=True)
    assert type(error) in (ProtocolError, TransportError)
    assert error.message


@played
def test_a_damaged_event(driver: Driver, vendor: Vendor) -> None:
    whole = bytearray(vendor.framed(b'{"type": "ping", "text": "aaaaaaaaaa"}'))
    whole[len(whole) // 2] ^= 0xFF
    error = ask(driver, vendor, vendor.stream(bytes(whole)), streaming=True)
    assert type(error) is ProtocolError
    assert ("checksum" if vendor.framing is EVENT_STREAM else "not JSON") in error.message


@played
def test_json_of_another_shape(driver: Driver, vendor: Vendor) -> None:
    for body in (b"null", b"[]", b'"hi"', b"{}", b'{"choices": 7, "content": 7}'):
        error = ask(driver, vendor, Answer.json(body), streaming=False)
        assert type(error) is ProtocolError and error.body == body.decode()


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


@on_arms
def test_an_unreachable_host(driver: Driver, vendor: Vendor, closed_port: int) -> None:
    seen = driver.observe(
        ScriptedVendor(Answer()),
        lambda url: vendor.provider(f"http://127.0.0.1:{closed_port}").chat_flow(REQUEST),
    )
    assert isinstance(seen.outcome, Failed)
    error = seen.outcome.error
    assert type(error) is TransportError and error.phase == "connect" and error.retryable
    assert f"127.0.0.1:{closed_port}" in error.message


@on_arms
def test_a_host_that_does_not_exist(driver: Driver, vendor: Vendor) -> None:
    seen = driver.observe(
        ScriptedVendor(Answer()),
        lambda url: vendor.provider("http://no-such-host.invalid").chat_flow(REQUEST),
    )
    assert isinstance(seen.outcome, Failed)
    error = seen.outcome.error
    assert type(error) is TransportError and "no-such-host.invalid" in error.message


@on_arms
def test_tls_to_a_server_without_it(driver: Driver, vendor: Vendor) -> None:
    seen = driver.observe(
        ScriptedVendor(Answer()),
        lambda url: vendor.provider(url.replace("http:", "https:")).chat_flow(REQUEST),
    )
    assert isinstance(seen.outcome, Failed)
    error = seen.outcome.error
    assert type(error) is TransportError and error.phase == "tls"


@pytest.mark.parametrize(
    ("vendor", "variables"),
    [
        (OpenAI, ["OPENAI_API_KEY"]),
        (Anthropic, ["ANTHROPIC_API_KEY"]),
        (Gemini, ["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
        (Mistral, ["MISTRAL_API_KEY"]),
    ],
)
def test_a_missing_key(vendor: Any, variables: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in variables:
        monkeypatch.delenv(variable, raising=False)
    names = " or ".join(f"`{variable}`" for variable in variables)
    with pytest.raises(InvalidInput, match=f"environment variable {names} is not set"):
        vendor("m")
    with pytest.raises(InvalidInput, match="`NOWHERE_KEY` is not set"):
        vendor("m", "$ENV:NOWHERE_KEY")


WRONG: list[tuple[Any, tuple[Any, ...], dict[str, Any], str]] = [
    (OpenAI, (7, "k"), {}, "model"),
    (OpenAI, ("m", 7), {}, "api_key"),
    (OpenAI, ("m", "k"), {"base_url": "nowhere"}, "base_url"),
    (OpenAI, ("m", "k\n"), {}, "api key"),
    (Anthropic, ("m", "k"), {"timeout_secs": "long"}, "timeout_secs"),
    (Anthropic, ("m", "k"), {"default_max_tokens": 0}, "default_max_tokens"),
    (Gemini, ("m", 7), {}, "api_key"),
    (Mistral, ("m", "k"), {"base_url": 7}, "base_url"),
    (Ollama, ("m",), {"url_prefetch": "yes"}, "url_prefetch"),
    (Bedrock, ("m",), {**AWS, "region": "the moon"}, "region"),
    (AnthropicBedrock, ("",), AWS, "model"),
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


@pytest.mark.parametrize("asked", ["hi", [Message.user("hi")], None])
def test_a_provider_that_is_asked_with_no_request(asked: Any) -> None:
    """The most likely mistake of all, and nothing has been sent or started."""
    provider = Fake("never said")
    for ask_it in (provider.chat_sync, provider.stream_sync, provider.stream, provider.estimate_tokens):
        with pytest.raises(InvalidInput, match=f"asked with a ChatRequest.*not with {type(asked).__name__}"):
            ask_it(asked)
    with pytest.raises(InvalidInput, match="asked with a ChatRequest"):
        provider.chat(asked).send(None)


def test_a_list_that_is_none_is_told_that_a_list_would_do() -> None:
    with pytest.raises(InvalidInput, match="messages: should be a list or a tuple"):
        ChatRequest(messages="hi")  # type: ignore[arg-type]


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
