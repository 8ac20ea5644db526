"""Fetching by hand and in virtual time: what is asked, what is refused, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Close, Emit, Flow, HttpHead, HttpRequest, Receive, Resolve, Send, Within
from tako.errors import InvalidInput, ProtocolError, TakoError, TimedOut, TransportError
from tako.fetching import Fetched, UrlPolicy, checked_headers, fetch, fetch_any
from tako.testing import ANY, Answer, Pause, Playbook, ScriptedVendor, Simulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
SAMPLES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(20),
    "image/gif": b"GIF89a" + bytes(20),
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    "application/pdf": b"%PDF-1.7\n",
}
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
PUBLIC, OTHER = "93.184.216.34", "2606:4700::1111"
POLICY = UrlPolicy()
NOWHERE_ELSE: Mapping[str, str] = {}
URL = "https://a.test/cat.png"


def picture(data: bytes = PNG, mime: str = "image/png", **headers: str) -> Answer:
    extra = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer((data,), 200, (("content-type", mime), *extra))


def redirect(location: str | None, status: int = 302) -> Answer:
    headers = () if location is None else (("location", location),)
    return Answer((b"gone",), status, headers)


def simulate(
    *answers: Answer,
    url: str = URL,
    policy: UrlPolicy = POLICY,
    accept: Sequence[str] = IMAGES,
    hosts: Mapping[str, str] = NOWHERE_ELSE,
) -> tuple[Fetched, ScriptedVendor]:
    """`hosts` has addresses of names, besides which a.test and b.test are public."""
    vendor = ScriptedVendor(answers)
    known = {"a.test": PUBLIC, "b.test": PUBLIC, **hosts}
    addresses = {name: texts.split() for name, texts in known.items()}
    return Simulator(vendor=vendor, addresses=addresses).run(fetch(url, policy, accept=accept)), vendor


def refusal(*answers: Answer, kind: type[TakoError] = InvalidInput, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        simulate(*answers, **options)
    assert type(caught.value) is kind
    return str(caught.value)


def journey(**options: Any) -> Playbook[Fetched]:
    """The flow inside of the time limit."""
    (inner,) = Playbook(fetch(URL, UrlPolicy(**options), accept=IMAGES)).expect(Within).children()
    return inner


# What is asked.


def test_the_request_is_pinned_to_a_checked_address_and_says_nothing_about_us() -> None:
    book = journey(timeout_secs=6.0)
    book.expect(Resolve("a.test", 443), reply=(PUBLIC, OTHER))
    book.expect(
        Send(
            HttpRequest(
                "GET",
                URL,
                (
                    ("User-Agent", "tako"),
                    ("Accept", "image/gif, image/jpeg, image/png, image/webp"),
                    ("Accept-Encoding", "identity"),
                ),
                connect_timeout=3.0,
                read_timeout=6.0,
                pinned_address=PUBLIC,
            )
        ),
        reply=HttpHead(200, (("content-type", "IMAGE/PNG; x=y"),), 7),
    )
    book.expect(Receive(7), reply=PNG[:3]).expect(Receive(7), reply=PNG[3:]).expect(Receive(7), reply=b"")
    assert book.expect(Close(7)).returns() == Fetched(URL, "image/png", PNG)


def test_each_hop_is_looked_up_and_pinned_anew() -> None:
    book = journey()
    book.expect(Resolve, reply=(PUBLIC,))
    book.expect(Send, reply=HttpHead(301, (("location", "//b.test:8443/x?q#part"),), 1)).expect(Close(1))
    book.expect(Resolve("b.test", 8443), reply=(OTHER,))
    book.expect(Send(ANY), reply=HttpHead(200, (("content-type", "image/png"),), 2))
    request = book.effect
    assert isinstance(request, Send)
    assert (request.request.url, request.request.pinned_address) == ("https://b.test:8443/x?q", OTHER)
    assert not {"cookie", "authorization", "referer"} & {name.lower() for name, _ in request.request.headers}
    book.expect(Receive(2), reply=PNG).expect(Receive(2), reply=b"").expect(Close(2)).returns()


def test_the_next_address_is_tried_if_one_takes_no_connection() -> None:
    head = HttpHead(200, (("content-type", "image/png"),), 1)
    book = journey().expect(Resolve, reply=(PUBLIC, OTHER))
    book.expect(Send, raises=TimedOut("late", phase="connect")).expect(Send, reply=head)
    assert isinstance(book.effect, Send) and book.effect.request.pinned_address == OTHER
    for error in (TransportError("reset", phase="head"), TimedOut("late", phase="body")):
        book = journey().expect(Resolve, reply=(PUBLIC, OTHER))
        book.expect(Send, raises=error).raises(type(error))
    many = tuple(f"8.8.8.{number}" for number in range(9))
    book = journey().expect(Resolve, reply=many)
    for _ in range(3):
        book.expect(Send, raises=TransportError("refused", phase="connect"))
    book.raises(TransportError)


def test_a_host_that_is_an_address_is_not_looked_up() -> None:
    (book,) = Playbook(fetch("https://134744072/x", POLICY, accept=IMAGES)).expect(Within).children()
    book.expect(Send)
    assert isinstance(book.effect, Send) and book.effect.request.pinned_address == "8.8.8.8"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "found"),
    [
        ("/x", "https://a.test/x"),
        ("x", "https://a.test/p/x"),
        ("../x", "https://a.test/x"),
        ("?y=1", "https://a.test/p/cat.png?y=1"),
        ("https://b.test", "https://b.test/"),
    ],
)
def test_redirects(location: str, found: str, status: int) -> None:
    fetched, vendor = simulate(redirect(location, status), picture(), url="https://a.test/p/cat.png?z")
    assert fetched.url == found
    assert [request.method for request in vendor.requests] == ["GET", "GET"]


# What is refused.


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (
            "http://a.test/",
            r"http://a.test/ is refused: it is not https; try https://; a UrlPolicy with allow_http=True",
        ),
        ("ftp://a.test/", "must start with http"),
        ("data:image/png;base64,AA==", "must start with http"),
        ("https://user:secret@a.test/", "user or password"),
        (
            "https://127.0.0.1/x",
            r"127.0.0.1, which is not public; a UrlPolicy with allow_networks=\('127.0.0.1',\) or",
        ),
        ("https://2130706433/", "address of 2130706433 is 127.0.0.1"),
        ("https://0251.0376.0251.0376/", "169.254.169.254"),
        ("https://[::ffff:10.0.0.1]/", "not public"),
        ("https://256.0.0.1/", "ends in a number"),
        (
            "https://d.test/?secret",
            r"address of d.test is fd00::1, .*allow_hosts=\('d.test',\), allow_networks",
        ),
        ("https://e.test/", "10.0.0.1"),
    ],
)
def test_urls_that_are_refused(url: str, reason: str) -> None:
    vendor = ScriptedVendor(picture())
    addresses = {"a.test": [PUBLIC], "d.test": ["fd00::1"], "e.test": [PUBLIC, "10.0.0.1"]}
    for asked, answers in (url, picture()), (URL, redirect(url)):
        vendor = ScriptedVendor([answers, picture()])
        with pytest.raises(InvalidInput, match=reason) as caught:
            Simulator(vendor=vendor, addresses=addresses).run(fetch(asked, POLICY, accept=IMAGES))
        assert len(vendor.requests) == (asked == URL)
        assert "secret" not in str(caught.value)


def test_redirects_that_lead_nowhere() -> None:
    for location in (None, ""):
        assert "redirects to nowhere" in refusal(redirect(location), kind=ProtocolError)
    assert "not a URL" in refusal(redirect("https://[::1/"))
    loop = refusal(redirect("/cat.png?secret"), kind=ProtocolError)
    assert "redirects more than 3 times" in loop and "secret" not in loop
    assert "more than 0 times" in refusal(
        redirect("/x"), kind=ProtocolError, policy=UrlPolicy(max_redirects=0)
    )
    assert simulate(*[redirect("/x")] * 3, picture())[0].data == PNG
    assert "more than 3 times" in refusal(*[redirect("/x")] * 4, picture(), kind=ProtocolError)


def test_a_host_without_an_address() -> None:
    assert "no address" in refusal(kind=TransportError, hosts={"a.test": ""})


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, ProtocolError),
        (304, ProtocolError),
        (300, ProtocolError),
        (429, TransportError),
        (503, TransportError),
    ],
)
def test_a_status_that_is_no_success(status: int, kind: type[TakoError]) -> None:
    with pytest.raises(kind, match=f"^https://a.test/cat.png could not be fetched: .*{status}") as caught:
        simulate(Answer((PNG,), status, (("content-type", "image/png"),)), url=f"{URL}?secret")
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (picture(mime="text/html"), "it is text/html, and should be one of image/gif"),
        (Answer((PNG,), 200, ()), "of no type"),
        (picture(mime="image/svg+xml"), "svg"),
        (picture(content_encoding="br"), "coding 'br'"),
        (picture(content_encoding="gzip, gzip"), "coding 'gzip, gzip'"),
        (Answer((PNG,), 200, (("content-type", "image/png"), *[("content-encoding", "gzip")] * 2)), "coding"),
        (picture(content_length="10485761"), "larger than 10485760 bytes"),
        (picture(content_length="9" * 6000), "larger than 10485760 bytes"),
        (picture(b"<html>"), "calls it image/png, but its first bytes are not"),
        (picture(b""), "first bytes are not"),
    ],
)
def test_answers_that_are_refused(answer: Answer, reason: str) -> None:
    assert reason in refusal(answer, kind=ProtocolError)


@given(st.sampled_from(sorted(SAMPLES)), st.sampled_from(sorted(SAMPLES)))
def test_the_first_bytes_are_of_the_type_that_the_server_claims(claimed: str, actual: str) -> None:
    answer = picture(SAMPLES[actual], claimed.upper())
    if claimed == actual:
        fetched, _ = simulate(answer, accept=tuple(SAMPLES))
        assert (fetched.mime, fetched.data) == (claimed, SAMPLES[actual])
    else:
        message = refusal(answer, kind=ProtocolError, accept=tuple(SAMPLES))
        assert f"calls it {claimed}, but it is {actual}" in message


def test_types_without_first_bytes_of_their_own_and_types_with_two_names() -> None:
    assert simulate(picture(b"", "text/plain; charset=utf-8"), accept=("TEXT/plain",))[0].data == b""
    assert simulate(picture(SAMPLES["image/jpeg"], "image/jpg"))[0].mime == "image/jpeg"


# Whatever there is.


def anything(*answers: Answer, **options: Any) -> tuple[Fetched, ScriptedVendor]:
    vendor = ScriptedVendor(answers)
    simulator = Simulator(vendor=vendor, addresses={"a.test": [PUBLIC], "b.test": [PUBLIC]})
    policy = options.pop("policy", POLICY)
    return simulator.run(fetch_any(URL, policy, **options)), vendor


@pytest.mark.parametrize(
    ("content_type", "mime", "charset"),
    [
        ("Text/HTML", "text/html", None),
        ("text/html; charset=UTF-8", "text/html", "utf-8"),
        ("text/html;x=y; CHARSET = 'koi8-r' ;z", "text/html", "koi8-r"),
        ('text/html;charset="latin1"', "text/html", "latin1"),
        ("text/charset=utf-8", "text/charset=utf-8", None),
        ("image/jpg", "image/jpeg", None),
        ("", "", None),
    ],
)
def test_any_type_and_the_encoding_that_it_names(content_type: str, mime: str, charset: str | None) -> None:
    fetched, _ = anything(Answer((PNG,), 200, (("content-type", content_type),)))
    assert (fetched.mime, fetched.charset, fetched.data, fetched.cut) == (mime, charset, PNG, False)


def test_any_status_of_which_little_is_read_if_it_is_no_success() -> None:
    fetched, vendor = anything(redirect("//b.test/x"), Answer((b"x" * 70_000,), 404, ()))
    assert (fetched.status, fetched.mime, fetched.redirects) == (404, "", 1)
    assert (len(fetched.data), fetched.cut, len(vendor.requests)) == (65_536, True, 2)


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=8), st.integers(1, 60))
def test_a_body_is_cut_at_the_limit_and_said_to_be(pieces: list[bytes], limit: int) -> None:
    whole = b"".join(pieces)
    fetched, _ = anything(Answer(tuple(pieces), 200, ()), policy=UrlPolicy(max_bytes=limit))
    assert (fetched.data, fetched.cut) == (whole[:limit], len(whole) > limit)


def test_a_length_over_the_limit_is_no_reason_to_refuse_it() -> None:
    answer = Answer((b"x" * 50,), 200, (("content-length", "50"),))
    fetched, _ = anything(answer, policy=UrlPolicy(max_bytes=20))
    assert (fetched.data, fetched.cut) == (b"x" * 20, True)


def test_headers_of_the_callers_own_take_the_place_of_ours() -> None:
    own = (("accept", "text/html"), ("User-agent", "mine"), ("X-A", "b"))
    _, vendor = anything(redirect("//b.test/"), picture(), headers=own)
    for request in vendor.requests:
        assert request.headers == (
            ("accept-encoding", "identity"), ("accept", "text/html"), ("user-agent", "mine"), ("x-a", "b"),
        )  # fmt: skip


def test_headers_that_may_go_to_anybody() -> None:
    assert checked_headers({"X-A": "b\tc", "Range": "bytes=0-9"}) == (("X-A", "b\tc"), ("Range", "bytes=0-9"))
    for name in ("Authorization", "Set-Cookie", "X-Session-Id", "Host", "Proxy-X", "Te", "a b"):
        with pytest.raises(InvalidInput, match=r"^headers: "):
            checked_headers({name: "x"})


# Limits.


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=8), st.integers(1, 60))
def test_a_body_is_read_up_to_the_limit_and_no_further(pieces: list[bytes], limit: int) -> None:
    head = HttpHead(200, (("content-type", "text/plain"),), 1)
    policy = UrlPolicy(max_bytes=limit)
    (book,) = Playbook(fetch(URL, policy, accept=["text/plain"])).expect(Within).children()
    book.expect(Resolve, reply=(PUBLIC,)).expect(Send, reply=head)
    size = 0
    for piece in pieces:
        book.expect(Receive(1), reply=piece)
        size += len(piece)
        if size > limit:
            book.raises(ProtocolError, f"larger than {limit} bytes")
            return
    assert book.expect(Receive(1), reply=b"").expect(Close(1)).returns().data == b"".join(pieces)


@pytest.mark.parametrize(
    "answer",
    [
        Answer((PNG,), 200, (("content-type", "image/png"),), before=(Pause(2.0),)),
        Answer((b"x", Pause(0.4)) * 9, 200, (("content-type", "image/png"),)),
        Answer((), 302, (("location", URL),), before=(Pause(0.4),)),
    ],
    ids=["head", "body", "redirects"],
)
def test_the_whole_way_has_one_limit_of_time(answer: Answer) -> None:
    policy = UrlPolicy(timeout_secs=1.5)
    simulator = Simulator(vendor=ScriptedVendor(answer), addresses={"a.test": [PUBLIC]})
    began = simulator.now
    with pytest.raises(TimedOut, match=r"^https://a.test/cat.png could not be fetched within 1.5 seconds"):
        simulator.run(fetch(f"{URL}?secret", policy, accept=IMAGES))
    assert simulator.now == began + 1.5


def outlive(flow: Flow[Fetched]) -> Flow[str]:
    try:
        yield from flow
        outcome = "fetched"
    except TakoError as error:
        outcome = type(error).__name__
    yield Emit((outcome,))
    return outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (picture(), "fetched"),
        (picture(b"<html>"), "ProtocolError"),
        (picture(mime="text/html"), "ProtocolError"),
        (Answer((b"x", Pause(99.0)), 200, (("content-type", "image/png"),)), "TimedOut"),
        (redirect("https://127.0.0.1/"), "InvalidInput"),
        (redirect("/cat.png"), "ProtocolError"),
    ],
)
def test_no_exchange_is_open_when_it_has_ended(answer: Answer, outcome: str) -> None:
    """However it ended, and though the flow around it goes on."""
    simulator = Simulator(vendor=ScriptedVendor(answer), addresses={"a.test": [PUBLIC]})
    with simulator.stream(outlive(fetch(URL, POLICY, accept=IMAGES))) as run:
        assert next(run) == outcome
        assert run.open_exchanges == ()


# The policy.


@pytest.mark.parametrize(
    ("options", "url", "hosts"),
    [
        ({"allow_http": True}, "http://a.test/", {}),
        ({"allow_private_addresses": True}, "https://a.test/", {"a.test": "10.0.0.1"}),
        (
            {"allow_networks": ["10.0.0.0/8"]},
            "https://a.test/",
            {"a.test": f"10.0.0.1 {PUBLIC} ::ffff:10.9.9.9"},
        ),
        ({"allow_networks": ("127.0.0.1",)}, "https://127.1/", {}),
        ({"allow_hosts": ("A.TEST",)}, "https://a.test/", {"a.test": "10.0.0.1"}),
        ({"allow_hosts": ("*.test",)}, "https://A.Test/", {"a.test": "10.0.0.1"}),
    ],
)
def test_what_a_policy_allows(options: Mapping[str, Any], url: str, hosts: dict[str, str]) -> None:
    assert simulate(picture(), url=url, policy=UrlPolicy(**options), hosts=hosts)[0].data == PNG
    default = UrlPolicy(allow_http="allow_private_addresses" in options)
    refusal(picture(), url=url, policy=default, hosts=hosts)


def test_an_allowed_host_or_network_lifts_the_check_of_the_address_and_no_other() -> None:
    policy = UrlPolicy(allow_hosts=("a.test",), allow_networks=("10.0.0.0/8",))
    hosts = {"a.test": "10.0.0.1", "b.test": "192.168.0.1", "c.test": "10.0.0.1 192.168.0.1"}
    assert "not https" in refusal(picture(), url="http://a.test/", policy=policy, hosts=hosts)
    assert "is text/html" in refusal(
        picture(mime="text/html"), kind=ProtocolError, policy=policy, hosts=hosts
    )
    assert "192.168.0.1" in refusal(redirect("https://b.test/"), policy=policy, hosts=hosts)
    assert "192.168.0.1" in refusal(picture(), url="https://c.test/", policy=policy, hosts=hosts)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"allow_http": 1}, "allow_http should be True or False"),
        ({"allow_private_addresses": None}, "allow_private_addresses should be True or False"),
        ({"allow_hosts": "a.test"}, "allow_hosts should be a tuple of strings"),
        ({"allow_hosts": None}, "allow_hosts should be a tuple of strings"),
        ({"allow_hosts": ("127.0.0.1",)}, "allow_hosts: '127.0.0.1' is not a host name"),
        ({"allow_networks": (10,)}, "allow_networks should be a tuple of strings"),
        ({"allow_networks": ("10.0.0.1/8",)}, "allow_networks: '10.0.0.1/8' is not a network"),
        ({"timeout_secs": 0}, "timeout_secs"),
        ({"timeout_secs": float("inf")}, "timeout_secs"),
        ({"timeout_secs": float("nan")}, "timeout_secs"),
        ({"timeout_secs": True}, "timeout_secs"),
        ({"timeout_secs": "10"}, "timeout_secs"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"max_bytes": 1.5}, "max_bytes"),
        ({"max_redirects": -1}, "max_redirects"),
        ({"max_redirects": True}, "max_redirects"),
    ],
)
def test_a_policy_that_makes_no_sense(options: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=f"^UrlPolicy: {reason}"):
        UrlPolicy(**options)


def test_a_policy_is_a_value() -> None:
    assert UrlPolicy(allow_hosts=["a.test"]) == UrlPolicy(allow_hosts=("a.test",))  # type: ignore[arg-type]
    assert hash(UrlPolicy()) == hash(UrlPolicy(timeout_secs=10))
    assert "secret" not in repr(Fetched("https://a.test/?secret", "image/png", b"secret"))
