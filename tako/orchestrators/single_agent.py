"""SingleAgent: one model, its tools, and a loop between them.

The agent itself is immutable and keeps nothing of a run: the conversation is the caller's, the
state of a run is an AgentRun. What is here is the sequence: ask the run for its next step, perform
it, feed the run. Calls that only read run side by side, calls that change something run alone and
in order, and a call that waits for the outside ends the run, when what stands before it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from tako.effects import Emit, Entropy, Failed, Flow, Gather, OnError
from tako.errors import Cancelled, InvalidInput, OutputInvalid, TakoError
from tako.events import (
    AssistantText,
    AssistantThinking,
    ChatChunk,
    Final,
    OutputRetry,
    StepStart,
    TextDelta,
    ThinkingDelta,
    ToolCallStart,
)
from tako.models import (
    ChatRequest,
    ChatResponse,
    Message,
    Part,
    Principal,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from tako.orchestrators.agent_run import (
    AgentRun,
    Broken,
    CallModel,
    CallTools,
    CheckOutput,
    ModelReplied,
    OutputAccepted,
    OutputRejected,
    Paused,
    RunOptions,
)
from tako.orchestrators.base import Orchestrator, Prompt, messages_of
from tako.orchestrators.calls import perform, waits_for
from tako.orchestrators.decisions import PendingCall
from tako.orchestrators.output import OutputType
from tako.orchestrators.result import OutputT, RunResult
from tako.providers.base import Provider, Relay
from tako.tools import Tool, ToolRegistry

__all__ = ["SingleAgent"]

TOOL_CHOICES = ("auto", "required", "none")
ASKED = frozenset(("temperature", "top_p", "max_tokens", "stop", "seed", "metadata", "extra"))
"""What RunOptions and ChatRequest call by the same name."""


class SingleAgent(Orchestrator[OutputT]):
    """An agent on one provider.

    provider          any tako.providers object
    system            the system prompt: text, or text parts with cache marks
    tools             functions, or what @tool made of them
    max_steps         how often one run may call the model
    output_type       a Pydantic model or type that the answer has to fit; see `result.output`
    output_retries    how often an answer that does not fit is sent back
    tool_concurrency  how many read-only calls run side by side
    tool_choice       "auto", "required", "none" or the name of a tool; holds for the first step of a
                      run only, because a model that must call a tool at every step cannot finish
    temperature, top_p, max_tokens, stop, seed, metadata, extra: as in ChatRequest

    Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        system: str | Iterable[Part] | None = None,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        max_steps: int = 8,
        output_type: type[OutputT] | None = None,
        output_retries: int = 2,
        tool_concurrency: int = 8,
        tool_choice: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: Sequence[str] = (),
        seed: int | None = None,
        metadata: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(provider, Provider):
            hint = f"; write tako.provider({provider!r})" if isinstance(provider, str) else ""
            raise InvalidInput(
                f"provider must be a tako.providers.* instance, not {type(provider).__name__}{hint}"
            )
        _require_whole("max_steps", max_steps, at_least=1)
        _require_whole("output_retries", output_retries, at_least=0)
        _require_whole("tool_concurrency", tool_concurrency, at_least=1)
        self.provider = provider
        self.tools = ToolRegistry(tools)
        known = (*TOOL_CHOICES, *(one.name for one in self.tools))
        if isinstance(tool_choice, str) and tool_choice not in known:
            raise InvalidInput(f"tool_choice should be one of {', '.join(known)}, not {tool_choice!r}")
        self.output = None if output_type is None or output_type is str else OutputType(output_type)
        self._wants_output = output_type is not None
        self._tool_concurrency = tool_concurrency
        self._options = RunOptions(
            system=_system_message(system, self._output_instruction()),
            max_steps=max_steps,
            output_retries=output_retries,
            tool_choice=tool_choice,
            temperature=temperature,
            top_p=top_p,
            max_tokens=max_tokens,
            stop=cast("tuple[str, ...]", stop),  # checked there, and copied
            seed=seed,
            metadata=cast("dict[str, str]", metadata or {}),
            extra=cast("dict[str, Any]", extra or {}),
        )

    def __repr__(self) -> str:
        return f"<SingleAgent on {self.provider.id}, {len(self.tools)} tools>"

    def start(
        self,
        prompt: str | Message | Sequence[Message],
        *,
        history: Sequence[Message] = (),
        system: str | Iterable[Part] | None = None,
        tenant_id: str | None = None,
        user_id: str | None = None,
        principal: Principal | None = None,
    ) -> AgentRun:
        """A run that has not taken a step, to be stepped by hand or given to run_sync and its kin."""
        options, changes = self._options, dict[str, Any]()
        if system is not None:
            changes["system"] = _system_message(system, self._output_instruction())
        if principal is not None or tenant_id is not None or user_id is not None:
            if principal is not None and not (tenant_id is None and user_id is None):
                raise InvalidInput("pass principal, or tenant_id and user_id, but not both")
            changes["principal"] = principal or Principal(
                tenant_id=tenant_id or "anonymous", user_id=user_id or "anonymous"
            )
        if changes:
            options = options.model_copy(update=changes)
        return AgentRun(messages_of(prompt), messages_of(history, "history"), options)

    def load(self, text: str | bytes) -> AgentRun:
        """A run from what `run.dumps()` wrote, here or in another process."""
        return AgentRun.loads(text)

    def flow(self, prompt: Prompt, *, streaming: bool = False, **options: Any) -> Flow[RunResult[OutputT]]:
        """The run as a flow; `options` are those of `start`."""
        if isinstance(prompt, AgentRun):
            if options:
                raise InvalidInput("a run has its options already; pass them when it is started")
            return self._drive(prompt, streaming=streaming)
        return self._drive(self.start(prompt, **options), streaming=streaming)

    def _drive(self, run: AgentRun, *, streaming: bool) -> Flow[RunResult[OutputT]]:
        try:
            if not run.run_id:
                run.run_id = (yield Entropy(8)).hex()
            while True:
                step = run.next_step()
                if type(step) is CallModel:
                    yield from self._call_model(run, step, streaming=streaming)
                elif type(step) is CallTools:
                    yield from self._call_tools(run, step, streaming=streaming)
                elif type(step) is CheckOutput:
                    yield from self._check_output(run, step, streaming=streaming)
                else:
                    break
        except TakoError as error:
            response = error.partial if isinstance(error.partial, ChatResponse) else None
            run.feed(Broken("cancelled" if isinstance(error, Cancelled) else "error", response))
            if not isinstance(error, Cancelled):
                error.partial, error.usage = self._result(run), run.usage
                raise
        result = self._result(run)
        if streaming:
            try:
                yield Emit((Final(result.text, result.usage, result),))
            except Cancelled:
                pass  # too late to change anything: the run has ended
        return result

    def _call_model(self, run: AgentRun, step: CallModel, *, streaming: bool) -> Flow[None]:
        request = self.request(run, step)
        if not streaming:
            response = yield from self.provider.chat_flow(request)
            run.feed(ModelReplied(response, self._wants_output))
            return
        yield Emit((StepStart(step.step, f"turn_{run.run_id}_{step.step}"),))
        if self.provider.capabilities.supports_streaming:
            response = yield from self.provider.stream_flow(request, _relay(step.step))
            run.feed(ModelReplied(response, self._wants_output))
        else:
            response = yield from self.provider.chat_flow(request)
            run.feed(ModelReplied(response, self._wants_output))  # first, so that a cancel does not lose it
            if events := _shown(step.step, response.message):
                yield Emit(events)

    def request(self, run: AgentRun, step: CallModel) -> ChatRequest:
        """The request that a step asks for; for those who perform the steps themselves."""
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
        return ChatRequest(
            model=self.provider.model,
            messages=tuple(step.messages) if options.system is None else (options.system, *step.messages),
            tools=self.tools.schemas,
            **asked,
        )

    def _call_tools(self, run: AgentRun, step: CallTools, *, streaming: bool) -> Flow[None]:
        if streaming and step.is_new:
            yield Emit([ToolCallStart(step.step, call.name, call.id, call.args) for call in step.calls])
        run.announced()
        for calls in self._in_groups(step.calls):
            ready = [call for call in calls if waits_for(self.tools.get(call.name), run, call) is None]
            if len(ready) > 1:
                flows = tuple([perform(self.tools, run, call, listening=streaming) for call in ready])
                for outcome in (yield Gather(flows, self._tool_concurrency, OnError.COLLECT)):
                    if type(outcome) is Failed:
                        raise outcome.error
            elif ready:
                yield from perform(self.tools, run, ready[0], listening=streaming)
            if ready != calls:
                run.feed(Paused(self._pending(run, step.calls)))
                return

    def _in_groups(self, calls: tuple[ToolCallPart, ...]) -> Iterable[list[ToolCallPart]]:
        """Runs of calls that only read, and each other call by itself, in the model's order."""
        if len(calls) == 1:
            return (list(calls),)
        groups: list[list[ToolCallPart]] = []
        reading = False
        for call in calls:
            tool = self.tools.get(call.name)
            reads = tool is not None and tool.read_only
            if reads and reading:
                groups[-1].append(call)
            else:
                groups.append([call])
            reading = reads
        return groups

    def _pending(self, run: AgentRun, calls: Iterable[ToolCallPart]) -> tuple[PendingCall, ...]:
        """Everything in the batch that the outside has to answer, so that it is asked once."""
        return tuple(
            [
                PendingCall(call=call, waits_for=what)
                for call in calls
                if (what := waits_for(self.tools.get(call.name), run, call)) is not None
            ]
        )

    def _check_output(self, run: AgentRun, step: CheckOutput, *, streaming: bool) -> Flow[None]:
        try:
            value = step.text if self.output is None else self.output.check(step.text)
        except InvalidInput as error:
            run.feed(OutputRejected(error.message))
            if run.is_finished:
                raise OutputInvalid(
                    f"the answer does not fit output_type: {error.message}",
                    provider=self.provider.id,
                    model=self.provider.model,
                    phase="output",
                    body=step.text,
                ) from error
            if streaming:
                yield Emit((OutputRetry(step.step, error.message),))
        else:
            run.feed(OutputAccepted(value))

    def _result(self, run: AgentRun) -> RunResult[OutputT]:
        return cast("RunResult[OutputT]", run.result(self.provider.capabilities.cost_usd(run.usage)))

    def _output_instruction(self) -> str | None:
        """What a model is told that cannot be held to a schema by its vendor."""
        if self.output is None or self.provider.capabilities.supports_json_mode:
            return None
        from pydantic_core import to_json

        schema = to_json(self.output.schema).decode()
        return f"Answer with one JSON value that fits this JSON schema, and nothing else:\n{schema}"


