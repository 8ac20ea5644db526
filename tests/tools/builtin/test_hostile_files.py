"""read, write and edit among files that mean harm: a clear error, soon, in little memory, and no escape."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.tools import Tool, ToolOutput
from tako.tools.builtin import Workspace, edit_tool, read_tool, write_tool
from tako.tools.builtin.closest import closest
from tako.tools.builtin.directory import WORDS, Directory, explained
from tako.tools.builtin.edit import FILE_LIMIT
from tako.tools.builtin.read import SCAN_LIMIT
from tests.tools.builtin.file_kit import names_in, refused, use

GIB = 1024**3
SOON = 5.0
"""Seconds of our own work, ten times what it takes; what waits for ever is stopped by pytest's own limit."""
MEGABYTE = 1_000_000

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs what Linux has in /proc and /dev")


@contextmanager
def bounded(peak: int = 3 * MEGABYTE) -> Iterator[None]:
    """What is done in here ends soon, and never holds more bytes than this."""
    begun = time.thread_time()
    tracemalloc.start()
    try:
        yield
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert used < peak
    assert time.thread_time() - begun < SOON


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def tools(root: Path) -> dict[str, Tool]:
    return tools_in(Workspace(root))


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A root that everybody may reach."""
    root = Path(tempfile.mkdtemp(prefix="tako-hostile-"))
    root.chmod(0o777)
    try:
        yield root
    finally:
        shutil.rmtree(root)


def tools_in(workspace: Workspace) -> dict[str, Tool]:
    made = (read_tool(workspace), write_tool(workspace), edit_tool(workspace))
    return {tool.name: tool for tool in made}


def refusals(tools: dict[str, Tool], path: str) -> dict[str, str]:
    """How each of the tools refuses a path."""
    return {
        "read": refused(tools["read"], file_path=path),
        "write": refused(tools["write"], file_path=path, content="x"),
        "edit": refused(tools["edit"], file_path=path, old_string="a", new_string="b"),
    }


def sparse(path: Path, beginning: bytes = b"", size: int = 10 * GIB) -> Path:
    path.write_bytes(beginning)
    os.truncate(path, size)
    return path


# Large files.


def test_a_sparse_file_of_10_GB_is_named(tools: dict[str, Tool], root: Path) -> None:
    sparse(root / "f")
    with bounded():
        assert refused(tools["read"], file_path="f") == (
            "f is no text: binary data, 10,737,418,240 bytes; use a program made for it"
        )
        assert "f has 10,737,418,240 bytes" in refused(
            tools["edit"], file_path="f", old_string="a", new_string="b"
        )
        assert use(tools["write"], file_path="f", content="x") == (
            "Replaced f: 1 line, 1 byte (before: 10,737,418,240 bytes)"
        )


def test_the_beginning_of_10_GB_is_read_and_the_rest_not_counted(tools: dict[str, Tool], root: Path) -> None:
    sparse(root / "f", b"line\n" * 10_000)
    with bounded():
        told = use(tools["read"], file_path="f", limit=2)
    assert told == "[Lines 1-2 of more than 2]\n1\tline\n2\tline"


def test_a_line_deep_in_10_GB_is_not_looked_for(tools: dict[str, Tool], root: Path) -> None:
    sparse(root / "f", b"line\n" * 10_000)
    with bounded():
        told = refused(tools["read"], file_path="f", offset=10_001)
    assert told == ("f: line 10002 is more than 67,108,864 bytes into the file; use bash with sed -n or tail")


def test_a_line_that_begins_where_the_looking_ends_is_read(tools: dict[str, Tool], root: Path) -> None:
    with sparse(root / "f", b"text" * 10_000).open("r+b") as file:
        file.seek(SCAN_LIMIT - 1)
        file.write(b"\nlast line\n")
    with bounded():
        told = use(tools["read"], file_path="f", offset=1)
    assert told == "[Lines 2-2 of more than 2]\n2\tlast line"


def test_a_line_of_10_GB_is_cut(tools: dict[str, Tool], root: Path) -> None:
    sparse(root / "f", b"x" * 40_000)
    with bounded():
        told = use(tools["read"], file_path="f")
    first, line = told.split("\n")
    assert first == "[Lines 1-1 of more than 1]"
    assert line.startswith("1\t" + "x" * 2000 + "[... more than 67,")


def test_an_image_of_10_GB_is_refused(tools: dict[str, Tool], root: Path) -> None:
    sparse(root / "f", b"\x89PNG\r\n\x1a\n")
    with bounded(peak=16 * MEGABYTE):
        assert "of 10,737,418,240 bytes; at most" in refused(tools["read"], file_path="f")


# Texts that are hard to search.


def test_a_passage_that_is_almost_everywhere_is_found_missing_soon(
    tools: dict[str, Tool], root: Path
) -> None:
    (root / "f").write_bytes(b"a" * FILE_LIMIT)
    with bounded(peak=6 * FILE_LIMIT):
        told = refused(tools["edit"], file_path="f", old_string="a" * 50_000 + "b", new_string="x")
    assert "old_string is not in f" in told and len(told) < 1000


def test_a_million_places_in_one_line_are_replaced_soon(tools: dict[str, Tool], root: Path) -> None:
    (root / "f").write_bytes(b"ab" * 1_000_000)
    with bounded(peak=40 * MEGABYTE):
        told = use(tools["edit"], file_path="f", old_string="a", new_string="c", replace_all=True)
    assert told.startswith("Replaced 1000000 occurrences in f\n-1\tabab")
    assert len(told) < 1000
    assert (root / "f").read_bytes() == b"cb" * 1_000_000


@pytest.mark.parametrize("line", [b"\n", b"abcabcabc" * 50 + b"\n", b"def f(one, two): return one\n", b"x"])
def test_the_closest_passage_is_looked_for_in_bounded_time(line: bytes) -> None:
    data = line * (8 * MEGABYTE // len(line))
    begun = time.thread_time()
    closest(data, "abc abd\n" * 100_000, CancellationToken())
    assert time.thread_time() - begun < SOON


# What is no file.


def test_a_pipe_without_a_writer_is_refused_at_once(tools: dict[str, Tool], root: Path) -> None:
    os.mkfifo(root / "pipe")
    with bounded():
        told = refusals(tools, "pipe")
    assert set(told.values()) == {f"{root}/pipe is a named pipe; only regular files can be read and written"}


def test_a_socket_is_refused(open_root: Path) -> None:
    tools = tools_in(Workspace(open_root))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(open_root / "socket"))
        for words in refusals(tools, "socket").values():
            assert "socket is a socket; only regular files" in words


@linux
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(tools: dict[str, Tool], root: Path, device: str) -> None:
    if not os.path.exists(device):
        pytest.skip(f"there is no {device}")
    (root / "link").symlink_to(device)
    with bounded():
        for words in refusals(tools, "link").values():
            assert "leads out of the workspace" in words
        free = tools_in(Workspace(root, confined=False))
        for path in (device, "link"):
            for words in refusals(free, path).values():
                assert f"{device} is a device; only regular files" in words


@linux
def test_files_of_the_kernel_are_read_to_their_end_or_explained(root: Path) -> None:
    read = read_tool(Workspace(root, confined=False))
    with bounded():
        assert "Name:" in use(read, file_path="/proc/self/status")
        assert refused(read, file_path="/proc/self/mem").endswith("/mem: input/output error")


def test_a_huge_directory_costs_nothing(tools: dict[str, Tool], root: Path) -> None:
    for number in range(600):
        (root / str(number)).touch()
    with bounded():
        for words in refusals(tools, ".").values():
            assert "is a directory" in words
        use(tools["write"], file_path="1", content="one")
        assert use(tools["read"], file_path="1") == "1\tone"
        with Workspace(root).directory() as directory:
            assert sum(1 for _ in directory.entries()) == 600


def test_deep_nesting_works_and_ends(tools: dict[str, Tool], root: Path) -> None:
    deep = "d/" * 500
    with bounded():
        use(tools["write"], file_path=f"{deep}f", content="deep")
        assert use(tools["read"], file_path=f"{deep}f") == "1\tdeep"
        use(tools["edit"], file_path=f"{deep}f", old_string="deep", new_string="low")
        assert use(tools["read"], file_path=f"{deep}f") == "1\tlow"
        for words in refusals(tools, "d/" * 2100 + "f").values():
            assert "at most 4,096 are allowed" in words


# What the system refuses.


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root may do everything; the tests of what is forbidden are made as nobody then."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_or_written_is_said(open_root: Path) -> None:
    tools = tools_in(Workspace(open_root))
    (open_root / "secret").write_text("a")
    (open_root / "secret").chmod(0o000)
    (open_root / "fixed").write_text("a")
    (open_root / "fixed").chmod(0o444)
    (open_root / "closed").mkdir()
    (open_root / "closed" / "f").write_text("a")
    (open_root / "closed").chmod(0o000)
    (open_root / "full").mkdir()
    (open_root / "full" / "f").write_text("a")
    (open_root / "full" / "f").chmod(0o666)
    (open_root / "full").chmod(0o555)
    try:
        with as_somebody_else():
            for path in ("secret", "closed/f"):
                for words in refusals(tools, path).values():
                    assert words.endswith("permission denied")
            assert use(tools["read"], file_path="fixed") == "1\ta"
            # A rename could replace both of these, one of them even as somebody without the right to.
            for path in ("fixed", "full/f"):
                assert refused(tools["write"], file_path=path, content="x") == (
                    f"{open_root}/{path}: permission denied"
                )
                assert "permission denied" in refused(
                    tools["edit"], file_path=path, old_string="a", new_string="b"
                )
        assert (open_root / "fixed").read_text() == (open_root / "full" / "f").read_text() == "a"
        assert names_in(open_root) == ["closed", "fixed", "full", "secret"]
        assert names_in(open_root / "full") == ["f"]
    finally:
        (open_root / "closed").chmod(0o700)
        (open_root / "full").chmod(0o700)


def test_a_directory_that_may_be_passed_and_not_listed_is_passed(open_root: Path) -> None:
    (open_root / "through").mkdir()
    (open_root / "through" / "f").write_text("a")
    (open_root / "through").chmod(0o711)
    with as_somebody_else():
        if sys.platform == "linux":
            assert use(read_tool(Workspace(open_root)), file_path="through/f") == "1\ta"
        if os.geteuid() == 65534:
            with Workspace(open_root).directory("through") as directory:
                with pytest.raises(ToolError, match="permission denied"):
                    list(directory.entries())


def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else(
    tools: dict[str, Tool], root: Path
) -> None:
    (root / "f").write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, hard))
    try:
        told = refused(tools["write"], file_path="f", content="x" * 2 * MEGABYTE)
        other = refused(tools["write"], file_path="new", content="x" * 2 * MEGABYTE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "larger than the file system allows" in told and "larger than" in other
    assert names_in(root) == ["f"]
    assert (root / "f").read_text() == "old"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "x: the file system is read-only; write somewhere else"),
        (errno.ENOSPC, "x: the disk is full; nothing was changed"),
        (errno.EDQUOT, "x: the disk quota is used up; nothing was changed"),
        (errno.EIO, "x: input/output error"),
    ],
)
def test_an_error_of_the_system_is_told_in_words(number: int, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        with explained("x"):
            raise OSError(number, os.strerror(number))
    assert str(caught.value) == words
    assert caught.value.code == errno.errorcode[number]
    assert all(told == told.strip() and told for told in WORDS.values())


def test_a_root_that_is_no_directory_is_said(root: Path) -> None:
    (root / "f").write_text("x")
    for words in refusals(tools_in(Workspace(root / "f")), "g").values():
        assert words.endswith("no directory")
    for words in refusals(tools_in(Workspace(root / "gone")), "g").values():
        assert "does not exist" in words


# Links that change while we look.


class Swapper:
    """Somebody who puts a link to the outside in the place of a name, and takes it away, again and again."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path, self.target = path, target
        self.aside = path.with_name("aside")
        self.swaps = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.stopped.is_set():
            os.rename(self.path, self.aside)
            try:
                os.symlink(self.target, self.path)
                os.unlink(self.path)
                self.swaps += 1
            except FileExistsError:
                pass  # a tool made the directory that it missed
            self.put_back()

    def put_back(self) -> None:
        while True:
            try:
                os.rename(self.aside, self.path)
                return
            except OSError:
                shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Swapper:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.thread.join()


