"""What a SearchRun asks for, what it is fed, and how it is kept: its steps, outcomes and snapshot.

A step says what is to be done next; an outcome, in the past tense, what came of a trial. What becomes of
them is in the table of `search_run`. All of them are values, because a search is kept as data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticSerializationError

from tako.errors import TakoError
from tako.models import NOT_COUNTED, Message, Principal, Usage, Value
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.result import StopReason, SubAgentUsage
from tako.orchestrators.tree_search import Family, ModelSelection, Node, Prior

__all__ = [
    "Answer",
    "BestAnswer",
    "Expand",
    "Expansion",
    "Finished",
    "Outcome",
    "SearchOptions",
    "SearchSnapshot",
    "Spending",
    "Step",
    "TrialDropped",
    "TrialFailed",
    "TrialScored",
    "answer_of",
]

REFINE_PROMPT = (
    "Your last answer was given a score of {score}, where 1 is the best there is, for this reason: {reason}\n"
    "Find out what is wrong with it or missing, and give a better one. Answer the question itself, in full, "
    "and do not mention the score."
)

MOST_AT_ONCE = 1000
"""Trials in a batch."""
_MESSAGES: TypeAdapter[tuple[Message, ...]] = TypeAdapter(
    tuple[Message, ...], config=ConfigDict(defer_build=True)
)

Whole = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class SearchOptions(Value):
    """What one search is made with. All of it goes with the run when it is dumped."""

    called: ClassVar[str | None] = "AbMcts"

    candidates: tuple[str, ...] = ("answer",)
    """Their names, no two the same: the actions of the tree."""
    max_iterations: Whole = 16
    min_confidence: Share | None = 0.95
    batch_size: int = Field(default=1, ge=1, le=MOST_AT_ONCE, strict=True)
    max_total_tokens: Whole | None = None
    max_cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    refine_prompt: str = Field(default=REFINE_PROMPT, min_length=1)
    seed: int | None = Field(default=None, strict=True)
    posterior: Family = "gaussian"
    prior: Prior | None = None
    model_selection: ModelSelection = "thompson"
    branching_factor: Whole | None = None
    max_depth: Whole | None = None


class Spending(Value):
    """What trials have used, the judges and the router with them."""

    usage: Usage = NOT_COUNTED
    cost_usd: float | None = 0.0
    """None if a part of it is not known."""
    runs: tuple[SubAgentUsage, ...] = ()
    still_running: tuple[str, ...] = ()

    @classmethod
    def of(cls, ledger: Ledger) -> Spending:
        """What is in the books."""
        return cls(
            usage=ledger.usage,
            cost_usd=ledger.cost_usd,
            runs=ledger.sub_agents,
            still_running=tuple(ledger.still_running),
        )

    def __add__(self, other: Spending) -> Spending:
        known = self.cost_usd is not None and other.cost_usd is not None
        return Spending(
            usage=self.usage + other.usage,
            cost_usd=(self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
            runs=(*self.runs, *other.runs),
            still_running=(*self.still_running, *other.still_running),
        )


class Answer(Value):
    """What the tree keeps with a node: an answer, and how it came to be."""

    text: str
    reason: str = ""
    """Why it has its score."""
    stop_reason: Literal["stop", "length"] = "stop"
    questions: int = Field(default=0, ge=0)
    """How many of the messages are the question."""
    conversation: str = Field(repr=False)
    """The messages as JSON text, so that the arguments of a call may be nested as deep as they like."""

    @classmethod
    def of(cls, messages: Sequence[Message], **fields: Any) -> Answer:
        """An answer with these messages; raises TakoError if they cannot be written: another try may do."""
        try:
            return cls(conversation=_MESSAGES.dump_json(tuple(messages)).decode(), **fields)
        except PydanticSerializationError as error:
            raise TakoError(
                f"this answer cannot be kept, something in it is not JSON: {error}", phase="search"
            ) from error

    @property
    def messages(self) -> tuple[Message, ...]:
        """What is new in the conversation: the question, where it is not the user's own, and all that was
        said on the way to the answer, with the calls of tools and their results."""
        return _MESSAGES.validate_json(self.conversation)

    @property
    def said(self) -> tuple[Message, ...]:
        """The messages without the question."""
        return self.messages[self.questions :]


def answer_of(node: Node) -> Answer:
    """What the node's state says; not to be asked of the root, nor of one that failed."""
    return Answer.model_validate(node.state)


class BestAnswer(NamedTuple):
    """One of the best answers of a search."""

    text: str
    score: float
    node: Node


# The steps.


@dataclass(frozen=True, slots=True)
class Expansion:
    """A trial: what a candidate is to answer, and what came before it."""

    number: int
    """The iteration, from 1; the answer becomes the node of that number."""
    parent: int
    """The node that is expanded, 0 for the root."""
    candidate: str
    history: tuple[Message, ...]
    prompt: tuple[Message, ...]

    @property
    def questions(self) -> int:
        """How many messages of the prompt are the search's own, and not the user's."""
        return len(self.prompt) if self.parent else 0


@dataclass(frozen=True, slots=True)
class Expand:
    """Have these trials answered and scored, in any order; they are what is left of the batch."""

    trials: tuple[Expansion, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """There is nothing to do. With "error" no trial has succeeded, and the one at `failure` says why."""

    stop_reason: StopReason
    detail: str = ""
    failure: int | None = None


Step: TypeAlias = Expand | Finished


# The outcomes.


class TrialScored(Value):
    """There is an answer, and its score."""

    kind: Literal["scored"] = "scored"
    number: int
    candidate: str
    """Who has answered: a router may have chosen another one than the tree."""
    answer: Answer
    score: Share
    spent: Spending = Spending()


class TrialFailed(Value):
    """There is none, or nobody could judge it. It counts as a score of 0."""

    kind: Literal["failed"] = "failed"
    number: int
    candidate: str
    error: str
    is_hopeless: bool = False
    """Its candidate need not try again. When each has failed so, and nothing succeeded, the search ends."""
    spent: Spending = Spending()


class TrialDropped(Value):
    """It was cancelled before there was an answer. It stays to be done; what it has used is counted."""

    kind: Literal["dropped"] = "dropped"
    number: int
    spent: Spending = Spending()


Outcome: TypeAlias = TrialScored | TrialFailed | TrialDropped


class SearchSnapshot(Value):
    """What a search is as data. A field is added with a default, so that older text still loads."""

    called: ClassVar[str | None] = "SearchRun"
    version: Literal[1] = 1
    run_id: str = ""
    options: SearchOptions
    prompt: tuple[Message, ...]
    history: tuple[Message, ...] = ()
    system: Message | None = None
    principal: Principal = Principal()
    tree: dict[str, Any] | None = None
    spent: Spending = Spending()
    outcomes: tuple[Annotated[TrialScored | TrialFailed, Field(discriminator="kind")], ...] = ()
    hopeless: dict[str, int] = Field(default_factory=dict)
