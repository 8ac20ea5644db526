"""The names of models: each is the string that it should be, and the vendors' own libraries know it."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from tako.model_names import claude, gemini, gpt, openrouter
from tests.support.vendor_types import library


def names_in(namespace: type) -> dict[str, str]:
    return {name: value for name, value in vars(namespace).items() if name.isupper()}


def literals(kind: Any) -> set[str]:
    """All strings that a type allows by name."""
    return {
        text
        for part in typing.get_args(kind)
        for text in ({part} if isinstance(part, str) else literals(part))
    }


def test_G16_every_constant_is_its_literal() -> None:
    assert {
        claude.OPUS: "claude-opus-4-7",
        claude.SONNET: "claude-sonnet-4-6",
        claude.HAIKU: "claude-haiku-4-5",
        claude.OPUS_4_6: "claude-opus-4-6",
        claude.HAIKU_20251001: "claude-haiku-4-5-20251001",
        gpt.FIVE: "gpt-5",
        gpt.FIVE_CODEX: "gpt-5-codex",
        gpt.FIVE_FIVE: "gpt-5.5",
        openrouter.ANTHROPIC_HAIKU: "anthropic/claude-haiku-4-5",
        openrouter.OPENAI_GPT_5_5: "openai/gpt-5.5",
        gemini.TWO_FIVE_PRO: "gemini-2.5-pro",
        gemini.FLASH_LATEST: "gemini-flash-latest",
    }.items() <= {(value, value) for value in every_name()}


def every_name() -> list[str]:
    return [value for space in (claude, gpt, gemini, openrouter) for value in names_in(space).values()]


def test_they_are_plain_strings_and_no_two_of_a_vendor_say_the_same_but_the_short_ones() -> None:
    assert all(type(value) is str and value == value.strip().lower() for value in every_name())
    for space, short in (
        (claude, {"OPUS", "SONNET", "HAIKU"}),
        (gpt, set()),
        (gemini, set()),
        (openrouter, set()),
    ):
        long = [value for name, value in names_in(space).items() if name not in short]
        assert len(long) == len(set(long))


@pytest.mark.parametrize(
    ("module", "kind", "namespace"),
    [
        ("anthropic.types.model", "Model", claude),
        ("openai.types.shared.all_models", "AllModels", gpt),
    ],
)
def test_the_vendors_library_knows_them(module: str, kind: str, namespace: type) -> None:
    known = literals(getattr(library(module), kind))
    assert set(names_in(namespace).values()) <= known


def test_a_name_tells_of_the_model_it_stands_for() -> None:
    """FIVE_FIVE_PRO is gpt-5.5-pro: a slip in one line would otherwise go unseen."""
    digits = {"SIX": "6", "FIVE": "5", "FOUR": "4", "THREE": "3", "TWO": "2", "ONE": "1", "EIGHT": "8"}
    for space in (gpt, gemini):
        for name, value in names_in(space).items():
            words = [digits.get(word, word.lower()) for word in name.split("_")]
            assert "".join(words) == value.partition("-")[2].replace(".", "").replace("-", "")
    for name, value in names_in(claude).items():
        assert value.startswith(f"claude-{name.partition('_')[0].lower()}-") or name == "HAIKU_20251001"
        assert name.partition("_")[2].replace("_", "-") in value
