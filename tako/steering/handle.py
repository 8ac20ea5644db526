"""Steering: the handle of a session, by which others have a say while an agent works.

One handle is for one agent and for at most one run at a time; it can be used for one run after the
other. This is the user's side; it may be called from any thread, any task and any signal handler, at
any time: the head of `session` says why it needs no lock. The agent's side is `steered_run`.

| the user                          | takes effect                                                     |
|-----------------------------------|------------------------------------------------------------------|
| `queue`                           | at the next request; never between a call and its result         |
| `set_mode`, `confirm_mode`        | at the next request, also the first of the next run              |
| `add_policy`, `remove_policy`     | at the next request                                              |
| `add_guard`, `remove_guard`       | at the end of the turn                                           |
| `interrupt_tool`                  | at once: its result is a cancelled one, or what the tool itself  |
|                                   | says when it is stopped; the turn goes on                        |
| `interrupt_turn`                  | at once: what there is is kept; the run goes on with what is     |
|                                   | queued, and ends if nothing is                                   |
| `interrupt`, `close`              | at once, for the whole run; `close` also for later ones          |

| lives as long as | what                                                                             |
|------------------|----------------------------------------------------------------------------------|
| the turn         | its calls, its tokens, the mode that its calls are asked against                  |
| the run          | queued messages, what guards have counted, "next_turn" and "every_turn" policies |
| the handle       | mode, proposed mode, guards, "persistent" policies, what nobody was told yet     |

Decisions where nothing was given. Messages that wait are delivered before the run may finish, and
guards with the trigger "finish" are not asked then, for the user has the word. The prompts of guards go
in front of messages that came while they were asked. Who proposes a mode while another proposal waits
is refused: what the operator confirms is what the operator was shown. A proposal outlives its run.
A message is told of as queued when it is taken, and as delivered in the request that holds it; one
that is never delivered is only in `result.undelivered`. Who may call what is up to the program: a tool
that has the handle can do all that its user can.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tako import _adapters
from tako.cancellation import CancellationToken
from tako.effects import Flow
from tako.errors import InvalidInput, SteeringError
from tako.events import ModeProposed, UserAnswered, UserAsked
from tako.models import Message, Part, Role, TextPart
from tako.steering.guards import ContinuationGuard
from tako.steering.interrupts import InterruptOutcome
from tako.steering.modes import DEFAULT, Mode, mode_of
from tako.steering.prompt_policies import PromptPolicy
from tako.steering.questions import Bridge, QuestionSet, UserInput, asking, ready_to_ask
from tako.steering.session import Session
from tako.steering.steered_run import SteeredRun

if TYPE_CHECKING:
    from tako.events import OrchEvent

__all__ = ["Steering"]


class Steering:
    """The handle of a session: `agent.run(prompt, steering=handle)`.

    mode  what is in force from the start
    ask   the bridge: shows a QuestionSet to the user and returns a UserInput, plain or async
    """

    def __init__(self, *, mode: Mode | str = DEFAULT, ask: Bridge | None = None) -> None:
        if ask is not None and not callable(ask):
            raise InvalidInput(f"ask should be a function of a QuestionSet, not {type(ask).__name__}")
        self._session = Session(mode_of(mode))
        self.bridge = ask

    def __repr__(self) -> str:
        return f"<Steering {self._session.mode.name}, {'active' if self.is_active else 'no run'}>"

    # What goes on

    @property
    def is_active(self) -> bool:
        """Whether a run is under this handle."""
        return self._session.run is not None

    @property
    def turn_id(self) -> str | None:
        """The turn that takes messages; None between runs and when the run is about to finish."""
        run = self._session.run
        return None if run is None else run.inbox.turn_id

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self._session.mode

    @property
    def pending_mode(self) -> Mode | None:
        """The mode that was proposed and waits for the operator."""
        proposal = self._session.proposed.get("mode")
        return None if proposal is None else proposal[0]

    # The user's side

    def queue(self, content: str | Iterable[Part] | Message, *, turn_id: str | None = None) -> str:
        """Hand in a message for the next request; returns the id of the turn that took it.

        It is delivered, or it is in the result's `undelivered`. With `turn_id` it is taken only while
        that turn is the active one. Raises SteeringError: "empty", "not_text", "no_active_turn",
        "turn_mismatch", "queue_full".
        """
        message = _text_message(content)
        run = self._session.run
        if run is None:
            raise SteeringError(
                "no run is active that could take a message; start one with it instead",
                code="no_active_turn",
            )
        return run.inbox.put(message, turn_id)

    def interrupt_tool(self, call_id: str) -> InterruptOutcome:
        """Stop one call, also one that was announced and has not begun; the others and the turn go on."""
        run = self._session.run
        call = None if run is None else run.calls.get(call_id)
        if call is not None:
            return call.interrupt()
        return _finished_if(call_id in self._session.past_calls)

    def interrupt_turn(self, turn_id: str | None = None) -> InterruptOutcome:
        """Stop the turn, or that turn only, if it is named. Between two turns it is the next one."""
        run = self._session.run
        if turn_id is None:
            return _finished_if(bool(self._session.past_turns)) if run is None else run.interrupt_turn()
        if run is not None:
            active, turn = run.turn
            if active == turn_id:
                return turn.interrupt()
        return _finished_if(turn_id in self._session.past_turns)

    def interrupt(self) -> InterruptOutcome:
        """Stop the whole run; its result holds what there was."""
        run = self._session.run
        return _finished_if(bool(self._session.past_turns)) if run is None else run.whole.interrupt()

    def close(self) -> None:
        """End the session: stop the run, and refuse later ones."""
        self._session.closed = True
        self.interrupt()

    def set_mode(self, mode: Mode | str) -> None:
        """The operator's word: in force from the next request on. Raises InvalidInput for an unknown name."""
        self._session.wanted.append((mode_of(mode), "operator"))

    def propose_mode(self, mode: Mode | str) -> None:
        """What an agent or a tool wants: it waits for `confirm_mode` or `reject_mode`.

        Raises SteeringError "mode_pending" while another one waits; the same one again changes nothing.
        """
        proposal = (mode_of(mode),)
        waiting = self._session.proposed.setdefault("mode", proposal)
        if waiting is proposal:
            self._session.notices.append(ModeProposed(proposal[0].name, "agent"))
        elif waiting != proposal:
            raise SteeringError(
                f"mode {waiting[0].name!r} is proposed already; wait until it is confirmed or rejected",
                code="mode_pending",
            )

    def confirm_mode(self) -> Mode:
        """Agree to the proposal, for the next request on. Raises SteeringError "no_pending_mode"."""
        mode = self._take_proposal()
        self._session.wanted.append((mode, "agent"))
        return mode

    def reject_mode(self) -> Mode:
        """Drop the proposal. Raises SteeringError "no_pending_mode"."""
        return self._take_proposal()

    def _take_proposal(self) -> Mode:
        proposal = self._session.proposed.pop("mode", None)
        if proposal is None:
            raise SteeringError("no mode is proposed; set_mode changes it directly", code="no_pending_mode")
        return proposal[0]

    def add_guard(self, guard: ContinuationGuard) -> str:
        """Install a guard and return its id."""
        return self._session.guards.add(guard)

    def remove_guard(self, id: str) -> None:
        """Take a guard away. Raises SteeringError "not_found"."""
        self._session.guards.remove(id)

    def add_policy(self, policy: PromptPolicy) -> str:
        """Install a prompt policy and return its id."""
        return self._session.policies.add(policy)

    def remove_policy(self, id: str) -> None:
        """Take a prompt policy away. Raises SteeringError "not_found"."""
        self._session.policies.remove(id)

    def ask_flow(self, questions: QuestionSet, timeout: float | None = None) -> Flow[UserInput]:
        """Ask the user over the bridge; see `questions` for what can come of it.

        While a run is on, it is told at its next boundary that the user was asked.
        """
        bridge = ready_to_ask(self.bridge, questions, timeout)
        self._tell(UserAsked(questions))
        said = yield from asking(bridge, questions, timeout)
        self._tell(UserAnswered(said))
        return said

    def ask_sync(
        self,
        questions: QuestionSet,
        timeout: float | None = None,
        *,
        cancel: CancellationToken | None = None,
    ) -> UserInput:
        """Ask the user, blocking; a tool passes its own `context.cancel`."""
        return _adapters.run_sync(self.ask_flow(questions, timeout), cancel)

    async def ask(
        self,
        questions: QuestionSet,
        timeout: float | None = None,
        *,
        cancel: CancellationToken | None = None,
    ) -> UserInput:
        """Ask the user under asyncio or trio, whichever is running."""
        return await _adapters.run_async(self.ask_flow(questions, timeout), cancel)

    def _tell(self, event: OrchEvent) -> None:
        if self.is_active:
            self._session.notices.append(event)

    # The agent's side

    def new_run(self) -> SteeredRun:
        """What an agent has of the handle, for one run; it takes the handle with `begin`."""
        return SteeredRun(self._session)


def _finished_if(known: bool) -> InterruptOutcome:
    return InterruptOutcome.ALREADY_FINISHED if known else InterruptOutcome.UNKNOWN


def _text_message(content: str | Iterable[Part] | Message) -> Message:
    """A user's message of text; raises SteeringError "empty" or "not_text", in this order."""
    if isinstance(content, Message):
        if content.role is not Role.USER:
            raise InvalidInput(f"queue: the message should be a user's, not {content.role.value!r}")
        message = content
    elif isinstance(content, Iterable) and not isinstance(content, bytes):
        message = Message.user(content)
    else:
        raise InvalidInput(f"queue: content should be text or parts, not {type(content).__name__}")
    texts = [part.text for part in message.content if type(part) is TextPart]
    others = len(texts) < len(message.content)
    if not others and not any(text.strip() for text in texts):
        raise SteeringError("the message is empty; write what the model should know", code="empty")
    if others:
        raise SteeringError(
            "only text can be handed to a run that goes on; start a run with the rest", code="not_text"
        )
    return message
