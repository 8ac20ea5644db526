"""Every recorded request, read into a ChatRequest, encoded again, and compared with what was sent.

Both bodies are brought into the vendor's plain form first, in which spellings that mean the same
look the same. A request that holds what tako has no words for does not survive; `minimum` keeps
their number from growing unseen.
"""

from __future__ import annotations

import collections

import pytest
from pydantic_core import from_json

from tako.errors import InvalidInput
from tests.corpus.subject import Inexpressible, Subject, all_subjects
from tests.corpus.tables import REQUESTS, Survival
from tests.corpus.test_decoding import of
from tests.support.corpus import ABSENT, CORPUS, Exchange

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=ABSENT)


def recorded(subject: Subject) -> list[Exchange]:
    """The exchanges whose request was kept, and was accepted: what the vendor refused proves nothing."""
    return [
        exchange
        for endpoint in subject.endpoints
        for exchange in of(subject, endpoint)
        if isinstance(exchange.request.get("body_json"), dict) and exchange.status < 400
    ]


def lost(subject: Subject, exchange: Exchange) -> str | None:
    """Why the request does not survive; None if it does."""
    body = exchange.request["body_json"]
    try:
        read = subject.read(exchange)
    except Inexpressible as error:
        return f"no words for {error}"
    try:
        sent = read.provider.http_request(read.request, stream=read.is_stream).body
    except InvalidInput as error:
        return f"refused: {error}"
    ours, theirs = subject.plain(from_json(sent)), subject.plain(body)
    return None if ours == theirs else f"changed: {changed(ours, theirs)}"


def changed(ours: object, theirs: object, path: str = "$") -> str:
    """The first place where two JSON values differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            if ours.get(key, "absent") != theirs.get(key, "absent"):
                return changed(ours.get(key, "absent"), theirs.get(key, "absent"), f"{path}.{key}")
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            if one != other:
                return changed(one, other, f"{path}[{place}]")
    return f"{path}: {str(ours)[:120]!r} was {str(theirs)[:120]!r}"


@pytest.mark.parametrize("subject", all_subjects(), ids=repr)
def test_recorded_requests_survive(subject: Subject, request: pytest.FixtureRequest) -> None:
    requests = recorded(subject)
    reasons = {exchange.id: reason for exchange in requests if (reason := lost(subject, exchange))}
    survived = len(requests) - len(reasons)
    request.config.stash[REQUESTS].append(Survival(subject.name, len(requests), survived))
    shown = "\n".join(f"{id}: {reason}" for id, reason in list(reasons.items())[:40])
    kinds = collections.Counter(reason.partition(":")[0] for reason in reasons.values())
    assert not requests or survived / len(requests) >= subject.minimum, (
        f"{survived} of {len(requests)}\n{kinds}\n{shown}"
    )
