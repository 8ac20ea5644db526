"""Pages as they are met in the web, shortened, and what is left of them: what a person would read there.

Written after the markup of Sphinx, of a newspaper, of a forum from the time of tables, of a code host, and of
an application that its scripts put together.
"""

from __future__ import annotations

import pytest

from tako.tools.builtin.html_text import html_to_text, is_title_alone

URL = "https://site.test/dir/page"

DOCUMENTATION = """\
<!doctype html><html lang="en"><head><meta charset="utf-8">\
<title>pathlib — Object-oriented filesystem paths &#8212; Python 3.12</title>
<link rel="stylesheet" href="a.css"><script>var x="<p>no</p>";</script><style>p{}</style></head><body>
<div class="mobile-nav"><input type="checkbox"><nav class="nav-content" role="navigation">\
<a href="/">Home</a></nav></div>
<div class="related" role="navigation" aria-label="Related"><h3>Navigation</h3><ul><li>\
<a href="genindex">index</a></li></ul></div>
<div class="document"><div class="body" role="main"><section id="pathlib"><h1>\
<code class="xref">pathlib</code> — Object paths\
<a class="headerlink" href="#m" title="Link to this heading">¶</a></h1>
<p><strong>Source code:</strong> \
<a class="reference external" href="https://github.com/x/y">Lib/pathlib</a></p><hr>
<p>This module offers <em>classes</em>, see <a href="#pure"><span>Pure paths</span></a>.  Use \
<code>Path(<em>x</em>)</code>.</p>
<div class="highlight-python3 notranslate"><div class="highlight"><button class="copy">Copy</button>\
<pre><span></span><span class="gp">&gt;&gt;&gt; </span><span class="kn">from</span> \
<span class="nn">pathlib</span> <span class="kn">import</span> <span class="n">Path</span>
<span class="gp">&gt;&gt;&gt; </span><span class="k">if</span> <span class="n">a</span> \
<span class="o">&lt;</span> <span class="mi">1</span><span class="p">:</span>
<span class="gp">... </span>    <span class="k">pass</span>
</pre></div></div>
<dl class="py class"><dt class="sig" id="x"><em class="property"><span class="pre">class</span> </em>\
<span class="sig-prename descclassname"><span class="pre">pathlib.</span></span><span class="sig-name">\
<span class="pre">PurePath</span></span><span class="sig-paren">(</span><em>*pathsegments</em>\
<span class="sig-paren">)</span><a class="headerlink" href="#x">¶</a></dt><dd><p>A generic class.</p>\
<p>Second para:</p><ul class="simple"><li><p>one</p></li><li><p>two</p><ol><li>a</li><li>b</li></ol>\
</li></ul></dd></dl>
<div class="admonition note"><p class="admonition-title">Note</p><p>Be careful.</p></div>
<table class="docutils"><thead><tr><th><p>os</p></th><th><p>pathlib</p></th></tr></thead><tbody><tr>\
<td><p><code>os.getcwd()</code></p></td><td><p>Path.cwd()<br>or so</p></td></tr><tr><td></td><td>x</td>\
</tr></tbody></table>
</section></div></div><footer class="footer">&copy; 2024. <a href="/bugs">Found a bug?</a></footer>\
</body></html>
"""
DOCUMENTATION_TEXT = """\
Title: pathlib — Object-oriented filesystem paths — Python 3.12

# `pathlib` — Object paths¶

Source code: [Lib/pathlib](https://github.com/x/y)

---

This module offers classes, see Pure paths. Use `Path(x)`.

Copy

```
>>> from pathlib import Path
>>> if a < 1:
...     pass
```

class pathlib.PurePath(*pathsegments)¶
: A generic class.

Second para:

- one

- two

  1. a
  2. b

Note

Be careful.

os | pathlib
`os.getcwd()` | Path.cwd()
or so
| x

© 2024. [Found a bug?](https://site.test/bugs)
"""

NEWS = """\
<html><head><title>Storm hits coast | The Paper</title><meta property="og:title" content="Storm">\
</head><body>
<header><a href="/"><img src="l.png" alt="The Paper"></a><button aria-label="menu">Menu</button><form>\
<input type="search" placeholder="Search"><input type=submit value=Go></form></header>
<div id="cookie" style="display: none">We use cookies</div><div aria-hidden="true">decor</div>
<main><article><h1>Storm hits <span>coast</span></h1><p class="byline">By \
<a rel="author" href="/a/jane">Jane Doe</a>, <time datetime="2024-01-02">2 January 2024</time></p>
<figure><picture><source srcset="x.webp"><img src="x.jpg" alt="Waves at the pier"></picture>\
<figcaption>Waves. <span>Photo: AP</span></figcaption></figure>
<p>The storm, <b>the worst</b> in years,&nbsp;hit the coast on Tuesday.<sup><a href="#f1">1</a></sup>\
</p>
<aside><h2>Related</h2><ul><li><a href="/b"><div><img src="s.jpg" alt=""><h3>Another story</h3>\
<p>Summary of it</p></div></a></li></ul></aside>
<blockquote><p>“We were lucky,” she said.</p><p>“Very.”</p></blockquote><p>It goes on.</p>\
<script type="application/ld+json">{"a":1}</script>
<iframe src="https://ads"></iframe><div class="ad"></div><noscript><img src="pixel" alt="px">\
</noscript></article></main><footer><p>© Paper<p>Terms</footer></body></html>
"""
NEWS_TEXT = """\
Title: Storm hits coast | The Paper

[[image: The Paper]](https://site.test/)Menu
decor

# Storm hits coast

By [Jane Doe](https://site.test/a/jane), 2 January 2024

[image: Waves at the pier]
Waves. Photo: AP

The storm, the worst in years, hit the coast on Tuesday.^1

## Related

  ### [Another story](https://site.test/b)

  Summary of it

> “We were lucky,” she said.

> “Very.”

It goes on.

© Paper

Terms
"""

