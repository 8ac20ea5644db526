"""A scripted MCP server at the end of a simulated link, and short ways to use one.

`ScriptedServer` speaks lines of JSON. What it does with a request is a function of its params, by method; it
gives the result, raises Refused, or is a generator of what is said before, between and after.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tako.effects import Flow
from tako.links import Child, Endpoint
from tako.mcp import Host, ServerConfig, Session
from tako.mcp.channel import Channel, LinkChannel
from tako.mcp.framing import Framing, Lines
from tako.testing import Simulator
from tako.testing.faults import Faults
from tako.testing.vendor import Hangup, Piece

Json = Any


class Refused(Exception):
    """Raised by a handler: an error answer."""

    def __init__(self, number: int, message: str = "no", data: Json = None) -> None:
        self.error = {"code": number, "message": message, **({} if data is None else {"data": data})}


def line(message: Mapping[str, Json]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def note(method: str, **params: Json) -> bytes:
    return line({"method": method, "params": params})


def question(id: Json, method: str, **params: Json) -> bytes:
    return line({"id": id, "method": method, "params": params})


NOTHING: Mapping[str, Callable[..., Json]] = {}


class ScriptedServer:
    """Handlers get the params, and `self`; `heard` is all that it was sent, in order."""

    def __init__(
        self,
        handlers: Mapping[str, Callable[..., Json]] = NOTHING,
        *,
        speaks: str = "2025-11-25",
        capabilities: Json = None,
        greeting: Iterable[Piece] = (),
    ) -> None:
        self.speaks = speaks
        self.capabilities = capabilities or {}
        self.handlers: dict[str, Callable[..., Json]] = {
            "initialize": self._initialize,
            "server/discover": self._discover,
            **handlers,
        }
        self.heard: list[dict[str, Json]] = []
        self.answers: list[dict[str, Json]] = []
        """What it was answered to its own requests."""
        self.is_ended = False
        self._greeting = greeting
        self._rest = b""

    @property
    def methods(self) -> list[str]:
        return [message["method"] for message in self.heard]

    def asked(self, method: str) -> list[Json]:
        """The params of each request of that method."""
        return [message.get("params") for message in self.heard if message["method"] == method]

    def connected(self) -> Iterable[Piece]:
        return self._greeting

    def received(self, data: bytes) -> Iterator[Piece]:
        if data == b"":
            self.is_ended = True
        *lines, self._rest = (self._rest + data).split(b"\n")
        found: list[Piece] = []
        for text in lines:
            found += self._message(json.loads(text))
        return iter(found)

    def _message(self, message: dict[str, Json]) -> Iterator[Piece]:
        if "method" not in message:
            self.answers.append(message)
            return
        self.heard.append(message)
        handler = self.handlers.get(message["method"])
        if "id" not in message:
            return
        id, params = message["id"], message.get("params", {})
        if handler is None:
            yield line({"id": id, "error": {"code": -32601, "message": "not found"}})
            return
        try:
            result = handler(params)
        except Refused as refusal:
            yield line({"id": id, "error": refusal.error})
            return
        if isinstance(result, Iterator):
            yield from result
        else:
            yield line({"id": id, "result": result})

    def _initialize(self, params: Json) -> Json:
        if self.speaks.startswith("2026"):
            raise Refused(-32022, "modern only", {"supported": [self.speaks]})
        return {
            "protocolVersion": self.speaks,
            "capabilities": self.capabilities,
            "serverInfo": {"name": "scripted", "version": "1"},
            "instructions": "be kind",
        }

    def _discover(self, params: Json) -> Json:
        if not self.speaks.startswith("2026"):
            raise Refused(-32601, "not found")
        return {
            "resultType": "complete",
            "supportedVersions": [self.speaks],
            "capabilities": self.capabilities,
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "scripted", "version": "1"}},
            "instructions": "be kind",
            "ttlMs": 0,
            "cacheScope": "private",
        }


class At(ServerConfig):
    """A config whose server is at the end of a simulated link."""

    def __init__(self, name: str = "scripted", **options: Any) -> None:
        super().__init__(**options)
        object.__setattr__(self, "_name", name)

    @property
    def label(self) -> str:
        return f"the MCP server {self._name!r}"  # type: ignore[attr-defined]

    def channel(self) -> Channel:
        return LinkChannel(self.label, self._connect)

    def _connect(self) -> Flow[tuple[Endpoint, Framing]]:
        return Child((self._name,)), Lines()  # type: ignore[attr-defined]
        yield


class World:
    """A simulator with servers by name; each connection to a name is the next of its servers, the last
    one for all that follow."""

    def __init__(
        self, *servers: ScriptedServer, seed: int = 0, faults: Faults | None = None, **named: ScriptedServer
    ) -> None:
        self.servers = list(servers)
        self.named = named
        self.opened: list[str] = []
        self.simulator = Simulator(seed, peers=self._peer, faults=faults)

    def _peer(self, endpoint: Endpoint) -> ScriptedServer:
        assert isinstance(endpoint, Child)
        name = endpoint.command[0]
        self.opened.append(name)
        if name in self.named:
            return self.named[name]
        count = self.opened.count(name)
        return self.servers[min(count, len(self.servers)) - 1]

    def run(self, flow: Flow[Any]) -> Any:
        return self.simulator.run(flow)


def session_with(
    server: ScriptedServer,
    *,
    host: Host | None = None,
    faults: Faults | None = None,
    seed: int = 0,
    **options: Any,
) -> tuple[Session, World]:
    world = World(server, seed=seed, faults=faults)
    return Session(At(**({} if host is None else {"host": host}), **options)), world


def tool(name: str, **extra: Json) -> Json:
    return {"name": name, "description": f"does {name}", "inputSchema": {"type": "object"}, **extra}


def text(words: str, **extra: Json) -> Json:
    return {"content": [{"type": "text", "text": words}], **extra}


def forever() -> Iterator[Piece]:
    """An answer that never comes."""
    yield from ()


def dies() -> Iterator[Piece]:
    yield Hangup()
