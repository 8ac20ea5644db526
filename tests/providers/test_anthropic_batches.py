"""Message batches: ids, handles, rows, pages, and what tells that results are whole."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from tako.effects import Close, Emit, Flow, HttpHead, HttpRequest, Now, Receive, Send
from tako.errors import InvalidInput, ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.models import ChatRequest, Message
from tako.providers import Anthropic
from tako.providers.anthropic import (
    BatchCounts,
    BatchNotReady,
    BatchRow,
    Canceled,
    Errored,
    Expired,
    MessageBatch,
    Succeeded,
    Unreadable,
)
from tako.testing import Answer, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.support.vendor_types import check, library

URL = "https://api.anthropic.com/v1/messages/batches"
BATCHES = Anthropic("claude", "k").batches
ASK = ChatRequest(messages=(Message.user("hello"),))
Reply = tuple[int, dict[str, str], list[bytes]]


def handle(status: str = "ended", **counts: int) -> dict[str, Any]:
    times = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z", "ended_at": None}
    return {
        "id": "msgbatch_1",
        "type": "message_batch",
        "processing_status": status,
        "request_counts": counts,
        **times,
    }


def said(payload: Any, status: int = 200, **headers: str) -> Reply:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, [pack(payload)]


def refused(status: int, kind: str = "invalid_request_error", **headers: str) -> Reply:
    return said({"type": "error", "error": {"type": kind, "message": "No."}}, status, **headers)


def pack(payload: Any) -> bytes:
    return payload if isinstance(payload, bytes) else json.dumps(payload, ensure_ascii=False).encode()


def drive(flow: Flow[Any], *replies: Reply) -> tuple[Any, list[Any], list[HttpRequest]]:
    """Play the network: the result or the error, what was emitted, what was sent."""
    waiting = iter(replies)
    bodies: list[Iterator[bytes]] = []
    emitted: list[Any] = []
    sent: list[HttpRequest] = []
    reply: Any = None
    while True:
        try:
            effect = flow.send(reply)
        except StopIteration as stop:
            return stop.value, emitted, sent
        except TakoError as error:
            return error, emitted, sent
        reply = None
        match effect:
            case Send(request):
                sent.append(request)
                status, headers, pieces = next(waiting)
                bodies.append(iter(pieces))
                reply = HttpHead(status, tuple(headers.items()), len(bodies) - 1)
            case Receive(exchange):
                reply = next(bodies[exchange], b"")
            case Emit(events):
                emitted += events
            case Now():
                reply = 1_700_000_000.0
            case _:
                assert type(effect) is Close, effect


def message(text: str = "Hi", reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
    head = {"id": "m1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": reason}
    content = [{"type": "text", "text": text}]
    return {**head, "content": content, "usage": {"input_tokens": 1, "output_tokens": 2}, **fields}


def row(custom_id: str, kind: str, **fields: Any) -> bytes:
    return pack({"custom_id": custom_id, "result": {"type": kind, **fields}})


# Handing in.


def test_requests_are_handed_in_with_their_ids() -> None:
    asked = {"a": ASK, "b-_9": ChatRequest(messages=(Message.user("x"),), model="other", max_tokens=7)}
    batch, _, (request,) = drive(
        BATCHES.create_flow(asked), said(handle("in_progress", processing=2), request_id="r1")
    )
    assert (request.method, request.url) == ("POST", URL)
    assert dict(request.headers)["x-api-key"] == "k"
    body = from_json(request.body)
    assert [(item["custom_id"], item["params"]["model"]) for item in body["requests"]] == [
        ("a", "claude"),
        ("b-_9", "other"),
    ]
    assert body["requests"][1]["params"]["max_tokens"] == 7
    assert batch == MessageBatch(
        "msgbatch_1",
        "in_progress",
        BatchCounts(processing=2),
        created_at="2026-01-01T00:00:00Z",
        expires_at="2026-01-02T00:00:00Z",
    )
    assert (batch.is_terminal, batch.counts.total) == (False, 2)
    check(library("anthropic.types.messages.batch_create_params").BatchCreateParams, body)


@pytest.mark.parametrize("custom_id", ["", "x" * 65, "a b", "a.b", "é", "a\n", 7])
def test_a_wrong_id_is_refused_before_anything_is_sent(custom_id: Any) -> None:
    with pytest.raises(InvalidInput, match="invalid custom_id"):
        BATCHES.create_flow([("good", ASK), (custom_id, ASK)])


def test_what_else_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidInput, match="duplicate custom_id 'a'"):
        BATCHES.create_flow([("a", ASK), ("b", ASK), ("a", ASK)])
    with pytest.raises(InvalidInput, match=r"seed.*\(in the request 'b'\)"):
        BATCHES.create_flow({"a": ASK, "b": ASK.model_copy(update={"seed": 1})})
    with pytest.raises(InvalidInput, match="1 to 100000 requests, not 0"):
        BATCHES.create_flow([])
    for batch_id in ("", "a/b", "../x", "é", 7, None):
        with pytest.raises(InvalidInput, match="batch_id"):
            BATCHES.retrieve_flow(batch_id)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="limit"):
        BATCHES.list_flow(limit=1001)
    with pytest.raises(InvalidInput, match="before_id or after_id"):
        BATCHES.list_flow(before_id="a", after_id="b")


def test_the_longest_ids_are_fine() -> None:
    batch, _, _ = drive(BATCHES.create_flow({"x" * 64: ASK}), said(handle("in_progress")))
    assert batch.id == "msgbatch_1"


# Handles.


@pytest.mark.parametrize(
    ("status", "terminal"), [("in_progress", False), ("canceling", False), ("ended", True)]
)
def test_only_an_ended_batch_is_terminal(status: str, terminal: bool) -> None:
    batch, _, (request,) = drive(BATCHES.retrieve_flow("msgbatch_1"), said(handle(status, expired=1)))
    assert (request.method, request.url) == ("GET", f"{URL}/msgbatch_1")
    assert (batch.status, batch.is_terminal, batch.counts) == (status, terminal, BatchCounts(expired=1))


def test_cancelling_says_what_the_batch_does_now() -> None:
    batch, _, (request,) = drive(BATCHES.cancel_flow("msgbatch_1"), said(handle("canceling")))
    assert (request.method, request.url, batch.status) == ("POST", f"{URL}/msgbatch_1/cancel", "canceling")


@pytest.mark.parametrize("payload", [{}, [], None, {"id": ""}, handle("odd"), {"id": "x"}, b"<html>"])
def test_what_is_no_handle_is_an_error(payload: Any) -> None:
    error, _, _ = drive(BATCHES.retrieve_flow("x"), said(payload, request_id="r7"))
    assert isinstance(error, ProtocolError)
    assert (error.provider, error.request_id) == ("anthropic:claude", "r7")


def test_refusals_keep_their_class_and_their_hint() -> None:
    error, _, _ = drive(BATCHES.create_flow({"a": ASK}), refused(429, "rate_limit_error", retry_after="12"))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 12.0
    error, _, _ = drive(BATCHES.retrieve_flow("x"), refused(502, "api_error"))
    assert isinstance(error, ProviderError)
    assert (error.status, error.retryable, error.provider) == (502, True, "anthropic:claude")


# Pages.


def page(*ids: str, more: bool = False) -> Reply:
    data = [{**handle(), "id": name} for name in ids]
    ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return said({"data": data, "has_more": more, **ends})


def test_a_page_keeps_its_cursors() -> None:
    found, _, (request,) = drive(BATCHES.list_flow(limit=2, after_id="msgbatch_0"), page("a", "b", more=True))
    assert request.url == f"{URL}?limit=2&after_id=msgbatch_0"
    assert ([batch.id for batch in found.batches], found.has_more) == (["a", "b"], True)
    assert (found.first_id, found.last_id) == ("a", "b")
    _, _, (request,) = drive(BATCHES.list_flow(before_id="b"), page())
    assert request.url == f"{URL}?before_id=b"
    _, _, (request,) = drive(BATCHES.list_flow(), page())
    assert request.url == URL
    error, _, _ = drive(BATCHES.list_flow(), said({"data": 7}))
    assert isinstance(error, ProtocolError)


def test_all_pages_follow_each_other() -> None:
    pages = (page("a", "b", more=True), page("c", more=True), page("d"))
    count, found, sent = drive(BATCHES.all_flow(page_size=2), *pages)
    assert (count, [batch.id for batch in found]) == (4, ["a", "b", "c", "d"])
    assert [request.url.partition("?")[2] for request in sent] == [
        "limit=2",
        "limit=2&after_id=b",
        "limit=2&after_id=c",
    ]


def test_pages_that_lead_nowhere_are_an_error_and_no_circle() -> None:
    error, found, _ = drive(BATCHES.all_flow(), page("a", more=True), page("a", more=True))
    assert isinstance(error, ProtocolError)
    assert len(found) == 2
    error, _, _ = drive(BATCHES.all_flow(), page(more=True))
    assert isinstance(error, ProtocolError)


# Results.

NESTED = {"type": "error", "error": {"type": "invalid_request_error", "message": "No."}, "request_id": "r9"}
FLAT = {"type": "overloaded_error", "message": "Later."}
ROWS = [
    row("a", "succeeded", message=message("one\u2028line")),
    row("b", "errored", error=NESTED),
    row("c", "errored", error=FLAT),
    row("d", "canceled"),
    row("e", "expired"),
]
ENDED = handle(succeeded=1, errored=2, canceled=1, expired=1)


def results(*lines: bytes, pieces: Callable[[bytes], list[bytes]] = lambda body: [body]) -> Reply:
    return 200, {"request-id": "r3"}, pieces(b"".join(line + b"\n" for line in lines))


def test_every_kind_of_row_is_read() -> None:
    count, rows, sent = drive(BATCHES.results_flow("msgbatch_1"), results(*ROWS), said(ENDED))
    assert count == 5
    assert [request.url for request in sent] == [f"{URL}/msgbatch_1/results", f"{URL}/msgbatch_1"]
    first = rows[0].outcome
    assert type(first) is Succeeded
    assert (first.response.text, first.response.usage.output_tokens) == ("one\u2028line", 2)
    assert rows[1:] == [
        BatchRow("b", Errored("invalid_request_error", "No.", "r9")),
        BatchRow("c", Errored("overloaded_error", "Later.")),
        BatchRow("d", Canceled()),
        BatchRow("e", Expired()),
    ]


def test_a_handle_of_an_ended_batch_saves_the_last_question() -> None:
    batch, _, _ = drive(BATCHES.retrieve_flow("msgbatch_1"), said(ENDED))
    count, _, sent = drive(BATCHES.results_flow(batch), results(*ROWS))
    assert (count, len(sent)) == (5, 1)
    # One of a batch that had not ended says nothing of how many rows there are.
    early = MessageBatch("msgbatch_1", "in_progress", BatchCounts(processing=5))
    _, _, sent = drive(BATCHES.results_flow(early), results(*ROWS), said(ENDED))
    assert len(sent) == 2


@pytest.mark.parametrize("rest", [b"", ROWS[4][:20], ROWS[4][:-1]])
def test_results_that_were_cut_off_never_look_whole(rest: bytes) -> None:
    body = b"".join(line + b"\n" for line in ROWS[:4]) + rest
    value, rows, _ = drive(BATCHES.results_flow("x"), (200, {}, [body]), said(ENDED))
    if rest:
        assert [type(r.outcome) for r in rows[4:]] == [Unreadable]
    else:
        assert isinstance(value, TransportError)
        assert (value.phase, value.provider, value.retryable) == ("body", "anthropic:claude", True)
        assert "4 of 5 rows" in value.message
    assert len(rows) == (5 if rest else 4)


def test_the_last_line_needs_no_end_and_lines_may_end_in_crlf() -> None:
    body = b"\r\n".join(ROWS)
    count, rows, _ = drive(BATCHES.results_flow("x"), (200, {}, [body]), said(ENDED))
    assert (count, rows[4]) == (5, BatchRow("e", Expired()))


@pytest.mark.parametrize(
    ("line", "custom_id"),
    [
        (b"{not json", None),
        (b"7", None),
        (b"{}", None),
        (pack({"custom_id": 7, "result": {"type": "expired"}}), None),
        (row("z", "a_new_kind"), "z"),
        (pack({"custom_id": "z", "result": None}), "z"),
        (row("z", "succeeded", message=None), "z"),
        (row("z", "succeeded", message={"content": [{}]}), "z"),
        (b"\xff", None),
    ],
)
def test_a_line_that_cannot_be_read_is_a_row_and_the_others_come(line: bytes, custom_id: str | None) -> None:
    count, rows, _ = drive(
        BATCHES.results_flow("x"), results(ROWS[0], line, ROWS[4]), said(handle(expired=3))
    )
    assert count == 3
    assert rows[1].custom_id == custom_id
    assert type(rows[1].outcome) is Unreadable and isinstance(rows[1].outcome.error, ProtocolError)
    assert rows[2] == BatchRow("e", Expired())


def test_a_row_whose_call_was_cut_off_is_not_a_success() -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    cut = message(reason="max_tokens", content=[{"type": "text", "text": "I"}, use])
    _, (found,), _ = drive(
        BATCHES.results_flow("x"), results(row("a", "succeeded", message=cut)), said(handle(succeeded=1))
    )
    assert type(found.outcome) is Unreadable
    assert found.outcome.error.partial.text == "I"


def test_rows_come_as_soon_as_they_are_whole() -> None:
    flow = BATCHES.results_flow("x")
    assert type(next(flow)) is Send
    assert type(flow.send(HttpHead(200, (), 1))) is Receive
    emit = flow.send(ROWS[3] + b"\n" + ROWS[4][:5])
    assert type(emit) is Emit and emit.events == [BatchRow("d", Canceled())]
    assert type(flow.send(None)) is Receive
    flow.close()


@given(st.lists(st.sampled_from([*ROWS, b"bad", b'{"custom_id":"q"}']), max_size=6), st.data())
def test_any_cut_gives_the_same_rows(lines: list[bytes], data: st.DataObject) -> None:
    body = b"\n".join(lines)
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    cut = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True) if a < b]

    def rows_of(pieces: list[bytes]) -> list[Any]:
        _, rows, _ = drive(BATCHES.results_flow("x"), (200, {}, pieces), said(handle()))
        return [
            (r.custom_id, str(r.outcome.error) if type(r.outcome) is Unreadable else r.outcome) for r in rows
        ]

    assert rows_of(cut) == rows_of([body])
    assert len(rows_of([body])) == len(lines)


@pytest.mark.parametrize("status", [400, 404])
def test_results_that_are_asked_for_too_early(status: int) -> None:
    error, rows, sent = drive(
        BATCHES.results_flow("msgbatch_1"), refused(status), said(handle("in_progress", processing=2))
    )
    assert isinstance(error, BatchNotReady)
    assert (error.batch_status, error.status, error.code) == ("in_progress", status, "invalid_request_error")
    assert (error.retryable, rows, len(sent)) == (False, [], 2)
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.batch_status, copy.message) == (error.batch_status, error.message)


def test_a_refusal_that_has_another_reason_stays_one() -> None:
    error, _, sent = drive(BATCHES.results_flow("x"), refused(404, "not_found_error"), said(handle()))
    assert (type(error), error.code, len(sent)) == (ProviderError, "not_found_error", 2)
    error, _, sent = drive(BATCHES.results_flow("x"), refused(429, "rate_limit_error", retry_after="8"))
    assert (type(error), error.retry_after, len(sent)) == (RateLimited, 8.0, 1)
    error, _, sent = drive(BATCHES.results_flow("x"), refused(502, "api_error"))
    assert (error.retryable, len(sent)) == (True, 1)


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    piece = b"x" * 4_000_000
    error, rows, _ = drive(BATCHES.results_flow("x"), (200, {}, [ROWS[4] + b"\n", *[piece] * 9]))
    assert isinstance(error, ProtocolError)
    assert [r.custom_id for r in rows] == ["e"]


# Blocking, under asyncio and under trio.


def vendor() -> ScriptedVendor:
    def answer(request: Any) -> Answer:
        path = request.target.partition("?")[0]
        if path.endswith("/results"):
            return Answer((b"\n".join(ROWS),))
        if path.endswith("/count_tokens"):
            return Answer.json(b'{"input_tokens": 14}')
        if request.method == "GET" and path.endswith("/batches"):
            return Answer.json(json.dumps({"data": [ENDED], "has_more": False}))
        return Answer.json(json.dumps(ENDED))

    return ScriptedVendor(answer)


def provider(url: str) -> Anthropic:
    return Anthropic("claude", "k", base_url=url)


def test_blocking() -> None:
    with LoopbackServer(vendor()) as server:
        batches = provider(server.url).batches
        made = batches.create_sync({"a": ASK})
        assert made == batches.retrieve_sync(made.id) == batches.cancel_sync(made.id)
        assert batches.list_sync(limit=1).batches == (made,)
        with batches.all_sync() as found:
            assert list(found) == [made]
        with batches.results_sync(made) as rows:
            assert [r.custom_id for r in rows] == ["a", "b", "c", "d", "e"]
            assert rows.result == 5
        assert provider(server.url).count_tokens_sync(ASK) == 14


async def asynchronously(url: str) -> None:
    batches = provider(url).batches
    made = await batches.create({"a": ASK})
    assert made == await batches.retrieve(made.id) == await batches.cancel(made.id)
    assert (await batches.list(limit=1)).batches == (made,)
    async with batches.all() as found:
        assert [batch async for batch in found] == [made]
    async with batches.results(made.id) as rows:
        assert [r.custom_id async for r in rows] == ["a", "b", "c", "d", "e"]
        assert rows.result == 5
    assert await provider(url).count_tokens(ASK) == 14


def test_under_asyncio_and_trio() -> None:
    with LoopbackServer(vendor()) as server:
        asyncio.run(asynchronously(server.url))
        trio.run(asynchronously, server.url)
