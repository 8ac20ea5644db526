"""Verifiers: what gives an answer a score."""

from __future__ import annotations

from tako.verifiers.base import Candidate, Score, Verifier, Watch

__all__ = ["Candidate", "Score", "Verifier", "Watch"]
