"""Methods: what each request of MCP does, in both eras, whoever carries it.

| method                     | eras      | does                                                              |
|----------------------------|-----------|-------------------------------------------------------------------|
| */list                     | both      | a page of what is offered; `nextCursor` while there is more       |
| tools/call, prompts/get,   | both      | runs a function, which may ask the client: see client.py          |
| resources/read             |           |                                                                   |
| completion/complete        | both      | what an argument may be                                           |
| initialize                 | handshake | `initialized`; the carrier makes a session of it                  |
| ping, logging/setLevel,    | handshake | on the session                                                    |
| resources/(un)subscribe    |           |                                                                   |
| server/discover            | modern    | what initialize tells, without a session                          |
| subscriptions/listen       | modern    | the carrier's: news go on until it is cut                         |

Invariants. `perform` returns a result, or raises McpError, or Cancelled; whatever a peer sent and whatever a
function did, nothing else. A failure of a tool is a result with `isError`, so that the model can read it, in
the words that an agent's model would get. A failure of a prompt or a resource is an error, and what went
wrong inside is told by its name alone, if it was not a ToolError.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from tako.effects import Flow, entropy, now, within
from tako.errors import Cancelled, InvalidInput, TakoError, TimedOut, ToolError
from tako.mcp.errors import RESOURCE_NOT_FOUND, McpError
from tako.mcp.server.client import LEVELS, Client, InputNeeded, question_digest
from tako.mcp.server.content import as_text, block_of, contents_of, messages_of
from tako.mcp.server.offers import Given, Offer, ServedTool
from tako.mcp.server.questions import Question, require
from tako.mcp.server.request_state import RequestState, digest, seal, unseal
from tako.mcp.server.server import McpServer
from tako.mcp.versions import HANDSHAKE, LATEST_HANDSHAKE, MODERN, Revision, newest
from tako.models import Principal
from tako.tools.context import ToolContext
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool, words_of
from tako.wire.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND

__all__ = ["SERVER_INFO", "Peer", "Voice", "initialized", "perform", "speaks", "text_param", "welcome"]

Json: TypeAlias = Any
Params: TypeAlias = Mapping[str, Json]

SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
MAX_ROUNDS: Final = 32
"""How often a function may ask before its request is given up."""
MAX_SUBSCRIPTIONS: Final = 1000
"""Resources that one session may have subscribed to."""


class Voice(Protocol):
    """How the client is reached while one request is worked on."""

    def say(self, method: str, params: dict[str, Json]) -> object:
        """Send a notification; from any thread, without waiting."""

    def ask(self, method: str, params: dict[str, Json]) -> Flow[Json]:
        """The client's answer, in the handshake era; raises McpError."""


@dataclass(slots=True)
class Peer:
    """Whom we speak with: for a session of the handshake era, or for one request of the modern era."""

    revision: Revision
    capabilities: Params = field(default_factory=dict)
    info: Params = field(default_factory=dict)
    level: str | None = "debug"
    """The lowest level of log messages that it wants; None for none."""
    subscribed: dict[str, None] = field(default_factory=dict)


def initialized(params: Params) -> Peer:
    """The peer that `initialize` introduces; a revision that we do not speak becomes our latest."""
    asked = text_param(params, "protocolVersion")
    return Peer(
        newest((asked,), HANDSHAKE) or LATEST_HANDSHAKE,
        _mapping(params, "capabilities"),
        _mapping(params, "clientInfo"),
    )


def welcome(server: McpServer, peer: Peer) -> dict[str, Json]:
    """What `initialize` is answered with."""
    told = {
        "protocolVersion": peer.revision.name,
        "capabilities": server.capabilities(),
        "serverInfo": server.info,
    }
    if server.instructions is not None:
        told["instructions"] = server.instructions
    return told


def perform(server: McpServer, peer: Peer, method: str, params: Params, voice: Voice) -> Flow[Json]:
    """The result of a request; raises McpError or Cancelled."""
    run = (MODERN_METHODS if peer.revision.is_modern else HANDSHAKE_METHODS).get(method)
    if run is None or not _is_offered(server, method):
        raise McpError(f"this server has no method {method!r}", METHOD_NOT_FOUND)
    try:
        result: dict[str, Json] = yield from run(server, peer, params, voice)
    except (McpError, Cancelled):
        raise
    except ToolError as error:
        raise McpError(error.message, INVALID_PARAMS) from error
    except InvalidInput as error:
        raise McpError(f"the server's own function failed: {error.message}", INTERNAL_ERROR) from error
    except TakoError as error:
        raise McpError(f"the server failed: {error.message}", INTERNAL_ERROR) from error
    except Exception as error:  # somebody else's function: the peer need not know how it failed
        raise McpError(f"the server failed: {type(error).__name__}", INTERNAL_ERROR) from error
    if peer.revision.is_modern:
        result.setdefault("resultType", "complete")
    return result


