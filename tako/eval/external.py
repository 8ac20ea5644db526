"""Public benchmarks, by way of the `datasets` library: SWE-bench Lite and GPQA Diamond.

They are downloaded when they are loaded, which blocks. Rows are read by pure functions, `swe_bench_task`
and `gpqa_task`, so that what becomes of a row can be seen without a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Literal

from tako.chance import Chance
from tako.errors import InvalidInput
from tako.eval.patch_spec import PatchSpec
from tako.eval.synthetic import load_synthetic
from tako.eval.task import Dataset, Task

__all__ = ["gpqa_task", "load_dataset", "load_gpqa_diamond", "load_swe_bench_lite", "swe_bench_task"]

LETTERS = "ABCD"
MOST_TESTS = 5
"""Tests of a SWE-bench task that are run: those that its patch has to mend."""


def load_dataset(name: str, *, limit: int | None = None) -> Dataset:
    """A dataset by its name: "synthetic", "swe_bench_lite" or "gpqa_diamond"; raises InvalidInput."""
    if name == "synthetic":
        return load_synthetic().first(limit)
    if name == "swe_bench_lite":
        return load_swe_bench_lite(limit=limit)
    if name == "gpqa_diamond":
        return load_gpqa_diamond(limit=limit)
    raise InvalidInput(
        f"unknown dataset {name!r}; there are synthetic, swe_bench_lite, gpqa_diamond, and any .jsonl file"
    )


def load_swe_bench_lite(
    split: str = "test",
    *,
    limit: int | None = None,
    grader: Literal["patch", "filename"] = "patch",
    max_tokens: int | None = None,
) -> Dataset:
    """SWE-bench Lite. "patch" applies the answer and runs the tests; "filename" only looks for the names
    of the files that the true patch touches, as a patch names them: cheap, and no proof. `max_tokens` is that
    of each task, which a SingleAgent alone can be told of."""
    if grader not in ("patch", "filename"):
        raise InvalidInput(f'grader should be "patch" or "filename", not {grader!r}')
    rows = _rows("princeton-nlp/SWE-bench_Lite", None, split, limit)
    return Dataset(
        name="swe_bench_lite", tasks=tuple([swe_bench_task(row, grader, max_tokens) for row in rows])
    )


def load_gpqa_diamond(split: str = "train", *, limit: int | None = None, seed: int = 0) -> Dataset:
    """GPQA Diamond; in which place the right answer stands follows from the seed and the question."""
    rows = _rows("Idavidrein/gpqa", "gpqa_diamond", split, limit)
    return Dataset(
        name="gpqa_diamond", tasks=tuple([gpqa_task(row, number, seed) for number, row in enumerate(rows)])
    )


def swe_bench_task(row: Mapping[str, Any], grader: str, max_tokens: int | None = None) -> Task:
    """The task of a row of SWE-bench."""
    prompt = (
        f"Repository: {row['repo']} at commit {row['base_commit']}.\n\n{row['problem_statement']}\n\n"
        "Answer with one patch in unified diff format, as `git diff` makes it, and nothing else."
    )
    if grader == "filename":
        names = [line[6:] for line in str(row["patch"]).splitlines() if line.startswith("+++ b/")]
        pattern = "".join([rf"(?=[\s\S]*^\+\+\+ b/{_quoted(name)}\s*$)" for name in names])
        # Anchored: a long answer would be searched to its end from each of its characters.
        return Task(
            id=row["instance_id"], prompt=prompt, expected_regex=rf"(?m)\A{pattern}", max_tokens=max_tokens
        )
    broken = row["FAIL_TO_PASS"]
    tests = json.loads(broken) if isinstance(broken, str) else list(broken)
    return Task(
        id=row["instance_id"],
        prompt=prompt,
        max_tokens=max_tokens,
        verify_patch=PatchSpec(
            repo=f"https://github.com/{row['repo']}.git",
            base_commit=row["base_commit"],
            test_command=("python", "-m", "pytest", "-x", *tests[:MOST_TESTS]),
            apply_timeout_secs=120,
            test_timeout_secs=600,
        ),
    )


def gpqa_task(row: Mapping[str, Any], number: int, seed: int) -> Task:
    """The task of a row of GPQA, its answers shuffled: a model that always says A gets a quarter of them."""
    answers = [str(row["Correct Answer"]).strip()]
    answers += [str(row[f"Incorrect Answer {place}"]).strip() for place in (1, 2, 3)]
    chance = Chance(seed, stream=number)
    order = list(range(len(answers)))
    for place in range(len(order) - 1, 0, -1):
        other = chance.below(place + 1)
        order[place], order[other] = order[other], order[place]
    options = "\n".join([f"{letter}) {answers[which]}" for letter, which in zip(LETTERS, order, strict=True)])
    right = LETTERS[order.index(0)]
    return Task(
        id=str(row.get("Record ID") or f"gpqa-{number}"),
        prompt=(
            f"{str(row['Question']).strip()}\n\n{options}\n\nThink, then end with a line that holds nothing "
            'but "Answer: " and the letter.'
        ),
        expected_regex=rf"(?mi)^[^\w\n]*answer:\W*{right}\W*\Z",
        metadata={"answer": right},
    )


def _quoted(name: str) -> str:
    return "".join([letter if letter.isalnum() or letter in "/_" else f"\\{letter}" for letter in name])


def _rows(name: str, part: str | None, split: str, limit: int | None) -> list[Mapping[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise InvalidInput(
            f"{name} needs the library datasets: pip install 'tako-sansio[eval]'", phase="import"
        ) from error
    if limit is not None and limit < 1:
        raise InvalidInput(f"limit should be a whole number of at least 1, not {limit!r}")
    rows: Iterable[Mapping[str, Any]] = datasets.load_dataset(name, part, split=split)
    return list(islice(rows, limit))
