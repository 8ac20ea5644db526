"""The cases are written once for both async arms, in tests/adapters/async_http.py."""

from __future__ import annotations

from tests.adapters.async_http import HttpCases


class TestHttp(HttpCases):
    pass
