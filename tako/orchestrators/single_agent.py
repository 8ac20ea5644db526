"""SingleAgent: one model, its tools, and a loop between them.

The agent itself is immutable and keeps nothing of a run: the conversation is the caller's, the state
of a run is an AgentRun, and how one is performed is in `conduct`. What is here is what an agent is
made of, checked when it is made, and the request that it makes of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, cast

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.models import CacheControl, ChatRequest, Message, Part, Principal, Thinking
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.agent_steps import CallModel
from tako.orchestrators.approval import Approve, NeedsApproval, needs_of
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.conduct import conduct
from tako.orchestrators.decisions import Remembered
from tako.orchestrators.equipment import Equipment, Trim
from tako.orchestrators.opening import messages_of, principal_of, system_of
from tako.orchestrators.options import RunOptions
from tako.orchestrators.output import OutputType
from tako.orchestrators.place import Place
from tako.orchestrators.result import OutputT, RunResult
from tako.orchestrators.scope import Scope
from tako.orchestrators.sub_agent import require_traces
from tako.providers.base import Provider
from tako.tools import Tool, ToolRegistry
from tako.tools.concurrency import ConcurrencyConfig
from tako.tools.policy import EVERYTHING, ToolPolicy

if TYPE_CHECKING:
    from tako.mcp.config import ServerConfig
    from tako.orchestrators.casting.casting import Casting
    from tako.orchestrators.snapshot import SealingKey
    from tako.routers.base import Router
    from tako.steering import Steering

__all__ = ["SingleAgent"]

TOOL_CHOICES = ("auto", "required", "none")


class SingleAgent(Orchestrator[RunResult[OutputT]], Generic[OutputT]):
    """An agent on one provider.

    provider           any tako.providers object
    model              another model of that provider than its own
    system             the system prompt: text, or text parts with cache marks
    tools              functions, or what @tool made of them
    mcp_servers        Stdio, Http, WebSocket and Grpc of tako.mcp, whose tools the agent has too. They are
                       connected at the first run, and closed with the Runtime
    max_steps          how often one run may call the model
    output_type        a Pydantic model or type that the answer has to fit; see `result.output`
    output_retries     how often an answer that does not fit is sent back
    policy             which calls may be made at all: a tako.tools.ToolPolicy
    approval           asked about each call that needs it, plain or async: gets an ApprovalRequest, gives
                       Approved, Denied, Answered, True or False. Without one the run pauses
    needs_approval     which calls need it: those of tools that are "marked" with approval=True, "mutating"
                       ones as well, "all", or a function of the call and its tool
    concurrency        how many calls of a batch run side by side: a tako.tools.ConcurrencyConfig
    tool_concurrency   the same for read-only calls alone
    tool_output_limit  characters of a tool's result that the model gets to read; the cut is told
    trim               a function from messages to messages, plain or async, asked before each call of the
                       model; the run keeps all messages, and a HistoryTrimmed event tells of it
    cache_tools        a cache mark for the definitions of all tools
    thinking           how the model thinks: a tako.Thinking
    max_depth          how deep sub-agents may stand in each other
    candidates         other providers that may be asked instead; then a router chooses at each step
    router             who chooses among the provider and them, by their ids in that order: one of
                       tako.routers, or a function that gives a place, from 0, or an id
    tool_choice        "auto", "required", "none" or the name of a tool; holds for the first step of a
                       run only, because a model that must call a tool at every step cannot finish
    temperature, top_p, max_tokens, stop, seed, metadata, extra: as in ChatRequest

    Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        model: str = "",
        system: str | Iterable[Part] | None = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        mcp_servers: Iterable[ServerConfig] | None = (),
        max_steps: int = 8,
        output_type: type[OutputT] | None = None,
        output_retries: int = 2,
        policy: ToolPolicy = EVERYTHING,
        approval: Approve | None = None,
        needs_approval: str | NeedsApproval = "marked",
        concurrency: ConcurrencyConfig | None = None,
        tool_concurrency: int | None = None,
        tool_output_limit: int | None = None,
        trim: Trim | None = None,
        cache_tools: CacheControl | None = None,
        thinking: Thinking | None = None,
        max_depth: int = 3,
        tool_choice: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        metadata: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        candidates: Iterable[Provider] | None = (),
        router: Router | Callable[..., Any] | None = None,
    ) -> None:
        _require_provider(provider)
        _require_whole("max_steps", max_steps, at_least=1)
        _require_whole("output_retries", output_retries, at_least=0)
        _require_whole("max_depth", max_depth, at_least=0)
        _require_whole("tool_output_limit", 1 if tool_output_limit is None else tool_output_limit, at_least=1)
        _require_function("approval", approval)
        _require_function("trim", trim)
        _require_policy(policy)
        self.equipment = Equipment(
            provider=provider,
            tools=ToolRegistry(tools, cache=cache_tools),
            policy=policy,
            approval=approval,
            needs_approval=needs_of(needs_approval),
            concurrency=_concurrency(concurrency, tool_concurrency),
            tool_output_limit=tool_output_limit,
            trim=trim,
            max_depth=max_depth,
            servers=_servers(mcp_servers),
            output=None if output_type is None or output_type is str else OutputType(output_type),
            wants_output=output_type is not None,
            casting=_casting(provider, candidates, router, model),
        )
        _require_choice(tool_choice, self.equipment)
        require_traces(self.tools, policy)
        self.options = RunOptions(
            system=system_of(system, self._output_instruction()),
            model=model,
            max_steps=max_steps,
            output_retries=output_retries,
            tool_choice=tool_choice,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=cast("tuple[str, ...]", stop),  # checked there, and copied
            seed=seed,
            thinking=thinking,
            metadata=cast("dict[str, str]", metadata or {}),
            extra=cast("dict[str, Any]", extra or {}),
        )

    @property
    def provider(self) -> Provider:
        return self.equipment.provider

    def _providers(self) -> tuple[Provider, ...]:
        """All that may be asked."""
        casting = self.equipment.casting
        return (self.provider,) if casting is None else casting.providers

    @property
    def tools(self) -> ToolRegistry:
        return self.equipment.tools

    def __repr__(self) -> str:
        return f"<SingleAgent on {self.provider.id}, {len(self.tools)} tools>"

    def start(
        self,
        prompt: str | Message | Sequence[Message],
        *,
        history: Sequence[Message] = (),
        system: str | Iterable[Part] | None = None,
        thinking: Thinking | None = None,
        max_tokens: int | None = None,
        remembered: Iterable[Remembered] = (),
        tenant_id: str | None = None,
        user_id: str | None = None,
        principal: Principal | None = None,
    ) -> AgentRun:
        """A run that has not taken a step, to be stepped by hand or given to run_sync and its kin.

        `system`, `thinking` and `max_tokens` are in place of the agent's own, for this run; `remembered` are
        the decisions of earlier runs: `result.remembered`.
        """
        options, changes = self.options, dict[str, Any]()
        if system is not None:
            changes["system"] = system_of(system, self._output_instruction())
        if thinking is not None:
            changes["thinking"] = thinking
        if max_tokens is not None:
            changes["max_tokens"] = max_tokens
        owner = principal_of(principal, tenant_id, user_id)
        if owner is not None:
            changes["principal"] = owner
        if changes:
            options = RunOptions(**{**options.__dict__, **changes})
        run = AgentRun(messages_of(prompt), messages_of(history, "history"), options)
        if remembered != ():
            run.remember_all(_remembered(remembered))
        return run

    def load(self, text: str | bytes, key: SealingKey | Sequence[SealingKey] | None = None) -> AgentRun:
        """A run from what `run.dumps()` wrote, here or in another process; sealed, with its key."""
        return AgentRun.loads(text, key)

    def perform(
        self, prompt: Prompt, place: Place, *, steering: Steering | None = None, **options: Any
    ) -> Flow[RunResult[OutputT]]:
        """The run as a flow; `options` are those of `start`, `steering` is the user's handle."""
        if isinstance(prompt, AgentRun):
            if options:
                raise InvalidInput("a run has its options already; pass them when it is started")
            run = prompt
        else:
            run = self.start(cast("str", prompt), **options)  # which refuses what is no prompt
        if steering is not None:
            _require_handle(steering, place)
        equipment = self.equipment
        if equipment.casting is not None:
            equipment = equipment.casting.equip(equipment, run)
        return conduct(Scope.at(place, equipment, run, steering))

    def request(self, run: AgentRun, step: CallModel) -> ChatRequest:
        """The request that a step asks for; for those who perform the steps themselves.

        Raises InvalidInput where a router chooses who is asked: that is no request.
        """
        if self.equipment.casting is not None:
            raise InvalidInput("a router chooses whom this agent asks at each step: use run_sync and its kin")
        return self.equipment.request(run, step)

    def _output_instruction(self) -> str | None:
        """What a model is told that cannot be held to a schema by its vendor."""
        output = self.equipment.output
        if output is None or all(one.capabilities.supports_json_mode for one in self._providers()):
            return None
        from pydantic_core import to_json

        schema = to_json(output.schema).decode()
        return f"Answer with one JSON value that fits this JSON schema, and nothing else:\n{schema}"


