"""What a Conductor and its workers refuse, before a model is paid, and in which words."""

from __future__ import annotations

from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.orchestrators.conductor import Conductor, Worker
from tako.orchestrators.single_agent import SingleAgent
from tako.providers import Fake
from tests.orchestrators.conductor.kit import answer
from tests.orchestrators.kit import Recorded

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"coordinator": "openai:gpt"}, "coordinator must be .* write tako.provider"),
    ({"coordinator": SingleAgent(Fake())}, "coordinator must be"),
    ({"workers": []}, "workers should be a dict"),
    ({"workers": {}}, "workers is empty"),
    ({"workers": {"code": "openai:gpt"}}, r"workers\['code'\] must be .* write tako.provider"),
    ({"workers": {" ": Fake()}}, "a worker's name"),
    ({"workers": {1: Fake()}}, "a worker's name"),
    ({"workers": {"code": Fake()}, "tools": [1]}, r"workers\['code'\]: "),
    ({"tools": 7}, "tools should be a list, not int"),
    ({"mcp_servers": 7}, "mcp_servers should be a list, not int"),
    ({"workers": {"code": SingleAgent(Fake())}, "tools": [len]}, "tools are for workers that are providers"),
    ({"max_steps": 0}, "max_steps"),
    ({"max_fanout": 0}, "max_fanout"),
    ({"max_fanout": True}, "max_fanout"),
    ({"plan_retries": -1}, "plan_retries"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"worker_timeout_secs": 0}, "worker_timeout_secs"),
    ({"worker_timeout_secs": "120"}, "worker_timeout_secs"),
    ({"fail_fast": 1}, "fail_fast"),
    ({"join": "some"}, "join should be"),
    ({"verifier": 7}, "verifier"),
    ({"system": 7}, "system"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_a_wrong_argument_is_named(options: dict[str, Any], words: str) -> None:
    given_ones: dict[str, Any] = {"coordinator": Fake(), "workers": {"code": Fake()}, **options}
    with pytest.raises(InvalidInput, match=words):
        Conductor(**given_ones)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"runs": None}, "runs should be a provider"),
        ({"description": 7}, "description"),
        ({"timeout": 0}, "timeout"),
        ({"tools": "read"}, "tools should be a list"),
        ({"runs": SingleAgent(Fake()), "tools": [len]}, "tools are for a provider"),
    ],
)
def test_a_wrong_argument_of_a_worker_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=f"Worker: {words}"):
        Worker(**{"runs": Fake(), **options})


def test_the_prompt_is_checked_before_a_model_is_paid() -> None:
    coordinator = Recorded(answer("x"))
    one = Conductor(coordinator, {"code": Fake(), "math": Fake()})
    with pytest.raises(InvalidInput, match="prompt should be text"):
        one.run_sync(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="steering"):
        one.run_sync("go", steering=1)
    assert coordinator.requests == [] and one.coordinator is coordinator
    assert repr(one) == "<Conductor on fake:test, workers: code, math>"
    assert list(one.workers) == ["code", "math"]