def speaks(server: McpServer, method: str, params: Params) -> bool:
    """Whether a request may have something said, or asked, before its result."""
    match method:
        case "tools/call":
            offers: tuple[Any, ...] = (server.tools.get(str(params.get("name"))),)
        case "prompts/get":
            offers = (server.prompts.get(str(params.get("name"))),)
        case "resources/read":
            resource = server.resources.get(str(params.get("uri")))
            offers = tuple(server.templates.values()) if resource is None else (resource,)
        case _:
            return False
    return any(offer is not None and offer.is_lively for offer in offers)


def _is_offered(server: McpServer, method: str) -> bool:
    family = method.partition("/")[0]
    if family == "completion":
        family = "completions"
    return family not in ("tools", "resources", "prompts", "completions") or family in server.capabilities()


# Lists.


def _listing(table: str, key: str) -> Callable[[McpServer, Peer, Params, Voice], Flow[Json]]:
    """The method that lists a table of the server's under a key of the result."""

    def run(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
        offers: dict[str, Offer] = getattr(server, table)
        names = list(offers)
        start = _start(params.get("cursor"), names)
        page = names[start : start + server.page_size]
        result: dict[str, Json] = {key: [offers[name].listed(peer.revision) for name in page]}
        if start + server.page_size < len(names):
            result["nextCursor"] = base64.urlsafe_b64encode(page[-1].encode()).decode("ascii")
        if peer.revision.is_modern:
            result.update(server.cache)
        return result
        yield  # a flow without effects

    return run


def _start(cursor: Json, names: list[str]) -> int:
    """Where the page begins: behind the offer that the cursor names, wherever that stands by now."""
    if cursor is None:
        return 0
    try:
        return names.index(base64.b64decode(cursor, b"-_", validate=True).decode()) + 1
    except (TypeError, ValueError, binascii.Error):
        raise McpError(
            "this cursor is none of ours, or its list has changed; list anew", INVALID_PARAMS
        ) from None


# What runs functions.


def _call_tool(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    name = text_param(params, "name")
    arguments = _mapping(params, "arguments")
    served = server.tools.get(name)
    if served is None:
        raise McpError(f"there is no tool {name!r}", INVALID_PARAMS)
    require(served.requires, peer.capabilities)

    def run(client: Client) -> Flow[Json]:
        output = yield from _tool_output(served, arguments, client)
        return _tool_result(served, output, peer.revision)

    return (yield from _converse(server, peer, "tools/call", params, voice, run, (name, arguments)))


def _tool_output(served: ServedTool, arguments: Params, client: Client) -> Flow[Any]:
    """What the tool gives, or an error in words for the model; raises what is no failure of the tool."""
    tool = served.tool
    try:
        if tool.approval and not _approved(served, arguments, client):
            return ToolOutput.error(f"the user did not approve this call of {tool.name}")
        flow = _invoke(tool, arguments, client)
        return (yield from flow if tool.timeout is None else within(tool.timeout, flow))
    except (Cancelled, InputNeeded, McpError):
        raise
    except TimedOut as error:
        return ToolOutput.error(f"timed out: {error.message}")
    except ToolError as error:
        return ToolOutput.error(error.message)
    except Exception as error:  # a tool is somebody else's code: whatever it raises is an answer
        return ToolOutput.error(words_of(error))


def _approved(served: ServedTool, arguments: Params, client: Client) -> bool:
    """What the client's user says to a call that has to be approved."""
    if not client.can("elicitation"):
        raise ToolError(f"{served.key} needs the user's approval, and this client cannot ask for it")
    return client.elicit(f"May {served.key} run with {as_text(arguments)[:2000]}?", key="approval").accepted


def _invoke(tool: Tool, arguments: Params, client: Client) -> Flow[Any]:
    run_id = (yield from entropy(8)).hex() if tool.is_flow else ""

    def context() -> ToolContext:
        return ToolContext("mcp", tool.name, 0, run_id, Principal(), show=client.went_on, caller=client)

    return (yield from tool.invoke(dict(arguments), context, client.went_on))


def _tool_result(served: ServedTool, output: Any, revision: Revision) -> dict[str, Json]:
    if type(output) is not ToolOutput:
        output = ToolOutput(output)
    structured = output.value if served.gives_structure(revision) and not output.is_error else None
    if output.content:
        blocks = [block_of(part) for part in output.content]
    else:
        blocks = [] if output.value is None else [block_of(as_text(output.value))]
    result: dict[str, Json] = {"content": blocks}
    if structured is not None:
        if not revision.is_modern and not isinstance(structured, Mapping):
            raise InvalidInput(f"tool {served.key!r} should give an object, as its output schema says")
        result["structuredContent"] = structured
    if output.is_error:
        result["isError"] = True
    return result


def _read(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    uri = text_param(params, "uri")
    found = _find(server, uri)
    if found is None:
        code = INVALID_PARAMS if peer.revision.is_modern else RESOURCE_NOT_FOUND
        raise McpError(f"there is no resource {uri!r}", code, {"uri": uri})
    tool, arguments, mime = found

    def run(client: Client) -> Flow[Json]:
        value = yield from _given(tool, arguments, client)
        result: dict[str, Json] = {"contents": contents_of(value, uri, mime)}
        if peer.revision.is_modern:
            result.update(server.cache)
        return result

    return (yield from _converse(server, peer, "resources/read", params, voice, run, (uri,)))


def _find(server: McpServer, uri: str) -> tuple[Tool, Params, str | None] | None:
    resource = server.resources.get(uri)
    if resource is not None:
        return resource.tool, {}, resource.mime
    for template in server.templates.values():
        arguments = template.template.match(uri)
        if arguments is not None:
            return template.tool, arguments, template.mime
    return None


def _get_prompt(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    name = text_param(params, "name")
    arguments = _mapping(params, "arguments")
    prompt = server.prompts.get(name)
    if prompt is None:
        raise McpError(f"there is no prompt {name!r}", INVALID_PARAMS)
    if not all(isinstance(value, str) for value in arguments.values()):
        raise McpError("the arguments of a prompt are texts", INVALID_PARAMS)

    def run(client: Client) -> Flow[Json]:
        value = yield from _given(prompt.tool, arguments, client)
        result: dict[str, Json] = {"messages": messages_of(value)}
        if prompt.description is not None:
            result["description"] = prompt.description
        return result

    return (yield from _converse(server, peer, "prompts/get", params, voice, run, (name, arguments)))


def _given(tool: Tool, arguments: Params, client: Client) -> Flow[Any]:
    """What the function of a prompt or a resource gave, as it is."""
    output = yield from _invoke(tool, arguments, client)
    given = output.content[0]
    assert isinstance(given, Given)
    return given.value


# Asking the client.


def _converse(
    server: McpServer,
    peer: Peer,
    method: str,
    params: Params,
    voice: Voice,
    run: Callable[[Client], Flow[Json]],
    about: tuple[Json, ...],
) -> Flow[Json]:
    """Run a function until it needs no more answers, or, in the modern era, say which it needs."""
    known, of = RequestState(), ""
    if peer.revision.is_modern and ("requestState" in params or "inputResponses" in params):
        of = digest(method, *about)
        known = yield from _known(server, params, of)
    token = _mapping(params, "_meta").get("progressToken")
    for _ in range(MAX_ROUNDS):
        client = Client(
            peer.revision, peer.capabilities, peer.info, say=voice.say, level=peer.level,
            progress_token=token if isinstance(token, str | int) else None, known=known,
        )  # fmt: skip
        try:
            result = yield from run(client)
        except InputNeeded:
            result = None
        if not client.needed:
            return result
        if peer.revision.is_modern:
            return (yield from _input_required(server, known, client.needed, of or digest(method, *about)))
        for key, question in client.needed.items():
            known.answers[key] = question_digest(question), (yield from _asked(voice, question))
    raise McpError(f"{about[0]!r} asked more than {MAX_ROUNDS} times, and was given up", INTERNAL_ERROR)


def _asked(voice: Voice, question: Question) -> Flow[Json]:
    """The client's answer, or the McpError with which it refused one: for the function to see."""
    try:
        return (yield from voice.ask(question.method, question.params))
    except McpError as error:
        return error


def _known(server: McpServer, params: Params, of: str) -> Flow[RequestState]:
    """What the client brings back: what we had given to it, and its answers of this round."""
    known = RequestState()
    sealed, answers = params.get("requestState"), params.get("inputResponses")
    if sealed is not None:
        if not isinstance(sealed, str):
            raise McpError("requestState should be a text", INVALID_PARAMS)
        known = unseal(sealed, of, (yield from server.state_key()), (yield from now()))
    if not isinstance(answers, Mapping | None):
        raise McpError("inputResponses should be an object", INVALID_PARAMS)
    for key, answer in (answers or {}).items():
        # Without a state there is no telling what was asked; the answers are the client's to give either way.
        known.answers[key] = known.asked.get(key, ""), answer
    known.asked = {}
    return known


def _input_required(
    server: McpServer, known: RequestState, needed: dict[str, Question], of: str
) -> Flow[dict[str, Json]]:
    known.asked = {key: question_digest(question) for key, question in needed.items()}
    for key in needed:
        known.answers.pop(key, None)  # it was no answer to this
    sealed = seal(known, of, (yield from server.state_key()), (yield from now()))
    requests = {key: _request(question) for key, question in needed.items()}
    return {"resultType": "input_required", "inputRequests": requests, "requestState": sealed}


def _request(question: Question) -> dict[str, Json]:
    params = question.params
    return {"method": question.method, "params": params} if params else {"method": question.method}


# The rest.


def _complete(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    reference, argument = _mapping(params, "ref"), _mapping(params, "argument")
    others = _mapping(_mapping(params, "context"), "arguments")
    kind = reference.get("type")
    if kind == "ref/prompt":
        of = text_param(reference, "name")
        is_known = of in server.prompts
    elif kind == "ref/resource":
        of = text_param(reference, "uri")
        is_known = of in server.templates or of in server.resources
    else:
        raise McpError('ref.type should be "ref/prompt" or "ref/resource"', INVALID_PARAMS)
    if not is_known:
        raise McpError(f"there is no {kind.removeprefix('ref/')} {of!r}", INVALID_PARAMS)
    name, typed = text_param(argument, "name"), text_param(argument, "value")
    return {"completion": (yield from server.completions.complete(of, name, typed, others))}


def _discover(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    result: dict[str, Json] = {
        "supportedVersions": [revision.name for revision in MODERN],
        "capabilities": server.capabilities(),
        "_meta": {SERVER_INFO: server.info},
        **server.cache,
    }
    if server.instructions is not None:
        result["instructions"] = server.instructions
    return result
    yield  # a flow without effects


def _ping(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    return {}
    yield  # a flow without effects


def _set_level(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    level = text_param(params, "level")
    if level not in LEVELS:
        raise McpError(f"level should be one of {', '.join(LEVELS)}", INVALID_PARAMS)
    peer.level = level
    return {}
    yield  # a flow without effects


def _subscribe(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    uri = text_param(params, "uri")
    if len(peer.subscribed) >= MAX_SUBSCRIPTIONS and uri not in peer.subscribed:
        raise McpError(f"a session can subscribe to {MAX_SUBSCRIPTIONS} resources", INVALID_PARAMS)
    peer.subscribed[uri] = None
    return {}
    yield  # a flow without effects


def _unsubscribe(server: McpServer, peer: Peer, params: Params, voice: Voice) -> Flow[Json]:
    peer.subscribed.pop(text_param(params, "uri"), None)
    return {}
    yield  # a flow without effects


def text_param(params: Params, name: str) -> str:
    """A text that a request must have; raises McpError."""
    value = params.get(name)
    if not isinstance(value, str):
        raise McpError(f"{name} should be a text", INVALID_PARAMS)
    return value


def _mapping(params: Params, name: str) -> Params:
    """An object that a request may have; raises McpError for anything else."""
    value = params.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise McpError(f"{name} should be an object", INVALID_PARAMS)
    return value


COMMON: Final = {
    "tools/list": _listing("tools", "tools"),
    "tools/call": _call_tool,
    "resources/list": _listing("resources", "resources"),
    "resources/templates/list": _listing("templates", "resourceTemplates"),
    "resources/read": _read,
    "prompts/list": _listing("prompts", "prompts"),
    "prompts/get": _get_prompt,
    "completion/complete": _complete,
}
HANDSHAKE_METHODS: Final = {
    **COMMON,
    "ping": _ping,
    "logging/setLevel": _set_level,
    "resources/subscribe": _subscribe,
    "resources/unsubscribe": _unsubscribe,
}
MODERN_METHODS: Final = {**COMMON, "server/discover": _discover}