def _casting(
    provider: Provider, candidates: Iterable[Provider] | None, router: object, model: str
) -> Casting | None:
    """Who is chosen among, if anybody is; raises InvalidInput."""
    others = () if candidates is None else candidates
    if others == () and router is None:
        return None
    from tako.orchestrators.casting.casting import casting_among  # it needs agents

    casting = casting_among(provider, others, router)
    if casting is not None and model:
        raise InvalidInput("model is the provider's alone; with candidates, each provider has its own")
    return casting


def _servers(servers: Iterable[ServerConfig] | None) -> tuple[ServerConfig, ...]:
    """The servers, checked; raises InvalidInput."""
    if servers is None or servers == ():
        return ()
    from tako.mcp.config import ServerConfig  # an agent without servers needs no MCP

    if isinstance(servers, ServerConfig) or not isinstance(servers, Iterable):
        raise InvalidInput("mcp_servers should be a list of servers: mcp_servers=[Stdio(...)]")
    found = tuple(servers)
    for index, server in enumerate(found):
        if not isinstance(server, ServerConfig):
            raise InvalidInput(
                f"mcp_servers[{index}] should be a Stdio, Http, WebSocket or Grpc of tako.mcp, not "
                f"{type(server).__name__}"
            )
    return found


def _require_policy(policy: object) -> None:
    if not isinstance(policy, ToolPolicy):
        raise InvalidInput(f"policy should be a ToolPolicy, not {type(policy).__name__}")


