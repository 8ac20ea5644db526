"""Workers: who works for a Conductor, and with what.

| a worker is     | its instructions            | its tools                         | a plan's "tools"   |
|-----------------|-----------------------------|-----------------------------------|--------------------|
| a provider      | Worker(system=)             | the Conductor's, and its Worker's | hold for this task |
| an orchestrator | its own, or Worker(system=) | its own                           | mean nothing       |

Invariants. A worker knows the task, the earlier results that the plan shows it, and what it can read of the
media of the prompt; nothing else of the conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from tako.errors import InvalidInput
from tako.models import Part
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.conductor.media import shown_to
from tako.orchestrators.opening import system_of
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.base import Provider
from tako.tools import Tool
from tako.tools.policy import EVERYTHING, ToolPolicy

if TYPE_CHECKING:
    from tako.mcp.config import ServerConfig

__all__ = ["Hand", "Worker", "hands_of", "require_seconds"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker, and what makes it one.

    runs         a provider, or any orchestrator
    description  what it is good for; the coordinator reads it
    system       its instructions; an orchestrator has its own if there are none here
    tools, mcp_servers  besides those that the Conductor gives to all; only for a provider
    timeout      seconds for one task; the Conductor's worker_timeout_secs if None

    Raises InvalidInput that names the argument.
    """

    runs: Provider | Orchestrator[Any]
    description: str = ""
    system: str | Iterable[Part] | None = None
    tools: Iterable[Tool | Callable[..., Any]] = ()
    mcp_servers: Iterable[ServerConfig] = ()
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.runs, Provider | Orchestrator):
            hint = f"; write tako.provider({self.runs!r})" if isinstance(self.runs, str) else ""
            raise InvalidInput(
                "Worker: runs should be a provider (tako.providers.*) or an orchestrator such as "
                f"SingleAgent, not {type(self.runs).__name__}{hint}"
            )
        if not isinstance(self.description, str):
            raise InvalidInput(f"Worker: description should be text, not {type(self.description).__name__}")
        require_seconds("Worker: timeout", self.timeout)
        if isinstance(self.system, Iterable) and not isinstance(self.system, str):
            object.__setattr__(self, "system", tuple(self.system))
        for name in ("tools", "mcp_servers"):
            object.__setattr__(self, name, _listed(f"Worker: {name}", getattr(self, name)))
            if getattr(self, name) and isinstance(self.runs, Orchestrator):
                raise InvalidInput(f"Worker: {name} are for a provider; an orchestrator has its own")


@dataclass(frozen=True, slots=True)
class Hand:
    """A worker that is ready to be given a task."""

    name: str
    worker: Worker
    run: Orchestrator[Any]
    timeout: float | None
    options: Mapping[str, Any] = field(default_factory=dict)
    """What it is told at each run, besides its task."""

    @property
    def summary(self) -> str:
        """What the coordinator is told of it."""
        about = f": {self.worker.description}" if self.worker.description else ""
        return f"{self.name}{about}{self._equipped()}"

    def for_task(self, patterns: tuple[str, ...] | None) -> Orchestrator[Any]:
        """What is run, with the tools that the plan allows; raises InvalidInput."""
        if patterns is None or not isinstance(self.worker.runs, Provider):
            return self.run
        assert isinstance(self.run, SingleAgent)
        policy = ToolPolicy(allow=patterns)
        servers = self.run.equipment.servers if patterns else ()
        return _agent(self.worker, self.run.tools.only(policy.can_be_called), servers, policy)

    def media(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """What it is shown of these; an orchestrator that is no agent knows best what its models read."""
        if isinstance(self.run, SingleAgent):
            return shown_to(self.run.provider.capabilities, parts)
        return parts

    def _equipped(self) -> str:
        if not isinstance(self.worker.runs, Provider):
            return ""
        assert isinstance(self.run, SingleAgent)
        names = [tool.name for tool in self.run.tools]
        names += ["those of an MCP server"] if self.run.equipment.servers else []
        return f" (tools: {', '.join(names)})" if names else ""


def hands_of(
    workers: object,
    tools: Iterable[Tool | Callable[..., Any]],
    mcp_servers: Iterable[ServerConfig],
    timeout: float | None,
) -> dict[str, Hand]:
    """The workers by their names, checked; raises InvalidInput that names the argument."""
    if not isinstance(workers, Mapping):
        raise InvalidInput(
            f'workers should be a dict such as {{"code": tako.provider("...")}}, not {type(workers).__name__}'
        )
    if not workers:
        raise InvalidInput("workers is empty; give the coordinator at least one")
    common = _listed("tools", tools), _listed("mcp_servers", mcp_servers)
    hands = {name: _hand(name, value, *common, timeout) for name, value in workers.items()}
    if any(common) and not any(isinstance(hand.worker.runs, Provider) for hand in hands.values()):
        given = "tools" if common[0] else "mcp_servers"
        raise InvalidInput(f"{given} are for workers that are providers, and none is")
    return hands


def require_seconds(argument: str, value: object) -> None:
    """Raises InvalidInput for what is no limit of time."""
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise InvalidInput(f"{argument} should be a positive number of seconds, or None, not {value!r}")


def _listed(argument: str, given: Iterable[T]) -> tuple[T, ...]:
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise InvalidInput(f"{argument} should be a list, not {type(given).__name__}")
    return tuple(given)


def _hand(
    name: object,
    value: object,
    tools: tuple[Tool | Callable[..., Any], ...],
    servers: tuple[ServerConfig, ...],
    timeout: float | None,
) -> Hand:
    if not isinstance(name, str) or not name.strip() or name != name.strip() or not name.isprintable():
        raise InvalidInput(f"workers: a worker's name should be a word or two, not {name!r}")
    if not isinstance(value, Provider | Orchestrator | Worker):
        hint = f"; write tako.provider({value!r})" if isinstance(value, str) else ""
        raise InvalidInput(
            f"workers[{name!r}] must be a provider (tako.providers.*), an orchestrator or a Worker, not "
            f"{type(value).__name__}{hint}"
        )
    try:
        worker = value if isinstance(value, Worker) else Worker(value)
        limit = timeout if worker.timeout is None else worker.timeout
        if isinstance(worker.runs, Provider):
            given = (*tools, *[one for one in worker.tools if one not in tools])
            agent = _agent(worker, given, (*servers, *worker.mcp_servers), EVERYTHING)
            return Hand(name, worker, agent, limit)
        told = {} if worker.system is None else {"system": worker.system}
        if told:
            system_of(worker.system)  # says what is wrong with it now
        return Hand(name, worker, worker.runs, limit, told)
    except InvalidInput as error:
        raise InvalidInput(f"workers[{name!r}]: {error.message}") from error


def _agent(
    worker: Worker,
    tools: Iterable[Tool | Callable[..., Any]],
    servers: Iterable[ServerConfig],
    policy: ToolPolicy,
) -> SingleAgent[Any]:
    """The agent on a worker's provider."""
    assert isinstance(worker.runs, Provider)
    return SingleAgent(worker.runs, system=worker.system, tools=tools, mcp_servers=servers, policy=policy)
