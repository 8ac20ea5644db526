"""The names of models, so that an editor completes them and a slip of the pen is found before the call.

    agent = tako.SingleAgent(tako.providers.Anthropic(claude.SONNET))

They are plain strings, and any other string does as well: a vendor has new models more often than tako
has a release. A name without a number (`claude.OPUS`) stands for the model that is written beside it and does
not move under a program by itself; a program that wants another says so.
"""

from __future__ import annotations

from typing import Final

__all__ = ["claude", "gemini", "gpt", "openrouter"]


class claude:
    """Anthropic, and the hosts that use its names."""

    OPUS: Final = "claude-opus-4-7"
    SONNET: Final = "claude-sonnet-4-6"
    HAIKU: Final = "claude-haiku-4-5"

    FABLE_5_2: Final = "claude-fable-5-2"
    MYTHOS_5_2: Final = "claude-mythos-5-2"
    OPUS_5_5: Final = "claude-opus-5-5"
    SONNET_5_5: Final = "claude-sonnet-5-5"
    HAIKU_5_5: Final = "claude-haiku-5-5"
    OPUS_5: Final = "claude-opus-5"
    SONNET_5: Final = "claude-sonnet-5"
    OPUS_4_8: Final = "claude-opus-4-8"
    OPUS_4_7: Final = "claude-opus-4-7"
    OPUS_4_6: Final = "claude-opus-4-6"
    SONNET_4_6: Final = "claude-sonnet-4-6"
    OPUS_4_5: Final = "claude-opus-4-5"
    SONNET_4_5: Final = "claude-sonnet-4-5"
    HAIKU_4_5: Final = "claude-haiku-4-5"
    HAIKU_20251001: Final = "claude-haiku-4-5-20251001"


class gpt:
    """OpenAI."""

    FIVE: Final = "gpt-5"
    FIVE_CODEX: Final = "gpt-5-codex"
    FIVE_FIVE: Final = "gpt-5.5"

    SIX_ONE_SOL: Final = "gpt-6.1-sol"
    SIX_ONE_TERRA: Final = "gpt-6.1-terra"
    SIX_ASTRA: Final = "gpt-6-astra"
    SIX_SOL: Final = "gpt-6-sol"
    SIX_LUNA: Final = "gpt-6-luna"
    FIVE_SIX_SOL: Final = "gpt-5.6-sol"
    FIVE_SIX_TERRA: Final = "gpt-5.6-terra"
    FIVE_SIX_LUNA: Final = "gpt-5.6-luna"
    FIVE_FIVE_PRO: Final = "gpt-5.5-pro"
    FIVE_FOUR: Final = "gpt-5.4"
    FIVE_FOUR_MINI: Final = "gpt-5.4-mini"
    FIVE_FOUR_NANO: Final = "gpt-5.4-nano"
    FIVE_TWO: Final = "gpt-5.2"
    FIVE_ONE: Final = "gpt-5.1"
    FIVE_ONE_CODEX: Final = "gpt-5.1-codex"
    FIVE_ONE_CODEX_MAX: Final = "gpt-5.1-codex-max"
    FIVE_PRO: Final = "gpt-5-pro"
    FIVE_MINI: Final = "gpt-5-mini"
    FIVE_NANO: Final = "gpt-5-nano"
    FOUR_ONE: Final = "gpt-4.1"
    FOUR_ONE_MINI: Final = "gpt-4.1-mini"
    FOUR_O: Final = "gpt-4o"
    FOUR_O_MINI: Final = "gpt-4o-mini"


class gemini:
    """Google, by the Gemini API and by Vertex."""

    PRO_LATEST: Final = "gemini-pro-latest"
    FLASH_LATEST: Final = "gemini-flash-latest"
    FLASH_LITE_LATEST: Final = "gemini-flash-lite-latest"
    """These three move: Google lets them stand for its newest."""

    THREE_EIGHT_FLASH: Final = "gemini-3.8-flash"
    THREE_FIVE_FLASH: Final = "gemini-3.5-flash"
    THREE_FIVE_FLASH_LITE: Final = "gemini-3.5-flash-lite"
    THREE_ONE_PRO_PREVIEW: Final = "gemini-3.1-pro-preview"
    THREE_ONE_FLASH_LITE: Final = "gemini-3.1-flash-lite"
    TWO_FIVE_PRO: Final = "gemini-2.5-pro"
    TWO_FIVE_FLASH: Final = "gemini-2.5-flash"
    TWO_FIVE_FLASH_LITE: Final = "gemini-2.5-flash-lite"


class openrouter:
    """OpenRouter, which names the vendor first."""

    ANTHROPIC_HAIKU: Final = "anthropic/claude-haiku-4-5"
    OPENAI_GPT_5_5: Final = "openai/gpt-5.5"
