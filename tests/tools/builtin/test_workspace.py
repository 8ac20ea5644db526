"""The way from a path to a place: what is inside is found, what is outside never."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput, ToolError
from tako.tools import ToolPolicy, builtin
from tako.tools.builtin import Workspace
from tako.tools.builtin.directory import Directory, kind_of
from tako.tools.builtin.edit import edit_tool
from tako.tools.builtin.read import read_tool
from tako.tools.builtin.write import write_tool
from tests.tools.builtin.file_kit import refused, use


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a file in each of two directories, and a secret beside it."""
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "top.txt").write_text("top")
    (root / "a" / "b" / "deep.txt").write_text("deep")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "outside").mkdir()
    return root


@pytest.fixture(params=[True, False], ids=["by descriptor", "by name"])
def workspace(root: Path, request: pytest.FixtureRequest) -> Workspace:
    """A workspace as it is here, and as it is on a system that cannot open relative to a directory."""
    made = Workspace(root)
    made._by_descriptor = request.param
    return made


def text_of(workspace: Workspace, path: str) -> str:
    with os.fdopen(workspace.open_file(path)) as file:
        return file.read()


def refusal(workspace: Workspace, path: str) -> ToolError:
    with pytest.raises(ToolError) as caught:
        os.close(workspace.open_file(path))
    return caught.value


# What is inside.


@pytest.mark.parametrize(
    "path",
    [
        "a/b/deep.txt",
        "./a//b/./deep.txt",
        "a/../a/b/deep.txt",
        "{root}/a/b/deep.txt",
        "/{root}/a/b/../b/deep.txt",
    ],
)
def test_every_spelling_of_a_path_inside_leads_there(workspace: Workspace, path: str) -> None:
    assert text_of(workspace, path.format(root=workspace.root)) == "deep"


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("a/link", "../top.txt"),
        ("link", "top.txt"),
        ("a/b/link", "../../top.txt"),
        ("link", "{root}/top.txt"),
        ("link", "./a/b/../../a/../top.txt"),
    ],
)
def test_a_link_that_stays_inside_is_followed(
    workspace: Workspace, root: Path, link: str, target: str
) -> None:
    (root / link).symlink_to(target.format(root=root))
    (root / "chain").symlink_to(link)
    assert text_of(workspace, link) == text_of(workspace, "chain") == "top"


def test_dots_go_back_from_where_a_link_led(workspace: Workspace, root: Path) -> None:
    (root / "a" / "top.txt").write_text("a/top")
    (root / "b").symlink_to("a/b")
    assert text_of(workspace, "b/../top.txt") == "a/top"


def test_a_root_may_be_reached_through_a_link(workspace: Workspace, root: Path) -> None:
    alias = root.parent / "alias"
    alias.symlink_to(root)
    other = Workspace(alias)
    other._by_descriptor = workspace._by_descriptor
    assert text_of(other, "top.txt") == "top"
    assert text_of(other, f"{alias}/top.txt") == text_of(other, f"{root}/top.txt") == "top"


def test_a_place_says_where_a_path_leads(workspace: Workspace, root: Path) -> None:
    (root / "new").symlink_to("a/b/missing.txt")
    with workspace.place("new") as place:
        assert (place.path, place.name, place.status()) == (
            str(root / "a/b/missing.txt"),
            "missing.txt",
            None,
        )
    with workspace.place("a/b/..") as place:
        status = place.status()
        assert status is not None and kind_of(status) == "directory"
        assert place.path == str(root / "a") or place.name == "a"


def test_a_directory_is_listed_without_following_what_is_in_it(workspace: Workspace, root: Path) -> None:
    (root / "out").symlink_to("../outside")
    os.mkfifo(root / "pipe")
    with workspace.directory() as directory:
        assert directory.path == str(root)
        assert sorted((entry.name, entry.kind) for entry in directory.entries()) == [
            ("a", "directory"),
            ("out", "link"),
            ("pipe", "pipe"),
            ("top.txt", "file"),
        ]
        with pytest.raises(ToolError):
            directory.open_directory("out")
        with directory.open_directory("a") as inner:
            assert [entry.name for entry in inner.entries()] == ["b"]
            assert inner.path == str(root / "a")


