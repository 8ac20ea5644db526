"""The machine that follows the final answer as a coordinator writes it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.orchestrators.conductor.answer_reader import AnswerReader
from tests.effort import examples

texts = st.text(max_size=30) | st.text(alphabet='"\\{}[]nu\n😀é,:', max_size=30)
ESCAPED = st.lists(
    st.sampled_from(
        ["\\ud83d", "\\ude00", "\\n", "\\\\", '\\"', "\\u00e9", "\\u12", "\\x", "x", "{", "}", "é"]
    ),
    max_size=12,
).map("".join)
others = st.dictionaries(
    st.sampled_from(["thought", "dispatch", "a", "final", "answer", "\u00e9"]),
    texts
    | st.lists(texts, max_size=3)
    | st.dictionaries(texts, texts, max_size=2)
    | st.booleans()
    | st.none(),
    max_size=4,
)


def read(pieces: list[str]) -> tuple[str, bool]:
    reader = AnswerReader()
    said = "".join([reader.feed(piece) for piece in pieces])
    assert said == reader.text
    return said, reader.has_begun


def cut(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


@settings(max_examples=examples(0.6))
@given(
    before=others,
    answer=texts,
    after=others,
    ascii_only=st.booleans(),
    indent=st.none() | st.just(2),
    fence=st.sampled_from(["", "```json\n", " \n", "\ufeff"]),
)
def test_the_answer_of_a_plan_is_read(
    before: Any, answer: str, after: Any, ascii_only: bool, indent: int | None, fence: str
) -> None:
    said = {**before, "halt": True, "final_answer": answer}
    said.update({key: value for key, value in after.items() if key not in said})
    text = fence + json.dumps(said, ensure_ascii=ascii_only, indent=indent)
    assert read([text]) == (answer, True)


@given(
    text=st.builds('{{"x": [{{}}, "{0}"], "halt": true, "final_answer": "{0}", "y": 1}}'.format, ESCAPED)
    | st.builds('{{"halt":true,"final_answer":"{0}'.format, ESCAPED)
    | st.text(alphabet='{}[]",:\\ halt truefinal_answer', max_size=60),
    places=st.lists(st.integers(0, 200), max_size=8),
)
def test_any_cut_gives_the_same_answer(text: str, places: list[int]) -> None:
    assert read(cut(text, places)) == read([text]) == read(list(text))


@settings(max_examples=examples(0.6))
@given(text=st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    read([text])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"halt": true, "final_answer": "yes"}', "yes"),
        ('{"halt": true, "final_answer": "cut off', "cut off"),
        ('{"halt": true, "final_answer": "half \\ud83d"}', "half \ufffd"),
        ('{"halt": true, "final_answer": "\\ude00 \\u12"}', "\ufffd \ufffd"),
        ('{"halt": true, "final_answer": "\\ud83d\\n"}', "\ufffd\n"),
        ('{"halt": true, "final_answer": "\\ud83d\\ud83d\\ude00"}', "\ufffd😀"),
        ('{"halt": true, "final_answer": ""}', ""),
        ('{"halt": true, "final_answer": "one", "final_answer": "two"}', "one"),
        ('{"\\u0068alt": true, "final_answer": "escaped key"}', "escaped key"),
        ('{"dispatch": [{"halt": true, "final_answer": "no"}], "halt": true, "final_answer": "yes"}', "yes"),
        ('{"thought": "\\"halt\\": true", "halt" : true , "final_answer"\n: "yes"}', "yes"),
    ],
)
def test_what_is_told(text: str, said: str) -> None:
    assert read([text]) == (said, True)


@pytest.mark.parametrize(
    "text",
    [
        '{"final_answer": "too early", "halt": true}',
        '{"halt": false, "final_answer": "not yet"}',
        '{"halt": true, "halt": false, "final_answer": "not yet"}',
        '{"halt": true, "final_answer": null}',
        '{"halt": true, "final_answer": {"final_answer": "inside"}}',
        '{"inner": {"halt": true, "final_answer": "inside"}}',
        'Prose. {"halt": true, "final_answer": "behind prose"}',
        '{"halt": true} {"final_answer": "another object"}',
        '[{"halt": true, "final_answer": "in a list"}]',
        "",
    ],
)
def test_what_is_not_told(text: str) -> None:
    assert read([text]) == ("", False)


def test_what_is_kept_beside_the_answer_is_bounded() -> None:
    reader = AnswerReader()
    reader.feed('{"' + "k" * 100_000 + '": ' + "7" * 100_000)
    assert len(reader._key) + len(reader._word) < 100
