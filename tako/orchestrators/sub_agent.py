"""SubAgent: a tool that runs an agent.

The model gives a prompt and may give a system prompt; everything else is the caller's. What is not set
here is the parent's: provider, model, tools, policy, approval, limits of concurrency and output.

| of the child         | is                                                                             |
|----------------------|--------------------------------------------------------------------------------|
| tools                | its own, or the parent's                                                       |
| policy               | what the parent's and its own both allow: it can lose tools, never win any     |
| approval             | its own callback, or the parent's; without any, the parent's run pauses        |
| mode                 | the one that was in force when it was called                                   |
| steering             | none: the user speaks with the outermost agent                                 |
| events               | in the parent's stream, as SubAgentEvent under a path, and told to `trace`     |
| usage, cost          | added to the parent's and listed in `result.sub_agents`, however it ended      |
| cancel, interruption | the parent's: what stops the call stops the child and all that is below it     |
| answer               | its last text; anything but a whole answer is an error result                  |

Invariants. A child that can change something has a trace, or the agent that would use it is not made.
Children stand at most `max_depth` deep. A child that waits for an approval is kept, as data, in the
parent's run, and goes on from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tako.effects import Flow
from tako.errors import Cancelled, InvalidInput, TakoError
from tako.events import SubAgentEvent
from tako.models import Message, Part, Thinking
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.approval import Approve, NeedsApproval, needs_of
from tako.orchestrators.calls import Suspended
from tako.orchestrators.conduct import conduct
from tako.orchestrators.equipment import Equipment
from tako.orchestrators.options import RunOptions
from tako.orchestrators.place import under
from tako.orchestrators.result import RunResult, SubAgentUsage
from tako.orchestrators.scope import Scope
from tako.providers.base import Provider
from tako.tools.context import ToolContext
from tako.tools.output import ToolOutput
from tako.tools.policy import ToolPolicy
from tako.tools.registry import ToolRegistry
from tako.tools.tool import Progress, Tool

__all__ = ["SubAgent", "Trace", "answer_of", "require_traces"]

Trace = Callable[[SubAgentEvent], object]
"""Told of every event of a child. It is plain and quick: it runs where the flow runs. What it raises
ends the child, because what it should have seen must not go on unseen."""

DESCRIPTION = (
    "Hand a task to another agent, which works on it alone and gives back its answer. It knows nothing of "
    "this conversation: put everything that it needs into the prompt."
)


class SubAgent(Tool):
    """An agent as a tool of another.

    name, description        what the parent's model is told
    provider, model, system  its own, or the parent's provider and model, and no system prompt
    tools                    its own; the parent's if None
    tools_allow              which of them it may call, by patterns; a ToolPolicy does as well
    filter_tool_definitions  hide from it what it may not call; otherwise a call of it is an error result,
                             and the definitions are the parent's, so that prompt caches hit
    approval, needs_approval as in SingleAgent; the parent's if None
    thinking                 its own; the parent's does not go on to it
    read_only                it may call nothing that changes anything, which is checked; so it is treated as
                             other reads are
    trace                    told of every event; required if it can change anything
    max_steps, max_tokens, temperature: as in SingleAgent
    """

    def __init__(
        self,
        *,
        name: str = "agent",
        description: str = DESCRIPTION,
        provider: Provider | None = None,
        model: str | None = None,
        system: str | Iterable[Part] | None = None,
        tools: Iterable[Tool | Callable[..., Any]] | None = None,
        tools_allow: Iterable[str] | ToolPolicy | None = None,
        filter_tool_definitions: bool = False,
        approval: Approve | None = None,
        needs_approval: str | NeedsApproval | None = None,
        thinking: Thinking | None = None,
        read_only: bool = False,
        trace: Trace | None = None,
        max_steps: int = 30,
        max_tokens: int | None = 4096,
        temperature: float | None = None,
        timeout: float | None = None,
        max_output: int | None = None,
    ) -> None:
        super().__init__(
            self._flow,
            name=name,
            description=description,
            read_only=read_only,
            timeout=timeout,
            max_output=max_output,
        )
        self.is_flow = self.recursive = True
        if provider is not None and not isinstance(provider, Provider):
            raise InvalidInput(f"provider must be a tako.providers.* instance, not {type(provider).__name__}")
        for argument, value in (("approval", approval), ("trace", trace)):
            if value is not None and not callable(value):
                raise InvalidInput(f"{argument} should be a function, not {type(value).__name__}")
        if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
            raise InvalidInput(f"max_steps should be a whole number of at least 1, not {max_steps!r}")
        self.provider = provider
        self.tools = None if tools is None else ToolRegistry(tools)
        self.policy = tools_allow if isinstance(tools_allow, ToolPolicy) else ToolPolicy(allow=tools_allow)
        self.hides_definitions = filter_tool_definitions
        self.child_approval = approval
        self.child_needs = None if needs_approval is None else needs_of(needs_approval)
        self.trace = trace
        self.options = RunOptions(
            system=None if system is None else Message.system(system),
            model=model or "",
            max_steps=max_steps,
            max_tokens=max_tokens,
            temperature=temperature,
            thinking=thinking,
        )

    def invoke(
        self, arguments: Any, make_context: Callable[[], ToolContext], progress: Progress | None = None
    ) -> Flow[Any]:
        """Run the agent; one that has waited for the outside goes on, whatever it was called with."""
        context = make_context()
        parent = context.caller
        run = parent.run.suspended(context.call_id) if isinstance(parent, Scope) else None
        if run is None or not isinstance(parent, Scope):
            return (yield from super().invoke(arguments, lambda: context, progress))
        return (yield from self._conduct(parent, run, context.call_id))

    def _flow(self, prompt: str, context: ToolContext, system: str | None = None) -> Flow[ToolOutput]:
        """Begin with a child.

        Args:
            prompt: The task, with everything that is needed to do it.
            system: Who the agent should be; leave it out for an all-rounder.
        """
        parent = context.caller
        if not isinstance(parent, Scope):
            raise InvalidInput("a SubAgent runs inside an agent; to run one by itself make a SingleAgent")
        deepest = parent.equipment.max_depth
        if parent.depth >= deepest:
            return ToolOutput.error(
                f"Max sub-agent depth ({deepest}) reached. Cannot spawn further sub-agents."
            )
        return (yield from self._conduct(parent, self._start(parent, prompt, system), context.call_id))

    def _conduct(self, parent: Scope, run: AgentRun, call_id: str) -> Flow[ToolOutput]:
        """Take the child as far as it gets, and book what it has used, however that ends."""
        run.remember_all(parent.run.remembered)
        step = f"{self.name}:{call_id}"
        scope = Scope(
            self._equip(parent.equipment),
            run,
            under(step, parent.show, self.trace) if parent.show or self.trace else None,
            depth=parent.depth + 1,
            path=(*parent.path, step),
            is_journalled=parent.is_journalled,
            mode=parent.mode,
        )
        failure, result = None, None
        try:
            result = yield from conduct(scope)
        except TakoError as error:
            failure = error
        finally:
            _account(parent, scope, step, call_id)
        if failure is not None:
            return ToolOutput.error(f"Sub-agent error: {failure.message}{_said(scope)}")
        assert result is not None
        return _output(result)

    def _start(self, parent: Scope, prompt: str, system: str | None) -> AgentRun:
        changes: dict[str, Any] = {"principal": parent.run.options.principal}
        if system is not None:
            changes["system"] = Message.system(system)
        if self.provider is None and not self.options.model:
            changes["model"] = parent.run.options.model
        return AgentRun([Message.user(prompt)], (), self.options.model_copy(update=changes))

    def _equip(self, equipment: Equipment) -> Equipment:
        """The parent, but for what is set here."""
        policy = equipment.policy & self.policy
        tools = equipment.tools if self.tools is None else self.tools
        if self.hides_definitions:
            tools = tools.only(policy.can_be_called)
        return replace(
            equipment,
            provider=self.provider or equipment.provider,
            tools=tools,
            servers=(),  # their tools are among the parent's
            policy=policy,
            approval=self.child_approval or equipment.approval,
            needs_approval=self.child_needs or equipment.needs_approval,
            output=None,
            wants_output=False,
            casting=None,
        )

    def _changes_something(self, tools: ToolRegistry, policy: ToolPolicy) -> list[Tool]:
        """The tools by which the child, or a child of its own, could change something."""
        return [
            one
            for one in (tools if self.tools is None else self.tools)
            if not one.read_only and policy.can_be_called(one.name)
        ]


def require_traces(tools: ToolRegistry, policy: ToolPolicy) -> None:
    """Raise InvalidInput if one of these tools is an agent that could change something unseen."""
    for one in tools:
        if not isinstance(one, SubAgent):
            continue
        allowed = policy & one.policy
        mutating = one._changes_something(tools, allowed)
        if one.read_only and mutating:
            names = ", ".join([tool.name for tool in mutating])
            raise InvalidInput(
                f"tools: the sub-agent {one.name!r} is said to be read_only, but may call {names}; "
                "allow it read-only tools alone with tools_allow=[...]"
            )
        names = ", ".join([tool.name for tool in mutating if not tool.recursive])
        if names and one.trace is None:  # what its own children may do is theirs to trace
            raise InvalidInput(
                f"tools: the sub-agent {one.name!r} may call {names}, which change something, "
                "and nobody would see it; pass trace=... (a function that is told of its events), or allow "
                "it read-only tools alone with tools_allow=[...]"
            )
        if one.tools is not None:
            require_traces(one.tools, allowed)


def _account(parent: Scope, scope: Scope, step: str, call_id: str) -> None:
    """Book what the child has used and left behind, however it ended, and what was decided for good."""
    run = scope.run
    parent.run.sub_agent_used(
        call_id,
        SubAgentUsage(
            path=scope.path,
            model=run.options.model or scope.equipment.provider.model,
            usage=run.usage,
            steps=run.step,
            cost_usd=scope.cost_usd,
            sub_agents=run.sub_agents,
        ),
    )
    parent.run.remember_all(run.remembered)
    left = Counter([f"{step}/{name}" for name in run.still_running])
    for name in (left - Counter(parent.run.still_running)).elements():
        parent.run.left_running(name)


def _output(result: RunResult[Any]) -> ToolOutput:
    """What the parent's model reads; raises Suspended or Cancelled where there is no answer yet."""
    run = result.run
    assert run is not None
    if result.stop_reason in ("approval_required", "result_required"):
        raise Suspended(run)
    return answer_of(result)


def answer_of(result: RunResult[Any]) -> ToolOutput:
    """The answer of a run that has ended, for the model that asked for it; raises Cancelled."""
    reason = result.stop_reason
    if reason == "stop":
        return ToolOutput(result.text)
    said = f"; it last said: {result.text}" if result.text else ""
    if reason == "max_steps":
        words = f"Sub-agent stopped after {result.steps} steps, before it was done"
    else:
        words = f"Sub-agent stopped ({reason})"
    if reason == "cancelled":
        raise Cancelled(partial=f"Sub-agent cancelled{said}")
    return ToolOutput.error(f"{words}{said}")


def _said(scope: Scope) -> str:
    text = scope.run.result().text
    return f"; it last said: {text}" if text else ""
