"""Clients that others wrote against our server: over stdio and over HTTP, in both eras, on each arm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mcp.interop.conftest import Start, python
from tests.mcp.peers import ROOT

PROGRAM = str(Path(__file__).parent / "client.py")
SECONDS = 60.0

HANDSHAKE, MODERN = "2025-11-25", "2026-07-28"
ROUNDS = [
    ("blocking", "official", "legacy", HANDSHAKE, "stdio"),
    ("blocking", "fastmcp", MODERN, MODERN, "http"),
    ("trio", "official", "auto", MODERN, "http"),
    ("trio", "fastmcp", "legacy", HANDSHAKE, "stdio"),
    ("asyncio", "official", "auto", MODERN, "stdio"),
    ("asyncio", "fastmcp", "legacy", HANDSHAKE, "http"),
]
"""Each round takes seconds, so not all of them: but any two of arm, library, era and transport meet."""


@pytest.mark.parametrize(("arm", "library", "mode", "revision", "over"), ROUNDS)
def test_the_whole_round(arm: str, library: str, mode: str, revision: str, over: str, start: Start) -> None:
    if over == "stdio":
        # `env` knows where our packages are; the client's own environment does not.
        server = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.mcp.conformance.server"]
        target = ["stdio", *server, arm, "stdio"]
    else:
        target = [f"http://127.0.0.1:{start(f'ours {arm}')}/mcp"]
    done = subprocess.run(
        [python("mcp2"), PROGRAM, library, mode, *target],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    tools, prompts = found.pop("tools"), found.pop("prompts")
    assert "test_simple_text" in tools and "test_simple_prompt" in prompts
    heard = found.pop("heard")
    # A modern request asks for a log itself, and fastmcp's client does not.
    if (library, revision) != ("fastmcp", MODERN):
        assert [level for level, _ in heard] == ["info"] * 3
    assert json.loads(found.pop("filled")[0])["id"] == "7"
    assert found == {
        "revision": revision,
        # fastmcp's client discovers nothing where the revision is pinned.
        "server": "not asked" if (library, revision) == ("fastmcp", MODERN) else "tako-conformance",
        "resources": ["test://static-text", "test://static-binary", "test://watched-resource"],
        "templates": ["test://template/{id}/data"],
        "read": ["This is the content of the static text resource."],
        "prompt": ["Prompt with arguments: arg1='one', arg2='two'"],
        "completion": ["paris", "park", "party"],
        "text": "This is a simple text response for testing.",
        "is_error": True,
        "mixed": ["text", "image", "resource"],
        "audio": ["audio/wav"],
        "structured": {"sum": 42},
        "logged": "Tool with logging executed successfully",
        "counted": "done",
        "progress": [[0, 100], [50, 100], [100, 100]],
        "person": "User response: accept, Ada",
        "model": "LLM response: Paris",
        "folders": "file:///srv",
    }
