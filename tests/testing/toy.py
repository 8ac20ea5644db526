"""A toy vendor: the smallest wire format that has everything the conformance kit looks at.

A streamed answer is lines: `t <text>`, `c <id> <name> <json>`, and `end` as the terminal mark. A
whole one is {"text": ...}. Each way of getting it wrong is a subclass.
"""

from __future__ import annotations

import json
from typing import Any

from tako.effects import HttpRequest
from tako.errors import ProtocolError, TransportError
from tako.events import ChatChunk, ChatEnd, TextDelta, ToolCall
from tako.models import Capabilities, ChatRequest, ChatResponse, Message, ToolCallPart, Usage
from tako.providers.base import StreamDecoder
from tako.providers.http import HttpProvider
from tako.testing import Answer

STREAM = 't caf\u00e9 \u2028\nc call_1 weather {"city": "K\u00f6ln"}\nt !\nend\n'.encode()
STREAMED = Answer((STREAM[:9], STREAM[9:30], STREAM[30:]), headers=(("content-type", "text/plain"),))
WHOLE = Answer.json('{"text": "hi"}')


class ToyDecoder(StreamDecoder):
    """Bytes to chunks, as it should be."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = b""

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        if not data:
            raise TransportError("the stream broke off", phase="body")
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.line(line.decode(), chunks)
            if chunks and type(chunks[-1]) is ChatEnd:
                return

    def line(self, line: str, chunks: list[ChatChunk]) -> None:
        kind, _, rest = line.partition(" ")
        if kind == "t":
            chunks.append(TextDelta(rest))
        elif kind == "c":
            call, name, args = rest.split(" ", 2)
            chunks.append(ToolCall(ToolCallPart(id=call, name=name, args=json.loads(args))))
        elif kind == "end":
            chunks.append(ChatEnd("stop", Usage()))
        else:
            raise ProtocolError(f"unknown line {line!r}")


class CutDecoder(ToyDecoder):
    """Wrong: takes each piece for whole lines."""

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        if data:
            super().decode(data + b"\n" if not data.endswith(b"\n") else data, chunks)
        else:
            super().decode(data, chunks)


class CredulousDecoder(ToyDecoder):
    """Wrong: takes the end of the input for the end of the answer."""

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        if data:
            super().decode(data, chunks)
        else:
            chunks.append(ChatEnd("stop", Usage()))


class RepeatingDecoder(ToyDecoder):
    """Wrong: announces a call twice."""

    def line(self, line: str, chunks: list[ChatChunk]) -> None:
        super().line(line, chunks)
        if line.startswith("c"):
            super().line(line, chunks)


class Toy(HttpProvider):
    make_decoder: type[StreamDecoder] = ToyDecoder

    def __init__(self) -> None:
        super().__init__("Toy", "toy", "toy-1", capabilities=Capabilities(supports_streaming=True))

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        return HttpRequest("POST", "https://toy.test/chat", (), b"stream" if stream else b"whole")

    def decode(self, payload: Any) -> ChatResponse:
        return ChatResponse(message=Message.assistant(payload["text"]))

    def decoder(self) -> StreamDecoder:
        return self.make_decoder()
