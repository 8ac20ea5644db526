"""Errors: one family, fields that survive a journey, and which of them another try may cure."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from tako import errors
from tako.errors import (
    Cancelled,
    Interrupted,
    InvalidInput,
    OutputInvalid,
    ProtocolError,
    ProviderError,
    RateLimited,
    SteeringError,
    TakoError,
    TimedOut,
    ToolError,
    TransportError,
)
from tako.models import ChatResponse, Message, Usage
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake
from tako.testing.simulator import Simulator

FAMILY: tuple[type[TakoError], ...] = (
    TakoError,
    InvalidInput,
    ProtocolError,
    ProviderError,
    RateLimited,
    TransportError,
    TimedOut,
    Cancelled,
    ToolError,
    OutputInvalid,
    Interrupted,
    SteeringError,
)
FIELDS: dict[str, Any] = {
    "provider": "openai:x",
    "model": "x",
    "phase": "body",
    "status": 503,
    "code": "overloaded",
    "request_id": "r",
    "retry_after": 1.5,
    "body": "{}",
    "usage": Usage(input_tokens=1),
    "partial": ChatResponse(message=Message.assistant("half"), finish_reason="error"),
}


def test_the_family_is_complete() -> None:
    assert {kind.__name__ for kind in FAMILY} == set(errors.__all__)


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_is_a_tako_error_and_a_value_error(kind: type[TakoError]) -> None:
    assert issubclass(kind, TakoError) and issubclass(kind, ValueError)
    error = kind("what happened")
    assert str(error) == error.message == "what happened"
    assert {name: getattr(error, name) for name in FIELDS} == dict.fromkeys(FIELDS)


@pytest.mark.parametrize(
    "travel", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy]
)
@pytest.mark.parametrize("kind", FAMILY)
def test_every_field_survives_a_journey(kind: type[TakoError], travel: Any) -> None:
    error = kind("what happened", **FIELDS)
    other = travel(error)
    assert type(other) is kind
    assert other.__dict__ == error.__dict__ and str(other) == "what happened"
    assert {name: getattr(other, name) for name in FIELDS} == FIELDS


def test_a_cancel_says_whether_something_still_runs() -> None:
    assert str(Cancelled()) == "cancelled" and not Cancelled().abandoned
    other = pickle.loads(pickle.dumps(Cancelled("late", abandoned=True, phase="tool")))
    assert (other.message, other.abandoned, other.phase) == ("late", True, "tool")


def test_a_partial_run_survives_a_journey() -> None:
    with pytest.raises(ProviderError) as caught:
        Simulator().run(SingleAgent(Fake(script=[ProviderError("no", status=500)])), "go")
    other = pickle.loads(pickle.dumps(caught.value))
    assert other.partial == caught.value.partial
    assert other.partial.run.dumps() == caught.value.partial.run.dumps()


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (TakoError("x"), False),
        (InvalidInput("x"), False),
        (ProtocolError("x"), False),
        (ToolError("x"), False),
        (OutputInvalid("x"), False),
        (Cancelled(), False),
        (TransportError("x"), True),
        (TimedOut("x"), True),
        (RateLimited("x"), True),
        (ProviderError("x"), False),
        *((ProviderError("x", status=status), True) for status in (408, 409, 429, 500, 502, 503, 529)),
        *((ProviderError("x", status=status), False) for status in (400, 401, 403, 404, 413, 422)),
    ],
)
def test_what_another_try_may_cure(error: TakoError, retryable: bool) -> None:
    assert error.retryable is retryable


def test_bad_input_is_a_type_error_too() -> None:
    with pytest.raises(TypeError):
        raise InvalidInput("x")
