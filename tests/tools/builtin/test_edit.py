"""edit: one passage, found exactly, and the rest of the file byte for byte as it was."""

from __future__ import annotations

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
from tako.tools.builtin import Workspace, edit_tool, read_tool, write_tool
from tako.tools.builtin.closest import SEARCHED_LINES, closest
from tako.tools.builtin.edit import FILE_LIMIT
from tests.contracts.drivers import DRIVERS, Driver
from tests.orchestrators.kit import Recorded, call, results
from tests.tools.builtin.file_kit import names_in, refused, use

PROGRAM = """\
def first(items):
    return items[0]


def last(items):
    return items[-1]


def middle(items):
    return items[len(items) // 2]
"""


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return edit_tool(Workspace(tmp_path))


def edit(tool: Tool, path: Path, content: bytes, old: str, new: str, **options: bool) -> bytes:
    """The file after the edit."""
    (path / "f").write_bytes(content)
    use(tool, file_path="f", old_string=old, new_string=new, **options)
    assert names_in(path) == ["f"]
    return (path / "f").read_bytes()


def refusal(tool: Tool, path: Path, content: bytes, old: str, new: str, **options: bool) -> str:
    """The words of the refusal; the file is as it was."""
    (path / "f").write_bytes(content)
    told = refused(tool, file_path="f", old_string=old, new_string=new, **options)
    assert (path / "f").read_bytes() == content
    assert names_in(path) == ["f"]
    return told


def test_what_the_model_is_told_of_it(tool: Tool) -> None:
    assert (tool.name, tool.tool_class) == ("edit", "mutating")
    schema = tool.schema.input_schema
    assert list(schema["properties"]) == ["file_path", "old_string", "new_string", "replace_all"]
    assert schema["required"] == ["file_path", "old_string", "new_string"]
    assert all(prop["description"] for prop in schema["properties"].values())


# What is replaced.


