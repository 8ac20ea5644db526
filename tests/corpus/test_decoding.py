"""Every exchange, whole, byte by byte and at random cuts, is what the vendor's own library reads.

The table that is printed at the end counts them: an exchange is equal if text, reasoning, calls with
their arguments, the raw finish reason, every count of the usage and what the vendor's file adds are
equal, or, of a refusal, the status, the code and the message. What is different on purpose is named
in the vendor's file with the reason.
"""

from __future__ import annotations

import random

import pytest

from tako.models import ChatResponse
from tests.corpus.reading import differences, ends_in_a_cut_call, read
from tests.corpus.subject import Subject, all_subjects
from tests.corpus.tables import TABLE, Row
from tests.support.answers import cuts, streamed, told
from tests.support.corpus import ABSENT, CORPUS, Exchange, exchanges

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=ABSENT)

ENOUGH = 0.995
SUBJECTS = [
    pytest.param(subject, endpoint, id=f"{subject.name}-{endpoint}")
    for subject in all_subjects()
    for endpoint in subject.endpoints
]


def of(subject: Subject, endpoint: str) -> list[Exchange]:
    return [exchange for exchange in exchanges(endpoint) if subject.wanted(exchange)]


@pytest.mark.parametrize(("subject", "endpoint"), SUBJECTS)
def test_an_answer_is_what_the_vendors_library_reads(
    subject: Subject, endpoint: str, request: pytest.FixtureRequest
) -> None:
    found: dict[str, list[str]] = {}
    cut_calls = 0
    for exchange in of(subject, endpoint):
        response, error = read(subject, exchange)
        found[exchange.id] = differences(subject, exchange, response, error)
        cut_calls += ends_in_a_cut_call(exchange, error) and not found[exchange.id]
    unequal = {id: lines for id, lines in found.items() if lines}
    row = Row(subject.name, endpoint, len(found), cut_calls, unequal, subject.different)
    request.config.stash[TABLE].append(row)
    unexplained = {id: lines for id, lines in unequal.items() if id not in subject.different}
    assert not unexplained, "\n".join(f"{id}: {'; '.join(lines)}" for id, lines in unexplained.items())
    equal_after_all = [id for id in subject.different if id in found and not found[id]]
    assert not equal_after_all, f"named as different, but equal: {equal_after_all}"


@pytest.mark.parametrize("subject", all_subjects(), ids=repr)
def test_almost_all_of_a_vendors_exchanges_are_equal(subject: Subject) -> None:
    everything = [exchange.id for endpoint in subject.endpoints for exchange in of(subject, endpoint)]
    assert everything
    assert not subject.different.keys() - set(everything), "a difference of an exchange that is not there"
    # One exchange may always be different: a vendor with few recordings has no half of one.
    assert len(subject.different) <= max(1, (1 - ENOUGH) * len(everything))


@pytest.mark.parametrize(("subject", "endpoint"), SUBJECTS)
def test_a_stream_reads_the_same_byte_by_byte_and_at_random_cuts(subject: Subject, endpoint: str) -> None:
    for exchange in of(subject, endpoint):
        if not exchange.is_stream:
            continue
        provider, body = subject.provider(exchange), exchange.body
        whole = told(streamed(provider.decoder(), [body]))
        pieces = cuts(body, random.Random(exchange.id))
        assert told(streamed(provider.decoder(), pieces)) == whole, f"{exchange.id} at random cuts"
        singles = [body[place : place + 1] for place in range(len(body))]
        assert told(streamed(provider.decoder(), singles)) == whole, f"{exchange.id} byte by byte"


@pytest.mark.parametrize(("subject", "endpoint"), SUBJECTS)
def test_a_whole_answer_reads_the_same_at_random_cuts(subject: Subject, endpoint: str) -> None:
    for exchange in of(subject, endpoint):
        if exchange.is_stream:
            continue
        pieces = cuts(exchange.body, random.Random(exchange.id))
        assert _comparable(read(subject, exchange, pieces)) == _comparable(read(subject, exchange))


def _comparable(outcome: tuple[ChatResponse | None, Exception | None]) -> object:
    response, error = outcome
    return response, type(error), str(error)
