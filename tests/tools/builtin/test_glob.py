"""glob: what patterns mean, what is left out, in which order, and what hostile trees and patterns cost."""

from __future__ import annotations

import os
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Succeeded
from tako.errors import Cancelled, ToolError
from tako.orchestrators.single_agent import SingleAgent
from tako.testing import ScriptedVendor
from tako.tools import Tool
from tako.tools.builtin.path_patterns import BadPattern, Level, PathPatterns, expand_braces, parse_pattern
from tako.tools.builtin.search import glob_tool
from tako.tools.builtin.walk import LONGEST_RULES, Limits, Walk
from tako.tools.builtin.workspace import Workspace
from tests.contracts.drivers import DRIVERS, Driver
from tests.orchestrators.kit import Recorded, call, results
from tests.tools.builtin.file_kit import refused, use

posix = pytest.mark.skipif(sys.platform == "win32", reason="links and rights of this kind are those of POSIX")


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return glob_tool(Workspace(tmp_path))


def lay_out(root: Path, *paths: str, text: str = "") -> None:
    """Files, each a second older than the one before."""
    for age, path in enumerate(paths):
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        os.utime(place, (1_000_000 - age, 1_000_000 - age))


def paths_in(answer: str) -> list[str]:
    """The paths of an answer without its notes."""
    return [line for line in answer.split("\n\n")[0].split("\n") if not line.startswith("No files")]


def test_what_the_model_is_told_of_it(tool: Tool) -> None:
    assert (tool.name, tool.tool_class) == ("glob", "read_only")
    schema = tool.schema.input_schema
    assert list(schema["properties"]) == ["pattern", "path", "include_ignored"]
    assert schema["required"] == ["pattern"]
    assert all(prop["description"] for prop in schema["properties"].values())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", ["a.py", "b.py"]),
        ("**/*.py", ["a.py", "b.py", "src/c.py", "src/deep/er/d.py"]),
        ("**.py", ["a.py", "b.py"]),
        ("./src/*.py", ["src/c.py"]),
        ("src/**", ["src/c.py", "src/c.ts", "src/deep/er/d.py"]),
        ("**/deep/**", ["src/deep/er/d.py"]),
        ("src/**/d.py", ["src/deep/er/d.py"]),
        ("**/*.{py,t?}", ["a.py", "b.py", "src/c.py", "src/c.ts", "src/deep/er/d.py"]),
        ("{src,x}/{c,{q,w}}.{py,ts}", ["src/c.py", "src/c.ts"]),
        ("[a-b].py", ["a.py", "b.py"]),
        ("[!a].py", ["b.py"]),
        ("[id]/{x}.js", []),
        (r"\[id\]/{x}.js", ["[id]/{x}.js"]),
        (".*", [".env", ".hide"]),
        ("**/.env", [".env"]),
        (".git/**", []),
        ("*/one", []),
        (".h*/one", [".hidden/one"]),
        ("**", ["a.py", "b.py", "[id]/{x}.js", "src/c.py", "src/c.ts", "src/deep/er/d.py"]),
        ("?????", []),
    ],
)
def test_what_a_pattern_finds(tool: Tool, tmp_path: Path, pattern: str, expected: list[str]) -> None:
    lay_out(tmp_path, "a.py", "b.py", "src/c.py", "src/c.ts", "src/deep/er/d.py", "[id]/{x}.js")
    lay_out(tmp_path, ".env", ".hide", ".hidden/one", ".git/config")
    assert sorted(paths_in(use(tool, pattern=pattern))) == sorted(expected or [""])[len(expected) == 0 :]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("", "it is empty; ** stands for all files"),
        ("/etc/*", "it begins with a slash; name the directory as path"),
        ("{a,/etc/*}", "it begins with a slash"),
        ("src/", "it ends with a slash, and only files are found; write ** behind it"),
        ("a/../b", "it goes up with .."),
        ("[a", r"a [ is never closed by a ]; for the character itself write \["),
        ("{a,b", r"a { is never closed by a }; for the character itself write \{"),
        ("[[:odd:]]", "[:odd:] is no class; there are alnum"),
        ("a\\", "it ends in a backslash"),
        ("{a,b}" * 12, "its braces stand for more than 256 patterns"),
        ("{" * 20 + "," + "}" * 20, "braces are nested more than 10 deep"),
        ("a" * 2000, "it has 2,000 characters; use at most 1,000"),
    ],
)
def test_a_pattern_that_means_nothing_is_refused_in_words(tool: Tool, pattern: str, words: str) -> None:
    assert words in refused(tool, pattern=pattern)


