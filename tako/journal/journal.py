"""Journal: what a run has worked for, kept; so that it can go on, be replayed, be read, and be forked.

    journal = Journal("run.jsonl")
    agent.run_sync("Sort my mail", journal=journal)     # killed in the middle
    agent.run_sync("Sort my mail", journal=journal)     # goes on from there

| a journal that | given to a run again                                                                  |
|----------------|---------------------------------------------------------------------------------------|
| has no end     | the run does what it did, with the replies from the journal, and goes on behind them  |
| has an end     | gives the same result, and calls nobody                                               |
| replays        | the same, but nothing that is not kept is done: JournalMismatch says where it ends    |
| is a fork      | does the same up to a step, meets another reply there, and goes on from that         |

Invariants. One journal, one run, and one prompt: what the run asks for has to be what it asked for when it
was recorded, or it ends by JournalMismatch. Kept are calls of models and tools, choices, scores, approvals,
time and chance; not what else a run calls (`trim`, `needs_approval`, policies), which should give the same
for the same. What is kept is scrubbed of secrets first; a reply of which something was scrubbed comes back
without it. Where an agent has MCP servers, what tools they have is kept too. Usage is as it was.
The methods that read block, for as long as it takes to read the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from os import fspath
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, cast

from tako.effects import Call, Flow
from tako.errors import Cancelled, InvalidInput
from tako.journal.entry import END, Entry, Position, line_of, standing
from tako.journal.keeping import performed
from tako.journal.recording import Recording
from tako.journal.scrubbing import Scrubber
from tako.journal.store import MemoryStore, Store
from tako.models import ChatResponse, Message, Part, Role

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Ended", "Journal", "Reply", "Step", "kept_in"]

Path: TypeAlias = "str | PathLike[str]"
Reply: TypeAlias = str | Message | ChatResponse | Part | Sequence[Part]
"""What a model says in a fork: a whole response, or what its message is made of."""

_DATABASES: Final = (".sqlite", ".sqlite3", ".db")
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a model."""

    number: int
    """From 1, in the order in which the replies were kept, failures too: what `fork` counts."""
    at: Position
    """Where in the run; calls of nested runs stand deeper."""
    provider: str
    model: str
    asked: dict[str, Any]
    """The request, abridged: texts have their beginnings, the messages are the last ones."""
    response: ChatResponse | None
    error: str = ""
    """Why there is no response."""

    @property
    def text(self) -> str:
        """What the model said."""
        return "" if self.response is None else self.response.text


@dataclass(frozen=True, slots=True)
class Ended:
    """How the run has ended, in short; to have its whole result, run it again with its journal."""

    text: str
    stop_reason: str
    steps: int = 0
    cost_usd: float | None = None


