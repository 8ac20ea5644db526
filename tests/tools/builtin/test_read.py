"""read: lines with their numbers, what is said of the rest, and what is no text."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Succeeded
from tako.errors import Cancelled, ToolError
from tako.orchestrators.single_agent import SingleAgent
from tako.parts import ImagePart, TextPart
from tako.testing import ScriptedVendor
from tako.tools import Tool, ToolOutput
from tako.tools.builtin import Workspace, read_tool
from tako.tools.builtin.read import CHUNK, IMAGE_LIMIT, LINE_LIMIT, OUTPUT_LIMIT
from tests.contracts.drivers import DRIVERS, Driver
from tests.orchestrators.kit import Recorded, call, results
from tests.tools.builtin.file_kit import refused, use

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return read_tool(Workspace(tmp_path))


def read(tool: Tool, path: Path, content: bytes, **arguments: int) -> str:
    (path / "f").write_bytes(content)
    told = use(tool, file_path="f", **arguments)
    assert isinstance(told, str)
    return told


def test_what_the_model_is_told_of_it(tool: Tool) -> None:
    assert (tool.name, tool.tool_class) == ("read", "read_only")
    schema = tool.schema.input_schema
    assert list(schema["properties"]) == ["file_path", "offset", "limit"]
    assert schema["required"] == ["file_path"]
    assert schema["properties"]["limit"]["default"] == 2000
    assert all(prop["description"] for prop in schema["properties"].values())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"one\ntwo\n", "1\tone\n2\ttwo"),
        (b"one\ntwo", "1\tone\n2\ttwo"),
        (b"\n", "1\t"),
        (b"\n\nx", "1\t\n2\t\n3\tx"),
        (b"a\tb\x0cc\x1b[0m", "1\ta\tb\x0cc\x1b[0m"),
        ("Grüße \U0001f419\u2028x".encode(), "1\tGrüße \U0001f419\u2028x"),
        (b"\xef\xbb\xbfone\n", "1\tone"),
        (b"\xef\xbb\xbf", "[f is empty]"),
        (b"one\r\ntwo\r\n", "1\tone\n2\ttwo\n[the line ends are CRLF; edit takes and keeps them]"),
        (b"", "[f is empty]"),
        (b"a\xffb\n", "1\ta\ufffdb\n[no text in UTF-8, shown as \ufffd: 1 characters]"),
        ("\ufffd\n".encode(), "1\t\ufffd"),
    ],
)
def test_lines_have_numbers(tool: Tool, tmp_path: Path, content: bytes, told: str) -> None:
    assert read(tool, tmp_path, content) == told


@pytest.mark.parametrize(
    ("offset", "limit", "told"),
    [
        (0, 3, "1\ta\n2\tb\n3\tc"),
        (0, 2, "[Lines 1-2 of 3]\n1\ta\n2\tb"),
        (1, 1, "[Lines 2-2 of 3]\n2\tb"),
        (2, 9, "[Lines 3-3 of 3]\n3\tc"),
    ],
)
@pytest.mark.parametrize("content", [b"a\nb\nc", b"a\nb\nc\n"])
def test_a_part_says_of_how_much(
    tool: Tool, tmp_path: Path, content: bytes, offset: int, limit: int, told: str
) -> None:
    assert read(tool, tmp_path, content, offset=offset, limit=limit) == told


@pytest.mark.parametrize("content", [b"a\nb\nc", b"a\nb\nc\n"])
@pytest.mark.parametrize("offset", [3, 4, 10**9])
def test_past_the_end_the_length_is_told(tool: Tool, tmp_path: Path, content: bytes, offset: int) -> None:
    (tmp_path / "f").write_bytes(content)
    assert refused(tool, file_path="f", offset=offset) == f"f has 3 lines; offset {offset} is past the end"


@pytest.mark.parametrize(("name", "value"), [("offset", -1), ("limit", 0), ("limit", "many"), ("lines", 1)])
def test_arguments_that_make_no_sense_are_refused(tool: Tool, name: str, value: object) -> None:
    assert name in refused(tool, **{"file_path": "f", name: value})


texts = st.lists(st.text(alphabet=st.sampled_from("ab é\t\U0001f419"), max_size=8), min_size=1, max_size=12)


@given(lines=texts, offset=st.integers(0, 12), limit=st.integers(1, 12), ended=st.booleans())
def test_it_tells_what_splitting_the_text_would(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], offset: int, limit: int, ended: bool
) -> None:
    folder = tmp_path_factory.mktemp("f")
    text = "\n".join(lines) + ("\n" if ended or not lines[-1] else "")
    (folder / "f").write_bytes(text.encode())
    wanted = [f"{number}\t{line}" for number, line in enumerate(lines, 1)][offset : offset + limit]
    try:
        told = use(read_tool(Workspace(folder)), file_path="f", offset=offset, limit=limit).split("\n")
    except ToolError:
        assert offset >= len(lines)
        return
    if len(wanted) < len(lines):
        assert told.pop(0) == f"[Lines {offset + 1}-{offset + len(wanted)} of {len(lines)}]"
    assert told == wanted


def test_a_NUL_far_behind_the_beginning_is_no_NUL_to_the_model(tool: Tool, tmp_path: Path) -> None:
    told = read(tool, tmp_path, b"text\n" * 10_000 + b"a\0b\0\n", offset=10_000)
    note = "[no text in UTF-8, shown as \ufffd: 2 characters]"
    assert told == f"[Lines 10001-10001 of 10001]\n10001\ta\ufffdb\ufffd\n{note}"


# What is cut.


def test_a_long_line_is_cut_and_the_next_one_is_whole(tool: Tool, tmp_path: Path) -> None:
    told = read(tool, tmp_path, b"x" * 1_000_000 + b"\nnext\n")
    assert told == f"1\t{'x' * LINE_LIMIT}[... 998,000 bytes cut ...]\n2\tnext"


@pytest.mark.parametrize("length", range(LINE_LIMIT - 4, LINE_LIMIT + 5))
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_about_as_long_as_the_limit_is_never_split(
    tool: Tool, tmp_path: Path, length: int, end: bytes
) -> None:
    told = read(tool, tmp_path, b"\xef\xbb\xbf" + b"x" * length + end + b"next" * bool(end)).split("\n")
    text, _, cut = told[0].partition("[... ")
    assert len(text) - 2 + (int(cut.split()[0]) if cut else 0) == length
    assert told[1:2] == (["2\tnext"] if end else [])


@pytest.mark.parametrize("shift", range(4))
def test_no_character_is_cut_in_two(tool: Tool, tmp_path: Path, shift: int) -> None:
    told = read(tool, tmp_path, b"x" * shift + "\U0001f419".encode() * LINE_LIMIT)
    assert "\ufffd" not in told and "UTF-8" not in told
    kept = told.count("\U0001f419") * 4 + shift
    assert LINE_LIMIT - 4 < kept <= LINE_LIMIT
    assert f"[... {shift + 4 * LINE_LIMIT - kept:,} bytes cut ...]" in told


def test_much_text_is_cut_and_says_how_to_go_on(tool: Tool, tmp_path: Path) -> None:
    told = read(tool, tmp_path, (b"y" * 999 + b"\n") * 2000)
    assert OUTPUT_LIMIT < len(told) < OUTPUT_LIMIT + 4000
    assert told.startswith("[Lines 1-263 of 2000]\n1\t")
    assert told.endswith("\n[cut at 262,144 bytes; go on with offset=263]")
    assert use(tool, file_path="f", offset=263, limit=1).startswith("[Lines 264-264 of 2000]\n264\t")


def test_many_lines_are_skipped_and_counted(tool: Tool, tmp_path: Path) -> None:
    content = b"".join(b"%d\n" % number for number in range(1, 300_001))
    assert len(content) > 5 * CHUNK
    for offset in (1, 99_999, 299_999):
        told = read(tool, tmp_path, content, offset=offset, limit=1)
        assert told == f"[Lines {offset + 1}-{offset + 1} of 300000]\n{offset + 1}\t{offset + 1}"


# What is no text.


def test_an_image_is_shown(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_bytes(PNG)
    told = use(tool, file_path="f.txt")
    assert isinstance(told, ToolOutput)
    assert told.value == f"f.txt: image/png, {len(PNG)} bytes"
    assert told.content == (
        TextPart(text=told.value),
        ImagePart(mime="image/png", data_b64=base64.b64encode(PNG).decode()),
    )


@pytest.mark.parametrize(
    ("head", "mime"),
    [(b"\xff\xd8\xff", "image/jpeg"), (b"GIF89a", "image/gif"), (b"RIFF1234WEBP", "image/webp")],
)
def test_images_are_known_by_their_bytes(tool: Tool, tmp_path: Path, head: bytes, mime: str) -> None:
    (tmp_path / "f").write_bytes(head + b"\0" * 100)
    assert use(tool, file_path="f").content[1].mime == mime


def test_a_text_about_images_is_a_text(tool: Tool, tmp_path: Path) -> None:
    assert read(tool, tmp_path, b"GIF89a is a format") == "1\tGIF89a is a format"


def test_an_image_is_shown_up_to_its_limit(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(PNG.ljust(IMAGE_LIMIT, b"\0"))
    assert use(tool, file_path="f").value == "f: image/png, 5,242,880 bytes"
    (tmp_path / "f").write_bytes(PNG.ljust(IMAGE_LIMIT + 1, b"\0"))
    assert refused(tool, file_path="f") == (
        "f is an image (image/png) of 5,242,881 bytes; at most 5,242,880 bytes can be shown, "
        "make it smaller first"
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n\0\0", "a PDF document"),
        (b"PK\x03\x04\0\0", "a zip archive"),
        (b"\x1f\x8b\x08\0", "gzip-compressed data"),
        (b"\x7fELF\0", "an ELF program or library"),
        ("text".encode("utf-16"), "text in UTF-16"),
        (b"a\0b", "binary data"),
        (bytes(range(128, 256)), "binary data, or text that is not UTF-8"),
        (b"\x01\x02\x03\x04", "binary data, or text that is not UTF-8"),
    ],
)
def test_binary_data_is_named(tool: Tool, tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "f").write_bytes(content)
    told = refused(tool, file_path="f")
    assert told.startswith(f"f is no text: {kind}")
    assert told.endswith(f", {len(content)} bytes; use a program made for it")


def test_a_text_in_latin_1_is_shown_all_the_same(tool: Tool, tmp_path: Path) -> None:
    told = read(tool, tmp_path, "Grüße aus Köln, schön hier\n".encode("latin-1") * 2000)
    assert told.startswith("[Lines 1-") is False
    assert "Gr\ufffd\ufffde aus K\ufffdln" in told
    assert told.endswith("[no text in UTF-8, shown as \ufffd: 8,000 characters]")


def test_a_long_text_is_not_judged_by_a_character_that_the_sample_cuts(tool: Tool, tmp_path: Path) -> None:
    for shift in range(4):
        told = read(tool, tmp_path, b"x" * shift + ("\U0001f419" * 100 + "\n").encode() * 200)
        assert "\ufffd" not in told


# Stopping.


def test_a_cancel_stops_it(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"line\n" * 100)
    cancelled = CancellationToken()
    cancelled.cancel()
    with pytest.raises(Cancelled):
        use(tool, cancel=cancelled, file_path="f")


# Through an agent.


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
def test_A08_the_model_reads_what_is_in_the_file(tool: Tool, tmp_path: Path, driver: Driver) -> None:
    (tmp_path / "notes.txt").write_text("remember the milk\n")
    (tmp_path / "dot.png").write_bytes(PNG)
    model = Recorded(
        [call("1", "read", file_path="notes.txt"), call("2", "read", file_path="dot.png")],
        [call("3", "read", file_path="../notes.txt")],
        "done",
    )
    agent = SingleAgent(model, tools=[tool])
    seen = driver.observe(ScriptedVendor([]), lambda url: agent.flow("what is to do?"))
    assert isinstance(seen.outcome, Succeeded), seen.outcome
    text, image, outside = results(seen.outcome.value.new_messages)
    assert (text.result, text.is_error) == ("1\tremember the milk", False)
    assert [type(part) for part in image.content] == [TextPart, ImagePart]
    assert outside.is_error and "leads out of the workspace" in str(outside.result)
    assert results(model.requests[-1].messages) == [text, image, outside]
