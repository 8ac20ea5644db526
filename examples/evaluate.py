"""Evaluate an agent: pass@k, latency, a page to look at. Offline; put a real provider in its place.

python -m examples.evaluate                                    # here
python -m tako.eval --orch 'examples.evaluate:make_agent()'    # the same from the command line
"""

from __future__ import annotations

import sys
from pathlib import Path

from tako import SingleAgent
from tako.eval import AttemptDone, Eval, load_synthetic, write_report
from tako.models import ChatRequest
from tako.providers import Fake

__all__ = ["main", "make_agent"]

KNOWN = {"17 + 25": "42", "12 times 12": "It is 144.", "octopus": "Eight arms.", "Portugal": "Lisbon"}


def make_agent() -> SingleAgent:
    """An agent that knows four things."""

    def answer(request: ChatRequest) -> str:
        prompt = request.messages[-1].text
        return next((said for asked, said in KNOWN.items() if asked in prompt), "I do not know.")

    return SingleAgent(Fake(script=answer))


def main(page: str | None = None) -> float:
    """Evaluate, show each attempt, and give back pass@2."""
    evaluation = Eval(make_agent(), load_synthetic(), k=2, attempts=3, orch_name="four facts")
    with evaluation.stream_sync() as events:
        for event in events:
            assert isinstance(event, AttemptDone)
            attempt = event.attempt
            print(f"{event.done:3}/{event.total}  {attempt.task_id:10} {'passed' if attempt.passed else '-'}")
        report = events.result
    print(report)
    if page is not None:
        write_report(report, Path(page))
    return report.pass_at_k


if __name__ == "__main__":
    main(*sys.argv[1:2])
