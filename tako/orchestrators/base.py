"""Orchestrator: the four ways to run anything that makes a flow of a prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, cast

from tako import _adapters
from tako.effects import Flow, within
from tako.errors import InvalidInput
from tako.events import OrchEvent
from tako.models import Message
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.result import OutputT, RunResult

if TYPE_CHECKING:
    from tako._adapters import AsyncEvents, SyncEvents
    from tako.cancellation import CancellationToken

__all__ = ["Orchestrator", "Prompt", "messages_of"]

Prompt: TypeAlias = str | Message | Sequence[Message] | AgentRun
"""What to answer: a text, messages, or a run to go on with."""


class Orchestrator(ABC, Generic[OutputT]):
    """Write `flow`; the blocking and the async ways to run it are here, once.

    All four take `cancel=` (a CancellationToken), `timeout=` (seconds for the whole run; TimedOut
    carries what there was as `partial`) and the options of `flow`. A cancelled run returns what it
    had, with stop_reason "cancelled"; a failed one raises a TakoError with `partial`.
    """

    @abstractmethod
    def flow(self, prompt: Prompt, *, streaming: bool = False, **options: Any) -> Flow[RunResult[OutputT]]:
        """The run as a flow. With `streaming` somebody looks: events are made, and the answer is
        emitted while the model makes it. Without, the flow emits nothing."""

    def run_sync(
        self,
        prompt: Prompt,
        *,
        cancel: CancellationToken | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> RunResult[OutputT]:
        """Run, blocking. Plain Python: works in any thread, also inside a running event loop."""
        return _adapters.run_sync(_limited(self.flow(prompt, **options), timeout), cancel)

    async def run(
        self,
        prompt: Prompt,
        *,
        cancel: CancellationToken | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> RunResult[OutputT]:
        """Run under asyncio or trio, whichever is running."""
        return await _adapters.run_async(_limited(self.flow(prompt, **options), timeout), cancel)

    def stream_sync(
        self,
        prompt: Prompt,
        *,
        cancel: CancellationToken | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> SyncEvents[OrchEvent, RunResult[OutputT]]:
        """The events, blocking: `with agent.stream_sync(p) as events: for e in events: ...`."""
        return _adapters.stream_sync(
            lambda: _limited(self.flow(prompt, streaming=True, **options), timeout), cancel
        )

    def stream(
        self,
        prompt: Prompt,
        *,
        cancel: CancellationToken | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> AsyncEvents[OrchEvent, RunResult[OutputT]]:
        """The events under asyncio or trio: `async with agent.stream(p) as events: async for ...`."""
        return _adapters.stream_async(
            lambda: _limited(self.flow(prompt, streaming=True, **options), timeout), cancel
        )


def _limited(flow: Flow[RunResult[OutputT]], timeout: float | None) -> Flow[RunResult[OutputT]]:
    if timeout is None:
        return flow
    if not isinstance(timeout, int | float) or timeout <= 0:
        raise InvalidInput(f"timeout should be a positive number of seconds, not {timeout!r}")
    return within(timeout, flow)


def messages_of(prompt: str | Message | Sequence[Message], argument: str = "prompt") -> list[Message]:
    """The messages in a prompt or a history; raises InvalidInput naming the argument."""
    if isinstance(prompt, str):
        return [Message.user(prompt)]
    if type(prompt) is Message:
        return [prompt]
    if isinstance(prompt, Sequence) and not isinstance(prompt, bytes):
        for index, message in enumerate(prompt):
            if type(message) is not Message:
                raise InvalidInput(f"{argument}[{index}] should be a Message, not {type(message).__name__}")
        return list(cast("Sequence[Message]", prompt))
    raise InvalidInput(f"{argument} should be text or a list of Messages, not {type(prompt).__name__}")
