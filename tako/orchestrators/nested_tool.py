"""NestedTool: any orchestrator as a tool of any agent: `orchestrator.as_tool(name="research")`.

Unlike a SubAgent it has nothing of the agent that calls it but on whose behalf it works: its models, tools
and rules are its own. The model gives it a prompt.

| of the orchestrator  | is                                                                             |
|----------------------|--------------------------------------------------------------------------------|
| principal            | the caller's                                                                   |
| events               | in the caller's stream, as SubAgentEvent under "name:call_id"                  |
| usage, cost          | added to the caller's and listed in `result.sub_agents`, however it ended      |
| cancel, interruption | the caller's: what stops the call stops it and all that is below it            |
| answer               | its last text; anything but a whole answer is an error result                  |

Invariants. Runs stand at most MAX_DEPTH deep in each other by such tools, so one that calls itself comes to
an end. What waits for the outside is an error result: nobody can be asked from in there.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tako.effects import Flow
from tako.errors import Cancelled, TakoError
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.nesting import nested
from tako.orchestrators.place import TOP
from tako.orchestrators.result import RunResult
from tako.orchestrators.scope import Scope
from tako.orchestrators.sub_agent import DESCRIPTION, answer_of
from tako.tools.context import ToolContext
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool

if TYPE_CHECKING:
    from tako.orchestrators.base import Orchestrator

__all__ = ["MAX_DEPTH", "NestedTool"]

MAX_DEPTH = 8
"""In how many runs one that such a tool begins may stand."""

WORDS_OF_A_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class NestedTool(Tool):
    """An orchestrator as a tool; `orchestrator` is the one, the rest is as in Tool."""

    def __init__(
        self,
        orchestrator: Orchestrator[Any],
        *,
        name: str | None = None,
        description: str | None = None,
        read_only: bool = False,
        approval: bool = False,
        timeout: float | None = None,
        max_output: int | None = None,
    ) -> None:
        super().__init__(
            self._flow,
            name=name or WORDS_OF_A_NAME.sub("_", type(orchestrator).__name__).lower(),
            description=DESCRIPTION if description is None else description,
            read_only=read_only,
            approval=approval,
            timeout=timeout,
            max_output=max_output,
        )
        self.is_flow = self.recursive = True
        self.orchestrator = orchestrator

    def _flow(self, prompt: str, context: ToolContext) -> Flow[ToolOutput]:
        """Run it.

        Args:
            prompt: The task, with everything that is needed to do it.
        """
        caller = context.caller if isinstance(context.caller, Scope) else None
        place = replace(TOP, depth=context.depth) if caller is None else caller.place
        if place.depth >= MAX_DEPTH:
            return ToolOutput.error(
                f"{self.name} cannot be called from here: agents already stand {MAX_DEPTH} deep in each "
                "other. Do this task yourself"
            )
        step, ledger = f"{self.name}:{context.call_id}", Ledger()
        try:
            result = yield from nested(
                place, step, self.orchestrator, prompt, ledger, principal=context.principal
            )
        except Cancelled as error:
            raise Cancelled(partial=f"Sub-agent cancelled{_said(error)}") from error
        except TakoError as error:
            return ToolOutput.error(f"Sub-agent error: {error.message}{_said(error)}")
        finally:
            if caller is not None:
                _account(caller, context.call_id, ledger)
        return answer_of(result)


def _account(caller: Scope, call_id: str, ledger: Ledger) -> None:
    """Book with the caller what was booked here."""
    for used in ledger.sub_agents:
        caller.run.sub_agent_used(call_id, used)
    for name in ledger.still_running:
        caller.run.left_running(name)


def _said(error: TakoError) -> str:
    text = error.partial.text if isinstance(error.partial, RunResult) else ""
    return f"; it last said: {text}" if text else ""
