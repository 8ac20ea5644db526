"""The playbook: what fits goes through; what does not says where, what was expected and what came."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from tako.cancellation import CancellationToken
from tako.effects import (
    Call,
    Emit,
    Flow,
    Gather,
    HttpHead,
    HttpRequest,
    Now,
    Receive,
    Send,
    Sleep,
    Succeeded,
    Within,
)
from tako.errors import Cancelled, Interrupted, TransportError
from tako.testing import ANY, Playbook, PlaybookMismatch, matching, strategies
from tako.testing.describing import describe
from tako.testing.patterns import differences


def download(url: str) -> Flow[bytes]:
    head: HttpHead = yield Send(HttpRequest("GET", url))
    pieces = []
    try:
        while data := (yield Receive(head.exchange)):
            pieces.append(data)
            yield Emit([len(data), "bytes"])
    except TransportError:
        yield Emit(["broken"])
    return b"".join(pieces)


URL = "http://a.test/"
HEAD = HttpHead(200, (), 7)


def mismatch(play: Any) -> str:
    with pytest.raises(PlaybookMismatch) as caught:
        play()
    return str(caught.value)


def test_a_flow_that_follows_its_playbook() -> None:
    result = (
        Playbook(download(URL))
        .expect(Send(HttpRequest("GET", URL)), reply=HEAD)
        .expect(Receive(7), reply=b"abc")
        .emits(3, "bytes")
        .expect(Receive(7), raises=TransportError("x"))
        .emits("broken")
        .returns(b"abc")
    )
    assert result == b"abc"


@pytest.mark.parametrize(
    "pattern",
    [
        Send,
        Send(ANY),
        ANY,
        Send(HttpRequest("GET", ANY)),
        Send(matching(lambda request: request.method == "GET")),
        Send(HttpRequest(matching(str.isupper), URL, headers=ANY)),
    ],
)
def test_patterns_that_fit(pattern: Any) -> None:
    Playbook(download(URL)).expect(pattern, reply=HEAD).expect(Receive, reply=b"").returns()


def test_the_mismatch_shows_the_script_and_the_fields() -> None:
    def play() -> None:
        book = Playbook(download(URL)).expect(Send(ANY), reply=HEAD).expect(Receive(7), reply=b"abc")
        book.emits(3, "bytes").expect(Receive(8))

    assert mismatch(play) == (
        "the flow left its playbook:\n"
        "  1  Send GET http://a.test/  ->  HttpHead(status=200, headers=(), exchange=7)\n"
        "  2  Receive from exchange 7  ->  b'abc'\n"
        "  3  emitted 3\n"
        "  4  emitted 'bytes'\n"
        "  5  expected  Receive from exchange 8\n"
        "     got       Receive from exchange 7\n"
        "               exchange: expected 8, got 7"
    )


def test_nested_fields_are_named_by_their_path() -> None:
    other = HttpRequest("POST", URL, (("a", "1"),))
    text = mismatch(lambda: Playbook(download(URL)).expect(Send(other)))
    assert "request.method: expected 'POST', got 'GET'" in text
    assert "request.headers: expected 1 items: (('a', '1'),), got 0: ()" in text
    assert "request.url" not in text


def three() -> Flow[int]:
    yield Now()
    yield Emit(["a", "b"])
    return 3


@pytest.mark.parametrize(
    ("play", "expected", "got"),
    [
        (lambda book: book.expect(Sleep), "Sleep", "Now()"),
        (lambda book: book.emits("a"), "the event 'a'", "Now()"),
        (lambda book: book.returns(3), "the end of the flow", "Now()"),
        (lambda book: book.raises(KeyError), "the error KeyError", "Now()"),
        (lambda book: book.expect(Now).expect(Now), "Now", "the event 'a'"),
        (lambda book: book.expect(Now).emits("b"), "the event 'b'", "the event 'a'"),
        (lambda book: book.expect(Now).emits("a").returns(3), "the end of the flow", "the event 'b'"),
        (lambda book: book.expect(Now).emits("a", "b", "c"), "the event 'c'", "it returned 3"),
        (lambda book: book.expect(Now).emits("a", "b").expect(Now), "Now", "it returned 3"),
        (lambda book: book.expect(Now).emits("a", "b").returns(4), "the result 4", "it returned 3"),
        (
            lambda book: book.expect(Now).emits("a", "b").raises(KeyError),
            "the error KeyError",
            "it returned 3",
        ),
        (
            lambda book: book.expect(Now, raises=KeyError("k")).returns(3),
            "the result 3",
            "it raised KeyError: 'k'",
        ),
        (
            lambda book: book.expect(Now, raises=KeyError("k")).raises(KeyError, "other"),
            "the error KeyError with 'other'",
            "it raised KeyError: 'k'",
        ),
        (lambda book: book.expect(Now, raises=KeyError("k")).expect(Now), "Now", "it raised KeyError: 'k'"),
        (lambda book: book.children(), "a Gather or Within to have the children of", "None"),
    ],
)
def test_every_way_to_leave_the_playbook(play: Any, expected: str, got: str) -> None:
    text = mismatch(lambda: play(Playbook(three())))
    assert f"expected  {expected}\n" in text
    assert f"got       {got}" in text


def test_an_error_of_the_flow_is_the_cause_of_the_mismatch() -> None:
    error = KeyError("k")
    with pytest.raises(PlaybookMismatch) as caught:
        Playbook(three()).expect(Now, raises=error).returns()
    assert caught.value.__cause__ is error


def test_what_the_flow_raises_is_returned() -> None:
    error = KeyError("k")
    assert Playbook(three()).expect(Now, raises=error).raises(KeyError, match="k") is error


def test_events_may_be_left_out_of_account() -> None:
    book = Playbook(three()).expect(Now)
    assert book.emits_anything() == ["a", "b"]
    assert book.emits_anything() == []
    book.returns(3)


def test_events_of_several_emits_and_of_empty_ones() -> None:
    def flow() -> Flow[None]:
        for events in ([], [1], [], [2, 3], []):
            yield Emit(events)

    Playbook(flow()).emits(1, 2, 3).returns(None)


def test_the_children_have_playbooks_of_their_own() -> None:
    def flow() -> Flow[Any]:
        outcomes = yield Gather((three(), download(URL)))
        result = yield Within(2.0, three())
        return outcomes, result

    book = Playbook(flow())
    book.expect(Gather, reply=[Succeeded(1), Succeeded(2)])
    first, second = book.children()
    first.expect(Now).emits("a", "b").returns(3)
    second.expect(Send(ANY), reply=HEAD).expect(Receive, reply=b"").returns(b"")
    book.expect(Within(2.0, ANY), reply="result")
    (inner,) = book.children()
    inner.expect(Now).close()
    assert isinstance(book.effect, Within)
    book.returns(([Succeeded(1), Succeeded(2)], "result"))


def test_a_part_with_a_token_of_its_own() -> None:
    def flow(token: CancellationToken) -> Flow[Any]:
        try:
            yield Within(None, three(), token)
        except Interrupted as error:
            return error.partial

    token = CancellationToken()
    book = Playbook(flow(token))
    book.expect(Within(None, ANY, token), raises=Interrupted("interrupted", partial="half"))
    (inner,) = book.children()
    inner.expect(Now, raises=Cancelled()).raises(Cancelled)
    assert book.returns() == "half"
    text = mismatch(lambda: Playbook(flow(token)).expect(Within(None, ANY, CancellationToken())))
    assert "token: expected <CancellationToken live>, got <CancellationToken live>" in text
    assert "got       Within a token: three" in text


@pytest.mark.parametrize(
    ("seconds", "token", "words"),
    [
        (2.0, None, "Within 2.0 s: three"),
        (None, CancellationToken(), "Within a token: three"),
        (2.0, CancellationToken(), "Within 2.0 s and a token: three"),
        (None, None, "Within no limit: three"),
    ],
)
def test_a_part_is_described_by_its_limits(
    seconds: float | None, token: CancellationToken | None, words: str
) -> None:
    assert describe(Within(seconds, three(), token)) == words


def test_a_call_is_matched_by_its_function() -> None:
    def flow() -> Flow[Any]:
        return (yield Call(len, ("ab",)))

    Playbook(flow()).expect(Call(len, ("ab",)), reply=2).returns(2)
    text = mismatch(lambda: Playbook(flow()).expect(Call(len, ("abc",))))
    assert "arguments[0]: expected 'abc', got 'ab'" in text
    assert "function: expected <built-in function repr>" in mismatch(
        lambda: Playbook(flow()).expect(Call(repr, ("ab",)))
    )


@given(strategies.json_values())
def test_a_value_differs_from_nothing_that_is_the_same(value: Any) -> None:
    assert differences(value, value) == []
    assert differences(ANY, value) == []
    assert differences([value], [value, value]) != []
    assert differences({"a": value}, {"b": value}) != []
    assert differences(("other", value), ("another", value)) != []


def test_errors_are_compared_by_type_and_words() -> None:
    assert differences(KeyError("a"), KeyError("a")) == []
    assert differences(KeyError("a"), KeyError("b")) != []
    assert differences(KeyError("a"), LookupError("a")) != []
    assert differences(KeyError, KeyError("a")) == []
    assert differences(OSError, KeyError("a")) != []


def test_patterns_show_what_they_are() -> None:
    assert repr(ANY) == "ANY"
    assert repr(matching(str.isupper)) == "matching(str.isupper)"
    assert repr(matching(str.isupper, "capitals")) == "matching(capitals)"
