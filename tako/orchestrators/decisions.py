"""What the outside can answer to a pending call: yes, no, or the result itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError, PydanticSerializationError, to_jsonable_python

from tako.models import ToolCallPart, Value

__all__ = ["Answered", "Approved", "Decision", "Denied", "PendingCall"]


class Approved(Value):
    """Run the call; with `args`, run it with these instead of the model's."""

    kind: Literal["approved"] = "approved"
    args: dict[str, Any] | None = None


class Denied(Value):
    """Do not run it; the model is told why."""

    kind: Literal["denied"] = "denied"
    reason: str = "the call was not approved"


class Answered(Value):
    """Somebody else performed the call, and this is its result."""

    kind: Literal["answered"] = "answered"
    result: Any = None
    is_error: bool = False

    @field_validator("result")
    @classmethod
    def _as_json(cls, result: Any) -> Any:
        try:
            return to_jsonable_python(result, inf_nan_mode="null")
        except (PydanticSerializationError, ValueError) as error:
            raise PydanticCustomError("json", "should be JSON: {reason}", {"reason": str(error)}) from None


Decision: TypeAlias = Annotated[Approved | Denied | Answered, Field(discriminator="kind")]


class PendingCall(Value):
    """A call for which the run waits. `waits_for` says what: an approval, or a result."""

    call: ToolCallPart
    waits_for: Literal["approval", "result"]
