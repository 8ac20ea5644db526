"""A provider from a string: `provider("anthropic:claude-sonnet-4-5")`, vendor and model in one.

What stands before the first colon is the vendor; all after it is the model, which may hold colons
and slashes of its own. VENDORS has the vendors with a class of their own; every preset of
OpenAICompatible (groq, deepseek, ...) is a vendor as well. What a constructor needs besides the
model is taken from the caller's keywords, then from the vendor's usual variables.

Without a vendor a model is guessed by its family, where only its maker serves it under that name:

| begins with                                                       | vendor    |
|-------------------------------------------------------------------|-----------|
| gpt- (but not gpt-oss), chatgpt-, o1, o3, o4, ft:gpt-             | openai    |
| claude-                                                           | anthropic |
| gemini-                                                           | gemini    |
| mistral-, ministral-, codestral-, magistral-, devstral-, pixtral- | mistral   |

Everything else needs its vendor: llama, qwen or deepseek are served by many.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from tako.errors import InvalidInput

if TYPE_CHECKING:
    from tako.providers.base import Provider

__all__ = ["provider", "vendors"]


@dataclass(frozen=True, slots=True)
class Vendor:
    """A class of tako.providers, and what it is given.

    model     the name of its argument for the model
    needs     arguments that it cannot do without: each with the variables that may hold it
    takes     arguments that have a default of their own, and the same
    """

    name: str
    model: str = "model"
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    takes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ON_GOOGLE: Final = {"project_id": ("GOOGLE_CLOUD_PROJECT", "GCP_PROJECT")}
PLACE: Final = {"location": ("GOOGLE_CLOUD_LOCATION",)}

VENDORS: Final[Mapping[str, Vendor]] = {
    "anthropic": Vendor("Anthropic"),
    "anthropic-bedrock": Vendor("AnthropicBedrock"),
    "anthropic-vertex": Vendor("AnthropicVertex", needs=ON_GOOGLE, takes=PLACE),
    "azure-openai": Vendor("AzureOpenAI", model="deployment", needs={"endpoint": ("AZURE_OPENAI_ENDPOINT",)}),
    "bedrock": Vendor("Bedrock"),
    "fake": Vendor("Fake"),
    "gemini": Vendor("Gemini"),
    "mistral": Vendor("Mistral"),
    "ollama": Vendor("Ollama"),
    "openai": Vendor("OpenAI"),
    "openai-codex": Vendor("OpenAICodex", needs={"credentials": ()}),
    "openai-responses": Vendor("OpenAIResponses"),
    "vertex": Vendor("Vertex", needs=ON_GOOGLE, takes=PLACE),
}

FAMILIES: Final = (
    (re.compile(r"gpt-(?!oss)|chatgpt-|o[134](?![a-z0-9])|ft:gpt-"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "gemini"),
    (re.compile(r"(?:mistral|ministral|codestral|magistral|devstral|pixtral)-"), "mistral"),
)

OTHER_NAMES: Final = {
    "amazon": "bedrock",
    "aws": "bedrock",
    "azure": "azure-openai",
    "claude": "anthropic",
    "codex": "openai-codex",
    "google": "gemini",
    "vertexai": "vertex",
}
"""What people call vendors elsewhere: not taken, but known well enough to say what is meant."""


def vendors() -> tuple[str, ...]:
    """What may stand before the colon, in the order of the alphabet."""
    return tuple(sorted({*VENDORS, *_presets()}))


def provider(name: str, **options: object) -> Provider:
    """The provider that a string names, made with the constructor's own keywords.

    `provider("openai:gpt-5", timeout_secs=30)` is `OpenAI("gpt-5", timeout_secs=30)`. Raises
    InvalidInput for a name that leads nowhere, and whatever the constructor raises.
    """
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput(f'provider: name should look like "openai:gpt-5", not {name!r}')
    name = name.strip()
    vendor, colon, model = name.partition(":")
    if not colon or vendor not in vendors():
        vendor, model = _guessed(name), name
    model = model.lstrip()
    if not model:
        raise InvalidInput(f'provider: {name!r} names no model; it should look like "{vendor}:model"')
    if vendor not in VENDORS:
        return _make("OpenAICompatible", {"model": model, "preset": vendor, **options})
    entry = VENDORS[vendor]
    if entry.name == "Fake":
        return _make("Fake", {"id": f"fake:{model}", **options})
    return _make(entry.name, {entry.model: model, **_found(vendor, entry, options), **options})


def _make(class_name: str, arguments: Mapping[str, object]) -> Provider:
    make = getattr(import_module("tako.providers"), class_name)
    return cast("Callable[..., Provider]", make)(**arguments)


def _presets() -> Mapping[str, object]:
    presets: Mapping[str, object] = import_module("tako.providers.openai.presets").PRESETS
    return presets


def _found(vendor: str, entry: Vendor, options: Mapping[str, object]) -> dict[str, object]:
    """What the constructor needs and the caller has not given, from the environment."""
    found: dict[str, object] = {}
    for argument, variables in {**entry.needs, **entry.takes}.items():
        if argument in options:
            continue
        value = next((value for name in variables if (value := os.environ.get(name))), None)
        if value is not None:
            found[argument] = value
        elif argument in entry.needs:
            names = " or ".join(f"`{name}`" for name in variables)
            otherwise = f", or the environment variable {names}" if names else ""
            raise InvalidInput(f"provider: {vendor} needs {argument}=...{otherwise}")
    return found


def _guessed(name: str) -> str:
    """The vendor of a model that is named without one; raises InvalidInput."""
    for pattern, vendor in FAMILIES:
        if pattern.match(name):
            return vendor
    known = vendors()
    head, mark, rest = name.partition(":")
    if not mark:
        head, mark, rest = name.partition("/")
    meant = OTHER_NAMES.get(head.lower())
    nearest = [meant] if meant else difflib.get_close_matches(head.lower(), known, 1, 0.7)
    hint = f' (did you mean "{nearest[0]}:{rest}"?)' if mark and nearest else ""
    raise InvalidInput(
        f'provider: {name!r} names no vendor{hint}; write "vendor:model" with one of {", ".join(known)}'
    )
