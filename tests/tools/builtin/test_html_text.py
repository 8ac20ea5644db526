"""HTML becomes readable text: what each element becomes, and that nothing a page holds can stop it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import Cancelled
from tako.tools.builtin.charsets import decode
from tako.tools.builtin.html_text import MOST_NESTED, html_to_text

URL = "https://a.test/docs/page?x=1"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        # Words and white space.
        ("a  b\n\tc", "a b c"),
        ("a<b>b</b> <i> c </i>d", "ab c d"),
        ("<p>one<p>two</p></p><div>three</div><div>four", "one\n\ntwo\n\nthree\nfour"),
        ("one<br>two<br><br>three<br/>four", "one\ntwo\n\nthree\nfour"),
        ("a<hr>b", "a\n\n---\n\nb"),
        ("1 < 2 <3 <= 4 a<>b <", "1 < 2 <3 <= 4 a<>b <"),
        ("&lt;b&gt; &amp;amp; &eacute;&#233;&#xE9; &nbsp;&hearts; &copy &x; &", "<b> &amp; ééé ♥ © &x; &"),
        ("&#xD800;|&#0;|&#9999999999;|&#x110000;", "\ufffd|\ufffd|\ufffd|\ufffd"),
        # Title and headings.
        ("<title>The\n &amp;  title</title><body>x", "Title: The & title\n\nx"),
        ("<title>One</title><title>Two</title>", "Title: One\n\nTwo"),
        ("<title>One<p>x", "Title: One\n\nx"),
        ("a<h1>b</h1><h3 class=x>c</h3>d<h6></h6>e", "a\n\n# b\n\n### c\n\nd\n\ne"),
        # Links.
        ("<a href=b>t</a>", "[t](https://a.test/docs/b)"),
        ("<A HREF = '/b?c=1&amp;d=2' >t</A >", "[t](https://a.test/b?c=1&d=2)"),
        ("<a href=//b.test/x> a <b>b</b> </a>c", "[a b](https://b.test/x) c"),
        ("<base href=/other/><base href=/no/><a href=b>t</a>", "[t](https://a.test/other/b)"),
        ("<base href='javascript:x'><a href=b>t</a>", "[t](https://a.test/docs/b)"),
        ("<a href='a b(c)'>t</a>", "[t](https://a.test/docs/a%20b%28c%29)"),
        ("<a href='#x'>t</a> <a>t</a> <a href=''>t</a>", "t t t"),
        ("<a href='javascript:x'>t</a> <a href='data:,x'>t</a> <a href='mailto:x@y'>t</a>", "t t t"),
        ("<a href='http://[x'>t</a>", "t"),
        (f"<a href='/{'x' * 3000}'>t</a>", "t"),
        ("<a href=b></a>x<a href=b> </a>", "x"),
        ("<a href=b>t<a href=c>u", "[t](https://a.test/docs/b)[u](https://a.test/docs/c)"),
        ("<a href=b><h2>Card</h2><p>more</p></a>x", "## [Card](https://a.test/docs/b)\n\nmore\n\nx"),
        ("<h2><a href=b>Card</a></h2>", "## [Card](https://a.test/docs/b)"),
        ("<a href=b><img alt='a pic'></a>", "[[image: a pic]](https://a.test/docs/b)"),
        ("<img src=x><img alt=''><img alt=' a '>", "[image: a]"),
        # What stands raised.
        (
            "10<sup>6</sup> x<sup> </sup>y 1<sup><a href=b>[1]</a></sup>",
            "10^6 x y 1^[[1]](https://a.test/docs/b)",
        ),
        ("<sup><sup>a</sup></sup><sup></sup>b", "^ab"),
        # Lists and quotations.
        ("a<ul><li>b<li><p>c</p></ul>d", "a\n\n- b\n- c\n\nd"),
        ("<ol><li>a</li><li></li><li>b</ol>", "1. a\n3. b"),
        ("<ol start=7><li>a<li>b</ol><ol start=x><li>c</ol>", "7. a\n8. b\n\n1. c"),
        (
            "<ul><li>a<ul><li>b<ol><li>c</ol></ul><li>d<p>e</ul>f",
            "- a\n  - b\n    1. c\n- d\n\n  e\n\nf",
        ),
        ("<li>a<li>b", "- a\n- b"),
        ("<dl><dt>a<dd>b<dt>c<dd>d</dl>", "a\n: b\nc\n: d"),
        ("a<blockquote>b<p>c<ul><li>d</ul></blockquote>e", "a\n\n> b\n\n> c\n\n> - d\n\ne"),
        ("</ul></blockquote></a></code></pre></h1>a", "a"),
        # Tables.
        ("<table><tr><th>a<th>b<tr><td>1<td>2</table>c", "a | b\n1 | 2\n\nc"),
        ("<tr><td></td><td>x</td><td></td><td>y</td><td></td></tr>z", "| x | | y\nz"),
        ("<table><tr><td><p>a</p><td><p>b</p><p>c</table>", "a | b\n\nc"),
        ("<tr><td>a</td></tr><tr><td></td><td>x</td></tr>", "a\n| x"),
        ("<p>a</p><table><tr></tr><tr><td>b</table>", "a\n\nb"),
        ("x<table><tr><td><p>a</p></td></tr><tr><td><p>b</p></td></tr></table>c", "x\n\na\nb\n\nc"),
        # Code.
        ("a <code>b  c</code>d", "a `b c`d"),
        ("<code></code>a<code>b<p>c</code>", "a`b`\n\nc"),
        ("<code><a href=b>t</a></code>", "`[t](https://a.test/docs/b)`"),
        ("a<pre>\n  b <b>&lt;c&gt;</b>\n\n d\n</pre>e", "a\n\n```\n  b <c>\n\n d\n```\n\ne"),
        ("<pre>a<br>b<div>c</div>d", "```\na\nb\nc\nd\n```"),
        ("<pre>a ```` b</pre>", "`````\na ```` b\n`````"),
        ("<ul><li>a<pre>b\nc</pre></ul>", "- a\n\n  ```\n  b\n  c\n  ```"),
        ("<pre> </pre>a", "a"),
        # What is not shown.
        ("a<script>if (x<y) '</p>' <!-- </script>b<STYLE>c</STYLE >d", "abd"),
        ("a<script>b", "a"),
        ("a<noscript>b</noscript><template>c</template><svg><title>d</title></svg>e", "ae"),
        ("<nav>a<nav>b</nav>c</nav>d", "d"),
        ("<nav>a<script>'</nav>'</script>b</nav>d", "d"),
        ("<nav>a", "a"),
        ("<div hidden>a<div>b</div>c</div>d", "d"),
        ("<div hidden>a", "a"),
        ("<ul><li hidden>a<li>b<li hidden>c</ul>d</li>", "- b\n\nd"),
        ("<i style='color:red; DISPLAY : None'>a</i><i style=visibility:hidden>b</i>c", "c"),
        ("<i style='--display:none'>a</i><i style='x-display:none'>b</i>", "ab"),
        ("<body hidden><input hidden>a</body>", "a"),
        # What is broken.
        ("a<!-- b --!>c<!-->d<!--->e<!---->f<!-- g", "acdef"),
        ("a<!doctype x><?php y ?></ z></>b<![CDATA[c]]>d", "abd"),
        ("a<b c", "a"),
        ("a<b c='>'>d<b c=\"'>\">e<b c='>f", "adef"),
        ('a<b it\'s>b<b ="x">c<b c=d">e', "abce"),
        ("<p a='x> one <p> two \"three 'four", "one\n\ntwo \"three 'four"),
        ("<a/href=b>t</a>", "[t](https://a.test/docs/b)"),
        ("<a href=b href=c>t", "[t](https://a.test/docs/b)"),
        ("", ""),
    ],
)
def test_what_elements_become(html: str, text: str) -> None:
    assert html_to_text(html, URL) == text


def test_without_a_url_whole_links_are_kept_and_others_are_text() -> None:
    html = "<a href='https://b.test/'>t</a> <a href=/x>u</a>"
    assert html_to_text(html) == "[t](https://b.test/) u"


MARKUP = st.sampled_from(
    [
        "<",
        ">",
        "</",
        "<!--",
        "-->",
        "<!",
        "<?",
        "&",
        "&#",
        "&#x",
        ";",
        "'",
        '"',
        "=",
        " ",
        "\n",
        "`",
        "[",
        "](",
    ]
    + [
        f"<{name}>"
        for name in ("p", "a href=x", "ul", "li", "pre", "code", "table", "tr", "td", "title", "h1")
    ]
    + [f"</{name}>" for name in ("p", "a", "ul", "li", "pre", "code", "table", "tr", "td", "title", "h1")]
    + [
        "<script>",
        "</script>",
        "<nav>",
        "</nav>",
        "<p hidden",
        "<svg/>",
        "<base href=",
        "<a b='",
        "<br",
        "<dd>",
    ]
)


@given(st.lists(MARKUP | st.text(max_size=6), max_size=40).map("".join))
def test_any_text_gives_text(html: str) -> None:
    text = html_to_text(html, URL)
    assert isinstance(text, str)
    text.encode()
    assert "\n\n\n" not in text or "<pre" in html
    assert len(text) <= 60 * len(html)


ELEMENTS = (
    "p", "div", "b", "a href=/x", "ul", "ol", "li", "h2", "table", "tr", "td", "blockquote", "pre", "code",
    "dl", "dd", "section", "unheard-of", "span title='a > b'", "q hidden-not", "br",
)  # fmt: skip
UNSEEN = (
    "script", "style", "nav", "svg", "template", "noscript", "div hidden",
    "p style='display:none'", "li hidden",
)  # fmt: skip
PLAN = st.lists(
    st.tuples(st.just("open"), st.sampled_from(ELEMENTS))
    | st.tuples(st.sampled_from(["close", "word", "word"]), st.sampled_from(["", " ", "\n"]))
    | st.tuples(st.just("unseen"), st.sampled_from(UNSEEN)),
    min_size=1,
    max_size=40,
)


def page_of(plan: list[tuple[str, str]]) -> tuple[str, list[str]]:
    """A page, and the words in it that can be seen. Some elements are closed, and some in a wrong place."""
    html, words, opened = "", [], ["b"]
    for number, (kind, what) in enumerate(plan):
        if kind == "open":
            html += f"<{what}>"
            opened.append(what.split()[0])
        elif kind == "close":
            html += f"</{opened[-1 if number % 3 else 0]}>"
            if number % 3 and len(opened) > 1:
                opened.pop()
        elif kind == "word":
            words.append(f"é{number};")
            html += f"{what}&eacute;{number};{what}"
        else:
            html += f"<{what}>unseen</{what.split()[0]}>"
    return html, words


@given(PLAN)
def test_the_words_that_can_be_seen_stand_in_the_text_in_their_order(plan: list[tuple[str, str]]) -> None:
    html, words = page_of(plan)
    text = html_to_text(html, URL)
    assert re.findall(r"é[0-9]+;", text) == words
    assert "unseen" not in text


@given(PLAN, st.data())
def test_a_page_that_breaks_off_anywhere_gives_the_beginning_of_its_words(plan: Any, data: Any) -> None:
    html, words = page_of(plan)
    found = re.findall(r"é[0-9]+;", html_to_text(html[: data.draw(st.integers(0, len(html)))], URL))
    assert found == words[: len(found)]


# Time and memory.

HOSTILE: dict[str, Callable[[int], str]] = {
    "less than": lambda size: "<" * size,
    "comments": lambda size: "<!--" * (size // 4),
    "ends of comments": lambda size: "<!--" + "--!" * (size // 3),
    "tags without end": lambda size: "<a " * (size // 3),
    "end tags without end": lambda size: "</a" * (size // 3),
    "quotes": lambda size: "<a b='\"" * (size // 7),
    "quotes that pair": lambda size: "<a b='\">" * (size // 8),
    "a quote at the end": lambda size: '<a b="x>' * (size // 8) + "<p c='" * 5,
    "declarations": lambda size: "<![" * (size // 3),
    "nested": lambda size: "<div>" * (size // 5),
    "lists": lambda size: "<ul><li>x" * (size // 9),
    "ends of lists": lambda size: "<ul>" * 20 + "</ol>" * (size // 5),
    "dropped": lambda size: "<nav>" * (size // 5),
    "dropped and ended once": lambda size: "<nav>" * (size // 5) + "</nav>",
    "hidden": lambda size: "<p hidden>x" * (size // 11),
    "ends of many names": lambda size: "<nav>" + "".join(f"</a{number}>" for number in range(size // 9)),
    "references": lambda size: "&a" * (size // 2),
    "long references": lambda size: ("&" + "a" * 40) * (size // 41),
    "a long number": lambda size: "&#" + "9" * size,
    "scripts": lambda size: "<script></script" * (size // 16),
    "equals signs": lambda size: "<a " + "=" * size + ">",
    "attributes": lambda size: "<a " + "b=c " * (size // 4) + ">",
    "spaces in a tag": lambda size: "<a b" + " " * size + ">",
    "links": lambda size: "<a href=x>y" * (size // 11),
    "cells": lambda size: "<tr>" + "<td>" * (size // 4) + "x",
    "code": lambda size: "<code>x" * (size // 7),
    "lines of code": lambda size: "<blockquote>" * MOST_NESTED + "<pre>" + "\nx" * (size // 2),
    "backticks": lambda size: "<pre>" + "`" * size,
    "titles": lambda size: "<title>x" * (size // 8),
    "styles": lambda size: '<i style="' + "; " * (size // 2) + '">x',
}


def calls_of(work: Callable[[], object]) -> int:
    """Functions that are called, those in C as well."""
    calls = 0

    def profile(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_cost_by_their_length(name: str) -> None:
    """Calls grow with the length; and what a single call does, a regular expression above all, is fast."""
    make = HOSTILE[name]
    small, large = [calls_of(partial(html_to_text, make(size), URL)) for size in (2_000, 8_000)]
    assert large <= 5 * small + 100


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pages_of_fifty_thousand_characters(name: str) -> None:
    """A square of this length would be 2.5e9: an hour."""
    text = html_to_text(HOSTILE[name](50_000), URL)
    assert len(text) < 50_000 * 26


def test_a_hundred_thousand_tags_inside_of_each_other() -> None:
    beginning = html_to_text("<b>" * 100_000 + "in the middle" + "</b>" * 1_000, URL)
    assert beginning == "in the middle"


def test_ten_million_less_thans() -> None:
    assert html_to_text("<" * 10_000_000 + "p>", URL, most=100).startswith("<<<<")


def test_a_text_that_grows_is_cut_and_it_is_said() -> None:
    html = "<base href='https://a.test/" + "x" * 1_900 + "/'>" + "<a href=y>z</a>" * 1_000
    text = html_to_text(html, URL, most=10_000)
    assert text.endswith("\n\n[... the page goes on; 10,000 characters of it are read ...]")
    assert len(text) < 10_100


def test_what_is_over_the_limit_is_not_even_read() -> None:
    checks: list[None] = []
    html_to_text("<b>x " * 20_000, most=100, check=lambda: checks.append(None))
    assert len(checks) == 1


def test_a_row_of_empty_cells_is_not_drawn_out() -> None:
    assert html_to_text("<tr>" + "<td>" * 10_000 + "x") == "| " * 30 + "x"


def test_what_is_checked_now_and_then_can_end_the_work() -> None:
    def check() -> None:
        if next(checks) == 3:
            raise Cancelled()

    for html in ("<b>x" * 10_000, "word " * 100_000):
        checks = count(1)
        with pytest.raises(Cancelled):
            html_to_text(html, check=check)


def test_a_long_text_is_cut_neither_in_words_nor_in_references() -> None:
    html = "&amp;word" * 30_000
    assert html_to_text(html) == "&word" * 30_000


# Encodings.


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("é".encode(), None, "é"),
        ("é".encode(), "UTF-8", "é"),
        (b"\xe9\x80", None, "é€"),
        (b"\xe9\x80", "ISO-8859-1", "é€"),
        (b"\xe9\x80", "latin1", "é€"),
        ("ж".encode("koi8-r"), "koi8-r", "ж"),
        ("漢".encode("shift_jis"), "Shift_JIS", "漢"),
        ("漢".encode("gb18030"), "gb2312", "漢"),
        (b"\xef\xbb\xbf\xc3\xa9", "latin1", "é"),
        ("\ufeffé".encode("utf-16-le"), "utf-8", "é"),
        ("\ufeffé".encode("utf-16-be"), None, "é"),
        ("é".encode("utf-16-le"), "utf-16", "é"),
        (b"<meta charset=koi8-r>\xd6", None, "<meta charset=koi8-r>ж"),
        (b"<meta charset=koi8-r>\xc3\xa9", "utf-8", "<meta charset=koi8-r>é"),
        (
            b"<META http-equiv=x content='text/html; charset=\"koi8-r\"'>\xd6",
            None,
            "<META http-equiv=x content='text/html; charset=\"koi8-r\"'>ж",
        ),
        (b"<meta charset=utf-16>\xc3\xa9", None, "<meta charset=utf-16>é"),
        (b"<?xml version='1.0' encoding='koi8-r'?>\xd6", None, "<?xml version='1.0' encoding='koi8-r'?>ж"),
        (b"<meta charset=unicode_escape>\\x41", None, "<meta charset=unicode_escape>\\x41"),
        (b"a\\x41", "unicode_escape", "a\\x41"),
        (b"+AEE-", "utf-7", "+AEE-"),
        (b"xn--a", "idna", "xn--a"),
        (b"\xc3\xa9\xff", "utf-8", "é\ufffd"),
        (b"a\x00b\x1b[1mc\x7f\td\r\n", None, "ab[1mc\td\r\n"),
    ],
)
def test_encodings(data: bytes, charset: str | None, text: str) -> None:
    assert decode(data, charset, markup=True) == text


def test_every_encoding_that_is_named_is_one_of_pythons() -> None:
    from tako.tools.builtin import charsets

    for label in charsets._CODECS:
        assert decode(b"abc abc ", label) or label.startswith("utf-16")


@given(
    st.binary(max_size=60), st.none() | st.sampled_from(["utf-8", "utf-16", "shift_jis", "iso-2022-jp", "x"])
)
def test_any_bytes_give_text(data: bytes, charset: str | None) -> None:
    for cut in (False, True):
        decode(data, charset, markup=True, cut=cut).encode()


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30), st.data())
def test_bytes_that_are_cut_anywhere_give_the_beginning_of_the_text(text: str, data: Any) -> None:
    encoded = text.encode()
    cut = data.draw(st.integers(0, len(encoded)))
    for charset in ("utf-8", None):
        assert text.lstrip("\ufeff").startswith(decode(encoded[:cut], charset, cut=True).lstrip("\ufeff"))
