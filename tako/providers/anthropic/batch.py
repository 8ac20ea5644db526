"""The values of message batches, and how each is read from what the vendor sends.

A batch is in_progress, then perhaps canceling, then ended. Each of its requests has one row in its
results:

| `result.type` | outcome    | what it holds                                                          |
|---------------|------------|------------------------------------------------------------------------|
| succeeded     | Succeeded  | the response                                                           |
| errored       | Errored    | the vendor's code and words, which come bare or in an envelope         |
| canceled      | Canceled   |                                                                        |
| expired       | Expired    |                                                                        |
| anything else | Unreadable | the error; so has a row that is no JSON, and an answer that is not whole |

A handle that cannot be read is a ProtocolError; a row that cannot be read is a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from tako.errors import ProtocolError, ProviderError, TakoError
from tako.models import ChatResponse
from tako.providers.answer import known_count, known_text
from tako.providers.anthropic.decode import MessagesDecoder
from tako.providers.http import parse_json

__all__ = [
    "BatchCounts",
    "BatchNotReady",
    "BatchOutcome",
    "BatchPage",
    "BatchRow",
    "BatchStatus",
    "Canceled",
    "Errored",
    "Expired",
    "MessageBatch",
    "Succeeded",
    "Unreadable",
    "batch_of",
    "page_of",
    "row_of",
]

BatchStatus: TypeAlias = Literal["in_progress", "canceling", "ended"]
STATUSES: Final[Mapping[str, BatchStatus]] = {
    "in_progress": "in_progress",
    "canceling": "canceling",
    "ended": "ended",
}


class BatchNotReady(ProviderError):
    """The batch has no results yet: `batch_status` says what it does instead. Ask again later."""

    def __init__(self, message: str, *, batch_status: BatchStatus = "in_progress", **fields: Any) -> None:
        super().__init__(message, **fields)
        self.batch_status = batch_status


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """How many requests of a batch are where. All are `processing` until the whole batch has ended."""

    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0

    @property
    def total(self) -> int:
        return self.processing + self.succeeded + self.errored + self.canceled + self.expired


@dataclass(frozen=True, slots=True)
class MessageBatch:
    """A batch as it was when it was asked for. Times are RFC 3339, as they came."""

    id: str
    status: BatchStatus
    counts: BatchCounts
    created_at: str | None = None
    ended_at: str | None = None
    expires_at: str | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended, so that there are results and nothing changes any more."""
        return self.status == "ended"


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Some batches, the newest first; `last_id` as the next `after_id` gives those that follow."""

    batches: tuple[MessageBatch, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The request was answered."""

    response: ChatResponse


@dataclass(frozen=True, slots=True)
class Errored:
    """The vendor said no to the request; it costs nothing, and may be handed in again."""

    code: str | None
    message: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Canceled:
    """The batch was cancelled before the request's turn came."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The batch's day was over before the request's turn came."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The row cannot be read, or its answer is not whole; `error.partial` is what there was of it."""

    error: TakoError


BatchOutcome: TypeAlias = Succeeded | Errored | Canceled | Expired | Unreadable


@dataclass(frozen=True, slots=True)
class BatchRow:
    """What became of one request. Only an Unreadable one may have no custom id."""

    custom_id: str | None
    outcome: BatchOutcome


def batch_of(payload: Any) -> MessageBatch:
    """The batch in the JSON of an answer; raises ProtocolError."""
    if not isinstance(payload, dict) or not known_text(payload.get("id")):
        raise ProtocolError("the answer is no batch: it has no id", phase="decode")
    status = STATUSES.get(str(payload.get("processing_status")))
    if status is None:
        unknown = payload.get("processing_status")
        raise ProtocolError(f"the batch has the unknown status {unknown!r}", phase="decode")
    found = payload.get("request_counts")
    counts = found if isinstance(found, dict) else {}
    names = BatchCounts.__slots__
    return MessageBatch(
        id=payload["id"],
        status=status,
        counts=BatchCounts(**{name: known_count(counts.get(name)) or 0 for name in names}),
        created_at=known_text(payload.get("created_at")),
        ended_at=known_text(payload.get("ended_at")),
        expires_at=known_text(payload.get("expires_at")),
    )


def page_of(payload: Any) -> BatchPage:
    """The page in the JSON of an answer; raises ProtocolError."""
    found = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(found, list):
        raise ProtocolError("the answer is no page of batches: it has no data", phase="decode")
    return BatchPage(
        batches=tuple(batch_of(item) for item in found),
        has_more=payload.get("has_more") is True,
        first_id=known_text(payload.get("first_id")),
        last_id=known_text(payload.get("last_id")),
    )


def row_of(line: bytes) -> BatchRow:
    """The row in a line of the results; what cannot be read is a row as well."""
    custom_id = None
    try:
        payload = parse_json(line, "a row of the results")
        if not isinstance(payload, dict):
            raise ProtocolError(f"a row should be an object, not {type(payload).__name__}", phase="decode")
        custom_id = known_text(payload.get("custom_id"))
        if custom_id is None:
            raise ProtocolError(
                "a row has no custom_id", phase="decode", body=line.decode("utf-8", "replace")
            )
        return BatchRow(custom_id, _outcome_of(payload.get("result")))
    except TakoError as error:
        return BatchRow(custom_id, Unreadable(error))


def _outcome_of(result: Any) -> BatchOutcome:
    """What became of the request; raises a TakoError."""
    fields = result if isinstance(result, dict) else {}
    match fields.get("type"):
        case "succeeded":
            return Succeeded(MessagesDecoder().whole(fields.get("message")))
        case "errored":
            return _errored(fields.get("error"))
        case "canceled":
            return Canceled()
        case "expired":
            return Expired()
        case unknown:
            raise ProtocolError(f"a row has a result of the unknown type {unknown!r}", phase="decode")


def _errored(error: Any) -> Errored:
    """What the vendor said: an error, or one within the envelope of an answer."""
    outer = error if isinstance(error, dict) else {}
    inner = outer.get("error")
    found = inner if isinstance(inner, dict) else outer
    return Errored(
        code=known_text(found.get("type")),
        message=known_text(found.get("message")) or "no explanation given",
        request_id=known_text(outer.get("request_id")),
    )
