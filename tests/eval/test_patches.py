"""Patches, applied and tested in clones of a repository that the test makes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from tako.errors import InvalidInput
from tako.eval import Dataset, Eval, PatchSpec, Task, grade_patch
from tako.eval.patches import grade_patch_here, patch_in

PATCH = "--- a/code.py\n+++ b/code.py\n@@ -1 +1 @@\n-ANSWER = 41\n+ANSWER = 42\n"
TEST = (sys.executable, "-c", "import code_under_test as c; assert c.ANSWER == 42")
WITHOUT_CONFIG = {
    **os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t",
    "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
}  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A repository with one commit, and its name."""
    folder = tmp_path_factory.mktemp("origin")
    (folder / "code.py").write_text("ANSWER = 41\n")
    (folder / "code_under_test.py").write_text("exec(open('code.py').read())\n")

    def git(*arguments: str) -> str:
        return subprocess.run(
            ("git", *arguments), cwd=folder, env=WITHOUT_CONFIG, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    yield str(folder), git("rev-parse", "HEAD")


def spec(repository: tuple[str, str], **changes: object) -> PatchSpec:
    repo, commit = repository
    return PatchSpec.model_validate({"repo": repo, "base_commit": commit, "test_command": TEST, **changes})


def test_a_patch_that_works_passes(repository: tuple[str, str]) -> None:
    passed, log = grade_patch_here(spec(repository), f"Here:\n```diff\n{PATCH}```\nDone.")
    assert passed, log


@pytest.mark.parametrize(
    ("output", "changes", "words"),
    [
        (PATCH.replace("42", "43"), {}, "test ended with 1"),
        (PATCH.replace("41", "40"), {}, "apply ended with 1"),
        ("I would change code.py", {}, "there is no patch in the answer"),
        (PATCH, {"base_commit": "0" * 40}, "checkout ended with"),
        (PATCH, {"repo": "nowhere"}, "clone ended with"),
        (PATCH, {"test_command": ()}, "test_command is empty"),
        (PATCH, {"test_command": ("no-such-program",)}, "test could not be started"),
    ],
)
def test_a_patch_that_does_not_says_where(
    repository: tuple[str, str], output: str, changes: dict[str, object], words: str
) -> None:
    passed, log = grade_patch_here(spec(repository, **changes), output)
    assert not passed
    assert words in log


def test_defect_107_no_grandchild_outlives_the_time_limit(
    repository: tuple[str, str], tmp_path: Path
) -> None:
    mark = tmp_path / "pid"
    child = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    command = (
        sys.executable,
        "-c",
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])",
    )
    started = monotonic()
    passed, log = grade_patch_here(spec(repository, test_command=command, test_timeout_secs=0.5), PATCH)
    assert not passed
    assert "test" in log
    assert monotonic() - started < 20
    pid = int(mark.read_text())
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        sleep(0.02)
    pytest.fail(f"the process {pid} is still there")


def test_an_evaluation_grades_patches_where_it_may(repository: tuple[str, str]) -> None:
    tasks = Dataset(name="p", tasks=(Task(id="x", prompt="mend it", verify_patch=spec(repository)),))
    with pytest.raises(ValueError, match="allow_unsafe_grader=True"):
        Eval(lambda prompt: PATCH, tasks)
    report = Eval(lambda prompt: PATCH, tasks, allow_unsafe_grader=True).run_sync()
    assert report.pass_rate == 1.0
    assert report.attempts[0].grading_ms > report.attempts[0].elapsed_ms


def test_the_tests_see_no_secrets(repository: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abcdefgh12345678")
    command = (sys.executable, "-c", "import os; assert 'OPENAI_API_KEY' not in os.environ")
    passed, log = grade_patch_here(spec(repository, test_command=command), PATCH)
    assert passed, log


def test_it_never_raises_whatever_the_dataset_says(repository: tuple[str, str]) -> None:
    for changes in ({"test_command": ("a\0b",)}, {"repo": "a\0b"}, {"base_commit": "a\0b"}):
        passed, log = asyncio.run(grade_patch(spec(repository, **changes), PATCH))
        assert not passed
        assert "could not be tested" in log
    with pytest.raises(InvalidInput, match="base_commit"):
        PatchSpec(repo="r", base_commit="--orphan=x")


def test_a_task_verifies_by_itself(repository: tuple[str, str]) -> None:
    task = Task(id="x", prompt="mend it", verify_patch=spec(repository))
    assert asyncio.run(task.verify_async(PATCH))
    assert not asyncio.run(task.verify_async("code.py"))
    assert asyncio.run(Task(id="y", prompt="p", expected_substring="a").verify_async("abc"))


def test_the_patch_is_found_in_what_a_model_says() -> None:
    assert patch_in(PATCH) == PATCH
    assert patch_in(f"Sure.\n\n```\nnot this\n```\n```diff\n{PATCH}```") == PATCH
    assert patch_in(f"Sure:\n\n{PATCH}") == PATCH
    assert patch_in("--- a line") is None