FORUM = """\
<HTML><BODY BGCOLOR=white><TABLE WIDTH=100%><TR><TD><B>Forum</B><TD ALIGN=right><A HREF=login.php>Login\
</A></TABLE>
<TABLE><TR><TH>Author<TH>Message</TR>
<TR><TD VALIGN=top><B>bob</B><BR>Posts: 12<BR><IMG SRC=a.gif ALT="avatar"></TD><TD>Hi all,<BR>\
<BR>how do I <I>frob</I> it?<P>Code:<PRE>frob -x
  --all</PRE>Thanks</TD></TR>
<TR><TD>amy</TD><TD><TABLE><TR><TD>Quote: <TD>how do I frob</TABLE>Use <TT>-y</TT>. See \
<a href="faq.html?a=1&b=2">FAQ</a>&nbsp;|&nbsp;x</TD></TR></TABLE>
Page 1 of 3 <a href="?p=2">2</a> <a href="?p=3">3</a> <a href="?p=2">Next &raquo;</a></BODY></HTML>
"""
FORUM_TEXT = """\
Forum | [Login](https://site.test/dir/login.php)

Author | Message
bob
Posts: 12
[image: avatar] | Hi all,

how do I frob it?

Code:

```
frob -x
  --all
```

Thanks
amy
Quote: | how do I frob

Use -y. See [FAQ](https://site.test/dir/faq.html?a=1&b=2) | x

Page 1 of 3 [2](https://site.test/dir/page?p=2) [3](https://site.test/dir/page?p=3) [Next\
 »](https://site.test/dir/page?p=2)
"""

CODE_HOST = """\
<!DOCTYPE html><html><head><title>GitHub - a/b: A thing</title></head><body class="logged-out">\
<a href="#start" class="sr-only">Skip to content</a>
<header role="banner"><nav><ul><li>Product</li></ul></nav></header><main><div><strong><a href="/a/b">b\
</a></strong><span class="Label">Public</span></div>
<ul class="pagehead-actions"><li><a href="/login"><svg><path d="M1"/></svg> Star <span id="c">1.2k\
</span></a></li></ul>
<table aria-labelledby="folders-and-files"><thead class="sr-only"><tr><th>Name</th><th>Name</th>\
<th>Last commit message</th></tr></thead><tbody><tr><td colspan=2><svg></svg><div>\
<a title="src" href="/a/b/tree/main/src">src</a></div></td><td><div><a href="/a/b/commit/1">Fix <code>x\
</code></a></div></td><td><relative-time datetime="2024">Jan 1, 2024</relative-time></td></tr></tbody>\
</table>
<article class="markdown-body"><h1 tabindex="-1">b</h1><a id="user-content-b" class="anchor" href="#b">\
<svg></svg></a><p><a href="https://ci"><img src="https://badge" alt="CI"></a> <a href="https://pypi">\
<img alt="PyPI"></a></p>
<div class="highlight highlight-source-shell"><pre>pip install b</pre><div class="zeroclipboard">\
<clipboard-copy><svg></svg></clipboard-copy></div></div>
<ul class="contains-task-list"><li class="task-list-item"><input type="checkbox" checked disabled> done\
</li><li><input type=checkbox> todo</li></ul>
<details><summary>More</summary><p>Hidden text</p></details><p>Math H<sub>2</sub>O x<sup>2</sup> \
<kbd>Ctrl</kbd>+<kbd>C</kbd> <del>old</del> line<br>next</p>
<select><option>One<option selected>Two</select><textarea>typed</textarea><button>Go</button>\
<input type="submit" value="Send"></article></main><template><p>t</p></template></body></html>
"""
CODE_HOST_TEXT = """\
Title: GitHub - a/b: A thing

Skip to content
[b](https://site.test/a/b)Public

- [Star 1.2k](https://site.test/login)

Name | Name | Last commit message
[src](https://site.test/a/b/tree/main/src) | [Fix `x`](https://site.test/a/b/commit/1) | Jan 1, 2024

# b

[[image: CI]](https://ci) [[image: PyPI]](https://pypi)

```
pip install b
```

- done
- todo

More

Hidden text

Math H2O x^2 Ctrl+C old line
next

One
Two
typed
Go
"""

APPLICATION = """\
<!doctype html><html><head><title>App</title></head><body>\
<noscript>You need to enable JavaScript to run this app.</noscript><div id="root"></div>\
<script src="/m.js"></script></body></html>
"""
APPLICATION_TEXT = """\
Title: App
"""


@pytest.mark.parametrize(
    ("html", "text"),
    [
        (DOCUMENTATION, DOCUMENTATION_TEXT),
        (NEWS, NEWS_TEXT),
        (FORUM, FORUM_TEXT),
        (CODE_HOST, CODE_HOST_TEXT),
        (APPLICATION, APPLICATION_TEXT),
    ],
    ids=["documentation", "news", "forum", "code host", "application"],
)
def test_a_page_becomes_what_a_person_would_read(html: str, text: str) -> None:
    assert html_to_text(html, URL) == text.rstrip("\n")


def test_only_the_application_is_a_title_alone() -> None:
    assert is_title_alone(APPLICATION_TEXT.rstrip("\n"))
    for text in (DOCUMENTATION_TEXT, NEWS_TEXT, FORUM_TEXT, CODE_HOST_TEXT):
        assert not is_title_alone(text.rstrip("\n"))
