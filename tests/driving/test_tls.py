"""apply_tls on real contexts; nothing is connected."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme

from tako.driving.tls import apply_tls
from tako.effects import TlsOptions
from tako.errors import InvalidInput

AUTHORITY = trustme.CA()
IDENTITY = AUTHORITY.issue_cert("client.example")
ROOTS = AUTHORITY.cert_pem.bytes().decode()


def bare() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def roots(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


def test_the_systems_roots_are_loaded_unless_told_otherwise() -> None:
    system, none = bare(), bare()
    apply_tls(system, None)
    apply_tls(none, TlsOptions(system_roots=False))
    reference = ssl.create_default_context()
    assert roots(system) == roots(reference)
    assert roots(none) == 0
    for context in (system, none):
        assert context.check_hostname and context.verify_mode is ssl.CERT_REQUIRED


def test_extra_roots_are_text_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "roots.pem"
    file.write_text(ROOTS)
    for extra_roots in (ROOTS, f"# Főtanúsítvány\n{ROOTS}", str(file)):
        context = bare()
        apply_tls(context, TlsOptions(extra_roots=extra_roots, system_roots=False))
        assert roots(context) == 1


@pytest.mark.parametrize(
    "extra_roots",
    ["/nowhere/roots.pem", "", "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----", "a\x00b"],
)
def test_bad_roots_are_named(extra_roots: str) -> None:
    with pytest.raises(InvalidInput, match=r"tls\.extra_roots"):
        apply_tls(bare(), TlsOptions(extra_roots=extra_roots))


def test_our_certificate_is_loaded_with_its_key(tmp_path: Path) -> None:
    both, certificate, key = tmp_path / "both.pem", tmp_path / "certificate.pem", tmp_path / "key.pem"
    IDENTITY.private_key_and_cert_chain_pem.write_to_path(both)
    IDENTITY.cert_chain_pems[0].write_to_path(certificate)
    IDENTITY.private_key_pem.write_to_path(key)
    apply_tls(bare(), TlsOptions(client_cert=str(both)))
    apply_tls(bare(), TlsOptions(client_cert=str(certificate), client_key=str(key)))
    for options in (
        TlsOptions(client_cert=str(certificate)),
        TlsOptions(client_cert=str(key), client_key=str(key)),
        TlsOptions(client_cert=str(tmp_path / "missing.pem")),
        TlsOptions(client_cert="a\x00b"),
    ):
        with pytest.raises(InvalidInput, match=r"tls\.client_cert"):
            apply_tls(bare(), options)


def test_a_key_alone_or_an_encrypted_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"tls\.client_key"):
        apply_tls(bare(), TlsOptions(client_key="key.pem"))
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(IDENTITY.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    certificate, locked = tmp_path / "certificate.pem", tmp_path / "locked.pem"
    IDENTITY.cert_chain_pems[0].write_to_path(certificate)
    locked.write_bytes(encrypted)
    with pytest.raises(InvalidInput, match="encrypted"):
        apply_tls(bare(), TlsOptions(client_cert=str(certificate), client_key=str(locked)))


def test_text_does_as_well_as_files_and_no_key_stays_on_the_disk(tmp_path: Path) -> None:
    certificate, key = IDENTITY.cert_chain_pems[0].bytes().decode(), IDENTITY.private_key_pem.bytes().decode()
    key_file = tmp_path / "key.pem"
    key_file.write_text(key)
    seen: list[tuple[str, int]] = []

    class Watched(ssl.SSLContext):
        def load_cert_chain(self, certfile, keyfile=None, password=None):  # type: ignore[no-untyped-def]
            for path in filter(None, (certfile, keyfile)):
                seen.append((path, stat.S_IMODE(os.stat(path).st_mode)))
            super().load_cert_chain(certfile, keyfile, password)

    for options in (
        TlsOptions(client_cert=certificate, client_key=key),
        TlsOptions(client_cert=certificate + key),
        TlsOptions(client_cert=certificate, client_key=str(key_file)),
    ):
        seen.clear()
        apply_tls(Watched(ssl.PROTOCOL_TLS_CLIENT), options)
        for path, mode in seen:
            if path != str(key_file):
                assert mode == 0o600 and not os.path.exists(path)
        assert seen and "PRIVATE" not in repr(options)


def test_a_spoiled_key_is_not_in_the_message_and_not_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = IDENTITY.cert_chain_pems[0].bytes().decode()
    key = "-----BEGIN PRIVATE KEY-----\nc2VzYW1l\n-----END PRIVATE KEY-----\n"
    with TemporaryDirectory() as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        with pytest.raises(InvalidInput, match=r"tls\.client_key \(PEM text\)") as caught:
            apply_tls(bare(), TlsOptions(client_cert=certificate, client_key=key))
        assert "c2VzYW1l" not in str(caught.value)
        assert os.listdir(folder) == []
