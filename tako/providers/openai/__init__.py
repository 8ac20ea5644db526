"""OpenAI and those who speak as it does: chat completions, responses, Azure, Codex, compatible servers.

The two wire formats are in `chat_completions` and `responses`; here is who speaks them, and where.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tako.providers.openai.azure import AzureOpenAI
    from tako.providers.openai.chat import OpenAI
    from tako.providers.openai.codex import CodexCredentials, OpenAICodex
    from tako.providers.openai.compatible import OpenAICompatible
    from tako.providers.openai.responses import OpenAIResponses

__all__ = ["AzureOpenAI", "CodexCredentials", "OpenAI", "OpenAICodex", "OpenAICompatible", "OpenAIResponses"]

_HOMES = {
    "AzureOpenAI": "azure",
    "CodexCredentials": "codex",
    "OpenAI": "chat",
    "OpenAICodex": "codex",
    "OpenAICompatible": "compatible",
    "OpenAIResponses": "responses",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
