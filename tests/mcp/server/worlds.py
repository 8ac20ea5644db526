"""What the tests of the server stand on: a link that is all in memory, HTTP without a socket, and an oracle.

`over_stdio` performs the effects of a link on the machine that was opened, and hands all others on to the
simulator; `post` calls a handler of HTTP. What a server sends in either is held against the official types of
its revision, where they are installed: see `judge`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tako.cancellation import CancellationToken
from tako.driving.live_link import LiveLink
from tako.effects import Ask, Effect, Flow, Gather, Hangup, Open, Sleep, Tell, Within, within
from tako.errors import Interrupted
from tako.mcp.server import McpServer
from tako.mcp.server.mailbox import sleep_for_ever
from tako.serving import HttpIncoming, ResponseData, ResponseHead
from tako.testing import Simulator

try:
    from mcp_types import methods as official
    from pydantic import TypeAdapter
except ImportError:  # pragma: no cover
    official = None  # type: ignore[assignment]

Json = Any
MODERN = "2026-07-28"
REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN)
EVERYTHING = {"sampling": {}, "elicitation": {"form": {}, "url": {}}, "roots": {}}


def meta(capabilities: Mapping[str, Json] = EVERYTHING, **more: Json) -> dict[str, Json]:
    """The `_meta` of a request of the modern era."""
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": dict(capabilities),
        **more,
    }


# The oracle.


def judge(message: Mapping[str, Json], revision: str, asked: Mapping[Json, str]) -> None:
    """Fail unless a message of the server's is one of its revision; `asked` has the methods by their ids."""
    assert message["jsonrpc"] == "2.0"
    if official is None:
        return
    if "method" in message:
        table = official.SERVER_REQUESTS if "id" in message else official.SERVER_NOTIFICATIONS
        kind = table.get((message["method"], revision))
        assert kind is not None, f"{revision} has no {message['method']} of servers"
        TypeAdapter(kind).validate_python(dict(message))
    elif "result" in message:
        kind = official.SERVER_RESULTS[asked[message["id"]], revision]
        TypeAdapter(kind).validate_python(message["result"])
        if revision == MODERN:
            assert "resultType" in message["result"]
    else:
        assert set(message["error"]) <= {"code", "message", "data"}
        assert type(message["error"]["code"]) is int and type(message["error"]["message"]) is str


# stdio.


