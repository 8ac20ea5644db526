"""grep: what a result looks like, what counts, what is left out, and that nothing makes it endless."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Succeeded
from tako.orchestrators.single_agent import SingleAgent
from tako.testing import ScriptedVendor
from tako.tools import Tool
from tako.tools.builtin import grep as module
from tako.tools.builtin.grep import Grep
from tako.tools.builtin.regex import LineSearch
from tako.tools.builtin.search import grep_tool
from tako.tools.builtin.workspace import Workspace
from tests.contracts.drivers import ARMS, Driver
from tests.orchestrators.kit import Recorded, call, results
from tests.tools.builtin.file_kit import refused, use
from tests.tools.builtin.test_glob import lay_out, posix

NOTHING = "No matches found."


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return grep_tool(Workspace(tmp_path))


def test_what_the_model_is_told_of_it(tool: Tool) -> None:
    assert (tool.name, tool.tool_class) == ("grep", "read_only")
    schema = tool.schema.input_schema
    assert list(schema["properties"]) == [
        "pattern", "path", "glob", "context", "max_results", "ignore_case", "fixed", "include_ignored",
    ]  # fmt: skip
    assert schema["required"] == ["pattern"]
    assert all(prop["description"] for prop in schema["properties"].values())


def test_a_hit_is_path_line_and_text_in_the_order_of_paths(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "b", "a/z", "a/c", text="one\ntwo\nthree\n")
    assert use(tool, pattern="t.") == ("b:2:two\nb:3:three\na/c:2:two\na/c:3:three\na/z:2:two\na/z:3:three")
    assert use(tool, pattern="TWO", path="a") == NOTHING
    assert use(tool, pattern="TWO", path="a", ignore_case=True) == "a/c:2:two\na/z:2:two"
    assert use(tool, pattern="^one$", path="b") == "b:1:one"
    assert use(tool, pattern="t.", fixed=True) == NOTHING


def test_context_shows_neighbours_once_and_parts_groups(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x1\n2\n3\n4\nx5\n6\nx7\n8\n9\n10\n11\nx12")
    (tmp_path / "g").write_text("1\nx2\n")
    assert use(tool, pattern="x", context=1).split("\n") == [
        "f:1> x1", "f:2  2", "--", "f:4  4", "f:5> x5", "f:6  6", "f:7> x7", "f:8  8", "--",
        "f:11  11", "f:12> x12", "--", "g:1  1", "g:2> x2",
    ]  # fmt: skip
    assert use(tool, pattern="x(1|5)$", context=2).split("\n") == [
        "f:1> x1", "f:2  2", "f:3  3", "f:4  4", "f:5> x5", "f:6  6", "f:7  x7",
    ]  # fmt: skip


@given(
    st.lists(st.sampled_from(["x", "y"]), max_size=40),
    st.integers(0, 4),
    st.integers(1, 6),
    st.integers(4, 30),
)
def test_any_blocks_give_the_same(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], context: int, most: int, block: int
) -> None:
    """Compared with the plainest way to say it: all lines at once."""
    path = tmp_path_factory.getbasetemp() / "blocks"
    path.write_text("".join(f"{line}\n" for line in lines))
    hits = [number for number, line in enumerate(lines, 1) if line == "x"]
    shown = {near for hit in hits[:most] for near in range(hit - context, hit + context + 1)}
    expected: list[str] = []
    for number, line in enumerate(lines, 1):
        if number in shown:
            if context and expected and number - 1 not in shown:
                expected.append("--")
            mark = (":" if not context else "> ") if number in hits[:most] else "  "
            expected.append(f"f:{number}{mark}{line}")
    with LineSearch(
        "x", ignore_case=False, fixed=True, cancel=CancellationToken(), deadline=time.monotonic() + 60
    ) as search:
        found = Grep(search, context=context, most=most, block=block)
        found.file(os.open(path, os.O_RDONLY), "f")
    assert found.is_open == (len(hits) <= most)
    if found.is_open:
        assert found.lines == expected
    else:
        assert found.lines == expected[: len(found.lines)], "neighbours behind the last hit may be unread"
        assert len([line for line in found.lines if line.endswith("x")]) >= most


def test_B9_the_cap_counts_hits_only_whichever_file_they_are_in(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "a", "b", "c", text="x\ny\nx\ny\nx\n")
    whole = use(tool, pattern="x", max_results=9)
    assert whole.count("x") == 9 and "truncated" not in whole
    cut = use(tool, pattern="x", max_results=8)
    assert cut.split("\n\n")[0].split("\n") == whole.split("\n")[:8]
    assert cut.endswith("\n\n(results truncated at 8 matching lines: use a narrower pattern, path or glob)")
    assert use(tool, pattern="x", max_results=7, context=3).count("> x") == 7, "neighbours do not count"


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.py", ["a.py", "src/b.py", "src/in/c.py"]),
        ("*.{py,ts}", ["a.py", "src/b.py", "src/d.ts", "src/in/c.py"]),
        ("src/*.py", ["src/b.py"]),
        ("src/**/*.{py,ts}", ["src/b.py", "src/d.ts", "src/in/c.py"]),
        ("**/in/*", ["src/in/c.py"]),
        ("e,f.py", ["e,f.py"][:0]),
        ("g,h.txt", ["g,h.txt"]),
        ("?.py", ["a.py", "src/b.py", "src/in/c.py"]),
        ("a+.p(y)", []),
        (".x*", [".xy"]),
    ],
)
def test_B11_the_filter_is_a_glob_of_the_name_or_with_a_slash_of_the_path(
    tool: Tool, tmp_path: Path, glob: str, expected: list[str]
) -> None:
    paths = [
        "a.py",
        "src/b.py",
        "src/in/c.py",
        "src/d.ts",
        "f.py.txt",
        "g,h.txt",
        "g",
        "h.txt",
        "aa.py",
        ".xy",
    ]
    lay_out(tmp_path, *paths, text="text\n")
    (tmp_path / "aa.py").write_text("")
    assert use(tool, pattern="text", glob="") == use(tool, pattern="text")
    found = use(tool, pattern="text", glob=glob)
    assert sorted(line.split(":")[0] for line in found.split("\n") if found != NOTHING) == expected


def test_B10_a_start_that_is_ignored_or_hidden_is_searched(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "build/a", ".x/b", "c.log", "src/.hidden", "node_modules/d", text="text\n")
    (tmp_path / ".gitignore").write_text("build/\n*.log\n")
    assert use(tool, pattern="text") == "node_modules/d:1:text"
    assert use(tool, pattern="text", path="build") == "build/a:1:text"
    assert use(tool, pattern="text", path=".x") == ".x/b:1:text"
    assert use(tool, pattern="text", path="c.log") == "c.log:1:text"
    assert use(tool, pattern="text", path="src/.hidden") == "src/.hidden:1:text"
    assert use(tool, pattern="text", glob="*.log") == (
        f"{NOTHING}\n\n(2 ignored entries left out: include_ignored=true searches what is ignored, too)"
    )
    everything = use(tool, pattern="text", include_ignored=True)
    assert everything == "c.log:1:text\nbuild/a:1:text\nnode_modules/d:1:text"


def test_binary_files_are_skipped_and_counted(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"text\0text")
    (tmp_path / "b").write_bytes(b"text\0")
    (tmp_path / "c").write_bytes(b"text\xff\xe9\r\n\xef\xbb\xbftext")
    assert (
        use(tool, pattern="text$|ÿ|\ufffd")
        == "c:1:text\ufffd\ufffd\nc:2:\ufefftext\n\n(2 binary files skipped)"
    )
    (tmp_path / "c").write_bytes(b"\xef\xbb\xbftext\r\n")
    assert use(tool, pattern="^text$", path="c") == "c:1:text"


def test_long_lines_are_cut_around_the_hit(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a" * 9_000 + "needle" + "b" * 9_000 + "\nneedle" + "c" * 600)
    first, second = use(tool, pattern="needle").split("\n")
    assert first == (
        f"f:1:[... 8,850 characters cut ...]{'a' * 150}needle{'b' * 344}[... 8,656 characters cut ...]"
    )
    assert second == f"f:2:needle{'c' * 494}[... 106 characters cut ...]"
    assert use(tool, pattern="needle", context=1).count("needle") == 2


def test_endless_lines_and_big_files_are_read_in_blocks(tool: Tool, tmp_path: Path) -> None:
    size = module.BLOCK
    with (tmp_path / "f").open("wb") as file:
        file.write(b"x" * (size * 2 + 5) + b"needle\nneedle 2\n")
        file.write(b"nothing in this line\n" * 150_000)
        file.write(b"last needle")
    assert use(tool, pattern="needle") == (
        "f:2:needle 2\nf:150003:last needle\n\n(only the first 1,048,576 bytes searched of 1 very long line)"
    )
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of zeros that takes no space
    assert use(tool, pattern="needle") == f"{NOTHING}\n\n(1 binary file skipped)"


def test_the_result_is_bounded(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(("y" * 480 + "x\n") * 9_000)
    found = use(tool, pattern="x", max_results=10_000)
    assert len(found) < 1_700_000
    assert found.endswith(
        "(results truncated at 1,000,000 characters: use a narrower pattern, or less context)"
    )


@posix
def test_links_pipes_and_what_cannot_be_read_are_not_searched(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "in/a", "secret", text="text\n")
    (tmp_path / "in" / "out").symlink_to("../secret")
    (tmp_path / "in" / "up").symlink_to("..")
    (tmp_path / "in" / "a2").symlink_to("a")
    os.mkfifo(tmp_path / "in" / "pipe")
    confined = grep_tool(Workspace(tmp_path / "in"))
    assert use(confined, pattern="text") == "a:1:text"
    assert use(confined, pattern="text", path="a2") == "a2:1:text"
    assert "leads out of the workspace" in refused(confined, pattern="text", path="out")
    assert "leads out of the workspace" in refused(confined, pattern="text", path="../secret")
    assert "a part of the path is no directory" in refused(confined, pattern="text", path="pipe")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"pattern": "(x"},
            "pattern: not a regular expression of Python: missing ), unterminated subpattern",
        ),
        ({"pattern": "x", "glob": "[a"}, "glob '**/[a': a [ is never closed"),
        ({"pattern": "x", "glob": "/etc/*"}, "glob '/etc/*': it begins with a slash"),
        ({"pattern": "x", "path": "missing"}, "does not exist"),
        ({"pattern": "x", "context": -1}, "context"),
        ({"pattern": "x", "context": 101}, "context"),
        ({"pattern": "x", "max_results": 0}, "max_results"),
    ],
)
def test_bad_arguments_are_refused_in_words(tool: Tool, arguments: dict[str, object], words: str) -> None:
    assert words in refused(tool, **arguments)


def test_an_endless_pattern_ends_in_time_and_names_the_file(tmp_path: Path) -> None:
    lay_out(tmp_path, "b", text="a" * 45_000 + "!\n")
    began = time.monotonic()
    assert refused(grep_tool(Workspace(tmp_path), seconds=0.2), pattern="(a+)+$").startswith(
        "b: pattern: it takes too long and was stopped; repeats"
    )
    lay_out(tmp_path, "a", text="aaa\n")
    found = use(grep_tool(Workspace(tmp_path), seconds=1.0), pattern="(a+)+$")
    assert found.startswith("a:1:aaa\n\n(stopped in b: pattern: it takes too long")
    assert time.monotonic() - began < 10, "it would take for ever"


def test_time_that_is_used_up_between_files_is_said(tmp_path: Path) -> None:
    lay_out(tmp_path, "a", text="x")
    tool = grep_tool(Workspace(tmp_path), seconds=1e-9)
    assert use(tool, pattern="x") == (
        f"{NOTHING}\n\n"
        "(the time was used up before everything was searched: name a smaller directory as path)"
    )


def children() -> str:
    found = subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, text=True)
    return "\n".join(line for line in found.stdout.split("\n") if "-I -S -c" in line)


@pytest.mark.skipif(sys.platform != "linux", reason="asks ps as it is on Linux")
@pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)
def test_a_cancel_ends_an_endless_pattern_on_each_arm(tmp_path: Path, driver: Driver) -> None:
    lay_out(tmp_path, "f", text="a" * 45_000 + "!\n")
    agent = SingleAgent(
        Recorded([call("1", "grep", pattern="(a+)+$")], "done"), tools=[grep_tool(Workspace(tmp_path))]
    )
    token, cancelled = CancellationToken(), list[float]()

    def cancel() -> None:
        patience = time.monotonic() + 5
        while not children() and time.monotonic() < patience:
            time.sleep(0.01)
        cancelled.append(time.monotonic())
        token.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    seen = driver.observe(ScriptedVendor([]), lambda url: agent.flow("search"), cancel=token)
    took = time.monotonic() - cancelled[0]
    canceller.join()
    assert isinstance(seen.outcome, Succeeded), seen.outcome
    assert seen.outcome.value.stop_reason == "cancelled"
    assert took < 5, "it would have ten seconds"
    assert children() == ""


@pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)
def test_the_model_finds_a_line(tool: Tool, tmp_path: Path, driver: Driver) -> None:
    lay_out(tmp_path, "src/a.py", text="def known():\n    pass\n")
    model = Recorded([call("1", "grep", pattern=r"def \w+", glob="*.py")], "done")
    agent = SingleAgent(model, tools=[tool])
    seen = driver.observe(ScriptedVendor([]), lambda url: agent.flow("where is it?"))
    assert isinstance(seen.outcome, Succeeded), seen.outcome
    assert [part.result for part in results(seen.outcome.value.new_messages)] == ["src/a.py:1:def known():"]