def test_parents_are_made_where_they_are_asked_for(workspace: Workspace, root: Path) -> None:
    with workspace.place("new/er/file.txt", parents=True) as place:
        assert place.status() is None
    assert (root / "new" / "er").is_dir()
    with pytest.raises(ToolError):
        with workspace.place("not/there/file.txt"):
            pass
    assert not (root / "not").exists()


def test_no_parent_is_made_on_a_way_that_goes_back(root: Path) -> None:
    with pytest.raises(ToolError, match="does not exist"):
        with Workspace(root).place("new/../../outside/x", parents=True):
            pass
    assert not (root / "new").exists()


def test_the_status_of_a_path_is_that_of_what_it_leads_to(workspace: Workspace, root: Path) -> None:
    (root / "link").symlink_to("top.txt")
    status = workspace.status("link")
    assert status is not None and status.st_size == 3
    assert workspace.status("nothing") is workspace.status("no/thing") is None


# What is outside.


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../secret.txt",
        "a/../../secret.txt",
        "{parent}/secret.txt",
        "{root}/../secret.txt",
        "{root}x/secret.txt",
        "/etc/passwd",
        "/",
        "/proc/self/root/etc/passwd",
        "/proc/self/cwd",
    ],
)
def test_a_path_out_of_the_root_is_refused(workspace: Workspace, path: str) -> None:
    path = path.format(root=workspace.root, parent=os.path.dirname(workspace.root))
    words = str(refusal(workspace, path))
    assert "leads out of the workspace" in words
    assert path in words and workspace.root in words


@pytest.mark.parametrize(
    "target",
    [
        "../../secret.txt",
        "{parent}/secret.txt",
        "b/../../../secret.txt",
        "{root}/../secret.txt",
        "/etc/passwd",
        "/proc/self/root/etc/passwd",
        "/proc/self/fd/0",
    ],
)
def test_a_link_out_of_the_root_is_refused(workspace: Workspace, root: Path, target: str) -> None:
    (root / "a" / "link").symlink_to(target.format(root=root, parent=root.parent))
    (root / "chain").symlink_to("a/link")
    for path in ("a/link", "chain"):
        assert "leads out of the workspace" in str(refusal(workspace, path))


def test_a_directory_that_is_a_link_out_is_refused(workspace: Workspace, root: Path) -> None:
    (root / "out").symlink_to("../outside")
    (root / "up").symlink_to("..")
    assert "leads out" in str(refusal(workspace, "out/x"))
    assert "leads out" in str(refusal(workspace, "up/secret.txt"))
    with pytest.raises(ToolError, match="leads out"):
        workspace.directory("out")
    with pytest.raises(ToolError, match="leads out"):
        with workspace.place("out/new/file", parents=True):
            pass
    assert list((root.parent / "outside").iterdir()) == []


def test_links_in_a_circle_are_an_error(workspace: Workspace, root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    (root / "self").symlink_to("self/self")
    for path in ("one", "one/x", "self"):
        assert refusal(workspace, path).code in ("ELOOP", "ENOTDIR", "ENOENT")


def test_a_bomb_of_links_is_an_error(root: Path) -> None:
    (root / "l0").symlink_to("a/b")
    for number in range(1, 30):
        (root / f"l{number}").symlink_to("/".join([f"l{number - 1}", *[f"../../l{number - 1}"] * 8]))
    assert refusal(Workspace(root), "l29/deep.txt").code == "ELOOP"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "empty"),
        ("a\0b", "NUL"),
        ("x" * 300, "too long for the file system"),
        ("x" * 5000, "5,000 characters"),
        ("~", "~ is not expanded; write the path in full"),
        ("~/notes", "or ./~ for a file of this name"),
        ("nothing.txt", "does not exist"),
        ("top.txt/x", "no directory"),
        ("a", "is a directory"),
        (".", "is a directory"),
        ("\ud800", "half a character"),
        ("new\nline", r"new\nline"),
    ],
)
def test_what_cannot_be_a_file_is_refused_in_words(workspace: Workspace, path: str, words: str) -> None:
    told = str(refusal(workspace, path))
    assert words in told
    assert told.isprintable() and len(told) < 800


