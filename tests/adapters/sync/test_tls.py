"""TLS of the blocking arm: whom it trusts, who it is, and which name it asks for."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
import requests
from urllib3.exceptions import InsecureRequestWarning

from tako.effects import TlsOptions
from tako.errors import InvalidInput, TimedOut, TransportError
from tako.testing.vendor import Answer, ScriptedVendor
from tako_io_sync import Runtime
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import (
    Certificates,
    fetch,
    in_time,
    nothing_left_behind,
    post,
    silent_server,
    three_tries,
)

VENDOR = ScriptedVendor(Answer.json(b"{}"))


def test_extra_roots_are_trusted_and_the_connection_is_kept(
    runtime: Runtime, certificates: Certificates
) -> None:
    options = TlsOptions(extra_roots=certificates.roots)
    with LoopbackServer(VENDOR, tls=certificates.server_context("127.0.0.1")) as server:
        for _ in range(2):
            assert runtime.run(fetch(post(server.url, tls=options))) == (200, b"{}")
        assert server.connections == 1


def test_an_unknown_authority_is_not_trusted(runtime: Runtime, certificates: Certificates) -> None:
    with (
        LoopbackServer(VENDOR, tls=certificates.server_context("127.0.0.1")) as server,
        nothing_left_behind(),
    ):
        with pytest.raises(TransportError, match="not trusted") as caught:
            runtime.run(fetch(post(server.url)))
        assert caught.value.phase == "tls"


def test_a_certificate_for_another_name_is_not_trusted(runtime: Runtime, certificates: Certificates) -> None:
    options = TlsOptions(extra_roots=certificates.roots)
    with LoopbackServer(VENDOR, tls=certificates.server_context("other.example")) as server:
        with pytest.raises(TransportError, match="not trusted") as caught:
            runtime.run(fetch(post(server.url, tls=options)))
        assert caught.value.phase == "tls"


def test_roots_that_are_none(runtime: Runtime) -> None:
    with pytest.raises(InvalidInput, match="extra_roots"):
        runtime.run(fetch(post("https://127.0.0.1:1/", tls=TlsOptions(extra_roots="nowhere.pem"))))


def test_a_client_certificate(runtime: Runtime, certificates: Certificates, tmp_path: Path) -> None:
    context = certificates.server_context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    certificates.authority.configure_trust(context)
    chain, key = certificates.client_files(tmp_path)
    known = TlsOptions(extra_roots=certificates.roots, client_cert=chain, client_key=key)
    unknown = TlsOptions(extra_roots=certificates.roots)
    with LoopbackServer(VENDOR, tls=context) as server:
        assert runtime.run(fetch(post(server.url, tls=known))) == (200, b"{}")
        with pytest.raises(TransportError):
            runtime.run(fetch(post(server.url, tls=unknown)))


@pytest.mark.parametrize("given", [False, True])
def test_a_pinned_address_is_checked_for_the_name_in_the_url(
    given: bool, certificates: Certificates, tmp_path: Path
) -> None:
    names: list[str] = []
    context = certificates.server_context("api.example", names_asked=names)
    vendor = ScriptedVendor(Answer.json(b"{}"))
    session = requests.Session() if given else None
    if session is not None:
        bundle = tmp_path / "roots.pem"
        bundle.write_text(certificates.roots)
        session.verify = str(bundle)
    tls = None if given else TlsOptions(extra_roots=certificates.roots)
    with LoopbackServer(vendor, tls=context) as server, Runtime(session) as runtime:
        url = f"https://api.example:{server.port}/x"
        for _ in range(2):
            assert runtime.run(fetch(post(url, pinned_address="127.0.0.1", tls=tls))) == (200, b"{}")
        assert server.connections == 1
        assert names == ["api.example"]
        assert vendor.requests[0].header("host") == f"api.example:{server.port}"
        with pytest.raises(TransportError, match="not trusted"):
            runtime.run(
                fetch(post(f"https://evil.example:{server.port}/", pinned_address="127.0.0.1", tls=tls))
            )


def test_a_pinned_address_without_tls(runtime: Runtime) -> None:
    vendor = ScriptedVendor(Answer.json(b"{}"))
    with LoopbackServer(vendor) as server:
        request = post(f"http://api.example:{server.port}/", pinned_address="127.0.0.1")
        assert runtime.run(fetch(request)) == (200, b"{}")
        assert vendor.requests[0].header("host") == f"api.example:{server.port}"


def test_two_pinned_addresses_are_two_places(runtime: Runtime) -> None:
    with LoopbackServer(VENDOR) as server:
        url = f"http://api.example:{server.port}/"
        assert runtime.run(fetch(post(url, pinned_address="127.0.0.1"))) == (200, b"{}")
        with pytest.raises(TransportError):
            runtime.run(fetch(post(url, pinned_address="127.0.0.2", connect_timeout=0.5)))


def test_a_bundle_from_the_environment(
    runtime: Runtime, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "roots.pem"
    bundle.write_text(certificates.roots)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with LoopbackServer(VENDOR, tls=certificates.server_context("127.0.0.1")) as server:
        assert runtime.run(fetch(post(server.url))) == (200, b"{}")
    with (
        LoopbackServer(VENDOR, tls=certificates.server_context("other.example")) as server,
        pytest.raises(TransportError, match="not trusted"),
    ):
        runtime.run(fetch(post(server.url)))


def test_a_bundle_that_is_not_there(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with pytest.raises(TransportError, match=r"/nowhere\.pem"):
        runtime.run(fetch(post("https://127.0.0.1:1/")))


def test_a_session_that_checks_nothing(certificates: Certificates) -> None:
    with requests.Session() as session, Runtime(session) as runtime:
        session.verify = False
        with (
            LoopbackServer(VENDOR, tls=certificates.server_context("other.example")) as server,
            pytest.warns(InsecureRequestWarning),
        ):
            assert runtime.run(fetch(post(server.url))) == (200, b"{}")


def test_a_peer_that_does_not_speak_tls(runtime: Runtime) -> None:
    with LoopbackServer(VENDOR) as server, pytest.raises(TransportError) as caught:
        runtime.run(fetch(post(server.url.replace("http:", "https:"))))
    assert caught.value.phase == "tls"


@three_tries
def test_a_handshake_that_takes_too_long(runtime: Runtime) -> None:
    with silent_server() as port, nothing_left_behind():
        start = time.monotonic()
        with pytest.raises(TimedOut, match="connect_timeout") as caught:
            runtime.run(fetch(post(f"https://127.0.0.1:{port}/", connect_timeout=0.1)))
        assert caught.value.phase == "tls"
        in_time(time.monotonic() - start, 0.5)


def test_a_stream_over_tls(runtime: Runtime, certificates: Certificates) -> None:
    pieces = tuple(bytes([65 + index % 26]) * 700 for index in range(200))
    vendor = ScriptedVendor(Answer.events(pieces))
    options = TlsOptions(extra_roots=certificates.roots)
    with LoopbackServer(vendor, tls=certificates.server_context("127.0.0.1")) as server:
        for _ in range(2):
            assert runtime.run(fetch(post(server.url, tls=options))) == (200, b"".join(pieces))
        assert server.connections == 1
