"""A mock of many vendors that others wrote (npm: @copilotkit/aimock), installed and started on demand.

It speaks the wire formats of OpenAI (chat completions and responses), Azure, Anthropic, Gemini, Vertex,
Bedrock and Ollama as the vendors' own libraries read them, and answers by fixtures. It is installed
once beside the virtual environment; without node it is skipped, except in CI, where that is a failure.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["running_mock"]

PACKAGE = "@copilotkit/aimock@1.43.0"
HOME = Path(__file__).parents[2] / ".venv" / "aimock"
SECONDS_TO_START = 20.0


def installed() -> Path:
    """The program, installed if it is not there yet; skips the test where there is no npm."""
    program = HOME / "node_modules" / ".bin" / "llmock"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            if os.environ.get("CI"):
                pytest.fail("npm is not here, and CI has to run these tests")
            pytest.skip("the mock of the vendors needs node and npm, which are not installed")
        HOME.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(HOME), PACKAGE]
        subprocess.run(command, check=True, timeout=180)
    return program


@contextmanager
def running_mock(fixtures: list[dict[str, object]], folder: Path) -> Iterator[str]:
    """The mock with these fixtures; its base URL. Ended with its whole process group."""
    program = installed()
    (folder / "fixtures.json").write_text(json.dumps({"fixtures": fixtures}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(program), "--port", str(port), "--host", "127.0.0.1", "--fixtures", str(folder)]
    log = (folder / "mock.log").open("w")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_open(port, process, folder / "mock.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the mock did not start: {log.read_text()[-2000:]}")
