"""Routers: what chooses who speaks next.

| chooses by                                        | router                                               |
|---------------------------------------------------|------------------------------------------------------|
| a function of your own                            | any function (`router_of`, FunctionRouter)           |
| predicates and words                              | RuleRouter                                           |
| regular expressions                               | RegexRouter                                          |
| sixteen features of the task, and your weights    | FeatureRouter                                        |
| the same, and weights that were learned           | ModelRouter (a JSON file), OnnxRouter (an ONNX file) |
| asking a model                                    | LlmRouter                                            |

Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tako.routers.base import Router, RoutingDecision, Situation
    from tako.routers.choosing import Target, chosen
    from tako.routers.feature_router import FeatureRouter
    from tako.routers.features import FEATURE_DIM, FEATURES, featurise_text
    from tako.routers.function import FunctionRouter, router_of
    from tako.routers.llm_router import LlmRouter
    from tako.routers.model import RouterModel
    from tako.routers.model_router import ModelRouter
    from tako.routers.onnx_router import OnnxRouter
    from tako.routers.rules import RegexRouter, RuleRouter

__all__ = [
    "FEATURES",
    "FEATURE_DIM",
    "FeatureRouter",
    "FunctionRouter",
    "LlmRouter",
    "ModelRouter",
    "OnnxRouter",
    "RegexRouter",
    "Router",
    "RouterModel",
    "RoutingDecision",
    "RuleRouter",
    "Situation",
    "Target",
    "chosen",
    "featurise_text",
    "router_of",
]

_NAMES_OF = {
    "base": "Router RoutingDecision Situation",
    "choosing": "Target chosen",
    "feature_router": "FeatureRouter",
    "features": "FEATURES FEATURE_DIM featurise_text",
    "function": "FunctionRouter router_of",
    "llm_router": "LlmRouter",
    "model": "RouterModel",
    "model_router": "ModelRouter",
    "onnx_router": "OnnxRouter",
    "rules": "RegexRouter RuleRouter",
}
_HOME_OF = {name: home for home, names in _NAMES_OF.items() for name in names.split()}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
