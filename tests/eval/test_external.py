"""Rows of public benchmarks, as tasks; nothing is downloaded."""

from __future__ import annotations

import re
import sys
from collections import Counter
from time import process_time
from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.eval import load_dataset, load_swe_bench_lite
from tako.eval.external import gpqa_task, swe_bench_task

ROW: dict[str, Any] = {
    "instance_id": "django__1",
    "repo": "django/django",
    "base_commit": "abc",
    "problem_statement": "It breaks.",
    "patch": "--- a/django/db/x.py\n+++ b/django/db/x.py\n@@ -1 +1 @@\n-a\n+b\n",
    "FAIL_TO_PASS": '["t1", "t2", "t3", "t4", "t5", "t6"]',
}
QUESTION: dict[str, Any] = {
    "Question": "Why?",
    "Correct Answer": "right",
    "Incorrect Answer 1": "w1",
    "Incorrect Answer 2": "w2",
    "Incorrect Answer 3": "w3",
}


def test_defect_104_the_right_answer_stands_everywhere() -> None:
    tasks = [gpqa_task(QUESTION, number, seed=0) for number in range(400)]
    places = Counter([task.metadata["answer"] for task in tasks])
    assert set(places) == set("ABCD")
    assert all(60 <= count <= 140 for count in places.values()), places
    for task in tasks[:20]:
        letter = task.metadata["answer"]
        assert f"{letter}) right" in task.prompt
        assert task.passes(f"Let me think about A and B.\nAnswer: {letter}")
        wrong = next(other for other in "ABCD" if other != letter)
        assert not task.passes(f"{letter} is tempting.\nAnswer: {wrong}")
    assert gpqa_task(QUESTION, 3, 0) == gpqa_task(QUESTION, 3, 0)
    assert [t.metadata for t in tasks[:20]] != [gpqa_task(QUESTION, n, 1).metadata for n in range(20)]


def test_defect_105_a_patch_is_tested_and_a_mention_is_no_patch() -> None:
    task = swe_bench_task(ROW, "patch")
    assert task.verify_patch is not None
    assert task.verify_patch.test_command == ("python", "-m", "pytest", "-x", "t1", "t2", "t3", "t4", "t5")
    assert task.verify_patch.repo == "https://github.com/django/django.git"
    assert not task.passes(ROW["patch"])
    cheap = swe_bench_task(ROW, "filename")
    assert cheap.passes(f"Here it is:\n{ROW['patch']}")
    assert not cheap.passes("The mistake is in django/db/x.py")
    assert re.compile(cheap.expected_regex or "")


def test_long_answers_are_searched_in_linear_time() -> None:
    cheap, question = swe_bench_task(ROW, "filename"), gpqa_task(QUESTION, 0, seed=0)
    started = process_time()
    assert not cheap.passes("+++ b/django/db/y.py\n" * 1_000)
    assert not question.passes("\n" * 20_000)
    assert process_time() - started < 0.5


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InvalidInput, match="unknown dataset 'x'"):
        load_dataset("x")
    with pytest.raises(InvalidInput, match='grader should be "patch" or "filename"'):
        load_swe_bench_lite(grader="x")  # type: ignore[arg-type]
    assert len(load_dataset("synthetic", limit=3)) == 3


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InvalidInput, match=r"tako-sansio\[eval\]"):
        load_dataset("gpqa_diamond")
