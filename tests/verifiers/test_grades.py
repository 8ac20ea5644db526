"""What a judge wrote, and the score that is read in it, if there is one (defect 41)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import OutputInvalid
from tako.verifiers.grades import LONGEST_REASON, LONGEST_TEXT, Scale, read_grade
from tests.effort import examples

UNIT, TEN, STARS = Scale(0, 1), Scale(0, 10), Scale(1, 5)


def read(text: str, scale: Scale = UNIT) -> float:
    return read_grade(text, scale)[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7/10", 0.7),
        ("85%", 0.85),
        ("85 percent", 0.85),
        ("0.8", 0.8),
        (".8", 0.8),
        ("0.8.", 0.8),
        ("score: 0.8", 0.8),
        ("**Score:** 7/10, because of 3 errors", 0.7),
        ("Rating = `0.5`", 0.5),
        ("Reason: 3 errors.\nScore:\n0.25\n- 2 of them grave", 0.25),
        ("0.8\nIt has 3 errors and 2 typos.", 0.8),
        ("> **0.8**\nIt has 3 errors and 2 typos.", 0.8),
        ("I would give it 7 out of 10.", 0.7),
        ("8/10 (80%)", 0.8),
        ('{"score": 0.5}', 0.5),
        ('{"Score": "7/10"}', 0.7),
        ('{"score": "85%."}', 0.85),
        ('```json\n{"reason": "3 errors", "score": 1}\n```', 1.0),
        ('<think>score: 3?</think> {"score": 0.5}', 0.5),
        ('{"result": {"score": 0.3}}', 0.3),
        ('Of {3 errors}: {"score": 0.4, "reason": "x"}', 0.4),
    ],
)
def test_defect_41_a_score_is_read_however_it_is_written(text: str, expected: float) -> None:
    assert read(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "scale", "expected"),
    [
        ("7", TEN, 0.7),
        ("7/10", TEN, 0.7),
        ("0.8", TEN, 0.08),
        ("70%", TEN, 0.7),
        ('{"score": 7.5}', TEN, 0.75),
        ("4", STARS, 0.75),
        ("4/5", STARS, 0.75),  # the scale ends at 5: four stars
        ("8/10", STARS, 0.8),  # of another whole
        ("1", STARS, 0.0),
    ],
)
def test_numbers_are_of_the_scale_and_fractions_of_the_whole(
    text: str, scale: Scale, expected: float
) -> None:
    assert read(text, scale) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["-1", "\u22121", "11/10", "150%", "5", '{"score": 2}', "score: -0.5", "1/0"]
)
def test_defect_41_what_is_out_of_range_is_refused_and_not_bent(text: str) -> None:
    with pytest.raises(OutputInvalid, match="is no score from 0 to 1"):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "very good",
        "nan",
        "between 0.2 and 0.3",
        "0.7-0.8",
        "1,000",
        "0,8",
        "1e-3",
        "2024-01-01",
        "Score: 0,8",
        "Score: high, with 1 error",
        "Score: 0.8. No, score: 0.6",
        '{"score": null, "errors": 1}',
        '{"score": true}',
        '{"score": [1]}',
        '{"errors": 1}',
        '{"score": 1' + "0" * 400 + "}",
        "0" * (LONGEST_TEXT + 1),
    ],
)
def test_defect_41_what_cannot_be_read_is_told_and_not_guessed(text: str) -> None:
    with pytest.raises(OutputInvalid):
        read(text)


def test_the_reason_is_kept_and_bounded() -> None:
    assert read_grade('{"Reason": " short ", "score": 1}', UNIT) == (1.0, "short")
    assert read_grade('{"reason": 7, "score": 1}', UNIT) == (1.0, "")
    assert read_grade(" 7/10, and why ", UNIT) == (0.7, "7/10, and why")
    assert len(read_grade(json.dumps({"reason": "x" * 9999, "score": 1}), UNIT)[1]) == LONGEST_REASON


PIECES = st.sampled_from(
    [
        "score",
        ": ",
        "0.7",
        "7",
        "/10",
        "%",
        "-",
        "1",
        "{",
        "}",
        '"',
        "\n",
        " out of ",
        ".",
        ",",
        "{}",
        "\ud800",
    ]
)


@settings(max_examples=examples(6))
@given(st.lists(PIECES, max_size=9).map("".join) | st.text(max_size=40), st.sampled_from([UNIT, TEN, STARS]))
def test_any_text_is_a_score_or_no_score_and_nothing_else(text: str, scale: Scale) -> None:
    try:
        value, reason = read_grade(text, scale)
    except OutputInvalid:
        return
    assert 0 <= value <= 1
    assert isinstance(reason, str)


FRAMES = st.sampled_from(
    [
        "{}",
        "**{}**",
        "Score: {}",
        "score = {}.",
        "I say {}.",
        '{{"score": "{}"}}',
        "{}\nFor 2 reasons and 3 more.",
    ]
)


@settings(max_examples=examples(4))
@given(FRAMES, st.integers(-200, 1300), st.sampled_from([10, 20, 100, 1000]), st.sampled_from("/ %."))
def test_every_way_to_write_a_number_is_read_as_that_number(
    frame: str, number: int, whole: int, how: str
) -> None:
    """The oracle divides; the reader has to find what is divided by what."""
    if how == "%":
        written, expected = f"{number / 10:.1f}%", number / 1000
    elif how == ".":
        written, expected = f"{number / 1000:.3f}", number / 1000
    else:
        written, expected = f"{number}{'/' if how == '/' else ' out of '}{whole}", number / whole
    text = frame.format(written)
    if 0 <= expected <= 1:
        assert read(text) == pytest.approx(expected)
    else:
        with pytest.raises(OutputInvalid):
            read(text)
