"""The coding agent, as somebody at a terminal has it: lines and Ctrl-C go in, and what is shown comes out.

The program runs in a pseudo-terminal of its own, on a model of a few lines of Python. Each step waits
for the text that it is about, so that a slow machine only takes longer.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.coding.questions import arguments_of
from examples.coding.screen import Screen, Stripper, plain, visible
from examples.coding_agent import main

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds after which something will not come any more, on however busy a machine."""

HEAD = """
from tako.models import Role, TextPart, ToolCallPart
from tako.models import ToolResultPart

def call(id, name, **args):
    return ToolCallPart(id=id, name=name, args=args)

def said(request):
    return [message.text for message in request.messages if message.role is Role.USER]

def results(request):
    parts = [part for message in request.messages for part in message.content]
    return [part.result for part in parts if isinstance(part, ToolResultPart)]

def step(request):
    return sum(message.role is Role.ASSISTANT for message in request.messages)
"""


PROGRAM = """
import sys
from examples import coding_agent
coding_agent.AGAIN = float(sys.argv.pop(1))
sys.exit(coding_agent.main())
"""


class Terminal:
    """The program in a pseudo-terminal. Echo is off, so that what is seen is what the program says.

    `again` is how many seconds a second Ctrl-C has: many or none, so that no test has to be quick.
    """

    def __init__(self, *arguments: str, again: float = 60) -> None:
        self.master, self.slave = pty.openpty()
        modes = termios.tcgetattr(self.slave)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, modes)
        self.modes = termios.tcgetattr(self.slave)
        self.witness = uuid4().hex
        self.text, self.seen = "", 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(again), *arguments],
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1", "WITNESS": self.witness},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def expect(self, *texts: str) -> str:
        """Wait until these have been shown, in this order, after what was expected before."""
        start = self.seen
        for text in texts:
            deadline = time.monotonic() + PATIENCE
            while (found := self.text.find(text, self.seen)) < 0:
                left = deadline - time.monotonic()
                assert left > 0 and self._read(left), f"{text!r} did not come; what came is:\n{self.text}"
            self.seen = found + len(text)
        return self.text[start : self.seen]

    def _read(self, seconds: float) -> bool:
        """False if nothing came, and nothing will."""
        if not select.select([self.master], [], [], min(seconds, 0.2))[0]:
            return self.process.poll() is None
        self.text += os.read(self.master, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
        return True

    def type(self, line: str) -> None:
        os.write(self.master, f"{line}\n".encode())

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def ctrl_c(self) -> None:
        self.press(b"\x03")

    def leave(self, code: int = 0) -> None:
        """The program has to end by itself, with nothing left of it."""
        assert self.process.wait(PATIENCE) == code, self.text
        assert termios.tcgetattr(self.slave) == self.modes
        assert processes_with(self.witness) == []

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextmanager
def agent(*arguments: str, again: float = 60) -> Iterator[Terminal]:
    terminal = Terminal(*arguments, again=again)
    try:
        terminal.expect("> ")
        yield terminal
    finally:
        terminal.close()


@contextmanager
def scripted(root: Path, reply: str, *arguments: str, again: float = 60) -> Iterator[Terminal]:
    """An agent on a model that is this function, of a request, which it calls `request`."""
    lines = "".join(f"    {line}\n" for line in reply.strip().split("\n"))
    script = root / ".model.py"
    script.write_text(f"{HEAD}\ndef reply(request):\n{lines}")
    with agent("--demo", str(script), "--root", str(root), *arguments, again=again) as terminal:
        yield terminal


def processes_with(witness: str) -> list[str]:
    """The processes that have this in their environment, where that can be known."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if witness.encode() in (entry / "environ").read_bytes():
                found.append((entry / "comm").read_text().strip())
        except OSError:
            continue
    return found


def test_a_whole_session_reads_edits_runs_and_answers() -> None:
    with agent("--demo") as terminal:
        terminal.type("mend the greeting")
        terminal.expect("look around", "* read file_path=greet.sh", "* explore prompt=Which")
        terminal.expect("\n  * glob pattern=", "\n  There is greet.sh", "\n  ok: explore")
        question = terminal.expect("may edit run?", "a [pattern]", "? ")
        assert "file_path: greet.sh\n  old_string: Helo\n  new_string: Hello\n" in question
        assert "do not ask again about edit(file_path=greet.sh)" in question
        terminal.type("y")
        terminal.expect("ok: edit", "may bash run?", "command: for step in 1 2 3", "? ")
        terminal.type("y")
        shown = terminal.expect("test 1\n", "test 2\n", "test 3\n", "Hello, world\n", "ok: bash: ")
        assert shown.index("test 1") < shown.index("ok: bash")  # while it ran, not in the result
        terminal.expect('You asked: "mend the greeting".', "I saw is: Hello, world\n")
        terminal.expect("[stop: 4 steps, 6 tokens in, 6 out]", "> ")
        terminal.type("/usage")
        terminal.expect("6 tokens in, 6 out", "> ")
        terminal.type("/help")
        terminal.expect("/plan", "/quit", "> ")
        terminal.type("/quit")
        terminal.leave()


def test_no_with_a_reason_edited_arguments_and_always(tmp_path: Path) -> None:
    script = """
commands = ["echo one", "echo two", "echo three", "echo three"]
if step(request) < 4:
    return call(f"c{step(request)}", "bash", command=commands[step(request)])
return " / ".join([*results(request)[-4:], "history", *said(request)])
"""
    with scripted(tmp_path, script) as terminal:
        terminal.type("go")
        terminal.expect("may bash run?", "command: echo one", "? ")
        terminal.type("perhaps")  # is no answer: asked again
        terminal.expect("may bash run?", "command: echo one", "? ")
        terminal.type("a write")  # would not allow this call
        terminal.expect("write does not match this call", "? ")
        terminal.type("n not so loud")
        terminal.expect("failed: bash: approval denied: not so loud")
        terminal.expect("may bash run?", "command: echo two", "? ")
        terminal.type("e")
        terminal.expect("JSON in one line", "? ")
        terminal.type(
            '{"command": "echo 2',
        )
        terminal.expect("this is not JSON", "may bash run?", "command: echo two", "? ")
        terminal.type("e")
        terminal.expect("? ")
        terminal.type('{"command": "echo 2"}')
        terminal.expect("may bash run?", "command: echo 2\n", "? ")
        terminal.type("y")
        terminal.expect("ok: bash: 2\n")
        terminal.expect("may bash run?", "command: echo three", "? ")
        terminal.type("a")
        ended = terminal.expect("ok: bash: three", "ok: bash: three", "[stop")
        assert "may bash run?" not in ended
        assert "not so loud / 2\n / three\n / three\n / history / go" in ended
        terminal.type("again")  # the history of the first run stands before it, with its text
        terminal.expect("history / go / again\n", "[stop: 1 steps", "> ")
        terminal.press(b"\x04")
        terminal.leave()


def test_what_is_typed_while_it_works_is_in_the_next_request(tmp_path: Path) -> None:
    script = """
if said(request)[-1] == "sleep":
    return call("s", "bash", command="trap '' TERM HUP INT; echo sleeping; sleep 1000 & wait; sleep 1000")
if step(request) == 0:
    return call("c", "bash", command="echo begun; until [ -e go ]; do sleep 0.02; done")
return "I was told: " + " | ".join(said(request))
"""
    with scripted(tmp_path, script, "--allow", "bash(command=**)") as terminal:
        terminal.type("wait")
        terminal.expect("    begun\n")
        terminal.type("and hurry")
        terminal.expect("queued: and hurry\n")
        terminal.type("/accept")
        terminal.expect("mode accept-edits from the next step on")
        (tmp_path / "go").touch()
        terminal.expect("ok: bash", "mode accept-edits", "delivered: and hurry")
        terminal.expect("I was told: wait | and hurry\n", "[stop", "> ")
        terminal.type("sleep")
        terminal.expect("    sleeping\n")
        terminal.press(b"\x04")  # leaves in the middle, and nothing stays behind
        terminal.leave()


def test_ctrl_c_stops_one_tool_then_the_run_and_then_leaves(tmp_path: Path) -> None:
    script = """
if said(request)[-1] == "talk":
    return "blah " * 10_000
sleeper = "trap '' TERM; echo sleeping; sleep 1000 & wait; sleep 1000"
return [call("a", "bash", command=sleeper), call("b", "bash", command="echo b")]
"""
    with scripted(tmp_path, script, "--yes") as terminal:
        terminal.type("sleep")
        terminal.expect("sleeping\n")
        terminal.ctrl_c()  # one tool: the next one and the run go on
        terminal.expect("failed: bash: ", "ok: bash: b\n")
        terminal.expect("sleeping\n")
        terminal.ctrl_c()  # once more: the run
        terminal.expect("[cancelled: 2 steps", "> ")
        terminal.type("talk")
        terminal.expect("blah blah")
        terminal.ctrl_c()  # no tool runs: the turn
        terminal.expect("interrupted", "[interrupted: ", "> ")
        terminal.ctrl_c()  # nothing runs
        terminal.leave()


def test_ctrl_c_takes_back_a_question_and_what_is_typed_then_is_no_answer(tmp_path: Path) -> None:
    script = """
if step(request) == 0:
    return call("c", "bash", command="echo ran")
if step(request) == 1:
    return call("d", "bash", command="echo begun; sleep 1000")
if step(request) == 2:
    return "I was told: " + " | ".join(said(request))
return call("e", "bash", command="echo sleeping; sleep 1000")
"""
    with scripted(tmp_path, script, again=0) as terminal:
        terminal.type("go")
        terminal.expect("may bash run?", "echo ran", "? ")
        terminal.ctrl_c()
        terminal.expect("failed: bash: cancelled while it waited for approval")
        terminal.expect("may bash run?", "echo begun", "? ")
        terminal.type("y")
        terminal.expect("    begun\n")
        terminal.type("y")
        terminal.expect("queued: y\n")
        terminal.ctrl_c()  # so late that it is a first one again
        terminal.expect("failed: bash: ", "I was told: go | y\n", "> ")
        assert "ok: " not in terminal.text
        terminal.type("more")
        terminal.expect("may bash run?", "echo sleeping", "? ")
        terminal.type("y")
        terminal.expect("    sleeping\n")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.leave(128 + signal.SIGTERM)


def test_plan_mode_refuses_until_the_user_confirms_the_mode_that_the_agent_proposes(tmp_path: Path) -> None:
    script = """
write = dict(file_path="made.txt", content="made")
if step(request) == 0:
    return call("a", "write", **write)
if step(request) == 1:
    question = dict(header="Colour", question="Which one?", options=[dict(label="red"), dict(label="blue")])
    return call("b", "ask_user", questions=[question])
if step(request) == 2:
    return call("c", "propose_mode", mode="accept-edits")
if step(request) == 3:
    return call("d", "write", **write)
return f"chosen: {results(request)[1]['answers'][0]['selected']}"
"""
    with scripted(tmp_path, script, "--mode", "plan") as terminal:
        terminal.type("make it")
        terminal.expect(
            "failed: write: mode 'plan' does not allow", "Colour: Which one?", "1 red", "2 blue", "? "
        )
        terminal.type("2")
        terminal.expect("would like to work in mode 'accept-edits'", "? ")
        terminal.type("y")
        shown = terminal.expect("ok: propose_mode", "ok: write", "chosen: ['blue']", "> ")
        assert "may write run?" not in shown
        assert (tmp_path / "made.txt").read_text() == "made"
        terminal.type("/quit")
        terminal.leave()


def test_without_a_terminal_nobody_is_asked_and_nothing_is_coloured(tmp_path: Path) -> None:
    (tmp_path / ".model.py").write_text(
        f"{HEAD}\ndef reply(request):\n"
        "    if step(request) == 0:\n"
        "        return call('c', 'bash', command='echo ran')\n"
        "    return 'a \\x1b]0;title\\x07b \\x1b[2Jc ' + results(request)[-1]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "examples.coding_agent", "--demo", str(tmp_path / ".model.py")],
        cwd=ROOT,
        input="go\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "a b c approval denied: the user has left" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--allow", "bash(git"], "pattern 'bash(git'"),
        (["--model", "nobody:x"], "'nobody:x' names no vendor"),
        (["--demo", "--mode", "bold"], "invalid choice: 'bold'"),
    ],
)
def test_wrong_arguments_are_told(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments)
    except SystemExit as exit:
        code = int(str(exit.code))
    assert code == 2
    assert words in capsys.readouterr().err


# What strangers write is shown, and is obeyed by no terminal.

SAFE = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f]*")
HOSTILE = st.text(
    st.one_of(st.sampled_from("\x1b\x1b\x1b[]PX^_\\\x07\r\n\t0;m1JH?!( \x9b\x9d\u202e\x08a"), st.characters())
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://a\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;cm0gLXJm\x07clipboard", "clipboard"),
        ("\x1bPq#0;2\x1b\\picture", "picture"),
        ("\x1b]0;no end, and nothing is hidden", "0;no end, and nothing is hidden"),
        ("\x1b]0;no end\non this line\x07", "0;no end\non this line"),
        ("\x1b]" + "x" * 2000 + "\x07", "x" * 2000),
        ("\x9b2Jeight bits\x9d0;t\x9c", "2Jeight bits0;t"),
        ("\x1bcreset\x1b(Bcharset\x1b7", "resetcharset"),
        ("\x1b\x1b[m[2J", "[2J"),
        ("rm -rf /\rls", "rm -rf /\nls"),
        ("one\r\ntwo\r\r\n", "one\ntwo\n\n"),
        ("abc\b\b\bxyz\a\0\x7f", "abcxyz"),
        ("\ttabs and ünïcödé 🐙 stay\n", "\ttabs and ünïcödé 🐙 stay\n"),
        ("if user != '\u202ereversed\u202c'", "if user != 'reversed'"),
        ("half \ud83d of one", "half  of one"),
    ],
)
def test_plain_takes_out_what_a_terminal_would_obey(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(HOSTILE)
def test_plain_text_holds_no_order_and_all_other_text(text: str) -> None:
    shown = plain(text)
    assert SAFE.fullmatch(shown)
    assert plain(shown) == shown
    shown.encode()


@given(HOSTILE)
def test_however_a_text_is_cut_the_same_is_shown(text: str) -> None:
    cuts = [[text[:cut], text[cut:]] for cut in range(len(text) + 1)]
    for pieces in (*cuts, list(text)):
        stripper = Stripper()
        assert "".join([*[stripper.feed(piece) for piece in pieces], stripper.end()]) == plain(text)


def test_a_long_text_of_beginnings_is_stripped_in_time() -> None:
    text = "\x1b]" * 200_000 + "\x1b[" + "1;" * 200_000
    stripper, started = Stripper(), time.process_time()
    assert len(stripper.feed(text) + stripper.end()) >= 400_000 - 200
    assert time.process_time() - started < 5


@given(HOSTILE)
def test_what_is_to_be_approved_hides_nothing(text: str) -> None:
    shown = visible(text)
    assert all(one.isprintable() or one in "\n\t" for one in shown)
    assert plain(shown) == shown
    if "\\" not in text:  # else it could be either
        spelled = shown.encode("ascii", "backslashreplace").decode("unicode_escape")
        assert spelled.encode("utf-16", "surrogatepass") == text.encode("utf-16", "surrogatepass")


def test_the_arguments_of_a_call_are_shown_whole() -> None:
    args = {"command": "ls \x1b]0;; rm -rf ~\x07\u202e", "timeout_ms": 5, "content": "one\ntwo"}
    assert arguments_of(args).split("\n") == [
        r"command: ls \x1b]0;; rm -rf ~\x07\u202e",
        "timeout_ms: 5",
        "content:",
        "  | one",
        "  | two",
    ]
    assert "x" * 50_000 in arguments_of({"content": "x" * 50_000})


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_ours_alone_and_only_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for out, no_colour, shown in (
        (Tty(), "", "\x1b[31mred\x1b[0m\n"),
        (Tty(), "1", "red\n"),
        (io.StringIO(), "", "red\n"),
    ):
        monkeypatch.setenv("NO_COLOR", no_colour)
        Screen(out).line("\x1b[5mred\x1b[0m", "31")
        assert out.getvalue() == shown


def test_what_breaks_in_upon_a_stream_has_a_line_of_its_own() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.stream("text", "one\ntw")
    screen.stream("text", "o\x1b[")
    screen.line("queued", depth=1)
    screen.stream("text", "31mthree", depth=2)
    screen.prompt("> ")
    screen.typed()
    screen.line("four\n\nfive", depth=1)
    assert out.getvalue() == "one\ntwo\n  queued\n    31mthree\n> " + "  four\n\n  five\n"
