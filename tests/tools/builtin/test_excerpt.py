"""Excerpt: bounded, exact about what was cut, and no character is ever split."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.tools.builtin.excerpt import WIDEST, Excerpt

CUT = re.compile(r"\n\[\.\.\. ([\d,]+) bytes cut \.\.\.\]\n")

texts = st.text(alphabet="aé€\U0001f419\n", max_size=60)
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def cut_up(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, again and again."""
    pieces: list[bytes] = []
    start = 0
    while start < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[start : start + size])
        start += size
    return pieces


def written(limit: int, pieces: list[bytes]) -> Excerpt:
    excerpt = Excerpt(limit)
    for piece in pieces:
        excerpt.write(piece)
    return excerpt


@given(text=texts, sizes=sizes, limit=st.integers(1, 70))
def test_it_gives_the_text_or_its_beginning_and_end(text: str, sizes: list[int], limit: int) -> None:
    found = written(limit, cut_up(text.encode(), sizes)).text()
    if len(text) <= limit:
        assert found == text
        return
    first, cut, last = CUT.split(found)
    assert text.startswith(first)
    assert text.endswith(last)
    assert len(first) + len(last) == limit
    assert int(cut.replace(",", "")) == len(text.encode()) - len((first + last).encode())


@given(data=st.binary(max_size=80), sizes=sizes, limit=st.integers(1, 30))
def test_any_bytes_give_text_and_count_exactly(data: bytes, sizes: list[int], limit: int) -> None:
    found = written(limit, cut_up(data, sizes)).text()
    assert not re.search("[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f\ud800-\udfff]", found)
    parts = CUT.split(found)
    if len(parts) == 1:
        assert len(found) <= limit
    else:
        first, cut, last = parts
        assert len(first) + len(last) <= limit
        # Each character that was kept stands for one byte or for a whole character.
        kept = len(data) - int(cut.replace(",", ""))
        assert len(first) + len(last) <= kept <= WIDEST * (len(first) + len(last))


@given(text=texts, sizes=sizes, taken=st.sets(st.integers(0, 70)))
def test_pieces_that_are_taken_add_up_to_the_text(text: str, sizes: list[int], taken: set[int]) -> None:
    excerpt, found = Excerpt(1_000), []
    for number, piece in enumerate(cut_up(text.encode(), sizes)):
        excerpt.write(piece)
        if number in taken:
            found.append(excerpt.take())
            assert "\ufffd" not in found[-1]
            assert excerpt.total < WIDEST
    found.append(excerpt.text())
    assert "".join(found) == text


@given(text=texts, sizes=sizes, limit=st.integers(1, 12))
def test_a_character_is_not_split_where_taking_and_cutting_meet(
    text: str, sizes: list[int], limit: int
) -> None:
    excerpt = written(limit, cut_up(text.encode(), sizes))
    assert "\ufffd" not in excerpt.text()
    for end in range(len(text.encode())):
        begun = text.encode()[:end]
        part = written(limit, cut_up(begun, sizes))
        assert "\ufffd" not in part.take()
        assert part.total == len(begun) - len(begun.decode("utf-8", "ignore").encode())


@pytest.mark.parametrize("size", [1, 1_000, 65_536])
def test_what_is_kept_is_bounded_whatever_comes(size: int) -> None:
    limit, piece = 100, bytes(size)
    excerpt = Excerpt(limit)
    for _ in range(2_000):
        excerpt.write(piece)
        kept = len(excerpt._head) + sum(map(len, excerpt._tail))
        assert kept <= WIDEST * limit + 2 * WIDEST + size
    assert excerpt.total == 2_000 * size