def test_names_that_are_no_text_work(workspace: Workspace, root: Path) -> None:
    for name in (b"\xff\xfe.txt", b"two\nlines", b" "):
        Path(os.fsdecode(os.path.join(os.fsencode(root), name))).write_text("odd")
        assert text_of(workspace, os.fsdecode(name)) == "odd"
    assert refusal(workspace, os.fsdecode(b"\xfe")).code == "ENOENT"


def test_the_way_back_may_be_long_and_not_endless(root: Path) -> None:
    workspace = Workspace(root)
    assert text_of(workspace, "a/../" * 700 + "top.txt") == "top"
    (root / "l0").symlink_to("top.txt")
    for number in range(1, 9):
        (root / f"l{number}").symlink_to("a/../" * 700 + f"l{number - 1}")
    assert text_of(workspace, "l5") == "top"
    assert "too many names" in str(refusal(workspace, "l8"))


@given(
    names=st.lists(st.sampled_from(["a", "b", "..", ".", "out", "in", "up", "top.txt", "abs"]), max_size=7)
)
def test_any_walk_ends_inside_or_in_an_error(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    base = tmp_path_factory.mktemp("walks")
    root = base / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "up").symlink_to("../..")
    (root / "a" / "in").symlink_to("b")
    (root / "in").symlink_to("a")
    (root / "out").symlink_to("../root/a")
    (root / "abs").symlink_to(root / "a")
    (root / "a" / "abs").symlink_to(base)
    try:
        with Workspace(root).place("/".join(names) or ".") as place:
            real = os.path.realpath(place.path)
            assert (real + "/").startswith(f"{root}/")
            assert real == os.path.realpath(root / "/".join(names))
    except ToolError:
        pass


def test_without_confinement_every_path_is_allowed(workspace: Workspace, root: Path) -> None:
    free = Workspace(root, confined=False)
    free._by_descriptor = workspace._by_descriptor
    (root / "link").symlink_to("../secret.txt")
    (root / "out").symlink_to("../outside")
    (root.parent / "outside" / "x").write_text("x")
    for path in ("link", "../secret.txt", str(root.parent / "secret.txt"), "out/../secret.txt"):
        assert text_of(free, path) == "secret"
    assert text_of(free, "out/x") == "x"
    assert text_of(free, "/../../.." + str(root / "top.txt")) == "top"


# The value itself.


def test_a_workspace_is_absolute_from_the_start_and_looks_at_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "nowhere")
    assert (workspace.root, workspace.confined) == (str(tmp_path / "nowhere"), True)
    assert Workspace().root == os.getcwd()
    assert Workspace(Path("x")).root == os.path.join(os.getcwd(), "x")
    assert repr(workspace) == f"Workspace({workspace.root!r})"
    assert repr(Workspace("/", confined=False)) == "Workspace('/', confined=False)"
    assert str(refusal(workspace, "x")).startswith(f"{workspace.root}: it does not exist")


@pytest.mark.parametrize("root", ["", "a\0", b"bytes", None, 3])
def test_a_root_that_is_no_path_is_refused_at_once(root: object) -> None:
    with pytest.raises(InvalidInput, match="root"):
        Workspace(root)  # type: ignore[arg-type]


def test_confined_is_a_truth_value() -> None:
    with pytest.raises(InvalidInput, match="confined"):
        Workspace("x", confined="no")  # type: ignore[arg-type]


def test_paths_are_shown_from_the_root_and_in_one_line(workspace: Workspace) -> None:
    assert workspace.shown(f"{workspace.root}/a/b") == "a/b"
    assert workspace.shown(workspace.root) == "."
    assert workspace.shown("/etc/x") == "/etc/x"
    assert workspace.shown("a\nb") == r"'a\nb'"
    assert workspace.shown("x" * 1000).endswith("[... 700 characters cut ...]")


def test_no_descriptor_is_left_open(root: Path) -> None:
    workspace = Workspace(root)
    (root / "out").symlink_to("../secret.txt")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for path in ("out", "a/../../x", "nothing/x", "a/b", "top.txt/x", "a/b/deep.txt"):
        for parents in (False, True):
            try:
                with workspace.place(path, parents=parents) as place:
                    os.close(place.directory.open_file(place.name))
            except ToolError:
                pass
    with workspace.directory("a") as directory:
        next(directory.entries())
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before


