"""What vendors say besides the answer: hints, ids and limits, in all the forms in which they say it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import HttpHead
from tako.errors import ProviderError, RateLimited
from tako.models import RateLimit
from tako.providers.refusals import duration, rate_limits_of, refusal, request_id_of, retry_hint_in
from tako.testing import strategies

NOW = 1_700_000_000.0
"""Tue, 14 Nov 2023 22:13:20 GMT."""
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def head(status: int = 429, **headers: str) -> HttpHead:
    return HttpHead(status, tuple((name.replace("_", "-"), value) for name, value in headers.items()), 1)


def refused(body: Any = "", status: int = 429, message: str | None = None, **headers: str) -> ProviderError:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return refusal("vendor:m", head(status, **headers), data, (message, None), NOW)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after": "7", "retry_after_ms": "250"}, 0.25),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry_after": "Tue, 14 Nov 2023 22:13:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_hints_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert refused(**headers).retry_after == seconds


GOOGLE = {
    "error": {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure"},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.074s"},
        ],
    }
}


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (GOOGLE, 34.074),
        ([GOOGLE], 34.074),
        ({"error": {"retry_after": 3}}, 3.0),
        ({"retry_after": 2.5}, 2.5),
        ({"error": {"retry_after_ms": 1500}}, 1.5),
        ({"retry_after_seconds": 4}, 4.0),
        ({"retry_after": -1}, None),
        ({"retry_after": "soon"}, None),
        ({"error": "no"}, None),
        ("Please try again in 1.5s.", 1.5),
        ("Please try again in 20ms. Visit https://a.test", 0.02),
        ("Rate limit reached. Please try again in 6m0s.", 360.0),
        ("try again in 1h2m3.5s", 3723.5),
        ("Please retry after 12 seconds.", 12.0),
        ("Retrying after about 2 minutes is fine", 120.0),
        ("Limit resets in 3 days", 259_200.0),
        ("try again in a while", None),
        ("try again later", None),
        ("", None),
        ("null", None),
    ],
)
def test_hints_in_bodies(body: Any, seconds: float | None) -> None:
    found = refused(body).retry_after
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_a_hint_in_the_message_is_read_and_a_header_comes_before_it() -> None:
    words = "Please try again in 5s"
    assert refused({"fault": {"why": words}}, message=words).retry_after == 5.0
    assert refused(words, retry_after="1").retry_after == 1.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5s", 1.5),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("20 seconds", 20.0),
        ("3", 3.0),
        ("0", 0.0),
        ("1d", 86400.0),
        ("5 milliseconds", 0.005),
        ("2 minutes", 120.0),
        ("", None),
        ("s", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1x", None),
        ("9" * 400 + "s", None),
        ("1s later", None),
        ("1 month", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    found = duration(text)
    assert found == (None if seconds is None else pytest.approx(seconds))


def test_a_refusal_carries_what_was_said() -> None:
    error = refused({"a": 1}, 503, message="busy", x_request_id="r1")
    assert type(error) is ProviderError and error.retryable
    assert (error.status, error.request_id, error.body, error.phase) == (
        503,
        "r1",
        '{"a":1}',
        "head",
    ) or error.body == '{"a": 1}'
    assert error.message == "HTTP 503 from vendor:m: busy"
    assert type(refused()) is RateLimited
    assert refused("x" * 500, 400).message == f"HTTP 400 from vendor:m: {'x' * 200}"
    assert refused(" ", 400).message.endswith("no explanation given")


@pytest.mark.parametrize(
    "name",
    [
        "x-request-id",
        "request-id",
        "x-amzn-requestid",
        "apim-request-id",
        "mistral-correlation-id",
        "x-goog-request-id",
    ],
)
def test_ids_have_many_names(name: str) -> None:
    assert request_id_of(HttpHead(200, ((name, "r1"),), 1)) == "r1"
    assert request_id_of(HttpHead(200, (("x-request-id", ""), (name, "r1")), 1)) == "r1"
    assert request_id_of(HttpHead(200, ((name, ""), ("other", "r1")), 1)) is None


def limits(**headers: str) -> Any:
    return rate_limits_of(head(200, **headers))


def test_limits_of_openai() -> None:
    found = limits(
        x_ratelimit_limit_requests="500",
        x_ratelimit_remaining_requests="499",
        x_ratelimit_reset_requests="120ms",
        x_ratelimit_limit_tokens="30000",
        x_ratelimit_remaining_tokens="29900",
        x_ratelimit_reset_tokens="6m0s",
        content_type="x",
    )
    assert found.requests == RateLimit(limit=500, remaining=499, reset_secs=0.12)
    assert found.tokens == RateLimit(limit=30000, remaining=29900, reset_secs=360.0)
    assert found.input_tokens is None and len(found.raw) == 6


def test_limits_of_anthropic_are_moments_by_their_own_clock() -> None:
    found = limits(
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2023-11-14T22:13:25Z",
        anthropic_ratelimit_input_tokens_limit="9",
        anthropic_ratelimit_output_tokens_remaining="8",
        date=DATE,
    )
    assert found.requests == RateLimit(limit=50, remaining=49, reset_secs=5.0)
    assert found.input_tokens == RateLimit(limit=9)
    assert found.output_tokens == RateLimit(remaining=8)


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1700000010", 10.0),
        ("1700000010000", 10.0),
        ("1699999999", 0.0),
        ("12", 12.0),
        ("2023-11-14T22:13:21", 1.0),
        ("2023-11-14T23:13:21+01:00", 1.0),
        ("soon", None),
        ("-3", None),
    ],
)
def test_a_reset_is_a_length_or_a_moment(reset: str, seconds: float | None) -> None:
    found = limits(x_ratelimit_reset_requests=reset, x_ratelimit_limit_requests="1", date=DATE)
    assert found.requests.reset_secs == seconds


def test_a_moment_without_the_peers_clock_says_nothing() -> None:
    assert limits(x_ratelimit_reset_requests="1700000010").requests is None


def test_limits_under_other_names() -> None:
    assert limits(ratelimit_limit="5", ratelimit_remaining="4").requests == RateLimit(limit=5, remaining=4)
    assert limits(x_ratelimit_limit_req_minute="5").requests == RateLimit(limit=5)
    assert limits(x_ratelimit_limit_tokens_minute="5").tokens == RateLimit(limit=5)
    assert limits(content_type="x") is None
    odd = limits(x_ratelimit_limit_images="5", x_ratelimit_policy="x", x_ratelimit_limit_tokens="many")
    assert (odd.requests, odd.tokens) == (None, None) and len(odd.raw) == 3


NAMES = st.sampled_from(
    (
        "retry-after",
        "retry-after-ms",
        "date",
        "x-request-id",
        "x-ratelimit-limit-requests",
        "x-ratelimit-reset-tokens",
        "anthropic-ratelimit-requests-reset",
        "ratelimit",
        "x-ratelimit-",
        "x-ratelimit-limit-reset-remaining",
    )
)
WORDS = st.sampled_from(
    (
        DATE,
        "2023-11-14T22:13:25Z",
        "2023-99-99T99:99:99",
        "9" * 400,
        "1e999",
        "-0",
        "1700000010",
        "1" * 18,
        "٣",
        "6m0s",
        "9" * 400 + "s",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    )
)
BODIES = (
    strategies.json_values().map(lambda value: json.dumps(value).encode())
    | strategies.hostile_bytes()
    | st.tuples(
        st.sampled_from(("retryDelay", "retry_after", "retry_after_ms")), strategies.json_values()
    ).map(lambda pair: json.dumps({"error": {"details": [dict([pair])], **dict([pair])}}).encode())
    | st.tuples(WORDS | st.text(max_size=8), WORDS).map(
        lambda two: f"try again in {two[0]} {two[1]}".encode()
    )
)


@given(st.lists(st.tuples(NAMES, WORDS | st.text(max_size=20)), max_size=6), BODIES, st.integers(100, 599))
def test_nothing_that_a_vendor_says_raises(headers: list[tuple[str, str]], body: bytes, status: int) -> None:
    found = HttpHead(status, tuple(headers), 1)
    error = refusal("v", found, body, (None, None), NOW)
    for seconds in (error.retry_after, retry_hint_in(body.decode("utf-8", "replace"), None)):
        assert seconds is None or 0 <= seconds < float("inf")
    limits = rate_limits_of(found)
    for limit in (limits.requests, limits.tokens) if limits else ():
        assert limit is None or limit.reset_secs is None or 0 <= limit.reset_secs < float("inf")
    request_id_of(found)
