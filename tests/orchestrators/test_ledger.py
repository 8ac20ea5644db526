"""The books: everything is in them once, and a sum of which a part is not known is not known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import ProviderError, TimedOut
from tako.models import NOT_COUNTED, Capabilities, ChatResponse, Message, Usage
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.result import RunResult, SubAgentUsage
from tako.providers.fake import Fake
from tests.effort import examples

ONE = Usage(input_tokens=1, output_tokens=1)


def ended(usage: Usage = ONE, cost: float | None = 1.0, steps: int = 1, **fields: Any) -> RunResult:
    return RunResult("x", usage, steps, [], "stop", cost_usd=cost, **fields)


ENTRIES = st.lists(
    st.tuples(
        st.integers(0, 3),  # the page
        st.sampled_from([NOT_COUNTED, ONE, Usage(input_tokens=5)]),
        st.sampled_from([None, 0.0, 0.5, 2.0]),
    ),
    max_size=8,
)


@settings(max_examples=examples(1))
@given(ENTRIES)
def test_the_pages_together_are_one_book(entries: list[tuple[int, Usage, float | None]]) -> None:
    """In whatever order they are written; and each run stands on the page of who made it."""
    whole, parts = Ledger(), Ledger()
    pages = [parts, *[parts.page() for _ in range(3)]]
    for number, (page, usage, cost) in enumerate(entries):
        for ledger in (whole, pages[page]):
            ledger.add_run((str(number),), "m", ended(usage, cost, still_running=(f"t{number}",)))
    assert (parts.usage, parts.cost_usd) == (whole.usage, whole.cost_usd)
    costs = [cost for _, _, cost in entries]
    assert whole.cost_usd == (None if None in costs else sum(cost for cost in costs if cost))
    by_page = [str(place) for place in sorted(range(len(entries)), key=lambda place: entries[place][0])]
    assert [run.path[0] for run in parts.sub_agents] == by_page
    assert parts.still_running == tuple([f"{place}/t{place}" for place in by_page])


def test_an_empty_one_has_used_nothing_and_costs_nothing() -> None:
    ledger = Ledger()
    assert (ledger.usage, ledger.cost_usd, ledger.sub_agents, ledger.still_running) == (
        NOT_COUNTED,
        0,
        (),
        (),
    )


class Counted(Fake):
    def __init__(self) -> None:
        super().__init__()
        self.capabilities = Capabilities(usd_per_input_mtok=1_000_000.0, usd_per_output_mtok=0.0)


@pytest.mark.parametrize(
    ("provider", "usage", "cost"),
    [(Counted(), ONE, 1.0), (Fake(), ONE, None), (Counted(), NOT_COUNTED, None)],
)
def test_a_reply_has_a_price_if_it_was_counted_and_has_one(
    provider: Fake, usage: Usage, cost: float | None
) -> None:
    reply, failure = Ledger(), Ledger()
    reply.add_reply(provider, usage)
    response = ChatResponse(message=Message.assistant("half"), usage=usage)
    failure.add_failed_call(provider, TimedOut("too slow", partial=response))
    for ledger in (reply, failure):
        assert (ledger.usage, ledger.cost_usd) == (usage, cost)


def test_a_call_of_which_nothing_came_has_used_nothing() -> None:
    ledger = Ledger()
    ledger.add_failed_call(Counted(), ProviderError("no key"))
    ledger.add(NOT_COUNTED, None)  # a judge that is a function
    ledger.add_run(("w",), "m", ended(NOT_COUNTED, None, steps=0))
    assert (ledger.usage, ledger.cost_usd) == (NOT_COUNTED, 0)


@pytest.mark.parametrize(("steps", "cost"), [(0, 0.0), (1, None)])
def test_a_run_that_nobody_counted_is_free_only_if_no_model_was_called(
    steps: int, cost: float | None
) -> None:
    ledger = Ledger()
    ledger.add_result(ended(NOT_COUNTED, None, steps))
    assert ledger.cost_usd == cost and ledger.sub_agents == ()


@pytest.mark.parametrize(
    ("error", "usage", "cost"),
    [
        (ProviderError("no", partial=ended(cost=2.0), usage=Usage(input_tokens=9)), ONE, 2.0),
        (ProviderError("no", usage=ONE), ONE, None),
        (ProviderError("no", partial=ChatResponse(message=Message.assistant("h"), usage=ONE)), ONE, None),
        (ProviderError("no"), NOT_COUNTED, 0.0),
    ],
)
def test_what_a_failure_brings_with_it_is_booked(
    error: ProviderError, usage: Usage, cost: float | None
) -> None:
    ledger = Ledger()
    ledger.add_failure(error)
    assert (ledger.usage, ledger.cost_usd) == (usage, cost)


def test_a_run_brings_what_its_own_have_used_and_how_deep_they_went() -> None:
    deep = SubAgentUsage(path=("w", "x"), model="m", usage=ONE, steps=1, depth=2)
    ledger = Ledger()
    ledger.add_failed_run(("w",), "m", ProviderError("no", partial=ended(sub_agents=(deep,))))
    ledger.add_failed_run(("v",), "m", ProviderError("nothing came of it"))
    [run] = ledger.sub_agents
    assert (run.path, run.sub_agents, run.depth, ledger.usage) == (("w",), (deep,), 2, ONE)
