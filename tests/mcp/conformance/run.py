"""Run the official suite: `python -m tests.mcp.conformance.run [--arm trio] [--role client] [...]`.

A run is one scenario of one revision, for our client or our server, on one arm. The suite judges each by
itself, in a process of its own, because in its own order all clients would run at once and be too late for
scenarios that look at the clock; and only so it looks at how a client ended. Two go on at a time.

Prints what failed, and why the suite says so; ends with status 1 if a required scenario did. After a
whole run the tables of docs/mcp-conformance.md are written anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mcp import peers
from tests.mcp.arms import ARMS
from tests.mcp.conformance.page import PAGE, Table, written
from tests.mcp.conformance.scenarios import REQUIRED, REVISIONS, UNSCORED, Role

AT_A_TIME = 2
SECONDS = 90.0
"""For one scenario; the suite itself gives a client thirty."""
PACKAGE = "tests.mcp.conformance"


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario to run, and what it is run for."""

    role: Role
    revision: str
    arm: str
    scenario: str

    @property
    def is_required(self) -> bool:
        return self.scenario in REQUIRED[self.role, self.revision]

    def __str__(self) -> str:
        return f"{self.role} {self.revision} {self.arm} {self.scenario}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the suite said."""

    run: Run
    passed: bool
    checks: int
    complaints: tuple[str, ...]
    said: str = ""
    """What the client under test has printed."""


def main() -> int:
    arguments = _arguments()
    check_lists()
    runs = [
        Run(role, revision, arm, scenario)
        for role, revision in REQUIRED
        for scenario in (
            *REQUIRED[role, revision],
            *(() if arguments.required else UNSCORED[role, revision]),
        )
        for arm in ARMS
        if arm in arguments.arm and role in arguments.role and revision in arguments.revision
        if not arguments.scenario or scenario in arguments.scenario
    ]
    verdicts = list(judged(runs, arguments.verbose))
    missed = [verdict for verdict in verdicts if verdict.run.is_required and not verdict.passed]
    print(f"\n{len(verdicts)} run, {sum(verdict.passed for verdict in verdicts)} passed; ", end="")
    print(f"required and failed: {len(missed)}")
    if len(verdicts) == len(ARMS) * sum(map(len, (*REQUIRED.values(), *UNSCORED.values()))):
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), tables(verdicts)), encoding="utf-8")
        print(f"written: {PAGE.relative_to(peers.ROOT)}")
    return 1 if missed or not verdicts else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--arm", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--role", nargs="+", choices=["client", "server"], default=["client", "server"])
    parser.add_argument("--revision", nargs="+", choices=REVISIONS, default=list(REVISIONS))
    parser.add_argument("--scenario", nargs="+", default=[], help="only these")
    parser.add_argument("--required", action="store_true", help="leave out what is not scored")
    parser.add_argument("--verbose", action="store_true", help="also print what the clients printed")
    return parser.parse_args()


def check_lists() -> None:
    """The lists here are the suite's. Raises SystemExit that says what differs."""
    for revision in REVISIONS:
        text = _suite("list", "--requirements", revision).stdout
        required, _, unscored = text.partition("Run and reported")
        server, _, client = required.partition("Client scenarios")
        theirs: dict[tuple[Role, bool], set[str]] = {
            ("server", True): set(re.findall(r"^  - (\S+)", server, re.M)),
            ("client", True): set(re.findall(r"^  - (\S+)", client, re.M)),
            ("server", False): set(re.findall(r"^    - (\S+) \[server\]", unscored, re.M)),
            ("client", False): set(re.findall(r"^    - (\S+) \[client\]", unscored, re.M)),
        }
        for (role, scored), names in theirs.items():
            ours = (REQUIRED if scored else UNSCORED)[role, revision]
            if differing := names.symmetric_difference(ours):
                raise SystemExit(f"scenarios.py differs from the suite for {role} {revision}: {differing}")


