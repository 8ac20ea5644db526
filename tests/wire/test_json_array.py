"""The parser of a JSON array: what divides elements and what does not, every cut, and the limits."""

from __future__ import annotations

import itertools
import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput, ProtocolError, TakoError, TransportError
from tako.testing import strategies
from tako.wire import END, NEED_DATA
from tako.wire.json_array import JSONArrayParser
from tests.effort import examples

UNLIMITED = 10**9


def by_feed(pieces: list[bytes], limit: int = UNLIMITED) -> tuple[list[bytes], type[TakoError] | None]:
    parser = JSONArrayParser(max_element_size=limit)
    elements: list[bytes] = []
    failure: type[TakoError] | None = None
    for piece in [*pieces, b""]:
        try:
            elements += parser.feed(piece)
        except TakoError as error:
            failure = type(error)
    return elements, failure


def by_next_event(pieces: list[bytes], limit: int = UNLIMITED) -> tuple[list[bytes], type[TakoError] | None]:
    parser = JSONArrayParser(max_element_size=limit)
    elements: list[bytes] = []
    failure: type[TakoError] | None = None
    for piece in [*pieces, b""]:
        try:
            parser.receive_data(piece)
            while isinstance(element := parser.next_event(), bytes):
                elements.append(element)
            assert element is (NEED_DATA if piece else END)
        except TakoError as error:
            failure = type(error)
    return elements, failure


def single_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


VECTORS: list[tuple[bytes, list[bytes], type[TakoError] | None]] = [
    (b"[]", [], None),
    (b" \r\n[ \t] \n", [], None),
    (b"[1]", [b"1"], None),
    (b'[{"a":1}\n,\r\n{"b":[2,3]}\n]\n', [b'{"a":1}', b'{"b":[2,3]}'], None),
    (b'["],[", "\\"]", "\\\\"]', [b'"],["', b'"\\"]"', b'"\\\\"'], None),
    (b'[[[],{}],"x",null , true]', [b"[[],{}]", b'"x"', b"null", b"true"], None),
    ('["\u2028\u0085"]'.encode(), ['"\u2028\u0085"'.encode()], None),
    (b"[{]]", [b"{]"], None),  # what is inside is for whoever decodes it
    (b"", [], TransportError),
    (b"  ", [], TransportError),
    (b"[", [], TransportError),
    (b"[1", [], TransportError),
    (b"[1,", [b"1"], TransportError),
    (b"[1,2", [b"1"], TransportError),
    (b'[1,"]', [b"1"], TransportError),
    (b"{}", [], ProtocolError),
    (b"x[1]", [], ProtocolError),
    (b"[,]", [], ProtocolError),
    (b"[1,]", [b"1"], ProtocolError),
    (b"[1,,2]", [b"1"], ProtocolError),
    (b"[1}", [], ProtocolError),
    (b"[{}", [b"{}"], TransportError),
    (b"[{} {}]", [b"{}"], ProtocolError),
    (b"[{}1]", [b"{}"], ProtocolError),
    (b"[{},]", [b"{}"], ProtocolError),
    (b"[[1]]", [b"[1]"], None),
    (b"[1] 2", [b"1"], ProtocolError),
    (b"[1][2]", [b"1"], ProtocolError),
]


@pytest.mark.parametrize(("data", "elements", "failure"), VECTORS)
def test_what_divides_and_what_does_not(
    data: bytes, elements: list[bytes], failure: type[TakoError] | None
) -> None:
    for read in (by_feed, by_next_event):
        assert read([data] if data else []) == (elements, failure)
        assert read(single_bytes(data)) == (elements, failure)


@pytest.mark.parametrize("data", [data for data, _, failure in VECTORS if failure])
def test_a_mistake_is_told_in_the_same_words_for_any_cut(data: bytes) -> None:
    def words(pieces: list[bytes]) -> str:
        parser = JSONArrayParser()
        with pytest.raises(TakoError) as caught:
            for piece in [*pieces, b"", b""]:
                parser.feed(piece)
        return str(caught.value)

    assert words([data] if data else []) == words(single_bytes(data))