def tried(tool: Tool, **arguments: Any) -> object:
    try:
        return use(tool, **arguments)
    except ToolError as error:
        return error


@pytest.mark.parametrize("absolute", [False, True])
def test_a_directory_that_becomes_a_link_never_lets_out(root: Path, absolute: bool) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    (root / "a").mkdir()
    (root / "a" / "f").write_text("inside 0")
    tools = tools_in(Workspace(root))
    told: list[object] = []
    with Swapper(root / "a", outside if absolute else Path("../outside")) as swapper:
        for number in range(25):
            told.append(tried(tools["read"], file_path="a/f"))
            told.append(tried(tools["write"], file_path="a/f", content=f"inside {number}"))
            told.append(tried(tools["edit"], file_path="a/f", old_string="inside", new_string="still inside"))
            told.append(tried(tools["write"], file_path=f"a/new{number}", content="x"))
    assert swapper.swaps > 0
    assert not [words for words in told if "secret" in str(words)]
    assert names_in(outside) == ["f"]
    assert (outside / "f").read_text() == "secret"
    assert not [name for name in os.listdir(root / "a") if name.startswith(".tako")]


def test_a_file_that_becomes_a_link_never_lets_out(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    tools = tools_in(Workspace(root))
    told: list[object] = []
    for number in range(30):
        # By turns, because what is written takes the name from the link that the other one puts there.
        (root / "f").unlink(missing_ok=True)
        (root / "f").write_text("inside")
        swapper = threading.Thread(target=_become_link, args=(root / "f", outside / "f"))
        swapper.start()
        told.append(tried(tools["read"], file_path="f"))
        told.append(tried(tools["write"], file_path="f", content=f"inside {number}"))
        told.append(tried(tools["edit"], file_path="f", old_string="secret", new_string="gone"))
        swapper.join()
    assert not [words for words in told if isinstance(words, str) and "secret" in words]
    assert names_in(outside) == ["f"]
    assert (outside / "f").read_text() == "secret"


def _become_link(path: Path, target: Path) -> None:
    beside = path.with_name("beside")
    os.symlink(target, beside)
    os.replace(beside, path)


def test_a_place_that_was_found_stays_where_it_was(root: Path) -> None:
    """The same without chance: the link comes exactly between the look and the use."""
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "f").write_text("secret")
    (root / "a").mkdir()
    (root / "a" / "f").write_text("inside")
    with Workspace(root).place("a/f") as place:
        (root / "a").rename(root / "b")
        (root / "a").symlink_to(outside)
        with os.fdopen(place.directory.open_file("f")) as file:
            assert file.read() == "inside"
        descriptor = place.directory.create_file("new")
        assert descriptor is not None
        os.close(descriptor)
        (root / "b" / "f").unlink()
        (root / "b" / "f").symlink_to(outside / "f")
        with pytest.raises(ToolError):
            place.directory.open_file("f")
        place.directory.rename("new", "f")
    assert names_in(outside) == ["f"]
    assert (outside / "f").read_text() == "secret"
    assert names_in(root / "b") == ["f"] and not (root / "b" / "f").is_symlink()