def test_a_passage_is_replaced_and_shown(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(PROGRAM)
    told = use(
        tool, file_path="f", old_string="return items[-1]", new_string="*_, end = items\n    return end"
    )
    assert (tmp_path / "f").read_text() == PROGRAM.replace(
        "return items[-1]", "*_, end = items\n    return end"
    )
    assert told.split("\n") == [
        "Replaced 1 occurrence in f",
        " 4\t",
        " 5\tdef last(items):",
        "-6\t    return items[-1]",
        "+6\t    *_, end = items",
        "+7\t    return end",
        " 8\t",
        " 9\t",
    ]


@pytest.mark.parametrize(
    ("content", "old", "new", "lines"),
    [
        ("a\nb\nc\n", "b\n", "", [" 1\ta", "-2\tb", " 2\tc"]),
        ("a\nb\nc\n", "a\n", "x\na\n", ["+1\tx", " 2\ta", " 3\tb"]),
        ("a\nb\nc", "c", "c\nd\n", [" 2\tb", " 3\tc", "+4\td", "+5\t"]),
        ("a", "a", "", ["-1\ta", "+1\t"]),
        ("a\nb\nc\nd\n", "b\nc", "b\nx", [" 1\ta", " 2\tb", "-3\tc", "+3\tx", " 4\td"]),
    ],
)
def test_the_answer_shows_the_change_between_its_neighbours(
    tool: Tool, tmp_path: Path, content: str, old: str, new: str, lines: list[str]
) -> None:
    (tmp_path / "f").write_text(content)
    assert use(tool, file_path="f", old_string=old, new_string=new).split("\n")[1:] == lines
    assert (tmp_path / "f").read_text() == content.replace(old, new)


def test_every_occurrence_is_replaced_if_that_is_asked_for(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(PROGRAM)
    told = use(tool, file_path="f", old_string="items", new_string="x", replace_all=True)
    assert (tmp_path / "f").read_text() == PROGRAM.replace("items", "x")
    assert told.startswith("Replaced 7 occurrences in f\n-1\tdef first(items):\n+1\tdef first(x):\n")
    assert "-5\tdef last(items):\n+5\tdef last(x):" in told
    assert told.endswith("[... the other places are not shown ...]")
    assert edit(tool, tmp_path, b"aaa", "a", "b", replace_all=True) == b"bbb"


def test_a_long_change_is_shown_in_short(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a")
    told = use(tool, file_path="f", old_string="a", new_string="\n".join(["y" * 300] * 100))
    assert told.split("\n")[2] == f"+1\t{'y' * 200}[... 100 characters cut ...]"
    assert told.endswith("\n[... 70 lines cut ...]")


texts = st.text(alphabet="ab\n", max_size=20)


@given(
    before=texts, old=st.text(alphabet="ab\n", min_size=1, max_size=3), new=texts, everywhere=st.booleans()
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_it_does_what_replacing_the_text_would(
    tmp_path_factory: pytest.TempPathFactory, end: str, before: str, old: str, new: str, everywhere: bool
) -> None:
    folder = tmp_path_factory.mktemp("f")
    file = folder / "f"
    file.write_bytes(before.replace("\n", end).encode())
    places = [at for at in range(len(before)) if before.startswith(old, at)]
    possible = old != new and (len(places) == 1 or (everywhere and len(places) > 0))
    arguments = {"file_path": "f", "old_string": old, "new_string": new, "replace_all": everywhere}
    try:
        use(edit_tool(Workspace(folder)), **arguments)
    except ToolError:
        assert not possible
        assert file.read_bytes() == before.replace("\n", end).encode()
        return
    assert possible
    # A text of one line has no line ends to keep.
    kept = end if "\n" in before else "\n"
    assert file.read_bytes() == before.replace(old, new).replace("\n", kept).encode()


# What stays as it is.


@pytest.mark.parametrize(
    ("content", "old", "new", "after"),
    [
        (b"a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz", b"x\r\ny\r\nz\r\nc\r\n"),
        (b"a\r\nb\r\nc\r\n", "a\r\nb", "x\r\ny", b"x\r\ny\r\nc\r\n"),
        (b"a\nb\n", "a\r\nb", "x\r\ny", b"x\ny\n"),
        (b"a\r\nb\n", "a", "x\ny", b"x\ny\r\nb\n"),
        (b"a\r\nb\r\nc\nd\n", "c\nd", "x\ny", b"a\r\nb\r\nx\ny\n"),
        (b"a\r\nb\nc\n", "a\nb", "x\ny", b"x\r\ny\nc\n"),
        (b"a\r\nb\nc\n", "\nc", "\nx", b"a\r\nb\nx\n"),
        (b"a\rb\n", "a\rb", "x\ry", b"x\ry\n"),
        (b"\xef\xbb\xbfa\n", "a", "b", b"\xef\xbb\xbfb\n"),
        (b"\xff a \xfe text\n", " a ", " b ", b"\xff b \xfe text\n"),
        ("é\u2028x\n".encode(), "x", "é", "é\u2028é\n".encode()),
    ],
)
def test_line_ends_and_odd_bytes_are_kept(
    tool: Tool, tmp_path: Path, content: bytes, old: str, new: str, after: bytes
) -> None:
    assert edit(tool, tmp_path, content, old, new) == after


def test_the_mode_and_a_link_stay(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_text("a")
    (tmp_path / "real" / "f").chmod(0o755)
    (tmp_path / "link").symlink_to("real/f")
    use(tool, file_path="link", old_string="a", new_string="b")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "f").read_text() == "b"
    assert (tmp_path / "real" / "f").stat().st_mode & 0o777 == 0o755


# What is refused.


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "x", "old_string is empty"),
        ("", "", "old_string is empty"),
        ("a", "a", "are the same"),
        ("a\r\n", "a\n", "are the same"),
        ("a\0", "x", "NUL"),
        ("a", "x\0", "NUL"),
    ],
)
@pytest.mark.parametrize("replace_all", [True, False])
def test_an_edit_that_is_none_is_refused(
    tool: Tool, tmp_path: Path, old: str, new: str, words: str, replace_all: bool
) -> None:
    assert words in refusal(tool, tmp_path, b"a\n", old, new, replace_all=replace_all)


def test_several_places_are_named(tool: Tool, tmp_path: Path) -> None:
    told = refusal(tool, tmp_path, PROGRAM.encode(), "return", "yield")
    assert told == (
        "old_string is in f 3 times (lines 2, 6, 10); give more of the text around it, or set replace_all"
    )
    told = refusal(tool, tmp_path, b"x\r\n" * 50, "x", "y")
    assert "50 times (lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...)" in told
    told = refusal(tool, tmp_path, b"x\naaa", "aa", "b")
    assert "more than once, overlapping (line 2)" in told


@pytest.mark.parametrize("replace_all", [True, False])
def test_a_passage_with_two_kinds_of_line_ends_is_refused(
    tool: Tool, tmp_path: Path, replace_all: bool
) -> None:
    told = refusal(tool, tmp_path, b"a\nb\na\r\nb\n", "a\nb", "x", replace_all=replace_all)
    assert "with LF and with CRLF" in told


def test_a_passage_whose_own_line_ends_are_mixed_is_explained(tool: Tool, tmp_path: Path) -> None:
    told = refusal(tool, tmp_path, b"a\r\nb\nc\r\n", "a\nb\nc", "x")
    assert told == (
        "old_string is in f only with LF and CRLF line ends mixed; "
        "replace fewer lines at a time, down to a single one"
    )


def test_the_closest_passage_is_shown(tool: Tool, tmp_path: Path) -> None:
    told = refusal(tool, tmp_path, PROGRAM.encode(), "def lst(item):\n    return items[-1]\n", "x")
    assert told == (
        "old_string is not in f; this passage is the most alike:\n"
        "5\tdef last(items):\n6\t    return items[-1]"
    )


def test_a_difference_in_white_space_is_named(tool: Tool, tmp_path: Path) -> None:
    content = PROGRAM.replace("\n", "\r\n").encode()
    told = refusal(tool, tmp_path, content, "def middle(items):\n\treturn items[len(items) // 2]", "x")
    assert told == (
        "old_string is not in f; this passage is the same but for white space:\n"
        "9\tdef middle(items):\n10\t    return items[len(items) // 2]"
    )


def test_line_numbers_of_read_are_recognised(tool: Tool, tmp_path: Path) -> None:
    told = refusal(tool, tmp_path, PROGRAM.encode(), "5\tdef last(items):\n6\t    return items[-1]", "x")
    assert "leave out the line numbers" in told


def test_nothing_alike_is_said(tool: Tool, tmp_path: Path) -> None:
    assert "nor anything like it" in refusal(tool, tmp_path, PROGRAM.encode(), "zyx wvu tsr", "x")
    assert "nor anything like it" in refusal(tool, tmp_path, b"", "zyx", "x")
    assert "nor anything like it" in refusal(tool, tmp_path, b"\n\n", "zyx", "x")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n\0a", "an image (image/png), 10 bytes"),
        (b"\0a", "binary data"),
        (b"a" * 100_000 + b"\0", "binary data, 100,001 bytes"),
    ],
)
def test_binary_data_is_left_alone(tool: Tool, tmp_path: Path, content: bytes, words: str) -> None:
    told = refusal(tool, tmp_path, content, "a", "b")
    assert told.startswith("f is no text: ") and words in told


