"""What the tests of the file tools share: short ways to use a tool, and to see what it left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.models import Principal
from tako.testing.simulator import Simulator
from tako.tools import Tool, ToolContext


def use(tool: Tool, *, cancel: CancellationToken | None = None, **arguments: Any) -> Any:
    """What the tool gives back for these arguments."""

    def context() -> ToolContext:
        return ToolContext(
            call_id="1",
            tool_name=tool.name,
            step=1,
            run_id="run",
            principal=Principal(),
            cancel=cancel or CancellationToken(),
        )

    return Simulator().run(tool.invoke(arguments, context))


def refused(tool: Tool, **arguments: Any) -> str:
    """The words with which the tool refuses these arguments."""
    with pytest.raises(ToolError) as caught:
        use(tool, **arguments)
    return str(caught.value)


def names_in(folder: Path) -> list[str]:
    """Everything that is in a directory, so that nothing is left there unseen."""
    return sorted(path.name for path in folder.iterdir())
