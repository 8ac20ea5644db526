"""Conductor: a coordinator that makes plans, and workers that carry them out side by side.

The idea is that of "Learning to Orchestrate Agents in Natural Language with the Conductor" (arXiv
2512.04388): one model designs the work, in words, for others, and says who of them sees what of the others'
results. What a plan looks like is in `plan`, how one is carried out in `dispatch`, and the sequence in
`conducting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.models import Part
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.conductor.conducting import Conducting, Coordinator
from tako.orchestrators.conductor.dispatch import Crew
from tako.orchestrators.conductor.plan import Quorum, join_of
from tako.orchestrators.conductor.rounds import ConductorResult
from tako.orchestrators.conductor.workers import Hand, Worker, hands_of, require_seconds
from tako.orchestrators.opening import Opening, system_of
from tako.orchestrators.place import Place
from tako.providers.base import Provider
from tako.tools import Tool
from tako.verifiers.base import Verifier

if TYPE_CHECKING:
    from tako.mcp.config import ServerConfig

__all__ = ["Conductor"]


class Conductor(Orchestrator[ConductorResult]):
    """A coordinator with workers.

    coordinator          the provider that makes the plans
    workers              by name, each a provider, an orchestrator, or a Worker with more to say of one
    max_steps            how often one run may ask the coordinator
    max_fanout           how many workers run side by side
    worker_timeout_secs  how long a worker may take for a task; the time that a listener takes does not count.
                         None is for ever
    fail_fast            the first worker that fails stops the others, and the run fails with a ProviderError;
                         otherwise the coordinator is told
    join                 how many workers of a plan have to succeed, if the plan does not say: "all", "first"
                         (the others are cancelled then) or Quorum(n), for which n does as well
    verifier             scores each answer of a worker, and the coordinator is told: a tako.verifiers object,
                         or a function of the task and the answer
    system               what the coordinator is told behind the rules of its own
    tools, mcp_servers   for the workers that are providers
    plan_retries         how often in a row the coordinator is told that what it said is no plan
    temperature, max_tokens  of the coordinator

    The result is a ConductorResult, whose `rounds` hold each plan and what came of it. Its usage, cost and
    steps are those of the coordinator and the workers together. Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        coordinator: Provider,
        workers: Mapping[str, Provider | Orchestrator[Any] | Worker],
        *,
        max_steps: int = 6,
        max_fanout: int = 4,
        worker_timeout_secs: float | None = 120,
        fail_fast: bool = False,
        join: Literal["all", "first"] | Quorum | int = "all",
        verifier: Verifier | Callable[..., Any] | None = None,
        system: str | Iterable[Part] | None = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        mcp_servers: Iterable[ServerConfig] = (),
        plan_retries: int = 2,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        if not isinstance(coordinator, Provider):
            hint = f"; write tako.provider({coordinator!r})" if isinstance(coordinator, str) else ""
            raise InvalidInput(
                f"coordinator must be a tako.providers.* instance, not {type(coordinator).__name__}{hint}"
            )
        _require_whole("max_steps", max_steps, at_least=1)
        _require_whole("max_fanout", max_fanout, at_least=1)
        _require_whole("plan_retries", plan_retries, at_least=0)
        _require_whole("max_tokens", 1 if max_tokens is None else max_tokens, at_least=1)
        if temperature is not None and (
            isinstance(temperature, bool) or not isinstance(temperature, int | float)
        ):
            raise InvalidInput(f"temperature should be a number, not {temperature!r}")
        if not isinstance(fail_fast, bool):
            raise InvalidInput(f"fail_fast should be True or False, not {fail_fast!r}")
        require_seconds("worker_timeout_secs", worker_timeout_secs)
        self._coordinator = Coordinator(coordinator, max_steps, plan_retries, temperature, max_tokens)
        self._crew = Crew(
            hands=hands_of(workers, tools, mcp_servers, worker_timeout_secs),
            max_fanout=max_fanout,
            fail_fast=fail_fast,
            join=join_of(join),
            verifier=_verifier(verifier),
        )
        self._system = system_of(system)

    @property
    def coordinator(self) -> Provider:
        return self._coordinator.provider

    @property
    def workers(self) -> Mapping[str, Hand]:
        """Each as it will be run."""
        return self._crew.hands

    def __repr__(self) -> str:
        return f"<Conductor on {self.coordinator.id}, workers: {', '.join(self._crew.hands)}>"

    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[ConductorResult]:
        """The run as a flow; `options` are those of every orchestrator, as Opening reads them."""
        if options.get("system") is None and self._system is not None:
            options["system"] = self._system.content
        return Conducting(self._coordinator, self._crew, Opening.of(prompt, **options), place).flow()


def _verifier(value: object) -> Verifier | None:
    if value is None:
        return None
    from tako.verifiers import verifier_of  # most are without one

    return verifier_of(value)


def _require_whole(name: str, value: object, *, at_least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise InvalidInput(f"{name} should be a whole number of at least {at_least}, not {value!r}")
