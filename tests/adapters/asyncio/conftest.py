from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.adapters.async_kit import Arm, AsyncioArm, Certificates

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Arm:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return AsyncioArm()


@pytest.fixture(scope="session", autouse=True)
def _cheap_collections() -> Iterator[None]:
    """Each scenario collects garbage to see what it left; what was there before need not be looked at."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates.make()