def test_a_closed_directory_stays_closed(root: Path) -> None:
    directory = Directory.at(str(root))
    directory.close()
    directory.close()
    assert repr(directory) == f"<Directory {str(root)!r}>"


def test_the_defaults_are_six_tools_in_one_directory(root: Path) -> None:
    tools = builtin.defaults(root, environ={"A": "1"}, timeout=5)
    assert [(tool.name, tool.tool_class) for tool in tools] == [
        ("read", "read_only"),
        ("write", "mutating"),
        ("edit", "mutating"),
        ("glob", "read_only"),
        ("grep", "read_only"),
        ("bash", "mutating"),
    ]
    assert use(tools[0], file_path="top.txt") == "1\ttop"
    assert "leads out" in refused(tools[0], file_path="../secret.txt")
    assert use(builtin.defaults(root, confined=False)[0], file_path="../secret.txt") == "1\tsecret"


@pytest.mark.parametrize(
    "path", ["./src/a", "/project/src/a", "b/../src/a", "src/../secrets/a", "src//../../a"]
)
def test_an_allowing_pattern_lets_no_other_spelling_through(path: str) -> None:
    assert ToolPolicy(allow=["write(file_path=src/**)"]).refusal("write", {"file_path": path})
    assert ToolPolicy(deny=["write(file_path=**src**)"]).refusal("write", {"file_path": path})


POORER = """
import errno, os, sys
for name in "O_NOFOLLOW O_DIRECTORY O_PATH O_NONBLOCK O_CLOEXEC O_NOCTTY fchown fchmod geteuid fork".split():
    if hasattr(os, name):
        delattr(os, name)
del os.register_at_fork
os.supports_dir_fd, os.supports_fd = set(), set()
sys.modules.update(resource=None, fcntl=None, pwd=None, grp=None, termios=None)
from tako.tools.builtin import Workspace, edit_tool, glob_tool, grep_tool, read_tool, write_tool
from tests.tools.builtin.file_kit import refused, use
workspace = Workspace(sys.argv[1])
use(write_tool(workspace), file_path="new/f", content="one")
use(edit_tool(workspace), file_path="new/f", old_string="one", new_string="two")
assert use(read_tool(workspace), file_path="new/f") == "1\\ttwo"
assert use(glob_tool(workspace), pattern="**/f").startswith("new/f")
assert use(grep_tool(workspace), pattern="(t|t)+wo") == "new/f:1:two"
assert "leads out" in refused(read_tool(workspace), file_path="../secret.txt")
"""


def test_a_system_that_has_less_has_the_same_tools(root: Path) -> None:
    subprocess.run([sys.executable, "-c", POORER, str(root)], check=True, timeout=60)


def test_the_options_of_bash_are_named_where_the_defaults_take_them() -> None:
    parameters = inspect.signature(builtin.bash_tool).parameters.values()
    keywords = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    assert keywords == set(builtin.BashOptions.__annotations__)


def test_the_package_knows_its_tools() -> None:
    assert set(builtin.__all__) <= set(dir(builtin))
    assert callable(builtin.web_fetch)
    assert builtin.read_tool(Workspace()).name == "read"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = builtin.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", ["/", "/.", "//", "/./", "/././/"])
@pytest.mark.parametrize("link", [False, True])
def test_a_file_has_no_name_that_ends_like_a_directorys(
    workspace: Workspace, root: Path, end: str, link: bool
) -> None:
    """A rule that denies `*.env` would not know it by such a name."""
    (root / "real.env").write_text("KEY=1\n")
    if link:
        (root / "key.env").symlink_to("real.env")
    path = ("key.env" if link else "real.env") + end
    assert "this is none" in refused(read_tool(workspace), file_path=path)
    assert "directory" in refused(edit_tool(workspace), file_path=path, old_string="1", new_string="2")
    assert "directory" in refused(write_tool(workspace), file_path=path, content="KEY=2\n")
    assert (root / "real.env").read_text() == "KEY=1\n"


def test_a_directory_may_be_named_with_its_slash(workspace: Workspace, root: Path) -> None:
    (root / "folder").mkdir()
    for path in ("folder/", "folder/.", "folder"):
        with workspace.directory(path) as directory:
            assert list(directory.entries()) == []
