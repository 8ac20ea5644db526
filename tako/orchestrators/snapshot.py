"""A run as JSON text, sealed if it leaves the house.

State that a client holds between two requests is a trust boundary: whoever can change it can approve
calls, change their arguments, or put words into the history. With a key the text is sealed by
HMAC-SHA256: it can be read by anybody and changed by nobody. A seal says that we wrote the text; not
that it is the latest, and not whose it is: keep an id and a user with it where that counts. Without
a key the text is believed: whoever can write it can put approvals, results and words of the model
into it. What is checked is that it is a state a run can be in, so that no text makes a run that fails
in the middle. How deep it may be nested is bounded by the parser, and so is how deep sub-agents stand.

| text     | loaded without a key | loaded with a key                        |
|----------|----------------------|------------------------------------------|
| plain    | read                 | refused: a thief would leave out the seal |
| sealed   | refused              | read, if one of the keys made the seal   |
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, ValidationError
from pydantic_core import PydanticSerializationError

from tako.errors import InvalidInput
from tako.models import NOT_COUNTED, Message, Role, ToolCallPart, ToolResultPart, Usage, Value, describe
from tako.orchestrators.agent_steps import State
from tako.orchestrators.casting.turns import Turns
from tako.orchestrators.decisions import BoundDecision, PendingCall, Remembered, step_of_path
from tako.orchestrators.options import RunOptions
from tako.orchestrators.result import StopReason, SubAgentUsage

__all__ = ["SealingKey", "Snapshot", "read_snapshot", "write_snapshot"]

SealingKey: TypeAlias = str | bytes
"""A secret of at least 16 bytes."""

LEAST_KEY = 16
Place: TypeAlias = Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}$")]
"""Of a call: its step, and its place in the batch."""
PURPOSE = b"tako run 1\0"
"""What the seal is for: the same key may seal other things as well."""


class Snapshot(Value):
    """What a run is as data. A field is added with a default, so that older text still loads."""

    called: ClassVar[str | None] = "AgentRun"
    version: Literal[1] = 1
    run_id: str = ""
    options: RunOptions
    messages: tuple[Message, ...] = ()
    history_size: int = 0
    prompt_end: int = Field(default=0, ge=0)
    view: tuple[Message, ...] | None = None
    state: State
    step: int = Field(default=0, ge=0)
    usage: Usage = NOT_COUNTED
    sub_agents: dict[Place, SubAgentUsage] = Field(default_factory=dict)
    calls: tuple[ToolCallPart, ...] = ()
    results: dict[str, ToolResultPart] = Field(default_factory=dict)
    decisions: dict[str, BoundDecision] = Field(default_factory=dict)
    remembered: tuple[Remembered, ...] = ()
    pending: tuple[PendingCall, ...] = ()
    suspended: dict[str, Snapshot] = Field(default_factory=dict)
    was_announced: bool = False
    unshown: tuple[str, ...] = ()
    rejections: int = Field(default=0, ge=0)
    still_running: tuple[str, ...] = ()
    stop_reason: StopReason = "stop"
    detail: str = ""
    turns: Turns | None = None

    @property
    def is_consistent(self) -> bool:
        """The table could have led here: open calls, their results and answers belong to each other."""
        last = self.messages[-1] if self.messages else None
        ids = {call.id for call in self.calls}
        return (
            0 <= self.history_size <= len(self.messages)
            and self.prompt_end <= len(self.messages)
            and self.calls == (() if last is None else last.tool_calls)
            and len(ids) == len(self.calls)
            and bool(self.calls) == (self.state == "calling" or bool(self.pending))
            and (self.state != "checking" or (last is not None and last.role is Role.ASSISTANT))
            and ids.issuperset(self.results)
            and all(result.id == id for id, result in self.results.items())
            and ids.issuperset(self.suspended)
            and (self.results.keys() & self.decisions.keys()).issuperset(self.unshown)
            and all(run.is_consistent for run in self.suspended.values())
            and (not self.pending or self.state == "ended")
            and (self.turns is None or self.turns.answer_end <= len(self.messages))
            and all(self._waits(pending) for pending in self.pending)
        )

    def _waits(self, pending: PendingCall) -> bool:
        """Whether it is a call of this run that waits, or of a sub-agent that it leads to."""
        if not pending.path:
            return pending.call in self.calls
        below = pending.model_copy(update={"path": pending.path[1:]})
        return any(
            step_of_path(call) == pending.path[0]
            and call.id in self.suspended
            and below in self.suspended[call.id].pending
            for call in self.calls
        )


class _Sealed(Value):
    called: ClassVar[str | None] = "AgentRun"
    sealed: Literal[1] = 1
    seal: str
    run: str


def write_snapshot(snapshot: Snapshot, key: SealingKey | None) -> str:
    """The JSON text; raises InvalidInput for a key that is too short, or a value that is no JSON."""
    try:
        text = snapshot.model_dump_json()  # with every None: the arguments of a call may be null
    except PydanticSerializationError as error:
        raise InvalidInput(f"this run cannot be dumped, something in it is not JSON: {error}") from error
    if key is None:
        return text
    return _Sealed(seal=_seal(text, _checked(key)), run=text).model_dump_json()


def read_snapshot(text: str | bytes, key: SealingKey | Sequence[SealingKey] | None) -> Snapshot:
    """The run in the text; raises InvalidInput when it is none, or its seal is not right.

    Of several keys any may have made the seal, so that keys can be changed while runs are under way.
    """
    if key is not None:
        keys = list(key) if isinstance(key, Sequence) and not isinstance(key, str | bytes) else [key]
        text = _unsealed(text, [_checked(one) for one in keys])
    try:
        snapshot = Snapshot.model_validate_json(text)
    except ValidationError as error:
        if key is None and _is_sealed(text):
            raise InvalidInput("this run is sealed; load it with the key: load(text, key=...)") from error
        raise InvalidInput(f"this is not a run that was dumped: {describe(error)}") from error
    if not snapshot.is_consistent:
        raise InvalidInput("this is not a run that was dumped: its fields contradict each other")
    return snapshot


def _unsealed(text: str | bytes, keys: list[bytes]) -> str:
    try:
        sealed = _Sealed.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput(
            "this run is not sealed, and a key was given: it was dumped without one, or its seal is gone"
        ) from error
    seal = sealed.seal.encode("utf-8", "replace")
    if not any(hmac.compare_digest(_seal(sealed.run, one).encode(), seal) for one in keys):
        raise InvalidInput(
            "the seal of this run is not right: the text was changed, or sealed with another key"
        )
    return sealed.run


def _is_sealed(text: str | bytes) -> bool:
    try:
        _Sealed.model_validate_json(text)
    except ValidationError:
        return False
    return True


def _seal(text: str, key: bytes) -> str:
    return hmac.new(key, PURPOSE + text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _checked(key: SealingKey) -> bytes:
    if not isinstance(key, str | bytes):
        raise InvalidInput(f"key should be text or bytes, not {type(key).__name__}")
    raw = key.encode() if isinstance(key, str) else key
    if len(raw) < LEAST_KEY:
        raise InvalidInput(
            f"key should have at least {LEAST_KEY} bytes; make one with secrets.token_bytes(32)"
        )
    return raw