class Journal:
    """Where one run is kept.

    path     a file: .jsonl for lines of JSON, .sqlite or .db for a database of many runs
    run      its name among them
    secrets  texts that are never written down, besides what looks like a secret
    sync     "full": each entry is on the disk before its reply is used. "off" leaves that to the system: a
             killed process loses nothing, a machine without power may

    Nothing is touched before its first use. Raises InvalidInput that names the argument.
    """

    __slots__ = ("_replays", "_scrub", "_store")

    def __init__(
        self,
        path: Path,
        *,
        run: str | None = None,
        secrets: Iterable[str] = (),
        sync: Literal["full", "off"] = "full",
    ) -> None:
        name = _path(path)
        if name.lower().endswith(_DATABASES):
            store = _sqlite(path, "run" if run is None else run, sync)
        elif not name.lower().endswith(".jsonl"):
            raise InvalidInput(
                f"journal: path should end in .jsonl, or in .sqlite or .db, not be {name!r}; for "
                "another name use Journal.file(path) or Journal.sqlite(path)"
            )
        elif run is not None:
            raise InvalidInput("journal: a .jsonl file holds one run; give each run a path, or use .sqlite")
        else:
            store = _file(path, sync)
        self._become(store, secrets)

    @classmethod
    def file(
        cls,
        path: Path,
        *,
        secrets: Iterable[str] = (),
        sync: Literal["full", "off"] = "full",
    ) -> Self:
        """One run in a file of JSON lines, whatever its name."""
        return cls.__new__(cls)._become(_file(path, sync), secrets)

    @classmethod
    def sqlite(
        cls,
        path: Path,
        *,
        run: str = "run",
        secrets: Iterable[str] = (),
        sync: Literal["full", "off"] = "full",
    ) -> Self:
        """A run in an SQLite database, whatever its name."""
        return cls.__new__(cls)._become(_sqlite(path, run, sync), secrets)

    @classmethod
    def memory(cls, lines: Iterable[bytes] = (), *, secrets: Iterable[str] = ()) -> Self:
        """A run that is kept as long as this object; `lines` are those of another journal."""
        return cls.__new__(cls)._become(MemoryStore(lines), secrets)

    @classmethod
    def replay(
        cls,
        source: Path | Journal,
        *,
        run: str | None = None,
        secrets: Iterable[str] = (),
    ) -> Self:
        """A recording that is read alone: what is not in it is not done. For tests without a network.

        `secrets` have to be those that it was recorded with.
        """
        if isinstance(source, Journal):
            other = cls.__new__(cls)._become(source._store, ())
            other._scrub = source._scrub
        else:
            other = cls(source, run=run, secrets=secrets)
        other._replays = True
        return other

    def _become(self, store: Store, secrets: Iterable[str]) -> Self:
        self._store = store
        self._scrub = Scrubber(secrets)
        self._replays = False
        return self

    def __repr__(self) -> str:
        return f"<Journal {self._store.name}{', to be replayed' if self._replays else ''}>"

    def open(self) -> Recording:
        """Begin to record, or to replay; blocks. For those who drive flows: a run does it by itself."""
        if self._replays:
            return Recording(self._store.name, self._store.read(), self._scrub, None)
        writer = self._store.open()
        try:
            return Recording(self._store.name, writer.entries, self._scrub, writer)
        except BaseException:
            writer.close()
            raise

    # Reading.

    def entries(self) -> list[Entry]:
        """All that holds, in the order in which it was kept; raises JournalError."""
        return list(standing(self._store.read()).values())

    def steps(self) -> list[Step]:
        """The calls of models, those of nested runs too."""
        found: list[Step] = []
        for entry in self.entries():
            if entry.kind == "model":
                found.append(_step(len(found) + 1, entry))
        return found

    @property
    def result(self) -> Ended | None:
        """How the run has ended; None if it has not, or was cancelled, or failed."""
        for entry in self.entries():
            if entry.kind == END and isinstance(entry.value, dict):
                fields = {name: entry.value[name] for name in ("steps", "cost_usd") if name in entry.value}
                text, reason = (str(entry.value.get(name, "")) for name in ("text", "stop_reason"))
                return Ended(text, reason, **fields)
        return None

    @property
    def is_finished(self) -> bool:
        """Whether the run has come to its end."""
        return self.result is not None

    def fork(self, to: Path | Journal, *, at: int, reply: Reply) -> Journal:
        """What if the model had said something else: a new journal, with all that was kept before step `at`,
        and this reply there.

        Run the same with it. `at` is a step's number; raises InvalidInput if there is no such step, or the
        new journal is not empty.
        """
        said, target = _response(reply), to if isinstance(to, Journal) else Journal(to)
        if target._replays:
            raise InvalidInput("journal: to should be a new journal, not one that is read alone")
        kept = self.entries()
        places = [index for index, entry in enumerate(kept) if entry.kind == "model"]
        if isinstance(at, bool) or not isinstance(at, int) or not 1 <= at <= len(places):
            raise InvalidInput(f"journal: at should be the number of a step, 1 to {len(places)}, not {at!r}")
        old = kept[places[at - 1]]
        new = Entry(old.at, old.kind, old.digest, old.asked, target._scrub(said.model_dump(mode="json")))
        writer = target._store.open()
        try:
            if writer.entries:
                raise InvalidInput(
                    f"journal: to should be a new journal; {target._store.name} has a run already"
                )
            writer.append([line_of(entry) for entry in (*kept[: places[at - 1]], new)])
        finally:
            writer.close()
        return target


