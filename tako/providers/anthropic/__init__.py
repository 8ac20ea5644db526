"""Anthropic's Messages API, by whoever serves it: Anthropic, Google (Vertex), Amazon (Bedrock).

The wire format is in `encode` and `decode`; here is who speaks it, and where. Anthropic alone has
message batches.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tako.providers.anthropic.batch import (
        BatchCounts,
        BatchNotReady,
        BatchPage,
        BatchRow,
        Canceled,
        Errored,
        Expired,
        MessageBatch,
        Succeeded,
        Unreadable,
    )
    from tako.providers.anthropic.batches import MessageBatches
    from tako.providers.anthropic.bedrock import AnthropicBedrock
    from tako.providers.anthropic.messages import Anthropic
    from tako.providers.anthropic.vertex import AnthropicVertex

__all__ = [
    "Anthropic",
    "AnthropicBedrock",
    "AnthropicVertex",
    "BatchCounts",
    "BatchNotReady",
    "BatchPage",
    "BatchRow",
    "Canceled",
    "Errored",
    "Expired",
    "MessageBatch",
    "MessageBatches",
    "Succeeded",
    "Unreadable",
]

_HOMES = {
    "Anthropic": "messages",
    "AnthropicBedrock": "bedrock",
    "AnthropicVertex": "vertex",
    "BatchCounts": "batch",
    "BatchNotReady": "batch",
    "BatchPage": "batch",
    "BatchRow": "batch",
    "Canceled": "batch",
    "Errored": "batch",
    "Expired": "batch",
    "MessageBatch": "batch",
    "MessageBatches": "batches",
    "Succeeded": "batch",
    "Unreadable": "batch",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
