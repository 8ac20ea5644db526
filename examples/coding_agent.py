"""A little coding agent for the terminal.

    python -m examples.coding_agent --demo                   needs no key
    python -m examples.coding_agent --model openai:gpt-5 --root ~/my/project

Type what you want. While the agent works, type on: what you say reaches it at its next step. It asks before
it changes anything. Ctrl-C stops the tool that runs, or the answer if none does; once more within two seconds
stops the run; and where nothing runs it leaves, as Ctrl-D does.

Two threads share the work, and neither ever waits for the other to look:

| thread | does                                                   | reaches the other by                    |
|--------|--------------------------------------------------------|-----------------------------------------|
| main   | reads lines; its signal handler hears Ctrl-C           | `Steering`, whose methods are safe from |
|        |                                                        | threads and signal handlers; `Desk`     |
| run    | iterates over the events of one run and shows them     | the screen                              |

The agent keeps nothing between two runs: history and remembered decisions are handed on here.
"""

from __future__ import annotations

import argparse
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from itertools import takewhile
from pathlib import Path
from time import monotonic
from types import FrameType

from examples.coding import demo
from examples.coding.questions import Desk
from examples.coding.screen import Keyboard, Screen, visible
from tako import (
    CallPattern,
    ChatRequest,
    InvalidInput,
    Message,
    RunResult,
    SingleAgent,
    Steering,
    SteeringError,
    SubAgent,
    TakoError,
    Tool,
    Usage,
    provider,
    tools,
)
from tako.events import (
    AssistantText,
    AssistantThinking,
    MessageDelivered,
    ModeChanged,
    OrchEvent,
    SubAgentEvent,
    ToolCallPending,
    ToolCallResult,
    ToolCallStart,
    ToolProgress,
    TurnInterrupted,
)
from tako.model_names import claude
from tako.models import ToolCallPart
from tako.orchestrators.decisions import Remembered
from tako.providers import Fake, Provider
from tako.providers.fake import Reply
from tako.steering import InterruptOutcome, ask_user_tool

SYSTEM = """\
You are a coding agent in a terminal. You work in one directory, with the tools you have: look before you \
change, change as little as the task needs, and try out what you changed. Hand wide searches to `explore`. \
When you are done, say in a few sentences what you did and what you saw."""

EXPLORER = "You explore a code base for another agent. Look, read, and report what you found and where."

COMMANDS = """\
/plan     look only, and make a plan       /usage    what this session has used
/default  ask before anything changes      /help     this
/accept   change files without asking      /quit     leave, as Ctrl-D does"""

MODES = {"/plan": "plan", "/default": "default", "/accept": "accept-edits"}
AGAIN = 2.0
"""Seconds in which another Ctrl-C means more than the one before."""
WIDTH = 100
"""Characters of a call or a result that are shown."""


def asks(call: ToolCallPart, tool: Tool) -> bool:
    """What needs an approval: what changes something; and a URL, which can carry out what a file says."""
    return not tool.read_only or tool.name == "web_fetch"


