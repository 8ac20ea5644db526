"""Negotiation: finding out which revision a server speaks, and what it can do.

| asked           | and the server                             | then                                   |
|-----------------|--------------------------------------------|----------------------------------------|
| server/discover | names a revision of ours                   | that one is spoken                     |
|                 | says "unsupported version" and names one   | asked once more, with that one         |
|                 | of ours                                    |                                        |
|                 | answers anything else, refuses, is silent  | initialize; if only the modern era is  |
|                 | for PROBE_SECONDS, or dies of it           | wanted, that is the error              |
| initialize      | names a revision of ours of the handshake  | notifications/initialized; it is spoken|
|                 | era                                        |                                        |
|                 | names another                              | ProtocolError: none in common          |

Which of the two is asked is what `era=` says. What was found out the first time is asked first the next
time, when the connection was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tako.effects import Flow
from tako.errors import ProtocolError, TakoError, TimedOut, TransportError
from tako.mcp.catalogue import needed, optional
from tako.mcp.channel import Channel, Ear, Outgoing
from tako.mcp.config import ServerConfig
from tako.mcp.errors import UNSUPPORTED_VERSION, McpError
from tako.mcp.versions import HANDSHAKE, LATEST_HANDSHAKE, MODERN, Revision, era_of, newest

__all__ = ["Agreement", "meta_of", "negotiate"]

Json: TypeAlias = Any

PROBE_SECONDS: Final = 10.0
"""How long a server may take to answer the probe; one that knows no such thing may not answer at all."""
META: Final = "io.modelcontextprotocol/"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What is spoken with a server, and what it says of itself."""

    revision: Revision
    capabilities: Mapping[str, Json] = field(default_factory=dict)
    server_info: Mapping[str, Json] = field(default_factory=dict)
    instructions: str | None = None


def us() -> dict[str, Json]:
    """Who we say that we are."""
    from tako import __version__

    return {"name": "tako", "version": __version__}


def meta_of(config: ServerConfig, revision: Revision) -> dict[str, Json]:
    """What each request says of itself in the modern era."""
    meta: dict[str, Json] = {
        META + "protocolVersion": revision.name,
        META + "clientInfo": us(),
        META + "clientCapabilities": config.host.capabilities,
    }
    if config.host.log_level is not None:
        meta[META + "logLevel"] = config.host.log_level
    return meta


def negotiate(
    channel: Channel, config: ServerConfig, ear: Ear, known: Revision | None = None
) -> Flow[Agreement]:
    """Agree with the server; raises McpError, ProtocolError, TransportError or TimedOut."""
    modern, handshake, only = era_of(config.era)
    if modern and not (handshake and known is not None and not known.is_modern):
        try:
            agreed = yield from _discover(
                channel, config, ear, only or MODERN[-1], PROBE_SECONDS if handshake else None
            )
        except (McpError, ProtocolError, TimedOut) as error:
            if not handshake or _is_ours_to_report(error):
                raise
        except TransportError as error:
            if not handshake or (error.status is None and channel.is_open) or error.status in (401, 403):
                raise
        else:
            if agreed is not None:
                return agreed
            if not handshake:
                raise ProtocolError(f"{channel.peer} speaks no revision of the modern era that we know")
        if not channel.is_open:
            yield from channel.open()
    return (yield from _initialize(channel, config, ear, only or LATEST_HANDSHAKE))


def _is_ours_to_report(error: TakoError) -> bool:
    """Whether a refusal says that there is no revision in common, so that asking on would be in vain."""
    if not isinstance(error, McpError) or error.number != UNSUPPORTED_VERSION:
        return False
    named = _supported(error)
    return bool(named) and newest(named, HANDSHAKE) is None


def _supported(error: McpError) -> list[Json]:
    return (optional(error.data, "supported", list) if isinstance(error.data, Mapping) else None) or []


def _discover(
    channel: Channel, config: ServerConfig, ear: Ear, revision: Revision, patience: float | None
) -> Flow[Agreement | None]:
    """What the server is, if it is of the modern era."""
    timeout = config.timeout if patience is None else min(patience, config.timeout or patience)
    for again in (True, False):
        channel.settle(revision)
        params = {"_meta": meta_of(config, revision)}
        try:
            result = yield from channel.ask(Outgoing("server/discover", params, timeout=timeout), ear)
            break
        except McpError as error:
            if error.number != UNSUPPORTED_VERSION or not again:
                raise
            common = newest(_supported(error), MODERN)
            if common is None:
                raise
            revision = common
    if not isinstance(result, Mapping):
        return None
    named = optional(result, "supportedVersions", list) or ()
    if revision.name not in named:
        common = newest(named, MODERN)
        if common is None:
            return None
        revision = common
        channel.settle(revision)
    meta = optional(result, "_meta", dict) or {}
    return Agreement(
        revision,
        optional(result, "capabilities", dict) or {},
        optional(meta, META + "serverInfo", dict) or optional(result, "serverInfo", dict) or {},
        optional(result, "instructions", str),
    )


def _initialize(channel: Channel, config: ServerConfig, ear: Ear, offered: Revision) -> Flow[Agreement]:
    channel.settle(None)
    params = {
        "protocolVersion": offered.name,
        "capabilities": config.host.capabilities,
        "clientInfo": us(),
    }
    result = yield from channel.ask(Outgoing("initialize", params, timeout=config.timeout), ear)
    named = needed(result, "protocolVersion", str, "the answer to initialize")
    revision = newest((named,), HANDSHAKE)
    if revision is None:
        yield from channel.close()
        raise ProtocolError(
            f"{channel.peer} wants to speak revision {named!r} of MCP, which we do not know; it was offered "
            f"{offered}"
        )
    channel.settle(revision)
    yield from channel.tell("notifications/initialized", {})
    return Agreement(
        revision,
        optional(result, "capabilities", dict) or {},
        optional(result, "serverInfo", dict) or {},
        optional(result, "instructions", str),
    )
