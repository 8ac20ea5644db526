"""Equipment: what an agent works with, and the request that it makes of a step.

The agent's own is made once, and checked there; that of a sub-agent is its parent's with some of it
replaced. It is a value: a run that goes on is not changed by another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tako.models import ChatRequest, Message, TextPart
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.agent_steps import CallModel
from tako.orchestrators.approval import Approve, NeedsApproval
from tako.orchestrators.output import OutputType
from tako.providers.base import Provider
from tako.tools.concurrency import ConcurrencyConfig
from tako.tools.policy import ToolPolicy
from tako.tools.registry import ToolRegistry

if TYPE_CHECKING:
    from tako.mcp.config import ServerConfig
    from tako.orchestrators.casting.casting import Casting

__all__ = ["Equipment", "Trim"]

Trim: TypeAlias = Callable[[list[Message]], Sequence[Message] | Awaitable[Sequence[Message]]]
"""Makes of the messages that the model would be asked with those that it is asked with."""

ASKED = frozenset(("temperature", "top_p", "max_tokens", "stop", "seed", "thinking", "metadata", "extra"))
"""What RunOptions and ChatRequest call by the same name."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """The model, the tools, and the rules; what each is stands at SingleAgent."""

    provider: Provider
    tools: ToolRegistry
    policy: ToolPolicy
    approval: Approve | None
    needs_approval: NeedsApproval
    concurrency: ConcurrencyConfig
    tool_output_limit: int | None
    trim: Trim | None
    max_depth: int
    servers: tuple[ServerConfig, ...] = ()
    """Whose tools are added to these when a run begins."""
    output: OutputType[Any] | None = None
    wants_output: bool = False
    casting: Casting | None = None
    """Who may speak, and who chooses among them, where that is not the provider alone."""

    def request(self, run: AgentRun, step: CallModel, instructions: tuple[str, ...] = ()) -> ChatRequest:
        """The request that a step asks for.

        `instructions` stand behind the system prompt, for this step alone.
        """
        options = run.options
        # What is not set is left out: checking a None takes as long as checking a value.
        asked: dict[str, Any] = {
            name: value for name, value in options.__dict__.items() if name in ASKED and (value or value == 0)
        }
        tool_choice = options.tool_choice if step.step == 1 else None
        # A step that has to call a tool gives no answer, and some servers put a schema for the answer first.
        must_call = tool_choice not in (None, "auto", "none")
        if tool_choice is not None:
            asked["tool_choice"] = tool_choice
        if self.output is not None and not must_call:
            asked["output_schema"] = self.output.schema
        system = options.system
        if instructions:
            parts = () if system is None else system.content
            system = Message.system((*parts, *[TextPart(text=text) for text in instructions]))
        return ChatRequest(
            model=options.model or self.provider.model,
            messages=tuple(step.messages) if system is None else (system, *step.messages),
            tools=self.tools.schemas,
            **asked,
        )
