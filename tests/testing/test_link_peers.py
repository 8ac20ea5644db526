"""Links of the simulated world: what arrives when, and what a flow is told of an end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tako.effects import Flow, Succeeded, ask, gather, hang_up, open_link, sleep, tell, within
from tako.errors import InvalidInput, TimedOut, TransportError
from tako.links import Child, Endpoint
from tako.mcp.conversation import NEXT, Conversation, Notice, Question
from tako.mcp.framing import Lines
from tako.testing import Simulator
from tako.testing.faults import Faults
from tako.testing.vendor import Hangup, Pause, Piece, Reset
from tests.mcp.kit import line, note

AT = Child(("peer",))


class Peer:
    """Says what it is told to when it is told something; `heard` is the bytes, with when they came."""

    def __init__(self, *says: Piece, greets: Iterable[Piece] = ()) -> None:
        self.says = list(says)
        self.greets = greets
        self.heard: list[bytes] = []

    def connected(self) -> Iterable[Piece]:
        return self.greets

    def received(self, data: bytes) -> Iterator[Piece]:
        self.heard.append(data)
        says, self.says = self.says, []
        return iter(says)


def world(peer: Peer, faults: Faults | None = None) -> Simulator:
    return Simulator(peers=lambda endpoint: peer, faults=faults)


def asked(*messages: Any) -> Flow[Any]:
    """Open a link and ask over it; the last answer."""
    link = yield from open_link(AT, Conversation(Lines(), "the peer"))
    for message in messages:
        found = yield from ask(link, message)
    return found


def test_nobody_is_at_an_endpoint_unless_there_are_peers() -> None:
    with pytest.raises(InvalidInput, match="peers="):
        Simulator().run(asked(Question("a")))


def test_who_cannot_be_reached_raises_what_the_peers_do() -> None:
    def nobody(endpoint: Endpoint) -> Peer:
        raise TransportError("there is nobody")

    with pytest.raises(TransportError, match="there is nobody"):
        Simulator(peers=nobody).run(asked(Question("a")))


def test_pauses_and_delays_add_up() -> None:
    peer = Peer(Pause(3), line({"id": 1, "result": "x"}))
    simulator = world(peer, Faults(delay=0.5, connect_delay=2))
    assert simulator.run(asked(Question("a"))) == "x"
    assert simulator.now == pytest.approx(5.5)


def test_what_a_peer_says_first_waits_until_somebody_listens() -> None:
    peer = Peer(greets=[note("notifications/a"), Pause(1), note("notifications/b")])
    simulator = world(peer)

    def story() -> Flow[list[str]]:
        link = yield from open_link(AT, Conversation(Lines(), "the peer"))
        yield from sleep(10)
        first = yield from ask(link, NEXT)
        second = yield from ask(link, NEXT)
        return [first.method, second.method]

    assert simulator.run(story()) == ["notifications/a", "notifications/b"]
    assert simulator.now == 10


@pytest.mark.parametrize(("end", "words"), [(Hangup(), "closed the connection"), (Reset(), "was reset")])
def test_an_end_is_told_to_all_who_wait_and_to_all_who_come_later(end: Piece, words: str) -> None:
    peer = Peer(Pause(1), end)

    def failing(link: int, message: Any) -> Flow[str]:
        try:
            yield from ask(link, message)
        except TransportError as error:
            return error.message
        return "nothing"

    def story() -> Flow[list[str]]:
        link = yield from open_link(AT, Conversation(Lines(), "the peer"))
        outcomes = yield from gather(*[failing(link, Question(str(number))) for number in range(3)])
        heard = [outcome.value for outcome in outcomes if isinstance(outcome, Succeeded)]
        return [*heard, (yield from failing(link, Question("late")))]

    heard = world(peer).run(story())
    assert len(heard) == 4
    assert all(words in one for one in heard)


@pytest.mark.parametrize("cut", [(1,), (2, 3, 5), (1000,)])
def test_however_the_pieces_are_cut_the_same_arrives(cut: tuple[int, ...]) -> None:
    peer = Peer(line({"id": 1, "result": "a" * 50}))
    assert world(peer, Faults(cut=cut)).run(asked(Question("a"))) == "a" * 50


def test_a_hangup_is_heard_by_the_peer_and_by_who_asks_later() -> None:
    peer = Peer()
    simulator = world(peer)

    def story() -> Flow[None]:
        link = yield from open_link(AT, Conversation(Lines(), "the peer"))
        yield from tell(link, Notice("n"))
        yield from hang_up(link)
        yield from hang_up(link)
        yield from ask(link, Question("a"))

    with pytest.raises(TransportError, match="not open here"):
        simulator.run(story())
    assert peer.heard == [b'{"jsonrpc":"2.0","method":"n"}\n', b""]
    assert simulator.shared.links.open == ()


def test_links_outlive_a_run_and_one_that_was_cut_short_while_it_opened_does_not() -> None:
    peer = Peer()
    simulator = world(peer, Faults(connect_delay=5))
    with pytest.raises(TimedOut):
        simulator.run(within(1, open_link(AT, Conversation(Lines(), "the peer"))))
    assert not simulator.shared.links.open
    assert peer.heard == [b""]
    number = simulator.run(open_link(AT, Conversation(Lines(), "the peer")))
    assert list(simulator.shared.links.open) == [number]


def test_who_is_cut_short_is_forgotten_by_the_machine() -> None:
    peer = Peer()
    simulator = world(peer)

    def story() -> Flow[None]:
        link = yield from open_link(AT, Conversation(Lines(), "the peer"))
        yield from within(1, ask(link, Question("a")))

    with pytest.raises(TimedOut):
        simulator.run(story())
    assert b"notifications/cancelled" in peer.heard[-1]
    with pytest.raises(InvalidInput, match="can be asked"):
        simulator.run(asked("nonsense"))
