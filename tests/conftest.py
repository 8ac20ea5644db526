"""What holds for all tests: how many examples a property gets.

TAKO_HYPOTHESIS chooses: "quick" (the default) for every run, "thorough" for `make test-all`. In CI no
database of earlier failures is kept, because nothing of that machine is, and the examples are the same
at each run: a check says something about the change, not about the day. New ones are looked for elsewhere.
"""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase

DATABASE = None if os.environ.get("CI") else DirectoryBasedExampleDatabase(".hypothesis/examples")
# A busy machine is slow to make the first example; that says nothing about the property.
SLOW_MACHINE = [HealthCheck.too_slow]

settings.register_profile(
    "quick",
    max_examples=8,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    database=DATABASE,
    print_blob=True,
    suppress_health_check=SLOW_MACHINE,
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=2000)
settings.load_profile(os.environ.get("TAKO_HYPOTHESIS", "quick"))


def pytest_collection_finish() -> None:
    """Thousands of tests are there to stay: the garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()
