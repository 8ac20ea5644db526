"""The result of each orchestrator has its own type, by each of the ways to run it and however they nest."""

from __future__ import annotations

from typing import Any, assert_type

from pydantic import BaseModel

import tako
from tako.events import OrchEvent
from tako.orchestrators.ab_mcts import SearchResult, SearchRun
from tako.orchestrators.conductor import ConductorResult, Quorum, Round, Worker
from tako.orchestrators.self_caller import Attempt, SelfCallerResult
from tako.orchestrators.trinity import Role
from tako.verifiers import RuleBased, Score


class City(BaseModel):
    name: str


model = tako.providers.Fake("hello")
structured = tako.SingleAgent(model, output_type=City)


def judge(task: str, text: str) -> tuple[float, str]:
    return 0.5, "so so"


async def revise(text: str, score: Score) -> str:
    return f"{score.value:.2f} is not enough"


conductor = tako.Conductor(model, {"a": model, "b": Worker(structured), "c": structured}, join=Quorum(2))
trinity = tako.Trinity({"a": model, "b": Role(structured, kind="thinker"), "c": conductor}, lambda task: "a")
search = tako.AbMcts(model, judge, candidates=[structured, conductor], seed=1)
caller = tako.SelfCaller(structured, RuleBased(min_chars=3), revision_prompt=revise, keep="best")

assert_type(conductor, tako.Conductor)
assert_type(trinity, tako.Trinity)
assert_type(search, tako.AbMcts)
assert_type(caller, tako.SelfCaller[City])
assert_type(tako.SelfCaller(model, judge), tako.SelfCaller[None])
assert_type(tako.SelfCaller(caller, judge), tako.SelfCaller[City])
assert_type(tako.SelfCaller(search, judge), tako.SelfCaller[None])


def blocking() -> None:
    planned = conductor.run_sync("go", timeout=10.0, history=[tako.Message.user("hello")], tenant_id="acme")
    assert_type(planned, ConductorResult)
    assert_type(planned.rounds, tuple[Round, ...])
    assert_type(trinity.run_sync("go"), tako.RunResult[None])
    found = search.run_sync("go")
    assert_type(found, SearchResult)
    assert_type(found.search, SearchRun)
    assert_type([one.score for one in found.best(3)], list[float])
    assert_type(search.run_sync(found.search), SearchResult)
    revised = caller.run_sync("go", journal=tako.Journal("run.jsonl"))
    assert_type(revised, SelfCallerResult[City])
    assert_type(revised.output, City)
    assert_type(revised.attempts, tuple[Attempt, ...])
    assert_type(revised.depth, int)
    assert_type(planned.depth, int)


async def asynchronous() -> None:
    assert_type(await conductor.run("go"), ConductorResult)
    async with caller.stream("go") as events:
        async for event in events:
            assert_type(event, OrchEvent)
    assert_type(events.result.output, City)
    async for event in await search.stream("go"):
        assert_type(event, OrchEvent)


def streamed() -> None:
    with search.stream_sync("go") as events:
        assert_type([event for event in events], list[OrchEvent])  # noqa: C416
    assert_type(events.result, SearchResult)


def nested() -> None:
    anything: list[tako.orchestrators.base.Orchestrator[Any]] = [
        structured,
        conductor,
        trinity,
        search,
        caller,
    ]
    assert_type([one.as_tool("ask", read_only=True) for one in anything], list[tako.Tool])


def refused() -> None:
    tako.SelfCaller("openai:gpt-5", judge)  # type: ignore[arg-type]
    tako.SelfCaller(model, judge, keep="first")  # type: ignore[arg-type]
    tako.SelfCaller(model, judge, max_deep=3)  # type: ignore[call-arg]
    _ = conductor.run_sync("go").attempts  # type: ignore[attr-defined]
    _ = caller.run_sync("go").output.mayor  # type: ignore[attr-defined]
