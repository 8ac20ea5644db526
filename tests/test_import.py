"""`import tako` is free of what a program may not need, and every public name can be had.

Each of these looks at a fresh interpreter, because this one has loaded everything already.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tako

ROOT = Path(__file__).parents[1]
HEAVY = (
    "asyncio",
    "h11",
    "hypothesis",
    "pydantic",
    "requests",
    "socket",
    "ssl",
    "threading",
    "trio",
    "wsproto",
)


def fresh(program: str) -> str:
    """What a program prints in an interpreter of its own, in which nothing is loaded that need not be."""
    # -I keeps site-packages and leaves out the environment; .pth files of other packages may import things.
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def loaded_by(statement: str) -> list[str]:
    """Which heavy modules a statement loads, beyond those that were there before it."""
    program = (
        "before = set(sys.modules)\n"
        f"{statement}\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules and name not in before])"
    )
    return fresh(f"exec({program!r})").split()


def processor_seconds(statement: str) -> float:
    """The least of five measurements of what a statement costs in processor time."""
    program = (
        f"import time; start = time.process_time(); exec({statement!r}); print(time.process_time() - start)"
    )
    return min(float(fresh(program)) for _ in range(5))


def test_importing_tako_loads_nothing_heavy() -> None:
    assert loaded_by("import tako") == []


def test_what_is_loaded_is_seen() -> None:
    assert "ssl" in loaded_by("import requests")


@pytest.mark.parametrize("provider", ["OpenAI", "Anthropic"])
def test_building_an_agent_loads_nothing_that_does_io(provider: str) -> None:
    # The socket module is there all the same: email.utils, which reads dates in headers, loads it.
    loaded = loaded_by(f"import tako; tako.SingleAgent(tako.providers.{provider}('model', 'key'))")
    assert not {"asyncio", "requests", "ssl", "trio"}.intersection(loaded)


def test_an_agent_without_servers_loads_no_mcp() -> None:
    program = (
        "import sys, tako; tako.SingleAgent(tako.providers.Fake('hi')).run_sync('hi'); "
        "print(*[name for name in sys.modules if name.startswith('tako.mcp')])"
    )
    assert fresh(program) == ""
    assert fresh(program.replace("run_sync('hi')", "run_sync('hi'); tako.mcp.Stdio('server')")) != ""


def test_the_names_of_mcp_are_what_they_say_in_whichever_order_they_are_asked_for() -> None:
    # A module of the same name as a function in it would take its place.
    ask = "import inspect, tako; tako.mcp.auth; tako.mcp.BlockingSession; import tako.mcp as mcp"
    told = fresh(f"{ask}; print(*[name for name in mcp.__all__ if inspect.ismodule(getattr(mcp, name))])")
    assert told == "auth server"


def test_every_public_name_is_there_when_it_is_asked_for_and_not_before() -> None:
    assert fresh("import tako; print(*set(tako.__all__).intersection(vars(tako)))") == ""
    assert fresh("import tako; print(*[name for name in tako.__all__ if not hasattr(tako, name)])") == ""


@pytest.mark.parametrize("home", sorted({*tako._NAMES_OF, *tako.__all__} - set(tako._HOME_OF)))
def test_every_home_can_be_loaded_first(home: str) -> None:
    # A ring of imports works or breaks by the order in which its modules are loaded.
    assert fresh(f"import tako.{home}; print('loaded')") == "loaded"


def test_every_public_name_is_told_to_editors_and_checkers_too() -> None:
    assert set(tako.__all__) <= set(dir(tako))
    assert len(set(tako.__all__)) == len(tako.__all__)


def test_a_name_that_is_not_there_says_so() -> None:
    with pytest.raises(AttributeError, match="module 'tako' has no attribute 'orchestra'"):
        _ = tako.orchestra  # type: ignore[attr-defined]


def test_importing_tako_costs_less_than_the_modules_that_a_call_needs() -> None:
    # The aim is 30 ms where these three cost 18; it is far below that, and has to stay there.
    assert processor_seconds("import tako") < 1.5 * processor_seconds("import json, socket, ssl")
