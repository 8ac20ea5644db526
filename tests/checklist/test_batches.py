"""T01-T10: message batches. What each call sends and gives, and what happens when it goes wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic_core import from_json

from tako.effects import Flow
from tako.errors import InvalidInput, ProtocolError, ProviderError, RateLimited, TakoError
from tako.models import ChatRequest
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
from tako.testing import Answer, ScriptedVendor, Simulator
from tako.wire.ndjson import NDJSONParser
from tests.checklist.wires import USER

BATCHES = Anthropic("claude", "k").batches
ASK = ChatRequest(messages=(USER,))
HERE = "/v1/messages/batches"


def handle(status: str, **counts: int) -> dict[str, Any]:
    return {"id": "b1", "processing_status": status, "request_counts": counts}


def told(payload: Any, status: int = 200, **headers: str) -> Answer:
    return Answer.json(payload if isinstance(payload, bytes) else json.dumps(payload), status, **headers)


def row(custom_id: str, kind: str, **fields: Any) -> bytes:
    return json.dumps({"custom_id": custom_id, "result": {"type": kind, **fields}}).encode()


def message(text: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"type": "message", "role": "assistant", "stop_reason": "end_turn", "content": content}


def asked(flow: Flow[Any], *answers: Answer) -> tuple[Any, list[Any], list[str]]:
    """The result or the error of a flow, what it emitted, and what the vendor was asked."""
    vendor = ScriptedVendor(answers)
    events: list[Any] = []
    result: Any = None
    try:
        with Simulator(vendor=vendor).stream(flow) as run:
            for event in run:
                events.append(event)
            result = run.result
    except TakoError as error:
        result = error
    return result, events, [f"{request.method} {request.target}" for request in vendor.requests]


def test_T01_create_posts_the_requests_and_reads_the_handle() -> None:
    vendor = ScriptedVendor(told(handle("in_progress", processing=2)))
    batch = Simulator(vendor=vendor).run(BATCHES.create_flow({"a": ASK, "b": ASK}))
    (request,) = vendor.requests
    assert (request.method, request.target) == ("POST", HERE)
    assert [item["custom_id"] for item in from_json(request.body)["requests"]] == ["a", "b"]
    assert from_json(request.body)["requests"][0]["params"]["messages"][0]["role"] == "user"
    assert batch == MessageBatch("b1", "in_progress", BatchCounts(processing=2))
    assert not batch.is_terminal


@pytest.mark.parametrize("ids", [[""], ["x" * 65], ["a b"], ["a", "a"]])
def test_T02_wrong_ids_are_refused_before_anything_is_sent(ids: list[str]) -> None:
    with pytest.raises(InvalidInput, match=r"(invalid|duplicate) custom_id"):
        BATCHES.create_flow([(custom_id, ASK) for custom_id in ids])  # no effect was asked for yet
    batch, _, _ = asked(BATCHES.create_flow({"x" * 64: ASK, "a-_9": ASK}), told(handle("in_progress")))
    assert batch.id == "b1"


def test_T03_only_ended_is_terminal_and_an_unknown_status_is_an_error() -> None:
    for status, terminal in (("in_progress", False), ("canceling", False), ("ended", True)):
        batch, _, requests = asked(BATCHES.retrieve_flow("b1"), told(handle(status)))
        assert (batch.status, batch.is_terminal) == (status, terminal)
        assert requests == [f"GET {HERE}/b1"]
    for unknown in ("Ended", "cancelled", ""):
        error, _, _ = asked(BATCHES.retrieve_flow("b1"), told(handle(unknown)))
        assert isinstance(error, ProtocolError)


def test_T04_every_outcome_is_read() -> None:
    flat = {"type": "invalid_request_error", "message": "No."}
    lines = [
        row("a", "succeeded", message=message("Hi")),
        row("b", "errored", error=flat),
        row("c", "errored", error={"type": "error", "error": flat}),
        row("d", "canceled"),
        row("e", "expired"),
    ]
    count, rows, _ = asked(
        BATCHES.results_flow("b1"),
        told(b"\n".join(lines)),
        told(handle("ended", succeeded=1, errored=2, canceled=1, expired=1)),
    )
    refusal = Errored("invalid_request_error", "No.")
    assert count == 5
    assert type(rows[0].outcome) is Succeeded and rows[0].outcome.response.text == "Hi"
    assert rows[1:] == [
        BatchRow("b", refusal),
        BatchRow("c", refusal),
        BatchRow("d", Canceled()),
        BatchRow("e", Expired()),
    ]


def test_T05_results_before_their_time_are_told_as_such_after_one_look() -> None:
    error, _, requests = asked(
        BATCHES.results_flow("b1"), told({"error": {}}, 400), told(handle("in_progress", processing=1))
    )
    assert isinstance(error, BatchNotReady)
    assert (error.batch_status, error.status, error.retryable) == ("in_progress", 400, False)
    assert requests == [f"GET {HERE}/b1/results", f"GET {HERE}/b1"]


def test_T06_other_refusals_of_results_keep_their_class_and_cost_no_look() -> None:
    error, _, requests = asked(BATCHES.results_flow("b1"), told({}, 429, retry_after="8"))
    assert (type(error), error.retry_after, len(requests)) == (RateLimited, 8.0, 1)
    error, _, requests = asked(BATCHES.results_flow("b1"), told({}, 502))
    assert (type(error), error.retryable, len(requests)) == (ProviderError, True, 1)


def test_T07_refusals_of_the_other_calls_keep_their_class() -> None:
    error, _, _ = asked(BATCHES.create_flow({"a": ASK}), told({}, 429, retry_after="12"))
    assert (type(error), error.retry_after) == (RateLimited, 12.0)
    error, _, _ = asked(BATCHES.retrieve_flow("b1"), told({}, 502))
    assert (type(error), error.retryable) == (ProviderError, True)


def test_T08_a_line_that_cannot_be_read_is_a_row_and_the_next_still_comes() -> None:
    lines = b"\n".join([b"{oops", row("b", "canceled")])
    count, rows, _ = asked(BATCHES.results_flow("b1"), told(lines), told(handle("ended", canceled=2)))
    assert count == 2
    assert type(rows[0].outcome) is Unreadable and isinstance(rows[0].outcome.error, ProtocolError)
    assert rows[1] == BatchRow("b", Canceled())


def test_T09_cancel_says_what_the_batch_does_and_list_passes_its_bounds() -> None:
    batch, _, requests = asked(BATCHES.cancel_flow("b1"), told(handle("canceling")))
    assert (batch.status, requests) == ("canceling", [f"POST {HERE}/b1/cancel"])
    page = {"data": [handle("ended")], "has_more": True, "first_id": "b1", "last_id": "b1"}
    for bounds, query in (({"before_id": "b2"}, "before_id=b2"), ({"after_id": "b0"}, "after_id=b0")):
        found, _, requests = asked(BATCHES.list_flow(limit=1, **bounds), told(page))
        assert requests == [f"GET {HERE}?limit=1&{query}"]
        assert ([one.id for one in found.batches], found.has_more, found.last_id) == (["b1"], True, "b1")


def test_T10_only_whole_lines_are_given_and_the_rest_is_kept() -> None:
    lines = NDJSONParser()
    assert list(lines.feed(b'{"a":1}\r\n{"b"')) == [b'{"a":1}']
    assert list(lines.feed(b":2}")) == []
    assert list(lines.feed(b"\n")) == [b'{"b":2}']
    assert list(lines.feed(b"last")) == []
    assert list(lines.feed(b"")) == [b"last"]
