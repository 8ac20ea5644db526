"""TLS options applied to a context: the part of TLS that is a decision.

An adapter makes a bare client context, `ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)`, hands it to
`apply_tls`, and keeps it: one context for each value of TlsOptions, because loading the roots
costs milliseconds. Checking the name and the certificate stays on, whatever the options say.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING

from tako.effects import TlsOptions
from tako.errors import InvalidInput

if TYPE_CHECKING:
    import ssl

__all__ = ["apply_tls"]

_PEM_MARK = "-----BEGIN"


def apply_tls(context: ssl.SSLContext, options: TlsOptions | None) -> None:
    """Load roots and our certificate into a client context; None means the defaults.

    Each is PEM text, or the path of a file of it. Raises InvalidInput, naming the option,
    for what cannot be loaded.
    """
    options = options or TlsOptions()
    if options.system_roots:
        context.load_default_certs()
    if options.extra_roots is not None:
        _load_roots(context, options.extra_roots)
    if options.client_cert is not None:
        _load_client_certificate(context, options.client_cert, options.client_key)
    elif options.client_key is not None:
        raise InvalidInput("tls.client_key needs tls.client_cert: a key alone identifies nobody")


def _load_roots(context: ssl.SSLContext, roots: str) -> None:
    try:
        if _PEM_MARK in roots:
            # ssl wants ASCII, but the remarks between the certificates of many bundles are not.
            context.load_verify_locations(cadata=roots.encode("ascii", "replace").decode("ascii"))
        else:
            context.load_verify_locations(cafile=roots)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise InvalidInput(
            f"tls.extra_roots is neither PEM certificates nor the path of a file of them: {_reason(error)}"
        ) from error


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    def refuse_to_ask() -> str:
        # Without this, OpenSSL asks for the password on the terminal and the program hangs.
        raise InvalidInput("tls.client_key is encrypted: give a key without a password")

    try:
        with ExitStack() as files:
            chain = files.enter_context(_as_file(certificate))
            secret = None if key is None else files.enter_context(_as_file(key))
            context.load_cert_chain(chain, secret, password=refuse_to_ask)
    except InvalidInput:
        raise
    except (OSError, ValueError) as error:
        with_key = "" if key is None else f" with tls.client_key {_named(key)}"
        raise InvalidInput(
            f"tls.client_cert {_named(certificate)}{with_key} cannot be loaded: {_reason(error)}"
        ) from error


def _as_file(pem: str) -> AbstractContextManager[str]:
    """The path that was given, or for PEM text that of a file which is gone afterwards."""
    if _PEM_MARK not in pem:
        return nullcontext(pem)
    from tako.driving.private_file import private_file

    return private_file(pem)


def _named(pem: str) -> str:
    """What a message may say of it: a path, and never a key."""
    return "(PEM text)" if _PEM_MARK in pem else repr(pem)


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
