"""TakoError and its family: what went wrong, as data.

One root, so that `except TakoError` is enough, and few branches, each of which a caller would
treat differently. The root is a ValueError too, because callers of the original tako catch that.
An error never costs what was there before it: `partial` holds the answer or the run so far and
`usage` what it has used. Messages say what to do next and never contain a key.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "Cancelled",
    "Interrupted",
    "InvalidInput",
    "OutputInvalid",
    "ProtocolError",
    "ProviderError",
    "RateLimited",
    "SteeringError",
    "TakoError",
    "TimedOut",
    "ToolError",
    "TransportError",
]


class TakoError(ValueError):
    """The root of the family; every field that does not apply is None.

    message      what happened and what to do about it
    provider     id of the provider concerned
    model        the model that was asked for
    phase        what was going on: "connect", "tls", "send", "head", "body", "decode", "tool", ...
    status       HTTP status
    code         the vendor's own error code or type
    request_id   the vendor's id of the exchange, to quote in a support case
    retry_after  seconds to wait before another try, where the peer gave a hint
    body         the vendor's raw body, cut to a stated limit
    partial      what there was: a ChatResponse, a RunResult, or a list of outcomes of a Gather
    usage        what has been used up to here
    """

    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        phase: str | None = None,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        body: str | None = None,
        partial: Any = None,
        usage: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.phase = phase
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        self.body = body
        self.partial = partial
        self.usage = usage

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle by positional arguments; ours are keywords. Celery and
        # multiprocessing carry errors between processes, so this has to hold.
        return type(self), (self.message,), self.__dict__


class InvalidInput(TakoError, TypeError):
    """The caller handed in something that cannot work. Also a TypeError, as in the original."""


class ProtocolError(TakoError):
    """The peer sent bytes that its protocol does not allow; nothing after them can be trusted."""


class ProviderError(TakoError):
    """The vendor understood the request and said no."""

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """True for what another try may cure: overload and the vendor's own failures."""
        return self.status is not None and (self.status in (408, 409, 429) or self.status >= 500)


class RateLimited(ProviderError):
    """Too many requests or tokens; `retry_after` says how long to wait, if the vendor did."""

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        return True


class TransportError(TakoError):
    """The bytes did not get through: name, connection, TLS, or the peer hung up."""

    retryable = True


class TimedOut(TakoError):
    """A limit of time that the caller set was reached."""

    retryable = True


class Cancelled(TakoError):
    """The work was cancelled by its token, its owner or the failure of a sibling.

    abandoned is True when a blocking function did not stop and was left running.
    """

    def __init__(self, message: str = "cancelled", *, abandoned: bool = False, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.abandoned = abandoned


class Interrupted(TakoError):
    """A part of the work was stopped by a token of its own; what is around it goes on."""


class SteeringError(TakoError):
    """A handle could not do what it was asked; `code` says why: "no_active_turn", "turn_mismatch", ..."""


class ToolError(TakoError):
    """A tool failed. Raise it in a tool to choose the words that the model gets to read."""


class OutputInvalid(TakoError):
    """The model's answer did not fit `output_type`, and the tries to have it mended are used up."""
