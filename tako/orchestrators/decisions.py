"""What the outside can answer to a pending call, and what makes an answer belong to one call alone.

An answer is bound to the id of its call and to a digest of the tool's name and the arguments: an
approval of one thing is not an approval of another that came to have the same id.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError, PydanticSerializationError, to_json, to_jsonable_python

from tako.models import ToolCallPart, Value
from tako.tools.patterns import CallPattern

__all__ = [
    "NOT_GIVEN",
    "Answered",
    "Approved",
    "BoundDecision",
    "Decision",
    "Denied",
    "NotGiven",
    "PendingCall",
    "Remembered",
    "denial",
    "digest_of",
    "step_of_path",
    "with_arguments",
]


class Approved(Value):
    """Run the call; with `args`, run it with these instead of the model's.

    With `remember` the calls of that pattern are not asked about again; True is this very call, as it was
    approved: with those arguments.
    """

    kind: Literal["approved"] = "approved"
    args: dict[str, Any] | None = None
    remember: CallPattern | bool = False

    @field_validator("args")
    @classmethod
    def _as_json(cls, args: dict[str, Any] | None) -> Any:
        return _as_json(args)


class Denied(Value):
    """Do not run it; the model is told why. `remember` as in Approved."""

    kind: Literal["denied"] = "denied"
    reason: str = "the call was not approved"
    remember: CallPattern | bool = False


class Answered(Value):
    """Somebody else performed the call, and this is its result."""

    kind: Literal["answered"] = "answered"
    result: Any = None
    is_error: bool = False

    @field_validator("result")
    @classmethod
    def _as_json(cls, result: Any) -> Any:
        return _as_json(result)


Decision: TypeAlias = Annotated[Approved | Denied | Answered, Field(discriminator="kind")]


class NotGiven(Enum):
    """Whoever has the decision at first hand gives no digest; None would be one that got lost."""

    NOT_GIVEN = "not given"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN


class BoundDecision(Value):
    """A decision, and the digest of the call that it was made for."""

    decision: Decision
    digest: str


class Remembered(Value):
    """A decision for all calls of a pattern, for as long as it is handed on from run to run."""

    pattern: CallPattern
    allowed: bool
    reason: str = ""


class PendingCall(Value):
    """A call for which the run waits. `waits_for` says what: an approval, or a result.

    `path` names the calls of sub-agents that lead to it, outermost first; it is empty for the agent's
    own. `digest` goes back with the decision, where somebody else holds the two in between.
    """

    call: ToolCallPart
    waits_for: Literal["approval", "result"]
    path: tuple[str, ...] = ()
    digest: str = ""

    @classmethod
    def of(cls, call: ToolCallPart, waits_for: Literal["approval", "result"]) -> PendingCall:
        """The call as the outside gets to see it."""
        return cls(call=call, waits_for=waits_for, digest=digest_of(call))


def with_arguments(call: ToolCallPart, decision: Decision | None) -> ToolCallPart:
    """The call as it was approved."""
    if isinstance(decision, Approved) and decision.args is not None:
        return call.model_copy(update={"args": decision.args})
    return call


def step_of_path(call: ToolCallPart) -> str:
    """How a path names the call that leads to a sub-agent."""
    return f"{call.name}:{call.id}"


def denial(decision: Denied) -> str:
    """What the model reads of it, whoever said no."""
    return f"approval denied: {decision.reason}"


def digest_of(call: ToolCallPart) -> str:
    """What a decision on this call is bound to, besides its id."""
    from hashlib import sha256  # it brings a library of its own, and few runs wait for anybody

    arguments = to_json(_sorted(call.args), inf_nan_mode="constants")
    return sha256(call.name.encode() + b"\0" + arguments).hexdigest()


def _as_json(value: Any) -> Any:
    try:
        return to_jsonable_python(value, inf_nan_mode="null")
    except (PydanticSerializationError, ValueError) as error:
        raise PydanticCustomError("json", "should be JSON: {reason}", {"reason": str(error)}) from None


def _sorted(value: Any) -> Any:
    """The same JSON with its keys in order: who stores a call may give them back in another."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
