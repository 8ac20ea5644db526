"""McpServer: what is served, whoever asks and however they are connected.

    server = McpServer([add, search], name="shop", prompts=[greet], resources=[Resource("shop://terms", T)])

| to serve it             | with                                                                           |
|-------------------------|--------------------------------------------------------------------------------|
| over stdio              | `serve(server)`, or `server.flow()` in any arm                                 |
| over HTTP               | `serve(server, http="127.0.0.1:8000")`, or `server.handler()` with an arm's own |
|                         | `http_server`, WSGI or ASGI                                                    |

What it offers may change while it is served: `add`, `remove`. Clients that listen are told so; `updated`
tells those that have subscribed to a resource.

Invariants. No I/O in here. A table of offers is replaced and never changed, so that any thread may read it.
Two offers of a kind never have the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from tako.driving.targets import MakesFlow
from tako.effects import Entropy, Flow
from tako.errors import InvalidInput
from tako.mcp.server.agent_tool import agent_tool
from tako.mcp.server.completion import Completions
from tako.mcp.server.offers import Offer, Prompt, Resource, ServedTool, Template
from tako.mcp.server.request_state import KEY_SIZE
from tako.tools.tool import Tool

if TYPE_CHECKING:
    from tako.serving import Handler

__all__ = ["Changed", "McpServer", "Updated"]

Json: TypeAlias = Any
Kind: TypeAlias = Literal["tools", "resources", "prompts"]
Function: TypeAlias = Callable[..., Any]

KINDS: Final[tuple[Kind, ...]] = ("tools", "resources", "prompts")


@dataclass(frozen=True, slots=True)
class Changed:
    """The list of this kind is another one now."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class Updated:
    """The contents of this resource are others now."""

    uri: str


News: TypeAlias = Changed | Updated


