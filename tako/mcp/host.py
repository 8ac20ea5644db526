"""Host: what the program that embeds tako does for the servers that it uses.

| a server may ask for   | method                 | the host's    | told as capability |
|------------------------|------------------------|---------------|--------------------|
| an answer of a model   | sampling/createMessage | `sampling`    | sampling           |
| an answer of a person  | elicitation/create     | `elicitation` | elicitation        |
| the folders it may use | roots/list             | `roots`       | roots              |

What it says: log messages go to `log`, changes to `changed`; progress to the `on_progress=` of a call.
Functions may be plain or async. A request for which the host has nothing is refused, "method not found".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tako.effects import Flow, call
from tako.errors import InvalidInput
from tako.json_schema import compiled
from tako.mcp.catalogue import needed, optional
from tako.mcp.errors import McpError
from tako.mcp.sampling import SamplingRequest, sampling_answer
from tako.models import ChatRequest, ChatResponse
from tako.providers.base import Provider
from tako.wire.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND

__all__ = ["LEVELS", "NOBODY", "Declined", "Elicitation", "Host", "LogMessage"]

Json: TypeAlias = Any

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


@dataclass(frozen=True, slots=True)
class Elicitation:
    """A question of a server to a person.

    message  what to ask
    schema   of a form: a JSON schema of an object with plain fields; None if there is a `url`
    url      a page to be opened by the person, for what must not pass through us
    id       names it in a later "notifications/elicitation/complete"
    """

    message: str
    schema: Mapping[str, Json] | None = None
    url: str | None = None
    id: str | None = None


class Declined:
    """Given back by `elicitation` where the person said no; None means that they gave no answer."""


@dataclass(frozen=True, slots=True)
class LogMessage:
    """level is debug, info, notice, warning, error, critical, alert or emergency."""

    level: str
    data: Json
    logger: str | None = None


Sampler: TypeAlias = "Provider | Callable[[ChatRequest], ChatResponse | str | Awaitable[ChatResponse | str]]"
Approver: TypeAlias = Callable[[SamplingRequest], "bool | Awaitable[bool]"]
Elicitor: TypeAlias = Callable[[Elicitation], Any]
Roots: TypeAlias = "Sequence[str] | Callable[[], Sequence[str]]"


@dataclass(frozen=True, slots=True)
class Host:
    """What servers may ask of us, and who hears what they say.

    sampling     any tako provider, or a function of a ChatRequest that gives a ChatResponse or text
    approve      asked before a provider is: gets a SamplingRequest, gives True or False. A provider needs
                 one, because servers spend your money; a function may look for itself
    elicitation  a function of an Elicitation. For a form it gives a mapping of the fields, True for one
                 with the defaults alone; for a URL True. Declined if the person refuses, None if they left
    roots        folders as file:// URIs, or a function that gives them
    log          a function of a LogMessage
    changed      a function of the method of a notification and its params: lists and resources that changed
    log_level    from which level on the server is asked to log; None leaves it to the server

    Raises InvalidInput that names the argument.
    """

    sampling: Sampler | None = None
    approve: Approver | None = None
    elicitation: Elicitor | None = None
    roots: Roots | None = None
    log: Callable[[LogMessage], object] | None = None
    changed: Callable[[str, Mapping[str, Json]], object] | None = None
    log_level: str | None = None
    capabilities: Mapping[str, Json] = field(init=False, repr=False, compare=False, default_factory=dict)
    """What servers are told that we can do."""

    def __post_init__(self) -> None:
        for name in ("approve", "elicitation", "log", "changed"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise InvalidInput(f"{name} should be a function, not {type(value).__name__}")
        if isinstance(self.sampling, Provider):
            if self.approve is None:
                raise InvalidInput(
                    "sampling by a provider needs approve=: a function that sees each SamplingRequest "
                    "and gives True or False"
                )
        elif self.sampling is not None and not callable(self.sampling):
            raise InvalidInput(f"sampling should be a provider or a function, not {self.sampling!r}")
        if self.log_level is not None and self.log_level not in LEVELS:
            raise InvalidInput(f"log_level should be one of {', '.join(LEVELS)}, not {self.log_level!r}")
        _require_roots(self.roots)
        object.__setattr__(self, "capabilities", self._capabilities())

    def _capabilities(self) -> dict[str, Json]:
        told: dict[str, Json] = {}
        if self.roots is not None:
            told["roots"] = {}
        if self.sampling is not None:
            told["sampling"] = {"tools": {}}
        if self.elicitation is not None:
            told["elicitation"] = {"form": {}, "url": {}}
        return told

    def answer(self, method: str, params: Mapping[str, Json]) -> Flow[Json]:
        """The result of a server's request; raises McpError to refuse it."""
        match method:
            case "sampling/createMessage" if self.sampling is not None:
                return (yield from sampling_answer(self.sampling, self.approve, params))
            case "elicitation/create" if self.elicitation is not None:
                return (yield from self._elicit(self.elicitation, params))
            case "roots/list" if self.roots is not None:
                roots = (yield from call(self.roots)) if callable(self.roots) else self.roots
                _require_roots(roots)
                return {"roots": [{"uri": uri} for uri in roots]}
        raise McpError(f"this client does not do {method}", METHOD_NOT_FOUND)

    def hear(self, method: str, params: Mapping[str, Json]) -> Flow[None]:
        """A notification that belongs to no call."""
        if method == "notifications/message":
            if self.log is not None:
                level, logger = optional(params, "level", str), optional(params, "logger", str)
                yield from call(self.log, LogMessage(level or "info", params.get("data"), logger))
        elif self.changed is not None:
            yield from call(self.changed, method, params)

    def _elicit(self, elicitation: Elicitor, params: Mapping[str, Json]) -> Flow[Json]:
        asked = _elicitation(params)
        answered = yield from call(elicitation, asked)
        if answered is None:
            return {"action": "cancel"}
        if answered is Declined or isinstance(answered, Declined) or answered is False:
            return {"action": "decline"}
        if asked.schema is None:
            return {"action": "accept"}
        if answered is not True and not isinstance(answered, Mapping):
            raise TypeError(f"elicitation should give a mapping, True, Declined or None, not {answered!r}")
        return {"action": "accept", "content": _filled(asked.schema, {} if answered is True else answered)}


