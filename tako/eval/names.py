"""Names of agents: how somebody at a terminal, or a worker elsewhere, is told which one is meant."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tako.errors import InvalidInput, TakoError

__all__ = ["named"]


def named(name: str) -> Any:
    """What "module:attribute" names, called where "()" is behind it; raises InvalidInput."""
    path, colon, attribute = name.removesuffix("()").partition(":")
    if not colon or not path or not attribute:
        raise InvalidInput(f'expected "module:attribute", such as "my_agents:agent", not {name!r}')
    try:
        found: Any = import_module(path)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found() if name.endswith("()") else found
    except (ImportError, AttributeError) as error:
        raise InvalidInput(f"there is no {name!r}: {error}") from error
    except TakoError:
        raise
    except Exception as error:  # of somebody's module, or of what makes the agent
        raise InvalidInput(f"{name!r} could not be made: {type(error).__name__}: {error}") from error