def _require_whole(name: str, value: object, *, at_least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise InvalidInput(f"{name} should be a whole number of at least {at_least}, not {value!r}")


def _system_message(system: str | Iterable[Part] | None, instruction: str | None) -> Message | None:
    if system is None or isinstance(system, str):
        text = "\n\n".join(filter(None, (system, instruction)))
        return Message.system(text) if text else None
    if not isinstance(system, Iterable):
        raise InvalidInput(f"system should be text or text parts, not {type(system).__name__}")
    try:
        message = Message.system(system)
    except InvalidInput as error:
        raise InvalidInput(f"system: {error.message}") from error
    return (
        Message.system((*message.content, *Message.system(instruction).content)) if instruction else message
    )


def _shown(step: int, message: Message) -> list[AssistantText | AssistantThinking]:
    """A whole answer as the agent's events."""
    events: list[AssistantText | AssistantThinking] = []
    for part in message.content:
        if type(part) is TextPart:
            events.append(AssistantText(step, part.text))
        elif type(part) is ThinkingPart:
            events.append(AssistantThinking(step, part.text))
    return events


def _relay(step: int) -> Relay:
    """Show a provider's chunks as the agent's events."""

    def relay(chunks: list[ChatChunk]) -> list[AssistantText | AssistantThinking]:
        events: list[AssistantText | AssistantThinking] = []
        for chunk in chunks:
            if type(chunk) is TextDelta:
                events.append(AssistantText(step, chunk.text))
            elif type(chunk) is ThinkingDelta:
                events.append(AssistantThinking(step, chunk.text))
        return events

    return relay
