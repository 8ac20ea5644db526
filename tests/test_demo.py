"""`make demo` on the real model: it succeeds, uses each arm, and leaves no process behind.

Skipped where the local model is not installed; `make test` installs it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples import local_model

ROOT = Path(__file__).parents[1]
VENDOR_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")

pytestmark = pytest.mark.skipif(
    not local_model.is_installed(), reason="the local model is not installed (make demo installs it)"
)


def test_the_demo_drives_one_agent_by_all_three_arms_and_resumes_a_run() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in VENDOR_KEYS}
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert [line for line in said.splitlines() if "arm, on" in line] == [
        "The blocking arm, on openai:SmolLM2-135M",
        "The trio arm, on anthropic:SmolLM2-135M",
        "The asyncio arm, on openai:SmolLM2-135M",
        "Begun by the blocking arm, resumed from its JSON by the trio arm, on openai:SmolLM2-135M",
    ]
    assert [line.split("output  ")[1] for line in said.splitlines() if "  output  " in line] == [
        "Report(city='Oslo', degrees=-3, sky='snow')",
        "Report(city='Tokyo', degrees=17, sky='rain')",
        "Report(city='Cairo', degrees=31, sky='sun')",
        "Report(city='Paris', degrees=9, sky='fog')",
    ]
    assert said.count("  call    weather ") == 4
    assert "approve weather {'city': 'Paris'}" in said


def test_the_model_ends_with_its_block() -> None:
    with local_model.running() as server:
        assert local_model.address_of(server).startswith("http://127.0.0.1:")
        assert server.poll() is None
    assert server.poll() is not None


def test_the_model_ends_with_the_process_that_started_it() -> None:
    program = (
        "import os\n"
        "from examples import local_model\n"
        "with local_model.running() as server:\n"
        "    print(local_model.address_of(server), flush=True)\n"
        "    os._exit(1)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=120
    )
    host, port = killed.stdout.strip().removeprefix("http://").split(":")
    deadline = time.monotonic() + 20
    while listens(host, int(port)):
        assert time.monotonic() < deadline, "the server outlived the process that started it"
        time.sleep(0.05)


def listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
