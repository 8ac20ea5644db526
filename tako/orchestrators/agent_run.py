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
|          |               | Told                        | asking, with the messages at the end         |
|          |               | HistoryReplaced             | asking, with these messages instead          |
| calling  | CallTools     | ToolReplied                 | calling; when all have replied, at the next  |
|          |               |                             | step: asking, or ended: "max_steps"          |
|          |               | CallSuspended               | calling; the call is open, its run kept      |
|          |               | Paused                      | ended: "approval_required", "result_required" |
| checking | CheckOutput   | OutputAccepted              | ended: the model's reason                    |
|          |               | OutputRejected              | asking, or ended: "error" when out of tries   |
| ended    | Finished      | answer(call, decision)      | calling, if it had paused                    |
|          |               | Told                        | asking, or ended: "max_steps"; not where the |
|          |               |                             | run waits, failed or was cancelled           |
| any      |               | Broken(reason, response)    | ended: that reason                           |

Where several may speak, who does is in `turns`: an end after which somebody else may have to speak is
open, and as long as it is, Broken can still change its reason.

Invariants. `new_messages` is valid input for a vendor in every state: each call has exactly one
result, in the order of the calls, in the one tool message that follows; a call that has none yet is
shown with a stand-in, which the true result replaces. Usage is the sum over all replies, whole or
broken, and over what sub-agents have used. What a state does not expect is refused with InvalidInput
and changes nothing. A decision counts for the call it was made for, and for no other that has its id.
The checked output is a value of the caller's and no data: a run that has one is written as "checking".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tako.errors import InvalidInput
from tako.models import NOT_COUNTED, ChatResponse, Message, Role, ToolCallPart, ToolResultPart, Usage
from tako.orchestrators.agent_steps import (
    Broken,
    CallModel,
    CallSuspended,
    CallTools,
    CheckOutput,
    Finished,
    HistoryReplaced,
    ModelReplied,
    Outcome,
    OutputAccepted,
    OutputRejected,
    Paused,
    State,
    Step,
    Told,
    ToolReplied,
)
from tako.orchestrators.casting.turns import Turns
from tako.orchestrators.decisions import (
    NOT_GIVEN,
    Answered,
    Approved,
    BoundDecision,
    Decision,
    Denied,
    NotGiven,
    PendingCall,
    Remembered,
    denial,
    digest_of,
    with_arguments,
)
from tako.orchestrators.history import are_distinct, require_answered, require_replayable, with_own_ids
from tako.orchestrators.open_batch import OpenBatch
from tako.orchestrators.options import RunOptions
from tako.orchestrators.result import RunResult, StopReason, SubAgentUsage
from tako.tools.patterns import CallPattern

if TYPE_CHECKING:
    from tako.orchestrators.snapshot import SealingKey, Snapshot

__all__ = ["GOES_ON", "NOT_VALID", "AgentRun", "RunOptions"]


NOT_VALID = "The answer is not valid: "
"""How we begin, in the user's name, to say that an answer does not fit."""
GOES_ON = frozenset(("stop", "length", "content_filter", "other", "interrupted"))
"""Ends after which the user may still say something to the same run."""


