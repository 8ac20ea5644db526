"""What the tests of HttpChannel share: an Ear that notes, a server as one function, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tako.effects import Flow, Headers, Sleep
from tako.mcp.channel import Channel, Outgoing
from tako.mcp.errors import McpError
from tako.mcp.http import Http
from tako.mcp.versions import REVISIONS
from tako.testing import Answer, Simulator
from tako.testing.faults import Faults
from tako.testing.vendor import Piece, ReceivedRequest, ScriptedVendor

Json = Any
URL = "http://server/mcp"
ACCEPTED = Answer((), 202, (), "length")


class Ear:
    """Notes what it hears, and answers with the method, after some seconds of thought."""

    def __init__(self, thinks: float = 0.0, answers: Mapping[str, Json] | None = None) -> None:
        self.heard: list[tuple[str, Json]] = []
        self.asked: list[tuple[str, Json]] = []
        self.answered: list[str] = []
        self._thinks = thinks
        self._answers = answers or {}

    def answer(self, method: str, params: Mapping[str, Json]) -> Flow[Json]:
        self.asked.append((method, params))
        if self._thinks:
            yield Sleep(self._thinks)
        self.answered.append(method)
        value = self._answers.get(method, {"did": method})
        if isinstance(value, Exception):
            raise value
        return value

    def hear(self, method: str, params: Mapping[str, Json]) -> Flow[None]:
        self.heard.append((method, params))
        return
        yield


class Server(ScriptedVendor):
    """A server as a function from a message to an Answer; `messages` is what was posted to it."""

    def __init__(
        self,
        asked: Callable[[Json], Answer] | Answer,
        *,
        get: Callable[[ReceivedRequest], Answer] | Answer | None = None,
        session: str | None = None,
    ) -> None:
        super().__init__(self._play)
        self.messages: list[Json] = []
        self._asked = asked
        self._get = get or Answer((b"no",), 405)
        self.session = session

    def _play(self, request: ReceivedRequest) -> Answer:
        if request.method == "GET":
            return self._get(request) if callable(self._get) else self._get
        if request.method == "DELETE":
            return Answer((), 200, (), "length")
        message = json.loads(request.body)
        self.messages.append(message)
        if message.get("method") == "initialize":
            answer = said(result(message["id"], {"protocolVersion": "2025-06-18"}))
            headers = () if self.session is None else (("mcp-session-id", self.session),)
            return Answer(answer.pieces, 200, (*answer.headers, *headers), answer.framing)
        if "id" not in message or "method" not in message:
            return ACCEPTED
        return self._asked(message) if callable(self._asked) else self._asked

    def methods(self) -> list[str]:
        """What was asked for, by HTTP method and, of a POST, the method in it."""
        bodies = iter(self.messages)
        return [
            request.method if request.method != "POST" else _method(next(bodies)) for request in self.requests
        ]

    def answers(self) -> list[Json]:
        """What the client has answered."""
        return [message for message in self.messages if "method" not in message]


def _method(message: Json) -> str:
    return str(message.get("method", "an answer"))


def result(id: Json, value: Json) -> Json:
    return {"jsonrpc": "2.0", "id": id, "result": value}


def refused(id: Json, number: int, words: str = "no") -> Json:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": number, "message": words}}


def note(method: str, **params: Json) -> Json:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def question(id: Json, method: str, **params: Json) -> Json:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def said(message: Json, status: int = 200) -> Answer:
    """A JSON answer."""
    return Answer.json(json.dumps(message), status)


def event(message: Json = None, *, id: str | None = None, retry: int | None = None) -> bytes:
    """One event; without a message it only brings an id."""
    text = "" if message is None else json.dumps(message)
    lines = [f"data: {text}"]
    if id is not None:
        lines.insert(0, f"id: {id}")
    if retry is not None:
        lines.insert(0, f"retry: {retry}")
    return ("\n".join(lines) + "\n\n").encode()


def events(*pieces: Piece | Json) -> Answer:
    """An event stream; what is a message is made an event."""
    return Answer.events([event(piece) if isinstance(piece, dict) else piece for piece in pieces])


def ended_by(value: Json = "done", *before: Piece | Json) -> Callable[[Json], Answer]:
    """Answers with a stream: what comes before, and then the result."""
    return lambda message: events(*before, result(message["id"], value))


class Client:
    """A channel to a Server, in a simulator."""

    def __init__(
        self,
        server: ScriptedVendor,
        *,
        seed: int = 0,
        faults: Faults | None = None,
        url: str = URL,
        **options: Any,
    ) -> None:
        self.simulator = Simulator(seed, vendor=server, faults=faults)
        self.channel: Channel = Http(url, **options).channel()
        self.ear = Ear()

    def run(self, flow: Flow[Any]) -> Any:
        return self.simulator.run(flow)

    def open(self, revision: str | None = "2025-06-18") -> Client:
        self.run(self.channel.open())
        self.channel.settle(None if revision is None else REVISIONS[revision])
        return self

    def initialized(self) -> Client:
        """Open, with a session if the server gives one."""
        self.open(None)
        self.ask("initialize")
        self.channel.settle(REVISIONS["2025-06-18"])
        return self

    def ask(self, method: str = "tools/call", **options: Any) -> Any:
        return self.run(self.asking(method, **options))

    def asking(
        self,
        method: str = "tools/call",
        *,
        params: Json = None,
        name: str | None = None,
        headers: Headers = (),
        hears: bool = False,
        timeout: float | None = None,
    ) -> Flow[Any]:
        outgoing = Outgoing(method, params or {}, name, headers, hears, timeout)
        return self.channel.ask(outgoing, self.ear)

    def tell(self, method: str = "notifications/x", **params: Json) -> None:
        self.run(self.channel.tell(method, params))


NOT_FOUND = McpError("not found", -32601)