def test_the_newest_come_first_and_ties_go_by_name(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "new", "older", "x/old")
    lay_out(tmp_path, "b", "a")
    os.utime(tmp_path / "b", (5, 5))
    os.utime(tmp_path / "a", (5, 5))
    assert use(tool, pattern="**") == "new\nolder\nx/old\na\nb\n\n(5 files)"


def test_the_cap_keeps_the_newest_and_says_how_many_there_are(tool: Tool, tmp_path: Path) -> None:
    for number in range(1203):
        (tmp_path / f"{number:04}").touch()
        os.utime(tmp_path / f"{number:04}", (number, number))
    answer = use(tool, pattern="*")
    assert paths_in(answer) == [f"{number:04}" for number in range(1202, 202, -1)]
    assert answer.endswith("(the newest 1,000 of 1,203 files: use a narrower pattern or path for the rest)")


def test_ignored_files_are_left_out_unless_asked_for(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "a.o", "a.c", "build/x.c", "lib/b.o", "lib/keep.o", "lib/s.c")
    (tmp_path / ".gitignore").write_text("*.o\nbuild/\n")
    (tmp_path / "lib" / ".gitignore").write_text("!keep.o\n/s.c\n")
    assert paths_in(use(tool, pattern="**")) == ["a.c", "lib/keep.o"]
    assert use(tool, pattern="build/*") == (
        "No files matched the pattern.\n\n"
        "(1 ignored entry left out: include_ignored=true searches what is ignored, too)"
    )
    everything = ["a.o", "a.c", "build/x.c", "lib/b.o", "lib/keep.o", "lib/s.c"]
    assert paths_in(use(tool, pattern="**", include_ignored=True)) == everything
    assert paths_in(use(tool, pattern="*.?", path="lib")) == ["lib/keep.o"], "rules above count"


@pytest.mark.parametrize("rule", ["build/", "/build", "build/*", "build/**", "bu*", ""])
def test_B10_a_start_that_is_ignored_or_hidden_is_searched(tool: Tool, tmp_path: Path, rule: str) -> None:
    lay_out(tmp_path, "build/a", "build/in/b", "build/in/c.o", ".x/d")
    (tmp_path / ".gitignore").write_text(f"{rule}\n")
    (tmp_path / "build" / ".gitignore").write_text("*.o\n")
    assert paths_in(use(tool, pattern="**", path="build")) == ["build/a", "build/in/b"]
    assert paths_in(use(tool, pattern="**", path="build/in")) == ["build/in/b"]
    assert paths_in(use(tool, pattern="**", path=".x")) == [".x/d"]


def test_the_start_is_a_directory_inside(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "a/b")
    assert paths_in(use(tool, pattern="*", path=str(tmp_path / "a"))) == ["a/b"]
    assert "a part of the path is no directory" in refused(tool, pattern="*", path="a/b")
    assert "does not exist" in refused(tool, pattern="*", path="missing")
    assert "leads out of the workspace" in refused(tool, pattern="*", path="..")


def test_unconfined_it_goes_anywhere_and_shows_whole_paths(tmp_path: Path) -> None:
    lay_out(tmp_path, "root/a", "other/b")
    tool = glob_tool(Workspace(tmp_path / "root", confined=False))
    assert paths_in(use(tool, pattern="*")) == ["a"]
    assert paths_in(use(tool, pattern="*", path="../other")) == [str(tmp_path / "other" / "b")]


@posix
def test_links_are_not_followed_and_found_only_if_they_lead_to_a_file_inside(tmp_path: Path) -> None:
    lay_out(tmp_path, "secret", "in/file")
    for name, target in [
        ("loop", "."),
        ("to_file", "file"),
        ("out", "../secret"),
        ("etc", "/etc"),
        ("gone", "missing"),
        (".gitignore", "../secret"),
    ]:
        (tmp_path / "in" / name).symlink_to(target)
    tool = glob_tool(Workspace(tmp_path / "in"))
    assert use(tool, pattern="**") == "file\nto_file\n\n(2 files)"


@posix
def test_an_ordinary_link_to_a_directory_may_be_the_start(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "real/a")
    (tmp_path / "link").symlink_to("real")
    assert paths_in(use(tool, pattern="*", path="link")) == ["real/a"]


@posix
def test_names_that_are_no_text_are_shown_in_one_line(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "two\nlines")
    (tmp_path / os.fsdecode(b"\xff")).touch()
    answer = use(tool, pattern="*")
    assert sorted(paths_in(answer)) == ["'\\udcff'", "'two\\nlines'"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="for root nothing is unreadable")
