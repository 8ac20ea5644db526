"""Nesting: an orchestrator that another one runs: a worker, a role, a rollout, an answer that is revised.

What is run stands `below` who runs it, under a name; what it has used is in the ledger of who runs it.

| it ends                            | who runs it                | the ledger has                         |
|------------------------------------|----------------------------|----------------------------------------|
| with an answer, whole or cut off   | gets its result            | its usage                              |
| waiting for a decision or a result | gets a ToolError: nobody   | its usage                              |
|                                    | can give one in there      |                                        |
| cancelled                          | gets Cancelled: what was   | its usage                              |
|                                    | around it is cancelled too |                                        |
| with a TakoError                   | gets that error            | what its `partial` says that it used   |

Invariants. It is booked once, however it ended, before anybody hears of the end. Every error has what there
was as its `partial`, a RunResult, and so a Within around it that stops it gives that on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from tako.effects import Flow
from tako.errors import Cancelled, InvalidInput, TakoError, ToolError
from tako.models import Part
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.place import Place
from tako.orchestrators.result import ResultT, RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.base import Provider
from tako.tools.tool import Tool

if TYPE_CHECKING:
    from tako.mcp.config import ServerConfig

__all__ = ["answered", "model_of", "nested", "run_of"]

AnyResult = TypeVar("AnyResult", bound=RunResult[Any])
WAITING = ("approval_required", "result_required")


def run_of(
    value: object,
    *,
    argument: str = "inner",
    system: str | Iterable[Part] | None = None,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    mcp_servers: Iterable[ServerConfig] = (),
    temperature: float | None = None,
    max_steps: int | None = None,
) -> Orchestrator[Any]:
    """An orchestrator as it is; of a provider an agent on it, with these for its own.

    Raises InvalidInput that names the argument for anything else.
    """
    if isinstance(value, Orchestrator):
        return value
    if not isinstance(value, Provider):
        hint = f"; write tako.provider({value!r})" if isinstance(value, str) else ""
        raise InvalidInput(
            f"{argument} should be a provider (tako.providers.*) or an orchestrator such as SingleAgent, not "
            f"{type(value).__name__}{hint}"
        )
    limits: dict[str, Any] = {} if max_steps is None else {"max_steps": max_steps}
    return SingleAgent(
        value, system=system, tools=tools, mcp_servers=mcp_servers, temperature=temperature, **limits
    )


def nested(
    place: Place,
    name: str,
    orchestrator: Orchestrator[ResultT],
    prompt: Prompt,
    ledger: Ledger,
    **options: Any,
) -> Flow[ResultT]:
    """Run it below this place, under that name; `options` are those of its `perform`.

    Raises what it failed with, Cancelled if it was cancelled, and ToolError if it waits for the outside.
    """
    below, model = place.below(name), model_of(orchestrator)
    try:
        result = yield from orchestrator.perform(prompt, below, **options)
    except TakoError as error:
        ledger.add_failed_run(below.path, model, error)
        raise
    ledger.add_run(below.path, model, result)
    return answered(name, result)


def answered(name: str, result: AnyResult) -> AnyResult:
    """The result, if there is an answer in it; raises Cancelled or ToolError where there is none yet."""
    if result.stop_reason == "cancelled":
        raise Cancelled(partial=result, usage=result.usage)
    if result.stop_reason in WAITING:
        raise ToolError(_waits(name, result), phase="nested", partial=result, usage=result.usage)
    return result


def model_of(orchestrator: Orchestrator[Any]) -> str:
    """What the books call it: the model of an agent, the kind of anything else."""
    if isinstance(orchestrator, SingleAgent):
        return orchestrator.options.model or orchestrator.provider.model
    return type(orchestrator).__name__


def _waits(name: str, result: RunResult[Any]) -> str:
    calls = ", ".join([one.call.name for one in result.pending]) or "a call"
    if result.stop_reason == "approval_required":
        return (
            f"{name} waits for a decision on {calls}, and nobody can be asked from in there; give that agent "
            "an approval callback (approval=...), or tools that need no approval"
        )
    return (
        f"{name} waits for the result of {calls}, which is performed elsewhere, and nobody can give it from "
        "in there; give that agent tools that it can run itself"
    )
