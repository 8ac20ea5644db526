"""AbMcts: many tries at an answer, each either new or better than one before, as a tree of answers.

Adaptive branching Monte Carlo tree search (arXiv 2503.04412): at each iteration the tree says which answer
is to be improved, or that the question is to be answered anew, and which candidate is to do it; a verifier
scores what comes of it. What the search is made of is here, and checked when it is made; a search under
way is a SearchRun, which is data; and how one is performed is in `rollout`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.models import Message, Part, Principal
from tako.orchestrators.ab_mcts.rollout import SearchEquipment, search
from tako.orchestrators.ab_mcts.search_result import SearchResult
from tako.orchestrators.ab_mcts.search_run import SearchRun, planted
from tako.orchestrators.ab_mcts.search_steps import REFINE_PROMPT, SearchOptions
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.nesting import run_of
from tako.orchestrators.opening import Opening
from tako.orchestrators.place import Place
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.tree_search import Family, ModelSelection, Prior
from tako.providers.base import Provider
from tako.routers import Router, router_of
from tako.tools.tool import Tool
from tako.verifiers import Verifier, verifier_of

if TYPE_CHECKING:
    from tako.mcp.config import ServerConfig

__all__ = ["AbMcts"]


class AbMcts(Orchestrator[SearchResult]):
    """A search for the best answer.

    provider                who answers: a provider or an orchestrator
    verifier                what scores the answers: a tako.verifiers object, or a function of (text) or
                            (task, text)
    candidates              others who may answer; or all of them, without a provider
    router                  chooses the candidate of each iteration: a tako.routers object or a function.
                            Without one the tree does, by how well each has done
    max_iterations          how many answers are made; max_simulations is the same
    branching_factor        how many children a node may have; None is any number
    max_depth               how often an answer may be improved on; None is any number of times
    max_steps_per_rollout   how often one rollout may call its model, and
    temperature             of each call; both of candidates that are providers
    min_confidence          a score with which the search ends; None is none
    seed                    the same seed and the same replies give the same tree; None is one by chance
    batch_size              how many iterations are performed side by side
    posterior, prior        "gaussian" or "beta", and a tako.orchestrators.tree_search prior
    model_selection         how the tree chooses among the candidates: see TreeSearch
    refine_prompt           what a candidate is asked that is to improve on an answer; {score} and {reason}
                            are put in
    max_total_tokens        no new batch is begun when as much was used; so much for max_cost_usd
    system, tools, mcp_servers: of the candidates that are providers; an orchestrator has its own

    Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        provider: Provider | Orchestrator[Any] | None = None,
        verifier: Verifier | Callable[..., Any] | None = None,
        *,
        candidates: Iterable[Provider | Orchestrator[Any]] | None = (),
        router: Router | Callable[..., Any] | None = None,
        max_iterations: int | None = None,
        max_simulations: int | None = None,
        branching_factor: int | None = None,
        max_depth: int | None = None,
        max_steps_per_rollout: int = 4,
        temperature: float | None = 0.7,
        min_confidence: float | None = 0.95,
        seed: int | None = None,
        batch_size: int = 1,
        posterior: Family = "gaussian",
        prior: Prior | None = None,
        model_selection: ModelSelection = "thompson",
        refine_prompt: str = REFINE_PROMPT,
        max_total_tokens: int | None = None,
        max_cost_usd: float | None = None,
        system: str | Iterable[Part] | None = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        mcp_servers: Iterable[ServerConfig] = (),
    ) -> None:
        self.equipment = SearchEquipment(
            candidates=_agents(
                _named(provider, candidates),
                temperature=temperature,
                max_steps=_steps(max_steps_per_rollout),
                system=system,
                tools=_kept(tools),
                mcp_servers=_kept(mcp_servers),
            ),
            verifier=_verifier(verifier),
            router=None if router is None else router_of(router),
        )
        self.options = SearchOptions(
            candidates=tuple(self.equipment.candidates),
            max_iterations=_iterations(max_iterations, max_simulations),
            min_confidence=min_confidence,
            batch_size=batch_size,
            max_total_tokens=max_total_tokens,
            max_cost_usd=max_cost_usd,
            refine_prompt=refine_prompt,
            seed=seed,
            posterior=posterior,
            prior=prior,
            model_selection=model_selection,
            branching_factor=branching_factor,
            max_depth=max_depth,
        )
        planted(self.options, seed or 0)  # so that what the tree does not take is said now

    def __repr__(self) -> str:
        return f"<AbMcts on {', '.join(self.options.candidates)}>"

    def start(
        self,
        prompt: str | Message | Sequence[Message],
        *,
        history: Sequence[Message] = (),
        system: str | Iterable[Part] | None = None,
        tenant_id: str | None = None,
        user_id: str | None = None,
        principal: Principal | None = None,
    ) -> SearchRun:
        """A search that has not taken a step, to be stepped by hand or given to run_sync and its kin."""
        opening = Opening.of(
            prompt, history=history, system=system, tenant_id=tenant_id, user_id=user_id, principal=principal
        )
        return SearchRun(opening, self.options)

    def load(self, text: str | bytes) -> SearchRun:
        """A search from what `search.dumps()` wrote, here or in another process; raises InvalidInput for
        what is none, or not one of this AbMcts."""
        return self._own(SearchRun.loads(text))

    def perform(self, prompt: Prompt | SearchRun, place: Place, **options: Any) -> Flow[SearchResult]:
        """The search as a flow, begun or gone on with; `options` are those of `start`."""
        if not isinstance(prompt, SearchRun):
            if isinstance(prompt, AgentRun):
                raise InvalidInput("prompt should be text, messages or a SearchRun, not an AgentRun")
            return search(self.equipment, self.start(prompt, **options), place)
        if options:
            raise InvalidInput("a search has its options already; pass them when it is started")
        return search(self.equipment, self._own(prompt), place)

    def _own(self, run: SearchRun) -> SearchRun:
        """The search, if it was made with these candidates."""
        if run.options.candidates == self.options.candidates:
            return run
        raise InvalidInput(
            f"this search was made with the candidates {', '.join(run.options.candidates)}, and here are "
            f"{', '.join(self.options.candidates)}; go on with an AbMcts that has the same ones"
        )


