"""Guards: verifiers by the name that SelfCaller's callers know them by."""

from __future__ import annotations

from tako.verifiers.base import Score, Verifier

__all__ = ["Score", "Verifier"]