def _require_roots(roots: object) -> None:
    if roots is None or callable(roots):
        return
    if isinstance(roots, str) or not isinstance(roots, Sequence):
        raise InvalidInput('roots should be a list of URIs like "file:///home/me/project"')
    for uri in roots:
        if not isinstance(uri, str) or not uri.startswith("file://"):
            raise InvalidInput(f"each root should begin with file://, and {uri!r} does not")


def _elicitation(params: Mapping[str, Json]) -> Elicitation:
    message = needed(params, "message", str, "an elicitation")
    match params.get("mode", "form"):
        case "form":
            return Elicitation(message, needed(params, "requestedSchema", dict, "an elicitation"))
        case "url":
            url = needed(params, "url", str, "an elicitation")
            return Elicitation(message, url=url, id=optional(params, "elicitationId", str))
    raise McpError("an elicitation is by form or by url", INVALID_PARAMS)


def _filled(schema: Mapping[str, Json], answered: Mapping[str, Json]) -> dict[str, Json]:
    """The form as the person filled it in, and for the rest the defaults that the server has given.

    Raises InvalidInput that names the field that does not fit, McpError if the schema is none.
    """
    content = dict(answered)
    properties = optional(schema, "properties", dict) or {}
    for name, wanted in properties.items():
        if name not in content and isinstance(wanted, Mapping) and "default" in wanted:
            content[name] = wanted["default"]
    missing = [name for name in optional(schema, "required", list) or () if name not in content]
    if missing:
        raise InvalidInput(f"elicitation has left out what the server needs: {', '.join(map(str, missing))}")
    try:
        form = compiled(schema)
    except InvalidInput as error:
        raise McpError(f"requestedSchema: {error.message}", INVALID_PARAMS) from None
    try:
        form.check(content)
    except InvalidInput as error:
        raise InvalidInput(
            f"elicitation has filled in what the server does not take: {error.message}"
        ) from None
    return content


NOBODY: Final = Host()
"""A host that does nothing for its servers."""
