"""Grpc against a server that is written with another library, grpcio, over real sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from tako.effects import TlsOptions
from tako.errors import InvalidInput, TakoError, TransportError
from tako.links import Socket
from tako.mcp import connect
from tako.mcp.grpc import Grpc
from tako.wire.grpc import GrpcStream, StreamRefused
from tests.mcp.arms import ARMS, Session, Steps, run
from tests.mcp.echo_peer import answered

ERA = "2025-06-18"
SERVICE, METHOD = "tako.mcp.bridge.v1.McpBridge", "Open"
BIG = "grün und blau, " * 200_000
SIZES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]

AUTHORITY, OTHER = trustme.CA(), trustme.CA()
CA = AUTHORITY.cert_pem.bytes()
SERVER = AUTHORITY.issue_cert("bridge.example", "127.0.0.1")
CLIENT = AUTHORITY.issue_cert("client.example")
CERTIFICATE, KEY = CLIENT.cert_chain_pems[0].bytes(), CLIENT.private_key_pem.bytes()

Handler = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]


def written(text: str) -> bytes:
    """A Frame, as protoc would have it written."""
    data = text.encode()
    size, length = len(data), b""
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | 128 if size else low])
        if not size:
            return b"\n" + length + data


def read(frame: bytes) -> bytes:
    assert frame[0] == 10
    start = 2
    while frame[start - 1] >= 128:
        start += 1
    return frame[start:]


def echo(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    for request in requests:
        if (answer := answered(read(request))) is not None:
            yield written(answer)


@contextmanager
def serving(
    handler: Handler = echo,
    credentials: grpc.ServerCredentials | None = None,
    service: str = SERVICE,
    **options: Any,
) -> Iterator[int]:
    """A server on a port of this machine."""
    server = grpc.server(ThreadPoolExecutor(2), options=SIZES, **options)
    methods = {METHOD: grpc.stream_stream_rpc_method_handler(handler)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait(10)


def with_tls(*, mutual: bool) -> grpc.ServerCredentials:
    pair = (SERVER.private_key_pem.bytes(), SERVER.cert_chain_pems[0].bytes())
    return grpc.ssl_server_credentials([pair], CA if mutual else None, require_client_auth=mutual)


@pytest.mark.parametrize("arm", ARMS)
def test_tools_of_a_server_by_another_library(arm: str) -> None:
    def steps(session: Session) -> Steps:
        assert [tool.name for tool in (yield session.tools())] == ["echo"]
        for text in ("hi", BIG):
            assert (yield session.call("echo", {"text": text})).text == text

    # Which compresses, although we do not ask for that.
    with serving(compression=grpc.Compression.Gzip) as port:
        run(arm, Grpc(f"http://127.0.0.1:{port}", era=ERA), steps)


def echoes(server: Grpc) -> bool:
    with connect(server) as session:
        return session.call("echo", {"text": "hi"}).text == "hi"


def test_both_sides_show_certificates_inline_or_from_files(tmp_path: Path) -> None:
    ca, certificate, key = tmp_path / "ca.pem", tmp_path / "certificate.pem", tmp_path / "key.pem"
    for path, pem in ((ca, CA), (certificate, CERTIFICATE), (key, KEY)):
        path.write_bytes(pem)
    with serving(credentials=with_tls(mutual=True)) as port:
        inline = {"ca_pem": CA, "client_cert_pem": CERTIFICATE, "client_key_pem": KEY}
        files = {"ca_path": ca, "client_cert_path": str(certificate), "client_key_path": key}
        assert echoes(Grpc(f"https://127.0.0.1:{port}", era=ERA, **inline))
        assert echoes(Grpc(f"127.0.0.1:{port}", era=ERA, **files))
        assert echoes(Grpc(f"https://127.0.0.1:{port}", era=ERA, domain_name="bridge.example", **inline))
        with pytest.raises(TransportError):
            echoes(Grpc(f"https://127.0.0.1:{port}", era=ERA, ca_pem=CA))


def test_a_server_is_not_trusted_without_reason() -> None:
    with serving(credentials=with_tls(mutual=False)) as port:
        assert echoes(Grpc(f"https://127.0.0.1:{port}", era=ERA, ca_pem=CA))
        for options in (
            {},
            {"ca_pem": OTHER.cert_pem.bytes()},
            {"ca_pem": CA, "domain_name": "other.example"},
        ):
            with pytest.raises(TransportError, match="certificate"):
                echoes(Grpc(f"https://127.0.0.1:{port}", era=ERA, **options))


def failing(handler: Handler = echo, **options: Any) -> TakoError:
    """How a call ends."""
    with serving(handler, **options) as port:
        with pytest.raises(TakoError) as caught:
            echoes(Grpc(f"http://127.0.0.1:{port}", era=ERA))
    return caught.value


def test_a_status_in_the_middle_of_a_call_says_why() -> None:
    def tired(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            if json.loads(read(request))["method"] == "tools/call":
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "zu müde, 100%")
            if (answer := answered(read(request))) is not None:
                yield written(answer)

    error = failing(tired)
    assert isinstance(error, StreamRefused) and error.retryable
    assert (error.number, error.code) == (8, "RESOURCE_EXHAUSTED")
    assert "the gRPC server 127.0.0.1:" in str(error) and "zu müde, 100%" in str(error)


def test_a_server_without_the_service() -> None:
    error = failing(service="another.Service")
    assert isinstance(error, StreamRefused) and error.code == "UNIMPLEMENTED"
    assert "check the endpoint" in str(error)


def test_a_server_that_ends_the_stream_in_order() -> None:
    def brief(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield written(answered(read(next(requests))) or "")
        next(requests)

    error = failing(brief)
    assert type(error) is TransportError and "status 0 (OK)" in str(error)


def test_a_server_that_is_stopped() -> None:
    servers = []

    def stopping(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            if json.loads(read(request))["method"] == "tools/call":
                servers[0].stop(0)
            elif (answer := answered(read(request))) is not None:
                yield written(answer)

    server = grpc.server(ThreadPoolExecutor(2))
    servers.append(server)
    methods = {METHOD: grpc.stream_stream_rpc_method_handler(stopping)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with pytest.raises(TakoError) as caught:
        echoes(Grpc(f"127.0.0.1:{port}", era=ERA))
    assert isinstance(caught.value, TransportError | StreamRefused)


def plan(server: Grpc) -> tuple[Socket, GrpcStream]:
    """Where it would connect, and how it would frame."""
    try:
        next(server._connect())
    except StopIteration as stop:
        endpoint, framing = stop.value
        return endpoint, framing
    raise AssertionError("it asks for something")


def test_where_it_connects() -> None:
    pem = CA.decode()
    assert plan(Grpc("http://a.example"))[0] == Socket("a.example", 80)
    assert plan(Grpc("a.example:50051"))[0] == Socket("a.example", 50051)
    assert plan(Grpc("https://a.example"))[0] == Socket("a.example", 443, TlsOptions(), ("h2",))
    assert plan(Grpc("[::1]:7", domain_name="b.example"))[0] == Socket(
        "::1", 7, TlsOptions(), ("h2",), server_name="b.example"
    )
    assert plan(Grpc("a.example:7", ca_pem=CA))[0] == Socket(
        "a.example", 7, TlsOptions(extra_roots=pem, system_roots=False), ("h2",)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ca_pem": b"x", "ca_path": "x"}, "^ca: pass inline bytes or a path, not both$"),
        (
            {"client_cert_pem": b"x", "client_cert_path": "x"},
            "client_cert: pass inline bytes or a path, not both",
        ),
        ({"client_key_pem": b"x", "client_key_path": "x"}, "client_key: pass inline bytes or a path, not"),
        ({"client_cert_pem": b"x", "client_key_pem": b"x"}, "ca_pem is required"),
        ({"client_cert_path": "x", "client_key_path": "x"}, "ca_pem is required"),
        ({"client_cert_pem": b"x"}, "ca_pem is required"),
        ({"ca_pem": b"x", "client_cert_pem": b"x"}, "client_cert_pem and client_key_pem"),
        ({"ca_pem": b"x", "client_key_path": "x"}, "client_cert_pem and client_key_pem"),
        ({"ca_pem": b"not PEM"}, "ca_pem holds no PEM text; for a file there is ca_path"),
        ({"ca_pem": 7}, "ca_pem should be bytes"),
        ({"ca_path": 7}, "ca_path should be a path"),
        ({"ca_pem": CA, "endpoint": "http://a.example"}, "not encrypted"),
        ({"domain_name": "b.example", "endpoint": "http://a.example"}, "not encrypted"),
        ({"endpoint": "ftp://a.example"}, "endpoint"),
        ({"endpoint": "https://a.example/service"}, "no path"),
        ({"endpoint": 7}, "endpoint should be text"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_a_wrong_argument_is_a_value_error_that_names_it(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Grpc(**{"endpoint": "a.example:1", **options})
    assert isinstance(caught.value, InvalidInput)


def test_no_key_is_in_the_repr() -> None:
    server = Grpc("a.example:1", ca_pem=CA, client_cert_pem=CERTIFICATE, client_key_pem=KEY)
    endpoint = plan(server)[0]
    assert "PRIVATE" not in repr(server) + repr(endpoint)
    assert server.label == "the gRPC server a.example:1"


def test_without_h2_it_says_what_to_install() -> None:
    """In a process of its own, where h2 cannot be imported; until it connects, nobody wants it."""
    program = (
        "import sys\n"
        "sys.modules['h2'] = None\n"
        "from tako.mcp import connect\n"
        "from tako.mcp.grpc import Grpc\n"
        "server = Grpc('a.example:1')\n"
        "try:\n"
        "    connect(server).__enter__()\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env=dict(os.environ),
    )
    assert "pip install tako-sansio[grpc]" in done.stdout, done.stderr
