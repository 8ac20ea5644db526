"""The core's syntax trees hold no I/O, no clock and no chance, and every file keeps to the house's size.

import-linter sees which module imports which; it cannot see one submodule of the standard library
(`http.client`, but not `http`), a name taken from a module, or a call. This walker can. A walker that
finds nothing may be blind, so each of its rules is shown a planted violation first.

What it lets pass on purpose: imports under `if TYPE_CHECKING`, which never happen; and the imports of
the adapters in `tako/_adapters.py`, the one door to them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HANDS = ROOT / "tako" / "tools" / "builtin"
"""The blocking functions behind the built-in tools, which are reached through the Call effect alone."""
SANS_IO_TOOLS = {"web_fetch.py", "html_text.py"}
"""What is in the same room and is a flow all the same."""
FILES = {
    # OpenSSL takes a private key from a file alone, and all adapters need it.
    ROOT / "tako" / "driving" / "private_file.py",
    # Descriptors 0 and 1 are one pair for all adapters.
    ROOT / "tako" / "driving" / "own_streams.py",
    # Blocking functions too, reached through Call.
    ROOT / "tako" / "mcp" / "auth" / "token_file.py",
    ROOT / "tako" / "journal" / "file_store.py",
    ROOT / "tako" / "journal" / "sqlite_store.py",
    ROOT / "tako" / "verifiers" / "command_run.py",
    ROOT / "tako" / "routers" / "model_file.py",
    # Trainings are run by people, not by flows: their files, and their command line.
    ROOT / "tako" / "training" / "files.py",
    ROOT / "tako" / "training" / "command_line.py",
    ROOT / "tako" / "training" / "__main__.py",
    # The command line of evaluations: what it reads and writes, and whom a name at a terminal means.
    ROOT / "tako" / "eval" / "__main__.py",
    ROOT / "tako" / "eval" / "command_line.py",
    ROOT / "tako" / "eval" / "files.py",
    ROOT / "tako" / "eval" / "names.py",
    # Blocking functions, reached through Call.
    ROOT / "tako" / "eval" / "patches.py",
}
"""The only other files of the core that touch the file system."""
CORE = sorted(
    path
    for path in (ROOT / "tako").rglob("*.py")
    if path not in FILES and (not path.is_relative_to(HANDS) or path.name in SANS_IO_TOOLS)
)
PACKAGES = [
    path for name in ("tako", "tako_io_*") for folder in ROOT.glob(name) for path in folder.rglob("*.py")
]
OURS = sorted(
    {
        *PACKAGES,
        *(path for name in ("tests", "fuzz", "bench", "examples") for path in (ROOT / name).rglob("*.py")),
    }
)
TEXTS = sorted(
    {
        *OURS,
        *ROOT.glob("*.toml"),
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        ROOT / "Makefile",
        ROOT / ".ci" / "run",
    }
)

DOOR = ROOT / "tako" / "_adapters.py"
ADAPTERS = ("tako_io_sync", "tako_io_trio", "tako_io_asyncio")
FORBIDDEN_MODULES = (
    # I/O
    "http.client",
    "http.server",
    "io",
    "pathlib",
    "requests",
    "select",
    "selectors",
    "shutil",
    "signal",
    "_socket",
    "socket",
    "socketserver",
    "ssl",
    "subprocess",
    "tempfile",
    "urllib.error",
    "urllib.request",
    "urllib3",
    # threads and event loops
    "_thread",
    "anyio",
    "asyncio",
    "concurrent",
    "gevent",
    "greenlet",
    "multiprocessing",
    "queue",
    "sched",
    "threading",
    "trio",
    # the clock and chance
    "random",
    "secrets",
    "time",
    "uuid",
)
FOR_HANDS = ("selectors", "shutil", "signal", "subprocess", "threading", "time")
"""What a tool that runs programs and walks through directories cannot do without."""
FORBIDDEN_CALLS = {"__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"}
ALLOWED_OF_MODULE = {
    "os": {"environ", "fspath"},
    "sys": {"getrecursionlimit", "maxsize", "modules", "platform", "version_info"},
}
CLOCKS = {"now", "today", "utcnow"}

LINES_OF_A_FILE = 700
LINES_OF_A_FUNCTION = 40


def violations(source: str, *, is_door: bool = False) -> list[str]:
    """Everything in a module of the core that breaks a rule, each as "line: what"."""
    tree = ast.parse(source)
    seen = sorted(set(_walk(tree, is_door=is_door)))
    return [f"{line}: {what}" for line, what in seen]


def _walk(node: ast.AST, *, is_door: bool) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.If) and _is_for_types_only(node.test):
        for other in node.orelse:
            yield from _walk(other, is_door=is_door)
        return
    if isinstance(node, ast.Import):
        yield from ((node.lineno, what) for alias in node.names for what in _imports(alias.name, is_door))
    elif isinstance(node, ast.ImportFrom) and node.level == 0:
        yield from ((node.lineno, what) for what in _imports_from(node, is_door))
    elif isinstance(node, ast.Call):
        yield from ((node.lineno, what) for what in _calls(node))
    elif isinstance(node, ast.Attribute):
        owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        yield from ((node.lineno, what) for what in _takes(owner, node.attr))
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, is_door=is_door)


def _is_for_types_only(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _imports(module: str, is_door: bool) -> Iterator[str]:
    if module.split(".")[0] in ADAPTERS and not is_door:
        yield f"imports {module} past tako/_adapters.py"
    if any(module == forbidden or module.startswith(f"{forbidden}.") for forbidden in FORBIDDEN_MODULES):
        yield f"imports {module}"


def _imports_from(node: ast.ImportFrom, is_door: bool) -> Iterator[str]:
    module = node.module or ""
    yield from _imports(module, is_door)
    for alias in node.names:
        if module in ALLOWED_OF_MODULE:
            yield from _takes(module, alias.name)
        elif not any(True for _ in _imports(module, is_door)):
            yield from _imports(f"{module}.{alias.name}", is_door)


def _calls(node: ast.Call) -> Iterator[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in FORBIDDEN_CALLS:
        yield f"calls {name}()"
    attribute = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if "import_module" in (name, attribute) and not _names_our_module(node.args[0]):
        yield "imports a module by a name that is not in tako"


def _names_our_module(name: ast.expr) -> bool:
    """True for "tako.…" and f"{__name__}.…": an import by name of something in this package."""
    if isinstance(name, ast.Constant):
        return isinstance(name.value, str) and name.value.split(".")[0] == "tako"
    start = name.values[0] if isinstance(name, ast.JoinedStr) else None
    if isinstance(start, ast.Constant):
        return str(start.value).startswith("tako.")
    return (
        isinstance(start, ast.FormattedValue)
        and isinstance(start.value, ast.Name)
        and start.value.id == "__name__"
    )


def _takes(module: str, name: str) -> Iterator[str]:
    if module in ALLOWED_OF_MODULE and name not in ALLOWED_OF_MODULE[module]:
        yield f"uses {module}.{name}"
    if module in ("date", "datetime") and name in CLOCKS:
        yield f"uses the clock: {module}.{name}"


def long_functions(source: str) -> list[str]:
    """Functions of more lines than allowed, not counting the signature and the docstring."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > LINES_OF_A_FUNCTION:
                found.append(f"{node.lineno}: {node.name} has {lines} lines")
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_holds_no_io_no_clock_and_no_chance(path: Path) -> None:
    assert violations(path.read_text(), is_door=path == DOOR) == []


