"""Session: everything that can be asked of one MCP server, as flows.

| state        | from                                   | and then                                          |
|--------------|----------------------------------------|---------------------------------------------------|
| fresh        | it was made; nothing is connected      | the first request connects and negotiates         |
| ready        | an Agreement was reached               | requests go through, side by side                 |
| lost         | the channel is not open any more       | the next request connects again                   |
| closed       | `farewell`                             | every request raises InvalidInput                 |

What a server wants while it works on a request (to ask the host, to tell of progress) is done as part of
that request. In the modern era it says so in its result, and the request is made again with the answers.

Invariants. Of many that find it fresh or lost, one connects. A request that the server may have seen is
never sent a second time by itself, but for one that changes nothing or may be repeated. What is known of
the server's tools is forgotten with a notice that they changed, and with the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tako.effects import Emit, Flow, Headers, Succeeded, call, gather, now, sleep
from tako.errors import InvalidInput, ProtocolError, TransportError
from tako.json_schema import Checker, compiled
from tako.mcp.catalogue import (
    CallResult,
    Completion,
    Contents,
    PromptInfo,
    PromptResult,
    ResourceInfo,
    TemplateInfo,
    ToolInfo,
    listed,
    needed,
    optional,
)
from tako.mcp.channel import UNSENT, Outgoing
from tako.mcp.config import ServerConfig, require_timeout
from tako.mcp.conversation import Notice, next_of
from tako.mcp.errors import McpError
from tako.mcp.host import LEVELS
from tako.mcp.mirrored import Marks, marks_of, mirrored
from tako.mcp.negotiation import Agreement, meta_of, negotiate
from tako.mcp.once import Once

__all__ = ["OnProgress", "Session"]

Json: TypeAlias = Any
OnProgress: TypeAlias = Callable[[float, float | None, str | None], Flow[None]]
"""Told how far a call is: progress, total and message."""

MAX_PAGES: Final = 1000
LONGEST_MS: Final = 24 * 3600 * 1000
"""For how long a server is believed that its tools will not change."""
MAX_ROUNDS: Final = 10
"""How often a request may be answered with "input required"."""
STATE_ONLY_SECONDS: Final = (0.05, 0.1, 0.2, 0.25)
"""Waits before a request is made again for which the server wants nothing but its state back."""
LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
TOOLS_CHANGED: Final = "notifications/tools/list_changed"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"


class Session:
    """One session with the server of a config. What a Runtime keeps, or what `connect` has for itself."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self.generation = 0
        """Grows whenever the tools are known to be others than before."""
        self.made: tuple[tuple[ToolInfo, ...], Sequence[Any]] | None = None
        """What somebody has made of the known tools, to be used again as long as they are the same."""
        self._channel = config.channel()
        self._once: Once[None] = Once()
        self._agreement: Agreement | None = None
        self._meta: dict[str, Json] | None = None
        self._known: _KnownTools | None = None
        self._subscribed: dict[str, None] = {}
        self._log_level = config.host.log_level
        self._ear = _Ear(self)
        self._is_closed = False

    @property
    def agreement(self) -> Agreement:
        """What was agreed with the server; raises InvalidInput before it was."""
        if self._agreement is None:
            raise InvalidInput(f"{self.config.label} is not connected yet; make a request first")
        return self._agreement

    # The session itself.

    def ready(self) -> Flow[None]:
        """Connect and negotiate, if that has not been done or the connection was lost."""
        if self._agreement is None or not self._channel.is_open:
            yield from self._once.run(self._begin)

    def farewell(self) -> Flow[None]:
        """End the session; a later request raises InvalidInput."""
        self._is_closed = True
        yield from self._channel.close()

    def ping(self) -> Flow[None]:
        """Raises if the server does not answer. The modern era has no ping, and asks what it is instead."""
        yield from self.ready()
        method = "ping" if self._meta is None else "server/discover"
        yield from self.request(method, {}, may_repeat=True)

    def set_log_level(self, level: str) -> Flow[None]:
        """From which level on the server logs; raises InvalidInput for a level that there is not."""
        if level not in LEVELS:
            raise InvalidInput(f"level should be one of {', '.join(LEVELS)}, not {level!r}")
        yield from self.ready()
        if self._meta is None:
            yield from self.request("logging/setLevel", {"level": level}, may_repeat=True)
        else:
            self._meta = {**self._meta, LOG_LEVEL: level}
        self._log_level = level

    # What the server offers.

    def tools(self) -> Flow[tuple[ToolInfo, ...]]:
        """All tools, asked for unless those that are known still hold by the server's own word.

        In the modern era a tool whose marks for headers are wrong is left out, as the specification wants.
        """
        yield from self.ready()
        known = self._known
        if known is not None and (yield from now()) < known.until:
            return known.tools
        return (yield from self._learn()).tools

    def known_tools(self) -> Flow[tuple[ToolInfo, ...]]:
        """All tools, asked for only if they are not known, or known to be others than before.

        It is the same tuple as long as they are the same.
        """
        yield from self.ready()
        known = self._known
        if known is not None and (self._meta is None or (yield from now()) < known.until):
            return known.tools
        return (yield from self._learn()).tools

    def resources(self) -> Flow[tuple[ResourceInfo, ...]]:
        return tuple(
            [ResourceInfo.of(raw) for raw in (yield from self._pages("resources/list", "resources"))[0]]
        )

    def resource_templates(self) -> Flow[tuple[TemplateInfo, ...]]:
        found, _ = yield from self._pages("resources/templates/list", "resourceTemplates")
        return tuple([TemplateInfo.of(raw) for raw in found])

    def prompts(self) -> Flow[tuple[PromptInfo, ...]]:
        return tuple([PromptInfo.of(raw) for raw in (yield from self._pages("prompts/list", "prompts"))[0]])

    # What it does.

    def call(
        self,
        name: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
    ) -> Flow[CallResult]:
        """Call a tool. A result with `is_error` is the tool's own failure, and is returned.

        Raises McpError if the server refuses the call, TransportError if it was lost on the way: whether
        the tool has done its work is not known then. One that may be repeated, by its own word, is.
        Raises ProtocolError, whose `partial` is the result, if it does not fit the output schema of a tool
        that is known.
        """
        if self._agreement is None or not self._channel.is_open:
            yield from self._once.run(self._begin)
        known = self._known
        if known is None and self._channel.mirrors and self._meta is not None:
            known = yield from self._learn()  # its schema says what goes into the headers
        if arguments is None:
            arguments = {}
        elif type(arguments) is not dict and not isinstance(arguments, Mapping):
            raise InvalidInput(
                f"arguments should be a mapping of names to values, not {type(arguments).__name__}"
            )
        headers: Headers = ()
        may_repeat = False
        if known is not None:
            if name in known.refused:
                raise InvalidInput(f"the tool {name!r} cannot be called: {known.refused[name]}")
            may_repeat = name in known.repeatable
            if name in known.marks:
                headers = mirrored(known.marks[name], arguments)
        outgoing = Outgoing(
            "tools/call", {"name": name, "arguments": arguments}, name, headers,
            on_progress is not None, self.config.timeout if timeout is None else _checked(timeout),
        )  # fmt: skip
        ear = self._ear if on_progress is None else _Ear(self, on_progress)
        result = CallResult.of((yield from self._exchange(outgoing, ear, may_repeat=may_repeat)))
        if known is not None and known is self._known and name in known.outputs:
            known.require_fit(name, result)
        return result

    def read(self, uri: str) -> Flow[tuple[Contents, ...]]:
        """What a resource holds."""
        result = yield from self.request("resources/read", {"uri": uri}, name=uri, may_repeat=True)
        return tuple([Contents.of(raw) for raw in listed(result, "contents")])

    def prompt(self, name: str, arguments: Mapping[str, str] | None = None) -> Flow[PromptResult]:
        """A prompt, filled in."""
        params = {"name": name, "arguments": arguments or {}}
        return PromptResult.of((yield from self.request("prompts/get", params, name=name, may_repeat=True)))

    def complete(
        self,
        argument: str,
        value: str,
        *,
        prompt: str | None = None,
        template: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Flow[Completion]:
        """Values for an argument of a prompt, or a place in a resource template, that begin like `value`.

        `context` are the arguments that are known already.
        """
        if (prompt is None) == (template is None):
            raise InvalidInput("pass prompt= or template=, which names what the argument belongs to")
        ref = (
            {"type": "ref/resource", "uri": template}
            if prompt is None
            else {"type": "ref/prompt", "name": prompt}
        )
        params: dict[str, Json] = {"ref": ref, "argument": {"name": argument, "value": value}}
        if context:
            params["context"] = {"arguments": context}
        return Completion.of((yield from self.request("completion/complete", params, may_repeat=True)))

    def subscribe(self, uri: str) -> Flow[None]:
        """Have the server tell when a resource changes: `listen` and the host's `changed` hear of it."""
        yield from self.ready()
        if self._meta is None:
            yield from self.request("resources/subscribe", {"uri": uri}, may_repeat=True)
        self._subscribed[uri] = None

    def unsubscribe(self, uri: str) -> Flow[None]:
        yield from self.ready()
        self._subscribed.pop(uri, None)
        if self._meta is None:
            yield from self.request("resources/unsubscribe", {"uri": uri}, may_repeat=True)

    def listen(self) -> Flow[None]:
        """Emit what the server says on its own account, as Notices, until it has no more to say.

        In the modern era the resources that were subscribed to by then are heard of.
        """
        yield from self.ready()
        ear = _Ear(self, emits=True)
        if self._meta is None:
            return (yield from self._channel.listen(ear))
        wanted = {
            "toolsListChanged": True,
            "promptsListChanged": True,
            "resourcesListChanged": True,
            "resourceSubscriptions": list(self._subscribed),
        }
        yield from self._channel.ask(
            Outgoing("subscriptions/listen", {"notifications": wanted, "_meta": self._meta}), ear
        )

    # Requests.

    def request(
        self,
        method: str,
        params: dict[str, Json],
        *,
        name: str | None = None,
        headers: Headers = (),
        on_progress: OnProgress | None = None,
        timeout: float | None = None,
        may_repeat: bool = False,
    ) -> Flow[Json]:
        """The result of any request; what `may_repeat` is sent again if the connection was lost meanwhile."""
        limit = self.config.timeout if timeout is None else _checked(timeout)
        asked = Outgoing(method, params, name, headers, on_progress is not None, limit)
        ear = self._ear if on_progress is None else _Ear(self, on_progress)
        yield from self.ready()
        return (yield from self._exchange(asked, ear, may_repeat=may_repeat))

    def _exchange(self, asked: Outgoing, ear: _Ear, *, may_repeat: bool) -> Flow[Json]:
        """The result of a request; the session is ready. One that was lost on the way is sent once more,
        if it may be."""
        params, channel, again = asked.params, self._channel, True
        while True:
            meta = self._meta
            asked.params = params if meta is None else {**params, "_meta": meta}
            try:
                result = yield from channel.ask(asked, ear)
                break
            except TransportError as error:
                if not again or not (error.partial is UNSENT or (may_repeat and error.status is None)):
                    raise
                again = False
            yield from self.ready()
        if channel.overheard:
            yield from self._catch_up()
        if meta is not None and type(result) is dict and result.get("resultType", "complete") != "complete":
            return (yield from self._provide(asked, result, ear))
        return result

    def _begin(self) -> Flow[None]:
        self._require_not_closed()
        if self._agreement is not None and self._channel.is_open:
            return  # somebody else was faster
        known, self._agreement = self._agreement, None
        self._forget_tools()
        yield from self._channel.open()
        agreed = yield from negotiate(
            self._channel, self.config, self._ear, None if known is None else known.revision
        )
        meta = meta_of(self.config, agreed.revision) if agreed.revision.is_modern else None
        if meta is None:
            yield from self._restore(agreed)
        elif self._log_level is not None:
            meta[LOG_LEVEL] = self._log_level
        if self._is_closed:  # meanwhile: nobody else will close what was opened
            yield from self._channel.close()
            self._require_not_closed()
        self._meta, self._agreement = meta, agreed

    def _require_not_closed(self) -> None:
        if self._is_closed:
            raise InvalidInput(f"the session with {self.config.label} is closed; connect again")

    def _restore(self, agreed: Agreement) -> Flow[None]:
        """What a server of the handshake era keeps for a session, and a new one has to be told."""
        limit, level = self.config.timeout, self._log_level
        uris = tuple(self._subscribed)  # in another thread, it may grow meanwhile
        asked = [Outgoing("resources/subscribe", {"uri": uri}, timeout=limit) for uri in uris]
        if level is not None and "logging" in agreed.capabilities:
            asked.append(Outgoing("logging/setLevel", {"level": level}, timeout=limit))
        for request in asked:
            try:
                yield from self._channel.ask(request, self._ear)
            except McpError:  # it has them no more, which is no reason to be without the rest
                self._subscribed.pop(request.params.get("uri", ""), None)

    def _provide(self, asked: Outgoing, result: Mapping[str, Json], ear: _Ear) -> Flow[Json]:
        """Give the server what it needs, and make the request again, until the result is complete."""
        for round in range(MAX_ROUNDS):
            if result.get("resultType") != "input_required":
                raise ProtocolError(
                    f"{self.config.label} gave a result of the unknown type {result['resultType']!r}"
                )
            params = {**asked.params}
            wanted = optional(result, "inputRequests", dict)
            if wanted:
                params["inputResponses"] = yield from self._responses(wanted, ear)
            else:
                yield from sleep(STATE_ONLY_SECONDS[min(round, len(STATE_ONLY_SECONDS) - 1)])
            if (state := result.get("requestState")) is not None:
                params["requestState"] = state
            again = Outgoing(asked.method, params, asked.name, asked.headers, asked.hears, asked.timeout)
            result = yield from self._channel.ask(again, ear)
            if self._channel.overheard:
                yield from self._catch_up()
            if type(result) is not dict or result.get("resultType", "complete") == "complete":
                return result
        raise ProtocolError(f"{self.config.label} has asked for input {MAX_ROUNDS} times and given no result")

    def _responses(self, wanted: Mapping[str, Json], ear: _Ear) -> Flow[dict[str, Json]]:
        names = list(wanted)
        flows = [
            ear.answer(
                needed(wanted[name], "method", str, "an input request"),
                optional(wanted[name], "params", dict) or {},
            )
            for name in names
        ]
        outcomes = yield from gather(*flows)
        return {
            name: outcome.value
            for name, outcome in zip(names, outcomes, strict=True)
            if isinstance(outcome, Succeeded)
        }

    def _pages(self, method: str, member: str) -> Flow[tuple[list[Json], float]]:
        """All pages of a list, and until when it holds by the server's word."""
        found: list[Json] = []
        cursor: str | None = None
        until = 0.0
        seen: set[str] = set()
        while True:
            params: dict[str, Json] = {} if cursor is None else {"cursor": cursor}
            page = yield from self.request(method, params, may_repeat=True)
            found += listed(page, member)
            if cursor is None and (lasts := optional(page, "ttlMs", int) or 0) > 0:
                until = (yield from now()) + min(lasts, LONGEST_MS) / 1000
            cursor = optional(page, "nextCursor", str)
            if not cursor:
                return found, until
            if cursor in seen or len(seen) >= MAX_PAGES:
                raise ProtocolError(f"{self.config.label} gives {method} in pages without end")
            seen.add(cursor)

    # Tools, and hearing of their changes.

    def _learn(self) -> Flow[_KnownTools]:
        generation = self.generation
        found, until = yield from self._pages("tools/list", "tools")
        known = _KnownTools([ToolInfo.of(raw) for raw in found], until, checks_marks=self._meta is not None)
        if self.config.check is not None:
            yield from call(self.config.check, known.tools)
        if generation == self.generation:  # else they have changed meanwhile
            self._known = known
        return known

    def _forget_tools(self) -> None:
        self._known = None
        self.generation += 1

    def _catch_up(self) -> Flow[None]:
        """Hear what was said while nobody listened."""
        while (notice := next_of(self._channel.overheard)) is not None:
            yield from self._ear.hear(notice.method, notice.params)

    def heard(self, method: str) -> None:
        """A notification has come: what it makes out of date is forgotten."""
        if method == TOOLS_CHANGED:
            self._forget_tools()


def _checked(timeout: float) -> float:
    require_timeout(timeout)
    return timeout


class _KnownTools:
    """The tools of a server, and what is to be known to call them."""

    __slots__ = ("_checkers", "marks", "outputs", "refused", "repeatable", "tools", "until")

    def __init__(self, found: Sequence[ToolInfo], until: float, *, checks_marks: bool) -> None:
        self.until = until
        """On the clock of Now: until then they need not be asked for."""
        self.marks: dict[str, Marks] = {}
        self.refused: dict[str, str] = {}
        """Which must not be used, and why."""
        for tool in found:
            if not checks_marks:
                break
            try:
                marks = marks_of(tool.input_schema)
            except InvalidInput as error:
                self.refused[tool.name] = error.message
            else:
                if marks:
                    self.marks[tool.name] = marks
        self.tools = tuple([tool for tool in found if tool.name not in self.refused])
        self.repeatable = frozenset([tool.name for tool in found if tool.read_only or tool.idempotent])
        self.outputs = {tool.name: tool.output_schema for tool in found if tool.output_schema is not None}
        self._checkers: dict[str, Checker] = {}

    def require_fit(self, name: str, result: CallResult) -> None:
        """Raise ProtocolError if a result that is no error does not fit the output schema of its tool."""
        if result.is_error:
            return
        problem = "is missing, though it has an output schema"
        if "structuredContent" in result.raw:
            try:
                if name not in self._checkers:
                    self._checkers[name] = compiled(self.outputs[name])
                return self._checkers[name].check(result.structured)
            except InvalidInput as error:
                problem = f"does not fit its output schema: {error.message}"
        raise ProtocolError(
            f"the structured content of the tool {name!r} {problem}", phase="mcp", partial=result
        )


class _Ear:
    """Who hears what the server says, in the name of the session and its host."""

    __slots__ = ("_emits", "_on_progress", "_session")

    def __init__(
        self, session: Session, on_progress: OnProgress | None = None, *, emits: bool = False
    ) -> None:
        self._session = session
        self._on_progress = on_progress
        self._emits = emits

    def answer(self, method: str, params: Mapping[str, Json]) -> Flow[Json]:
        return self._session.config.host.answer(method, params)

    def hear(self, method: str, params: Mapping[str, Json]) -> Flow[None]:
        if method == "notifications/progress":
            done = optional(params, "progress", int | float)
            if self._on_progress is not None and done is not None:
                total, words = optional(params, "total", int | float), optional(params, "message", str)
                yield from self._on_progress(done, total, words)
            return
        if method == ACKNOWLEDGED:
            return
        self._session.heard(method)
        if self._emits:
            yield Emit((Notice(method, params),))
        yield from self._session.config.host.hear(method, params)