class McpServer:
    """What is served.

    tools         functions, Tools or ServedTools; or one agent, which becomes a tool that takes a prompt
    name, version what the client is told of us; title and instructions likewise
    resources     Resources; `templates`: Templates
    prompts       functions or Prompts
    completions   by name of a prompt or by template, and by argument: a list of texts, or a function of what
                  was typed so far (and, if it takes two, of the other arguments) that gives one
    page_size     how many are listed at once
    ttl           seconds for which a client of the modern era may keep a list or a resource
    cache_scope   "private", or "public" where every client gets the same
    state_key     32 bytes or more that seal `requestState`, the same in all processes; made by chance if None
    """

    def __init__(
        self,
        tools: Iterable[ServedTool | Tool | Function] | MakesFlow[Any] = (),
        *,
        name: str = "tako",
        version: str | None = None,
        title: str | None = None,
        instructions: str | None = None,
        resources: Iterable[Resource] = (),
        templates: Iterable[Template] = (),
        prompts: Iterable[Prompt | Function] = (),
        completions: Mapping[str, Mapping[str, Any]] | None = None,
        page_size: int = 100,
        ttl: float = 0.0,
        cache_scope: Literal["private", "public"] = "private",
        state_key: bytes | None = None,
    ) -> None:
        if isinstance(page_size, bool) or not isinstance(page_size, int) or page_size < 1:
            raise InvalidInput(f"page_size should be a whole number of at least 1, not {page_size!r}")
        if cache_scope not in ("private", "public"):
            raise InvalidInput(f'cache_scope should be "private" or "public", not {cache_scope!r}')
        if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 <= ttl < 10**9:
            raise InvalidInput(f"ttl should be seconds, not {ttl!r}")
        if state_key is not None and (not isinstance(state_key, bytes) or len(state_key) < KEY_SIZE):
            raise InvalidInput(f"state_key should be at least {KEY_SIZE} bytes")
        self.name = name
        self.version = _own_version() if version is None else version
        self.title = title
        self.instructions = instructions
        self.page_size = page_size
        self.cache: dict[str, Json] = {"ttlMs": int(ttl * 1000), "cacheScope": cache_scope}
        """What results that may be kept say of it, in the modern era."""
        if isinstance(tools, MakesFlow):
            tools = [agent_tool(tools, name)]
        self.tools: dict[str, ServedTool] = _table([_served(one) for one in _list("tools", tools)])
        self.resources: dict[str, Resource] = _table(_all_of(Resource, "resources", resources))
        self.templates: dict[str, Template] = _table(_all_of(Template, "templates", templates))
        self.prompts: dict[str, Prompt] = _table([_prompt(one) for one in _list("prompts", prompts)])
        self.completions = Completions(completions or {})
        self._listeners: dict[object, Callable[[News], object]] = {}
        self._key = {} if state_key is None else {"key": state_key}

    def __repr__(self) -> str:
        counts = f"{len(self.tools)} tools, {len(self.resources)} resources, {len(self.prompts)} prompts"
        return f"<McpServer {self.name!r}: {counts}>"

    # What it offers, which may change.

    def add(self, offer: Offer | Tool | Function) -> None:
        """Offer something more; a function becomes a tool. Raises InvalidInput if its name is taken."""
        if not isinstance(offer, ServedTool | Resource | Template | Prompt):
            offer = _served(offer)
        attribute, kind = _home(offer)
        setattr(self, attribute, _table([*getattr(self, attribute).values(), offer]))
        self._tell(Changed(kind))

    def remove(self, offer: Offer | Tool | str) -> None:
        """Offer it no longer: what was added, or a tool by its name. Raises InvalidInput if it is not."""
        if isinstance(offer, str | Tool):
            name = offer if isinstance(offer, str) else offer.name
            if name not in self.tools:
                raise InvalidInput(f"there is no tool {name!r}")
            offer = self.tools[name]
        attribute, kind = _home(offer)
        table = dict(getattr(self, attribute))
        if table.pop(offer.key, None) is None:
            raise InvalidInput(f"{offer.key!r} is not offered")
        setattr(self, attribute, table)
        self._tell(Changed(kind))

    def changed(self, kind: Kind) -> None:
        """Tell clients that a list is another one, though neither `add` nor `remove` was called."""
        if kind not in KINDS:
            raise InvalidInput(f"kind should be one of {', '.join(KINDS)}, not {kind!r}")
        self._tell(Changed(kind))

    def updated(self, uri: str) -> None:
        """Tell those who have subscribed to it that this resource has other contents now. From any thread."""
        self._tell(Updated(uri))

    def listen(self, listener: Callable[[News], object]) -> Callable[[], None]:
        """Have the listener called with all news, in the thread that brings them; what undoes it."""
        key = object()
        self._listeners[key] = listener

        def undo() -> None:
            self._listeners.pop(key, None)

        return undo

    def _tell(self, news: News) -> None:
        for listener in list(self._listeners.values()):
            listener(news)

    # What it says of itself.

    @property
    def info(self) -> dict[str, Json]:
        told: dict[str, Json] = {"name": self.name, "version": self.version}
        if self.title is not None:
            told["title"] = self.title
        return told

    def capabilities(self) -> dict[str, Json]:
        """What can be asked for now."""
        told: dict[str, Json] = {"logging": {}, "tools": {"listChanged": True}}
        if self.resources or self.templates:
            told["resources"] = {"listChanged": True, "subscribe": True}
        if self.prompts:
            told["prompts"] = {"listChanged": True}
        if self.prompts or self.templates:
            told["completions"] = {}
        return told

    def state_key(self) -> Flow[bytes]:
        """The key under which `requestState` is sealed, made when it is first needed."""
        if "key" not in self._key:
            chance: bytes = yield Entropy(KEY_SIZE)
            self._key.setdefault("key", chance)
        return self._key["key"]

    # Serving it.

    def flow(self, *, concurrency: int = 16) -> Flow[None]:
        """Serve one client over our standard input and output, until it ends them."""
        from tako.mcp.server.stdio import serve_streams

        return serve_streams(self, concurrency)

    def handler(
        self,
        path: str = "/mcp",
        *,
        hosts: Iterable[str] | None = None,
        origins: Iterable[str] = (),
        max_sessions: int = 1000,
        session_seconds: float = 1800.0,
    ) -> Handler:
        """A handler for HTTP: for `http_server` of an arm, WSGI, ASGI.

        hosts            names that requests may give as ours (with or without a port); ["*"] for any. By
                         default this machine's alone, as a page in a browser could reach us by another
        origins          web pages, as "https://app.example", that may call us; those of `hosts` may anyway
        max_sessions     sessions of the handshake era that are kept; of more, the longest unused is dropped
        session_seconds  how long a session is kept that nobody uses
        """
        from tako.mcp.server.http import HttpHandler

        return HttpHandler(self, path, hosts, origins, max_sessions, session_seconds)


def _own_version() -> str:
    from tako import __version__

    return __version__


def _list(argument: str, items: Any) -> list[Any]:
    if not isinstance(items, Iterable) or isinstance(items, str | bytes | Mapping):
        raise InvalidInput(f"{argument} should be a list, not {type(items).__name__}")
    return list(items)


def _all_of(kind: type[Any], argument: str, items: Any) -> list[Any]:
    found = _list(argument, items)
    for index, item in enumerate(found):
        if not isinstance(item, kind):
            raise InvalidInput(f"{argument}[{index}] should be a {kind.__name__}, not {type(item).__name__}")
    return found


def _served(one: Any) -> ServedTool:
    return one if isinstance(one, ServedTool) else ServedTool(one)


def _prompt(one: Any) -> Prompt:
    return one if isinstance(one, Prompt) else Prompt(one)


def _table(offers: list[Any]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for offer in offers:
        if offer.key in table:
            raise InvalidInput(f"two offers are called {offer.key!r}; give one of them another name")
        table[offer.key] = offer
    return table


def _home(offer: Offer) -> tuple[str, Kind]:
    """The table that it stands in, and the list that the client knows."""
    match offer:
        case ServedTool():
            return "tools", "tools"
        case Prompt():
            return "prompts", "prompts"
        case Resource():
            return "resources", "resources"
        case Template():
            return "templates", "resources"
