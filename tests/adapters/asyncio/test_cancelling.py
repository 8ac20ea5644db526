"""The cases are written once for both async arms, in tests/adapters/async_cancelling.py."""

from __future__ import annotations

from tests.adapters.async_cancelling import CancellingCases


class TestCancelling(CancellingCases):
    pass
