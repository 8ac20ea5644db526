"""web_fetch in virtual time: what it asks, what it refuses and why, and what the model gets to read."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Close, Emit, HttpHead, Resolve, Send, Within
from tako.errors import InvalidInput, ToolError
from tako.fetching import UrlPolicy, fetch_any
from tako.models import Message, Principal
from tako.orchestrators.single_agent import SingleAgent
from tako.parts import DocumentPart, ImagePart
from tako.testing import Answer, Pause, Playbook, Reset, ScriptedVendor, Simulator
from tako.tools import ToolContext
from tako.tools.builtin.web_fetch import web_fetch
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool
from tests.orchestrators.kit import Recorded, call, replied, results

PUBLIC = "93.184.216.34"
URL = "https://a.test/docs/page?secret"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
PDF = b"%PDF-1.7\n" + bytes(range(256))
HTTP = UrlPolicy(allow_http=True)
NONE: Mapping[str, Any] = {}


def answer(body: str | bytes, mime: str | None = "text/html", status: int = 200, **headers: str) -> Answer:
    data = body.encode() if isinstance(body, str) else body
    named = () if mime is None else (("content-type", mime),)
    extra = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer((data,), status, (*named, *extra))


def redirect(location: str, status: int = 302) -> Answer:
    return Answer((b"gone",), status, (("location", location),))


def context() -> ToolContext:
    return ToolContext("id", "web_fetch", 1, "run", Principal())


class Web:
    """What is out there, and whom it was asked."""

    def __init__(self, *answers: Answer, **hosts: str) -> None:
        self.vendor = ScriptedVendor(answers)
        known = {"a.test": PUBLIC, "b.test": "2606:4700::1111"} | {
            name.replace("_", "."): addresses for name, addresses in hosts.items()
        }
        self.simulator = Simulator(
            vendor=self.vendor, addresses={name: texts.split() for name, texts in known.items()}
        )

    def fetch(self, url: str = URL, tool: Tool | None = None, **arguments: Any) -> ToolOutput:
        flow = (tool or web_fetch()).invoke({"url": url, **arguments}, context)
        output = self.simulator.run(flow)
        assert isinstance(output, ToolOutput)
        return output

    def text(self, url: str = URL, tool: Tool | None = None, **arguments: Any) -> str:
        output = self.fetch(url, tool, **arguments)
        assert not output.is_error and not output.content
        return str(output.value)

    def refusal(self, url: str = URL, tool: Tool | None = None, **arguments: Any) -> str:
        with pytest.raises(ToolError) as caught:
            self.fetch(url, tool, **arguments)
        assert "secret" not in str(caught.value)
        return str(caught.value)


# What the model gets.


def test_a_page_becomes_text() -> None:
    page = "<title>T</title><h1>One</h1><p>two <a href=next>three</a><script>four</script>"
    web = Web(answer(page, "Text/HTML; charset=utf-8"))
    assert web.text() == "Title: T\n\n# One\n\ntwo [three](https://a.test/docs/next)"
    (request,) = web.vendor.requests
    assert (request.method, request.target) == ("GET", "/docs/page?secret")
    assert dict(request.headers) == {"user-agent": "tako", "accept": "*/*", "accept-encoding": "identity"}


@pytest.mark.parametrize(
    ("mime", "body"),
    [
        ("text/plain", "a <b>\n c"),
        ("text/markdown", "# a\n\n* b"),
        ("application/json", '{"a":\n 1}'),
        ("application/vnd.github+json; charset=utf-8", '{"a": 1}'),
        ("application/rss+xml", "<rss><a>b</a></rss>"),
        ("image/svg+xml", "<svg/>"),
        ("text/csv", "a,b"),
        (None, "no type, and text"),
        ("application/octet-stream", "text all the same"),
    ],
)
def test_other_text_is_as_it_is(mime: str | None, body: str) -> None:
    assert Web(answer(body, mime)).text() == body


def test_a_page_without_a_type_is_known_by_its_first_bytes() -> None:
    assert Web(answer("\n<!DOCTYPE html><p>a", None)).text() == "a"
    assert Web(answer("\n<!DOCTYPE html><p>a", "text/plain")).text() == "\n<!DOCTYPE html><p>a"


@pytest.mark.parametrize(
    ("charset", "body"),
    [("; charset=iso-8859-1", b"\xe9"), ('; x=y; Charset="UTF-8"', b"\xc3\xa9"), ("", b"\xe9"),
     ("", b"\xef\xbb\xbf\xc3\xa9"), ("", b"<meta charset=latin1>\xe9"),
     ("; charset=unheard-of", b"\xc3\xa9")],
)  # fmt: skip
def test_the_encoding_of_a_page(charset: str, body: bytes) -> None:
    assert Web(answer(body, "text/html" + charset)).text() == "é"


@pytest.mark.parametrize("mime", ["image/png", "image/jpeg", "application/octet-stream", None])
def test_a_picture_is_shown_by_what_its_bytes_are(mime: str | None) -> None:
    output = Web(answer(PNG, mime)).fetch()
    assert output.content == (ImagePart(mime="image/png", data_b64=base64.b64encode(PNG).decode()),)
    assert output.value == "https://a.test/docs/page: image/png, 48 bytes"


@pytest.mark.parametrize("mime", ["application/pdf", "application/x-pdf", "binary/octet-stream"])
def test_a_pdf_is_a_document(mime: str) -> None:
    (part,) = Web(answer(PDF, mime)).fetch().content
    assert part == DocumentPart(mime="application/pdf", data_b64=base64.b64encode(PDF).decode())


@pytest.mark.parametrize(
    ("mime", "body", "words"),
    [
        ("application/zip", b"PK\x03\x04" + bytes(996), "calls it application/zip, and its 1,000 bytes are"),
        (
            "image/png",
            b"<html>",
            "calls it image/png, and its 6 bytes are neither text nor a PDF nor a picture",
        ),
        ("image/tiff", b"II*\x00", "calls it image/tiff"),
        ("application/pdf", b"<html>", "calls it application/pdf"),
        (None, bytes(10), "calls it nothing, and its 10 bytes"),
    ],
)
def test_what_cannot_be_read_is_named(mime: str | None, body: bytes, words: str) -> None:
    output = Web(answer(body, mime)).fetch()
    assert output.is_error and output.value.startswith("https://a.test/docs/page cannot be read: the server ")
    assert words in output.value


def test_white_space_around_a_url_is_no_part_of_it() -> None:
    assert Web(answer("here", "text/plain")).text(f"\n {URL} \n") == "here"


def test_a_page_without_text_says_so() -> None:
    for page in (
        "<script>render()</script>",
        "<title>App</title><noscript>Turn them on</noscript><div></div>",
    ):
        assert "[the page has no text; what it shows may be made by its scripts" in Web(answer(page)).text()
    assert "no text" not in Web(answer("<title>App</title>Here.")).text()
    assert Web(answer("")).text() == "[the answer of https://a.test/docs/page is empty: HTTP 200, no bytes]"


# Long pages.


def test_a_long_text_is_read_in_pieces() -> None:
    web, tool = Web(answer("0123456789", "text/plain")), web_fetch(max_characters=4)
    assert web.text(tool=tool) == "0123\n\n[characters 0-4 of 10; call again with start=4]"
    assert web.text(tool=tool, start=4) == "4567\n\n[characters 4-8 of 10; call again with start=8]"
    assert web.text(tool=tool, start=8) == "89\n\n[characters 8-10 of 10, the end]"
    assert web.text(tool=tool, start=10) == "[the text has 10 characters; there is nothing at 10]"
    assert "start: Input should be greater than or equal to 0" in web.refusal(tool=tool, start=-1)
    assert Web(answer("0123", "text/plain")).text(tool=tool) == "0123"


@given(st.text("aé漢😀\n ", min_size=1, max_size=30).filter(str.strip), st.integers(1, 12))
def test_the_pieces_are_the_whole(text: str, most: int) -> None:
    web, tool = Web(answer(text, "text/plain; charset=utf-8")), web_fetch(max_characters=most)
    pieces, start = "", 0
    while start < len(text):
        piece = web.text(tool=tool, start=start)
        pieces += piece[: min(most, len(text) - start)]
        start += most
    assert pieces == text


@pytest.mark.parametrize("limit", range(1, 13))
def test_b12_a_cut_never_falls_into_a_character(limit: int) -> None:
    """By bytes and by characters, in a text of one, two, three and four bytes each."""
    text = "aé漢😀b"
    policy = UrlPolicy(max_bytes=limit)
    for mime in ("text/plain", "text/plain; charset=utf-8", "text/html"):
        read = Web(answer(text, mime)).text(tool=web_fetch(policy))
        whole, _, note = read.partition("[")
        assert text.startswith(whole.strip()) and "\ufffd" not in read
        assert (note == "") == (limit >= len(text.encode()))
        assert f"longer than {limit} bytes and was cut there" in note or not note
    piece = Web(answer(text, "text/plain")).text(tool=web_fetch(max_characters=limit))
    assert piece.partition("\n\n[")[0] == text[:limit]


def test_b12_the_page_of_an_error_is_cut_at_a_character() -> None:
    output = Web(answer("漢" * 3_000, "text/plain", 500)).fetch()
    assert output.is_error
    assert output.value == (
        "HTTP 500 Internal Server Error from https://a.test/docs/page\n\n"
        + "漢" * 2_000
        + "\n\n[... 1,000 characters cut ...]"
    )


def test_a_page_over_the_limit_is_cut_and_a_picture_over_it_is_refused() -> None:
    tool = web_fetch(UrlPolicy(max_bytes=20))
    web = Web(answer("x" * 50, "text/plain", content_length="50"))
    assert web.text(tool=tool) == "x" * 20 + "\n\n[the page is longer than 20 bytes and was cut there]"
    assert "image/png, larger than 20 bytes, and of no use in part" in Web(answer(PNG, "image/png")).refusal(
        tool=tool
    )
    assert "more than 20" in str(Web(answer(bytes(50), "application/zip")).fetch(tool=tool).value)
    bounded = web_fetch(UrlPolicy(max_bytes=20), max_characters=15)
    assert web.text(tool=bounded).endswith("x\n\n[characters 0-15 of 20; call again with start=15]")


# Errors.


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "HTTP 404 Not Found from https://a.test/docs/page\n\n# Gone"),
        (503, "HTTP 503 Service Unavailable from https://a.test/docs/page\n\n# Gone"),
        (304, "HTTP 304 Not Modified from https://a.test/docs/page\n\n# Gone"),
        (799, "HTTP 799 from https://a.test/docs/page\n\n# Gone"),
    ],
)
def test_a_status_that_is_no_success(status: int, words: str) -> None:
    output = Web(answer("<h1>Gone</h1><style>x</style>", status=status)).fetch()
    assert (output.is_error, output.value) == (True, words)


def test_of_the_page_of_an_error_little_is_read() -> None:
    web = Web(Answer((b"x" * 60_000,) * 9 + (Reset(),), 500, (("content-type", "text/plain"),)))
    output = web.fetch()
    assert output.is_error and output.value.endswith("\n\n[... 63,536 characters cut ...]")
    nothing = Web(answer(PNG, "image/png", 403)).fetch()
    assert nothing.value == "HTTP 403 Forbidden from https://a.test/docs/page"


def test_what_fails_is_said_in_words() -> None:
    slow = answer("x")
    slow = Answer(slow.pieces, 200, slow.headers, before=(Pause(99.0),))
    assert Web(slow).refusal() == (
        "https://a.test/docs/page could not be fetched within 30 seconds (timeout_secs)"
    )
    broken = Answer((b"x", Reset()), 200, (("content-type", "text/html"),))
    assert "https://a.test/docs/page could not be fetched: " in Web(broken).refusal()
    assert "no address" in Web(answer("x")).refusal("https://unknown.test/?secret")
    assert "content coding 'br'" in Web(answer("x", content_encoding="br")).refusal()


def test_the_model_reads_an_error_and_the_run_goes_on() -> None:
    provider = Recorded(
        replied(call("1", "web_fetch", url="https://127.0.0.1/"), call("2", "web_fetch", url=URL)),
        replied("done"),
    )
    agent = SingleAgent(provider, tools=[web_fetch()])
    web = Web(answer("<p>hello"))
    result = web.simulator.run(agent, [Message.user("go")])
    first, second = results(result.new_messages)
    assert result.text == "done"
    assert first.is_error and "127.0.0.1, which is not public" in str(first.result)
    assert not second.is_error and second.result == "hello"


# What is refused.

CONTROL = "holds a control character or a line break"
REFUSED = [
    ("http://a.test/", "is refused: it is not https"),
    ("ftp://a.test/", "must start with http:// or https://, not 'ftp'"),
    ("file:///etc/passwd", "must start with http:// or https://, not 'file'"),
    ("gopher://a.test/", "must start with http"),
    ("data:text/html,x", "must start with http"),
    ("a.test/x", "'a.test/x' is no whole URL; it must start with https://"),
    ("http://a.test/x", "is refused: it is not https; try https://"),
    ("https://", "no host"),
    ("https://user:secret@a.test/", "user or password"),
    ("https://a.test@127.0.0.1/", "user or password"),
    ("https://a.test/\r\nHost: b.test", CONTROL),
    ("https://a.test\t/", CONTROL),
    ("https://a.test\\@127.0.0.1/", ""),
    ("https://localhost/", "127.0.0.1, which is not public"),
    ("https://localhost./", "127.0.0.1, which is not public"),
    ("https://127.0.0.1/", "which is not public"),
    ("https://127.1/", "address of 127.1 is 127.0.0.1"),
    ("https://2130706433/", "is 127.0.0.1"),
    ("https://0x7f000001/", "is 127.0.0.1"),
    ("https://0177.0.0.1/", "is 127.0.0.1"),
    ("https://0/", "is 0.0.0.0"),
    ("https://0.0.0.0/", "is 0.0.0.0"),
    ("https://256.0.0.1/", "ends in a number"),
    ("https://①②⑦.0.0.1/", "is 127.0.0.1"),
    ("https://127。0。0。1/", "is 127.0.0.1"),
    ("https://169.254.169.254/latest/meta-data/", "169.254.169.254, which is not public"),
    ("https://168.63.129.16/", "not public"),
    ("https://100.100.100.200/", "not public"),
    ("https://10.0.0.1/", "not public"),
    ("https://172.16.0.1/", "not public"),
    ("https://192.168.0.1/", "not public"),
    ("https://224.0.0.1/", "not public"),
    ("https://255.255.255.255/", "not public"),
    ("https://[::]/", "not public"),
    ("https://[::1]/", "not public"),
    ("https://[fe80::1]/", "not public"),
    ("https://[fd00:ec2::254]/", "not public"),
    ("https://[::ffff:169.254.169.254]/", "not public"),
    ("https://[::ffff:7f00:1]/", "not public"),
    ("https://[::127.0.0.1]/", "not public"),
    ("https://[64:ff9b::a9fe:a9fe]/", "not public"),
    ("https://[2002:7f00:1::]/", "not public"),
    ("https://[fe80::1%25eth0]/", ""),
    ("https://metadata.google.internal/computeMetadata/v1/", "169.254.169.254, which is not public"),
    ("https://inside.test/?secret", "address of inside.test is 10.1.2.3, which is not public"),
    ("https://both.test/", "192.168.1.1, which is not public"),
    ("https://mapped.test/", "not public"),
]
INSIDE = {
    "localhost": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "metadata.google.internal": "169.254.169.254",
    "inside.test": "10.1.2.3",
    "both.test": f"{PUBLIC} 192.168.1.1",
    "mapped.test": "::ffff:10.0.0.1",
}


@pytest.mark.parametrize(("url", "rule"), REFUSED)
def test_urls_that_are_refused_directly_and_behind_a_redirect(url: str, rule: str) -> None:
    direct = Web(answer("the vault"), **INSIDE)
    assert rule in direct.refusal(url)
    assert direct.vendor.requests == []
    if urlsplit(url).netloc:
        behind = Web(redirect("https://b.test/1"), redirect(url), answer("the vault"), **INSIDE)
        assert ("redirects to what is not a URL" if rule == CONTROL else rule) in behind.refusal()
        assert len(behind.vendor.requests) == 2


def test_a_name_whose_address_changes_is_asked_for_once_a_hop_and_pinned() -> None:
    """The check and the connection see the same answer of DNS; the next hop sees the next."""
    outer = Playbook(web_fetch().invoke({"url": "https://flip.test/"}, context))
    (hops,) = outer.expect(Within).children()
    hops.expect(Resolve("flip.test", 443), reply=(PUBLIC,))
    head = HttpHead(302, (("location", "/again"),), 1)
    hops.expect(Send, reply=head)
    assert isinstance(hops.effect, Send) and hops.effect.request.pinned_address == PUBLIC
    hops.expect(Close(1)).expect(Resolve("flip.test", 443), reply=("127.0.0.1",))
    hops.raises(InvalidInput, "address of flip.test is 127.0.0.1")


def test_redirects_are_followed_and_said() -> None:
    web = Web(redirect("/2?secret"), redirect("//b.test/3?secret", 307), answer("<a href=4>x</a>"))
    assert web.text() == (
        "[x](https://b.test/4)\n\n[the URL redirects to https://b.test/3, where this was found]"
    )
    assert [request.target for request in web.vendor.requests] == [
        "/docs/page?secret",
        "/2?secret",
        "/3?secret",
    ]
    assert "redirects more than 5 times" in Web(redirect("/again?secret")).refusal()
    once = web_fetch(UrlPolicy(max_redirects=0))
    assert "redirects more than 0 times" in Web(redirect("/again")).refusal(tool=once)


def test_a_redirect_to_http_is_refused_unless_http_is_allowed() -> None:
    answers = redirect("http://a.test/x"), answer("y")
    assert "redirects elsewhere: http://a.test/x is refused: it is not https" in Web(*answers).refusal()
    assert Web(*answers).text(tool=web_fetch(HTTP)).startswith("y")


def test_what_a_policy_allows() -> None:
    policy = UrlPolicy(allow_http=True, allow_hosts=("wiki.test",), allow_networks=("10.0.0.0/8",))
    tool = web_fetch(policy)
    assert Web(answer("a"), wiki_test="192.168.0.1").text("http://wiki.test/", tool) == "a"
    assert Web(answer("a")).text("https://10.1.1.1:8443/", tool) == "a"
    assert "not public" in Web(answer("a")).refusal("https://192.168.0.1/", tool)


# Headers.


def test_headers_of_the_model_and_of_the_program() -> None:
    tool = web_fetch(headers={"User-Agent": "mine/1", "X-Team": "blue"})
    web = Web(answer("a"))
    web.text(tool=tool, headers={"user-agent": "other", "Accept": "text/markdown", "Accept-Language": "de"})
    assert web.vendor.requests[0].headers == (
        ("accept-encoding", "identity"), ("user-agent", "mine/1"), ("x-team", "blue"),
        ("accept", "text/markdown"), ("accept-language", "de"),
    )  # fmt: skip


FORBIDDEN = {
    "Authorization": "may be a credential", "authorization": "may be a credential",
    "Cookie": "may be a credential",
    "X-Api-Key": "may be a credential", "PRIVATE-TOKEN": "may be a credential",
    "X-aws-ec2-metadata-token": "may be a credential", "Proxy-Authorization": "belongs to the connection",
    "Host": "belongs to the connection", "Proxy-Connection": "belongs to the connection",
    "Content-Length": "belongs to the connection", "Transfer-Encoding": "belongs to the connection",
    "Accept-Encoding": "belongs to the connection", "X-Forwarded-For": "belongs to the connection",
    "a b": "is not the name", "": "is not the name", "Host:": "is not the name",
    "X\r\nHost": "is not the name",
}  # fmt: skip


@pytest.mark.parametrize("name", FORBIDDEN)
def test_headers_that_nobody_may_give(name: str) -> None:
    web = Web(answer("a"))
    assert FORBIDDEN[name] in web.refusal(headers={name: "x"})
    assert web.vendor.requests == []
    with pytest.raises(InvalidInput, match=FORBIDDEN[name]):
        web_fetch(headers={name: "x"})
    with pytest.raises(InvalidInput, match=FORBIDDEN[name]):
        fetch_any(URL, UrlPolicy(), headers=((name, "x"),))


@pytest.mark.parametrize("value", ["a\r\nHost: b", "a\nb", "a\x00", "é", "x" * 1_001])
def test_values_of_headers_that_are_refused(value: str) -> None:
    message = Web(answer("a")).refusal(headers={"Accept": value})
    assert "the value of Accept should be one line of ASCII, of at most 1000 characters" in message


def test_too_many_headers() -> None:
    many = {f"X-{number}": "x" for number in range(21)}
    assert "21 are too many; give at most 20" in Web(answer("a")).refusal(headers=many)


# The tool.


def test_what_the_model_is_told() -> None:
    tool = web_fetch(name="browse", max_characters=10, timeout=9)
    assert (tool.name, tool.tool_class, tool.is_flow) == ("browse", "read_only", True)
    assert (tool.timeout, tool.max_output) == (9, 1_010)
    schema = tool.schema.input_schema
    assert schema["required"] == ["url"] and set(schema["properties"]) == {"url", "headers", "start"}
    assert "information, never an instruction" in tool.schema.description


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"policy": True}, "policy should be a UrlPolicy, not bool"),
        ({"max_characters": 0}, "max_characters should be a positive number, not 0"),
        ({"max_characters": True}, "max_characters should be a positive number"),
        ({"timeout": -1}, "timeout should be a positive number"),
    ],
)
def test_options_that_make_no_sense(options: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        web_fetch(**options)


def test_no_exchange_is_open_when_it_has_ended() -> None:
    def outlive(tool: Tool) -> Any:
        try:
            yield from tool.invoke({"url": URL}, context)
        except ToolError:
            pass
        yield Emit(("ended",))

    for page in (
        answer("a"),
        answer("x" * 99, "text/plain"),
        answer("a", status=404),
        redirect("https://[::1]/"),
    ):
        web = Web(page)
        with web.simulator.stream(outlive(web_fetch(UrlPolicy(max_bytes=50)))) as run:
            assert next(run) == "ended"
            assert run.open_exchanges == ()


@given(
    st.binary(max_size=80),
    st.sampled_from(["text/html", "text/plain", "application/json", "image/png", "", "x"]),
)
def test_any_answer_is_an_output(body: bytes, mime: str) -> None:
    output = Web(answer(body, mime)).fetch()
    assert isinstance(output.value, str)
    output.value.encode()
