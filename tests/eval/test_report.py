"""The numbers of a report, and the page that shows them."""

from __future__ import annotations

from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.eval import Attempt, EvalReport, as_html, pass_at_k
from tako.eval.evaluation import AttemptDone
from tako.eval.progress import ProgressBar
from tako.eval.report import percentile
from tako.models import Usage


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_is_the_share_of_all_choices_of_k_that_hold_a_pass(
    passes: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(passes)))
    choices = list(combinations(passes, k))
    share = sum(any(choice) for choice in choices) / len(choices)
    assert pass_at_k(len(passes), sum(passes), k) == pytest.approx(share)


@pytest.mark.parametrize(("attempts", "passes", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4)])
def test_pass_at_k_refuses_what_makes_no_sense(attempts: int, passes: int, k: int) -> None:
    with pytest.raises(InvalidInput, match="pass@k needs"):
        pass_at_k(attempts, passes, k)


def test_percentiles_lie_between_the_nearest() -> None:
    assert percentile([4.0, 1.0, 2.0, 3.0], 50) == 2.5
    assert percentile([1.0, 2.0], 95) == pytest.approx(1.95)
    assert percentile([7.0], 95) == 7.0
    assert percentile([], 50) == 0.0


def attempts() -> list[Attempt]:
    used = Usage(input_tokens=10, output_tokens=5)
    return [
        Attempt(task_id="a", number=0, text="<script>alert(1)</script>", passed=True, score=1, elapsed_ms=10,
                usage=used, cost_usd=0.5),
        Attempt(task_id="a", number=1, text="no", elapsed_ms=30, usage=used, cost_usd=0.25,
                reason="too short"),
        Attempt(task_id="b", number=0, elapsed_ms=20, error="TimedOut: the model & its server", cost_usd=0.0),
        Attempt(task_id="b", number=1, text="x" * 5000, elapsed_ms=40, usage=used, cost_usd=0.25),
    ]  # fmt: skip


def test_a_report_sums_up_its_attempts() -> None:
    report = EvalReport.of("d", "o", 2, attempts(), {"a": {"level": "easy"}})
    assert (report.tasks_run, report.total_attempts, report.errors) == (2, 4, 1)
    assert report.pass_rate == 0.25
    assert report.pass_at_k == 0.5
    assert [result.pass_at_k for result in report.task_results] == [1.0, 0.0]
    assert report.usage == Usage(input_tokens=30, output_tokens=15)
    assert report.cost_usd == 1.0
    assert report.p50_latency_ms == 25.0
    assert report.task_results[0].metadata == {"level": "easy"}
    assert report.task_results[1].error == "TimedOut: the model & its server"
    assert EvalReport.model_validate_json(report.model_dump_json()) == report
    assert str(report) == (
        "o on d: pass@2 50.0% (2 tasks, 4 attempts, 1 failed), p50 25 ms, p95 38 ms, $1.0000"
    )


def test_a_price_that_is_not_known_makes_no_sum() -> None:
    some = attempts()
    some[1] = some[1].model_copy(update={"cost_usd": None})
    assert EvalReport.of("d", "o", 1, some, {}).cost_usd is None


def test_the_page_is_well_formed_and_shows_words_as_words() -> None:
    page = as_html(EvalReport.of("d", "o <1>", 1, attempts(), {}))
    body = page.removeprefix("<!doctype html>\n").replace('<meta charset="utf-8">', "")
    root = ElementTree.fromstring(body)
    assert root.find("head/title").text == "o <1> on d"  # type: ignore[union-attr]
    assert not list(root.iter("script"))
    text = "".join(root.itertext())
    assert "<script>alert(1)</script>" in text
    assert "TimedOut: the model & its server" in text
    assert "too short" in text
    assert "(5,000 characters)" in text


def test_the_bar_says_how_far_it_is_and_how_long_it_will_take() -> None:
    bar = ProgressBar()
    some = attempts()
    assert bar.line(AttemptDone(some[0], 1, 4, 30.0)) == (
        "[#######.......................] 1/4 passed 1, about 1 min 30 s left"
    )
    assert bar.line(AttemptDone(some[2], 2, 4, 40.0)) == (
        "[###############...............] 2/4 passed 1, 1 failed, about 40 s left"
    )
