"""What passes between the agent and its handle at the two boundaries of a turn.

| boundary                     | the agent tells  | the handle answers |
|------------------------------|------------------|--------------------|
| a request is about to be made | a Snapshot       | TurnInputs         |
| the turn is over             | a Snapshot       | TurnEnd            |

All are frozen values; `events` are for the agent to emit, in this order, before it goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tako.cancellation import CancellationToken
from tako.models import NOT_COUNTED, Message, Usage

if TYPE_CHECKING:
    from tako.events import OrchEvent
    from tako.steering.modes import Mode

__all__ = ["REASON_LIMIT", "Snapshot", "TurnEnd", "TurnInputs", "reason_of"]

REASON_LIMIT = 500
"""Characters of an exception that an event repeats."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The run as guards and prompt policies see it.

    step        the step that is over, or that begins
    text        the text of the last answer, "" before the first
    tool_calls  the names of the tools that the last answer called
    usage       what the run has used up to here
    """

    step: int = 0
    text: str = ""
    tool_calls: tuple[str, ...] = ()
    usage: Usage = NOT_COUNTED


@dataclass(frozen=True, slots=True)
class TurnInputs:
    """What goes into the next request.

    messages      to append, oldest first
    mode          in force for the whole turn
    instructions  further blocks of the system prompt: the mode's, then those of the prompt policies
    token         cancelled when this turn is to stop; it may be cancelled already
    """

    messages: tuple[Message, ...]
    mode: Mode
    instructions: tuple[str, ...]
    token: CancellationToken
    events: tuple[OrchEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How to go on after a turn.

    messages  to append and go on with, even if the model was done; () changes nothing
    abort     the run ends here, for this reason
    """

    messages: tuple[Message, ...] = ()
    abort: str | None = None
    events: tuple[OrchEvent, ...] = field(default=())


def reason_of(error: Exception) -> str:
    """An exception in one line of bounded length; its own `str` may fail as well."""
    try:
        words = f"{type(error).__name__}: {error}"
    except Exception:
        words = type(error).__name__
    if len(words) <= REASON_LIMIT:
        return words
    return f"{words[:REASON_LIMIT]} [... {len(words) - REASON_LIMIT:,} characters cut ...]"