def kept_in(journal: Journal, make: Callable[[], Flow[Any]]) -> Flow[Any]:
    """The flow that `make` makes, each of whose tasks is taken from the journal, or kept there.

    Raises JournalMismatch, and JournalError if the journal cannot be read, written or had.
    """
    if not isinstance(journal, Journal):
        raise InvalidInput(f"journal should be a tako.journal.Journal, not {type(journal).__name__}")
    return _kept(journal, make())


def _kept(journal: Journal, flow: Flow[Any]) -> Flow[Any]:
    opening = _Opening(journal)
    try:
        try:
            recording: Recording = yield Call(opening.open)
        except Cancelled:
            return (yield from flow)  # which can do nothing any more, but says what a cancelled run says
        return (yield from performed(recording, flow))
    finally:
        opening.end()


class _Opening:
    """A journal that a run has asked for. Should it be had only when the run is over, it is let go."""

    __slots__ = ("_is_over", "_journal", "_recording")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._recording: Recording | None = None
        self._is_over = False

    def open(self) -> Recording:
        recording = self._recording = self._journal.open()
        if self._is_over:  # a thread that nobody waited for
            recording.close()
        return recording

    def end(self) -> None:
        self._is_over = True
        if self._recording is not None:
            self._recording.close()


def _step(number: int, entry: Entry) -> Step:
    asked = entry.asked if isinstance(entry.asked, dict) else {}
    error = "" if entry.error is None else str(entry.error.get("message", ""))
    response = None if entry.value is None else ChatResponse.model_validate(entry.value)
    provider, model = (str(asked.get(name, "")) for name in ("provider", "model"))
    return Step(number, entry.at, provider, model, asked, response, error)


def _response(reply: Reply) -> ChatResponse:
    if isinstance(reply, ChatResponse):
        return reply
    if isinstance(reply, Message):
        message = reply
    else:
        parts = reply if isinstance(reply, str | Sequence) else (reply,)
        message = Message.assistant(cast("Sequence[Part]", parts))
    if message.role is not Role.ASSISTANT:
        raise InvalidInput(f"journal: reply should be what a model says, not a {message.role.value} message")
    return ChatResponse(message=message, finish_reason="tool_calls" if message.tool_calls else "stop")


def _path(path: Path) -> str:
    try:
        name: object = fspath(path)
    except TypeError:
        name = None
    if not isinstance(name, str) or not name or "\0" in name or not _is_encodable(name):
        raise InvalidInput(f"journal: path should be the path of a file, not {path!r}")
    return name


def _is_encodable(name: str) -> bool:
    try:
        name.encode("utf-8", "surrogateescape")  # as a system may write names
    except UnicodeEncodeError:
        return False
    return True


def _flushes(sync: str) -> bool:
    if sync not in ("full", "off"):
        raise InvalidInput(f'journal: sync should be "full" or "off", not {sync!r}')
    return sync == "full"


def _file(path: Path, sync: str) -> Store:
    from tako.journal.file_store import FileStore  # which system's lock there is, is asked when it is wanted

    return FileStore(_path(path), flushes=_flushes(sync))


def _sqlite(path: Path, run: str, sync: str) -> Store:
    from tako.journal.sqlite_store import SqliteStore  # few programs want SQLite

    if not isinstance(run, str) or not _RUN.fullmatch(run):
        raise InvalidInput(
            f"journal: run should be a name of at most 100 letters, digits, '.', '_' and '-', not {run!r}"
        )
    return SqliteStore(_path(path), run, flushes=_flushes(sync))
