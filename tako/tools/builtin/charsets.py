"""Which encoding a text from the web is in, and the text.

| what counts, in this order | where it is found                                                      |
|----------------------------|------------------------------------------------------------------------|
| the byte order mark        | the first bytes                                                        |
| what the server says       | the `charset` of Content-Type                                          |
| what the page says         | `<meta charset>` or `<?xml encoding>`, in the first MOST_OF_A_HEAD     |
| UTF-8, if it is            | all of it                                                              |
| windows-1252               |                                                                        |

Names mean what they mean to browsers: latin1 is windows-1252, gb2312 is gb18030. Encodings that no
browser knows are not used: some of Python's need time by the square of the length (punycode), or
evaluate what they read (unicode_escape).

Invariants. Any bytes give a text. A character that the end of `data` cuts in two is dropped, where
`cut` says that it was cut; what is no character is U+FFFD; control characters are left out.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["decode"]

MOST_OF_A_HEAD = 4096

_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_IN_THE_PAGE = re.compile(
    rb"""<meta[^>]{0,400}?charset\s*=\s*["']?\s*([^\s"'/>;]{1,40})|"""
    rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([^"']{1,40})""",
    re.IGNORECASE,
)
_ISO = {f"iso-8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)}
_WINDOWS = {f"windows-{page}": f"cp{page}" for page in (874, *range(1250, 1259))}
_CODECS = {
    **_ISO,
    **_WINDOWS,
    **{label.replace("windows-", "cp"): codec for label, codec in _WINDOWS.items()},
    **dict.fromkeys(("ascii", "us-ascii", "latin1", "latin-1", "iso-8859-1", "iso8859-1", "l1"), "cp1252"),
    **dict.fromkeys(("utf-8", "utf8"), "utf-8"),
    **dict.fromkeys(("utf-16", "utf-16le"), "utf-16-le"),
    **dict.fromkeys(("gbk", "gb2312", "gb18030", "x-gbk"), "gb18030"),
    **dict.fromkeys(("shift-jis", "sjis", "x-sjis", "ms-kanji", "windows-31j"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks-c-5601-1987", "korean"), "cp949"),
    "utf-16be": "utf-16-be",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-9": "cp1254",
    "latin5": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "big5": "big5hkscs",
    "big5-hkscs": "big5hkscs",
    "euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "ibm866": "cp866",
    "macintosh": "mac-roman",
}
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]+")


def decode(data: bytes, charset: str | None = None, *, markup: bool = False, cut: bool = False) -> str:
    """The text that `data` is; `charset` is what the server says, and pages of `markup` may say it too."""
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], codec, cut=cut)
    named = _codec(charset or "")
    if named is None and markup:
        found = _IN_THE_PAGE.search(data, 0, MOST_OF_A_HEAD)
        named = _codec((found[1] or found[2]).decode("latin-1")) if found else None
        if named is not None and named.startswith("utf-16"):
            named = "utf-8"  # what could be read as ASCII is not UTF-16
    if named is not None:
        return _decoded(data, named, cut=cut)
    try:
        return _clean(codecs.getincrementaldecoder("utf-8")().decode(data, final=not cut))
    except UnicodeDecodeError:
        return _decoded(data, "cp1252", cut=cut)


def _codec(label: str) -> str | None:
    return _CODECS.get(label.strip().lower().replace("_", "-"))


def _decoded(data: bytes, codec: str, *, cut: bool) -> str:
    return _clean(codecs.getincrementaldecoder(codec)("replace").decode(data, final=not cut))


def _clean(text: str) -> str:
    return _CONTROLS.sub("", text)
