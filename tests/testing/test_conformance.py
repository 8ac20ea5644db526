"""The conformance kit: what keeps the contracts passes, and each way of breaking one is found."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from tako.effects import Emit, Failed, Flow, HttpRequest, Now, Receive, Send, Sleep, Succeeded
from tako.errors import Cancelled, ProtocolError, ProviderError, TakoError, TimedOut, TransportError
from tako.events import ChatChunk, ChatEnd, ChatError, TextDelta, ToolCall
from tako.models import ChatRequest, ChatResponse, Message, TextPart, ToolCallPart, ToolResultPart, Usage
from tako.providers.base import Relay, as_they_are
from tako.testing import (
    Answer,
    check_determinism,
    check_history,
    check_provider,
    check_split_invariance,
    check_stream_contract,
    check_truncation,
    comparable,
    first_difference,
    strategies,
)

from .toy import (
    STREAM,
    STREAMED,
    WHOLE,
    CredulousDecoder,
    CutDecoder,
    RepeatingDecoder,
    Toy,
    ToyDecoder,
)

END = ChatEnd("stop", Usage())
ERROR = ChatError(ProtocolError("x"))
FAILED = ChatEnd("error", Usage())


def call(name: str) -> ToolCallPart:
    return ToolCallPart(id=name, name="tool", args={})


def result(name: str) -> ToolResultPart:
    return ToolResultPart(id=name, name="tool", result="")


# Decoders.


def test_a_sound_decoder_passes() -> None:
    check_split_invariance(ToyDecoder, STREAM)
    check_split_invariance(ToyDecoder, STREAM, [STREAM[:5], STREAM[5:]])
    check_truncation(ToyDecoder, STREAM)
    check_truncation(ToyDecoder, STREAM + b"behind the mark\n")


def test_a_decoder_that_depends_on_the_cut_is_found() -> None:
    with pytest.raises(AssertionError, match="depend on how the bytes were cut"):
        check_split_invariance(CutDecoder, STREAM)
    check_split_invariance(CutDecoder, STREAM, [STREAM])


def test_a_cut_of_other_bytes_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="should be those of the body"):
        check_split_invariance(ToyDecoder, STREAM, [STREAM, b"x"])


def test_a_decoder_that_believes_a_truncated_answer_is_found() -> None:
    with pytest.raises(AssertionError, match=r"cut off after 0 of \d+ bytes, the answer looks whole"):
        check_truncation(CredulousDecoder, STREAM)


def test_a_body_that_is_truncated_already_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="without an error before"):
        check_truncation(ToyDecoder, STREAM[:-2])


# The order of chunks.


@pytest.mark.parametrize(
    "chunks", [[END], [TextDelta("a"), END], [ERROR, FAILED], [TextDelta("a"), ERROR, FAILED]]
)
def test_streams_in_order(chunks: list[ChatChunk]) -> None:
    check_stream_contract(chunks)


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([], "end with a ChatEnd"),
        ([TextDelta("a")], "end with a ChatEnd"),
        ([END, TextDelta("a")], "end with a ChatEnd"),
        ([END, END], "one ChatEnd, not 2"),
        ([ERROR, TextDelta("a"), FAILED], "nothing but the ChatEnd"),
        ([ERROR, ERROR, FAILED], "nothing but the ChatEnd"),
        ([ERROR, END], 'should be "error"'),
        ([ToolCall(call("a")), ToolCall(call("b")), ToolCall(call("a")), END], "'a' was announced 2 times"),
    ],
)
def test_streams_out_of_order(chunks: list[ChatChunk], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_stream_contract(chunks)


# Histories.


@given(strategies.conversations())
def test_made_conversations_are_valid_histories(messages: list[Message]) -> None:
    check_history(messages)


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([Message.assistant([call("a")])], r"\['a'\] at the end have no results"),
        (
            [Message.assistant([call("a")]), Message.user("x")],
            r"should answer the tool calls \['a'\], but answers \[\]",
        ),
        ([Message.assistant([call("a"), call("b")]), Message.tool([result("a")])], "should answer"),
        ([Message.assistant([call("a")]), Message.tool([result("a"), result("a")])], "should answer"),
        ([Message.assistant([call("a")]), Message.tool([result("a"), result("b")])], "should answer"),
        (
            [Message.assistant([call("a")]), Message.tool([result("a")]), Message.tool([result("a")])],
            "should answer",
        ),
        ([Message.tool([result("a")])], "should answer"),
        ([Message.tool([])], "no tool was called"),
        ([Message.user([result("a")])], "belong into a tool message"),
        ([Message.user([call("a")])], "only an assistant"),
        (
            [Message.assistant([call("a"), call("a")]), Message.tool([result("a"), result("a")])],
            "two tool calls",
        ),
    ],
)
def test_histories_that_no_vendor_takes(messages: list[Message], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_history(messages)


# Determinism.


def same(replies: int = 0) -> Flow[Any]:
    head = yield Send(HttpRequest("GET", "http://a.test/"))
    yield Emit([head])
    return (yield Receive(1))


def test_a_deterministic_flow_passes() -> None:
    for replies in (
        [],
        ["head"],
        ["head", None, b"x"],
        ["head", TransportError("x")],
        ["head", None, b"x", "more"],
    ):
        check_determinism(same, replies)


def test_a_flow_with_a_memory_is_found() -> None:
    count = itertools.count()

    def flow() -> Flow[Any]:
        yield Now()
        yield Sleep(next(count))

    with pytest.raises(AssertionError, match="number 1 is Sleep 1 s instead of Sleep 0 s"):
        check_determinism(flow, [0.0, None])

    def longer() -> Flow[Any]:
        for _ in range(next(count)):
            yield Now()

    with pytest.raises(AssertionError, match="did something else"):
        check_determinism(longer, [0.0] * 9)

    def result() -> Flow[Any]:
        yield Now()
        return next(count)

    with pytest.raises(AssertionError, match="returned"):
        check_determinism(result, [0.0])


# Comparing.


def test_what_is_comparable_across_drivers() -> None:
    one, other = (TransportError(text, phase="body", partial=[KeyError("x")]) for text in ("one", "other"))
    assert comparable(one) == comparable(other)
    assert comparable(Failed(one)) == comparable(Failed(other))
    assert comparable(one) != comparable(TransportError("one", phase="head", partial=[KeyError("x")]))
    assert comparable(one) != comparable(TransportError("one", phase="body", partial=[KeyError("y")]))
    assert comparable(one) != comparable(TimedOut("one", phase="body", partial=[KeyError("x")]))
    assert comparable(KeyError("a")) != comparable(KeyError("b"))
    assert comparable(Succeeded(1)) != comparable(Succeeded(2))
    assert comparable({"a": (1, [Cancelled()])}) == comparable({"a": [1, (Cancelled(),)]})
    assert comparable(same()) == comparable(same())


def test_the_first_difference() -> None:
    assert first_difference([1, 2], [1, 2]) is None
    assert first_difference([1, 2], [1, 3]) == "number 1 is 3 instead of 2"
    assert first_difference([1, 2], [1]) == "number 1 is missing: 2"
    assert first_difference([1], [1, 2]) == "number 1 is too much: 2"


# Providers. Each of them is wrong in one way.


def test_a_sound_provider_passes() -> None:
    check_provider(Toy, whole=WHOLE, streamed=STREAMED)


class CutToy(Toy):
    make_decoder = CutDecoder


class CredulousToy(Toy):
    make_decoder = CredulousDecoder


class RepeatingToy(Toy):
    make_decoder = RepeatingDecoder


class ChattyToy(Toy):
    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        yield Emit([TextDelta("a")])
        return (yield from super().chat_flow(request))


class TextToy(Toy):
    def chat_flow(self, request: ChatRequest) -> Flow[Any]:
        return (yield from super().chat_flow(request)).text


class ForgetfulToy(Toy):
    """Returns something else than it told."""

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        response = yield from super().stream_flow(request, relay)
        return response.model_copy(update={"message": Message.assistant([TextPart(text="?")])})


class SilentToy(Toy):
    """Does not tell of a failure before it raises it."""

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        return (
            yield from super().stream_flow(
                request, lambda chunks: [c for c in chunks if type(c) is not ChatError]
            )
        )


class PoorToy(Toy):
    """Loses what there was."""

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        try:
            return (yield from super().stream_flow(request, relay))
        except TransportError as error:
            error.partial = None
            raise


class PatientToy(Toy):
    """Takes a cancellation for a failure of the transport."""

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        try:
            return (yield from super().chat_flow(request))
        except Cancelled:
            raise TransportError("the peer went away") from None


class CarelessToy(Toy):
    """Does not look at the status."""

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        head = yield Send(self.http_request(request, stream=False))
        body = yield Receive(head.exchange)
        return self.decode({"text": body.decode()})


class MeddlingToy(Toy):
    """Changes its failures; what exactly, a subclass says."""

    def meddle(self, error: TakoError) -> TakoError:
        raise NotImplementedError

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        try:
            return (yield from super().chat_flow(request))
        except (ProviderError, ProtocolError) as error:
            raise self.meddle(error) from error

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        try:
            return (yield from super().stream_flow(request, relay))
        except (TransportError, ProviderError) as error:
            raise self.meddle(error) from error


class BlamingToy(MeddlingToy):
    """Takes a broken connection for a refusal."""

    def meddle(self, error: TakoError) -> TakoError:
        return ProviderError(error.message, partial=error.partial)


class StatuslessToy(MeddlingToy):
    def meddle(self, error: TakoError) -> TakoError:
        error.status = None
        return error


class BodilessToy(MeddlingToy):
    def meddle(self, error: TakoError) -> TakoError:
        error.body = None
        return error


class HintlessToy(MeddlingToy):
    def meddle(self, error: TakoError) -> TakoError:
        error.retry_after = None
        return error


class WebToy(MeddlingToy):
    """Takes a web page for a broken connection."""

    def meddle(self, error: TakoError) -> TakoError:
        return TransportError("x") if isinstance(error, ProtocolError) else error


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (CutToy, "cut into pieces of 1 bytes"),
        (CredulousToy, "broken after 0 bytes, the answer looks whole"),
        (RepeatingToy, "announced 2 times"),
        (ChattyToy, "`chat` should emit nothing"),
        (TextToy, "`chat` should return a ChatResponse"),
        (ForgetfulToy, "the message that `stream` returns"),
        (SilentToy, "should tell"),
        (PoorToy, "should carry what there was"),
        (BlamingToy, "expected TransportError or ProtocolError, not ProviderError"),
        (PatientToy, "cancelled at effect 0"),
        (StatuslessToy, "expected a RateLimited"),
        (BodilessToy, "the body of a 429 should be kept"),
        (HintlessToy, "retry-after should be 7 seconds, not None"),
        (WebToy, "a web page should be a ProtocolError"),
        (CarelessToy, "was taken for an answer"),
    ],
)
def test_a_provider_that_breaks_a_contract_is_found(provider: type[Toy], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_provider(provider, whole=WHOLE, streamed=replace(STREAMED, pieces=(STREAM,)))


def test_what_stands_behind_the_terminal_mark_may_be_missing() -> None:
    check_provider(Toy, whole=WHOLE, streamed=replace(STREAMED, pieces=(STREAM, b"behind the mark\n")))


def test_answers_that_are_none_are_mistakes() -> None:
    with pytest.raises(AssertionError, match="`chat` should take"):
        check_provider(Toy, whole=Answer.json("{}"), streamed=STREAMED)
    with pytest.raises(AssertionError, match="`stream` should take"):
        check_provider(Toy, whole=WHOLE, streamed=WHOLE)
