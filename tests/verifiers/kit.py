"""Asks verifiers on the simulator: without a network, a clock or a process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import accumulate

from tako.models import Capabilities, ChatRequest
from tako.providers.fake import Fake, Reply
from tako.testing import Simulator
from tako.verifiers import Candidate, Score, Verifier, Watch

TASK = "Say something."


def score(verifier: Verifier, text: str, task: str = TASK) -> Score:
    """What it thinks of a whole answer."""
    return Simulator().run(verifier.score_flow(Candidate(task, text)))


def value(verifier: Verifier, text: str) -> float:
    return score(verifier, text).value


def look(watch: Watch, text: str) -> Score | None:
    """What a watch thinks of an answer so far, its flow driven if it gives one."""
    said = watch(Candidate(TASK, text))
    return Simulator().run(said) if isinstance(said, Generator) else said


def watched(verifier: Verifier, pieces: Sequence[str]) -> list[float | None]:
    """The values at each look at an answer that comes in these pieces; None where nothing was said."""
    watch = verifier.watch()
    assert watch is not None
    said = [look(watch, text) for text in accumulate(pieces)]
    return [None if each is None else each.value for each in said]


class Judge(Fake):
    """A model that remembers what it was asked, and costs a dollar each way for each of its tokens."""

    def __init__(self, *replies: Reply, json_mode: bool = True) -> None:
        self.requests: list[ChatRequest] = []

        def answer(request: ChatRequest) -> Reply:
            self.requests.append(request)
            return replies[min(len(self.requests), len(replies)) - 1]

        super().__init__(script=answer, id="fake:judge")
        self.capabilities = Capabilities(
            supports_json_mode=json_mode, usd_per_input_mtok=1e6, usd_per_output_mtok=1e6
        )
