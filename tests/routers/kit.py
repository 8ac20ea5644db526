"""What the tests of the routers share."""

from __future__ import annotations

from typing import Any

from tako.models import Message
from tako.routers import Router, RoutingDecision, Situation
from tako.testing import Simulator

THREE = ("code", "math", "chat")
ROLES = ("code|fake:a", "math|fake:b", "chat|fake:c")


def situation(task: str, candidates: tuple[str, ...] = THREE, **fields: Any) -> Situation:
    return Situation((Message.user(task),), candidates, **fields)


def choose(router: Router, task: str, candidates: tuple[str, ...] = THREE) -> RoutingDecision:
    return Simulator().run(router.choose_flow(situation(task, candidates)))
