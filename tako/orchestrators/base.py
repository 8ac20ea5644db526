"""Orchestrator: the four ways to run anything that makes a flow of a prompt, and the one way to nest it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from tako import _adapters
from tako.effects import Flow, within
from tako.errors import InvalidInput
from tako.events import OrchEvent
from tako.models import Message
from tako.orchestrators.opening import messages_of
from tako.orchestrators.place import AUDIENCE, TOP, Place
from tako.orchestrators.result import ResultT

if TYPE_CHECKING:
    from tako._adapters import AsyncEvents, SyncEvents
    from tako.cancellation import CancellationToken
    from tako.journal import Journal
    from tako.orchestrators.ab_mcts import SearchRun
    from tako.orchestrators.agent_run import AgentRun
    from tako.tools.tool import Tool

__all__ = ["Orchestrator", "Prompt", "messages_of"]

Prompt: TypeAlias = "str | Message | Sequence[Message] | AgentRun | SearchRun"
"""What to answer: a text, messages, or a run to go on with."""


class Orchestrator(ABC, Generic[ResultT]):
    """Write `perform`; the blocking and the async ways to run it are here, once.

    All four take `cancel=` (a CancellationToken), `timeout=` (seconds for the whole run; TimedOut
    carries what there was as `partial`), `journal=` (a tako.journal.Journal, which keeps what was worked
    for, and from which the run goes on) and the options of `perform`. A cancelled run returns what it
    had, with stop_reason "cancelled"; a failed one raises a TakoError with `partial`.
    """

    @abstractmethod
    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[ResultT]:
        """The run as a flow, at the place where it stands.

        While somebody listens, which the place says, the events are emitted, and the answer while the model
        makes it; otherwise nothing is. Every orchestrator takes `history`, `system`, `tenant_id`, `user_id`
        and `principal`, as Opening reads them.
        """

    def flow(
        self, prompt: Prompt, *, streaming: bool = False, journal: Journal | None = None, **options: Any
    ) -> Flow[ResultT]:
        """The run as a flow for whoever drives flows: with `streaming` somebody looks at its events."""
        place = AUDIENCE if streaming else TOP
        if journal is None:
            return self.perform(prompt, place, **options)
        from tako.journal import kept_in  # most runs keep none

        return kept_in(journal, lambda: self.perform(prompt, replace(place, is_journalled=True), **options))

    def as_tool(
        self,
        name: str | None = None,
        description: str | None = None,
        *,
        read_only: bool = False,
        approval: bool = False,
        timeout: float | None = None,
        max_output: int | None = None,
    ) -> Tool:
        """A tool by which any agent can ask this orchestrator; see NestedTool for what the agent gets of it.

        Its name is that of the class, as `single_agent`, unless it is given one.
        """
        from tako.orchestrators.nested_tool import NestedTool  # it needs what is made of this class

        return NestedTool(
            self,
            name=name,
            description=description,
            read_only=read_only,
            approval=approval,
            timeout=timeout,
            max_output=max_output,
        )

    def run_sync(
        self,
        prompt: Prompt,
        *,
        cancel: CancellationToken | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> ResultT:
        """Run, blocking. Plain Python: works in any thread, also inside a running event loop."""
        return _adapters.run_sync(_limited(self.flow(prompt, **options), timeout), cancel)

    async def run(
        self,
        prompt: Prompt,
        *,
        cancel: CancellationToken | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> ResultT:
        """Run under asyncio or trio, whichever is running."""
        return await _adapters.run_async(_limited(self.flow(prompt, **options), timeout), cancel)

    def stream_sync(
        self,
        prompt: Prompt,
        *,
        cancel: CancellationToken | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> SyncEvents[OrchEvent, ResultT]:
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
    ) -> AsyncEvents[OrchEvent, ResultT]:
        """The events under asyncio or trio: `async with agent.stream(p) as events: async for ...`."""
        return _adapters.stream_async(
            lambda: _limited(self.flow(prompt, streaming=True, **options), timeout), cancel
        )


def _limited(flow: Flow[ResultT], timeout: float | None) -> Flow[ResultT]:
    if timeout is None:
        return flow
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise InvalidInput(f"timeout should be a positive number of seconds, not {timeout!r}")
    return within(timeout, flow)
