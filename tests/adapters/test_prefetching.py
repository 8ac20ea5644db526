"""Images by address for vendors that fetch none: an agent's whole run, on real sockets, on all three arms.

`gallery` is a stranger's server on 127.0.0.1, which the caller allows. What the fetching itself
refuses is in test_fetching.py; here it is what a run makes of it that counts.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tako import SingleAgent, tool
from tako.errors import InvalidInput, ProtocolError, TakoError
from tako.models import ImageUrlPart, Message, TextPart, ToolCallPart, ToolResultPart
from tako.providers import Bedrock, Ollama, Provider
from tako.testing import Answer, Pause, ReceivedRequest, ScriptedVendor, check_history
from tako_io_sync.loopback import LoopbackServer
from tests.contracts.drivers import ARMS, Driver
from tests.contracts.subjects import VENDORS, Subject
from tests.contracts.test_cancel import LONG, RUNS, cancelled_run, nothing_left_behind
from tests.contracts.wires.reply import Reply

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(100))
GIF = b"GIF89a" + bytes(range(100))
SECRET = "sk-secret"
MIME_TYPES = {"/cat.png": ("image/png", PNG), "/dog.gif": ("image/gif", GIF)}
ALLOWED: Any = {
    "url_prefetch": True,
    "url_prefetch_allow_http": True,
    "url_prefetch_allow_cidrs": ["127.0.0.1/32"],
}
KEYS: Any = {"region": "us-east-1", "access_key_id": SECRET, "secret_access_key": SECRET}
MINE = {"x-mine": SECRET}

MODELS: dict[str, Callable[[str], Provider]] = {
    "ollama": lambda url: Ollama("m", base_url=url, api_key=SECRET, headers=MINE, **ALLOWED),
    "bedrock": lambda url: Bedrock("m", endpoint_url=url, headers=MINE, **KEYS, **ALLOWED),
}
SUBJECTS = {subject.name: subject for subject in VENDORS}
arms = pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)
models = pytest.mark.parametrize("model", MODELS)
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])


@tool
def look(at: str) -> str:
    """Look at something."""
    return f"a fine {at}"


def asks(at: str) -> Reply:
    return Reply("", (ToolCallPart(id=f"call_{at}", name="look", args={"at": at}),))


SAID = [Reply("before"), asks("cat"), asks("dog"), Reply("done")]
"""The first is in the history already; three are asked for."""


def gallery() -> ScriptedVendor:
    def answer(request: ReceivedRequest) -> Answer:
        mime, data = MIME_TYPES[request.target.partition("?")[0]]
        return Answer((data,), 200, (("content-type", mime),))

    return ScriptedVendor(answer)


def prompt(url: str) -> list[Message]:
    return [Message.user([TextPart(text="What is this?"), ImageUrlPart(url=url)])]


def earlier(url: str) -> list[Message]:
    """A conversation in which a tool has shown a picture."""
    call = ToolCallPart(id="call_earlier", name="look", args={"at": "dog"})
    shown = ToolResultPart(id="call_earlier", name="look", content=(ImageUrlPart(url=url),))
    return [Message.user("Show me a dog"), Message.assistant([call]), Message.tool([shown])]


@arms
@models
@both_ways
def test_an_image_is_fetched_once_for_a_run_and_is_data_in_each_request(
    driver: Driver, model: str, streaming: bool
) -> None:
    subject: Subject = SUBJECTS[model]
    vendor, pictures = subject.vendor(SAID), gallery()
    with LoopbackServer(pictures) as server:
        history = earlier(f"{server.url}/dog.gif?signature={SECRET}")

        def flow(url: str) -> Any:
            agent = SingleAgent(MODELS[model](url), tools=[look])
            return agent.flow(prompt(f"{server.url}/cat.png"), history=history, streaming=streaming)

        seen = driver.observe(vendor, flow)
    result = seen.outcome.value  # type: ignore[union-attr]
    assert (result.text, result.steps) == ("done", 3)
    # What the caller keeps is what was said: addresses, not their data.
    assert result.new_messages[0] == prompt(f"{server.url}/cat.png")[0]
    assert [request.target.partition("?")[0] for request in pictures.requests] == ["/dog.gif", "/cat.png"]
    assert len(vendor.requests) == 3
    for request in vendor.requests:
        assert server.url not in request.body.decode()
        assert images_in(json.loads(request.body)) == [GIF, PNG]


def images_in(value: Any) -> list[bytes]:
    """All pictures in a body, in order: Ollama's `images` and Bedrock's `bytes`."""
    if isinstance(value, list):
        return [image for item in value for image in images_in(item)]
    if not isinstance(value, dict):
        return []
    found = [*value.get("images", ()), *([value["bytes"]] if "bytes" in value else [])]
    inner = [image for item in value.values() for image in images_in(item)]
    return [base64.b64decode(image, validate=True) for image in found] + inner


@arms
@models
def test_no_key_and_no_header_of_the_caller_goes_to_the_host_of_an_image(driver: Driver, model: str) -> None:
    vendor, pictures = SUBJECTS[model].vendor([Reply("fine")]), gallery()
    with LoopbackServer(pictures) as server:
        driver.observe(
            vendor, lambda url: SingleAgent(MODELS[model](url)).flow(prompt(f"{server.url}/cat.png"))
        )
    (asked,) = pictures.requests
    assert {name for name, _ in asked.headers} - {"connection"} == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
    }
    assert SECRET not in repr(asked) and asked.body == b""
    # The test would see it: the vendor was sent all of it.
    (sent,) = vendor.requests
    assert sent.header("x-mine") == SECRET and SECRET in (sent.header("authorization") or "")


@arms
@models
@both_ways
def test_a_redirect_to_a_blocked_address_ends_the_run_in_words(
    driver: Driver, model: str, streaming: bool
) -> None:
    vendor = SUBJECTS[model].vendor([Reply("never said")])
    with socket.create_server(("127.0.0.2", 0)) as vault:
        inside = f"http://127.0.0.2:{vault.getsockname()[1]}/latest"
        moved = ScriptedVendor(Answer((), 302, (("location", f"{inside}?{SECRET}"),)))
        with LoopbackServer(moved) as server:
            asked = prompt(f"{server.url}/cat.png")
            history = [Message.user("Hi"), Message.assistant("Hello")]
            error = failure(driver, vendor, model, asked, history=history, streaming=streaming)
        vault.setblocking(False)
        with pytest.raises(BlockingIOError):
            vault.accept()
    assert type(error) is InvalidInput and not error.retryable
    assert f"{inside} is refused: the address of 127.0.0.2 is 127.0.0.2, which is not public" in error.message
    assert "allow_networks=('127.0.0.2',)" in error.message and SECRET not in error.message
    assert (error.provider, error.model) == (f"{model}:m", "m")
    assert error.partial.new_messages == asked and error.partial.stop_reason == "error"
    check_history([*history, *error.partial.new_messages])
    assert vendor.requests == []


@arms
def test_what_is_no_image_ends_the_run_in_words(driver: Driver) -> None:
    page = Answer((b"<html>",), 200, (("content-type", "text/html"),))
    vendor = SUBJECTS["ollama"].vendor([Reply("never said")])
    with LoopbackServer(ScriptedVendor(page)) as server:
        error = failure(driver, vendor, "ollama", prompt(f"{server.url}/cat.png?{SECRET}"))
    assert type(error) is ProtocolError and "it is text/html, and should be one of" in error.message
    assert f"{server.url}/cat.png could not be fetched" in error.message and SECRET not in error.message
    assert vendor.requests == []


def failure(
    driver: Driver, vendor: ScriptedVendor, model: str, asked: list[Message], **options: Any
) -> TakoError:
    seen = driver.observe(vendor, lambda url: SingleAgent(MODELS[model](url)).flow(asked, **options))
    error = seen.outcome.error  # type: ignore[union-attr]
    assert isinstance(error, TakoError)
    return error


@pytest.mark.parametrize("arm", RUNS)
@models
@pytest.mark.parametrize("where", ["head", "body"])
def test_a_cancel_while_an_image_is_fetched(arm: str, model: str, where: str) -> None:
    """The limits, and what may be left behind, are those of contract 6: nothing."""
    begun = threading.Event()
    mime = (("content-type", "image/png"),)
    silent = {
        "head": Answer((PNG,), 200, mime, before=(Pause(LONG),)),
        "body": Answer((PNG, Pause(LONG), PNG), 200, mime),
    }[where]

    def answer(request: ReceivedRequest) -> Answer:
        begun.set()
        return silent

    vendor = ScriptedVendor(Answer())
    with LoopbackServer(ScriptedVendor(answer)) as pictures, LoopbackServer(vendor) as server:
        asked: Any = prompt(f"{pictures.url}/cat.png")
        with nothing_left_behind():
            agent = SingleAgent(MODELS[model](server.url))
            result = cancelled_run(arm, agent, begun, asked)
        assert result.new_messages == asked
    assert vendor.requests == []