def _become_pipe(path: Path, target: Path) -> None:
    path.unlink()
    os.mkfifo(path)


class Turning(Directory):
    """A directory in which a file becomes another thing between two uses of its name."""

    def turn(self, become: Callable[[Path, Path], None]) -> Turning:
        self.become, self.uses = become, 0
        return self

    def _named(self, name: str) -> str:
        self.uses += 1
        if self.uses == 2:
            self.become(Path(self.path, name), Path(self.path, "other"))
        return super()._named(name)


@pytest.mark.parametrize(
    ("become", "words"), [(_become_link, "it is a link"), (_become_pipe, "is a named pipe")]
)
def test_what_comes_between_the_look_and_the_opening_is_refused(
    root: Path, become: Callable[[Path, Path], None], words: str
) -> None:
    (root / "f").write_text("inside")
    (root / "other").write_text("secret")
    with Turning.at(str(root)) as directory:
        assert isinstance(directory, Turning)
        with pytest.raises(ToolError, match=words):
            directory.turn(become).open_file("f")
        assert directory.uses == 2


def test_names_that_are_hostile_to_the_reader_are_shown_in_one_line(
    tools: dict[str, Tool], root: Path
) -> None:
    name = "a\n[Lines 1-1 of 1]\x1b[2J\u202egpj.exe"
    told = use(tools["write"], file_path=name, content="x\n")
    assert told.isprintable() and "Created 'a\\n" in told
    told = refused(tools["read"], file_path=name + "/x")
    assert told.isprintable()
    image = root / f"{name}.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n\0")
    seen = use(tools["read"], file_path=image.name)
    assert isinstance(seen, ToolOutput) and str(seen.value).isprintable()
