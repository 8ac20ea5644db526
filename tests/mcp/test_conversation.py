"""Conversation: two of them talk to each other over bytes that are cut anyhow, and one talks to garbage."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tako.effects import Failed, Succeeded
from tako.errors import InvalidInput, ProtocolError, TransportError
from tako.mcp.conversation import (
    BACKLOG,
    END,
    MAX_KEPT,
    MAX_SERVED,
    NEXT,
    Conversation,
    Incoming,
    Interlude,
    Notice,
    Question,
    Refusal,
    Reply,
    Resume,
)
from tako.mcp.errors import McpError
from tako.mcp.framing import Lines
from tests.mcp.kit import line, note, question


def talk(*, is_server: bool = False) -> Conversation:
    conversation = Conversation(Lines(), "the peer", is_server=is_server)
    conversation.attach(lambda: None)
    conversation.data_to_send()
    return conversation


def sent(conversation: Conversation) -> list[Any]:
    return [json.loads(text) for text in conversation.data_to_send().splitlines()]


def one_outcome(conversation: Conversation, ticket: Hashable) -> Any:
    ((found, outcome),) = conversation.outcomes()
    assert found == ticket
    return outcome


# Answers find their question.


@given(st.data())
def test_answers_in_any_order_and_any_cut_reach_their_question(data: st.DataObject) -> None:
    conversation = talk()
    count = data.draw(st.integers(1, 8))
    tickets = [conversation.ask(Question("m", {"n": number})) for number in range(count)]
    ids = [message["id"] for message in sent(conversation)]
    lines = [line({"id": id, "result": {"n": number}}) for number, id in enumerate(ids)]
    strangers = [
        line({"id": 10_000, "result": 1}),
        line({"id": str(ids[0]), "result": "a text is no number"}),
        line({"id": True, "result": "nor is True"}),
        lines[0],
        b"a stray line\n",
        b"\xff\xfe{]\n",
        b"[]\n",
        b"{}\n",
        b'{"jsonrpc":"2.0"}\n',
    ]
    order = data.draw(st.permutations(lines + data.draw(st.lists(st.sampled_from(strangers), max_size=6))))
    stream = b"".join(order)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=12)))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if start < end:  # b"" would be the end
            conversation.receive_data(stream[start:end])
    assert dict(conversation.outcomes()) == {
        ticket: Succeeded({"n": number}) for number, ticket in enumerate(tickets)
    }
    assert conversation.outcomes() == []


def test_an_error_is_an_outcome_with_its_number_and_data() -> None:
    conversation = talk()
    ticket = conversation.ask(Question("m"))
    conversation.receive_data(line({"id": 1, "error": {"code": -5, "message": "no", "data": [1]}}))
    error = one_outcome(conversation, ticket).error
    assert isinstance(error, McpError)
    assert (error.number, error.message, error.data) == (-5, "no", [1])


def test_a_spoiled_answer_still_ends_its_question() -> None:
    conversation = talk()
    ticket = conversation.ask(Question("m"))
    conversation.receive_data(line({"id": 1, "result": 1, "error": {"code": 1, "message": ""}}))
    assert isinstance(one_outcome(conversation, ticket).error, ProtocolError)
    assert len(sent(conversation)) == 1, "and is not answered, or both would for ever"


def test_params_that_are_none_are_not_sent_as_null() -> None:
    conversation = talk()
    conversation.ask(Question("m"))
    conversation.tell(Notice("n"))
    assert [set(message) for message in sent(conversation)] == [
        {"jsonrpc", "id", "method"},
        {"jsonrpc", "method"},
    ]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_say_is_refused_and_nothing_is_pending(value: Any) -> None:
    conversation = talk()
    with pytest.raises(InvalidInput, match="JSON"):
        conversation.ask(Question("m", {"x": value}))
    assert conversation.data_to_send() == b""
    conversation.ask(Question("m", {"x": "NaN"}))
    assert len(sent(conversation)) == 1


# Who has gone.


def test_a_forgotten_question_is_cancelled_at_the_peer_and_its_answer_dropped() -> None:
    conversation = talk()
    ticket = conversation.ask(Question("m"))
    conversation.data_to_send()
    conversation.forget(ticket)
    assert sent(conversation) == [
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    ]
    conversation.receive_data(line({"id": 1, "result": 1}))
    assert conversation.outcomes() == []


def test_initialize_is_never_cancelled() -> None:
    conversation = talk()
    ticket = conversation.ask(Question("initialize"))
    conversation.data_to_send()
    conversation.forget(ticket)
    assert sent(conversation) == []


def test_an_abandoned_question_pokes_the_driver_and_is_cancelled_then() -> None:
    poked: list[None] = []
    conversation = Conversation(Lines(), "the peer")
    conversation.attach(lambda: poked.append(None))
    conversation.ask(Question("m", hears=True))
    conversation.receive_data(note("notifications/progress", progressToken=1, progress=1))
    ((_, outcome),) = conversation.outcomes()
    conversation.data_to_send()
    conversation.abandon(outcome.value.id)  # type: ignore[union-attr]
    assert poked == [None]
    assert [message["method"] for message in sent(conversation)] == ["notifications/cancelled"]


# Interludes.


def test_what_comes_while_a_question_is_away_is_kept_in_order() -> None:
    conversation = talk()
    ticket = conversation.ask(Question("m", hears=True))
    for step in (1, 2, 3):
        conversation.receive_data(note("notifications/progress", progressToken=1, progress=step))
    conversation.receive_data(line({"id": 1, "result": "done"}))
    found = []
    outcome = one_outcome(conversation, ticket)
    while isinstance(outcome.value, Interlude):
        found.append(outcome.value.heard.params["progress"])
        ticket = conversation.ask(Resume(1))
        outcome = one_outcome(conversation, ticket)
    assert (found, outcome.value) == ([1, 2, 3], "done")
    with pytest.raises(InvalidInput):
        conversation.ask(Resume(1))


def test_progress_that_nobody_wants_interrupts_nobody() -> None:
    conversation = talk()
    conversation.ask(Question("m"))
    conversation.receive_data(note("notifications/progress", progressToken=1, progress=1))
    assert conversation.outcomes() == []


def test_a_request_goes_to_who_listens_before_it_interrupts_a_question() -> None:
    conversation = talk()
    asker = conversation.ask(Question("m"))
    listener = conversation.ask(NEXT)
    conversation.receive_data(question("a", "roots/list"))
    assert one_outcome(conversation, listener).value.id == "a"
    conversation.receive_data(question("b", "roots/list"))
    assert one_outcome(conversation, asker).value.heard.id == "b"


def test_a_request_that_nobody_can_take_waits_for_the_next_question() -> None:
    conversation = talk()
    conversation.receive_data(question("a", "roots/list"))
    assert conversation.outcomes() == []
    ticket = conversation.ask(Question("m"))
    assert one_outcome(conversation, ticket).value.heard.id == "a"


def test_too_many_requests_are_refused_and_too_many_notices_dropped() -> None:
    conversation = talk()
    for number in range(MAX_KEPT + 3):
        conversation.receive_data(question(number, "roots/list"))
        conversation.receive_data(note("notifications/message", data=number))
    refused = [message["id"] for message in sent(conversation) if "error" in message]
    assert refused == [MAX_KEPT, MAX_KEPT + 1, MAX_KEPT + 2]
    assert len(conversation.overheard) == MAX_KEPT


def test_after_its_failure_nothing_is_sent() -> None:
    conversation = talk()
    conversation.receive_data(b"x" * (17 << 20))
    question = Question("m")
    with pytest.raises(ProtocolError, match="bytes"):
        conversation.ask(question)
    assert question.id is None
    assert conversation.data_to_send() == b""


def test_a_request_that_was_given_up_after_its_answer_does_not_refuse_the_next_of_that_id() -> None:
    conversation = talk()
    listener = conversation.ask(NEXT)
    conversation.receive_data(question("a", "roots/list"))
    first = one_outcome(conversation, listener).value
    conversation.tell(Reply("a", {}))
    conversation.receive_data(question("a", "roots/list"))
    conversation.data_to_send()
    conversation.abandon(first)
    assert sent(conversation) == []


# Answering.


def test_an_answer_is_sent_once_and_not_after_the_peer_took_its_request_back() -> None:
    server = talk(is_server=True)
    ticket = server.ask(NEXT)
    server.receive_data(question("a", "tools/list"))
    incoming = one_outcome(server, ticket).value
    server.receive_data(note("notifications/cancelled", requestId="a"))
    assert incoming.token.is_cancelled
    server.tell(Reply("a", {}))
    server.tell(Refusal("a", -1, "no"))
    assert sent(server) == []
    server.receive_data(question("b", "tools/list"))
    server.tell(Reply("b", {}))
    server.tell(Reply("b", {}))
    assert sent(server) == [{"jsonrpc": "2.0", "id": "b", "result": {}}]


def test_a_server_answers_garbage_and_a_client_does_not() -> None:
    for is_server in (True, False):
        conversation = talk(is_server=is_server)
        conversation.receive_data(b"not json\n")
        answers = sent(conversation)
        assert [answer["error"]["code"] for answer in answers] == ([-32700] if is_server else [])


def test_the_id_in_use_is_refused() -> None:
    server = talk(is_server=True)
    server.receive_data(question("a", "x") * 2)
    assert [answer["error"]["code"] for answer in sent(server)] == [-32600]


@pytest.mark.parametrize("takes_batches", [True, False])
def test_batches_are_for_the_revision_that_has_them(takes_batches: bool) -> None:
    conversation = talk()
    conversation.takes_batches = takes_batches
    ticket = conversation.ask(Question("m"))
    conversation.data_to_send()
    answer = {"jsonrpc": "2.0", "id": 1, "result": "in a batch"}
    conversation.receive_data(
        json.dumps([answer, {"jsonrpc": "2.0", "id": 7, "method": "ping"}]).encode() + b"\n"
    )
    if takes_batches:
        assert one_outcome(conversation, ticket) == Succeeded("in a batch")
        assert sent(conversation) == [{"jsonrpc": "2.0", "id": 7, "result": {}}]
    else:
        assert conversation.outcomes() == []
        assert sent(conversation)[0]["error"]["code"] == -32600


# The end.


def test_all_who_wait_hear_of_the_loss_each_by_an_error_of_their_own() -> None:
    conversation = talk()
    tickets = [conversation.ask(Question("m")), conversation.ask(Question("m")), conversation.ask(NEXT)]
    conversation.receive_data(b"Traceback: boom\n")
    conversation.lost(TransportError("gone"))
    outcomes = dict(conversation.outcomes())
    assert set(outcomes) == set(tickets)
    errors = [outcome.error for outcome in outcomes.values() if isinstance(outcome, Failed)]
    assert len({id(error) for error in errors}) == 3
    assert all("Traceback: boom" in error.message for error in errors), "what it said last may say why"  # type: ignore[attr-defined]
    assert conversation.is_over


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_survived(data: bytes, is_server: bool) -> None:
    conversation = talk(is_server=is_server)
    conversation.ask(Question("m"))
    conversation.receive_data(data or b"\n")
    conversation.receive_data(b"")
    conversation.lost(TransportError("gone"))
    conversation.outcomes()
    conversation.data_to_send()


MEMBERS = (
    "jsonrpc", "id", "method", "params", "result", "error", "code", "message", "requestId", "progressToken",
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=5),
    max_leaves=12,
)


@given(ANYTHING, st.sampled_from(["notifications/cancelled", "notifications/progress", "ping", "x"]))
def test_any_message_is_survived(value: Any, method: str) -> None:
    conversation = talk()
    conversation.ask(Question("m", hears=True))
    conversation.receive_data(json.dumps(value).encode() + b"\n")
    conversation.receive_data(line({"method": method, "params": value}))
    conversation.receive_data(line({"id": value, "method": method}))
    conversation.receive_data(line({"id": value, "result": 1}))
    conversation.outcomes()
    conversation.data_to_send()


class TwoTalk(RuleBasedStateMachine):
    """A client and a server, both of whom ask; their bytes travel in pieces, in any interleaving.

    Whoever is asked answers each request once, in any order, with what it was asked; whoever asked gets
    that and nothing else, whatever happened in between.
    """

    @initialize()
    def begin(self) -> None:
        self.sides = {"client": talk(), "server": talk(is_server=True)}
        self.wires = {"client": b"", "server": b""}
        self.asked: dict[str, dict[Hashable, int]] = {"client": {}, "server": {}}
        self.away: dict[str, set[Hashable]] = {"client": set(), "server": set()}
        self.owed: dict[str, list[Incoming]] = {"client": [], "server": []}
        self.takers: dict[str, set[Hashable]] = {"client": set(), "server": set()}
        self.number = 0
        self.settled = 0

    def _other(self, side: str) -> str:
        return "server" if side == "client" else "client"

    def _collect(self, side: str) -> None:
        conversation = self.sides[side]
        for ticket, outcome in conversation.outcomes():
            value = outcome.value  # type: ignore[union-attr]
            if ticket in self.takers[side]:
                self.takers[side].remove(ticket)
                self._took(side, value)
            elif isinstance(value, Interlude):
                self.away[side].add(ticket)
                self._took(side, value.heard)
            else:
                assert value == self.asked[side].pop(ticket)
                self.settled += 1
        self.wires[self._other(side)] += conversation.data_to_send()

    def _took(self, side: str, heard: Any) -> None:
        if isinstance(heard, Incoming):
            self.owed[side].append(heard)

    @rule(side=st.sampled_from(["client", "server"]))
    def ask(self, side: str) -> None:
        self.number += 1
        ticket = self.sides[side].ask(Question("echo", {"n": self.number}))
        self.asked[side][ticket] = self.number
        self._collect(side)

    @rule(side=st.sampled_from(["client", "server"]))
    def take(self, side: str) -> None:
        if len(self.takers[side]) < 3:
            self.takers[side].add(self.sides[side].ask(NEXT))
            self._collect(side)

    @rule(side=st.sampled_from(["client", "server"]), size=st.integers(1, 60))
    def deliver(self, side: str, size: int) -> None:
        piece, self.wires[side] = self.wires[side][:size], self.wires[side][size:]
        if piece:
            self.sides[side].receive_data(piece)
            self._collect(side)

    @precondition(lambda self: any(self.owed.values()))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        side = data.draw(st.sampled_from([side for side, owed in self.owed.items() if owed]))
        incoming = self.owed[side].pop(data.draw(st.integers(0, len(self.owed[side]) - 1)))
        self.sides[side].tell(Reply(incoming.id, incoming.params["n"]))
        self._collect(side)

    @precondition(lambda self: any(self.away.values()))
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        side = data.draw(st.sampled_from([side for side, away in self.away.items() if away]))
        ticket = data.draw(st.sampled_from(sorted(self.away[side], key=str)))
        self.away[side].remove(ticket)
        self.sides[side].ask(Resume(ticket))  # type: ignore[arg-type]
        self._collect(side)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        side = data.draw(st.sampled_from(["client", "server"]))
        waiting = [ticket for ticket in self.asked[side] if ticket not in self.away[side]]
        if waiting:
            ticket = data.draw(st.sampled_from(sorted(waiting, key=str)))
            del self.asked[side][ticket]
            self.sides[side].forget(ticket)
            self._collect(side)

    @invariant()
    def nobody_has_failed(self) -> None:
        for conversation in getattr(self, "sides", {}).values():
            assert not conversation.is_over

    def teardown(self) -> None:
        """In the end everybody gets what is still owed to them."""
        for _ in range(2000):
            if not any(self.asked.values()):
                return
            for side in ("client", "server"):
                if len(self.takers[side]) < 3:
                    self.takers[side].add(self.sides[side].ask(NEXT))
                for ticket in list(self.away[side]):
                    self.away[side].remove(ticket)
                    self.sides[side].ask(Resume(ticket))  # type: ignore[arg-type]
                for incoming in self.owed[side]:
                    self.sides[side].tell(Reply(incoming.id, incoming.params["n"]))
                self.owed[side].clear()
                self._collect(side)
                if self.wires[side]:
                    self.sides[side].receive_data(self.wires[side])
                    self.wires[side] = b""
                    self._collect(side)
        raise AssertionError(f"never answered: {self.asked}")


TestTwoTalk = TwoTalk.TestCase


# The end of the client's output.


def test_a_server_still_takes_and_answers_what_came_before_the_end() -> None:
    server = talk(is_server=True)
    server.receive_data(question(1, "first") + question(2, "second"))
    taken = one_outcome(server, server.ask(NEXT)).value
    server.receive_data(b"")
    assert not server.is_over and not taken.token.is_cancelled
    later = one_outcome(server, server.ask(NEXT)).value
    assert later.method == "second"
    assert isinstance(one_outcome(server, server.ask(NEXT)), Failed)
    server.tell(Reply(2, {}))
    assert not server.is_over
    server.tell(Refusal(1, -1, "no"))
    assert server.is_over and [message["id"] for message in sent(server)] == [2, 1]
    with pytest.raises(TransportError, match="ended its output"):
        server.ask(Question("m"))


def test_any_other_end_of_a_server_is_the_end_of_all() -> None:
    server = talk(is_server=True)
    server.receive_data(question(1, "first"))
    taken = one_outcome(server, server.ask(NEXT)).value
    server.receive_data(b"")
    server.lost(TransportError("gone"))
    assert server.is_over and taken.token.is_cancelled


def test_who_asks_for_the_end_is_told_of_it_or_sent_away_while_many_wait() -> None:
    server = talk(is_server=True)
    ticket = server.ask(END)
    server.receive_data(b"".join([question(number, "m") for number in range(BACKLOG - 1)]))
    assert server.outcomes() == []
    server.receive_data(question(BACKLOG, "m"))
    assert one_outcome(server, ticket) == Succeeded(False)
    assert one_outcome(server, server.ask(END)) == Succeeded(False)
    one_outcome(server, server.ask(NEXT))
    server.forget(server.ask(END))
    ticket = server.ask(END)
    server.receive_data(b"")
    assert one_outcome(server, ticket) == Succeeded(True)
    assert one_outcome(server, server.ask(END)) == Succeeded(True)


def test_a_server_refuses_more_than_it_can_have_to_do() -> None:
    server = talk(is_server=True)
    server.receive_data(b"".join([question(number, "m") for number in range(MAX_SERVED + 2)]))
    assert [answer["id"] for answer in sent(server)] == [MAX_SERVED, MAX_SERVED + 1]


def test_what_json_cannot_say_leaves_a_request_to_be_refused() -> None:
    server = talk(is_server=True)
    server.receive_data(question(1, "m"))
    for answer in (Reply(1, object()), Refusal(1, -1, "no", object())):
        with pytest.raises(InvalidInput):
            server.tell(answer)
    server.tell(Refusal(1, -1, "no"))
    assert [answer["error"]["message"] for answer in sent(server)] == ["no"]
