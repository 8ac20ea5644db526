"""Dialect: who speaks responses, as data.

Everybody's answers are read by the same decoder. What differs is what may be asked for, and to whom
reasoning goes back: what one service has encrypted is of no use to another.

Two dialects are the same only if they are one object: an encoded message is kept for its dialect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["AZURE", "CODEX", "OPENAI", "Dialect"]


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """Who is spoken to, and what is particular about it."""

    owner: str
    """Whom errors name."""
    vendor: str
    """Whose replay data is sent back, and with whose name ours are marked."""
    refused: tuple[str, ...] = ()
    """Fields of a request that this service refuses, although the API has them."""
    needs_instructions: bool = False
    """Whether `instructions` have to be there, though they may be empty."""
    system_role: str = "system"
    """The role of a system message that is not at the beginning."""


OPENAI: Final = Dialect("OpenAIResponses", "openai.responses")
AZURE: Final = Dialect("AzureOpenAI", "azure.responses")
CODEX: Final = Dialect(
    "OpenAICodex",
    "codex.responses",
    refused=("max_tokens", "temperature", "top_p", "top_logprobs", "metadata"),
    needs_instructions=True,
    system_role="developer",  # "system" is refused
)
