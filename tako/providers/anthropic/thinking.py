"""How a model is asked to think: a Thinking as `thinking` and `output_config.effort`.

| Thinking                | `thinking`                           | beside it                             |
|-------------------------|--------------------------------------|---------------------------------------|
| enabled=False           | disabled                             |                                       |
| budget_tokens           | enabled, with the budget             | output_config.effort, if there is one |
| no budget               | adaptive: the model decides          | output_config.effort, if there is one |
| summary "none", "auto"  | display: omitted, summarized         |                                       |

Which of them a model takes is for the vendor to say: older ones know no adaptive thinking, newer
ones no budget. What is said here is refused by all: a budget below 1,024, one that leaves nothing
of max_tokens (unless thinking is interleaved with calls, where it is for all of a turn), and,
beside a budget, sampling that is changed and a tool that is forced.
"""

from __future__ import annotations

from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import ChatRequest, Thinking
from tako.providers.anthropic.blocks import OWNER
from tako.providers.body import effort_of

__all__ = ["add_thinking"]

SMALLEST_BUDGET: Final = 1024
LEAST_TOP_P: Final = 0.95
DISPLAYS: Final = {"none": "omitted", "auto": "summarized"}


def add_thinking(fields: dict[str, Any], request: ChatRequest, *, interleaved: bool) -> None:
    """Add what the request says of thinking; raises InvalidInput for what cannot be asked.

    `fields` holds max_tokens: one that is our default is raised to leave room beside the budget.
    """
    thinking = request.thinking
    if thinking is None:
        return
    if not thinking.enabled:
        fields["thinking"] = {"type": "disabled"}
        return
    if thinking.budget_tokens is None:
        asked: dict[str, Any] = {"type": "adaptive"}
    else:
        asked = {"type": "enabled", "budget_tokens": thinking.budget_tokens}
        _check_budget(thinking.budget_tokens, fields, request, interleaved=interleaved)
        _check_company(request)
    if thinking.summary is not None:
        asked["display"] = _display(thinking)
    fields["thinking"] = asked
    if thinking.effort is not None:
        fields["output_config"] = {**fields.get("output_config", {}), "effort": effort_of(thinking)}


def _display(thinking: Thinking) -> str:
    display = DISPLAYS.get(thinking.summary or "")
    if display is None:
        raise InvalidInput(
            f"{OWNER}: thinking: this vendor has one kind of summary: use 'auto' or 'none', "
            f"not {thinking.summary!r}"
        )
    return display


def _check_budget(budget: int, fields: dict[str, Any], request: ChatRequest, *, interleaved: bool) -> None:
    if budget < SMALLEST_BUDGET:
        raise InvalidInput(
            f"{OWNER}: thinking: budget_tokens should be at least {SMALLEST_BUDGET}, not {budget}"
        )
    most = fields["max_tokens"]
    if budget < most or (interleaved and _has_tools(request)):
        return
    if request.max_tokens is not None:
        raise InvalidInput(
            f"{OWNER}: thinking: budget_tokens is {budget}, but max_tokens, of which it is a part, "
            f"is {most}: raise max_tokens"
        )
    fields["max_tokens"] = budget + most


def _has_tools(request: ChatRequest) -> bool:
    return bool(request.tools or request.extra.get("tools"))


def _check_company(request: ChatRequest) -> None:
    """Raise InvalidInput for what the vendor does not take beside a budget."""
    wrong = None
    if request.temperature not in (None, 1):
        wrong = f"temperature should be 1 or left out, not {request.temperature}"
    elif request.top_p is not None and not LEAST_TOP_P <= request.top_p <= 1:
        wrong = f"top_p should be from {LEAST_TOP_P} to 1, not {request.top_p}"
    elif request.top_k is not None:
        wrong = "top_k should be left out"
    elif request.tool_choice not in (None, "auto", "none"):
        wrong = f"tool_choice should be auto or none, not {request.tool_choice!r}"
    if wrong is not None:
        raise InvalidInput(f"{OWNER}: thinking: with budget_tokens, {wrong}")
