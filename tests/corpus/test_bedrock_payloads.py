"""Models on Bedrock that are invoked in their own formats: what arrives under the event stream.

Their payloads are nobody's dialect, so only the layers below are compared: frames, refusals, exceptions.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic_core import from_json

from tako.effects import HttpHead
from tako.errors import TransportError
from tako.events import ChatError
from tako.providers.aws_errors import refusal_in
from tako.providers.bedrock.decode import ConverseDecoder
from tako.wire.eventstream import EventStreamParser
from tests.support.answers import collect, streamed, told
from tests.support.corpus import ABSENT, CORPUS, Exchange, exchanges

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=ABSENT)

INVOKED = [
    *exchanges("bedrock.invoke"),
    *exchanges("bedrock.invoke-stream"),
    *exchanges("bedrock.converse"),
    *exchanges("bedrock.converse-stream"),
]


def payloads(exchange: Exchange, pieces: list[bytes]) -> Any:
    """The JSON of a whole answer, or of each chunk of a stream."""
    if not exchange.is_stream:
        return from_json(exchange.body)
    parser = EventStreamParser()
    frames = [frame for piece in (*pieces, b"") for frame in parser.feed(piece)]
    assert {frame.headers[":event-type"] for frame in frames} == {"chunk"}
    return [from_json(base64.b64decode(from_json(frame.payload)["bytes"])) for frame in frames]


def test_payloads_are_those_that_botocore_reads() -> None:
    wanted = [exchange for exchange in INVOKED if "payload" in exchange.expected]
    for exchange in wanted:
        body = exchange.body
        assert payloads(exchange, [body]) == exchange.expected["payload"], exchange.id
        assert payloads(exchange, [body[:7], body[7:]]) == exchange.expected["payload"], exchange.id
    assert len(wanted) == 42


def test_refusals_are_those_that_botocore_reads() -> None:
    refused = [exchange for exchange in INVOKED if exchange.expected["outcome"] == "http_error"]
    for exchange in refused:
        error = exchange.expected["error"]
        payload = from_json(exchange.body)
        message, code = refusal_in(payload, HttpHead(exchange.status, exchange.headers, 1))
        assert (exchange.status, code, message) == (error["status_code"], error["code"], error["message"])
    assert len(refused) == 13


CUT = {
    # Of what ends too early botocore says nothing; for us a cut answer must not look whole.
    "truncated-in-the-middle-of-a-frame": "before messageStop",
    # This one lacks its metadata, and no more. AWS always sends it, so the stream was cut, and the counts
    # are lost: an answer without them would look as if it had cost nothing. The text is in the partial
    # response. An unknown event is skipped, here and by botocore.
    "unknown-event-type-is-skipped": "before metadata",
}
"""What botocore reads without an error and we do not: before which mark it ends."""


def synthetic() -> list[dict[str, Any]]:
    path = CORPUS / "vectors" / "eventstream.bedrock.synthetic.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_broken_streams_are_reported_as_botocore_reports_them() -> None:
    for vector in synthetic():
        body, wanted = base64.b64decode(vector["body_b64"]), vector["error"]
        chunks = streamed(ConverseDecoder(), [body])
        told(chunks)
        response, error = collect(chunks)
        assert response.text == "Hello", vector["name"]
        if wanted is None:
            assert type(error) is TransportError and CUT[vector["name"]] in error.message
        else:
            (told_error,) = [chunk.error for chunk in chunks if type(chunk) is ChatError]
            # botocore has no words for an exception that it does not know; its name is better.
            assert told_error.code == (wanted["code"] or "someFutureException")
            assert wanted["message"] in told_error.message