@pytest.mark.parametrize("path", sorted(HANDS.glob("*.py")), ids=name_of)
def test_the_built_in_tools_touch_files_and_processes_and_no_network(path: Path) -> None:
    seen = [what for violation in violations(path.read_text()) for what in [violation.partition(": ")[2]]]
    allowed = {f"imports {module}" for module in FOR_HANDS}
    assert [what for what in seen if what.startswith("imports") and what not in allowed] == []


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_no_file_is_longer_than_its_ceiling(path: Path) -> None:
    assert len(path.read_text().split("\n")) - 1 <= LINES_OF_A_FILE


@pytest.mark.parametrize("path", PACKAGES, ids=name_of)
def test_no_function_is_longer_than_its_ceiling(path: Path) -> None:
    assert long_functions(path.read_text()) == []


def test_no_file_names_the_machine_it_was_written_on() -> None:
    places = [str(place) for place in (ROOT, Path.home()) if len(place.parts) > 1]
    named = [
        f"{name_of(path)} names {place}"
        for path in TEXTS
        for place in places
        if re.search(rf"(?<![\w.]){re.escape(place)}/", path.read_text())
    ]
    assert named == []


def test_there_is_something_to_look_at() -> None:
    assert len(CORE) > 40
    assert DOOR in CORE


