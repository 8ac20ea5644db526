"""JSON-RPC 2.0: the examples of its specification, what each text is taken for, and the limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.wire.jsonrpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_BATCH,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Batch,
    ErrorObject,
    Failure,
    Malformed,
    Message,
    Notification,
    Request,
    Success,
    encode,
    encode_batch,
    parse,
)

VECTORS = Path(__file__).parents[2].parent / "shared" / "corpus" / "vectors" / "jsonrpc.spec.jsonl"

METHODS: dict[str, Callable[..., Any]] = {
    "subtract": lambda minuend, subtrahend: minuend - subtrahend,
    "sum": lambda *numbers: sum(numbers),
    "get_data": lambda: ["hello", 5],
    "update": lambda *anything: None,
}


def answer_one(message: Message | Malformed) -> Success | Failure | None:
    if isinstance(message, Malformed):
        return message.answer
    if not isinstance(message, Request):
        return None
    if message.method not in METHODS:
        return Failure(message.id, ErrorObject(METHOD_NOT_FOUND, "Method not found"))
    params = message.params or []
    method = METHODS[message.method]
    result = method(**params) if isinstance(params, dict) else method(*params)
    return Success(message.id, result)


def serve(data: bytes) -> bytes | None:
    """The server that the examples of the specification talk to."""
    found = parse(data)
    if isinstance(found, Batch):
        answers = [answer for answer in map(answer_one, found.members) if answer is not None]
        return encode_batch(answers) if answers else None
    answer = answer_one(found)
    return None if answer is None else encode(answer)


@pytest.mark.skipif(
    not VECTORS.exists(), reason="the recorded JSON-RPC vectors are not beside this repository"
)
def test_the_examples_of_the_specification() -> None:
    with VECTORS.open(encoding="utf-8") as file:
        recorded = [json.loads(line) for line in file]
    assert len(recorded) == 15
    for vector in recorded:
        answer = serve(vector["client_sends"].encode())
        if vector["server_sends"] is None:
            assert answer is None, vector["name"]
            continue
        assert answer is not None, vector["name"]
        assert json.loads(answer) == json.loads(vector["server_sends"]), vector["name"]
        # A client understands it as well, and would send nothing back.
        understood = parse(answer)
        for message in understood.members if isinstance(understood, Batch) else (understood,):
            assert isinstance(message, Success | Failure)


def test_a_batch_of_everything() -> None:
    """One of each kind, so that a clone without vectors has them."""
    calls = [
        {"jsonrpc": "2.0", "method": "sum", "params": [1, 2], "id": None},
        {"jsonrpc": "2.0", "method": "update", "params": [1]},
        {"jsonrpc": "2.0", "method": "nothing", "id": 2.5},
        {"jsonrpc": "2.0", "result": 1, "id": 3},
        {"jsonrpc": "2.0", "result": 1, "error": {"code": 1, "message": ""}, "id": 4},
        [],
    ]
    answer = serve(json.dumps(calls).encode())
    assert answer is not None
    assert json.loads(answer) == [
        {"jsonrpc": "2.0", "result": 3, "id": None},
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": 2.5},
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": None},
    ]
    assert serve(json.dumps(calls[1:2]).encode()) is None


def test_the_codes_are_those_of_the_specification() -> None:
    codes = (PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR)
    assert codes == (-32700, -32600, -32601, -32602, -32603)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"jsonrpc":"2.0","method":"m","id":1}', Request("m", None, 1)),
        ('{"jsonrpc":"2.0","method":"m","id":"1","params":{}}', Request("m", {}, "1")),
        ('{"jsonrpc":"2.0","method":"m","id":null,"params":[]}', Request("m", [], None)),
        ('{"jsonrpc":"2.0","method":"m","id":-1.5}', Request("m", None, -1.5)),
        ('{"jsonrpc":"2.0","method":"","id":""}', Request("", None, "")),
        (
            '{"jsonrpc":"2.0","method":"m","id":12345678901234567890123}',
            Request("m", None, 12345678901234567890123),
        ),
        ('{"jsonrpc":"2.0","method":"m"}', Notification("m")),
        ('{"jsonrpc":"2.0","method":"m","params":{"a":1},"_extra":1}', Notification("m", {"a": 1})),
        (' \n{"jsonrpc":"2.0","result":null,"id":1}\r\n', Success(1, None)),
        ('{"jsonrpc":"2.0","result":[1],"id":null}', Success(None, [1])),
        ('{"jsonrpc":"2.0","error":{"code":1,"message":""},"id":null}', Failure(None, ErrorObject(1, ""))),
        (
            '{"jsonrpc":"2.0","error":{"code":-32000,"message":"é","data":{"a":[]}},"id":"x"}',
            Failure("x", ErrorObject(-32000, "é", {"a": []})),
        ),
    ],
)
def test_what_a_message_is_taken_for(text: str, wanted: Message) -> None:
    found = parse(text.encode())
    assert found == wanted
    assert type(found) is type(wanted)
    assert parse(b"[" + text.encode() + b"]") == Batch((wanted,))


@pytest.mark.parametrize(
    ("text", "reason", "identifier"),
    [
        ("1", "not an object", None),
        ("null", "not an object", None),
        ('"x"', "not an object", None),
        ("[]", "empty batch", None),
        ("{}", '"jsonrpc" is not "2.0"', None),
        ('{"jsonrpc":"1.0","method":"m","id":7}', '"jsonrpc" is not "2.0"', 7),
        ('{"jsonrpc":2.0,"method":"m","id":7}', '"jsonrpc" is not "2.0"', 7),
        ('{"method":"m","id":"a"}', '"jsonrpc" is not "2.0"', "a"),
        ('{"jsonrpc":"2.0","method":"m","id":true}', "id is not", None),
        ('{"jsonrpc":"2.0","method":"m","id":[]}', "id is not", None),
        ('{"jsonrpc":"2.0","method":"m","id":{}}', "id is not", None),
        ('{"jsonrpc":"2.0","method":"m","id":1e999}', "id is not", None),
        ('{"jsonrpc":"2.0","method":1,"id":7}', "method is not a string", 7),
        ('{"jsonrpc":"2.0","method":null}', "method is not a string", None),
        ('{"jsonrpc":"2.0","method":"m","params":null,"id":7}', "params are neither", 7),
        ('{"jsonrpc":"2.0","method":"m","params":"x"}', "params are neither", None),
        ('{"jsonrpc":"2.0","method":"m","result":1,"id":7}', "both a request and an answer", 7),
        ('{"jsonrpc":"2.0","method":"m","error":1,"id":7}', "both a request and an answer", 7),
        ('{"jsonrpc":"2.0","id":7}', "not one of method, result and error", 7),
    ],
)
def test_what_is_no_request_is_answered(text: str, reason: str, identifier: Any) -> None:
    found = parse(text.encode())
    assert isinstance(found, Malformed)
    assert reason in found.reason
    assert found.id == identifier
    assert found.answer == Failure(identifier, ErrorObject(INVALID_REQUEST, "Invalid Request"))


@pytest.mark.parametrize(
    ("text", "reason", "identifier"),
    [
        ('{"jsonrpc":"2.0","result":1,"error":{"code":1,"message":""},"id":7}', "not one of", 7),
        ('{"jsonrpc":"2.0","result":1}', "without an id", None),
        ('{"jsonrpc":"2.0","error":{"code":1,"message":""}}', "without an id", None),
        ('{"jsonrpc":"2.0","result":1,"id":false}', "id is not", None),
        ('{"result":1,"id":7}', '"jsonrpc" is not "2.0"', 7),
        ('{"jsonrpc":"2.0","error":"no","id":7}', "error is not an object", 7),
        ('{"jsonrpc":"2.0","error":null,"id":7}', "error is not an object", 7),
        ('{"jsonrpc":"2.0","error":{"code":"1","message":""},"id":7}', "no code that is an integer", 7),
        ('{"jsonrpc":"2.0","error":{"code":true,"message":""},"id":7}', "no code that is an integer", 7),
        ('{"jsonrpc":"2.0","error":{"code":1.0,"message":""},"id":7}', "no code that is an integer", 7),
        ('{"jsonrpc":"2.0","error":{"code":1},"id":7}', "or no message", 7),
        ('{"jsonrpc":"2.0","error":{"code":1,"message":null},"id":7}', "or no message", 7),
    ],
)
def test_a_spoiled_answer_is_not_answered(text: str, reason: str, identifier: Any) -> None:
    found = parse(text.encode())
    assert isinstance(found, Malformed)
    assert reason in found.reason
    assert (found.id, found.answer) == (identifier, None)


NOT_JSON = [b"", b" ", b"{", b'{"a":1,}', b"\xff", b"\xef\xbb\xbf{}", b"{}{}", b"NaN", b"-Infinity", b"nul"]
NOT_JSON += ['{"jsonrpc":"2.0"}'.encode("utf-16"), b'{"jsonrpc":"2.0","method":"\xed\xa0\x80"}', b"'a'"]
NOT_JSON += [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 300 + b"]" * 300, b"9" * 100_000]


@pytest.mark.parametrize("data", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_not_json_is_a_parse_error(data: bytes) -> None:
    found = parse(data)
    assert isinstance(found, Malformed)
    assert found.answer == Failure(None, ErrorObject(PARSE_ERROR, "Parse error"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
IDS = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
PARAMS = st.none() | st.lists(JSON, max_size=3) | st.dictionaries(st.text(), JSON, max_size=3)
ERRORS = st.builds(ErrorObject, st.integers(), st.text(), JSON)
MESSAGES = st.one_of(
    st.builds(Request, st.text(), PARAMS, IDS),
    st.builds(Notification, st.text(), PARAMS),
    st.builds(Success, IDS, JSON),
    st.builds(Failure, IDS, ERRORS),
)


@given(st.lists(MESSAGES, min_size=1, max_size=4))
def test_what_is_written_is_read_and_cut_short_it_is_not(messages: list[Message]) -> None:
    for message in messages:
        data = encode(message)
        assert parse(data) == message
        assert data.isascii()
        assert b"\n" not in data
        for end in range(len(data)):
            found = parse(data[:end])
            assert isinstance(found, Malformed)
            assert found.answer == Failure(None, ErrorObject(PARSE_ERROR, "Parse error"))
    batch = encode_batch(messages)
    assert parse(batch) == Batch(tuple(messages))
    assert b"\n" not in batch


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_makes_it_raise(data: bytes) -> None:
    found = parse(data)
    for member in found.members if isinstance(found, Batch) else (found,):
        assert isinstance(member, Request | Notification | Success | Failure | Malformed)


@given(st.dictionaries(st.sampled_from(["method", "params", "id", "result", "error"]), JSON))
def test_the_members_alone_decide(members: dict[str, Any]) -> None:
    """The rules again, said the other way round: which objects are messages, and of which kind."""
    found = parse(json.dumps({"jsonrpc": "2.0", **members}).encode())
    identifier = members.get("id")
    id_is_right = identifier is None or (isinstance(identifier, str | int | float) and identifier is not True)
    id_is_right = id_is_right and identifier is not False
    kinds = {"method", "result", "error"} & set(members)
    kind: type = Malformed
    if id_is_right and kinds == {"method"} and isinstance(members["method"], str):
        if isinstance(members.get("params", []), list | dict):
            kind = Request if "id" in members else Notification
    elif id_is_right and kinds == {"result"} and "id" in members:
        kind = Success
    elif id_is_right and kinds == {"error"} and "id" in members:
        error = members["error"]
        is_whole = isinstance(error, dict) and type(error.get("code")) is int
        kind = Failure if is_whole and isinstance(error.get("message"), str) else Malformed
    assert type(found) is kind


def test_the_limits_are_exact() -> None:
    data = b'{"jsonrpc":"2.0","method":"m"}'
    assert parse(data, max_size=len(data)) == Notification("m")
    found = parse(data, max_size=len(data) - 1)
    assert isinstance(found, Malformed)
    assert found.answer == Failure(None, ErrorObject(INVALID_REQUEST, "Invalid Request"))
    assert parse(b"[" + b",".join([data] * MAX_BATCH) + b"]") == Batch((Notification("m"),) * MAX_BATCH)
    found = parse(b"[" + b",".join([b"1"] * (MAX_BATCH + 1)) + b"]")
    assert isinstance(found, Malformed)
    assert "more than 1000" in found.reason


def deep() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "message",
    [
        Request("m", [object()], 1),
        Request("m", [float("nan")], 1),
        Request("m", {"a": b""}, 1),
        Request("m", None, True),
        Request("m", None, [1]),  # type: ignore[arg-type]
        Success(float("inf"), 1),
        Success(1, deep()),
        Failure(1, ErrorObject(1, "", {1, 2})),
    ],
)
def test_what_json_cannot_say_is_refused(message: Message) -> None:
    with pytest.raises(InvalidInput):
        encode(message)
    with pytest.raises(InvalidInput):
        encode_batch([message])


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        encode_batch([])