WORDS = st.sampled_from(
    [b"[", b"]", b"{", b"}", b",", b'"', b"\\", b" ", b"\n", b"1", b'{"a":[1]}', b'"\\""', b"\xe2"]
)


@settings(max_examples=examples(2), deadline=None)
@given(
    st.lists(WORDS, max_size=20).map(b"".join), st.lists(st.integers(1, 40), max_size=5), st.integers(1, 12)
)
def test_every_cut_gives_the_same(tail: bytes, places: list[int], limit: int) -> None:
    for data in (tail, b"[" + tail, b"[" + tail + b"]"):
        for size in (limit, UNLIMITED):
            whole = by_feed([data] if data else [], size)
            assert by_feed(cut(data, places), size) == whole
            assert by_feed(single_bytes(data), size) == whole
            assert by_next_event(single_bytes(data), size) == whole


@given(st.lists(strategies.json_values(), max_size=4), st.sampled_from([None, 1]), st.data())
def test_what_json_writes_comes_back(values: list[Any], indent: int | None, data: st.DataObject) -> None:
    body = json.dumps(values, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    elements, failure = by_feed(data.draw(strategies.cuts(body)))
    assert failure is None
    assert [json.loads(element) for element in elements] == values


def test_cut_off_anywhere_it_is_a_transport_error() -> None:
    body = b'[{"a":"]"}, [1], "x"]'
    for size in range(len(body)):
        elements, failure = by_feed([body[:size]] if size else [])
        assert failure is TransportError
        assert elements == [b'{"a":"]"}', b"[1]", b'"x"'][: len(elements)]


def test_an_object_is_told_before_what_comes_behind_it() -> None:
    parser = JSONArrayParser()
    assert parser.feed(b'[{"a":1}') == [b'{"a":1}']
    assert parser.feed(b'\n,\n{"b":[2]') == []
    assert parser.feed(b"}") == [b'{"b":[2]}']
    assert parser.feed(b"]") == []


def test_closed_says_whether_the_array_has_ended() -> None:
    parser = JSONArrayParser()
    parser.feed(b"[1")
    assert not parser.closed
    parser.feed(b"]")
    assert parser.closed


@pytest.mark.parametrize("size", [4, 5])
def test_an_element_may_be_as_long_as_the_limit_and_no_longer(size: int) -> None:
    body = b"[ 1 , " + b"7" * size + b",2]"
    for pieces in ([body], single_bytes(body)):
        elements, failure = by_feed(pieces, limit=4)
        assert (elements, failure) == (
            ([b"1", b"7777", b"2"], None) if size == 4 else ([b"1"], ProtocolError)
        )


def test_white_space_without_end_is_not_held() -> None:
    parser = JSONArrayParser(max_element_size=100)
    for _ in range(50):
        assert parser.feed(b" " * 1000) == []
    parser.feed(b"[")
    for _ in range(50):
        assert parser.feed(b"\n" * 1000) == []
    assert parser.feed(b"1]") == [b"1"]


def test_a_failure_stays_one_and_nothing_comes_after_the_end() -> None:
    parser = JSONArrayParser()
    for data in (b"x", b"[1]", b""):
        with pytest.raises(ProtocolError, match="not an array"):
            parser.feed(data)
    ended = JSONArrayParser()
    ended.feed(b"[]")
    ended.feed(b"")
    with pytest.raises(InvalidInput, match="after the end"):
        ended.feed(b"[]")
    with pytest.raises(InvalidInput, match="max_element_size"):
        JSONArrayParser(0)


def test_time_is_linear_however_it_is_cut() -> None:
    """Counted in calls of functions: four times the bytes may cost little more than four times as much."""

    def calls(size: int) -> int:
        body, count = b'["' + b"a\\\\b" * size + b'"]', 0

        def counting(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        pieces = [body[place : place + 7] for place in range(0, len(body), 7)]
        parser = JSONArrayParser()
        sys.setprofile(counting)
        try:
            for piece in pieces:
                parser.feed(piece)
        finally:
            sys.setprofile(None)
        return count

    assert calls(2000) < 4.4 * calls(500)
