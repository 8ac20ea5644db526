"""Client: who called, as a running tool, prompt or resource sees it.

| it can                | which is                                                                          |
|-----------------------|-----------------------------------------------------------------------------------|
| say: `progress`, `log`| a notification, sent while the function runs on                                   |
| ask: `elicit`, `sample`, `roots`, `ask` | a question, whose answer the function needs to go on            |

How asking works, in both eras and for every shape of function. A question whose answer is known returns it. A
question that has not been answered raises InputNeeded: the function ends there, the client is asked, and
**the function is called again from its beginning**, with the answers that there are. In the handshake era the
server asks and waits; in the modern era it answers "input required" and the client comes back, maybe to
another process. A function cannot tell the difference, and one that was tested in one era works in the other.

So: ask before you act; what stands before a question is done once for each round. What has to be kept
from round to round, because it was dear or must not be done twice, goes into `client.state`.

Invariants. An answer belongs to a key and to the question that was asked under it: a function that asks
something else under the same key is asked anew. A function that swallows InputNeeded is treated as if it
had not. What is said may be said from any thread, and never waits; it is dropped if the client does not read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput, TakoError, ToolError
from tako.mcp.conversation import dumped
from tako.mcp.errors import McpError
from tako.mcp.server.questions import Elicit, Elicited, Question, Root, Roots, Sample, Sampled, require
from tako.mcp.server.request_state import RequestState, digest
from tako.mcp.versions import Revision
from tako.models import Message
from tako.tools.context import OfContext, ToolContext

__all__ = ["LEVELS", "Client", "InputNeeded", "Say"]

Json: TypeAlias = Any
Say: TypeAlias = Callable[[str, dict[str, Json]], object]
"""Sends a notification: its method and params. From any thread; does not wait."""

LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class InputNeeded(TakoError):
    """The client has to be asked first. Let it pass: the function will be called again with the answer."""


class Client(OfContext):
    """The handle of one run of a function, which gets it by a parameter annotated `Client`.

    revision      what is spoken
    capabilities  what the client has told that it can do
    info          its name and version, in its own words
    state         JSON that is kept from round to round of the same request; the client can read it
    """

    def __init__(
        self,
        revision: Revision,
        capabilities: Mapping[str, Json],
        info: Mapping[str, Json],
        *,
        say: Say,
        level: str | None = "debug",
        progress_token: str | int | None = None,
        known: RequestState | None = None,
    ) -> None:
        self.revision = revision
        self.capabilities = capabilities
        self.info = info
        known = known or RequestState()
        self.state = known.kept
        self.needed: dict[str, Question] = {}
        """What has been asked in this run and is not answered."""
        self.has_spoken = False
        self._answers = known.answers
        self._say = say
        self._lowest = None if level is None else LEVELS.index(level)
        self._progress_token = progress_token
        self._reached = float("-inf")
        self._asked = 0

    @classmethod
    def of(cls, context: ToolContext) -> Client:
        """The client that called this tool; raises ToolError where the tool was called by an agent."""
        if isinstance(context.caller, cls):
            return context.caller
        raise ToolError("this tool asks an MCP client, and it was not called by one")

    def can(self, capability: str) -> bool:
        """Whether the client has told this capability: "sampling", "elicitation", "roots"."""
        return isinstance(self.capabilities.get(capability), Mapping)

    # Saying.

    def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Say how far it is, if the client wants to know. What is no progress is not sent."""
        if self._progress_token is None or not self._reached < progress < float("inf"):
            return
        self._reached = progress
        told: dict[str, Json] = {"progressToken": self._progress_token, "progress": progress}
        if total is not None:
            told["total"] = total
        if message is not None:
            told["message"] = message
        self._speak("notifications/progress", told)

    def went_on(self, item: Json) -> tuple[()]:
        """A generator tool has yielded this: one step more, and the item in words."""
        words = item if isinstance(item, str) else repr(item)
        self.progress(max(self._reached, 0) + 1, message=words[:1000])
        return ()

    def log(self, level: str, data: Json, logger: str | None = None) -> None:
        """Send a log message, if the client wants those of this level. Raises InvalidInput for no level, and
        for data that is not JSON."""
        if level not in LEVELS:
            raise InvalidInput(f"level should be one of {', '.join(LEVELS)}, not {level!r}")
        if self._lowest is None or LEVELS.index(level) < self._lowest:
            return
        told: dict[str, Json] = {"level": level, "data": data}
        if logger is not None:
            told["logger"] = logger
        dumped(told)  # here, where its author sees that it cannot be sent
        self._speak("notifications/message", told)

    def _speak(self, method: str, params: dict[str, Json]) -> None:
        self.has_spoken = True
        self._say(method, params)

    # Asking.

    def elicit(
        self,
        message: str,
        schema: Mapping[str, Json] | None = None,
        *,
        url: str | None = None,
        elicitation_id: str | None = None,
        key: str | None = None,
    ) -> Elicited:
        """Ask the person, with a form or by sending them to an address. See the head of this file."""
        answer: Elicited = self._one(Elicit(message, schema, url, elicitation_id), key)
        return answer

    def sample(
        self,
        messages: str | Message | Sequence[Message],
        *,
        max_tokens: int = 1024,
        system: str | None = None,
        key: str | None = None,
        **options: Json,
    ) -> Sampled:
        """Ask the client's model. See the head of this file."""
        answer: Sampled = self._one(Sample(messages, max_tokens, system, options), key)
        return answer

    def roots(self, *, key: str | None = None) -> tuple[Root, ...]:
        """Ask for the folders that may be used. See the head of this file."""
        answer: tuple[Root, ...] = self._one(Roots(), key)
        return answer

    def ask(self, **questions: Question) -> dict[str, Any]:
        """Ask several things at once, each under its name; the answers by these names."""
        answers = {}
        for key, question in questions.items():
            known, answer = self._known(key, question)
            if known:
                answers[key] = answer
            else:
                require(question.needs, self.capabilities)
                self.needed[key] = question
        self._stop_if_needed()
        return answers

    def _one(self, question: Question, key: str | None) -> Any:
        self._asked += 1
        key = key or f"question-{self._asked}"
        return self.ask(**{key: question})[key]

    def _known(self, key: str, question: Question) -> tuple[bool, Any]:
        """Whether it has been answered, and the answer; raises McpError if the client has refused to."""
        if key not in self._answers:
            return False, None
        of, answer = self._answers[key]
        if of not in ("", question_digest(question)):
            return False, None
        if isinstance(answer, McpError):
            raise answer
        try:
            return True, question.read(answer)
        except McpError:
            if self.revision.is_modern:
                return False, None  # it came with a request: ask again
            raise

    def _stop_if_needed(self) -> None:
        if self.needed:
            raise InputNeeded(
                f"the client has to be asked first ({', '.join(self.needed)}); let this error pass"
            )


def question_digest(question: Question) -> str:
    """What names a question: the same question has the same."""
    return digest(question.method, question.params)
