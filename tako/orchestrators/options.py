"""RunOptions: what one run is asked with."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from tako.models import Message, Principal, Thinking, Value

__all__ = ["RunOptions"]


class RunOptions(Value):
    """What one run is asked with. All of it goes with the run when it is dumped."""

    called: ClassVar[str | None] = "SingleAgent"

    system: Message | None = None
    model: str = ""
    max_steps: int = 8
    output_retries: int = 2
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = Field(default=None, gt=0)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    thinking: Thinking | None = None
    tool_choice: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    extra: dict[str, Any] = Field(default_factory=dict)
    principal: Principal = Principal()
