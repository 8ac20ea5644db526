from __future__ import annotations

import pytest

from tests.adapters.async_kit import AsyncioArm, Arm, Certificates

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Arm:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return AsyncioArm()


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates.make()