def test_a_file_or_a_result_that_is_too_large_is_refused(tool: Tool, tmp_path: Path) -> None:
    told = refusal(tool, tmp_path, b"a" * (FILE_LIMIT + 1), "a", "b")
    assert told == "f has 16,777,217 bytes; at most 16,777,216 bytes are edited; use bash with sed"
    told = refusal(tool, tmp_path, b"a" * 100_000, "a", "b" * 100_000, replace_all=True)
    assert told == "f would have 10,000,000,000 bytes; at most 16,777,216 bytes are edited"
    told = refusal(tool, tmp_path, b"a\r\n" * 4_000_000, "\n", "\n\n", replace_all=True)
    assert "would have 20,000,000 bytes" in told


@pytest.mark.parametrize(
    ("path", "words"),
    [("missing", "does not exist"), (".", "is a directory"), ("../f", "leads out"), ("", "empty")],
)
def test_what_is_no_file_is_refused(tool: Tool, tmp_path: Path, path: str, words: str) -> None:
    assert words in refused(tool, file_path=path, old_string="a", new_string="b")
    assert names_in(tmp_path) == []


def test_a_cancel_leaves_the_file(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a")
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        use(tool, cancel=token, file_path="f", old_string="a", new_string="b")
    assert (tmp_path / "f").read_text() == "a"
    assert names_in(tmp_path) == ["f"]


class Meddler(CancellationToken):
    """Changes a file when somebody asks whether to stop."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def raise_if_cancelled(self) -> None:
        self.path.write_text("theirs: a")


def test_what_changed_since_it_was_read_is_not_overwritten(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine: a")
    with pytest.raises(ToolError, match="changed by somebody else meanwhile"):
        use(tool, cancel=Meddler(tmp_path / "f"), file_path="f", old_string="a", new_string="b")
    assert (tmp_path / "f").read_text() == "theirs: a"
    assert names_in(tmp_path) == ["f"]


# The closest passage.


def test_the_passage_is_as_high_as_what_was_looked_for() -> None:
    lines = [f"line number {number} of many" for number in range(1000)]
    wanted = "line numbr 500 of many\nline number 501 of mny\n"
    found = closest("\n".join(lines).encode(), wanted, CancellationToken())
    assert found is not None
    assert (found.first, found.lines, found.spaced) == (501, tuple(lines[500:502]), False)


def test_a_passage_higher_than_the_file_is_compared_with_all_of_it() -> None:
    found = closest(b"one line\ntwo lines", "one line\ntwo lines\nthree", CancellationToken())
    assert found is not None
    assert (found.first, len(found.lines)) == (1, 2)


def test_it_stops_looking_and_can_be_stopped() -> None:
    text = b"nothing\n" * SEARCHED_LINES + b"something else\n"
    assert closest(text, "something else", CancellationToken()) is None
    assert closest(text[8:], "something els", CancellationToken()) is not None
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        closest(text, "something else", token)


# Through an agent.


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_A10_read_then_edit_changes_the_file(tmp_path: Path, driver: Driver) -> None:
    workspace = Workspace(tmp_path)
    model = Recorded(
        call("1", "write", file_path="src/greet.py", content="def greet():\n    return 'hi'\n"),
        call("2", "read", file_path="src/greet.py"),
        call("3", "edit", file_path="src/greet.py", old_string="'hi'", new_string="'hello'"),
        "done",
    )
    agent = SingleAgent(model, tools=[read_tool(workspace), write_tool(workspace), edit_tool(workspace)])
    seen = driver.observe(ScriptedVendor([]), lambda url: agent.flow("be polite"))
    assert isinstance(seen.outcome, Succeeded), seen.outcome
    shown = " 1\tdef greet():\n-2\t    return 'hi'\n+2\t    return 'hello'"
    assert [(part.result, part.is_error) for part in results(seen.outcome.value.new_messages)] == [
        ("Created src/greet.py: 2 lines, 29 bytes", False),
        ("1\tdef greet():\n2\t    return 'hi'", False),
        (f"Replaced 1 occurrence in src/greet.py\n{shown}", False),
    ]
    assert (tmp_path / "src" / "greet.py").read_text() == "def greet():\n    return 'hello'\n"
