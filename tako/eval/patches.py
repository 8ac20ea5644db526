"""Patches: an answer that is a patch is applied to a clone of its repository, and the tests are run.

This runs code that a model has written, with the rights of this process: an evaluation does so only if it
was told allow_unsafe_grader=True, and should be given a machine that has nothing to lose. The tests do not
get the variables of the environment that look like secrets; git does, because it may have to log in.

Everything here blocks and is reached through the Call effect; each command and all that it has started is
gone when it returns, also when its time was up.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence

from tako import _adapters
from tako.cancellation import CancellationToken
from tako.effects import Call, Flow
from tako.errors import Cancelled
from tako.eval.patch_spec import PatchSpec
from tako.tools.builtin.command import CommandEnded, run_to_end
from tako.tools.builtin.environment import scrubbed
from tako.tools.builtin.running import Limits

__all__ = ["grade_patch", "grade_patch_here", "patch_in"]

MAX_LOG = 512
"""Characters of the end of what a failed command said."""
LIMITS = Limits(processes=None, memory=None, output=1024**3)
"""Bytes of output, kept or not; how large its tests may grow a repository knows itself."""
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
"""Only a fence at the very beginning of a line: an indented one may be a line of the patch."""


async def grade_patch(spec: PatchSpec, model_output: str) -> tuple[bool, str]:
    """Whether the patch in an answer applies and passes the tests, and the end of the log; never raises
    but for a cancel. Under asyncio or trio; `grade_patch_here` is the blocking twin."""

    def flow() -> Flow[tuple[bool, str]]:
        result: tuple[bool, str] = yield Call(grade_patch_here, (spec, model_output), token_argument="token")
        return result

    return await _adapters.run_async(flow())


def grade_patch_here(
    spec: PatchSpec, model_output: str, *, token: CancellationToken | None = None
) -> tuple[bool, str]:
    """The same, blocking."""
    if not spec.test_command:
        return False, "PatchSpec.test_command is empty"
    patch = patch_in(model_output)
    if patch is None:
        return False, "there is no patch in the answer"
    try:
        # What the tests have made unreadable is not worth losing their verdict for.
        with tempfile.TemporaryDirectory(prefix="tako-patch-", ignore_cleanup_errors=True) as folder:
            return _tested(spec, patch, folder, token or CancellationToken())
    except Cancelled:
        raise
    except (OSError, ValueError) as error:  # no room on the disk; a name that no system takes
        return False, f"it could not be tested: {error}"


def _tested(spec: PatchSpec, patch: str, folder: str, token: CancellationToken) -> tuple[bool, str]:
    clone = os.path.join(folder, "clone")
    file = os.path.join(folder, "answer.diff")
    with open(file, "w", encoding="utf-8", errors="replace", newline="\n") as stream:
        stream.write(patch)
    git = ("git", "-c", "core.autocrlf=false", "-c", "advice.detachedHead=false")
    with_login = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}  # nobody is there to be asked
    clone_it = (*git, "clone", "--quiet", "--no-checkout", "--", spec.repo, clone)
    check_it_out = (*git, "checkout", "--quiet", "--detach", spec.base_commit)
    patience = spec.apply_timeout_secs
    steps: tuple[tuple[str, Sequence[str], str, Mapping[str, str], float], ...] = (
        ("clone", clone_it, folder, with_login, patience),
        ("checkout", check_it_out, clone, with_login, patience),
        ("apply", (*git, "apply", file), clone, with_login, patience),
        ("test", spec.test_command, clone, scrubbed(os.environ), spec.test_timeout_secs),
    )
    ended = CommandEnded(0, "")
    for name, command, directory, environ, timeout in steps:
        ended = _run(command, directory, environ, timeout, token)
        if not ended.is_success:
            return False, _log(name, ended)
    return True, ended.output[-MAX_LOG:]


def patch_in(text: str) -> str | None:
    """The patch in an answer: the fenced block that is one, or all of it; None if there is none."""
    blocks: list[str] = [*FENCE.findall(text), text]
    for block in blocks:
        start = re.search(r"^(diff --git |--- )", block, re.MULTILINE)
        if start is not None and re.search(r"^@@ |^(new|deleted) file mode|^rename ", block, re.MULTILINE):
            return block[start.start() :].rstrip("\n") + "\n"
    return None


def _run(
    command: Sequence[str],
    directory: str,
    environ: Mapping[str, str],
    timeout: float,
    token: CancellationToken,
) -> CommandEnded:
    try:
        return run_to_end(
            command,
            directory=directory,
            environ=environ,
            timeout=timeout,
            limits=LIMITS,
            max_output=20_000,
            token=token,
        )
    except OSError as error:
        return CommandEnded(None, f"{command[0]}: {error.strerror or error}", "could not be started")


def _log(name: str, ended: CommandEnded) -> str:
    how = ended.verdict or f"ended with {ended.code}"
    return f"{name} {how}: {ended.output[-MAX_LOG:].strip()}"
