"""What programs written for the first tako say, and the descriptions that came with it, means the same here.

Names, arguments and their order, defaults, events and numbers. What is different on purpose is not here: it
is in the tests of its room, mostly under the number of the defect that it mends. Numbers that the first tako
bent into their range (max_steps=0) are refused here, by name.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

import tako
from tako import InvalidInput, guards, routers, verifiers
from tako.eval import Dataset, Eval, PatchSpec, Task, load_dataset, load_jsonl, load_synthetic
from tako.eval import external as benchmarks
from tako.providers import Fake
from tako.routers import OnnxRouter, RegexRouter, featurise_text
from tako.training import Rollout, TrinityTrainer, label_from_scores

# Where things are.

HOMES = {
    "tako.orchestrator": ("tako", "AbMcts Conductor SelfCaller SingleAgent Trinity"),
    "tako.training.features": ("tako.training", "FEATURE_DIM featurise_text"),
    "tako.training.trinity": ("tako.training", "Rollout TrinityTrainer cli label_from_scores"),
    "tako.eval.grader": ("tako.eval", "PatchSpec grade_patch"),
    "tako.eval.harness": (
        "tako.eval",
        (
            "Dataset Eval EvalReport PatchSpec RunFn Task TaskResult grade_patch load_dataset load_jsonl "
            "load_synthetic"
        ),
    ),
    "tako.eval.datasets.external": ("tako.eval", "load_gpqa_diamond load_swe_bench_lite"),
}


@pytest.mark.parametrize("former", HOMES)
def test_what_was_in_a_module_of_the_first_tako_can_be_had_there(former: str) -> None:
    home, names = HOMES[former]
    there, here = import_module(former), import_module(home)
    assert set(there.__all__) >= set(names.split())
    for name in names.split():
        assert getattr(there, name) is getattr(here, name)
    with pytest.raises(AttributeError):
        _ = there.Unknown


def test_the_module_of_the_orchestrators_comes_with_tako() -> None:
    assert "orchestrator" in tako.__all__
    assert tako.orchestrator.SingleAgent is tako.SingleAgent


# What things take.

SIGNATURES: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "SingleAgent": (tako.SingleAgent, "provider", {"max_steps": 8, "router": None}),
    "Conductor": (
        tako.Conductor,
        "coordinator workers",
        {"max_steps": 6, "max_fanout": 4, "worker_timeout_secs": 120, "fail_fast": False, "verifier": None},
    ),
    "Trinity": (tako.Trinity, "roles router", {"max_steps": 8, "verifier": None}),
    "SelfCaller": (
        tako.SelfCaller,
        "inner confidence",
        {"max_depth": 3, "min_confidence": 0.7, "revision_prompt": None},
    ),
    "AbMcts": (
        tako.AbMcts,
        "provider verifier",
        {"max_steps_per_rollout": 4, "temperature": 0.7, "min_confidence": 0.95, "router": None},
    ),
    "RegexRouter": (RegexRouter, "", {}),
    "OnnxRouter": (OnnxRouter, "path", {}),
    "guards.RuleBased": (guards.RuleBased, "", {"min_chars": 0, "pattern": None}),
    "guards.LlmJudge": (
        guards.LlmJudge,
        "judge rubric",
        {"streaming_min_chars": None, "streaming_every_n": None},
    ),
    "verifiers.RuleBased": (verifiers.RuleBased, "", {"min_chars": 0, "pattern": None}),
    "Rollout": (Rollout, "prompt label features", {}),
    "TrinityTrainer": (
        TrinityTrainer,
        "hidden epochs lr batch_size seed weights n_classes",
        {"hidden": 32, "epochs": 200, "lr": 0.05, "batch_size": 32, "seed": 42, "n_classes": 0},
    ),
    "Eval": (
        Eval,
        "orch dataset",
        {"k": 1, "concurrency": 4, "orch_name": "orchestrator", "allow_unsafe_grader": False},
    ),
    "load_dataset": (load_dataset, "name", {"limit": None}),
    "load_jsonl": (load_jsonl, "path", {"name": None}),
    "load_swe_bench_lite": (benchmarks.load_swe_bench_lite, "split", {"split": "test", "limit": None}),
    "load_gpqa_diamond": (benchmarks.load_gpqa_diamond, "split", {"split": "train", "limit": None}),
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_arguments_stand_in_their_order_and_have_their_defaults(name: str) -> None:
    function, positional, defaults = SIGNATURES[name]
    parameters = inspect.signature(function).parameters
    by_place = [one.name for one in parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert by_place[: len(positional.split())] == positional.split()
    assert {key: parameters[key].default for key in defaults} == defaults


def agent(text: str = "ok") -> Any:
    return tako.SingleAgent(Fake(text))


MADE: dict[str, Callable[[], Any]] = {
    "SingleAgent": lambda: tako.SingleAgent(
        Fake(), max_steps=8, mcp_servers=None, candidates=None, router=None
    ),
    "SingleAgent with a router": lambda: tako.SingleAgent(
        provider=Fake(id="fake:a"), candidates=[Fake(id="fake:b")], router=RegexRouter()
    ),
    "Trinity": lambda: tako.Trinity(roles={"code": Fake(), "math": Fake()}, router=RegexRouter()),
    "SelfCaller": lambda: tako.SelfCaller(
        inner=agent(), confidence=guards.RuleBased(min_chars=2), max_depth=3, min_confidence=0.7
    ),
    "SelfCaller with a judge": lambda: tako.SelfCaller(agent(), guards.LlmJudge(Fake("0.9"), "Is it right?")),
    "AbMcts": lambda: tako.AbMcts(Fake(), verifiers.RuleBased(), max_iterations=3, branching_factor=3),
    "AbMcts as described": lambda: tako.AbMcts(
        candidates=[Fake(id="fake:a"), Fake(id="fake:b")],
        router=RegexRouter(),
        verifier=verifiers.RuleBased(min_chars=2),
        max_simulations=8,
        max_depth=3,
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_a_run_gives_a_result_with_text_usage_and_steps(name: str) -> None:
    result = MADE[name]().run_sync("Solve x^2 + 5x + 6 = 0", tenant_id="acme", user_id="ann")
    assert (result.text, result.steps) == ("ok", 1)
    assert result.usage.total == result.usage.input_tokens + result.usage.output_tokens
    assert all(word in repr(result) for word in ("text='ok'", "input_tokens=", "output_tokens=", "steps=1"))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "provider": (lambda: tako.SingleAgent(3), "provider must be a tako.providers"),  # type: ignore[arg-type]
    "candidate": (
        lambda: tako.SingleAgent(Fake(), candidates=[3], router=RegexRouter()),  # type: ignore[list-item]
        r"candidates\[0\]",
    ),
    "server": (
        lambda: tako.SingleAgent(Fake(), mcp_servers=[3]),  # type: ignore[list-item]
        "mcp_servers.*tako.mcp",
    ),
    "agent's router": (
        lambda: tako.SingleAgent(Fake(), candidates=[Fake()], router=3),  # type: ignore[arg-type]
        "router must be a tako.routers",
    ),
    "coordinator": (
        lambda: tako.Conductor(3, {"x": Fake()}),  # type: ignore[arg-type]
        "coordinator must be a tako.providers",
    ),
    "worker": (lambda: tako.Conductor(Fake(), {"x": 3}), r"workers\['x'\]"),  # type: ignore[dict-item]
    "verifier": (
        lambda: tako.Conductor(Fake(), {"x": Fake()}, verifier=3),  # type: ignore[arg-type]
        "verifier must be a tako.verifiers.",
    ),
    "fanout": (lambda: tako.Conductor(Fake(), {"x": Fake()}, max_fanout=0), "max_fanout"),
    "role": (lambda: tako.Trinity({"x": 3}, RegexRouter()), r"roles\['x'\]"),  # type: ignore[dict-item]
    "roles": (lambda: tako.Trinity({}, RegexRouter()), "at least one role is required"),
    "router": (lambda: tako.Trinity({"x": Fake()}, 3), "router"),  # type: ignore[arg-type]
    "inner": (lambda: tako.SelfCaller(3, guards.RuleBased()), "inner"),  # type: ignore[arg-type]
    "guard": (lambda: tako.SelfCaller(agent(), 3), "confidence"),  # type: ignore[arg-type]
    "depth": (lambda: tako.SelfCaller(agent(), guards.RuleBased(), max_depth=-1), "max_depth"),
    "confidence": (
        lambda: tako.SelfCaller(agent(), guards.RuleBased(), min_confidence=1.5),
        "min_confidence",
    ),
    "both names": (
        lambda: tako.AbMcts(Fake(), len, max_iterations=1, max_simulations=1),
        "max_simulations.*max_iterations",
    ),
    "judge": (lambda: guards.LlmJudge(3, "rubric"), "judge must be a tako.providers"),  # type: ignore[arg-type]
    "pattern": (lambda: guards.RuleBased(pattern="("), "pattern"),
    "least": (lambda: verifiers.RuleBased(min_chars=-1), "min_chars"),
    "prompt": (lambda: agent().run_sync(3), "prompt"),
    "no rollouts": (lambda: TrinityTrainer().fit([]), "rollouts is empty"),
    "untrained": (lambda: TrinityTrainer().predict("x"), "fit"),
    "dataset": (lambda: load_dataset("x"), "unknown dataset 'x'"),
    "patches": (
        lambda: Eval(
            agent(),
            Dataset(
                name="d",
                tasks=(Task(id="1", prompt="p", verify_patch=PatchSpec(repo="r", base_commit="c")),),
            ),
        ),
        "allow_unsafe_grader",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_who_caught_a_value_error_or_a_type_error_catches_ours(name: str) -> None:
    make, words = WRONG[name]
    with pytest.raises(InvalidInput, match=words) as caught:
        make()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)


# What is streamed.

WORK = {"dispatch": [{"worker": "code", "task": "sort"}, {"worker": "math", "task": "prove"}], "halt": False}
WORK_AS_DESCRIBED = {
    "workers": [{"name": "code", "task": "sort", "tools": ["fs"]}, {"name": "math", "task": "prove"}],
    "join_strategy": "all",
    "next_step": "summarise",
}
DONE: dict[str, Any] = {"thought": None, "dispatch": [], "halt": True, "final_answer": "done"}


def conductor(plan: object = WORK, **options: Any) -> Any:
    """One that plans by the step, so that it can be run again and again."""

    def say(request: tako.ChatRequest) -> str:
        return json.dumps(DONE if any("Worker results:" in one.text for one in request.messages) else plan)

    return tako.Conductor(Fake(script=say), {"code": Fake("C"), "math": Fake("M")}, **options)


def stream(orchestrator: Any) -> list[Any]:
    """Its own events, without those of who works for it."""
    with orchestrator.stream_sync("solve it") as events:
        return [event for event in events if event.kind != "sub_agent_event"]


@pytest.mark.parametrize("plan", [WORK, WORK_AS_DESCRIBED], ids=["as in the code", "as described"])
def test_a_dispatch_is_read_in_either_shape_and_told_as_calls_of_workers(plan: object) -> None:
    events = stream(conductor(plan, verifier=verifiers.RuleBased(min_chars=1)))
    starts = [(one.step, one.name, one.id) for one in events if one.kind == "tool_call_start"]
    assert starts == [(1, "worker:code", "step1-1"), (1, "worker:math", "step1-2")]
    results = [
        (one.step, one.id, one.result, one.is_error) for one in events if one.kind == "tool_call_result"
    ]
    assert results == [
        (1, "step1-1", {"worker": "code", "result": "C"}, False),
        (1, "step1-2", {"worker": "math", "result": "M"}, False),
    ]
    scores = [one for one in events if one.kind == "verifier_score" and not one.is_partial]
    assert [(one.step, one.branch, one.score) for one in scores] == [(1, 1, 1.0), (1, 2, 1.0)]
    assert events[-1].text == "done"


def test_an_unknown_worker_and_a_failed_one_are_errors_of_theirs() -> None:
    plan = {"dispatch": [{"worker": "nobody", "task": "x"}]}
    [result] = [one for one in stream(conductor(plan)) if one.kind == "tool_call_result"]
    assert result.is_error
    assert result.result["worker"] == "nobody"
    assert "unknown worker" in result.result["error"]


def test_a_self_caller_counts_its_depth_from_zero_and_runs_once_more_than_its_depth() -> None:
    model = Fake("short")
    caller = tako.SelfCaller(tako.SingleAgent(model), guards.RuleBased(min_chars=80), max_depth=3)
    events = stream(caller)
    recursions = [(one.depth, one.confidence) for one in events if one.kind == "recursion"]
    assert recursions == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)]
    assert [one.kind for one in events].count("final") == 1
    assert model.call_count == 4


def test_the_revision_prompt_is_said_behind_the_answer() -> None:
    asked: list[list[str]] = []

    def say(request: tako.ChatRequest) -> str:
        asked.append([one.text for one in request.messages])
        return "no"

    inner = tako.SingleAgent(Fake(script=say))
    caller = tako.SelfCaller(inner, guards.RuleBased(pattern="yes"), max_depth=1, revision_prompt="again!")
    caller.run_sync("q")
    assert asked == [["q"], ["q", "no", "again!"]]


def test_a_search_numbers_its_steps_and_leaves_from_one() -> None:
    events = stream(tako.AbMcts(Fake("ab"), verifiers.RuleBased(min_chars=4), max_iterations=2))
    assert [one.step for one in events if one.kind == "step_start"] == [1, 2]
    scores = [one for one in events if one.kind == "verifier_score" and not one.is_partial]
    assert [(one.step, one.branch, one.score) for one in scores] == [(1, 1, 0.5), (2, 2, 0.5)]


@pytest.mark.parametrize("name", ["max_iterations", "max_simulations"])
def test_the_number_of_answers_has_two_names(name: str) -> None:
    model = Fake("a")
    tako.AbMcts(model, verifiers.RuleBased(min_chars=2), **{name: 3}).run_sync("q")  # type: ignore[arg-type]
    assert model.call_count == 3


FORMS: dict[str, Callable[[], Any]] = {
    "SingleAgent": agent,
    "Conductor": conductor,
    "Trinity": lambda: tako.Trinity({"code": Fake("a"), "math": Fake("b")}, RegexRouter()),
    "SelfCaller": lambda: tako.SelfCaller(agent(), guards.RuleBased(min_chars=5), max_depth=1),
    "AbMcts": lambda: tako.AbMcts(Fake("a"), verifiers.RuleBased(min_chars=2), max_iterations=2),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_stream_is_read_awaited_or_not_and_ends_with_final(name: str) -> None:
    orchestrator = FORMS[name]()

    async def main() -> None:
        plain = [one.kind async for one in orchestrator.stream("solve it")]
        events = [one async for one in await orchestrator.stream("solve it", tenant_id="a", user_id="b")]
        result = await orchestrator.run("solve it")
        assert "step_start" in plain
        assert plain[-1] == events[-1].kind == "final"
        assert plain.count("final") == 1
        texts = [one for one in events if one.kind == "assistant_text"]
        assert "".join([one.delta for one in texts]).endswith(result.text)
        assert [one.text for one in texts] == [one.delta for one in texts]
        assert (events[-1].text, events[-1].usage) == (result.text, result.usage)

    asyncio.run(main())


# Numbers.

ROUTES = {
    "Implement merge sort, def sort(x)": (0, 1.0),
    "Explain `foo`": (0, 1.0),
    "Write code": (0, 1.0),
    "Solve x^2 + 5x + 6 = 0": (1, 1.0),
    "What is 2+2?": (1, 1.0),
    "the integral ∫ x dx": (1, 1.0),
    "Tell me a story": (2, 0.5),
}


@pytest.mark.parametrize("task", ROUTES)
def test_the_regex_router_sends_code_mathematics_and_the_rest_where_it_did(task: str) -> None:
    place, confidence = ROUTES[task]
    decision = RegexRouter().choose_sync(task, ["code", "math", "rest"])
    assert (decision.index, decision.confidence) == (place, confidence)
    assert RegexRouter().choose_sync(task, ["only"]).index == 0
    assert RegexRouter().choose_sync(task, ["one", "two"]).index == min(place, 1)


def test_the_features_are_the_sixteen_numbers() -> None:
    text = "Explain (verify?) the `class A` of 12 + 3 = 15.\nSolve é"
    size = len(text.encode())
    wanted = [
        math.log10(1 + size), 0.13, 1, 1, 1, 1, 5 / size, 3 / size, 0, 1, 1, 1, 0.05, 1 / size, 1, 1,
    ]  # fmt: skip
    assert featurise_text(text) == pytest.approx(wanted, rel=1e-12)
    assert featurise_text("") == [0.0] * 15 + [1.0]
    assert (routers.FEATURE_DIM, label_from_scores([0.1, 0.9, 0.9])) == (16, 1)
    assert Rollout.from_prompt("p", 1).features == tuple(featurise_text("p"))


JUDGED = {"0.8": 0.8, "0": 0.0, "1.0": 1.0, "Score: 0.9": 0.9}


@pytest.mark.parametrize("said", JUDGED)
def test_a_judge_may_answer_with_a_bare_number(said: str) -> None:
    judged = tako.SelfCaller(agent(), guards.LlmJudge(Fake(said), "Is it right?"), max_depth=0)
    assert judged.run_sync("q").confidence == JUDGED[said]


def test_a_guard_is_all_or_nothing_and_a_verifier_gives_a_part() -> None:
    guard, verifier = (
        guards.RuleBased(min_chars=4, pattern="y"),
        verifiers.RuleBased(min_chars=4, pattern="y"),
    )
    for text, whole, part in (("yyyy", 1.0, 1.0), ("xxxx", 0.0, 0.5), ("", 0.0, 0.0)):
        assert guard.score_sync("task", text).value == whole
        assert verifier.score_sync("task", text).value == part


# Evaluation.


def test_an_evaluation_of_a_function_reports_by_the_known_names() -> None:
    async def answer(prompt: str) -> str:
        return f"{prompt} ok"

    async def main() -> Any:
        tasks = (
            Task(id="1", prompt="p", expected_substring="ok", expected_regex="^p"),
            Task(id="2", prompt="p"),
            Task(id="3", prompt="p", expected_substring="ok", expected_regex="^ok"),
        )
        return await Eval(orch=answer, dataset=Dataset(name="d", tasks=tasks), k=2, orch_name="o").run()

    report = asyncio.run(main())
    assert (report.dataset, report.orchestrator, report.k, report.tasks_run) == ("d", "o", 2, 3)
    assert (report.total_attempts, report.pass_rate) == (6, 1 / 3)
    assert report.p95_latency_ms >= report.p50_latency_ms >= 0
    told = [
        (one.task_id, one.attempts, one.passes, len(one.elapsed_ms), one.error) for one in report.task_results
    ]
    assert told == [("1", 2, 2, 2, None), ("2", 2, 0, 2, None), ("3", 2, 0, 2, None)]
    assert len(load_synthetic().tasks) == 10
    assert len(load_dataset("synthetic", limit=3).tasks) == 3
