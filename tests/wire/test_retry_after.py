"""How long to wait after a refusal, in every form in which a header says it."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.wire.retry_after import retry_hint

NOW = 1_784_000_000.0


def date(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(moment, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "12"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "12"}, 12.0),
        ({"retry-after": date(NOW + 30)}, 30.0),
        ({"retry-after": date(NOW - 30)}, 0.0),
        # The peer's own clock is the one that counts, where it is told.
        ({"retry-after": date(NOW + 1030), "date": date(NOW + 1000)}, 30.0),
        ({"retry-after": date(NOW + 30), "date": "yesterday"}, 30.0),
        # The two older forms of a date in RFC 9110, section 5.6.7.
        ({"retry-after": "Tuesday, 14-Jul-26 03:33:50 GMT"}, 30.0),
        ({"retry-after": "Tue Jul 14 03:33:50 2026"}, 30.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Tue, 14 Jul 99999999 03:33:50 GMT"}, None),
    ],
)
def test_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_hint(headers.items(), NOW) == seconds


names = st.sampled_from(("retry-after", "retry-after-ms", "date", "x"))


@given(headers=st.lists(st.tuples(names, st.text(max_size=40))), now=st.floats(0, 1e10))
def test_anything_is_a_number_of_seconds_or_none(headers: list[tuple[str, str]], now: float) -> None:
    hint = retry_hint(headers, now)
    assert hint is None or 0 <= hint < float("inf")
