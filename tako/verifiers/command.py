"""Command: a verifier that puts the answer into a file and runs a command, such as its unit tests.

    Command(["pytest", "-q"], filename="answer.py", files={"test_answer.py": TESTS}, timeout=20)
    Command(["node", "--check", "{file}"], filename="answer.js")
    Command(["make", "check"], directory="/srv/checkout", extract="text", filename="a.patch")

IT RUNS WHAT A MODEL WROTE. The command is the same user on the same machine as this program, with its files
and its network: it is kept in bounds of time, processes and memory, and it is no sandbox. Who grades answers
of models that nobody watches runs this whole program in a container, without what has to stay secret.

| what         | how                                                                                       |
|--------------|-------------------------------------------------------------------------------------------|
| the file     | the longest fenced block of the answer, or the answer itself; in a new private directory,  |
|              | which is removed in the end; `files` are put beside it                                     |
| the command  | no shell; in its arguments {file} and {directory} stand for these                          |
| runs in      | the private directory, or `directory`                                                     |
| environment  | the program's own without what looks like a secret, or all of `environ`                    |
| the score    | 1 if it ends with 0, else 0; or what `score` makes of the output                           |
| the reason   | the end of what it wrote, and why it was stopped, if it was                                |
| out of time  | or over another limit: it is killed, with all that it started, and the score is 0          |
| cancelled    | the same, and there is no score                                                            |

Needs a POSIX system. The running is done by `command_run`, through the Call effect.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from tako.effects import Call, Flow
from tako.errors import InvalidInput, OutputInvalid, TakoError
from tako.verifiers.base import Candidate, Score, Verifier
from tako.verifiers.function import Function
from tako.verifiers.grades import Scale, read_grade
from tako.verifiers.passages import code_in
from tako.verifiers.rules import pattern_of

__all__ = ["Command", "Ended", "Job"]

GIB: Final = 1024**3
LONGEST_REASON: Final = 2_000
"""Characters of the output's end that a score is explained with."""

Extract: TypeAlias = Literal["code", "text"]


@dataclass(frozen=True, slots=True)
class Job:
    """A command to run, whole."""

    arguments: tuple[str, ...]
    filename: str
    files: Mapping[str, str]
    """What is in the private directory besides the answer: names, and what stands in them."""
    directory: str | None
    environ: Mapping[str, str] | None
    keep: Collection[str]
    timeout: float
    max_output: int
    max_processes: int | None
    max_memory: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: the exit code, negative for a signal; or why it was stopped."""

    exit_code: int
    output: str
    stopped: str | None = None


class Command(Verifier):
    """Scores by running a command on the answer. Runs code that a model wrote: see the head of this file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        filename: str = "answer.py",
        files: Mapping[str, str] | None = None,
        extract: Extract = "code",
        score: str | re.Pattern[str] | Callable[[str], Any] | None = None,
        directory: str | None = None,
        environ: Mapping[str, str] | None = None,
        keep: Collection[str] = (),
        timeout: float = 60.0,
        max_output: int = 20_000,
        max_processes: int | None = 512,
        max_memory: int | None = 8 * GIB,
    ) -> None:
        """Raises InvalidInput that names the argument, and on Windows.

        command        program and arguments
        filename       what the answer's file is called
        files          other files beside it: the tests, say
        extract        "code" takes the longest fenced block of the answer; "text" all of it
        score          a pattern whose last match in the output says the score: in a group a number from 0 to
                       1, a fraction or a percentage, in two how many of how many; or a function of the
                       output, as Function has it. By default the exit code says it
        directory      where the command runs, if not beside the file
        environ        its whole environment; by default the program's, without what looks like a secret
        keep           names of variables that are no secrets, whatever they look like
        timeout        seconds
        max_output     characters of the output that are kept; of a longer one the middle is cut
        max_processes  that it may have at once, and max_memory the bytes of them together; None is no limit
        """
        if sys.platform == "win32":
            raise InvalidInput(
                "Command: needs a POSIX system; on Windows write a Function that runs the tests"
            )
        if extract not in get_args(Extract):
            raise InvalidInput(f"Command: extract should be 'code' or 'text', not {extract!r}")
        files = _files(filename, files)
        _check_limits(timeout, max_output=max_output, max_processes=max_processes, max_memory=max_memory)
        if environ is not None and keep:
            raise InvalidInput(
                "Command: keep chooses from the program's own environment; put them into environ"
            )
        if isinstance(keep, str):
            raise InvalidInput('Command: keep should be a collection of names, such as ("CI",)')
        self._job = Job(
            _arguments(command),
            filename,
            files,
            None if directory is None else _text("directory", directory),
            None if environ is None else _environ(environ),
            frozenset(keep),
            timeout,
            max_output,
            max_processes,
            max_memory,
        )
        self._extract = extract
        self._function = Function(score) if callable(score) else None
        self._pattern = None if score is None or callable(score) else _score_pattern(score)

    def __repr__(self) -> str:
        return f"<Command {' '.join(self._job.arguments)}>"

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        from tako.verifiers.command_run import run_command  # it brings processes and threads with it

        text = code_in(candidate.text) if self._extract == "code" else candidate.text
        ended: Ended = yield Call(run_command, (self._job, text), token_argument="cancel")
        if ended.stopped is not None:
            return Score(value=0.0, reason=f"the command {ended.stopped}\n{_end_of(ended.output)}".strip())
        if self._function is not None:
            return (yield from self._function.score_flow(Candidate(candidate.task, ended.output)))
        if self._pattern is not None:
            return _matched(self._pattern, ended)
        return Score(value=float(ended.exit_code == 0), reason=_reason(ended))


