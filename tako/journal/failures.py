"""Failures as JSON: a run goes on after some of them, and so has to meet them again.

What is kept of a TakoError is its kind and its fields. A kind that is not of the family's own file comes
back as the nearest one that is. `partial` is kept where it is a model's answer; its `usage` is in there.
"""

from __future__ import annotations

from typing import Any, Final

from tako import errors
from tako.errors import Cancelled, InvalidInput, TakoError
from tako.models import ChatResponse

__all__ = ["failure_of", "json_of_failure"]

_KINDS: Final = {name: getattr(errors, name) for name in errors.__all__}
_FIELDS: Final = ("provider", "model", "phase", "status", "code", "request_id", "retry_after", "body")


def json_of_failure(error: TakoError) -> dict[str, Any]:
    """What is kept of the error; never its traceback, nor a cause."""
    told: dict[str, Any] = {"type": _kind(error), "message": error.message}
    for name in _FIELDS:
        value = getattr(error, name)
        if isinstance(value, str | int | float):
            told[name] = value
    if isinstance(error.partial, ChatResponse):
        told["partial"] = error.partial.model_dump(mode="json")
    elif isinstance(error.partial, str) and error.partial:
        told["words"] = error.partial
    if isinstance(error, Cancelled) and error.abandoned:
        told["abandoned"] = True
    return told


def failure_of(told: dict[str, Any]) -> TakoError:
    """The error that was kept; raises InvalidInput if it is none."""
    kind = _KINDS.get(str(told.get("type")), TakoError)
    fields: dict[str, Any] = {name: told[name] for name in _FIELDS if name in told}
    if "partial" in told:
        partial = ChatResponse.model_validate(told["partial"])
        fields |= {"partial": partial, "usage": partial.usage}
    elif "words" in told:
        fields["partial"] = told["words"]
    if kind is Cancelled and told.get("abandoned") is True:
        fields["abandoned"] = True
    message = told.get("message")
    if not isinstance(message, str):
        raise InvalidInput("journal: a failure without its message")
    error: TakoError = kind(message, **fields)
    return error


def _kind(error: TakoError) -> str:
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS), "TakoError")
