"""Session on the simulator: eras, requests, changes, loss; with a server that is a script."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Failed, Flow, Gather, OnError, Succeeded, gather, sleep
from tako.errors import InvalidInput, ProtocolError, TimedOut, TransportError
from tako.mcp import Elicitation, Host, McpError, Session
from tako.mcp.negotiation import PROBE_SECONDS
from tako.testing.faults import Faults
from tako.testing.vendor import Hangup, Pause
from tests.mcp.kit import (
    At,
    Refused,
    ScriptedServer,
    World,
    dies,
    forever,
    line,
    note,
    question,
    session_with,
    text,
    tool,
)

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
EVERY = (*HANDSHAKE, MODERN)


# Which revision is spoken.


@pytest.mark.parametrize("speaks", EVERY)
def test_the_revision_of_the_server_is_found_out(speaks: str) -> None:
    server = ScriptedServer(speaks=speaks)
    session, world = session_with(server)
    world.run(session.ready())
    assert session.agreement.revision.name == speaks
    assert session.agreement.server_info["name"] == "scripted"
    assert session.agreement.instructions == "be kind"
    modern = ["server/discover"]
    assert server.methods == (
        modern if speaks == MODERN else [*modern, "initialize", "notifications/initialized"]
    )


@pytest.mark.parametrize(("era", "first"), [("handshake", "initialize"), ("2025-06-18", "initialize")])
def test_a_forced_handshake_probes_nothing(era: str, first: str) -> None:
    server = ScriptedServer(speaks="2025-06-18")
    session, world = session_with(server, era=era)
    world.run(session.ready())
    assert server.methods[0] == first
    offered = server.asked("initialize")[0]["protocolVersion"]
    assert offered == ("2025-06-18" if era == "2025-06-18" else "2025-11-25")


def test_a_forced_modern_era_does_not_shake_hands() -> None:
    server = ScriptedServer(speaks="2025-11-25")
    session, world = session_with(server, era="modern")
    with pytest.raises(McpError):
        world.run(session.ready())
    assert server.methods == ["server/discover"]


def test_a_server_that_never_answers_the_probe_is_asked_to_shake_hands() -> None:
    server = ScriptedServer({"server/discover": lambda params: forever()})
    session, world = session_with(server)
    world.run(session.ready())
    assert session.agreement.revision.name == "2025-11-25"
    assert world.simulator.now == PROBE_SECONDS
    assert server.methods[1] == "notifications/cancelled"


def test_a_server_that_dies_of_the_probe_is_started_again() -> None:
    servers = ScriptedServer({"server/discover": lambda params: dies()}), ScriptedServer()
    world = World(*servers)
    session = Session(At())
    world.run(session.ready())
    assert session.agreement.revision.name == "2025-11-25"
    assert len(world.opened) == 2


def test_a_revision_in_common_is_asked_for_again() -> None:
    asked: list[Any] = []

    def discover(params: Any) -> Any:
        asked.append(params)
        if len(asked) == 1:
            raise Refused(-32022, "unsupported", {"supported": [MODERN], "requested": "x"})
        return ScriptedServer(speaks=MODERN)._discover(params)

    server = ScriptedServer({"server/discover": discover}, speaks=MODERN)
    session, world = session_with(server)
    world.run(session.ready())
    assert session.agreement.revision.name == MODERN
    assert len(asked) == 2


def test_a_modern_server_without_a_common_revision_is_an_error() -> None:
    def discover(params: Any) -> Any:
        raise Refused(-32022, "unsupported", {"supported": ["2031-01-01"]})

    server = ScriptedServer({"server/discover": discover})
    session, world = session_with(server)
    with pytest.raises(McpError, match="unsupported"):
        world.run(session.ready())
    assert server.methods == ["server/discover"]


def test_an_unknown_revision_is_refused_and_the_link_closed() -> None:
    server = ScriptedServer(speaks="1999-01-01")
    session, world = session_with(server, era="handshake")
    with pytest.raises(ProtocolError, match="1999-01-01"):
        world.run(session.ready())
    assert server.is_ended


@pytest.mark.parametrize("speaks", EVERY)
def test_who_we_are_is_said_where_the_revision_wants_it(speaks: str) -> None:
    host = Host(roots=["file:///tmp"], elicitation=lambda asked: True, sampling=lambda request: "x")
    server = ScriptedServer({"tools/call": lambda params: text("done")}, speaks=speaks)
    session, world = session_with(server, host=host)
    world.run(session.call("t", {"a": 1}))
    called = server.asked("tools/call")[0]
    if speaks == MODERN:
        meta = called["_meta"]
        assert meta["io.modelcontextprotocol/protocolVersion"] == MODERN
        assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "tako"
        assert set(meta["io.modelcontextprotocol/clientCapabilities"]) == {"roots", "elicitation", "sampling"}
    else:
        assert "_meta" not in called
        assert set(server.asked("initialize")[0]["capabilities"]) == {"roots", "elicitation", "sampling"}


# Requests.


def test_pages_are_followed_to_the_end() -> None:
    def tools(params: Any) -> Any:
        page = int(params.get("cursor", "0"))
        more = {} if page == 2 else {"nextCursor": str(page + 1)}
        return {"tools": [tool(f"t{page}")], **more}

    session, world = session_with(ScriptedServer({"tools/list": tools}))
    assert [one.name for one in world.run(session.tools())] == ["t0", "t1", "t2"]


def test_pages_without_end_are_an_error() -> None:
    server = ScriptedServer({"tools/list": lambda params: {"tools": [], "nextCursor": "again"}})
    session, world = session_with(server)
    with pytest.raises(ProtocolError, match="without end"):
        world.run(session.tools())


def test_many_askers_negotiate_once() -> None:
    server = ScriptedServer({"tools/call": lambda params: text(params["arguments"]["n"])})
    session, world = session_with(server, faults=Faults(delay=0.5))

    def all_at_once() -> Flow[list[str]]:
        outcomes = yield from gather(*[session.call("t", {"n": str(n)}) for n in range(20)])
        return [outcome.value.text for outcome in outcomes if isinstance(outcome, Succeeded)]

    assert world.run(all_at_once()) == [str(n) for n in range(20)]
    assert server.methods.count("initialize") == 1


def test_progress_is_heard_by_its_call_alone() -> None:
    def call(params: Any) -> Any:
        token = params["_meta"]["progressToken"]
        yield note("notifications/progress", progressToken=token, progress=1, total=2, message="half")
        yield note("notifications/progress", progressToken="not mine", progress=99)
        yield note("notifications/progress", progressToken=token, progress=2.5)
        yield line({"id": token, "result": text("done")})

    heard: list[Any] = []

    def listen(*told: Any) -> Flow[None]:
        heard.append(told)
        yield from sleep(0)

    session, world = session_with(ScriptedServer({"tools/call": call}))
    assert world.run(session.call("t", on_progress=listen)).text == "done"
    assert heard == [(1, 2, "half"), (2.5, None, None)]


def test_progress_keeps_a_call_alive_and_silence_ends_it() -> None:
    def call(params: Any) -> Any:
        token = params["_meta"]["progressToken"]
        for step in range(5):
            yield Pause(40)
            yield note("notifications/progress", progressToken=token, progress=step)
        yield Pause(61)

    def listen(*told: Any) -> Flow[None]:
        yield from sleep(0)

    server = ScriptedServer({"tools/call": call})
    session, world = session_with(server, timeout=60)
    with pytest.raises(TimedOut):
        world.run(session.call("t", on_progress=listen))
    assert world.simulator.now == pytest.approx(260)
    assert server.asked("notifications/cancelled")


def test_a_time_limit_of_a_call_is_its_own() -> None:
    session, world = session_with(ScriptedServer({"tools/call": lambda params: forever()}))
    world.run(session.ready())
    with pytest.raises(TimedOut):
        world.run(session.call("t", timeout=3))
    assert world.simulator.now == 3


def test_what_the_server_refuses_is_raised_with_its_number_and_data() -> None:
    def call(params: Any) -> Any:
        raise Refused(-32602, "no such tool", {"name": "t"})

    session, world = session_with(ScriptedServer({"tools/call": call}))
    with pytest.raises(McpError, match="no such tool") as caught:
        world.run(session.call("t"))
    assert caught.value.number == -32602
    assert caught.value.data == {"name": "t"}


# What the server wants of us.


def test_a_request_whose_id_is_that_of_our_question_is_no_answer() -> None:
    """Defect 99 of the original: a request with the id of a pending call completed that call."""

    def call(params: Any) -> Any:
        yield question(3, "roots/list")
        yield line({"id": 3, "result": text("the answer")})

    server = ScriptedServer({"tools/call": call})
    session, world = session_with(server, host=Host(roots=["file:///tmp"]))
    world.run(session.ready())
    assert world.run(session.call("t")).text == "the answer"
    assert server.answers == [{"jsonrpc": "2.0", "id": 3, "result": {"roots": [{"uri": "file:///tmp"}]}}]


def test_a_ping_is_answered_at_once_and_an_unknown_request_refused() -> None:
    def call(params: Any) -> Any:
        yield question("p", "ping")
        yield question("u", "sampling/createMessage", messages=[])
        yield Pause(1)
        yield line({"id": 3, "result": text("done")})

    server = ScriptedServer({"tools/call": call})
    session, world = session_with(server)
    world.run(session.ready())
    world.run(session.call("t"))
    assert server.answers[0] == {"jsonrpc": "2.0", "id": "p", "result": {}}
    assert server.answers[1]["error"]["code"] == -32601


def test_the_person_may_take_longer_than_the_server_may_be_silent() -> None:
    def elicit(asked: Elicitation) -> Any:
        assert asked.message == "who?"
        return {"name": "Ada"}

    server = ScriptedServer()

    def call(params: Any) -> Any:
        yield question("e", "elicitation/create", message="who?", requestedSchema=FORM)

    def received(data: bytes) -> Any:
        found = list(ScriptedServer.received(server, data))
        if server.answers and not getattr(server, "said", False):
            server.said = True  # type: ignore[attr-defined]
            found.append(line({"id": 3, "result": text("thanks")}))
        return iter(found)

    server.handlers["tools/call"] = call
    server.received = received  # type: ignore[method-assign]
    session, world = session_with(
        server, host=Host(elicitation=elicit), timeout=5, faults=Faults(call_seconds=300)
    )
    world.run(session.ready())
    assert world.run(session.call("t")).text == "thanks"
    assert server.answers[0]["result"] == {"action": "accept", "content": {"name": "Ada", "age": 7}}


FORM = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "default": 7}},
    "required": ["name"],
}


def test_a_server_that_falls_silent_after_our_answer_is_given_up() -> None:
    def call(params: Any) -> Any:
        yield question("r", "roots/list")

    session, world = session_with(
        ScriptedServer({"tools/call": call}), host=Host(roots=["file:///tmp"]), timeout=5
    )
    world.run(session.ready())
    with pytest.raises(TimedOut, match="silent"):
        world.run(session.call("t"))
    assert world.simulator.now == pytest.approx(5)


def test_a_request_that_the_server_takes_back_is_not_answered() -> None:
    def call(params: Any) -> Any:
        yield question("s", "sampling/createMessage", messages=[], maxTokens=1)
        yield Pause(1)
        yield note("notifications/cancelled", requestId="s")
        yield Pause(1)
        yield line({"id": 3, "result": text("never mind")})

    server = ScriptedServer({"tools/call": call})
    host = Host(sampling=lambda request: "too late")
    session, world = session_with(server, host=host, faults=Faults(call_seconds=60))
    world.run(session.ready())
    assert world.run(session.call("t")).text == "never mind"
    assert server.answers == []


@pytest.mark.parametrize("rounds", [1, 3, 11])
def test_input_that_a_modern_server_requires_is_given_and_the_request_made_again(rounds: int) -> None:
    def call(params: Any) -> Any:
        done = int(params.get("requestState", "0"))
        if done:
            assert params["inputResponses"] == {
                "q": {"action": "accept", "content": {"name": "Ada", "age": 7}}
            }
        if done == rounds:
            return {"resultType": "complete", **text("thanks")}
        asked = {"method": "elicitation/create", "params": {"message": "who?", "requestedSchema": FORM}}
        return {"resultType": "input_required", "inputRequests": {"q": asked}, "requestState": str(done + 1)}

    server = ScriptedServer({"tools/call": call}, speaks=MODERN)
    session, world = session_with(server, host=Host(elicitation=lambda asked: {"name": "Ada"}))
    if rounds > 10:
        with pytest.raises(ProtocolError, match="10 times"):
            world.run(session.call("t"))
        return
    assert world.run(session.call("t", {"a": 1})).text == "thanks"
    called = [message for message in server.heard if message["method"] == "tools/call"]
    assert len({message["id"] for message in called}) == rounds + 1
    assert all(message["params"]["arguments"] == {"a": 1} for message in called)
    assert "requestState" not in called[0]["params"]


def test_log_messages_and_changes_reach_the_host() -> None:
    def call(params: Any) -> Any:
        yield note("notifications/message", level="warning", data={"x": 1}, logger="l")
        yield note("notifications/resources/updated", uri="a:b")
        yield line({"id": 3, "result": text("done")})

    heard: list[Any] = []
    host = Host(log=heard.append, changed=lambda method, params: heard.append((method, params["uri"])))
    session, world = session_with(ScriptedServer({"tools/call": call}), host=host)
    world.run(session.ready())
    world.run(session.call("t"))
    assert (heard[0].level, heard[0].data, heard[0].logger) == ("warning", {"x": 1}, "l")
    assert heard[1] == ("notifications/resources/updated", "a:b")


@pytest.mark.parametrize("speaks", ["2025-11-25", MODERN])
def test_listening_emits_what_is_said_on_nobodys_account(speaks: str) -> None:
    def listen(params: Any) -> Any:
        assert params["notifications"]["resourceSubscriptions"] == ["a:b"]
        meta = {"io.modelcontextprotocol/subscriptionId": 2}
        yield note("notifications/subscriptions/acknowledged", _meta=meta)
        yield note("notifications/resources/updated", uri="a:b", _meta=meta)
        yield line({"id": 2, "result": {"resultType": "complete"}})

    def subscribe(params: Any) -> Any:
        yield line({"id": 3, "result": {}})
        yield Pause(5)
        yield note("notifications/resources/updated", uri="a:b")
        yield Hangup()

    server = ScriptedServer({"subscriptions/listen": listen, "resources/subscribe": subscribe}, speaks=speaks)
    session, world = session_with(server)
    world.run(session.subscribe("a:b"))
    stream = world.simulator.stream(session.listen())
    notice = next(stream)
    assert (notice.method, notice.params["uri"]) == ("notifications/resources/updated", "a:b")
    if speaks == MODERN:
        assert list(stream) == []
    else:
        with pytest.raises(TransportError):
            next(stream)


# When the connection is lost.


def test_a_call_that_died_is_reported_and_not_repeated() -> None:
    first = ScriptedServer({"tools/call": lambda params: dies()})
    second = ScriptedServer({"tools/call": lambda params: text("alive")})
    world, session = World(first, second), Session(At(era="handshake"))
    with pytest.raises(TransportError, match="closed the connection"):
        world.run(session.call("t"))
    assert second.heard == []
    assert world.run(session.call("t")).text == "alive"
    assert world.opened == ["scripted", "scripted"]


@pytest.mark.parametrize("hints", [{"readOnlyHint": True}, {"idempotentHint": True}])
def test_a_call_that_may_be_repeated_is_once(hints: dict[str, bool]) -> None:
    listed = {"tools/list": lambda params: {"tools": [tool("t", annotations=hints)]}}
    first = ScriptedServer({**listed, "tools/call": lambda params: dies()})
    second = ScriptedServer({**listed, "tools/call": lambda params: text("alive")})
    world, session = World(first, second), Session(At(era="handshake"))
    world.run(session.tools())
    assert world.run(session.call("t")).text == "alive"
    worse = World(first, ScriptedServer({**listed, "tools/call": lambda params: dies()}))
    session = Session(At(era="handshake"))
    worse.run(session.tools())
    with pytest.raises(TransportError):
        worse.run(session.call("t"))
    assert len(worse.opened) == 2


def test_everybody_who_waits_hears_of_the_death() -> None:
    calls: list[Any] = []

    def call(params: Any) -> Any:
        calls.append(params)
        return dies() if len(calls) == 10 else forever()

    world, session = World(ScriptedServer({"tools/call": call})), Session(At(era="handshake"))

    def all_at_once() -> Flow[list[Any]]:
        yield from session.ready()
        flows = tuple([session.call("t") for _ in range(10)])
        return (yield Gather(flows, None, OnError.COLLECT))

    outcomes = world.run(all_at_once())
    assert all(isinstance(outcome, Failed) for outcome in outcomes)
    assert len({id(outcome.error) for outcome in outcomes}) == 10, "each has an error of its own"
    assert all(type(outcome.error) is TransportError for outcome in outcomes)


def test_subscriptions_and_the_log_level_are_told_to_a_new_connection() -> None:
    handlers = {
        "resources/subscribe": lambda params: {},
        "logging/setLevel": lambda params: {},
        "tools/call": lambda params: dies(),
    }
    first, second = (ScriptedServer(handlers, capabilities={"logging": {}}) for _ in range(2))
    world, session = World(first, second), Session(At(era="handshake", host=Host(log_level="error")))
    world.run(session.subscribe("a:b"))
    with pytest.raises(TransportError):
        world.run(session.call("t"))
    world.run(session.ready())
    assert second.asked("resources/subscribe") == [{"uri": "a:b"}]
    assert second.asked("logging/setLevel") == [{"level": "error"}]


def test_after_the_farewell_nothing_is_asked() -> None:
    server = ScriptedServer()
    session, world = session_with(server)
    world.run(session.ready())
    world.run(session.farewell())
    assert server.is_ended
    with pytest.raises(InvalidInput, match="closed"):
        world.run(session.ping())


# Tools, and what is known of them.


def test_tools_are_checked_before_they_are_used() -> None:
    def check(tools: Any) -> None:
        raise InvalidInput(f"{tools[0].name} is not to be trusted")

    session, world = session_with(
        ScriptedServer({"tools/list": lambda params: {"tools": [tool("rm")]}}), check=check
    )
    with pytest.raises(InvalidInput, match="rm is not to be trusted"):
        world.run(session.tools())


def test_tools_hold_as_long_as_a_modern_server_says() -> None:
    def tools(params: Any) -> Any:
        return {"resultType": "complete", "tools": [tool("t")], "ttlMs": 10_000, "cacheScope": "private"}

    server = ScriptedServer({"tools/list": tools}, speaks=MODERN)
    session, world = session_with(server)
    for moment, count in ((0, 1), (9, 1), (11, 2)):
        world.simulator.now = moment
        world.run(session.tools())
        assert server.methods.count("tools/list") == count


def test_a_notice_makes_known_tools_unknown() -> None:
    def tools(params: Any) -> Any:
        return {"resultType": "complete", "tools": [tool("t")], "ttlMs": 10_000, "cacheScope": "private"}

    def call(params: Any) -> Any:
        yield note("notifications/tools/list_changed")
        yield line({"id": 3, "result": text("done")})

    server = ScriptedServer({"tools/list": tools, "tools/call": call}, speaks=MODERN)
    session, world = session_with(server)
    world.run(session.tools())
    world.run(session.call("t"))
    world.run(session.tools())
    assert server.methods.count("tools/list") == 2
