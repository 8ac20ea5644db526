"""Conductor: a coordinator plans in words, workers carry it out side by side."""

from tako.orchestrators.conductor.conductor import Conductor
from tako.orchestrators.conductor.plan import Assignment, Join, Plan, Quorum
from tako.orchestrators.conductor.rounds import ConductorResult, Round, WorkerResult
from tako.orchestrators.conductor.workers import Worker

__all__ = [
    "Assignment",
    "Conductor",
    "ConductorResult",
    "Join",
    "Plan",
    "Quorum",
    "Round",
    "Worker",
    "WorkerResult",
]