def test_what_cannot_be_read_is_counted(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "a", "closed/b")
    (tmp_path / "closed").chmod(0)
    try:
        assert use(tool, pattern="**") == "a\n\n(1 file)\n(1 entry could not be read)"
    finally:
        (tmp_path / "closed").chmod(0o700)


def walk_of(root: Path, limits: Limits, cancel: CancellationToken | None = None, seconds: float = 60) -> Walk:
    everything = PathPatterns([parse_pattern("**")])
    deadline = time.monotonic() + seconds
    return Walk(
        Workspace(root), ".", everything.top, cancel or CancellationToken(), deadline=deadline, limits=limits
    )


def test_a_huge_directory_ends_at_the_limit_of_entries(tmp_path: Path) -> None:
    lay_out(tmp_path, *(f"d{number % 3}/{number}" for number in range(30)))
    walk = walk_of(tmp_path, Limits(entries=14))
    assert len(list(walk.files())) == 11, "three directories are entries, too"
    assert walk.notes() == [
        "stopped after 14 entries, not everything was searched: name a smaller directory as path"
    ]
    whole = walk_of(tmp_path, Limits(entries=33))
    assert (len(list(whole.files())), whole.notes()) == (30, [])


def test_a_deep_tree_ends_at_the_limit_of_depth(tmp_path: Path) -> None:
    lay_out(tmp_path, "1/2/3/4/f", "1/2/g")
    walk = walk_of(tmp_path, Limits(depth=3))
    assert [found.path for found in walk.files()] == ["1/2/g"]
    assert walk.notes() == ["1 directory more than 3 deep not entered: name one as path"]


def test_a_walk_ends_in_time_and_says_so(tmp_path: Path) -> None:
    lay_out(tmp_path, "a/b")
    walk = walk_of(tmp_path, Limits(), seconds=0)
    assert list(walk.files()) == []
    assert walk.notes() == [
        "the time was used up before everything was searched: name a smaller directory as path"
    ]


def test_a_walk_that_is_cancelled_or_given_up_closes_what_is_open(tmp_path: Path) -> None:
    lay_out(tmp_path, "a", "b/c/d")
    before = len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0
    token = CancellationToken()
    with pytest.raises(Cancelled):
        for _ in walk_of(tmp_path, Limits(), token).files():
            token.cancel()
    files = walk_of(tmp_path, Limits()).files()
    assert [next(files).path, next(files).path] == ["a", "b/c/d"]
    files.close()
    assert (len(os.listdir("/dev/fd")) if before else 0) == before


def test_braces_cost_no_more_than_they_are_long() -> None:
    assert expand_braces("{a}" * 100 + "{b,c}") == [r"\{a\}" * 100 + end for end in "bc"]
    for pattern in ("{a}" * 3_000, "{" + "a," * 10_000 + "}"):
        with pytest.raises(BadPattern, match="characters; use at most"):
            expand_braces(pattern)


