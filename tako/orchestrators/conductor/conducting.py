"""Conducting: one run of a Conductor, from the first question to the coordinator to its final answer.

| the coordinator says      | what follows                                                           |
|---------------------------|------------------------------------------------------------------------|
| a plan with work          | the workers do it, and the coordinator is told what came of it         |
| a plan that halts         | the run ends with its answer: "stop", or the vendor's reason for a cut |
| a plan with neither       | it is told so                                                          |
| no plan                   | it is told why; after plan_retries of these in a row: OutputInvalid    |
| anything, max_steps times | the run ends: "max_steps", with the best that the workers have given   |

Each call of the coordinator is a step, whatever it says, and one request: a failure is not tried in another
way. Text without a plan in it is never taken for the answer: it may be anything.

Invariants. The pieces of AssistantText of a run that was neither cancelled nor failed are the text of its
result; no JSON of a plan is among them. What was told as the answer is the answer, also where the JSON
around it is broken, or cut off, or says it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tako.effects import Entropy, Flow
from tako.errors import Cancelled, InvalidInput, OutputInvalid, TakoError
from tako.events import (
    AssistantText,
    AssistantThinking,
    AssistantThinkingBlock,
    ChatChunk,
    Final,
    OrchEvent,
    PlanMade,
    PlanRejected,
    StepStart,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
)
from tako.models import ChatRequest, ChatResponse, Message, TextPart, ToolCallPart
from tako.orchestrators.conductor.answer_reader import AnswerReader
from tako.orchestrators.conductor.dispatch import Crew, Dispatch
from tako.orchestrators.conductor.media import with_notes
from tako.orchestrators.conductor.plan import Plan, plan_in, plan_schema
from tako.orchestrators.conductor.prompts import feedback, instructions, mending, nudge
from tako.orchestrators.conductor.rounds import ConductorResult, Round, best_text
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.opening import Opening
from tako.orchestrators.place import Place, Show
from tako.orchestrators.result import StopReason
from tako.orchestrators.tasks import model_task, shown
from tako.providers.base import Provider, Relay

__all__ = ["Conducting", "Coordinator"]

CUT_OFF: dict[str, StopReason] = {"length": "length", "content_filter": "content_filter", "other": "other"}
"""Why a vendor did not let the answer be whole; anything else is "stop"."""
THOUGHTS = (AssistantThinking, AssistantThinkingBlock)
NOTHING = "(nothing)"
"""What stands for an answer without text, which vendors do not take back."""
SHOWN_BODY = 4096
"""Characters that an error carries of what was no plan."""


@dataclass(frozen=True, slots=True)
class Coordinator:
    """Who makes the plans, and the rules by which it is asked."""

    provider: Provider
    max_steps: int
    plan_retries: int
    temperature: float | None
    max_tokens: int | None


@dataclass(slots=True)
class Conducting:
    """The state of a run; `flow` performs it."""

    coordinator: Coordinator
    crew: Crew
    opening: Opening
    place: Place
    books: Ledger = field(default_factory=Ledger)
    step: int = 0
    rounds: list[Round] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)
    """What the coordinator has said, and was told, since the prompt."""
    current: Dispatch | None = None
    reader: AnswerReader = field(default_factory=AnswerReader)
    """Follows what the coordinator says in this step."""
    relayed: bool = False
    """Whether it heard that piece by piece, and so did those who listen."""
    answer: str | None = None
    rejected: int = 0
    """Answers in a row that were no plans."""

    def flow(self) -> Flow[ConductorResult]:
        try:
            run_id = (yield Entropy(8)).hex()
            reason = yield from self._steps(run_id)
        except TakoError as error:
            self.books.add_failed_call(self.coordinator.provider, error)
            if not isinstance(error, Cancelled):
                error.partial, error.usage = self._result("error"), self.books.usage
                raise
            reason = "cancelled"
        result = self._result(reason)
        if self.place.show is not None:
            try:
                yield self.place.tell(Final(result.text, result.usage, result))
            except Cancelled:
                pass  # too late to change anything: the run has ended
        return result

    def _steps(self, run_id: str) -> Flow[StopReason]:
        while self.step < self.coordinator.max_steps:
            self.step += 1
            self.reader, self.relayed = AnswerReader(), False
            if self.place.show is not None:
                yield self.place.tell(StepStart(self.step, f"turn_{run_id}_{self.step}"))
            reply = yield from self._ask()
            plan = yield from self._plan(reply)
            if plan is None:
                continue
            if plan.halt:
                self.answer = plan.final_answer or ""
                if not self.relayed or not self.reader.has_begun:
                    yield from self._tell_text(self.answer)
                return CUT_OFF.get(reply.finish_reason, "stop")
            if plan.dispatch:
                yield from self._dispatch(plan)
            else:
                self.told.append(Message.user(nudge(plan, is_last=self._is_last)))
        yield from self._tell_text(best_text(tuple(self.rounds)))
        return "max_steps"

    # The coordinator.

    def _ask(self) -> Flow[ChatResponse]:
        provider, show = self.coordinator.provider, self.place.show
        request = self._request()
        if show is not None and provider.capabilities.supports_streaming:
            flow = provider.stream_flow(request, self._relay(show))
        else:
            flow = provider.chat_flow(request)
        if self.place.is_journalled:
            flow = self.place.kept(flow, model_task(provider, request, self.step))
        reply = yield from flow
        self.books.add_reply(provider, reply.usage)
        self.told.append(_without_calls(reply.message))
        if show is not None and not self.relayed:
            thoughts = [one for one in shown(self.step, reply.message) if isinstance(one, THOUGHTS)]
            if thoughts:
                yield self.place.tell(*thoughts)
        return reply

    def _request(self) -> ChatRequest:
        provider, hands = self.coordinator.provider, self.crew.hands
        system, said = instructions([hand.summary for hand in hands.values()]), self.opening.system
        parts = [TextPart(text=system), *(() if said is None else said.content)]
        messages = with_notes(provider.capabilities, self.opening.messages)
        return ChatRequest(
            model=provider.model,
            messages=(Message.system(parts), *messages, *self.told),
            temperature=self.coordinator.temperature,
            max_tokens=self.coordinator.max_tokens,
            output_schema=plan_schema(tuple(hands)) if provider.capabilities.supports_json_mode else None,
        )

    def _relay(self, show: Show) -> Relay:
        """What becomes of what the coordinator streams: its thinking, and the text of the answer."""

        def relay(chunks: list[ChatChunk]) -> Sequence[Any]:
            self.relayed = True
            events: list[OrchEvent] = []
            for chunk in chunks:
                if type(chunk) is TextDelta:
                    if said := self.reader.feed(chunk.text):
                        events.append(AssistantText(self.step, said))
                elif type(chunk) is ThinkingDelta:
                    events.append(AssistantThinking(self.step, chunk.text))
                elif type(chunk) is ThinkingBlock:
                    events.append(AssistantThinkingBlock(self.step, chunk.part))
            return show(events) if events else events

        return relay

    def _plan(self, reply: ChatResponse) -> Flow[Plan | None]:
        """The plan in what it said, of which those that listen are told; None if it has to try again."""
        if not self.relayed:
            self.reader.feed(reply.text)
        try:
            plan = self._read(reply.text)
        except InvalidInput as error:
            yield from self._reject(reply, error)
            return None
        self.rejected = 0
        if self.place.show is not None:
            given = tuple([(one.worker, one.task) for one in plan.dispatch])
            yield self.place.tell(PlanMade(self.step, plan.thought, given, plan.halt))
        if plan.halt or not plan.dispatch:
            self.rounds.append(Round(plan))
        return plan

    def _read(self, text: str) -> Plan:
        """The plan; where the answer has begun, it is what was read of it. Raises InvalidInput."""
        if not self.reader.has_begun:
            return plan_in(text)
        try:
            plan = plan_in(text)
        except InvalidInput:
            plan = Plan()
        return replace(plan, dispatch=(), halt=True, final_answer=self.reader.text, wants_answer=False)

    def _reject(self, reply: ChatResponse, error: InvalidInput) -> Flow[None]:
        """What it said is no plan: ask again, or give up; raises OutputInvalid."""
        self.rejected += 1
        provider = self.coordinator.provider
        if self.rejected > self.coordinator.plan_retries:
            raise OutputInvalid(
                f"the coordinator's answer is no plan: {error.message}",
                provider=provider.id,
                model=provider.model,
                phase="plan",
                body=reply.text[:SHOWN_BODY],
            ) from error
        self.told.append(Message.user(mending(error.message, is_cut=reply.finish_reason == "length")))
        if self.place.show is not None:
            yield self.place.tell(PlanRejected(self.step, error.message))

    # The workers.

    def _dispatch(self, plan: Plan) -> Flow[None]:
        earlier = [result for one in self.rounds for result in one.results]
        dispatch = Dispatch(self.crew, self.place, self.opening, self.books, self.step, plan, earlier)
        self.current = dispatch
        yield from dispatch.perform()
        self.rounds, self.current = self._rounds(), None
        self.told.append(Message.user(feedback(dispatch.results, plan, is_last=self._is_last)))

    # What there is.

    @property
    def _is_last(self) -> bool:
        """Whether the next step is the last one."""
        return self.step == self.coordinator.max_steps - 1

    def _rounds(self) -> list[Round]:
        """Those that are over, and the one that is under way."""
        if self.current is None:
            return self.rounds
        return [*self.rounds, Round(self.current.plan, self.current.results)]

    def _tell_text(self, text: str) -> Flow[None]:
        if text and self.place.show is not None:
            yield self.place.tell(AssistantText(self.step, text))

    def _result(self, reason: StopReason) -> ConductorResult:
        """What there is, at any moment."""
        books, rounds = self.books, tuple(self._rounds())
        text = self.answer
        if text is None:
            text = self.reader.text if self.reader.has_begun else best_text(rounds)
        return ConductorResult(
            text=text,
            usage=books.usage,
            steps=self.step + sum([run.steps for run in books.sub_agents]),
            new_messages=[*self.opening.prompt, *([Message.assistant(text)] if text else [])],
            stop_reason=reason,
            cost_usd=books.cost_usd,
            sub_agents=books.sub_agents,
            still_running=books.still_running,
            rounds=rounds,
        )


def _without_calls(message: Message) -> Message:
    """What a coordinator said, as it can be repeated to it: it has no tools, and nobody answers a call."""
    parts = [part for part in message.content if not isinstance(part, ToolCallPart)]
    return Message.assistant(parts) if message.text else Message.assistant([*parts, TextPart(text=NOTHING)])