@pytest.mark.parametrize("module", [*FORBIDDEN_MODULES, *ADAPTERS])
def test_the_walker_sees_each_forbidden_import_in_each_form(module: str) -> None:
    package, _, last = module.rpartition(".")
    forms = [
        f"import {module}",
        f"import json, {module} as other",
        f"from {module} import anything",
        f"import {module}.deeper",
        f"def f():\n    import {module}",
        f"try:\n    import {module}\nexcept ImportError:\n    pass",
        f"if TYPE_CHECKING:\n    pass\nelse:\n    import {module}",
        f"if not TYPE_CHECKING:\n    import {module}",
        *([f"from {package} import {last}"] if package else []),
    ]
    assert [form for form in forms if not violations(form)] == []


@pytest.mark.parametrize("call", sorted(FORBIDDEN_CALLS))
def test_the_walker_sees_each_forbidden_call(call: str) -> None:
    assert violations(f"def f(x):\n    return [{call}(x)]") == [f"2: calls {call}()"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os\nos.urandom(8)", ["2: uses os.urandom"]),
        ("import os\nf = os.path", ["2: uses os.path"]),
        ("from os import getpid", ["1: uses os.getpid"]),
        ("import sys\nsys.stdout.write('')", ["2: uses sys.stdout"]),
        ("from datetime import datetime\ndatetime.now()", ["2: uses the clock: datetime.now"]),
        ("import datetime\ndatetime.datetime.now()", ["2: uses the clock: datetime.now"]),
        ("import datetime\ndatetime.date.today()", ["2: uses the clock: date.today"]),
        (
            "import importlib\nimportlib.import_module('json')",
            ["2: imports a module by a name that is not in tako"],
        ),
        ("import_module(f'{name}.x')", ["1: imports a module by a name that is not in tako"]),
        ("import_module(name)", ["1: imports a module by a name that is not in tako"]),
    ],
)
def test_the_walker_sees_what_is_taken_from_a_module(source: str, expected: list[str]) -> None:
    assert violations(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "import os\nkey = os.environ.get('KEY')",
        "from os import environ, fspath",
        "from datetime import datetime\nx = datetime.fromisoformat(text)",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ssl",
        "import typing\nif typing.TYPE_CHECKING:\n    import asyncio",
        "import re\nre.compile('x')\nself.open()\nmachine.input",
        "import urllib.parse\nimport http",
        "from tako.wire import time_of_day",
        "import_module(f'{__name__}.{home}')\nimport_module('tako.testing')\nimport_module(f'tako.testing.{home}')",
    ],
)
def test_the_walker_lets_pass_what_is_allowed(source: str) -> None:
    assert violations(source) == []


def test_the_adapters_have_one_door() -> None:
    assert violations("import tako_io_sync") == ["1: imports tako_io_sync past tako/_adapters.py"]
    assert violations("import tako_io_sync", is_door=True) == []


def test_a_long_function_is_seen() -> None:
    lines = "\n".join(["    x = 1"] * (LINES_OF_A_FUNCTION + 1))
    assert long_functions(f'def f():\n    """Short."""\n{lines}') == [
        f"1: f has {LINES_OF_A_FUNCTION + 1} lines"
    ]
    assert long_functions(f"async def f():\n{lines}") != []
    assert long_functions(f"def f():\n{lines[10:]}") == []