def _require_provider(provider: object) -> None:
    if not isinstance(provider, Provider):
        hint = f"; write tako.provider({provider!r})" if isinstance(provider, str) else ""
        raise InvalidInput(
            f"provider must be a tako.providers.* instance, not {type(provider).__name__}{hint}"
        )


def _remembered(entries: Iterable[Remembered]) -> list[Remembered]:
    """The decisions, checked before a model is paid."""
    found = list(entries)
    for index, entry in enumerate(found):
        if not isinstance(entry, Remembered):
            raise InvalidInput(
                f"remembered[{index}] should be a Remembered, as in result.remembered, not "
                f"{type(entry).__name__}; of its JSON it is made by Remembered.model_validate_json(...)"
            )
    return found


def _require_handle(steering: object, place: Place) -> None:
    from tako.steering import Steering  # a run without a handle does not need it

    if place.is_journalled:
        raise InvalidInput(
            "pass steering or journal, not both: what a user does with a handle is not kept in a journal"
        )
    if not isinstance(steering, Steering):
        raise InvalidInput(f"steering should be a tako.Steering, not {type(steering).__name__}")


def _require_choice(tool_choice: str | None, equipment: Equipment) -> None:
    known = (*TOOL_CHOICES, *(one.name for one in equipment.tools))
    if isinstance(tool_choice, str) and tool_choice not in known and not equipment.servers:
        raise InvalidInput(f"tool_choice should be one of {', '.join(known)}, not {tool_choice!r}")


def _concurrency(config: ConcurrencyConfig | None, read_only: int | None) -> ConcurrencyConfig:
    """What was asked for, in either of the two ways."""
    if read_only is not None:
        _require_whole("tool_concurrency", read_only, at_least=1)
        if config is not None:
            raise InvalidInput("pass concurrency or tool_concurrency, not both")
        return ConcurrencyConfig(read_only=read_only)
    if config is not None and not isinstance(config, ConcurrencyConfig):
        raise InvalidInput(f"concurrency should be a ConcurrencyConfig, not {type(config).__name__}")
    return config or ConcurrencyConfig()


def _require_function(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise InvalidInput(f"{name} should be a function, not {type(value).__name__}")


def _require_whole(name: str, value: object, *, at_least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise InvalidInput(f"{name} should be a whole number of at least {at_least}, not {value!r}")
