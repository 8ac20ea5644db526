"""LinkChannel and Session where connections come and go: what stays with which, and what is left behind."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Flow, Succeeded, gather, sleep, within
from tako.errors import Cancelled, InvalidInput, TakoError, TimedOut, TransportError
from tako.links import UNSENT
from tako.mcp import Host, McpError, Session
from tako.mcp.channel import LinkChannel, Outgoing
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
)

MODERN = "2026-07-28"


class Silent:
    """An ear for what nobody says."""

    def answer(self, method: str, params: Any) -> Flow[Any]:
        yield from sleep(5)
        return {"answered": method}

    def hear(self, method: str, params: Any) -> Flow[None]:
        yield from sleep(5)


def opened(channel: LinkChannel) -> Flow[None]:
    yield from channel.open()
    channel.settle(None)


def test_a_request_stays_with_its_connection_when_the_channel_gets_another() -> None:
    """Its progress is heard, and the server answered, while the channel is opened anew: the new connection
    hears nothing of it, and it is not said to be unsent."""

    def call(params: Any) -> Any:
        yield note("notifications/progress", progressToken=1, progress=1)
        yield question("r", "roots/list")

    first, second = ScriptedServer({"a": call}), ScriptedServer({"b": call})
    world = World(first, second)
    channel: Any = At().channel()

    def ask(method: str) -> Flow[Any]:
        return (yield from channel.ask(Outgoing(method, {}, hears=True), Silent()))

    def replace() -> Flow[None]:
        yield from sleep(1)
        yield from channel.open()
        try:
            yield from within(1, ask("b"))
        except TimedOut:
            pass

    def caught() -> Flow[TakoError | None]:
        try:
            yield from ask("a")
        except TransportError as error:
            return error
        return None

    def story() -> Flow[Any]:
        yield from opened(channel)
        outcomes = yield from gather(caught(), replace())
        return outcomes[0]

    outcome = world.run(story())
    assert isinstance(outcome, Succeeded)
    assert isinstance(outcome.value, TransportError)
    assert outcome.value.partial is None
    assert second.methods == ["b", "notifications/cancelled"]
    assert second.answers == []


def test_before_it_is_open_and_after_it_is_closed_nothing_is_sent() -> None:
    channel, world = At().channel(), World(ScriptedServer())
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            world.run(channel.ask(Outgoing("a", {}), Silent()))
        assert caught.value.partial is UNSENT
        with pytest.raises(TransportError):
            world.run(channel.tell("n", {}))
        world.run(channel.open())
        assert channel.is_open
        world.run(channel.close())
        assert not channel.is_open


def test_a_connection_that_was_closed_before_the_question_reached_it_has_not_seen_it() -> None:
    channel, world = At().channel(), World(ScriptedServer())
    world.run(channel.open())
    asking = channel.ask(Outgoing("a", {}), Silent())
    world.run(channel.close())
    with pytest.raises(TransportError) as caught:
        world.run(asking)
    assert caught.value.partial is UNSENT


def test_an_answer_that_came_before_the_loss_counts() -> None:
    """The server says progress, its answer, and goodbye at once; the answer is not lost with the link."""

    def call(params: Any) -> Any:
        token = params["_meta"]["progressToken"]
        for step in (1, 2):
            yield note("notifications/progress", progressToken=token, progress=step)
        yield line({"id": token, "result": text("done")})
        yield Hangup()

    heard: list[float] = []

    def listen(done: float, *more: Any) -> Flow[None]:
        heard.append(done)
        yield from sleep(1)

    world, session = World(ScriptedServer({"tools/call": call})), Session(At(era="handshake"))
    assert world.run(session.call("t", on_progress=listen)).text == "done"
    assert heard == [1, 2]


def test_a_refusal_that_came_before_the_loss_counts_too() -> None:
    def call(params: Any) -> Any:
        token = params["_meta"]["progressToken"]
        yield note("notifications/progress", progressToken=token, progress=1)
        yield line({"id": token, "error": {"code": -5, "message": "no"}})
        yield Hangup()

    def listen(*told: Any) -> Flow[None]:
        yield from sleep(1)

    world, session = World(ScriptedServer({"tools/call": call})), Session(At(era="handshake"))
    with pytest.raises(McpError, match="no"):
        world.run(session.call("t", on_progress=listen))


def test_without_an_answer_the_loss_is_told_and_not_as_unsent() -> None:
    def call(params: Any) -> Any:
        yield note("notifications/progress", progressToken=params["_meta"]["progressToken"], progress=1)
        yield Hangup()

    def listen(*told: Any) -> Flow[None]:
        yield from sleep(1)

    server = ScriptedServer({"tools/call": call})
    world, session = World(server), Session(At(era="handshake"))
    with pytest.raises(TransportError) as caught:
        world.run(session.call("t", on_progress=listen))
    assert caught.value.partial is None
    assert server.methods.count("tools/call") == 1


# What is asked of us, and given up.


def test_a_request_that_is_not_answered_because_our_call_ended_is_refused() -> None:
    """Or the server would wait for ever, and the place of its request be taken: after 256 of them no
    request would be heard any more."""

    def call(params: Any) -> Any:
        yield question(f"s{len(server.heard)}", "sampling/createMessage", messages=[], maxTokens=1)
        yield Pause(1)
        yield line({"id": server.heard[-1]["id"], "result": text("never mind")})

    server = ScriptedServer({"tools/call": call})
    host = Host(sampling=lambda request: "too late")
    session, world = session_with(server, host=host, faults=Faults(call_seconds=60), era="handshake")

    def calls() -> Flow[None]:
        for _ in range(300):
            assert (yield from session.call("t")).text == "never mind"
        yield from session.ping()

    server.handlers["ping"] = lambda params: {}
    world.run(calls())
    assert len(server.answers) == 300
    assert {answer["error"]["message"] for answer in server.answers} == {"this is not worked on any more"}


def test_who_stops_listening_while_answering_refuses() -> None:
    server = ScriptedServer(greeting=[question("r", "roots/list")])
    session, world = session_with(server, host=Host(roots=list), faults=Faults(call_seconds=60))
    world.run(session.ready())
    with pytest.raises(TimedOut):
        world.run(within(5, session.listen()))
    world.run(session.ready())
    assert [answer["id"] for answer in server.answers] == ["r"]


@pytest.mark.parametrize("cut", [Cancelled, TimedOut])
def test_a_wait_that_is_cut_short_as_an_interlude_comes_leaves_no_question_away(cut: type[Exception]) -> None:
    """The driver has the outcome already when it hears that it must stop."""
    channel: Any = At().channel()
    server = ScriptedServer({"a": lambda params: forever()})
    World(server).run(channel.open())
    conversation = channel._line.conversation
    asking = channel.ask(Outgoing("a", {}, hears=True, timeout=None), Silent())
    effect = next(asking)
    conversation.ask(effect.message)
    conversation.receive_data(note("notifications/progress", progressToken=1, progress=1))
    assert len(conversation.outcomes()) == 1
    with pytest.raises(cut):
        asking.throw(cut("now"))
    assert server.methods == ["a", "notifications/cancelled"]
    assert not conversation._pending


# Sessions.


def test_what_was_never_sent_is_sent_again_and_the_caller_hears_nothing_of_it() -> None:
    first, second = (ScriptedServer({"tools/call": lambda params: text("alive")}) for _ in range(2))
    world, session = World(first, second), Session(At(era="handshake"))
    world.run(session.ready())
    (number,) = world.simulator.shared.links.open
    world.simulator.shared.links.hang_up(number)  # behind its back
    assert world.run(session.call("t")).text == "alive"
    assert first.asked("tools/call") == []


def test_a_session_that_is_closed_while_it_connects_leaves_no_connection() -> None:
    server = ScriptedServer()
    session, world = session_with(server, faults=Faults(delay=1.0, connect_delay=1.0))

    def connecting() -> Flow[str]:
        try:
            yield from session.ready()
        except InvalidInput as error:
            return error.message
        return "ready"

    def closing(after: float) -> Flow[None]:
        yield from sleep(after)
        yield from session.farewell()

    outcomes = world.run(gather(connecting(), closing(0.5)))
    assert isinstance(outcomes[0], Succeeded)
    assert "closed" in str(outcomes[0].value)
    assert world.simulator.shared.links.open == ()


@pytest.mark.parametrize("after", [0.5, 1.5, 2.5, 3.5, 4.5])
def test_a_connect_that_is_cut_short_leaves_no_connection_behind_after_the_farewell(after: float) -> None:
    server = ScriptedServer()
    session, world = session_with(server, faults=Faults(delay=1.0, connect_delay=1.0))

    def story() -> Flow[None]:
        try:
            yield from within(after, session.ready())
        except TimedOut:
            pass
        yield from session.farewell()

    world.run(story())
    assert world.simulator.shared.links.open == ()


def test_a_resource_that_a_new_connection_does_not_have_is_no_reason_to_be_without_the_rest() -> None:
    def gone(params: Any) -> Any:
        if params["uri"] == "a:gone":
            raise Refused(-32002, "no such resource")
        return {}

    first = ScriptedServer({"resources/subscribe": lambda params: {}, "tools/call": lambda params: dies()})
    second = ScriptedServer({
        "resources/subscribe": gone, "tools/call": lambda params: text("alive"), "die": lambda params: dies(),
    })  # fmt: skip
    third = ScriptedServer({"resources/subscribe": lambda params: {}})
    world, session = World(first, second, third), Session(At(era="handshake"))
    for uri in ("a:gone", "a:here"):
        world.run(session.subscribe(uri))
    with pytest.raises(TransportError):
        world.run(session.call("t"))
    assert world.run(session.call("t")).text == "alive"
    assert [params["uri"] for params in second.asked("resources/subscribe")] == ["a:gone", "a:here"]
    with pytest.raises(TransportError):
        world.run(session.request("die", {}))
    world.run(session.ready())
    assert [params["uri"] for params in third.asked("resources/subscribe")] == ["a:here"]


def test_a_subscription_that_was_refused_is_not_kept() -> None:
    def refuse(params: Any) -> Any:
        raise Refused(-32002, "no such resource")

    first = ScriptedServer({"resources/subscribe": refuse, "tools/call": lambda params: dies()})
    second = ScriptedServer()
    world, session = World(first, second), Session(At(era="handshake"))
    with pytest.raises(McpError):
        world.run(session.subscribe("a:b"))
    with pytest.raises(TransportError):
        world.run(session.call("t"))
    world.run(session.ready())
    assert second.asked("resources/subscribe") == []


@pytest.mark.parametrize("speaks", ["2025-11-25", MODERN])
def test_the_log_level_that_was_set_holds_for_the_next_connection(speaks: str) -> None:
    handlers = {"logging/setLevel": lambda params: {}, "tools/call": lambda params: dies()}
    first = ScriptedServer(handlers, speaks=speaks, capabilities={"logging": {}})
    second = ScriptedServer(
        {**handlers, "tools/call": lambda params: text("alive")}, speaks=speaks, capabilities={"logging": {}}
    )
    world, session = World(first, second), Session(At(host=Host(log_level="error")))
    world.run(session.set_log_level("debug"))
    with pytest.raises(TransportError):
        world.run(session.call("t"))
    world.run(session.call("t"))
    if speaks == MODERN:
        assert second.asked("tools/call")[0]["_meta"]["io.modelcontextprotocol/logLevel"] == "debug"
    else:
        assert second.asked("logging/setLevel") == [{"level": "debug"}]


@pytest.mark.parametrize("ttl", [10**400, -(10**400), True, "5", 1.5, None])
def test_a_time_to_live_that_is_odd_is_survived(ttl: Any) -> None:
    server = ScriptedServer({"tools/list": lambda params: {"tools": [], "ttlMs": ttl}})
    session, world = session_with(server)
    assert world.run(session.tools()) == ()


def test_notices_that_two_threads_hear_of_at_once_are_heard_once() -> None:
    """Both find one notice, and one of them takes it before the other does."""
    heard: list[str] = []
    server = ScriptedServer({"ping": lambda params: {}})
    session, world = session_with(server, host=Host(log=lambda message: heard.append(message.data)))
    world.run(session.ready())

    class Taken(list[Any]):
        def popleft(self) -> Any:
            raise IndexError

    session._channel.overheard = Taken([1])  # type: ignore[assignment]
    world.run(session.ping())
    assert heard == []


def test_a_conversation_does_not_grow_with_its_calls() -> None:
    def call(params: Any) -> Any:
        token = params["_meta"]["progressToken"]
        yield note("notifications/progress", progressToken=token, progress=1)
        yield note("notifications/message", data="x")
        yield question(f"q{token}", "roots/list")
        yield line({"id": token, "result": text("done")})

    def listen(*told: Any) -> Flow[None]:
        yield from sleep(0)

    server = ScriptedServer({"tools/call": call, "stall": lambda params: forever()})
    session, world = session_with(server, host=Host(roots=[]))

    def calls(count: int) -> Flow[None]:
        for _ in range(count):
            yield from session.call("t", on_progress=listen)
            try:
                yield from session.request("stall", {}, timeout=1)
            except TimedOut:
                pass

    world.run(calls(5))
    conversation = session._channel._line.conversation  # type: ignore[attr-defined]
    sizes = {
        name: len(value) for name, value in vars(conversation).items() if hasattr(value, "__len__")
    }  # fmt: skip
    world.run(calls(40))
    assert sizes == {
        name: len(value) for name, value in vars(conversation).items() if hasattr(value, "__len__")
    }  # fmt: skip
    assert not conversation._pending
    assert not conversation._incoming


class Unlucky(LinkChannel):
    """Its link is found dead by so many calls of tools, before a byte of them was written."""

    failures = 0

    def ask(self, request: Outgoing, ear: Any) -> Flow[Any]:
        if request.method == "tools/call" and self.failures:
            self.failures -= 1
            raise TransportError("the link is dead", partial=UNSENT)
        return super().ask(request, ear)


class AtUnlucky(At):
    def channel(self) -> Unlucky:
        return Unlucky(self.label, self._connect)


@pytest.mark.parametrize("failures", [1, 2])
def test_what_was_unsent_is_sent_once_more_and_not_for_ever(failures: int) -> None:
    server = ScriptedServer({"tools/call": lambda params: text("alive")})
    world, session = World(server), Session(AtUnlucky(era="handshake"))
    world.run(session.ready())
    session._channel.failures = failures  # type: ignore[attr-defined]
    if failures == 1:
        assert world.run(session.call("t")).text == "alive"
    else:
        with pytest.raises(TransportError, match="dead"):
            world.run(session.call("t"))
    assert server.methods.count("tools/call") == 2 - failures


def test_a_loss_while_one_goes_on_waiting_never_counts_as_unsent() -> None:
    """The driver may believe so, if something else was written with the Resume."""
    channel: Any = At().channel()
    World(ScriptedServer()).run(channel.open())
    resuming = channel._line._resume(1)
    next(resuming)
    with pytest.raises(TransportError) as caught:
        resuming.throw(TransportError("lost", partial=UNSENT))
    assert caught.value.partial is None