class AgentRun:
    """The state of one run. See the table at the head of this file."""

    __slots__ = (
        "_detail", "_has_output", "_history_size", "_messages", "_output", "_pending", "_prompt_end",
        "_rejections", "_state", "_still_running", "_stop_reason", "_sub_agents", "_usage", "_view", "batch",
        "options", "remembered", "run_id", "step", "turns",
    )  # fmt: skip

    def __init__(self, prompt: Sequence[Message], history: Iterable[Message], options: RunOptions) -> None:
        self.options = options
        self.run_id = ""
        self._messages = list(history)
        self._history_size = len(self._messages)
        require_answered(self._messages, prompt)
        self._messages.extend(prompt)
        self._prompt_end = len(self._messages)
        self._view: list[Message] | None = None  # what the model is asked with, once it is not all of them
        self._state: State = "asking"
        self.step = 0
        """How often the model has been called."""
        self.turns: Turns | None = None
        """Whose turn it is, where several may speak."""
        self._usage = NOT_COUNTED
        self._sub_agents: dict[str, SubAgentUsage] = {}
        self.batch = OpenBatch()
        """The calls of the last answer, as long as one of them has no result."""
        self.remembered: list[Remembered] = []
        """What it has decided on calls of a pattern, for good."""
        self._pending: tuple[PendingCall, ...] = ()
        self._rejections = 0
        self._still_running: list[str] = []
        self._stop_reason: StopReason = "stop"
        self._detail = ""
        self._has_output = False
        self._output: Any = None

    def __repr__(self) -> str:
        return f"<AgentRun {self.run_id or 'not started'}: {self._state}, step {self.step}>"

    @property
    def is_finished(self) -> bool:
        return self._state == "ended"

    @property
    def stop_reason(self) -> StopReason:
        """Why it has ended, once it has."""
        return self._stop_reason

    @property
    def can_go_on(self) -> bool:
        """It has ended, and a user who says something more would be heard."""
        return self._state == "ended" and self._stop_reason in GOES_ON and self.step < self.options.max_steps

    @property
    def usage(self) -> Usage:
        """What the calls of the model have used together, with those of sub-agents, routers and judges."""
        total = self._usage
        for one in self._sub_agents.values():
            total += one.usage
        if self.turns is not None:
            total += self.turns.beside
            for one in self.turns.runs:
                total += one.usage
        return total

    @property
    def own_usage(self) -> Usage:
        """Those of the model alone."""
        return self._usage

    @property
    def sub_agents(self) -> tuple[SubAgentUsage, ...]:
        """What each run of a sub-agent has used, in the order of the calls; then of each agent that spoke."""
        spoke = () if self.turns is None else self.turns.runs
        if not self._sub_agents:
            return spoke
        order = sorted(self._sub_agents, key=lambda place: [int(number) for number in place.split(".")])
        return (*[self._sub_agents[place] for place in order], *spoke)

    @property
    def still_running(self) -> tuple[str, ...]:
        """The tools that ignored their cancel and were left behind; below a sub-agent with their path."""
        return tuple(self._still_running)

    @property
    def pending(self) -> tuple[PendingCall, ...]:
        """The calls that wait for an answer from outside, those of sub-agents among them."""
        return self._pending

    @property
    def messages(self) -> list[Message]:
        """The whole conversation, valid as it stands."""
        return self._messages + self._as_it_stands()

    @property
    def new_messages(self) -> list[Message]:
        """What this run has added to the history (the prompt included), valid as it stands."""
        return self._messages[self._history_size :] + self._as_it_stands()

    def next_step(self) -> Step:
        """What to do now. Asking twice gives the same answer."""
        if self._state == "calling":
            calls = self.batch.open_calls()
            if calls:
                return CallTools(self.step, calls, not self.batch.was_announced)
            self._settle()
        if self._state == "asking":
            return CallModel(self.step + 1, self._messages if self._view is None else self._view)
        if self._state == "checking":
            return CheckOutput(self.step, self._last_text())
        return Finished(self._stop_reason)

    def feed(self, outcome: Outcome) -> None:
        """Tell what came of the step; raises InvalidInput if it is not what the state waits for."""
        kind = type(outcome)
        if self._state not in _EXPECTED[kind]:
            raise InvalidInput(f"{kind.__name__} does not fit a run that is {self._state}")
        _FEED[kind](self, outcome)

    # What is noted beside the steps.

    def announced(self) -> None:
        """The calls of this step have been shown; a resumed run does not show them again."""
        self.batch.was_announced = True

    def left_running(self, name: str) -> None:
        """A blocking tool ignored its cancel and still runs."""
        self._still_running.append(name)

    def sub_agent_used(self, call_id: str, used: SubAgentUsage) -> None:
        """What the agent behind this call has used so far; it may be told again while it goes on."""
        self._sub_agents[f"{self.step}.{self.batch.place(call_id)}"] = used

    def suspended(self, call_id: str) -> AgentRun | None:
        """The run of a sub-agent that waited for the outside, from which its call goes on."""
        return self.batch.suspended.get(call_id)

    def remember(self, pattern: CallPattern, *, allowed: bool, reason: str = "") -> None:
        """Decide on all calls of a pattern; said again, it counts once."""
        self.remember_all([Remembered(pattern=pattern, allowed=allowed, reason=reason)])

    def remember_all(self, entries: Iterable[Remembered]) -> None:
        """What was decided in another run counts in this one as well; several may tell at once."""
        self.remembered.extend([entry for entry in entries if entry not in self.remembered])

    def keep_in_mind(self, call: ToolCallPart, decision: Decision) -> None:
        """Remember what is to be remembered of a decision; raises InvalidInput where that cannot be."""
        if isinstance(decision, Answered) or not decision.remember:
            return
        pattern = decision.remember
        if isinstance(pattern, bool):
            pattern = CallPattern.exactly(with_arguments(call, decision))
        reason = decision.reason if isinstance(decision, Denied) else ""
        self.remember(pattern, allowed=isinstance(decision, Approved), reason=reason)

    def take_unshown(self) -> list[ToolResultPart]:
        """The results that came from outside while nobody listened."""
        return self.batch.take_unshown()

    # What the outside says.

    def answer(
        self, call: str | PendingCall, decision: Decision, *, digest: str | NotGiven = NOT_GIVEN
    ) -> None:
        """Answer a pending call: Approved, Denied or Answered. Then run the agent with this run again.

        `digest` is what came back with the decision, if somebody else held it in between. Raises
        InvalidInput if no such call waits, or another one than the decision was made for.
        """
        pending = self._find_pending(call)
        now = digest_of(pending.call)
        shown = digest_of(call.call) if isinstance(call, PendingCall) else now
        if shown != now or digest not in (NOT_GIVEN, now):  # None is a client that has sent nothing
            raise InvalidInput(
                f"the decision on call {pending.call.id!r} was made for other arguments; ask again with the "
                "pending call as it is now"
            )
        if not isinstance(decision, Approved | Denied | Answered):
            raise InvalidInput(
                "a decision is Approved(), Denied(reason=...) or Answered(result=...), "
                f"not {type(decision).__name__}"
            )
        if pending.waits_for == "result" and isinstance(decision, Approved):
            raise InvalidInput(
                f"call {pending.call.id!r} waits for its result: answer with Answered(...) or Denied(...)"
            )
        if pending.path:
            self._answer_sub_agent(pending, decision)
        else:
            self._decide(pending.call, decision)
        self._pending = tuple([one for one in self._pending if one is not pending])
        if not self._pending:
            self._state = "calling"

    def _find_pending(self, call: str | PendingCall) -> PendingCall:
        if isinstance(call, PendingCall):
            found = [one for one in self._pending if one.path == call.path and one.call.id == call.call.id]
            name = call.call.id
        elif isinstance(call, str):
            found, name = [one for one in self._pending if one.call.id == call], call
        else:
            raise InvalidInput(
                f"answer a call by its id, or by the PendingCall of `pending`, not {type(call).__name__}"
            )
        if self._state != "ended" or not found:
            ids = ", ".join([one.call.id for one in self._pending]) or "none"
            raise InvalidInput(f"no call {name!r} waits for an answer here; pending are: {ids}")
        if len(found) > 1:
            raise InvalidInput(
                f"several calls {name!r} wait, of different agents; pass the PendingCall itself"
            )
        return found[0]

    def _decide(self, call: ToolCallPart, decision: Decision) -> None:
        self.keep_in_mind(call, decision)
        self.batch.decisions[call.id] = BoundDecision(decision=decision, digest=digest_of(call))
        if isinstance(decision, Answered):
            self.batch.answer(call.id, decision.result, is_error=decision.is_error)
        elif isinstance(decision, Denied):
            self.batch.answer(call.id, denial(decision), is_error=True)

    def _answer_sub_agent(self, pending: PendingCall, decision: Decision) -> None:
        """Hand the answer on to the run that waits for it."""
        below = self.batch.below(pending.path[0])
        below.answer(pending.model_copy(update={"path": pending.path[1:]}), decision)

    def result(self, cost_usd: float | None = None) -> RunResult:
        """What there is, at any moment."""
        return RunResult(
            text=self._last_text(),
            usage=self.usage,
            steps=self.step,
            new_messages=self.new_messages,
            stop_reason=self._stop_reason if self._state == "ended" else "error",
            output=self._output,
            cost_usd=cost_usd,
            pending=self._pending,
            still_running=self.still_running,
            detail=self._detail,
            sub_agents=self.sub_agents,
            remembered=tuple(self.remembered),
            run=self,
        )

    # What becomes of each outcome.

    def _model_replied(self, outcome: ModelReplied) -> None:
        response = outcome.response
        self.step += 1
        self._usage += response.usage
        self._take_calls(response.message)
        if self.turns is not None:
            self.turns = self.turns.replied(response, len(self._messages))
        if self.batch.calls:
            self._state = "calling"
            return
        reason = response.finish_reason
        if reason == "pause":
            self._go_on()
            return
        self._stop_reason = "stop" if reason == "tool_calls" else reason
        self._state = "checking" if outcome.wants_output else "ended"

    def _tool_replied(self, outcome: ToolReplied) -> None:
        self.batch.reply(outcome.result)

    def _call_suspended(self, outcome: CallSuspended) -> None:
        self.batch.suspend(outcome.call_id, outcome.run)

    def _paused(self, outcome: Paused) -> None:
        self._pending = (*outcome.pending, *self.batch.pending_below())
        needs_approval = any(pending.waits_for == "approval" for pending in self._pending)
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
        self._append(Message.user(f"{NOT_VALID}{outcome.message}. Answer again with valid JSON only."))
        self._state = "asking"

    def _told(self, outcome: Told) -> None:
        if self._state == "ended" and self._stop_reason not in GOES_ON:
            raise InvalidInput(f"a run that ended with {self._stop_reason!r} cannot be told anything more")
        for message in outcome.messages:
            self._append(message)
        self._output, self._has_output = None, False
        if self._state == "ended":
            self._go_on()

    def _history_replaced(self, outcome: HistoryReplaced) -> None:
        require_replayable(outcome.messages, "trim")
        self._view = list(outcome.messages)

    def _broken(self, outcome: Broken) -> None:
        is_open = self.turns is not None and self.turns.is_open
        if self._state == "ended" and outcome.stop_reason != "aborted" and not is_open:
            return
        response = outcome.response
        if response is None or self._state != "asking" or not _says_something(response):
            response = None
        else:
            self.step += 1
            self._usage += response.usage
            if response.message.content:
                self._take_calls(response.message)
        if self.turns is not None:
            self.turns = self.turns.broke(response, len(self._messages))
        self._stop_reason, self._detail = outcome.stop_reason, outcome.detail
        self._state = "ended"
        self._pending = ()
        for message in self._as_it_stands():
            self._append(message)
        self.batch.open(())

    # The conversation.

    def _take_calls(self, message: Message) -> None:
        calls = message.tool_calls
        if calls and not are_distinct(calls):
            message = with_own_ids(message, len(self._messages))
            calls = message.tool_calls
        self._append(message)
        self.batch.open(calls)

    def _as_it_stands(self) -> list[Message]:
        """What has to follow the last message: the results of its calls, with stand-ins for some."""
        if not self.batch.calls:
            return []
        return [self.batch.message(self._stop_reason if self._state == "ended" else "")]

    def _settle(self) -> None:
        """Close the batch when its last result is there. Only here, because results may be fed from
        several threads at once and `next_step` is asked by one."""
        self._append(self.batch.message(""))
        self.batch.open(())
        self._go_on()

    def _append(self, message: Message) -> None:
        self._messages.append(message)
        if self._view is not None:
            self._view.append(message)

    def _go_on(self) -> None:
        """Ask the model again, if there is a step left."""
        if self.step >= self.options.max_steps:
            self._stop_reason = "max_steps"
            self._state = "ended"
        else:
            self._state = "asking"

    def _last_text(self) -> str:
        """The text of the last answer, which is several messages where the vendor paused in it.

        It may go on from words that the prompt ends with; those alone are no answer.
        """
        texts: list[str] = []
        end = None if self.turns is None else self.turns.answer_end
        if not any(message.role is Role.ASSISTANT for message in self._messages[self._prompt_end : end]):
            return ""
        for message in reversed(self._messages[self._history_size : end]):
            if message.role is Role.ASSISTANT:
                texts.append(message.text)
            elif texts:
                break
        return "".join(reversed(texts))

    # The state as data.

    def dumps(self, key: SealingKey | None = None) -> str:
        """The run as JSON text; with a key sealed, so that nobody can change it who does not have it."""
        from tako.orchestrators.snapshot import write_snapshot  # most runs end where they began

        return write_snapshot(self._snapshot(), key)

    def _snapshot(self) -> Snapshot:
        batch = self.batch
        from tako.orchestrators.snapshot import Snapshot

        return Snapshot(
            run_id=self.run_id,
            options=self.options,
            messages=tuple(self._messages),
            history_size=self._history_size,
            prompt_end=self._prompt_end,
            view=None if self._view is None else tuple(self._view),
            state="checking" if self._has_output else self._state,
            step=self.step,
            usage=self._usage,
            sub_agents=self._sub_agents,
            calls=batch.calls,
            results=batch.results,
            decisions=batch.decisions,
            remembered=tuple(self.remembered),
            pending=self._pending,
            suspended={call_id: run._snapshot() for call_id, run in batch.suspended.items()},
            was_announced=batch.was_announced,
            unshown=tuple(batch.unshown),
            rejections=self._rejections,
            still_running=self.still_running,
            stop_reason=self._stop_reason,
            detail=self._detail,
            turns=self.turns,
        )

    @classmethod
    def loads(cls, text: str | bytes, key: SealingKey | Sequence[SealingKey] | None = None) -> AgentRun:
        """A run from its text; raises InvalidInput when it is none, or its seal is not right. A finished
        run gives its `output` again when the agent runs it."""
        from tako.orchestrators.snapshot import read_snapshot

        return cls._restored(read_snapshot(text, key))

    @classmethod
    def _restored(cls, data: Snapshot) -> AgentRun:
        run = cls((), (), data.options)
        run.run_id, run.step, run.remembered = data.run_id, data.step, list(data.remembered)
        run._messages, run._history_size = list(data.messages), data.history_size
        run._prompt_end = data.prompt_end
        run._view = None if data.view is None else list(data.view)
        run._state, run._stop_reason, run._detail = data.state, data.stop_reason, data.detail
        run._usage, run._sub_agents, run._rejections = data.usage, data.sub_agents, data.rejections
        run._pending, run._still_running = data.pending, list(data.still_running)
        run.turns = data.turns
        batch = run.batch
        batch.open(data.calls)
        batch.results, batch.decisions, batch.unshown = data.results, data.decisions, list(data.unshown)
        batch.suspended = {call_id: cls._restored(child) for call_id, child in data.suspended.items()}
        batch.was_announced = data.was_announced
        return run

    def copy(self) -> AgentRun:
        """A run that goes its own way from here."""
        run = AgentRun.loads(self.dumps())
        run._state, run._output, run._has_output = self._state, self._output, self._has_output
        return run


def _says_something(response: ChatResponse) -> bool:
    """Whether anything of an answer came. A call cut short before that is no step, streamed or not."""
    return bool(response.message.content) or response.usage != NOT_COUNTED


_EXPECTED: dict[type, tuple[State, ...]] = {
    ModelReplied: ("asking",),
    ToolReplied: ("calling",),
    CallSuspended: ("calling",),
    Paused: ("calling",),
    OutputAccepted: ("checking",),
    OutputRejected: ("checking",),
    Told: ("asking", "ended"),
    HistoryReplaced: ("asking",),
    Broken: ("asking", "calling", "checking", "ended"),
}
_FEED: dict[type, Callable[[AgentRun, Any], None]] = {
    ModelReplied: AgentRun._model_replied,
    ToolReplied: AgentRun._tool_replied,
    CallSuspended: AgentRun._call_suspended,
    Paused: AgentRun._paused,
    OutputAccepted: AgentRun._output_accepted,
    OutputRejected: AgentRun._output_rejected,
    Told: AgentRun._told,
    HistoryReplaced: AgentRun._history_replaced,
    Broken: AgentRun._broken,
}