def judged(runs: list[Run], verbose: bool) -> Iterator[Verdict]:
    """Each of them run, in order, two at a time."""
    with tempfile.TemporaryDirectory() as results, ExitStack() as stack:
        arms = {run.arm for run in runs if run.role == "server"}
        ports = {arm: stack.enter_context(serving(arm, Path(results))) for arm in ARMS if arm in arms}
        pool = stack.enter_context(ThreadPoolExecutor(AT_A_TIME))
        futures = [
            pool.submit(judge, run, ports.get(run.arm, 0), Path(results) / str(number))
            for number, run in enumerate(runs)
        ]
        for future in futures:
            verdict = future.result()
            _tell(verdict, verbose)
            yield verdict


def judge(run: Run, port: int, results: Path) -> Verdict:
    """Run one scenario; the suite's exit code is the verdict, the checks that it writes are the reasons."""
    if run.role == "client":
        target = ("--command", f"{sys.executable} -m {PACKAGE}.client {run.arm}")
    else:
        target = ("--url", f"http://localhost:{port}/mcp")
    options = ("--scenario", run.scenario, "--spec-version", run.revision, "--force", "-o", str(results))
    try:
        done = _suite(run.role, *target, *options)
    except subprocess.TimeoutExpired:
        return Verdict(run, False, 0, (f"no verdict within {SECONDS:.0f} s",))
    checks = [check for path in results.rglob("checks.json") for check in json.loads(path.read_bytes())]
    complaints = tuple(
        f"{check['status']} {check['id']} ({check['name']}): "
        f"{check.get('errorMessage') or check['description']}"
        for check in checks
        if check["status"] in ("FAILURE", "WARNING")
    )
    said = "".join(path.read_text() for path in (*results.rglob("stdout.txt"), *results.rglob("stderr.txt")))
    if done.returncode and not complaints:
        complaints = (done.stderr.strip().rpartition("\n")[2] or f"the suite ended with {done.returncode}",)
    succeeded = sum(check["status"] == "SUCCESS" for check in checks)
    return Verdict(run, done.returncode == 0, succeeded, complaints, said)


def _suite(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(peers.node()), str(peers.conformance()), *arguments]
    return subprocess.run(command, cwd=peers.ROOT, timeout=SECONDS, capture_output=True, text=True)


def _tell(verdict: Verdict, verbose: bool) -> None:
    word = "ok  " if verdict.passed else "FAIL" if verdict.run.is_required else "no  "
    print(f"{word} {verdict.run}  ({verdict.checks} checks)", flush=True)
    if verdict.complaints and (verdict.run.is_required or verbose):
        print("\n".join(f"       {complaint}" for complaint in verdict.complaints))
    if verdict.said and (verbose or (verdict.run.is_required and not verdict.passed)):
        print("\n".join(f"       | {line}" for line in verdict.said.strip().splitlines()[-25:]), flush=True)


@contextmanager
def serving(arm: str, folder: Path) -> Iterator[int]:
    """The server under test on that arm; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    log = folder / f"server-{arm}.log"
    command = [sys.executable, "-m", f"{PACKAGE}.server", arm, str(port)]
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=peers.ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait_until_open(port, process, log)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if said := log.read_text().strip():
            print(f"the server on the {arm} arm said:\n{said[-4000:]}", file=sys.stderr)


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"the server under test did not start:\n{log.read_text()}")


def tables(verdicts: Iterable[Verdict]) -> Iterator[Table]:
    """What the page is to say of each role and revision."""
    passed = {verdict.run: verdict.passed for verdict in verdicts}
    for role, revision in REQUIRED:
        yield Table(
            role,
            revision,
            tuple(
                (scenario, tuple(passed[Run(role, revision, arm, scenario)] for arm in ARMS))
                for scenario in (*REQUIRED[role, revision], *UNSCORED[role, revision])
            ),
        )


if __name__ == "__main__":
    os.environ.pop("MCP_CONFORMANCE_SCENARIO", None)
    sys.exit(main())
