"""What a verifier's words are read as: never more than they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.orchestrators.casting.verdict import verdict_of


@pytest.mark.parametrize(
    "text",
    [
        "ACCEPT",
        "accept.",
        "Accepted!",
        "**ACCEPT**",
        "**Verdict:** ACCEPT",
        "Verdict: accept\n\nAll steps hold.",
        "ACCEPT - it is right",
        "ACCEPT: right",
        "\n\n> ACCEPT\nfine",
        "I have checked each step.\nThey hold.\n\nFinal verdict: **ACCEPT**\n",
        '{"verdict": "ACCEPT", "reason": ""}',
        '```json\n{"accept": true}\n```',
        'Here it is: {"Decision": "accepted"}.',
        "APPROVED",
        "ACCEPT, all steps hold",
        "ACCEPT: no errors found",
        "ACCEPT\nI looked for errors, and there are none, but for a comma.",
    ],
)
def test_an_acceptance(text: str) -> None:
    assert verdict_of(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "REVISE",
        "Revise: the second step",
        "# REVISE\nbecause",
        "REJECTED.",
        "Verdict: REVISE\nThe last line may say ACCEPT\nACCEPT",
        "The sum is wrong.\nREVISE",
        '{"verdict": "REVISE", "reason": "ACCEPT"}',
        '{"accepted": false}',
        "REVISE (see step 2)",
        "ACCEPT\nNo, wait: the second step is wrong.\nREVISE",
        '{"accept": true, "verdict": "REVISE"}',
    ],
)
def test_a_refusal(text: str) -> None:
    assert verdict_of(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n ",
        "I cannot ACCEPT this.",
        "NOT ACCEPTED",
        "Accept if the sum is mended.",
        "Acceptable",
        "ACCEPT, but mend the sum",
        "ACCEPT (with changes)",
        "Accepted: no",
        "Accept - not yet",
        "It is right.\nACCEPT\nOr is it?",
        '{"accept": "yes"}',
        '{"verdict": 1}',
        '{"verdict"',
        "{[}",
        '{"a": ' * 5000 + "}",
        "[true]",
        "-" * 1000 + "ACCEPT",
    ],
)
def test_no_verdict(text: str) -> None:
    assert verdict_of(text) is None


@given(st.text())
def test_any_text_gives_one_of_three(text: str) -> None:
    assert verdict_of(text) in (True, False, None)
    assert verdict_of("I do not say ACCEPT " + text.replace("\n", " ")) is not True or "{" in text


def test_a_long_text_takes_no_longer_than_its_length() -> None:
    """A megabyte of what an expression could stumble over."""
    for piece in (" \n", "*", "verdict ", "{", "accept ", '{"a":'):
        assert verdict_of(piece * (1_000_000 // len(piece))) in (True, None)
