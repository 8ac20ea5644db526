"""Trinity: a router chooses at each step who of several roles speaks, in one conversation that grows.

The idea is that of "Trinity" (arXiv 2512.04695): a small coordinator gives each turn to a model and one of
three roles, until the verifier accepts the answer or the turns are used up.

| role     | says                                       | the run                                           |
|----------|--------------------------------------------|---------------------------------------------------|
| thinker  | advice: a plan, a way to go, what is wrong | goes on                                           |
| worker   | the answer                                 | ends, unless there is a verifier among the roles  |
| verifier | whether the answer is accepted             | ends if it is; otherwise goes on                  |

A cast of workers alone is what the original tako had: a model for code, one for mathematics, one for the
rest. How a run goes from turn to turn, and what the next speaker is told, is in `casting`.

A role is a provider, whose model has the run's system prompt, its own instructions behind it, and the
tools; or an orchestrator, which has all of that by itself, and gets the conversation. Everybody sees all
that was said. The run is an AgentRun like any other: it pauses for approvals, is dumped, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.models import CacheControl, ChatRequest, ChatResponse, Message, Part, Thinking
from tako.models import Role as MessageRole
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.approval import Approve, NeedsApproval
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.casting.casting import Casting, Kind, Scene, Speaker
from tako.orchestrators.place import Place
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.base import Provider, Relay, as_they_are
from tako.routers.base import Router, RoutingDecision, Situation
from tako.routers.function import router_of
from tako.tools import Tool, ToolRegistry
from tako.tools.concurrency import ConcurrencyConfig
from tako.tools.policy import EVERYTHING, ToolPolicy
from tako.verifiers.base import Verifier
from tako.verifiers.function import verifier_of

if TYPE_CHECKING:
    from tako.mcp.config import ServerConfig
    from tako.orchestrators.snapshot import SealingKey

__all__ = ["Role", "Scene", "Trinity", "TurnTaking", "thinker_worker_verifier"]

THINKER = (
    "You are the thinker of this conversation. Do not answer the task. Look at what was asked and at all "
    "that was said so far, and say in a few sentences how the next answer should be made: which steps, "
    "which facts, which traps, and what was wrong with the last try if there was one."
)
WORKER = (
    "You are the worker of this conversation. Answer the task, wholly and by itself: whoever reads your "
    "answer has read nothing else. Use the advice and the criticism that were given, without a word about "
    "them."
)
VERIFIER = (
    "You are the verifier of this conversation. Check the last answer against the task, step by step, as "
    "somebody would who did not write it. Begin your reply with a line that is ACCEPT if the answer is right "
    "and complete, and REVISE if it is not. Behind REVISE say what has to be changed, and nothing else."
)


@dataclass(frozen=True, slots=True)
class Role:
    """Who speaks in a role, and what its words are.

    who           a provider or an orchestrator
    instructions  what it should be: behind the system prompt of a provider, behind the prompt of an
                  orchestrator
    kind          "worker", "thinker" or "verifier"

    Raises InvalidInput.
    """

    who: Provider | Orchestrator[Any]
    instructions: str = ""
    kind: Kind = "worker"

    def __post_init__(self) -> None:
        if not isinstance(self.who, Provider | Orchestrator):
            raise InvalidInput(f"Role: who should be {_wanted(self.who)}")
        if not isinstance(self.instructions, str):
            raise InvalidInput(f"Role: instructions should be text, not {type(self.instructions).__name__}")
        if self.kind not in get_args(Kind):
            raise InvalidInput(f"Role: kind should be one of {', '.join(get_args(Kind))}, not {self.kind!r}")


class TurnTaking(Router):
    """Everybody in the order of the cast, again and again; who called tools goes on with their results.

    It needs no training and costs nothing: with a thinker, a worker and a verifier the answer is planned,
    given and checked, in turn until it is accepted.
    """

    def __repr__(self) -> str:
        return "<TurnTaking>"

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        last = situation.spoken[-1] if isinstance(situation, Scene) and situation.spoken else None
        if last is None:
            place, reason = situation.step - 1, "begins"
        elif situation.messages and situation.messages[-1].role is MessageRole.TOOL:
            place, reason = last, "has called tools"
        else:
            place, reason = last + 1, "is next"
        return RoutingDecision(index=place % len(situation.candidates), reason=reason)
        yield  # a flow, though it asks for nothing


class Trinity(Orchestrator[RunResult[None]]):
    """A conversation of several roles.

    roles           by name: a provider, an orchestrator, or a Role; at least one of them a worker
    router          who chooses: one of tako.routers, or a function, which may give the name of a role, its
                    place in the order of `roles`, or "role|provider_id", which is what routers know it by
    max_steps       how often somebody may speak. A run that has used them up ends with stop_reason
                    "max_steps", and its text is the last answer that was given
    verifier        judges each answer of a worker, listened to or not: a VerifierScore tells of it
    min_confidence  an answer that the verifier gives less is not final: why is told to the next speaker
    tools, mcp_servers, policy, approval, needs_approval, concurrency, tool_concurrency, tool_output_limit,
    cache_tools, max_depth: as in SingleAgent, for the roles that are providers
    system, thinking, temperature, top_p, max_tokens, stop, seed, metadata, extra: the same

    Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        roles: Mapping[str, Provider | Orchestrator[Any] | Role],
        router: Router | Callable[..., Any],
        *,
        max_steps: int = 8,
        verifier: Verifier | Callable[..., Any] | None = None,
        min_confidence: float | None = None,
        system: str | Iterable[Part] | None = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        mcp_servers: Iterable[ServerConfig] = (),
        policy: ToolPolicy = EVERYTHING,
        approval: Approve | None = None,
        needs_approval: str | NeedsApproval = "marked",
        concurrency: ConcurrencyConfig | None = None,
        tool_concurrency: int | None = None,
        tool_output_limit: int | None = None,
        cache_tools: CacheControl | None = None,
        thinking: Thinking | None = None,
        max_depth: int = 3,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        metadata: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        speakers = _speakers(roles)
        casting = Casting(
            speakers,
            router_of(router),
            None if verifier is None else verifier_of(verifier),
            _confidence(min_confidence, verifier),
        )
        agent = SingleAgent(
            casting.providers[0] if casting.providers else _NOBODY,
            system=system,
            tools=tools,
            mcp_servers=mcp_servers,
            max_steps=max_steps,
            policy=policy,
            approval=approval,
            needs_approval=needs_approval,
            concurrency=concurrency,
            tool_concurrency=tool_concurrency,
            tool_output_limit=tool_output_limit,
            cache_tools=cache_tools,
            thinking=thinking,
            max_depth=max_depth,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=stop,
            seed=seed,
            metadata=metadata,
            extra=extra,
        )
        casting.require_heard(agent.options, agent.equipment)
        agent.equipment = replace(agent.equipment, casting=casting)
        self._agent = agent  # a run of several speakers is one of an agent that has a casting
        self.casting = casting

    @classmethod
    def classic(
        cls,
        who: Provider | Orchestrator[Any] | Mapping[str, Provider | Orchestrator[Any]],
        router: Router | Callable[..., Any] | None = None,
        **options: Any,
    ) -> Trinity:
        """The three roles of the paper, on one provider or on one each; without a router they take turns.

        `options` are those of Trinity.
        """
        return cls(thinker_worker_verifier(who), TurnTaking() if router is None else router, **options)

    @property
    def roles(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple([one.name for one in self.casting.speakers])

    @property
    def tools(self) -> ToolRegistry:
        return self._agent.tools

    def __repr__(self) -> str:
        return f"<Trinity of {', '.join(self.roles)}>"

    def start(self, prompt: str | Message | Sequence[Message], **options: Any) -> AgentRun:
        """A run that has not taken a step, to be given to run_sync and its kin; as SingleAgent.start."""
        return self._agent.start(prompt, **options)

    def load(self, text: str | bytes, key: SealingKey | Sequence[SealingKey] | None = None) -> AgentRun:
        """A run from what `run.dumps()` wrote, here or in another process; sealed, with its key."""
        return self._agent.load(text, key)

    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[RunResult[None]]:
        """The run as a flow; `options` are those of `start`, `steering` is the user's handle."""
        return self._agent.perform(prompt, place, **options)


def thinker_worker_verifier(
    who: Provider | Orchestrator[Any] | Mapping[str, Provider | Orchestrator[Any]],
) -> dict[str, Role]:
    """The roles of the paper: one who thinks, one who works, one who checks; raises InvalidInput.

    `who` speaks in all of them, or is a mapping with one for each.
    """
    kinds: dict[Kind, str] = {"thinker": THINKER, "worker": WORKER, "verifier": VERIFIER}
    if not isinstance(who, Mapping):
        if not isinstance(who, Provider | Orchestrator):
            raise InvalidInput(f"who should be {_wanted(who)}, or a mapping with one for each role")
        return {kind: Role(who, said, kind) for kind, said in kinds.items()}
    if set(who) != set(kinds):
        raise InvalidInput(f"who should have the keys {', '.join(kinds)}, not {', '.join(map(str, who))}")
    return {kind: Role(who[kind], said, kind) for kind, said in kinds.items()}


class _Nobody(Provider):
    """Stands where a provider has to, in a cast that has none, and is never asked."""

    id = "nobody"

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        raise InvalidInput("no role of this Trinity is a provider")

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        return self.chat_flow(request)


_NOBODY = _Nobody()


def _speakers(roles: object) -> tuple[Speaker, ...]:
    """The cast, checked; raises InvalidInput that names the role."""
    if not isinstance(roles, Mapping):
        raise InvalidInput(f"roles should be a mapping from names to roles, not {type(roles).__name__}")
    if not roles:
        raise InvalidInput("roles is empty: at least one role is required")
    found = tuple([_speaker(name, value) for name, value in roles.items()])
    if not any(one.kind == "worker" for one in found):
        raise InvalidInput("roles has no worker, so nobody would give an answer; make one of kind 'worker'")
    return found


def _speaker(name: object, value: object) -> Speaker:
    if not isinstance(name, str) or not name or "|" in name:
        raise InvalidInput(f"roles: the name of a role should be text without a |, and not empty: {name!r}")
    if not isinstance(value, Provider | Orchestrator | Role):
        raise InvalidInput(f"roles[{name!r}] should be {_wanted(value)}, or a Role(...)")
    role = value if isinstance(value, Role) else Role(value)
    return Speaker(name, f"{name}|{_id_of(role.who)}", role.who, role.kind, role.instructions)


def _id_of(who: Provider | Orchestrator[Any]) -> str:
    """What a router knows it by, besides its role: an agent by its model's, as if it were that."""
    if isinstance(who, SingleAgent):
        return who.provider.id
    return who.id if isinstance(who, Provider) else type(who).__name__


def _wanted(value: object) -> str:
    hint = f" (write tako.provider({value!r}))" if isinstance(value, str) else ""
    return (
        f"a provider (tako.providers.*) or an orchestrator such as SingleAgent, not "
        f"{type(value).__name__}{hint}"
    )


def _confidence(value: object, verifier: object) -> float | None:
    """What is wanted of an answer; raises InvalidInput."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidInput(f"min_confidence should be a number from 0 to 1, not {value!r}")
    if verifier is None:
        raise InvalidInput("min_confidence is for the scores of a verifier; pass verifier=... as well")
    return value
