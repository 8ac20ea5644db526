"""The vendors, one module or package each, loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy
    from tako.providers.anthropic import Anthropic, AnthropicBedrock, AnthropicVertex
    from tako.providers.base import Provider
    from tako.providers.bedrock import Bedrock
    from tako.providers.fake import Fake
    from tako.providers.gemini import Gemini, Vertex
    from tako.providers.http_generic import HttpGeneric
    from tako.providers.mistral import Mistral
    from tako.providers.ollama import Ollama
    from tako.providers.openai import (
        AzureOpenAI,
        CodexCredentials,
        OpenAI,
        OpenAICodex,
        OpenAICompatible,
        OpenAIResponses,
    )
    from tako.providers.python import PythonProvider

__all__ = [
    "Anthropic",
    "AnthropicBedrock",
    "AnthropicVertex",
    "AzureOpenAI",
    "Bedrock",
    "CodexCredentials",
    "Fake",
    "Gemini",
    "HttpGeneric",
    "Mistral",
    "Ollama",
    "OpenAI",
    "OpenAICodex",
    "OpenAICompatible",
    "OpenAIResponses",
    "Provider",
    "PythonProvider",
    "UrlPolicy",
    "Vertex",
]

_HOMES = {
    "Anthropic": "anthropic",
    "AnthropicBedrock": "anthropic",
    "AnthropicVertex": "anthropic",
    "AzureOpenAI": "openai",
    "Bedrock": "bedrock",
    "CodexCredentials": "openai",
    "Fake": "fake",
    "Gemini": "gemini",
    "HttpGeneric": "http_generic",
    "Mistral": "mistral",
    "Ollama": "ollama",
    "OpenAI": "openai",
    "OpenAICodex": "openai",
    "OpenAICompatible": "openai",
    "OpenAIResponses": "openai",
    "Provider": "base",
    "PythonProvider": "python",
    "Vertex": "gemini",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if name == "UrlPolicy":  # for what providers fetch, and not for them alone
        module = import_module("tako.fetching")
    elif home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        module = import_module(f"{__name__}.{home}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