def _named(provider: object, candidates: object) -> list[tuple[str, str, object]]:
    """Of each candidate the argument that it came with, a name that no other has, and itself."""
    candidates = () if candidates is None else candidates
    if not isinstance(candidates, Iterable) or isinstance(candidates, str | Mapping):
        raise InvalidInput("candidates should be a list of providers or orchestrators")
    values = [(f"candidates[{index}]", value) for index, value in enumerate(candidates)]
    if provider is not None:
        values.insert(0, ("provider", provider))
    if not values:
        raise InvalidInput("nobody is there to answer: pass provider, or candidates=[...]")
    named: list[tuple[str, str, object]] = []
    for argument, value in values:
        name = _name_of(value)
        names = [taken for _, taken, _ in named]
        same = itertools.chain((name,), (f"{name}#{place}" for place in itertools.count(2)))
        named.append((argument, next(one for one in same if one not in names), value))
    return named


def _name_of(value: object) -> str:
    """The id of a model; of anything else its kind."""
    if isinstance(value, SingleAgent):
        value = value.provider
    return (value.id if isinstance(value, Provider) else "") or type(value).__name__


def _agents(
    named: list[tuple[str, str, object]], *, system: Any, tools: Any, mcp_servers: Any, **limits: Any
) -> dict[str, Orchestrator[Any]]:
    """Who answers, by name; raises InvalidInput if something is for nobody."""
    given = {"system": system, "tools": tools, "mcp_servers": mcp_servers}
    if not any(isinstance(value, Provider) for _, _, value in named):
        for argument, value in given.items():
            if value is not None and value != ():
                raise InvalidInput(
                    f"{argument} is for candidates that are providers, and here is none; give it to the "
                    "orchestrators when they are made"
                )
    return {name: run_of(value, argument=argument, **given, **limits) for argument, name, value in named}


def _kept(values: Any) -> Any:
    """What can be gone through once only, for as many agents as there are."""
    return tuple(values) if isinstance(values, Iterator) else values


def _verifier(value: object) -> Verifier:
    if value is None:
        raise InvalidInput(
            "verifier is missing: pass a tako.verifiers object, or a function that scores a text"
        )
    return verifier_of(value)


def _steps(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInput(f"max_steps_per_rollout should be a whole number of at least 1, not {value!r}")
    return value


def _iterations(iterations: int | None, simulations: int | None) -> int:
    """How many, by either name."""
    if iterations is not None and simulations is not None:
        raise InvalidInput("max_simulations is another name of max_iterations; pass one of them")
    given = simulations if iterations is None else iterations
    return 16 if given is None else given
