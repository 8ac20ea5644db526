"""Questions to the user: whether a call may run, what the agent wants to know, which mode it may have.

Each is asked by an `async def`, because such a function ends when what it was asked for is cancelled: the
question is then taken back, and nobody waits for an answer that nobody needs. Agents that work side by
side may ask at once; the user is asked one thing after the other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from examples.coding.screen import Screen, visible
from tako import ApprovalRequest, Approved, CallPattern, Denied, InvalidInput, ToolContext
from tako.steering import Answer, Question, QuestionSet, UserInput

__all__ = ["Conversation", "Desk", "arguments_of", "pattern_of"]

CHOICES = """\
y            yes, run it
n [reason]   no, and tell the model why
e            change the arguments first
a [pattern]  yes, and do not ask again about {pattern}"""


class Conversation:
    """What the user types while it is open is the answer to what is asked in it."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()

    def put(self, line: str | None) -> bool:
        """Hand in a line, from another thread; None is the end of input. False if it is too late."""
        try:
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
        except RuntimeError:  # the loop is closed
            return False
        return True

    async def ask(self, prompt: str = "? ") -> str | None:
        self.screen.prompt(prompt)
        line = await self._lines.get()
        return None if line is None else line.strip()


class Desk:
    """Where the runs of a session, one after the other, ask their user."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._open: Conversation | None = None
        self._is_left = False

    def begin_run(self) -> None:
        """Each run has a loop of its own for what is async, and a lock belongs to one loop."""
        self._turn = asyncio.Lock()

    def answer(self, line: str) -> bool:
        """Take a line as the answer to what is being asked; False if nothing is."""
        conversation = self._open
        return conversation is not None and conversation.put(line)

    def leave(self) -> None:
        """Nobody will answer any more."""
        self._is_left = True
        if self._open is not None:
            self._open.put(None)

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[Conversation]:
        async with self._turn:
            conversation = self._open = Conversation(self.screen)
            if self._is_left:
                conversation.put(None)
            try:
                yield conversation
            finally:
                self._open = None

    async def approve(self, request: ApprovalRequest) -> Approved | Denied:
        """The agent's approval callback."""
        args, is_edited = request.args, False
        async with self.conversation() as user:
            while True:
                pattern = pattern_of(request, args)
                whose = "".join(f"{step.partition(':')[0]}: " for step in request.path)
                self.screen.line(f"{whose}may {request.name} run?", "1")
                self.screen.line(arguments_of(args), depth=1)
                self.screen.line(CHOICES.format(pattern=pattern), "2", depth=1)
                line = await user.ask()
                if line is None:
                    return Denied(reason="the user has left, and nobody can be asked")
                word, _, rest = line.partition(" ")
                word = word.lower()
                if word in ("y", "yes") and not rest:
                    return Approved(args=args if is_edited else None)
                if word in ("n", "no"):
                    return Denied(reason=rest.strip() or "the user does not want it")
                if word == "a" and (chosen := self._chosen(rest, pattern, request.name, args)):
                    return Approved(args=args if is_edited else None, remember=chosen)
                if word == "e":
                    args, is_edited = await self._edited(user, args), True

    def _chosen(self, text: str, pattern: CallPattern, name: str, args: object) -> CallPattern | None:
        """The pattern that the user wants remembered; None if it would not even allow this call."""
        try:
            chosen = CallPattern.of(text) if text.strip() else pattern
        except InvalidInput as error:
            self.screen.line(error.message, "31")
            return None
        if not chosen.matches(name, args):
            self.screen.line(f"{chosen} does not match this call", "31")
            return None
        return chosen

    async def _edited(self, user: Conversation, args: Mapping[str, Any]) -> Mapping[str, Any]:
        self.screen.line('the arguments to change, as JSON in one line: {"name": "value"}', "2")
        try:
            changes = json.loads(await user.ask() or "{}")
            if not isinstance(changes, dict):
                raise ValueError("an object is needed, in { }")
        except ValueError as error:
            self.screen.line(f"this is not JSON: {error}; nothing was changed", "31")
            return args
        return {**args, **changes}

    async def ask_user(self, questions: QuestionSet) -> UserInput | None:
        """The bridge of the tool `ask_user`."""
        answers = []
        async with self.conversation() as user:
            for index, question in enumerate(questions.questions):
                self.screen.line(f"{visible(question.header)}: {visible(question.question)}", "1")
                for number, option in enumerate(question.options, 1):
                    more = f" - {option.description}" if option.description else ""
                    self.screen.line(visible(f"{number} {option.label}{more}"), depth=1)
                line = await user.ask()
                if line is None:
                    return None
                if line:
                    answers.append(_answer(index, question, line))
        return UserInput(status="answered", answers=tuple(answers))

    async def propose_mode(
        self, mode: Literal["plan", "default", "accept-edits"], context: ToolContext
    ) -> str:
        """Ask the user for another mode of working, for example to leave plan mode when the plan is made.

        Args:
            mode: plan: only look; default: changes are asked about; accept-edits: edits are not
        """
        steering = context.steering
        assert steering is not None  # this tool is the outermost agent's, which has one
        steering.propose_mode(mode)
        try:
            async with self.conversation() as user:
                self.screen.line(f"the agent would like to work in mode {mode!r}: y or n?", "1")
                if await user.ask() in ("y", "yes"):
                    steering.confirm_mode()
                    return f"The user agreed: mode {mode!r} is in force."
        finally:
            if steering.pending_mode is not None:
                steering.reject_mode()
        return "The user does not want that; stay in the mode that you are in."


def arguments_of(args: object) -> str:
    """All arguments of a call, for somebody who has to agree to them: nothing is cut or hidden."""
    if not isinstance(args, Mapping):
        return visible(str(args))
    shown = []
    for name, value in args.items():
        text = visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        text = "".join(f"\n  | {line}" for line in text.split("\n")) if "\n" in text else f" {text}"
        shown.append(f"{visible(name)}:{text}")
    return "\n".join(shown)


def pattern_of(request: ApprovalRequest, args: Any) -> CallPattern:
    """What "always" means if the user does not say: any change of that file, or this very call."""
    if isinstance(args, Mapping) and isinstance(path := args.get("file_path"), str):
        return CallPattern.of(f"{request.name}(file_path:={json.dumps(path)})")
    return CallPattern.exactly(request.call.model_copy(update={"args": args}))


def _answer(index: int, question: Question, line: str) -> Answer:
    """Numbers choose options; anything else is an answer in the user's own words."""
    numbers = line.replace(",", " ").split()
    chosen = {int(number) - 1 for number in numbers if number.isascii() and number.isdigit()}
    is_choice = len(chosen) == len(numbers) and chosen <= set(range(len(question.options)))
    if is_choice and (question.multi_select or len(chosen) == 1):
        return Answer(question_index=index, selected_options=tuple(sorted(chosen)))
    return Answer(question_index=index, text=line)
