"""serve and serve_async over real sockets and real standard streams: the three arms, once each."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import requests
import trio

from tako.cancellation import CancellationToken
from tako.mcp.server import McpServer, serve, serve_async
from tests.mcp.server.offers import everything_server
from tests.mcp.server.worlds import HEADERS, MODERN, handshake, modern_headers, request

ROOT = Path(__file__).resolve().parents[3]
IMPORT = "from tako.mcp.server import serve, serve_async"
ARMS = pytest.mark.parametrize("arm", ["blocking", "trio", "asyncio"])


def run(arm: str, server: McpServer, **options: Any) -> None:
    if arm == "blocking":
        serve(server, **options)
    elif arm == "trio":

        async def main() -> None:
            await serve_async(server, **options)

        trio.run(main)
    else:
        asyncio.run(serve_async(server, **options))


@ARMS
def test_both_eras_over_http(arm: str) -> None:
    cancel, ports = CancellationToken(), Queue[int]()
    options = {"http": "127.0.0.1:0", "cancel": cancel, "ready": ports.put}
    thread = threading.Thread(target=run, args=(arm, everything_server()), kwargs=options, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{ports.get(timeout=30)}/mcp"
        usual = {name: value for name, value in HEADERS if name != "host"}
        welcome = requests.post(url, json=handshake()[0], headers=usual, timeout=30)
        usual["mcp-session-id"] = welcome.headers["mcp-session-id"]
        params = {"name": "speaks", "_meta": {"progressToken": 1}}
        spoken = requests.post(url, json=request(1, "tools/call", params), headers=usual, timeout=30)
        assert spoken.headers["content-type"] == "text/event-stream"
        assert spoken.text.count("event: message") == 5 and '"spoken"' in spoken.text
        message = request(2, "tools/call", {"name": "add", "arguments": {"a": 1}}, MODERN)
        modern = {**dict(HEADERS), **dict(modern_headers(message)), "host": "localhost"}
        assert (
            requests.post(url, json=message, headers=modern, timeout=30).json()["result"]["content"][0][
                "text"
            ]
            == "2"
        )
        assert (
            requests.post(url, json=message, headers={**modern, "host": "evil.test"}, timeout=30).status_code
            == 403
        )
    finally:
        cancel.cancel()
        thread.join(30)
    assert not thread.is_alive()


IN_A_PROGRAM = {
    "blocking": "serve(SERVER)",
    "trio": "import trio; trio.run(serve_async, SERVER)",
    "asyncio": "import asyncio; asyncio.run(serve_async(SERVER))",
}


@ARMS
def test_over_standard_streams(arm: str) -> None:
    code = (
        f"print('stray', flush=True); from examples.mcp_server import SERVER; {IMPORT}; {IN_A_PROGRAM[arm]}"
    )
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    call = request(1, "tools/call", {"name": "find_book", "arguments": {"title": "octo"}})
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        for message in [*handshake(), call]:
            child.stdin.write(json.dumps(message).encode() + b"\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"stray\n"  # before we served
        heard = [json.loads(child.stdout.readline()) for _ in range(2)]
        child.stdin.close()
        assert child.stdout.read() == b""
        assert child.wait(30) == 0
    assert [message["id"] for message in heard] == ["init", 1]
    assert heard[1]["result"]["structuredContent"] == {"id": "1", "title": "The Octopus"}
