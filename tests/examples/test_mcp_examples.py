"""The examples of MCP run as they stand, without keys; and Django under its development server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import Client

from examples import django_mcp

EXAMPLES = Path(__file__).parents[2] / "examples"
KEYLESS = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}


def test_an_agent_uses_the_tools_of_its_server() -> None:
    done = subprocess.run(
        [sys.executable, "mcp_agent.py"],
        cwd=EXAMPLES,
        env=KEYLESS,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "shop_in_stock {'item': 'chair'}",
        "  -> 0",
        "shop_count_all {}",
        "  {'progress': 1, 'total': None, 'message': 'lamp: 3'}",
        "  {'progress': 2, 'total': None, 'message': 'chair: 0'}",
        "  -> chair: 0",
        "shop_order {'item': 'chair', 'count': 2}",
        "  the server asks: Order 2 of 'chair'?  yes",
        "  the server logs: 2 of 'chair' were ordered",
        "  -> They come on Monday.",
        "There was no chair left, so I have ordered two. They come on Monday.",
    ]


@pytest.fixture(scope="module")
def browser() -> Iterator[Client]:
    yield Client(SERVER_NAME="localhost")
    django_mcp._connections.close()
    django_mcp._connected.cache_clear()


def test_a_view_calls_a_tool(browser: Client) -> None:
    found = browser.get("/books", {"title": "sea"})
    assert (found.status_code, found.json()) == (200, {"id": "2", "title": "The Sea Around Us"})


def test_a_view_tells_a_failure_of_the_tool_from_one_of_the_server(browser: Client) -> None:
    missing = browser.get("/books", {"title": "zebra"})
    assert missing.status_code == 404
    assert "no book is called anything like 'zebra'" in missing.json()["error"]
    assert django_mcp.open_library() is django_mcp.open_library()
    django_mcp._connections.close()
    gone = browser.get("/books", {"title": "sea"})
    assert gone.status_code == 502 and "connect again" in gone.json()["error"]
    django_mcp._connected.cache_clear()


@contextmanager
def development_server() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    command = [sys.executable, "django_mcp.py", "runserver", address, "--noreload"]
    with subprocess.Popen(command, cwd=EXAMPLES, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as server:
        try:
            yield f"http://{address}"
        finally:
            server.terminate()


def test_the_development_server_answers() -> None:
    deadline = time.monotonic() + 60
    with development_server() as url:
        while True:
            try:
                with urllib.request.urlopen(f"{url}/books?title=octopus", timeout=30) as response:
                    assert json.load(response) == {"id": "1", "title": "The Octopus"}
                return
            except urllib.error.HTTPError:
                raise
            except OSError:  # it does not listen yet
                assert time.monotonic() < deadline
                time.sleep(0.1)
