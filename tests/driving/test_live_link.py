"""LiveLink: who hears what, what was sent by the time of a loss, and when not to read."""

from __future__ import annotations

import pytest

from tako.driving.live_link import MOST_PROVOKED, Asking, LiveLink, link_lost
from tako.errors import ProtocolError, TransportError
from tako.links import UNSENT
from tako.mcp.conversation import NEXT, Conversation, Notice, Question, Resume
from tako.mcp.framing import Lines
from tests.mcp.kit import line, note, question


def nothing() -> None:
    pass


def link() -> LiveLink:
    live = LiveLink(Conversation(Lines(), "the peer"))
    live.machine.attach(live.settle)
    return live


def error_of(asking: Asking) -> Exception:
    with pytest.raises((TransportError, ProtocolError)) as caught:
        asking.result()
    return caught.value


def test_only_what_was_not_taken_at_all_is_unsent() -> None:
    live = link()
    taken = live.ask(Question("a"), nothing)
    live.outgoing.clear()
    half = live.ask(Question("b"), nothing)
    del live.outgoing[:3]
    unsent = live.ask(Question("c"), nothing)
    listener = live.ask(NEXT, nothing)
    live.lost(link_lost("the peer"))
    errors = [error_of(asking) for asking in (taken, half, unsent, listener)]
    assert [error.partial for error in errors] == [None, None, UNSENT, None]  # type: ignore[attr-defined]
    assert len({id(error) for error in errors}) == 4
    assert live.outgoing == b""


def test_the_first_question_of_all_is_unsent_if_nothing_was_taken() -> None:
    live = link()
    asking = live.ask(Question("a"), nothing)
    live.lost(link_lost("the peer"))
    assert error_of(asking).partial is UNSENT  # type: ignore[attr-defined]


def test_who_goes_on_waiting_for_a_question_is_not_told_that_it_was_unsent() -> None:
    live = link()
    live.ask(Question("a", hears=True), nothing)
    live.outgoing.clear()
    live.received(note("notifications/progress", progressToken=1, progress=1))
    resumed = live.ask(Resume(1), nothing)
    live.lost(link_lost("the peer"))
    assert error_of(resumed).partial is None  # type: ignore[attr-defined]


def test_what_the_peer_did_wrong_is_no_loss() -> None:
    live = link()
    asking = live.ask(Question("a"), nothing)
    live.received(b"x" * (17 << 20))
    error = error_of(asking)
    assert isinstance(error, ProtocolError)
    assert error.partial is None
    assert live.is_over


def test_whoever_asks_later_hears_the_first_reason() -> None:
    live = link()
    live.lost(link_lost("the peer", code=3))
    live.lost(link_lost("somebody else"))
    for _ in range(2):
        with pytest.raises(TransportError, match="exited with code 3") as caught:
            live.ask(Question("a"), nothing)
        caught.value.message = "changed"
    with pytest.raises(TransportError, match="exited with code 3"):
        live.tell(Notice("n"))


def test_a_peer_that_makes_us_answer_and_takes_nothing_is_not_read_until_it_does() -> None:
    live = link()
    asking = live.ask(Question("a"), nothing)
    assert not live.is_flooded
    pings = b"".join([question(number, "ping") for number in range(1000)])
    while not live.is_flooded:
        assert len(live.outgoing) <= 2 * MOST_PROVOKED
        live.received(pings)
    assert len(live.outgoing) > MOST_PROVOKED
    del live.outgoing[:1000]
    assert live.is_flooded
    live.outgoing.clear()
    assert not live.is_flooded
    live.received(line({"id": 1, "result": "at last"}))
    assert asking.result() == "at last"
    live.received(question("p", "ping"))
    assert not live.is_flooded, "what was taken counts no more"


def test_what_we_ask_ourselves_is_no_flood() -> None:
    """Or two who send each other much at once would both wait for the other to read."""
    live = link()
    live.ask(Question("a", {"x": "y" * 2 * MOST_PROVOKED}), nothing)
    live.received(question("p", "ping"))
    assert not live.is_flooded
    live.outgoing.clear()
    live.received(question("p", "ping"))
    assert not live.is_flooded


def test_the_machines_own_words_on_a_loss_are_told() -> None:
    live = link()
    asking = live.ask(Question("a"), nothing)
    live.received(b"Traceback: boom\n")
    live.lost(link_lost("the peer"))
    error = error_of(asking)
    assert "Traceback: boom" in str(error)
    assert error.partial is UNSENT  # type: ignore[attr-defined]
