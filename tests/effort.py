"""How many examples a property gets that needs more, or can afford fewer, than the others.

As a share of what the profile gives each property (see conftest.py), so that `make test-all` reaches it too.
"""

from __future__ import annotations

from hypothesis import settings

__all__ = ["examples"]


def examples(share: float) -> int:
    """So many times the examples of an ordinary property; at least one."""
    return max(1, round(settings.default.max_examples * share))
