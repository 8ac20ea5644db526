"""Ten tasks that any model that can read should pass: to see that an evaluation works at all."""

from __future__ import annotations

from tako.eval.task import Dataset, Task

__all__ = ["load_synthetic"]


def load_synthetic() -> Dataset:
    """The ten tasks that come with tako."""
    return Dataset(name="synthetic", tasks=_TASKS)


_TASKS = (
    Task(id="sum", prompt="What is 17 + 25? Answer with the number.", expected_regex=r"\b42\b"),
    Task(id="product", prompt="What is 12 times 12? Answer with the number.", expected_regex=r"\b144\b"),
    Task(id="capital", prompt="Which city is the capital of Portugal?", expected_substring="Lisbon"),
    Task(id="arms", prompt="How many arms has an octopus?", expected_regex=r"(?i)\b(8|eight)\b"),
    Task(id="reverse", prompt="Write the word 'tako' backwards.", expected_regex=r"(?i)\bokat\b"),
    Task(id="opposite", prompt="Give the opposite of 'hot' in one word.", expected_regex=r"(?i)\bcold\b"),
    Task(
        id="json",
        prompt='Answer with a JSON object whose only key is "ok" and whose value is true.',
        expected_regex=r'\{\s*"ok"\s*:\s*true\s*\}',
    ),
    Task(
        id="function",
        prompt="Write a Python function named double that returns twice its argument.",
        expected_regex=r"def double\(",
    ),
    Task(
        id="order",
        prompt="Sort these words by the alphabet, separated by commas: pear, apple, fig.",
        expected_regex=r"(?i)apple\s*,\s*fig\s*,\s*pear",
    ),
    Task(
        id="yes",
        prompt="Is every square a rectangle? Answer yes or no.",
        expected_regex=r"(?i)\byes\b",
    ),
)
