"""What the bytes of a file are: text, a picture, or something else that has a name.

A file is text if its first SAMPLE bytes hold no NUL and are mostly UTF-8: a few bytes of another
encoding in a text are no reason to hide the rest.
"""

from __future__ import annotations

import codecs

from tako.parts import image_type

__all__ = ["SAMPLE", "decoded", "other_than_text"]

SAMPLE = 32 * 1024
"""Bytes that are looked at to tell text from anything else."""

UNREADABLE = 0.3
"""The share of bytes that are neither UTF-8 nor usual in a text, above which it is none."""

UNUSUAL = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))

KINDS = (
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a zip archive (or a document made of one: docx, xlsx, jar, wheel)"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"\xfd7zXZ\0", "xz-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x7fELF", "an ELF program or library"),
    (b"MZ", "a Windows program or library"),
    (b"\xcf\xfa\xed\xfe", "a macOS program or library"),
    (b"\0asm", "a WebAssembly module"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"RIFF", "sound or video"),
    (b"OggS", "sound or video"),
    (b"ID3", "sound"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
)


def other_than_text(head: bytes) -> str | None:
    """The kind of a file that begins so, in words; None if it is text."""
    if b"\0" not in head and not _is_unreadable(head):
        return None
    picture = image_type(head)
    if picture is not None:
        return f"an image ({picture})"
    for beginning, words in KINDS:
        if head.startswith(beginning):
            return words
    return "binary data" if b"\0" in head else "binary data, or text that is not UTF-8"


def _is_unreadable(head: bytes) -> bool:
    _, replaced, _ = decoded(head)  # a character that the sample cuts in two makes no difference
    unusual = len(head) - len(head.translate(None, UNUSUAL))
    return replaced + unusual > UNREADABLE * len(head)


def decoded(data: bytes, *, whole: bool = True) -> tuple[str, int, int]:
    """The text of some bytes, how many pieces of it were replaced, and how many bytes were used.

    If the data is not `whole`, the beginning of a character at its end is left over.
    """
    text, used = codecs.utf_8_decode(data, "replace", whole)
    replaced = 0 if text.isascii() else text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    return text, replaced, used
