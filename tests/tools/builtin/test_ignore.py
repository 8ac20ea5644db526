"""What .gitignore files leave out: by example, and compared with git itself, where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.tools.builtin.ignore import NOTHING_IGNORED, Ignored, IgnoreRules
from tako.tools.builtin.path_patterns import PathPatterns, parse_pattern
from tako.tools.builtin.walk import Walk
from tako.tools.builtin.workspace import Workspace

Tree = dict[str, str]
"""Files by their paths, with their text."""

EVERYTHING = PathPatterns([parse_pattern("**")], hidden=True)


def rules(text: str) -> Ignored:
    return NOTHING_IGNORED.with_rules(IgnoreRules(text.encode()))


def is_ignored(ignored: Ignored, path: str) -> bool:
    """Is a file at this path ignored, itself or with a directory above it?"""
    *directories, name = path.split("/")
    for directory in directories:
        if ignored.has_directory(directory):
            return True
        ignored = ignored.below(directory)
    return name in ignored


@pytest.mark.parametrize(
    ("text", "ignored", "kept"),
    [
        ("*.o", ["a.o", "x/a.o", ".o"], ["a.c", "a.o.c"]),
        ("/a", ["a", "a/b"], ["x/a"]),
        ("x/a", ["x/a"], ["y/x/a", "a"]),
        ("build/", ["build/x", "y/build/x"], ["build", "y/build"]),
        ("*\n!keep", ["a"], ["keep"]),
        ("build/\n!build/keep", ["build/keep"], []),
        ("build/*\n!build/keep", ["build/x"], ["build/keep"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["xx"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a/c"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["x/a/b", "ab"]),
        ("a/*/b", ["a/x/b"], ["a/b", "a/x/y/b"]),
        ("# no\n\\#yes\n\\!bang", ["#yes", "!bang"], ["# no", "no"]),
        ("space   \nkept\\ ", ["space", "kept "], ["space   ", "kept"]),
        ("tail\\\\ ", ["tail\\"], ["tail\\ "]),
        ("crlf\r\n", ["crlf"], ["crlf\r"]),
        ("\ufeffbom", ["bom"], []),
        ("[a-c][!x][]-]", ["ab]", "cy-"], ["ax]", "db]"]),
        ("[[:digit:]]?", ["1x", "12"], ["x1", "1", "1/2"]),
        ("a[\nb\\", [], ["a[", "b\\", "b"]),
        ("\\*", ["*"], ["x", "\\*"]),
        ("é?", ["é1"], ["é"]),
        ("***\n!x/***", [], []),
        ("", [], ["a"]),
        ("/\n//a\n!", [], ["a", "x/a"]),
    ],
)
def test_what_lines_mean(text: str, ignored: list[str], kept: list[str]) -> None:
    found = rules(text)
    assert [path for path in ignored if not is_ignored(found, path)] == []
    assert [path for path in kept if is_ignored(found, path)] == []


def test_the_deepest_file_decides_and_in_it_the_last_line() -> None:
    top = rules("*.log\n!a.log\n*.tmp")
    below = top.below("x").with_rules(IgnoreRules(b"!*.log\na.log\n"))
    assert [name in below for name in ("b.log", "a.log", "b.tmp", "c")] == [False, True, True, False]


def test_what_is_tied_to_a_place_is_forgotten_elsewhere() -> None:
    assert rules("/a/b").below("x") == NOTHING_IGNORED
    assert rules("/a/b").below("a").layers
    assert not rules("*.o").ignores_everything()
    assert rules("build/*").below("build").ignores_everything()


def test_a_file_of_too_many_lines_is_cut_and_says_so() -> None:
    assert IgnoreRules(b"#\n" * 20_000).cut
    assert not IgnoreRules(b"a\n" * 90).cut


def test_hostile_patterns_are_linear() -> None:
    name = "a" * 255
    lines = ["*a" * 400 + "b", "?" * 900, "[a-z]*" * 150 + "!", "/".join(["**", "*a*"] * 100)]
    path = "/".join([name] * 15)
    before = time.process_time()
    assert not is_ignored(rules("\n".join(lines)), path + "/!")
    assert time.process_time() - before < 10, "it would take for ever"


def found_by_walk(root: Path) -> set[str]:
    walk = Walk(Workspace(root), ".", EVERYTHING.top, CancellationToken(), deadline=time.monotonic() + 60)
    files = {found.path for found in walk.files()}
    assert walk.notes() == []
    return files


def found_by_git(root: Path) -> set[str]:
    """The files that git does not ignore: its own words for `untracked`."""
    command = ["git", "-c", f"core.excludesFile={os.devnull}", "ls-files", "-o", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=True)
    return {os.fsdecode(path) for path in done.stdout.split(b"\0") if path}


def lay_out(root: Path, tree: Tree) -> None:
    for path, text in tree.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


names = st.sampled_from(["a", "b", "ab", "a.o", ".a", "é", "b ", "[a]", "a*b", "\\", "#a", "!b"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
parts = st.one_of(
    st.sampled_from(["a", "b", "ab", ".o", "?", "*", "[ab]", "[!a]", "[a-c]", "[[:alpha:]]", "é", ".a"]),
    st.sampled_from(
        ["\\*", "\\[", "[", "\\\\", "\\#", "[]a]", "[^b-]", "[b-a]", " ", "\\ ", "#", "!", "[[:x:]]"]
    ),
)
segments = st.one_of(st.just("**"), st.lists(parts, min_size=1, max_size=3).map("".join))
patterns = st.tuples(
    st.sampled_from(["", "", "!", "/", "!/", "//"]),
    st.lists(segments, min_size=1, max_size=4).map("/".join),
    st.sampled_from(["", "", "/", " ", "//", "\r"]),
).map("".join)
# git itself departs from its documentation where a `**` is no whole segment: see the head of ignore.py.
texts = st.lists(patterns.filter(lambda line: "**" not in without_whole_stars(line)), max_size=5).map(
    "\n".join
)


def without_whole_stars(line: str) -> str:
    kept = [part for part in line.lstrip("!/").rstrip(" \r").split("/") if part != "**"]
    return "/".join(kept)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    tree: Tree = {}
    for path in draw(st.lists(paths, min_size=1, max_size=10)):
        above = path.split("/")
        taken = any("/".join(above[:end]) in tree for end in range(1, len(above) + 1))
        if not taken and not any(other.startswith(f"{path}/") for other in tree):
            tree[path] = ""
    folders = sorted({path.rpartition("/")[0] for path in tree} | {""})
    for folder in draw(st.lists(st.sampled_from(folders), min_size=1, max_size=3, unique=True)):
        tree[f"{folder}/.gitignore".lstrip("/")] = draw(texts)
    return tree


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    """A directory that git takes for a repository."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed: nobody to compare with")
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["git", "init", "-q", place], check=True)
        yield Path(place)


@given(tree=trees(), excluded=texts)
@example(tree={"a/b/c": "", ".gitignore": "a/**\n!a/b/"}, excluded="c")
@example(tree={"foo/bar": "", "foo/barbaz/x": "", ".gitignore": "foo/bar/"}, excluded="")
@example(tree={"é": "", "éa": "", ".gitignore": "?\n??a"}, excluded="")
def test_git_ignores_the_same(repository: Path, tree: Tree, excluded: str) -> None:
    lay_out(repository, {**tree, ".git/info/exclude": excluded})
    try:
        assert found_by_walk(repository) == found_by_git(repository)
    finally:
        for entry in repository.iterdir():
            if entry.name != ".git":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
