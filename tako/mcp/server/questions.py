"""Questions: what a server can ask its client for while it works on a request, and the answers.

| question | method                 | the client must have told   | answer                        |
|----------|------------------------|-----------------------------|-------------------------------|
| Elicit   | elicitation/create     | elicitation (form or url)   | Elicited: a person's          |
| Sample   | sampling/createMessage | sampling                    | Sampled: a model's            |
| Roots    | roots/list             | roots                       | the folders, as a tuple       |

Invariants. `read` gives an answer or raises McpError; whatever the client sent, nothing else is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput
from tako.mcp.errors import MISSING_CAPABILITY, McpError
from tako.mcp.server.content import messages_of
from tako.models import Message
from tako.wire.jsonrpc import INVALID_PARAMS

__all__ = ["Elicit", "Elicited", "Question", "Root", "Roots", "Sample", "Sampled", "require"]

Json: TypeAlias = Any
ACTIONS: Final = ("accept", "decline", "cancel")


@dataclass(frozen=True, slots=True)
class Elicited:
    """What a person did: action is "accept", "decline" or "cancel"; content is empty unless they accepted."""

    action: str
    content: Mapping[str, Json] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.action == "accept"


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the client's model said. `raw` is the whole result: images and calls of tools are in it."""

    text: str
    model: str
    stop_reason: str | None
    raw: Mapping[str, Json] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that the client lets the server use."""

    uri: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Elicit:
    """Ask the person. With a `schema` (JSON Schema of an object whose properties are plain values) it is a
    form; with a `url` they are sent there, for what must not pass through the client. Neither is a form
    that is only accepted or declined."""

    message: str
    schema: Mapping[str, Json] | None = None
    url: str | None = None
    elicitation_id: str | None = None
    """Needed for a url by 2025-11-25, which names the visit so."""

    method = "elicitation/create"

    def __post_init__(self) -> None:
        if self.schema is not None and self.url is not None:
            raise InvalidInput("Elicit: pass schema=... for a form or url=... for a visit, not both")

    @property
    def params(self) -> dict[str, Json]:
        if self.url is None:
            form = self.schema or {"type": "object", "properties": {}}
            return {"message": self.message, "requestedSchema": dict(form)}
        told: dict[str, Json] = {"mode": "url", "message": self.message, "url": self.url}
        if self.elicitation_id is not None:
            told["elicitationId"] = self.elicitation_id
        return told

    @property
    def needs(self) -> dict[str, Json]:
        return {"elicitation": {} if self.url is None else {"url": {}}}

    def read(self, answer: Json) -> Elicited:
        content = answer.get("content") if isinstance(answer, Mapping) else None
        if (
            not isinstance(answer, Mapping)
            or answer.get("action") not in ACTIONS
            or not isinstance(content, Mapping | None)
        ):
            raise _spoiled("elicitation/create", f"an action ({', '.join(ACTIONS)}) and its content")
        return Elicited(answer["action"], dict(content or {}) if answer["action"] == "accept" else {})


@dataclass(frozen=True, slots=True)
class Sample:
    """Ask the client's model. `messages` is a text, or Messages of the user and the assistant; `options` is
    what else MCP knows: temperature, stopSequences, modelPreferences, tools, ..."""

    messages: str | Message | Sequence[Message]
    max_tokens: int = 1024
    system: str | None = None
    options: Mapping[str, Json] = field(default_factory=dict)

    method = "sampling/createMessage"

    @property
    def params(self) -> dict[str, Json]:
        told: dict[str, Json] = {
            **self.options,
            "messages": messages_of(self.messages),
            "maxTokens": self.max_tokens,
        }
        if self.system is not None:
            told["systemPrompt"] = self.system
        return told

    @property
    def needs(self) -> dict[str, Json]:
        return {"sampling": {"tools": {}} if "tools" in self.options else {}}

    def read(self, answer: Json) -> Sampled:
        if not isinstance(answer, Mapping) or answer.get("role") not in ("user", "assistant"):
            raise _spoiled(self.method, "a role")
        model, content = answer.get("model"), answer.get("content")
        blocks: list[Any] = content if isinstance(content, list) else [content]
        if not isinstance(model, str) or not all(isinstance(block, Mapping) for block in blocks):
            raise _spoiled(self.method, "a model and its content")
        texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
        reason = answer.get("stopReason")
        return Sampled("".join(texts), model, reason if isinstance(reason, str) else None, answer)


@dataclass(frozen=True, slots=True)
class Roots:
    """Ask for the folders that the server may use."""

    method = "roots/list"

    @property
    def params(self) -> dict[str, Json]:
        return {}

    @property
    def needs(self) -> dict[str, Json]:
        return {"roots": {}}

    def read(self, answer: Json) -> tuple[Root, ...]:
        roots = answer.get("roots") if isinstance(answer, Mapping) else None
        if not isinstance(roots, list) or not all(
            isinstance(one, Mapping) and isinstance(one.get("uri"), str) for one in roots
        ):
            raise _spoiled(self.method, "roots with their URIs")
        return tuple(
            [Root(one["uri"], name if isinstance(name := one.get("name"), str) else None) for one in roots]
        )


Question: TypeAlias = Elicit | Sample | Roots


def _spoiled(method: str, what: str) -> McpError:
    return McpError(f"the client's answer to {method} should have {what}", INVALID_PARAMS)


def require(needs: Mapping[str, Json], told: Mapping[str, Json]) -> None:
    """Raise McpError, in the words of the protocol, unless the client has told these capabilities."""
    missing = {name: detail for name, detail in needs.items() if not _has(told, name, detail)}
    if missing:
        raise McpError(
            f"this needs a client with the capability {', '.join(sorted(missing))}",
            MISSING_CAPABILITY,
            {"requiredCapabilities": missing},
        )


def _has(told: Mapping[str, Json], name: str, detail: Mapping[str, Json]) -> bool:
    one = told.get(name)
    if not isinstance(one, Mapping):
        return False
    if name == "elicitation" and not detail:  # an empty object means forms, as in 2025-06-18
        return "form" in one or not one
    return all(inner in one for inner in detail)
