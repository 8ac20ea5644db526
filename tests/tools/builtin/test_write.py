"""write: a whole file in one step, or nothing."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from tako.cancellation import CancellationToken
from tako.errors import Cancelled, ToolError
from tako.tools import Tool
from tako.tools.builtin import Workspace, replacing, write_tool
from tako.tools.builtin.directory import Directory
from tako.tools.builtin.replacing import CHUNK, replace_file, signature
from tako.tools.builtin.workspace import Place
from tako.tools.builtin.write import CONTENT_LIMIT
from tests.tools.builtin.file_kit import names_in, refused, use


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return write_tool(Workspace(tmp_path))


def test_what_the_model_is_told_of_it(tool: Tool) -> None:
    assert (tool.name, tool.tool_class) == ("write", "mutating")
    assert tool.schema.input_schema["required"] == ["file_path", "content"]
    assert all(prop["description"] for prop in tool.schema.input_schema["properties"].values())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "0 lines, 0 bytes"),
        ("x", "1 line, 1 byte"),
        ("x\n", "1 line, 2 bytes"),
        ("x\ny", "2 lines, 3 bytes"),
        ("é\r\n\U0001f419\r\n", "2 lines, 10 bytes"),
    ],
)
def test_the_content_is_written_as_it_is(tool: Tool, tmp_path: Path, content: str, told: str) -> None:
    assert use(tool, file_path="f", content=content) == f"Created f: {told}"
    assert (tmp_path / "f").read_bytes() == content.encode()
    assert use(tool, file_path=f"{tmp_path}/f", content="new") == (
        f"Replaced f: 1 line, 3 bytes (before: {told.partition(', ')[2]})"
    )
    assert (tmp_path / "f").read_bytes() == b"new"
    assert names_in(tmp_path) == ["f"]


def test_directories_are_made(tool: Tool, tmp_path: Path) -> None:
    assert use(tool, file_path="a/b/c.txt", content="x").startswith("Created a/b/c.txt")
    assert (tmp_path / "a/b/c.txt").read_text() == "x"
    assert names_in(tmp_path / "a/b") == ["c.txt"]


def test_the_mode_stays_and_a_new_one_is_the_umasks(tool: Tool, tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_text("old")
    script.chmod(0o4750)
    use(tool, file_path="run.sh", content="new")
    assert stat.S_IMODE(script.stat().st_mode) == 0o750
    old = os.umask(0o027)
    try:
        use(tool, file_path="fresh", content="x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "fresh").stat().st_mode) == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    os.chown(tmp_path / "f", 12345, 54321)
    use(tool, file_path="f", content="new")
    status = (tmp_path / "f").stat()
    assert (status.st_uid, status.st_gid, status.st_size) == (12345, 54321, 3)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may be somebody else")
@pytest.mark.parametrize(("before", "after"), [(0o640, 0o600), (0o674, 0o644), (0o666, 0o666)])
def test_a_group_that_is_not_the_old_one_may_do_no_more_than_all(before: int, after: int) -> None:
    with TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        file = Path(folder, "f")
        file.write_text("old")
        os.chown(file, 65534, 4242)
        file.chmod(before)
        os.setegid(65534)
        os.seteuid(65534)
        try:
            use(write_tool(Workspace(folder)), file_path="f", content="new")
        finally:
            os.seteuid(0)
            os.setegid(0)
        assert (file.stat().st_gid, stat.S_IMODE(file.stat().st_mode)) == (65534, after)


def test_what_is_written_beside_an_old_file_is_nobody_elses_to_open(tmp_path: Path) -> None:
    modes = []

    class Watched(Directory):
        def create_file(self, name: str, mode: int = 0o666, *, meant_for: str | None = None) -> int | None:
            descriptor = super().create_file(name, mode, meant_for=meant_for)
            assert descriptor is not None
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            return descriptor

    (tmp_path / "f").write_text("secret")
    (tmp_path / "f").chmod(0o604)
    with Watched.at(str(tmp_path)) as directory:
        replace_file(Place(directory, "f"), b"secret, too", CancellationToken())
    assert modes == [0o600]
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o604


def test_nobody_comes_between_the_last_look_and_the_new_name(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    workspace = Workspace(tmp_path)

    def write_late() -> None:
        use(write_tool(workspace), file_path="f", content="written last")

    other = Thread(target=write_late)

    class Slow(Directory):
        def rename(self, old: str, new: str) -> None:
            other.start()
            other.join(0.2)
            super().rename(old, new)

    status = workspace.status("f")
    assert status is not None
    with Slow.at(str(tmp_path)) as directory:
        replace_file(Place(directory, "f"), b"edited", CancellationToken(), expected=signature(status))
    other.join()
    assert (tmp_path / "f").read_text() == "written last"


def test_a_link_stays_and_its_file_is_written(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_text("old")
    (tmp_path / "link").symlink_to("real/f")
    (tmp_path / "to-nothing").symlink_to("real/new")
    use(tool, file_path="link", content="new")
    use(tool, file_path="to-nothing", content="made")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "to-nothing").is_symlink()
    assert (tmp_path / "real" / "f").read_text() == "new"
    assert (tmp_path / "real" / "new").read_text() == "made"


def test_other_names_of_the_old_file_keep_it(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    os.link(tmp_path / "f", tmp_path / "other")
    use(tool, file_path="f", content="new")
    assert (tmp_path / "other").read_text() == "old"


def test_who_has_the_old_file_open_reads_it_to_its_end(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old" * 100)
    with (tmp_path / "f").open() as before:
        use(tool, file_path="f", content="new")
        assert before.read() == "old" * 100


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("directory", "is a directory"),
        (".", "is a directory"),
        ("directory/..", "is a directory"),
        ("directory/new/", "names a directory; name the file in it"),
        ("pipe", "is a named pipe"),
        ("null", "leads out of the workspace"),
        ("../f", "leads out of the workspace"),
        ("file/f", "no directory"),
        ("x" * 256, "too long"),
        ("", "empty"),
    ],
)
def test_what_is_no_file_is_left_alone(tool: Tool, tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    before = names_in(tmp_path)
    assert words in refused(tool, file_path=path, content="x")
    assert names_in(tmp_path) == before
    assert names_in(tmp_path / "directory") == []


def test_a_device_is_left_alone(tmp_path: Path) -> None:
    free = write_tool(Workspace(tmp_path, confined=False))
    assert refused(free, file_path="/dev/null", content="x") == (
        "/dev/null is a device; only regular files can be read and written"
    )


def test_half_a_character_is_refused(tool: Tool, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="half a character"):
        tool.function("f", "ab\ud800", context=None)  # type: ignore[misc]
    assert names_in(tmp_path) == []


def test_too_much_is_refused(tool: Tool, tmp_path: Path) -> None:
    told = refused(tool, file_path="f", content="é" * (CONTENT_LIMIT // 2 + 1))
    assert told == "content has 16,777,218 bytes; at most 16,777,216 bytes are taken"
    assert names_in(tmp_path) == []


# In one step.


class CancelledLater(CancellationToken):
    """Cancels itself when it has been asked so often."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def raise_if_cancelled(self) -> None:
        if self.times == 0:
            self.cancel()
        self.times -= 1
        super().raise_if_cancelled()


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_a_cancel_at_any_moment_leaves_the_old_file_and_nothing_else(tmp_path: Path, times: int) -> None:
    (tmp_path / "f").write_text("old")
    with Workspace(tmp_path).place("f") as place:
        with pytest.raises(Cancelled):
            replace_file(place, b"x" * 3 * CHUNK, CancelledLater(times))
    assert names_in(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "old"


def test_it_ends_in_one_step_or_not_at_all_when_asked_after_the_last(tmp_path: Path) -> None:
    with Workspace(tmp_path).place("f") as place:
        assert replace_file(place, b"x" * 3 * CHUNK, CancelledLater(4)) is None
    assert (tmp_path / "f").stat().st_size == 3 * CHUNK


def test_what_somebody_else_changed_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    workspace = Workspace(tmp_path)
    status = workspace.status("f")
    assert status is not None
    with workspace.place("f") as place:
        replace_file(place, b"mine", CancellationToken(), expected=signature(status))
        with pytest.raises(ToolError, match="changed by somebody else"):
            replace_file(place, b"late", CancellationToken(), expected=signature(status))
        (tmp_path / "f").unlink()
        with pytest.raises(ToolError, match="changed by somebody else"):
            replace_file(place, b"late", CancellationToken(), expected=signature(status))
    assert names_in(tmp_path) == []


def test_names_that_are_taken_are_passed_over(tmp_path: Path) -> None:
    with Workspace(tmp_path).place("f") as place:
        replace_file(place, b"1", CancellationToken())
        first = next(replacing._numbers) + 1
        taken = [tmp_path / f".tako-{os.getpid()}-{first + number}.tmp" for number in range(replacing.TRIES)]
        for path in taken:
            path.symlink_to("f")
        try:
            with pytest.raises(ToolError, match=r"full of files named \.tako"):
                replace_file(place, b"2", CancellationToken())
        finally:
            for path in taken:
                path.unlink()
        assert (tmp_path / "f").read_bytes() == b"1"
        replace_file(place, b"3", CancellationToken())
    assert (tmp_path / "f").read_bytes() == b"3"


def test_writers_at_once_do_not_tear(tool: Tool, tmp_path: Path) -> None:
    contents = [letter * 200_000 for letter in "abcd"]
    use(tool, file_path="f", content=contents[0])

    def write(number: int) -> None:
        use(tool, file_path="f", content=contents[number % 4])

    with ThreadPoolExecutor(4) as threads:
        written = [threads.submit(write, number) for number in range(40)]
        seen = {(tmp_path / "f").read_text() for _ in range(40)}
        for each in written:
            each.result()
    assert seen <= set(contents)
    assert names_in(tmp_path) == ["f"]
