"""URLs, and the proxy variables against requests, which people know them from."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests.utils
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.wire.route import Origin, Route, parse_url, route_for
from tests.effort import examples

HTTP = Origin("http", "a.example", 80)
HTTPS = Origin("https", "a.example", 443)


@pytest.mark.parametrize(
    ("url", "origin", "path", "authority"),
    [
        ("http://a.example", ("http", "a.example", 80), "/", "a.example"),
        ("https://A.Example:443/v1?q=1#part", ("https", "a.example", 443), "/v1?q=1", "a.example"),
        ("https://a.example:80/?", ("https", "a.example", 80), "/", "a.example:80"),
        ("http://[::1]:8080/x", ("http", "::1", 8080), "/x", "[::1]:8080"),
        ("http://[2001:DB8:0::1]", ("http", "2001:db8::1", 80), "/", "[2001:db8::1]"),
        ("http://127.0.0.1:1", ("http", "127.0.0.1", 1), "/", "127.0.0.1:1"),
        ("http://bücher.example", ("http", "xn--bcher-kva.example", 80), "/", "xn--bcher-kva.example"),
        ("http://my_service.:1/", ("http", "my_service.", 1), "/", "my_service.:1"),
        ("http://a/é %20%zz[/]?é=[1] |", ("http", "a", 80), "/%C3%A9%20%20%zz%5B/%5D?%C3%A9=[1]%20%7C", "a"),
        ("http://a//b/../c;d=1:@!$&'()*+,=", ("http", "a", 80), "//b/../c;d=1:@!$&'()*+,=", "a"),
        ("  http://a/ ", ("http", "a", 80), "/", "a"),
    ],
)
def test_a_url_is_taken_apart(url: str, origin: tuple[str, str, int], path: str, authority: str) -> None:
    target = parse_url(url)
    assert target.origin == Origin(*origin)
    assert target.path == path
    assert target.origin.authority == authority


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must start with http"),
        ("a.example/x", "must start with http"),
        ("ftp://a", "must start with http"),
        ("http://", "no host"),
        ("http:///x", "no host"),
        ("http://user:secret@a/", "user or password"),
        ("http://a:99999/", "port"),
        ("http://a:x/", "port"),
        ("http://a:0/", "port 0"),
        ("http://a b/", "host"),
        ("http://a%41/", "host"),
        ("http://-a/", "host"),
        ("http://a..b/", "host"),
        ("http://ü..b/", "host"),
        ("http://[::1/", "bracket"),
        ("http://[::g]/", "host|bracket"),
        ("http://[fe80::1%25eth0]/", "IPv6"),
        ("http://a/secret\n", "control"),
        ("http://a/\x00secret", "control"),
        ("http://a/\ud800secret", "surrogate"),
        ("http://a/?\ud800secret", "surrogate"),
        ("http://" + "a" * 64 + "/", "host"),
        ("http://" + "a." * 128 + "/", "host"),
    ],
)
def test_a_bad_url_says_what_is_wrong(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


@given(
    st.text(max_size=30), st.sampled_from(["http://", "https://", "http://[", "http://a/", "http://a:", ""])
)
@settings(max_examples=examples(4))
def test_any_text_is_a_url_or_an_invalid_input(text: str, start: str) -> None:
    try:
        target = parse_url(start + text)
    except InvalidInput:
        return
    assert target.path.startswith("/") and target.path.isascii() and " " not in target.path
    assert parse_url(f"{target.origin.scheme}://{target.origin.authority}{target.path}") == target


# --------------------------------------------------------------------- proxies


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """The environment of this process, which is where requests, our oracle, reads it."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@pytest.mark.parametrize(
    ("origin", "environ", "variable"),
    [
        (HTTP, {}, None),
        (HTTP, {"http_proxy": "p:1"}, "http_proxy"),
        (HTTPS, {"http_proxy": "p:1"}, None),
        (HTTPS, {"HTTPS_PROXY": "p:1"}, "HTTPS_PROXY"),
        (HTTPS, {"HTTPS_PROXY": "q:1", "https_proxy": "p:1"}, "https_proxy"),
        (HTTPS, {"ALL_PROXY": "p:1"}, "ALL_PROXY"),
        (HTTPS, {"all_proxy": "q:1", "https_proxy": "p:1"}, "https_proxy"),
        (HTTP, {"HTTP_PROXY": "p:1"}, "HTTP_PROXY"),
        (HTTP, {"HTTP_PROXY": "p:1", "http_proxy": ""}, None),
        (HTTP, {"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, None),
        (HTTP, {"http_proxy": "p:1", "REQUEST_METHOD": "GET"}, "http_proxy"),
        (HTTPS, {"HTTPS_PROXY": "p:1", "REQUEST_METHOD": "GET"}, "HTTPS_PROXY"),
        (HTTP, {"HTTP_PROXY": "q:1", "REQUEST_METHOD": "GET", "all_proxy": "p:1"}, "all_proxy"),
        (HTTP, {"http_proxy": "p:1", "NO_PROXY": "example"}, None),
        (HTTP, {"http_proxy": "p:1", "NO_PROXY": "example", "no_proxy": "other"}, "http_proxy"),
        (HTTP, {"http_proxy": "p:1", "NO_PROXY": "example", "no_proxy": ""}, None),
    ],
)
def test_which_variable_counts(origin: Origin, environ: dict[str, str], variable: str | None) -> None:
    route = route_for(origin, environ)
    assert (route.proxy.variable if route.proxy else None) == variable
    assert route.first_hop == (Origin("http", "p", 1) if variable else origin)
    assert route.tunnel is (variable is not None and origin.scheme == "https")
    with environment(environ):
        url = f"{origin.scheme}://{origin.host}/"
        theirs = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    assert theirs == (environ[variable] if variable else None)


hosts = st.sampled_from(
    [
        "a.example",
        "b.a.example",
        "xa.example",
        "example",
        "localhost",
        "10.1.2.3",
        "10.1.9.9",
        "192.168.0.1",
        "::1",
    ]
)
items = st.sampled_from(
    [
        "*",
        "",
        "example",
        ".example",
        "..example",
        "a.example",
        "A.Example",
        ".a.example",
        "a.example:8080",
        "a.example:80",
    ]
    + [
        "example:8080",
        ".example:8080",
        "localhost",
        "*.example",
        "10.1.2.3",
        "10.1.2.3:8080",
        "10.1.0.0/16",
        "10.1.2.0/24",
    ]
    + [
        "10.1.2.3/32",
        "10.0.0.0/0",
        "10.0.0.0/33",
        "10.0.0.0/x",
        "0.0.0.0/1",
        "2.3",
        "168.0.1",
        "::1",
        "1",
        "a",
        " ",
        "fd00::/8",
    ]
)


@example("10.1.2.3", 8080, ["10.1.2.3:8080"])
@example("10.1.2.3", 8080, ["10.0.0.0/0"])
@example("a.example", 8080, ["other", "*"])
@given(hosts, st.sampled_from([80, 8080, 443]), st.lists(items, max_size=4))
@settings(max_examples=examples(4))
def test_no_proxy_means_what_it_means_to_requests(host: str, port: int, no_proxy: list[str]) -> None:
    value = ", ".join(no_proxy)
    origin = Origin("http", host, port)
    ours = route_for(origin, {"http_proxy": "p:1", "no_proxy": value}).proxy is None
    url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    assert ours == requests.utils.should_bypass_proxies(url, value)


@pytest.mark.parametrize(
    ("value", "first_hop", "credentials"),
    [
        ("p", ("http", "p", 80), None),
        ("p:8080", ("http", "p", 8080), None),
        ("https://p", ("https", "p", 443), None),
        ("HTTP://P:1/ignored", ("http", "p", 1), None),
        ("http://user:s%40crét@p:1", ("http", "p", 1), "user:s@crét"),
        ("http://user@p:1", ("http", "p", 1), "user:"),
    ],
)
def test_a_proxy_is_taken_apart(value: str, first_hop: tuple[str, str, int], credentials: str | None) -> None:
    route = route_for(HTTP, {"http_proxy": value})
    assert route.proxy is not None
    assert route.first_hop == Origin(*first_hop)
    expected = None if credentials is None else "Basic " + base64.b64encode(credentials.encode()).decode()
    assert route.proxy.authorization == expected
    assert "Basic" not in repr(route) and "cr" not in repr(route)


@pytest.mark.parametrize(
    "value",
    [
        "http://u:secret\n@p",
        "socks5://u:secret@p:1",
        "ftp://u:secret@p",
        "http://u:secret@p:x",
        "http://u:secret@",
        "http://[u:secret@p",
    ],
)
def test_a_proxy_that_cannot_be_used_names_its_variable(value: str) -> None:
    with pytest.raises(InvalidInput, match="https_proxy") as caught:
        route_for(HTTPS, {"https_proxy": value})
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_url_with_a_key_in_its_query_keeps_it_out_of_the_repr() -> None:
    assert "secret" not in repr(parse_url("https://a/?key=secret"))
    assert repr(Route(HTTP)).startswith("Route(origin=Origin(scheme='http'")
