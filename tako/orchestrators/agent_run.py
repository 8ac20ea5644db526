"""AgentRun: one run of an agent as a machine whose whole state is data.

Ask `next_step()` what to do, do it, `feed()` what came of it, and again. It holds no function, no
clock and no connection, so between any two steps it can be written to JSON (`dumps`), read in
another process (`loads`), or copied to try two ways.

| state    | next_step()   | fed with                    | next state                                   |
|----------|---------------|-----------------------------|----------------------------------------------|
| asking   | CallModel     | ModelReplied with calls     | calling                                      |
|          |               | ModelReplied, paused        | asking: the vendor goes on from there; or    |
|          |               |                             | ended: "max_steps"                           |
|          |               | ModelReplied, output wanted | checking                                     |
|          |               | ModelReplied                | ended: the model's reason                    |
| calling  | CallTools     | ToolReplied                 | calling; when all have replied, at the next  |
|          |               |                             | step: asking, or ended: "max_steps"          |
|          |               | Paused                      | ended: "approval_required", "result_required" |
| checking | CheckOutput   | OutputAccepted              | ended: the model's reason                    |
|          |               | OutputRejected              | asking, or ended: "error" when out of tries   |
| ended    | Finished      | answer(call, decision)      | calling, if it had paused                    |
| any      |               | Broken(reason, response)    | ended: "cancelled" or "error"                |

Invariants. `new_messages` is valid input for a vendor in every state: each call has exactly one
result, in the order of the calls, in the one tool message that follows; a call that has none yet is
shown with a stand-in, which the true result replaces. Usage is the sum over all replies, whole or
broken. What a state does not expect is refused with InvalidInput and changes nothing. The checked
output is a value of the caller's and no data: a run that has one is written as "checking".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import Field, ValidationError

from tako.errors import InvalidInput
from tako.models import (
    NOT_COUNTED,
    ChatResponse,
    Message,
    Principal,
    Role,
    ToolCallPart,
    ToolResultPart,
    Usage,
    Value,
    describe,
)
from tako.orchestrators.decisions import Answered, Decision, Denied, PendingCall
from tako.orchestrators.result import RunResult, StopReason

__all__ = [
    "AgentRun",
    "Broken",
    "CallModel",
    "CallTools",
    "CheckOutput",
    "Finished",
    "ModelReplied",
    "OutputAccepted",
    "OutputRejected",
    "Paused",
    "RunOptions",
    "Step",
    "ToolReplied",
]

State: TypeAlias = Literal["asking", "calling", "checking", "ended"]


class RunOptions(Value):
    """What one run is asked with. All of it goes with the run when it is dumped."""

    called: ClassVar[str | None] = "SingleAgent"

    system: Message | None = None
    max_steps: int = 8
    output_retries: int = 2
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = Field(default=None, gt=0)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tool_choice: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    extra: dict[str, Any] = Field(default_factory=dict)
    principal: Principal = Principal()


# The steps: what is to be done next.


@dataclass(slots=True)
class CallModel:
    """Call the model with these messages."""

    step: int
    messages: Sequence[Message]


@dataclass(slots=True)
class CallTools:
    """Perform these calls, which have no result yet. `is_new` is False when they were announced before."""

    step: int
    calls: tuple[ToolCallPart, ...]
    is_new: bool


@dataclass(slots=True)
class CheckOutput:
    """See whether the answer fits the output type."""

    step: int
    text: str


@dataclass(slots=True)
class Finished:
    """There is nothing to do."""

    stop_reason: StopReason


Step: TypeAlias = CallModel | CallTools | CheckOutput | Finished


# The outcomes: what has become of a step.


@dataclass(slots=True)
class ModelReplied:
    response: ChatResponse
    wants_output: bool = False
    """An output type is set: the text is to be checked before the run may end."""


@dataclass(slots=True)
class ToolReplied:
    result: ToolResultPart


@dataclass(slots=True)
class Paused:
    """Nothing more can be done before the outside has answered these calls."""

    pending: tuple[PendingCall, ...]


@dataclass(slots=True)
class OutputAccepted:
    value: Any


@dataclass(slots=True)
class OutputRejected:
    message: str


@dataclass(slots=True)
class Broken:
    """The run was cancelled, or failed. `response` is what the model had said of its answer."""

    stop_reason: Literal["cancelled", "error"]
    response: ChatResponse | None = None


Outcome: TypeAlias = ModelReplied | ToolReplied | Paused | OutputAccepted | OutputRejected | Broken

STAND_IN = {
    "approval_required": "not run yet: the call waits for approval",
    "result_required": "not answered yet: the result is awaited from outside",
    "cancelled": "not run: cancelled before execution",
    "error": "not run: the run failed before execution",
}


class AgentRun:
    """The state of one run. See the table at the head of this file."""

    __slots__ = (
        "_calls",
        "_has_output",
        "_history_size",
        "_messages",
        "_output",
        "_pending",
        "_rejections",
        "_results",
        "_state",
        "_step",
        "_still_running",
        "_stop_reason",
        "_usage",
        "_was_announced",
        "decisions",
        "options",
        "run_id",
        "step",
    )

    def __init__(self, prompt: Sequence[Message], history: Iterable[Message], options: RunOptions) -> None:
        self.options = options
        self.run_id = ""
        self._messages = list(history)
        self._history_size = len(self._messages)
        _require_answered(self._messages, prompt)
        self._messages.extend(prompt)
        self._state: State = "asking"
        self.step = 0
        """How often the model has been called."""
        self._usage = NOT_COUNTED
        self._calls: tuple[ToolCallPart, ...] = ()
        self._results: dict[str, ToolResultPart] = {}
        self.decisions: dict[str, Decision] = {}
        """What the outside has decided on the calls of this step, by their ids."""
        self._pending: tuple[PendingCall, ...] = ()
        self._was_announced = False
        self._rejections = 0
        self._still_running: list[str] = []
        self._stop_reason: StopReason = "stop"
        self._has_output = False
        self._output: Any = None

    def __repr__(self) -> str:
        return f"<AgentRun {self.run_id or 'not started'}: {self._state}, step {self.step}>"

    @property
    def is_finished(self) -> bool:
        return self._state == "ended"

    @property
    def usage(self) -> Usage:
        return self._usage

    @property
    def pending(self) -> tuple[PendingCall, ...]:
        """The calls that wait for an answer from outside."""
        return self._pending

    @property
    def messages(self) -> list[Message]:
        """The whole conversation, valid as it stands."""
        return self._messages + self._open_batch()

    @property
    def new_messages(self) -> list[Message]:
        """What this run has added to the history (the prompt included), valid as it stands."""
        return self._messages[self._history_size :] + self._open_batch()

    def next_step(self) -> Step:
        """What to do now. Asking twice gives the same answer."""
        if self._state == "calling":
            calls = self._open_calls()
            if calls:
                return CallTools(self.step, calls, not self._was_announced)
            self._settle()
        if self._state == "asking":
            return CallModel(self.step + 1, self._messages)
        if self._state == "checking":
            return CheckOutput(self.step, self._messages[-1].text)
        return Finished(self._stop_reason)

    def feed(self, outcome: Outcome) -> None:
        """Tell what came of the step; raises InvalidInput if it is not what the state waits for."""
        kind = type(outcome)
        if kind is not Broken and _EXPECTED[kind] != self._state:
            raise InvalidInput(f"{kind.__name__} does not fit a run that is {self._state}")
        _FEED[kind](self, outcome)

    def announced(self) -> None:
        """The calls of this step have been shown; a resumed run does not show them again."""
        self._was_announced = True

    def left_running(self, name: str) -> None:
        """A blocking tool ignored its cancel and still runs."""
        self._still_running.append(name)

    def answer(self, call_id: str, decision: Decision) -> None:
        """Answer a pending call: Approved, Denied or Answered. Then run the agent with this run again."""
        waiting = {pending.call.id: pending for pending in self._pending}
        if self._state != "ended" or call_id not in waiting:
            ids = ", ".join(waiting) or "none"
            raise InvalidInput(f"no call {call_id!r} waits for an answer here; pending are: {ids}")
        if waiting[call_id].waits_for == "result" and not isinstance(decision, Answered | Denied):
            raise InvalidInput(
                f"call {call_id!r} waits for its result: answer with Answered(...) or Denied(...)"
            )
        self.decisions[call_id] = decision
        self._pending = tuple(p for p in self._pending if p.call.id != call_id)
        if isinstance(decision, Answered):
            self._record(call_id, decision.result, is_error=decision.is_error)
        elif isinstance(decision, Denied):
            self._record(call_id, f"denied: {decision.reason}", is_error=True)
        if not self._pending:
            self._state = "calling"

    def result(self, cost_usd: float | None = None) -> RunResult:
        """What there is, at any moment."""
        return RunResult(
            text=self._last_text(),
            usage=self._usage,
            steps=self.step,
            new_messages=self.new_messages,
            stop_reason=self._stop_reason if self._state == "ended" else "error",
            output=self._output,
            cost_usd=cost_usd,
            pending=self._pending,
            still_running=tuple(self._still_running),
            run=self,
        )

    # What becomes of each outcome.

    def _model_replied(self, outcome: ModelReplied) -> None:
        response = outcome.response
        self.step += 1
        self._usage += response.usage
        self._take_calls(response.message)
        if self._calls:
            self._state = "calling"
            return
        reason = response.finish_reason
        if reason == "pause":
            self._go_on()
            return
        self._stop_reason = "stop" if reason == "tool_calls" else reason
        self._state = "checking" if outcome.wants_output else "ended"

    def _tool_replied(self, outcome: ToolReplied) -> None:
        result = outcome.result
        if result.id in self._results or result.id not in [call.id for call in self._calls]:
            raise InvalidInput(f"no call {result.id!r} waits for a result")
        self._results[result.id] = result

    def _paused(self, outcome: Paused) -> None:
        self._pending = outcome.pending
        needs_approval = any(pending.waits_for == "approval" for pending in outcome.pending)
        self._stop_reason = "approval_required" if needs_approval else "result_required"
        self._state = "ended"

    def _output_accepted(self, outcome: OutputAccepted) -> None:
        self._output, self._has_output = outcome.value, True
        self._state = "ended"

    def _output_rejected(self, outcome: OutputRejected) -> None:
        self._rejections += 1
        if self._rejections > self.options.output_retries or self.step >= self.options.max_steps:
            self._stop_reason = "error"
            self._state = "ended"
            return
        self._messages.append(
            Message.user(f"The answer is not valid: {outcome.message}. Answer again with valid JSON only.")
        )
        self._state = "asking"

    def _broken(self, outcome: Broken) -> None:
        if self._state == "ended":
            return
        response = outcome.response
        if response is not None and self._state == "asking":
            self.step += 1
            self._usage += response.usage
            if response.message.content:
                self._take_calls(response.message)
        self._stop_reason = outcome.stop_reason
        self._state = "ended"
        self._pending = ()
        self._messages.extend(self._open_batch())
        self._calls, self._results = (), {}

    # The batch of calls that is open.

    def _take_calls(self, message: Message) -> None:
        calls = message.tool_calls
        if calls and not _are_distinct(calls):
            message = _with_own_ids(message, len(self._messages))
            calls = message.tool_calls
        self._messages.append(message)
        self._calls = calls
        self._results = {}
        self.decisions = {}  # a vendor may use an id again, and one approval is for one call
        self._was_announced = False

    def _open_calls(self) -> tuple[ToolCallPart, ...]:
        if not self._results:
            return self._calls
        return tuple([call for call in self._calls if call.id not in self._results])

    def _open_batch(self) -> list[Message]:
        """The tool message as it would be now, with stand-ins for what has no result yet."""
        if not self._calls:
            return []
        words = STAND_IN.get(self._stop_reason if self._state == "ended" else "", "not run yet")
        parts = [
            self._results.get(call.id)
            or ToolResultPart(id=call.id, name=call.name, result=words, is_error=True)
            for call in self._calls
        ]
        return [Message.tool(parts)]

    def _record(self, call_id: str, result: Any, *, is_error: bool) -> None:
        name = next(call.name for call in self._calls if call.id == call_id)
        self._results[call_id] = ToolResultPart(id=call_id, name=name, result=result, is_error=is_error)

    def _settle(self) -> None:
        """Close the batch when its last result is there. Only here, because results may be fed from
        several threads at once and `next_step` is asked by one."""
        self._messages.append(Message.tool([self._results[call.id] for call in self._calls]))
        self._calls, self._results = (), {}
        self._go_on()

    def _go_on(self) -> None:
        """Ask the model again, if there is a step left."""
        if self.step >= self.options.max_steps:
            self._stop_reason = "max_steps"
            self._state = "ended"
        else:
            self._state = "asking"

    def _last_text(self) -> str:
        """The text of the last answer, which is several messages where the vendor paused in it."""
        texts: list[str] = []
        for message in reversed(self._messages[self._history_size :]):
            if message.role is Role.ASSISTANT:
                texts.append(message.text)
            elif texts:
                break
        return "".join(reversed(texts))

    # The state as data.

    def dumps(self) -> str:
        """The run as JSON text."""
        return _Snapshot(
            run_id=self.run_id,
            options=self.options,
            messages=tuple(self._messages),
            history_size=self._history_size,
            state="checking" if self._has_output else self._state,
            step=self.step,
            usage=self._usage,
            calls=self._calls,
            results=self._results,
            decisions=self.decisions,
            pending=self._pending,
            was_announced=self._was_announced,
            rejections=self._rejections,
            still_running=tuple(self._still_running),
            stop_reason=self._stop_reason,
        ).model_dump_json()  # with every None: the arguments of a call may be null

    @classmethod
    def loads(cls, text: str | bytes) -> AgentRun:
        """A run from its JSON; raises InvalidInput when the text is no run. A finished run gives its
        `output` again when the agent runs it."""
        try:
            data = _Snapshot.model_validate_json(text)
        except ValidationError as error:
            raise InvalidInput(f"this is not a run that was dumped: {describe(error)}") from error
        if not data.is_consistent:
            raise InvalidInput("this is not a run that was dumped: its fields contradict each other")
        run = cls((), (), data.options)
        for name in _Snapshot.model_fields:
            if name != "options" and name != "version":
                setattr(run, name if name in AgentRun.__slots__ else f"_{name}", getattr(data, name))
        run._messages = list(data.messages)
        run._still_running = list(data.still_running)
        return run

    def copy(self) -> AgentRun:
        """A run that goes its own way from here."""
        run = AgentRun.loads(self.dumps())
        run._state, run._output, run._has_output = self._state, self._output, self._has_output
        return run


class _Snapshot(Value):
    """What `dumps` writes. A field is added with a default, so that older text still loads."""

    called: ClassVar[str | None] = "AgentRun"
    version: Literal[1] = 1
    run_id: str = ""
    options: RunOptions
    messages: tuple[Message, ...] = ()
    history_size: int = 0
    state: State
    step: int = 0
    usage: Usage = NOT_COUNTED
    calls: tuple[ToolCallPart, ...] = ()
    results: dict[str, ToolResultPart] = Field(default_factory=dict)
    decisions: dict[str, Decision] = Field(default_factory=dict)
    pending: tuple[PendingCall, ...] = ()
    was_announced: bool = False
    rejections: int = 0
    still_running: tuple[str, ...] = ()
    stop_reason: StopReason = "stop"

    @property
    def is_consistent(self) -> bool:
        """The table could have led here: open calls, their results and answers belong to each other."""
        last = self.messages[-1] if self.messages else None
        ids = {call.id for call in self.calls}
        return (
            0 <= self.history_size <= len(self.messages)
            and (not self.calls or (last is not None and last.tool_calls == self.calls))
            and len(ids) == len(self.calls)
            and (bool(self.calls) if self.state == "calling" else self.state == "ended" or not self.calls)
            and (self.state != "checking" or (last is not None and last.role is Role.ASSISTANT))
            and ids.issuperset(self.results)
            and all(result.id == id for id, result in self.results.items())
            and ids.issuperset(pending.call.id for pending in self.pending)
        )


_EXPECTED: dict[type, State] = {
    ModelReplied: "asking",
    ToolReplied: "calling",
    Paused: "calling",
    OutputAccepted: "checking",
    OutputRejected: "checking",
}
_FEED: dict[type, Callable[[AgentRun, Any], None]] = {
    ModelReplied: AgentRun._model_replied,
    ToolReplied: AgentRun._tool_replied,
    Paused: AgentRun._paused,
    OutputAccepted: AgentRun._output_accepted,
    OutputRejected: AgentRun._output_rejected,
    Broken: AgentRun._broken,
}


def _are_distinct(calls: tuple[ToolCallPart, ...]) -> bool:
    """Whether each call has an id, and no two the same."""
    if len(calls) == 1:
        return bool(calls[0].id)
    ids = {call.id for call in calls}
    return "" not in ids and len(ids) == len(calls)


def _with_own_ids(message: Message, position: int) -> Message:
    """Some servers repeat an id, or send none; results could not be told apart then. The position in
    the conversation keeps the ids of two runs apart, of which one is the other's history."""
    parts = [
        part.model_copy(update={"id": f"call_{position}_{index}"}) if type(part) is ToolCallPart else part
        for index, part in enumerate(message.content)
    ]
    return Message.assistant(parts)


def _require_answered(history: Sequence[Message], prompt: Sequence[Message]) -> None:
    """Open calls are refused by every vendor, with words nobody understands."""
    for messages, answers in ((history, prompt), (prompt, ())):
        if not messages or not messages[-1].tool_calls or (answers and answers[0].role is Role.TOOL):
            continue
        ids = ", ".join(call.id for call in messages[-1].tool_calls)
        raise InvalidInput(
            f"{'history' if messages is history else 'prompt'} ends with calls that have no results ({ids}); "
            "append result.new_messages as it is, or continue the run itself: agent.run_sync(result.run)"
        )
