"""What only some families of models can be asked, by the fields that the family itself has for it.

| family         | top_k                | thinking                                                        |
|----------------|----------------------|-----------------------------------------------------------------|
| Claude         | top_k                | thinking: disabled, enabled with budget_tokens, else adaptive;  |
|                |                      | display for summary; output_config.effort                       |
| Nova 2         | inferenceConfig.topK | reasoningConfig: disabled, enabled with maxReasoningEffort      |
| Nova 1         | inferenceConfig.topK | cannot be asked                                                 |
| gpt-oss        | cannot be asked      | reasoning_effort                                                |
| Qwen 3         | cannot be asked      | reasoning_config, an effort                                     |

The family is read from the model's id. An id that does not tell (the ARN of an application's own
profile) can be asked all the same, with `extra={"additionalModelRequestFields": {...}}`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import ChatRequest, Thinking
from tako.providers.bedrock.blocks import OWNER
from tako.providers.body import effort_of

__all__ = ["additional_fields"]

FAMILY: Final = re.compile(
    r"(?:^|[./:])(anthropic\.claude|amazon\.nova-2|amazon\.nova|openai\.gpt-oss|qwen\.)"
)
DISPLAYS: Final = {"auto": "summarized", "none": "omitted"}


def additional_fields(request: ChatRequest, model: str) -> dict[str, Any]:
    """The `additionalModelRequestFields`; raises InvalidInput for what this model cannot be asked."""
    found = FAMILY.search(model)
    family = found[1] if found else ""
    fields: dict[str, Any] = {}
    if request.top_k is not None:
        if family == "anthropic.claude":
            fields["top_k"] = request.top_k
        elif family.startswith("amazon.nova"):
            fields["inferenceConfig"] = {"topK": request.top_k}
        else:
            raise _unknown("top_k", model)
    if request.thinking is not None:
        fields |= _thinking(request.thinking, family, model)
    return fields


def _thinking(thinking: Thinking, family: str, model: str) -> dict[str, Any]:
    if family == "anthropic.claude":
        return _claude(thinking)
    if family == "amazon.nova-2":
        _require_effort_only(thinking, model)
        if not thinking.enabled:
            return {"reasoningConfig": {"type": "disabled"}}
        effort = {} if thinking.effort is None else {"maxReasoningEffort": effort_of(thinking)}
        return {"reasoningConfig": {"type": "enabled", **effort}}
    names = {"openai.gpt-oss": "reasoning_effort", "qwen.": "reasoning_config"}
    if family not in names or not thinking.enabled:
        raise _unknown("thinking", model)
    _require_effort_only(thinking, model)
    return {} if thinking.effort is None else {names[family]: effort_of(thinking)}


def _claude(thinking: Thinking) -> dict[str, Any]:
    if not thinking.enabled:
        return {"thinking": {"type": "disabled"}}
    asked: dict[str, Any] = {"type": "adaptive"}
    if thinking.budget_tokens is not None:
        asked = {"type": "enabled", "budget_tokens": thinking.budget_tokens}
    if thinking.summary is not None:
        if thinking.summary not in DISPLAYS:
            raise InvalidInput(f"{OWNER}: thinking: summary should be 'auto' or 'none' for Claude")
        asked["display"] = DISPLAYS[thinking.summary]
    if thinking.effort is None:
        return {"thinking": asked}
    return {"thinking": asked, "output_config": {"effort": effort_of(thinking)}}


def _require_effort_only(thinking: Thinking, model: str) -> None:
    if thinking.budget_tokens is not None or thinking.summary is not None:
        raise InvalidInput(
            f"{OWNER}: thinking: {model} takes an effort only, no budget_tokens and no summary"
        )


def _unknown(field: str, model: str) -> InvalidInput:
    return InvalidInput(
        f"{OWNER}: {field}: it is not known how {model} is asked for this; leave it out, or give the "
        "model's own fields as extra={'additionalModelRequestFields': {...}}"
    )