class Session:
    """One conversation with one agent."""

    def __init__(self, options: argparse.Namespace, root: Path, model: Provider) -> None:
        self.screen = Screen(sys.stdout)
        self.desk = Desk(self.screen)
        self.steering = Steering(mode=options.mode, ask=self.desk.ask_user)
        explore = SubAgent(
            name="explore",
            description="Have somebody search the code base and report. Say what to look for, and why.",
            system=EXPLORER,
            tools_allow=["read", "glob", "grep"],
            filter_tool_definitions=True,
            read_only=True,
        )
        propose_mode = Tool(self.desk.propose_mode, read_only=True)
        self.agent = SingleAgent(
            model,
            system=SYSTEM,
            tools=[*tools.defaults(root), tools.web_fetch(), explore, ask_user_tool(), propose_mode],
            approval=self.desk.approve,
            needs_approval=(lambda call, tool: False) if options.yes else asks,
            max_steps=100,
            tool_output_limit=50_000,
        )
        self.history: list[Message] = []
        self.remembered = tuple(Remembered(pattern=pattern, allowed=True) for pattern in options.allow)
        self.usage = Usage()
        self._worker = threading.Thread(target=self._run)
        self._is_at_work = False
        self._running: dict[str, str] = {}
        """The calls that were announced and have no result, and the classes of their tools."""
        self._presses, self._last_press = 0, 0.0

    # The main thread: what the user types, and Ctrl-C.

    def converse(self) -> None:
        """Take line after line until there are no more."""
        self.screen.line(f"{self.agent.provider.id} in mode {self.steering.mode.name}; /help says more", "2")
        self.screen.prompt("> ")
        for line in Keyboard().lines():
            self.screen.typed()
            if line.strip() == "/quit":
                return
            self._take(line.strip())
        if not sys.stdin.isatty():  # a script has ended: what it asked for is done, but nobody can be asked
            self.desk.leave()
            while self._is_at_work:
                self._worker.join(0.1)

    def _take(self, line: str) -> None:
        if line in MODES:
            self.steering.set_mode(MODES[line])
            self.screen.line(f"mode {MODES[line]} from the next step on", "2")
        elif line in ("/usage", "/help"):
            self.screen.line(COMMANDS if line == "/help" else told(self.usage), "2")
        elif self.desk.answer(line):
            return
        elif line.startswith("/") and " " not in line and line.count("/") == 1:  # a slip, and no prompt
            self.screen.line(f"there is no {line}; {COMMANDS}", "31")
        elif line:
            self._say(line)
            return
        if not self._is_at_work:
            self.screen.prompt("> ")

    def _say(self, line: str) -> None:
        """Queue the line for the run that goes on, or start one with it."""
        while self._is_at_work:
            try:
                self.steering.queue(line)
            except SteeringError as error:
                if error.code != "no_active_turn":
                    self.screen.line(error.message, "31")
                    return
                self._worker.join(0.02)  # the run has just begun, or is about to end
            else:
                self.screen.line(f"queued: {line}", "2")
                return
        self._is_at_work, self._presses = True, 0
        self._worker = threading.Thread(target=self._run, args=(line,), name="run", daemon=True)
        self._worker.start()

    def on_ctrl_c(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. It may interrupt any line of the main thread, so it takes no lock."""
        now = monotonic()
        self._presses = self._presses + 1 if now - self._last_press < AGAIN else 1
        self._last_press = now
        if not self._is_at_work or self._presses > 2:
            raise KeyboardInterrupt
        if self._presses == 2:
            self.steering.interrupt()
            return
        outcomes = [self.steering.interrupt_tool(call_id) for call_id in self._in_flight()]
        if InterruptOutcome.INTERRUPTED not in outcomes:
            self.steering.interrupt_turn()

    def _in_flight(self) -> list[str]:
        """The calls that run now: those that only read run side by side, others alone."""
        calls = list(self._running.items())
        reads = takewhile(lambda call: call[1] == "read_only", calls)
        return [call_id for call_id, _ in list(reads) or calls[:1]]

    def close(self) -> None:
        """Stop what runs, and wait until its tools have cleaned up behind them."""
        self.desk.leave()
        self.steering.close()
        deadline = monotonic() + 5
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - monotonic()))

    # The thread of a run.

    def _run(self, prompt: str) -> None:
        self.desk.begin_run()
        result: object = None
        try:
            with self.agent.stream_sync(
                prompt, history=self.history, remembered=self.remembered, steering=self.steering
            ) as events:
                for event in events:
                    self._show(event)
            result = events.result
        except TakoError as error:
            self.screen.line(f"error: {error.message}", "31")
            result = error.partial
        finally:
            self._running.clear()
            if isinstance(result, RunResult):
                self._keep(result)
            self._is_at_work = False
            self.screen.prompt("> ")

    def _keep(self, result: RunResult) -> None:
        """What the next run goes on from."""
        self.history += result.new_messages
        self.remembered = result.remembered
        self.usage += result.usage
        for message in result.undelivered:
            self.screen.line(f"not delivered: {message.text}", "31")
        cost = f", ${result.cost_usd:.4f}" if result.cost_usd is not None else ""
        self.screen.line(f"[{result.stop_reason}: {result.steps} steps, {told(result.usage)}{cost}]", "2")

    def _show(self, event: OrchEvent, depth: int = 0) -> None:
        line, stream = self.screen.line, self.screen.stream
        match event:
            case AssistantText():
                stream(("text", depth), event.delta, depth=depth)
            case AssistantThinking():
                stream(("thinking", depth), event.delta, "2", depth=depth)
            case ToolCallStart():
                arguments = event.args.items() if isinstance(event.args, dict) else [("", event.args)]
                shown = ", ".join(f"{name}={value}" for name, value in arguments)
                line(shortened(f"* {event.name} {shown}"), "36", depth=depth)
            case ToolCallPending() if depth == 0:
                self._running[event.id] = event.tool_class
            case ToolProgress():
                stream(event.id, str(event.progress), "2", depth=depth + 2)
            case ToolCallResult():
                if depth == 0:
                    self._running.pop(event.id, None)
                word, style = ("failed", "31") if event.is_error else ("ok", "32")
                line(shortened(f"{word}: {event.name}: {event.result}"), style, depth=depth + 1)
            case SubAgentEvent():
                self._show(event.event, depth + len(event.path))
            case MessageDelivered():
                line(f"delivered: {event.message.text}", "2", depth=depth)
            case ModeChanged():
                line(f"mode {event.after}", "2", depth=depth)
            case TurnInterrupted():
                line("interrupted", "31", depth=depth)


def told(usage: Usage) -> str:
    return f"{usage.input_tokens or 0:,} tokens in, {usage.output_tokens or 0:,} out"


def shortened(text: str) -> str:
    """One line, and no longer than WIDTH; what is missing is told."""
    first, _, more = text.strip().partition("\n")
    rest = f" [+{more.count(chr(10)) + 1} lines]" if more else ""
    cut = f"{first[:WIDTH]}..." if len(first) > WIDTH else first
    return visible(cut) + rest


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m examples.coding_agent", description="A little coding agent.")
    parser.add_argument("--root", type=Path, help="the directory to work in; by default this one")
    parser.add_argument("--model", default=f"anthropic:{claude.SONNET}", help="vendor:model")
    parser.add_argument("--mode", choices=["plan", "default", "accept-edits"], default="default")
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="PATTERN",
        help="do not ask about such calls: 'bash(command=git *)'",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask about anything")
    parser.add_argument(
        "--demo",
        nargs="?",
        const="",
        metavar="FILE",
        help="a model that needs no key; FILE has one of your own, a function reply(request)",
    )
    options = parser.parse_args(arguments)
    try:
        options.allow = [CallPattern.of(pattern) for pattern in options.allow]
    except InvalidInput as error:
        parser.error(error.message)
    return options


def model_of(options: argparse.Namespace) -> Provider:
    """The vendor's model; or for --demo a function `reply` from a request to a reply."""
    if options.demo is None:
        return provider(options.model)
    reply: Callable[[ChatRequest], Reply] = demo.reply
    if options.demo:
        reply = runpy.run_path(options.demo)["reply"]
    return Fake(script=reply, delay_ms=5)


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    is_own = options.root is not None or options.demo is None
    with nullcontext(options.root or Path.cwd()) if is_own else demo.workspace() as root:
        try:
            session = Session(options, root, model_of(options))
        except TakoError as error:
            print(error.message, file=sys.stderr)
            return 2
        return converse(session)


def converse(session: Session) -> int:
    """Talk until the user leaves; what was started is stopped, however that comes."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, session.on_ctrl_c)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, frame: sys.exit(128 + number))
    try:
        session.converse()
    except KeyboardInterrupt:
        pass
    finally:
        for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, signal.SIG_IGN)  # a few seconds at most, for what must not be left
        session.close()
        session.screen.line("")
    return 0


if __name__ == "__main__":
    sys.exit(main())
