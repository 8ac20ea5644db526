"""The cases are written once for both async arms, in tests/adapters/async_driving.py."""

from __future__ import annotations

from tests.adapters.async_driving import DrivingCases


class TestDriving(DrivingCases):
    pass