class CancelledLater(CancellationToken):
    """Cancels itself when it has been asked so often."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def raise_if_cancelled(self) -> None:
        self.times -= 1
        if self.times < 0:
            self.cancel()
        super().raise_if_cancelled()


def test_a_walk_can_be_stopped_among_names_that_are_all_ignored(tmp_path: Path) -> None:
    lay_out(tmp_path, *"abcde")
    (tmp_path / ".gitignore").write_text("?")
    with pytest.raises(Cancelled):  # six names to list, a file of rules, and then the names again
        list(walk_of(tmp_path, Limits(), CancelledLater(9)).files())


def test_the_rules_above_a_deep_start_are_read_no_longer_than_there_is_time(tmp_path: Path) -> None:
    lay_out(tmp_path, "a/b/c/d/e/f")
    for above in ("a", "a/b", "a/b/c", "a/b/c/d"):
        (tmp_path / above / ".gitignore").write_text("#\n" * 20_000)

    everything = PathPatterns([parse_pattern("**")]).top

    def walk(token: CancellationToken, seconds: float) -> Walk:
        deadline = time.monotonic() + seconds
        return Walk(Workspace(tmp_path), "a/b/c/d/e", everything, token, deadline=deadline)

    with pytest.raises(Cancelled):
        list(walk(CancelledLater(2), 60).files())
    late = walk(CancellationToken(), 0)
    assert list(late.files()) == []
    assert len(late.notes()) == 1 and "the time was used up" in late.notes()[0]


def test_of_rules_that_are_cut_no_half_is_heard(tmp_path: Path) -> None:
    lay_out(tmp_path, "src/main.py", "a.log")
    head = "*.log\n#"
    (tmp_path / ".gitignore").write_text(
        head + "x" * (LONGEST_RULES - len(head) - 5) + "\nsrc/" + "main.pyc\n"
    )
    walk = walk_of(tmp_path, Limits())
    assert [found.path for found in walk.files()] == ["src/main.py"]
    assert walk.notes() == ["only the beginning read of 1 .gitignore"]


@posix
def test_a_directory_that_becomes_a_link_while_it_is_walked_leads_nowhere(tmp_path: Path) -> None:
    lay_out(tmp_path, "in/a", "in/b/c", "out/secret")
    walk = walk_of(tmp_path / "in", Limits())
    seen = []
    for found in walk.files():
        seen.append(found.path)
        if found.path == "a":
            (tmp_path / "in" / "b").rename(tmp_path / "moved")
            (tmp_path / "in" / "b").symlink_to("../out")
    assert seen == ["a"]
    assert walk.notes() == ["1 entry could not be read"]


def test_hostile_patterns_are_linear() -> None:
    name, before = "a" * 255, time.process_time()
    for pattern in (
        "**/" * 300 + "b",
        "*a" * 400 + "b",
        "/".join(["**", "*a*"] * 100) + "/b",
        "[a-z]*" * 150,
    ):
        level = PathPatterns([parse_pattern(pattern)]).top
        for _ in range(20):
            level.matches(name)
            level = level.below(name)
    assert time.process_time() - before < 10, "it would take for ever"


def matches(level: Level, path: str) -> bool:
    *directories, name = path.split("/")
    for directory in directories:
        level = level.below(directory)
    return level.matches(name)


def means(pattern: list[str], path: list[str]) -> bool:
    """What a pattern means, in the plainest words; for short ones only."""
    if not pattern or not path:
        return not pattern and not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return not any(name.startswith(".") for name in path)
        return means(pattern[1:], path) or (not path[0].startswith(".") and means(pattern, path[1:]))
    dots = path[0].startswith(".") and not pattern[0].startswith(".")
    return not dots and fnmatchcase(path[0], pattern[0]) and means(pattern[1:], path[1:])


segments = st.one_of(
    st.just("**"), st.text("ab*?.", min_size=1, max_size=4), st.sampled_from(["[ab]*", "[!a]"])
)
names = st.text("ab.", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))


@given(st.lists(segments, min_size=1, max_size=4), st.lists(names, min_size=1, max_size=4))
def test_a_pattern_means_what_it_means_in_plain_words(pattern: list[str], path: list[str]) -> None:
    # For us, stars side by side are one star.
    level = PathPatterns([parse_pattern("/".join(pattern))]).top
    assert matches(level, "/".join(path)) == means(pattern, path)


@given(st.lists(st.lists(segments, min_size=1, max_size=3).map("/".join), min_size=1, max_size=4), st.data())
def test_a_set_finds_what_its_patterns_find(patterns: list[str], data: st.DataObject) -> None:
    path = "/".join(data.draw(st.lists(names, min_size=1, max_size=3)))
    rows = [parse_pattern(pattern) for pattern in patterns]
    together = matches(PathPatterns(rows).top, path)
    assert together == any(matches(PathPatterns([row]).top, path) for row in rows)
    braces = expand_braces("{" + ",".join(patterns) + ",}")
    assert braces == [*patterns, ""]


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_A09_the_model_finds_a_known_file(tool: Tool, tmp_path: Path, driver: Driver) -> None:
    lay_out(tmp_path, "src/known.py", "src/other.txt")
    model = Recorded([call("1", "glob", pattern="**/*.py"), call("2", "glob", pattern="/etc/*")], "done")
    agent = SingleAgent(model, tools=[tool])
    seen = driver.observe(ScriptedVendor([]), lambda url: agent.flow("which files are there?"))
    assert isinstance(seen.outcome, Succeeded), seen.outcome
    found, outside = results(seen.outcome.value.new_messages)
    assert (found.result, found.is_error) == ("src/known.py\n\n(1 file)", False)
    assert outside.is_error and "begins with a slash" in str(outside.result)
    assert results(model.requests[-1].messages) == [found, outside]


def test_a_call_that_was_cancelled_does_not_begin(tool: Tool, tmp_path: Path) -> None:
    lay_out(tmp_path, "a")
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        use(tool, pattern="**", cancel=token)


def test_bad_arguments_are_answered(tool: Tool) -> None:
    with pytest.raises(ToolError, match="pattern"):
        use(tool)
