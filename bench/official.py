"""What the vendors' own libraries need for the same bytes: each up to the objects that it gives its user.

Each function takes the pieces of a stream and gives a Work that decodes them and says how many events
there were; None if the library is not installed. No socket is involved: the libraries get a response
in the memory, by the way in that they have for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.measure import Work

__all__ = ["OFFICIAL"]

Decode = Callable[[list[bytes]], Iterator[str]]
"""The texts of a stream, event by event; "" for an event without text."""


class Response:
    """What the libraries of OpenAI and Anthropic ask of a response."""

    request = None
    is_closed = False
    status_code = 200

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def iter_bytes(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        """There is nothing to close."""


def openai() -> Decode:
    from openai import OpenAI
    from openai._streaming import Stream
    from openai.types.chat import ChatCompletionChunk

    client = OpenAI(api_key="key")

    def texts(pieces: list[bytes]) -> Iterator[str]:
        stream: Any = Stream(cast_to=ChatCompletionChunk, response=Response(pieces), client=client)  # type: ignore[arg-type]
        for chunk in stream:
            yield (chunk.choices[0].delta.content or "") if chunk.choices else ""

    return texts


def responses() -> Decode:
    from openai import OpenAI
    from openai._streaming import Stream
    from openai.types.responses import ResponseStreamEvent

    client = OpenAI(api_key="key")
    kind: Any = ResponseStreamEvent

    def texts(pieces: list[bytes]) -> Iterator[str]:
        stream: Any = Stream(cast_to=kind, response=Response(pieces), client=client)  # type: ignore[arg-type]
        for event in stream:
            yield event.delta if event.type == "response.output_text.delta" else ""

    return texts


def anthropic() -> Decode:
    from anthropic import Anthropic
    from anthropic._streaming import Stream
    from anthropic.types import RawMessageStreamEvent

    client = Anthropic(api_key="key")
    kind: Any = RawMessageStreamEvent

    def texts(pieces: list[bytes]) -> Iterator[str]:
        stream: Any = Stream(cast_to=kind, response=Response(pieces), client=client)  # type: ignore[arg-type]
        for event in stream:
            yield event.delta.text if event.type == "content_block_delta" else ""

    return texts


def gemini() -> Decode:
    import httpx
    from google import genai

    def texts(pieces: list[bytes]) -> Iterator[str]:
        transport = httpx.MockTransport(_answer(httpx, pieces, "text/event-stream"))
        options: Any = {"client_args": {"transport": transport}}
        client = genai.Client(api_key="key", http_options=options)
        for chunk in client.models.generate_content_stream(model="gemini", contents="hello"):
            yield chunk.text or ""

    return texts


def bedrock() -> Decode:
    import botocore.eventstream
    import botocore.parsers
    import botocore.session

    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    shape = model.operation_model("ConverseStream").output_shape.members["stream"]
    parser = botocore.parsers.create_parser("rest-json")._event_stream_parser

    class Raw:
        def __init__(self, pieces: list[bytes]) -> None:
            self._pieces = pieces

        def stream(self) -> Iterator[bytes]:
            return iter(self._pieces)

    def texts(pieces: list[bytes]) -> Iterator[str]:
        for event in botocore.eventstream.EventStream(Raw(pieces), shape, parser, "ConverseStream"):
            yield event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")

    return texts


def mistral() -> Decode:
    import httpx2
    from mistralai.client import Mistral

    def texts(pieces: list[bytes]) -> Iterator[str]:
        transport = httpx2.MockTransport(_answer(httpx2, pieces, "text/event-stream"))
        client = Mistral(api_key="key", client=httpx2.Client(transport=transport))
        messages: Any = [{"role": "user", "content": "hello"}]
        for event in client.chat.stream(model="mistral", messages=messages):
            choices = event.data.choices
            yield str(choices[0].delta.content or "") if choices else ""

    return texts


def ollama() -> Decode:
    import httpx
    from ollama import Client

    def texts(pieces: list[bytes]) -> Iterator[str]:
        transport = httpx.MockTransport(_answer(httpx, pieces, "application/x-ndjson"))
        client = Client(host="http://ollama.test", transport=transport)
        messages: Any = [{"role": "user", "content": "hello"}]
        for part in client.chat(model="llama", messages=messages, stream=True):
            yield part.message.content or ""

    return texts


def _answer(library: Any, pieces: list[bytes], content_type: str) -> Callable[[Any], Any]:
    """A handler that answers any request with these pieces, streamed; httpx and httpx2 are alike."""

    def answer(request: Any) -> Any:
        headers = {"content-type": content_type}
        return library.Response(200, headers=headers, content=iter(pieces))

    return answer


def work(make: Callable[[], Decode], pieces: list[bytes], events: int, text: str) -> Work | None:
    """The library's decoding as a Work; None if it is not installed."""
    try:
        texts = make()
    except ImportError:
        return None

    def run() -> int:
        assert "".join(texts(pieces)) == text
        return events

    return run


OFFICIAL: dict[str, Callable[[], Decode]] = {
    "OpenAI": openai,
    "OpenAI responses": responses,
    "Anthropic": anthropic,
    "Gemini": gemini,
    "Bedrock": bedrock,
    "Mistral": mistral,
    "Ollama": ollama,
}
