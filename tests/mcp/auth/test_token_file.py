"""FileTokens: at no moment can anybody else read it, and at no moment is there half a file."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.mcp.auth import FileTokens, MemoryTokens, TokenStorage
from tests.mcp.auth.kit import town

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    ),
    max_size=8,
)


@given(OPERATIONS)
def test_it_keeps_what_memory_keeps(operations: list[tuple[str, str | None]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tokens.json"
        memory = MemoryTokens()
        for key, value in operations:
            FileTokens(path).set(key, value)
            memory.set(key, value)
        again = FileTokens(str(path))
        assert [again.get(key) for key in "abc"] == [memory.get(key) for key in "abc"]


def test_the_mode_is_right_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the umask would allow everything: looked at while it is empty, and when it is in place."""
    seen: list[int] = []
    replace = os.replace

    def look(source: str, target: str) -> None:
        seen.append(stat.S_IMODE(os.stat(source).st_mode))
        replace(source, target)

    fdopen = os.fdopen

    def look_first(descriptor: int, mode: str, **options: bool) -> object:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return fdopen(descriptor, mode, **options)

    monkeypatch.setattr(os, "replace", look)
    monkeypatch.setattr(os, "fdopen", look_first)
    before = os.umask(0)
    try:
        FileTokens(tmp_path / "t").set("a", "secret")
    finally:
        os.umask(before)
    assert seen == [0o600, 0o600]
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o600, 0o600]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    tokens = FileTokens(tmp_path / "t")
    tokens.set("a", "secret")
    os.chmod(tokens.path, mode)
    for use in (lambda: tokens.get("a"), lambda: tokens.set("a", "new")):
        with pytest.raises(InvalidInput, match=f"not private .mode {mode:04o}") as caught:
            use()
        assert "secret" not in str(caught.value)
    assert b"secret" in Path(tokens.path).read_bytes()


def test_a_link_and_what_is_no_file(tmp_path: Path) -> None:
    FileTokens(tmp_path / "real").set("a", "secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("link", "folder", "pipe"):
        with pytest.raises(InvalidInput, match=name):
            FileTokens(tmp_path / name).get("a")
    with pytest.raises(InvalidInput, match="cannot be kept"):
        FileTokens(tmp_path / "missing" / "t").set("a", "b")
    assert FileTokens(tmp_path / "missing" / "t").get("a") is None


@pytest.mark.parametrize("data", [b"[]", b'{"a": 1}', b"{", b"\xff", b" " * (4 * 1024 * 1024 + 1)])
def test_a_damaged_file_is_left_as_it_is(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t"
    path.touch(mode=0o600)
    path.write_bytes(data)
    for use in (lambda: FileTokens(path).get("a"), lambda: FileTokens(path).set("a", "b")):
        with pytest.raises(InvalidInput, match="does not hold tokens"):
            use()
    assert path.read_bytes() == data


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = FileTokens(tmp_path / "t")
    tokens.set("a", "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InvalidInput, match="No space left"):
        tokens.set("a", "new")
    assert tokens.get("a") == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t", "t.lock"]


def test_writers_take_turns(tmp_path: Path) -> None:
    """None of their records is lost, and readers see whole files."""
    path = tmp_path / "t"

    def write(name: str) -> None:
        tokens = FileTokens(path)
        for number in range(10):
            tokens.set(f"{name}{number}", "x" * 100)
            assert tokens.get(f"{name}{number}") is not None

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert all(FileTokens(path).get(f"{name}{number}") for name in "abcd" for number in range(10))


def test_in_use(tmp_path: Path) -> None:
    storage: TokenStorage = FileTokens(tmp_path / "t")
    place = town(gives_refresh=True, program={"storage": storage})
    assert place.visit() == place.visit(auth=place.program()) == 200
    assert len(place.issuer.asked) == 1
    os.chmod(tmp_path / "t", 0o644)
    with pytest.raises(InvalidInput, match="not private"):
        place.visit(auth=place.program())
    assert "token-" not in repr(storage)


def test_a_path_that_is_none() -> None:
    for path in ("", None, 7):
        with pytest.raises(InvalidInput, match="path"):
            FileTokens(path)  # type: ignore[arg-type]
