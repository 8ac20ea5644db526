from __future__ import annotations

from collections.abc import Iterator

import pytest

import tako_io_sync
from tests.adapters.sync.kit import Certificates

PROXY_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def runtime() -> Iterator[tako_io_sync.Runtime]:
    with tako_io_sync.Runtime() as runtime:
        yield runtime


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates.make()