def _matched(pattern: re.Pattern[str], ended: Ended) -> Score:
    """What the last match says; no match is no point."""
    matches = list(pattern.finditer(ended.output))
    if not matches:
        return Score(value=0.0, reason=_reason(ended))
    said = "/".join([group or "" for group in matches[-1].groups()])
    try:
        value, _ = read_grade(said, Scale(0.0, 1.0))
    except OutputInvalid as error:
        raise TakoError(
            f"Command: score found {said[:100]!r} in the output: {error}", phase="verifier"
        ) from error
    return Score(value=value, reason=_end_of(ended.output))


def _reason(ended: Ended) -> str:
    code = ended.exit_code
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    return f"{how}\n{_end_of(ended.output)}".strip() if code else _end_of(ended.output)


def _end_of(output: str) -> str:
    return output.strip()[-LONGEST_REASON:]


def _arguments(command: object) -> tuple[str, ...]:
    if isinstance(command, str) or not isinstance(command, Sequence) or not command:
        raise InvalidInput('Command: command should be a list of words, such as ["pytest", "-q", "{file}"]')
    return tuple([_text(f"command[{place}]", word) for place, word in enumerate(command)])


def _files(filename: str, files: Mapping[str, str] | None) -> dict[str, str]:
    _check_name("filename", filename)
    if files is not None and not isinstance(files, Mapping):
        raise InvalidInput(f"Command: files should be a dict of names and texts, not {type(files).__name__}")
    files = dict(files or {})
    for name, text in files.items():
        _check_name("files", name)
        if not isinstance(text, str):
            raise InvalidInput(f"Command: files[{name!r}] should be text, not {type(text).__name__}")
    if filename in files:
        raise InvalidInput(f"Command: files has {filename!r}, which is the file of the answer")
    names = (filename, *files)
    for name in names:
        if any(other.startswith(f"{name}/") for other in names):
            raise InvalidInput(f"Command: {name!r} cannot be a file and the directory of another one")
    return files


def _check_name(argument: str, name: object) -> None:
    """A path below the private directory, and nowhere else."""
    words = name.split("/") if isinstance(name, str) else [""]
    if any(word in ("", ".", "..") or "\0" in word for word in words):
        raise InvalidInput(
            f"Command: {argument} should name a file below its directory, as 'tests/test_it.py' does, "
            f"not {name!r}"
        )


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    for name, value in environ.items():
        _text(f"environ[{name!r}]", value, may_be_empty=True)
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise InvalidInput(f"Command: environ has a name that no variable can have: {name!r}")
    return dict(environ)


def _text(argument: str, value: object, *, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or "\0" in value or not (value or may_be_empty):
        raise InvalidInput(f"Command: {argument} should be text without NUL")
    return value


def _score_pattern(score: object) -> re.Pattern[str]:
    pattern = pattern_of("Command: score", score)
    if pattern.groups not in (1, 2):
        raise InvalidInput(
            "Command: score should have one group, which holds the score, or two: how many of how many; "
            f"{pattern.pattern!r} has {pattern.groups}"
        )
    return pattern


def _check_limits(timeout: object, **limits: int | None) -> None:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise InvalidInput(f"Command: timeout should be a positive number of seconds, not {timeout!r}")
    for name, value in limits.items():
        optional = value is None and name != "max_output"
        if not optional and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise InvalidInput(f"Command: {name} should be a positive whole number, not {value!r}")
