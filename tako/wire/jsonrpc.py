"""JSON-RPC 2.0: bytes in, messages out, and back; either side of a conversation may use it.

| a JSON object with               | is a                                                        |
|----------------------------------|-------------------------------------------------------------|
| method, id                       | Request; the id may be a string, a number or null           |
| method, no id                    | Notification; it is never answered                          |
| id, result                       | Success                                                     |
| id, error                        | Failure                                                     |
| any other mix, or a wrong type   | Malformed                                                   |

An array of them is a Batch, whose members are judged one by one; an empty one is Malformed.

Invariants. `parse` raises nothing: what the peer did wrong is a value, which holds the answer that
the specification demands. Only requests are answered with their id: a spoiled answer gets no answer, or
two peers would send each other errors for ever. Members that the specification does not name are
passed over. Limits: `max_size` bytes, MAX_BATCH members, and the nesting of the JSON reader (about 200).
Text is UTF-8, and what is written is one line of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeGuard, assert_never

from pydantic_core import from_json

from tako.errors import InvalidInput

__all__ = [
    "INTERNAL_ERROR",
    "INVALID_PARAMS",
    "INVALID_REQUEST",
    "METHOD_NOT_FOUND",
    "PARSE_ERROR",
    "Batch",
    "ErrorObject",
    "Failure",
    "Id",
    "Malformed",
    "Message",
    "Notification",
    "Request",
    "Success",
    "encode",
    "encode_batch",
    "parse",
]

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
# Codes from -32099 to -32000 are a server's own; the rest of -32768 to -32000 is kept for later.

DEFAULT_MAX_SIZE: Final = 16 * 1024 * 1024
# Each member may have to be answered, and the answer to two bytes has ninety.
MAX_BATCH: Final = 1000

Id: TypeAlias = str | int | float | None
# What JSON can say; a type that says so as well would have to be taken apart by every reader.
Json: TypeAlias = Any
Params: TypeAlias = Sequence[Json] | Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """Why something failed; `data` None is not sent."""

    code: int
    message: str
    data: Json = None


@dataclass(frozen=True, slots=True)
class Request:
    """A call that wants an answer with the same id; `params` None is not sent."""

    method: str
    params: Params | None
    id: Id


@dataclass(frozen=True, slots=True)
class Notification:
    """A call that wants no answer, not even for a mistake; `params` None is not sent."""

    method: str
    params: Params | None = None


@dataclass(frozen=True, slots=True)
class Success:
    id: Id
    result: Json


@dataclass(frozen=True, slots=True)
class Failure:
    """The id is None where that of the request could not be read."""

    id: Id
    error: ErrorObject


Message: TypeAlias = Request | Notification | Success | Failure


@dataclass(frozen=True, slots=True)
class Malformed:
    """What is no message.

    reason   what is wrong with it, for people
    id       the id that it carries, if that can be read: an answer so spoiled still ends a request
    answer   what the peer must be sent; None where it was itself meant as an answer
    """

    reason: str
    id: Id
    answer: Failure | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Its members in their order. Their answers go in one batch; if there are none, nothing is sent."""

    members: tuple[Message | Malformed, ...]


def parse(data: bytes, *, max_size: int = DEFAULT_MAX_SIZE) -> Message | Batch | Malformed:
    """Read one text. Raises nothing: see Malformed."""
    if len(data) > max_size:
        return _invalid(f"it has more than {max_size} bytes")
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        return Malformed(
            f"it is not JSON: {error}", None, Failure(None, ErrorObject(PARSE_ERROR, "Parse error"))
        )
    if type(value) is not list:
        return _message(value)
    if not value:
        return _invalid("it is an empty batch")
    if len(value) > MAX_BATCH:
        return _invalid(f"it is a batch of more than {MAX_BATCH}")
    return Batch(tuple([_message(member) for member in value]))


def _message(value: Json) -> Message | Malformed:
    if type(value) is not dict:
        return _invalid("it is not an object")
    identifier = value.get("id")
    if type(identifier) is not int and not _is_id(identifier):
        return _spoiled(value, None, "its id is not a string, a number or null")
    if value.get("jsonrpc") != "2.0":
        return _spoiled(value, identifier, 'its member "jsonrpc" is not "2.0"')
    has_result, has_error = "result" in value, "error" in value
    if "method" in value:
        if has_result or has_error:
            return _spoiled(value, identifier, "it is both a request and an answer")
        return _call(value, identifier)
    if has_result == has_error:
        return _spoiled(value, identifier, "it has not one of method, result and error")
    if "id" not in value:
        return _spoiled(value, None, "it is an answer without an id")
    return Success(identifier, value["result"]) if has_result else _failure(value, identifier)


def _call(value: dict[str, Json], identifier: Id) -> Request | Notification | Malformed:
    method, params = value["method"], value.get("params")
    if not isinstance(method, str):
        return _spoiled(value, identifier, "its method is not a string")
    if "params" in value and not isinstance(params, list | dict):
        return _spoiled(value, identifier, "its params are neither an array nor an object")
    return Request(method, params, identifier) if "id" in value else Notification(method, params)


def _failure(value: dict[str, Json], identifier: Id) -> Failure | Malformed:
    error = value["error"]
    if not isinstance(error, dict):
        return _spoiled(value, identifier, "its error is not an object")
    code, message = error.get("code"), error.get("message")
    if not isinstance(code, int) or isinstance(code, bool) or not isinstance(message, str):
        return _spoiled(value, identifier, "its error has no code that is an integer, or no message")
    return Failure(identifier, ErrorObject(code, message, error.get("data")))


def _is_id(value: Json) -> TypeGuard[Id]:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _invalid(reason: str, identifier: Id = None) -> Malformed:
    return Malformed(reason, identifier, Failure(identifier, ErrorObject(INVALID_REQUEST, "Invalid Request")))


def _spoiled(value: dict[str, Json], identifier: Id, reason: str) -> Malformed:
    """An object that is no message: to be answered, unless it looks like an answer itself."""
    if "method" not in value and ("result" in value or "error" in value):
        return Malformed(reason, identifier, None)
    return _invalid(reason, identifier)


def encode(message: Message) -> bytes:
    """The bytes of one message, in one line. Raises InvalidInput for what JSON cannot say."""
    return _dumped(_object(message))


def encode_batch(messages: Iterable[Message]) -> bytes:
    """The bytes of a batch, in one line.

    Raises InvalidInput for what JSON cannot say, and for an empty batch, which must not be sent.
    """
    members = [_object(message) for message in messages]
    if not members:
        raise InvalidInput("a batch cannot be empty; send nothing instead")
    return _dumped(members)


def _object(message: Message) -> dict[str, Json]:
    members: dict[str, Json] = {"jsonrpc": "2.0"}
    if isinstance(message, Request | Notification):
        members["method"] = message.method
        if message.params is not None:
            members["params"] = message.params
    elif isinstance(message, Success):
        members["result"] = message.result
    elif isinstance(message, Failure):
        members["error"] = _error(message.error)
    else:
        assert_never(message)
    if not isinstance(message, Notification):
        if not _is_id(message.id):
            raise InvalidInput(f"an id is a string, a number or None, not {message.id!r}")
        members["id"] = message.id
    return members


def _error(error: ErrorObject) -> dict[str, Json]:
    members = {"code": error.code, "message": error.message}
    return members if error.data is None else {**members, "data": error.data}


def _dumped(value: Json) -> bytes:
    # In ASCII, so that no character of a string can look like the end of the line.
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the message cannot be written as JSON: {error}") from None
