"""Fuzz HTML to text: any text gives text, no longer than it may be, and no page takes long.

Nothing may be raised. What has no markup comes back word for word.

`python fuzz/fuzz_html_text.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.texts import Target, main
from tako.tools.builtin.html_text import MOST_TITLE, html_to_text

NOTE = 100
"""Characters that say what is missing, and what stands around a title."""
LONG = 20_000

NAMES = ["a", "p", "li", "ul", "ol", "pre", "code", "td", "tr", "table", "nav", "script", "title", "sup"]
NAMES += ["h1"]
WORDS = [f"<{name}>" for name in NAMES] + [f"</{name}>" for name in NAMES] + ["<", ">", "</", "<!--", "-->"]
WORDS += ["<blockquote>", "</blockquote>", "<dd>", "<br>", "<hr>", "<img alt='x'>", "<![CDATA[", "<?", "<!x"]
WORDS += ['<a href="/b?c=[d]">', "<a href='http://[::1'>", "<base href='//h'>", "<div hidden>", "</div>"]
WORDS += ["```", '<ol start="99999999">', "<p style='display:none'>", "<a b='\"", "&amp;", "&#99999999;"]
WORDS += ["&#x1F419;", "&", "word", " ", "\n", "\t", "\0", "\u2028", "\ud800", "="]


def check(text: str) -> None:
    """The first character chooses how much is read."""
    html = text[1:]
    most = ord(text[0]) if text else 0
    seen = html_to_text(html, "https://example.org/a/", most=most)
    assert len(seen) <= most + MOST_TITLE + NOTE, f"{len(seen)} characters of {html!r}"
    if "<" not in html and "&" not in html and len(html) < most:
        assert seen.split() == html.split(), html
    if html and most % 8 == 0:  # what takes the square of the length shows itself
        html_to_text(html * (LONG // len(html)), "https://example.org/a/")


if __name__ == "__main__":
    main(Target(check, WORDS), __doc__ or "")
