"""Routers: what chooses who speaks next."""

from __future__ import annotations

from tako.routers.base import Router, RoutingDecision, Situation

__all__ = ["Router", "RoutingDecision", "Situation"]