class Pipe:
    """The other end of our standard streams: a client that says things, and hears what is said."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Json]] = []
        self.live: LiveLink | None = None
        self.on_message: Callable[[dict[str, Json]], None] = lambda message: None
        self._unsaid: list[bytes] = []
        self._buffer = b""

    def say(self, *messages: Json) -> None:
        self.say_bytes(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def say_bytes(self, data: bytes) -> None:
        if self.live is None:
            self._unsaid.append(data)
        else:
            self.live.received(data)
            self.flush()

    def end(self) -> None:
        self.say_bytes(b"")

    def opened(self, machine: Any) -> None:
        self.live = LiveLink(machine)
        machine.attach(self.flush)
        unsaid, self._unsaid = self._unsaid, []
        for data in unsaid:
            self.say_bytes(data)

    def flush(self) -> None:
        assert self.live is not None
        self.live.settle()
        self._buffer += bytes(self.live.outgoing)
        self.live.outgoing.clear()
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            message = json.loads(line)
            for one in message if isinstance(message, list) else [message]:
                self.heard.append(one)
                self.on_message(one)


def linked(flow: Flow[Any], pipe: Pipe) -> Flow[Any]:
    """The flow, with the effects of its link performed on the pipe."""
    resume, argument = flow.send, None
    try:
        while True:
            try:
                effect = resume(argument)
            except StopIteration as stop:
                return stop.value
            resume, argument = flow.send, None
            try:
                argument = yield from _perform(effect, pipe)
            except GeneratorExit:
                raise
            except BaseException as error:
                resume, argument = flow.throw, error
    finally:
        flow.close()


def _perform(effect: Effect, pipe: Pipe) -> Flow[Any]:
    match effect:
        case Open(_, machine):
            pipe.opened(machine)
            return 1
        case Tell(_, message):
            assert pipe.live is not None
            pipe.live.tell(message)
            pipe.flush()
            yield Sleep(0)
            return None
        case Hangup():
            return None
        case Ask(_, message):
            return (yield from _ask(message, pipe))
        case Gather():
            return (yield replace(effect, flows=tuple(linked(flow, pipe) for flow in effect.flows)))
        case Within():
            return (yield replace(effect, flow=linked(effect.flow, pipe)))
    return (yield effect)


def _ask(message: Any, pipe: Pipe) -> Flow[Any]:
    assert pipe.live is not None
    over = CancellationToken()
    asking = pipe.live.ask(message, over.cancel)
    pipe.flush()
    try:
        while asking.outcome is None:
            try:
                yield from within(None, sleep_for_ever(), over)
            except Interrupted:
                pass
    except BaseException:
        pipe.live.forget(asking)
        raise
    return asking.result()


def over_stdio(
    server: McpServer,
    *messages: Json,
    answers: Mapping[str, Json] | None = None,
    seed: int = 0,
    concurrency: int = 16,
    simulator: Simulator | None = None,
    also: Callable[[Pipe, dict[str, Json]], None] | None = None,
) -> list[dict[str, Json]]:
    """What a client hears that says all this, and then ends its output; `answers` are its, by method."""
    pipe = Pipe()

    def heard(message: dict[str, Json]) -> None:
        if "method" in message and "id" in message:
            answer = (answers or {})[message["method"]]
            given = {"error": answer["error"]} if "error" in answer else {"result": answer}
            pipe.say({"jsonrpc": "2.0", "id": message["id"], **given})
        if also is not None:
            also(pipe, message)

    pipe.on_message = heard
    pipe.say(*messages)
    if also is None and not answers:
        pipe.end()

    def run() -> Flow[None]:
        yield from linked(server.flow(concurrency=concurrency), pipe)

    def until_quiet() -> Flow[None]:
        yield Sleep(1000)
        pipe.end()

    def both() -> Flow[None]:
        yield Gather((run(), until_quiet()))

    (simulator or Simulator(seed)).run(both())
    return pipe.heard


def handshake(revision: str = "2025-11-25", capabilities: Mapping[str, Json] = EVERYTHING) -> list[Json]:
    """The first messages of a client."""
    told = {
        "protocolVersion": revision,
        "capabilities": dict(capabilities),
        "clientInfo": {"name": "t", "version": "1"},
    }
    return [
        {"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": told},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]


def request(
    id: Json, method: str, params: Mapping[str, Json] | None = None, revision: str = ""
) -> dict[str, Json]:
    """A request, with the `_meta` of the modern era if it is of that."""
    told = dict(params or {})
    if revision == MODERN:
        told["_meta"] = {**meta(), **told.get("_meta", {})}
    return {"jsonrpc": "2.0", "id": id, "method": method, **({"params": told} if told else {})}


def ask_one(
    server: McpServer, revision: str, method: str, params: Mapping[str, Json] | None = None, **options: Json
) -> Json:
    """The answer to one request over stdio, in any revision; all that was said is judged."""
    messages = [] if revision == MODERN else handshake(revision)
    heard = over_stdio(
        server, *messages, request(1, method, params, revision), **{"concurrency": 2, **options}
    )
    for message in heard:
        judge(message, revision, {1: method, "init": "initialize"})
    return next(message for message in heard if message.get("id") == 1 and "method" not in message)


# HTTP.

HEADERS = (
    ("host", "localhost:8000"),
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
)


class Response:
    """What a handler has answered."""

    def __init__(self, events: Sequence[Any]) -> None:
        heads = [event for event in events if isinstance(event, ResponseHead)]
        assert len(heads) == 1 and events[0] is heads[0]
        assert all(isinstance(event, ResponseHead | ResponseData) for event in events)
        self.status = heads[0].status
        self.headers = dict(heads[0].headers)
        self.pieces = [event.data for event in events[1:]]
        self.body = b"".join(self.pieces)

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type") == "text/event-stream"

    @property
    def messages(self) -> list[Json]:
        """The messages, of either kind of answer."""
        if not self.is_stream:
            return [json.loads(self.body)] if self.body else []
        events = [event for event in self.body.split(b"\n\n") if event and not event.startswith(b":")]
        lines = [line for event in events for line in event.split(b"\n")]
        return [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]


def incoming(
    message: Json, method: str = "POST", headers: Sequence[tuple[str, str]] = (), path: str = "/mcp"
) -> HttpIncoming:
    """A request of HTTP; a header that is given replaces the usual one, and one that is "" is left out."""
    given = {name for name, _ in headers}
    told = (*(one for one in HEADERS if one[0] not in given), *(one for one in headers if one[1]))
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return HttpIncoming(method, path, headers=told, body=body)


def modern_headers(message: Mapping[str, Json]) -> list[tuple[str, str]]:
    """What the body says, as headers."""
    params = message.get("params", {})
    told = [("mcp-protocol-version", MODERN), ("mcp-method", message["method"])]
    name = params.get("uri" if message["method"] == "resources/read" else "name")
    return told + ([("mcp-name", name)] if isinstance(name, str) else [])


def fetch(handler: Any, request: HttpIncoming, simulator: Simulator | None = None) -> Response:
    return Response(list((simulator or Simulator()).stream(handler(request))))


def post(
    handler: Any, message: Json, *headers: tuple[str, str], simulator: Simulator | None = None
) -> Response:
    return fetch(handler, incoming(message, headers=headers), simulator)


def post_modern(
    handler: Any, id: Json, method: str, params: Mapping[str, Json] | None = None, *headers: tuple[str, str]
) -> Response:
    message = request(id, method, params, MODERN)
    told = dict([*modern_headers(message), *headers])
    response = post(handler, message, *told.items())
    for one in response.messages:
        judge(one, MODERN, {id: method})
    return response


def begin(handler: Any, revision: str = "2025-11-25", capabilities: Mapping[str, Json] = EVERYTHING) -> str:
    """The id of a new session."""
    response = post(handler, handshake(revision, capabilities)[0])
    assert response.status == 200, response.body
    return response.headers["mcp-session-id"]
