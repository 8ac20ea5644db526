"""Contracts 1, 2, 3, 5 and 10: what a stream of chunks is, whatever happens to its bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Failed, Succeeded, within
from tako.errors import ProviderError, TakoError
from tako.events import ChatEnd, ChatError, ToolCall
from tako.models import ChatRequest, ChatResponse, Message
from tako.providers.base import Provider, _telling
from tako.testing import (
    Answer,
    ScriptedVendor,
    check_stream_contract,
    check_truncation,
    first_difference,
    strategies,
)
from tests.contracts.drivers import DRIVERS, SIMULATOR, Driver
from tests.contracts.subjects import (
    FORMATS,
    SUBJECTS,
    VENDORS,
    Subject,
    cut_off,
    examples,
    in_pieces,
    replies,
    text_of,
    with_odd_value,
)
from tests.contracts.wires.reply import Reply

REQUEST = ChatRequest(messages=(Message.user("hello"),))

drivers = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
vendors = pytest.mark.parametrize("subject", VENDORS, ids=lambda subject: subject.name)


def told(provider: Provider) -> Any:
    """The stream as somebody sees it who iterates over a provider."""
    return _telling(provider.stream_flow(REQUEST))


@drivers
@subjects
def test_1_any_cut_of_the_bytes_gives_the_same_chunks(driver: Driver, subject: Subject) -> None:
    @examples(10, driver, subject)
    @given(reply=replies(), sizes=st.lists(st.integers(1, 60), min_size=1, max_size=4))
    def holds(reply: Reply, sizes: list[int]) -> None:
        whole = SIMULATOR.observe(subject.vendor([reply]), lambda url: told(subject.provider(url, [reply])))
        cut = driver.observe(
            subject.vendor([reply], in_pieces(sizes)), lambda url: told(subject.provider(url, [reply]))
        )
        assert first_difference(whole.events, cut.events) is None
        assert isinstance(cut.outcome, Succeeded) and isinstance(cut.outcome.value, ChatResponse)
        assert cut.outcome.value.message.text == reply.text
        assert subject.same_calls(cut.outcome.value.message.tool_calls, reply.calls)

    holds()


@drivers
@subjects
def test_2_a_stream_that_breaks_off_ends_in_an_error(driver: Driver, subject: Subject) -> None:
    @examples(10, driver, subject)
    @given(reply=replies(), fraction=st.floats(0, 0.999))
    def holds(reply: Reply, fraction: float) -> None:
        def provider(url: str) -> Provider:
            if subject.broken is not None:
                return subject.broken(url, reply, fraction)
            return subject.provider(url, [reply])

        seen = driver.observe(subject.vendor([reply], cut_off(fraction)), lambda url: told(provider(url)))
        check_stream_contract(seen.events)
        assert type(seen.events[-2]) is ChatError
        assert reply.text.startswith(text_of(seen.events))
        # 3: a call that was cut off is not announced.
        assert not [event for event in seen.events if type(event) is ToolCall]
        # 5: the error that the result raises has what there was.
        assert isinstance(seen.outcome, Failed) and isinstance(seen.outcome.error, TakoError)
        partial = seen.outcome.error.partial
        assert isinstance(partial, ChatResponse) and partial.finish_reason == "error"
        assert partial.message.text == text_of(seen.events)

    holds()


@pytest.mark.parametrize("subject", FORMATS, ids=lambda subject: subject.name)
def test_2_and_3_cut_at_every_byte_a_stream_never_looks_whole(subject: Subject) -> None:
    @examples(6, SIMULATOR, subject)
    @given(reply=replies(most_calls=2))
    def holds(reply: Reply) -> None:
        assert subject.answer is not None and subject.decoder is not None
        check_truncation(subject.decoder, subject.answer(reply)[1].body)

    holds()


@drivers
@vendors
def test_2_and_10_garbage_is_an_answer(driver: Driver, subject: Subject) -> None:
    @examples(10, driver, subject)
    @given(garbage=strategies.hostile_bytes(), place=st.floats(0, 1), reply=replies())
    def holds(garbage: bytes, place: float, reply: Reply) -> None:
        def spoil(body: bytes) -> list[bytes]:
            at = int(len(body) * place)
            return [body[:at], garbage, body[at:]]

        seen = driver.observe(
            subject.vendor([reply], spoil), lambda url: within(20, told(subject.provider(url, [reply])))
        )
        check_stream_contract(seen.events)
        assert isinstance(seen.outcome, Succeeded) or isinstance(seen.outcome.error, TakoError)

    holds()


@vendors
def test_2_and_10_an_odd_value_is_an_answer(subject: Subject) -> None:
    @examples(150, SIMULATOR, subject)
    @given(
        reply=replies(most_calls=2),
        number=st.integers(0, 10_000),
        odd=st.sampled_from((None, True, 7, -1.5, "odd", "", [], [None], {}, {"odd": []}, [[]], "\ud800")),
    )
    def holds(reply: Reply, number: int, odd: Any) -> None:
        seen = SIMULATOR.observe(
            subject.vendor([reply], with_odd_value(subject.framing, number, odd)),
            lambda url: within(20, told(subject.provider(url, [reply]))),
        )
        check_stream_contract(seen.events)
        assert isinstance(seen.outcome, Succeeded) or isinstance(seen.outcome.error, TakoError)

    holds()


@drivers
@vendors
def test_10_any_whole_answer_is_a_response_or_a_tako_error(driver: Driver, subject: Subject) -> None:
    @examples(10, driver, subject)
    @given(body=strategies.hostile_bytes(), status=st.sampled_from((200, 204, 302, 400, 429, 500, 529)))
    def holds(body: bytes, status: int) -> None:
        answer = Answer((body,) if body and status != 204 else (), status)
        seen = driver.observe(
            ScriptedVendor(answer), lambda url: within(20, subject.provider(url, []).chat_flow(REQUEST))
        )
        if isinstance(seen.outcome, Failed):
            assert isinstance(seen.outcome.error, TakoError)
            assert seen.outcome.error.provider == subject.provider("http://x", []).id
        else:
            assert status == 200 and isinstance(seen.outcome.value, ChatResponse)

    holds()


@drivers
@vendors
def test_5_a_refusal_keeps_all_that_the_vendor_said(driver: Driver, subject: Subject) -> None:
    @examples(10, driver, subject)
    @given(
        status=st.sampled_from((400, 401, 403, 404, 413, 422, 429, 500, 503, 529)),
        message=strategies.texts().filter(lambda text: bool(text.strip())),
        streaming=st.booleans(),
    )
    def holds(status: int, message: str, streaming: bool) -> None:
        body = json.dumps({"error": {"type": "some_type", "message": message}}, ensure_ascii=False).encode()
        answer = Answer(
            (body,),
            status,
            (("content-type", "application/json"), ("x-request-id", "req_7"), ("retry-after", "1.5")),
        )

        def flow(url: str) -> Any:
            provider = subject.provider(url, [])
            return told(provider) if streaming else provider.chat_flow(REQUEST)

        seen = driver.observe(ScriptedVendor(answer), flow)
        assert isinstance(seen.outcome, Failed) and isinstance(seen.outcome.error, ProviderError)
        error = seen.outcome.error
        assert (error.status, error.code, error.request_id, error.retry_after) == (
            status,
            "some_type",
            "req_7",
            1.5,
        )
        assert error.body == body.decode() and message in error.message
        if streaming:
            check_stream_contract(seen.events)
            assert [type(event) for event in seen.events] == [ChatError, ChatEnd]

    holds()
