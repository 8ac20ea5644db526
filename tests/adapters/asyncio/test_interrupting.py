"""The cases are written once for both async arms, in tests/adapters/async_interrupting.py."""

from __future__ import annotations

from tests.adapters.async_interrupting import InterruptingCases


class TestInterrupting(InterruptingCases):
    pass
