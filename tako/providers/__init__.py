"""The vendors, one module or package each, loaded when first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tako.providers.anthropic import Anthropic
    from tako.providers.base import Provider
    from tako.providers.fake import Fake
    from tako.providers.openai import OpenAI
    from tako.providers.python import PythonProvider

__all__ = ["Anthropic", "Fake", "OpenAI", "Provider", "PythonProvider"]

_HOMES = {
    "Anthropic": "anthropic",
    "Fake": "fake",
    "OpenAI": "openai",
    "Provider": "base",
    "PythonProvider": "python",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
