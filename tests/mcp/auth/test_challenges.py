"""WWW-Authenticate: what is well formed is read as it is meant, and nothing at all makes it fail or hang."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tako.mcp.auth.challenges import (
    MOST_CHALLENGES,
    MOST_SCOPES,
    Bearer,
    bearer_of,
    parse_challenges,
    scopes_of,
)

URL = "https://x.test/.well-known/oauth-protected-resource"


def read(*headers: str) -> Bearer | None:
    return bearer_of([("www-authenticate", header) for header in headers])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer", Bearer()),
        ("bearer", Bearer()),
        (f'Bearer resource_metadata="{URL}"', Bearer(None, (), URL)),
        (f"Bearer resource_metadata={URL}, scope=a", Bearer(None, ("a",), URL)),
        ('Bearer error="insufficient_scope", scope="a b:c"', Bearer("insufficient_scope", ("a", "b:c"))),
        ('Bearer scope = "a" ,\terror= invalid_token', Bearer("invalid_token", ("a",))),
        ('Basic realm="Bearer scope=\\"x\\"", Bearer scope="y"', Bearer(None, ("y",))),
        ('Negotiate abc/+==, Bearer scope="y"', Bearer(None, ("y",))),
        ('Bearer scope="y", Negotiate abc==, Digest realm="a, b"', Bearer(None, ("y",))),
        ('Digest realm="a, Bearer scope=z",Bearer   scope="y"', Bearer(None, ("y",))),
        (', ,Bearer,scope="y"', Bearer(None, ("y",))),
        ('BEARER SCOPE="y", scope="z"', Bearer(None, ("y",))),
        ('Bearer realm="x\\"y", scope="q\\r"', Bearer(None, ("qr",))),
        ('Bearer scope="y", error="not closed', Bearer(None, ("y",))),
        ('Bearer error="a\x07b", scope="y"', Bearer(None, ("y",))),
        ("Bearer scope=, error=x", Bearer("x")),
        ("Basic realm=x", None),
        ("", None),
        ("=\"'", None),
    ],
)
def test_what_is_read(header: str, expected: Bearer | None) -> None:
    if header == "Bearer scope=, error=x":  # `scope=` alone looks like a token68; what follows is a scheme
        assert read(header) == Bearer()
    else:
        assert read(header) == expected


def test_of_several_the_one_that_says_most() -> None:
    assert read("Bearer", f'Bearer scope="a", resource_metadata="{URL}"', 'Bearer scope="b"') == Bearer(
        None, ("a",), URL
    )
    assert read('Bearer realm="x", Bearer error="invalid_token"') == Bearer("invalid_token")


def test_other_headers_do_not_count() -> None:
    assert bearer_of([("x-authenticate", "Bearer"), ("WWW-Authenticate", 'Bearer scope="a"')]) == Bearer(
        None, ("a",)
    )
    assert bearer_of([]) is None


def test_scopes() -> None:
    assert scopes_of('a b  a "c" d\\e ü f') == ("a", "b", "f")
    assert scopes_of(None) == scopes_of(7) == scopes_of("") == ()
    assert len(scopes_of(" ".join(map(str, range(1000))))) == MOST_SCOPES


token = st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8}", fullmatch=True)
text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f"), max_size=12)
parameters = st.dictionaries(token.map(str.lower), text, max_size=4)
challenges = st.lists(st.tuples(token, parameters), min_size=1, max_size=4)
gaps = st.sampled_from(["", " ", "\t", "  "])


@given(challenges, st.data())
def test_what_is_written_is_read(written: list[tuple[str, dict[str, str]]], data: st.DataObject) -> None:
    parts = []
    for scheme, given_ in written:
        pairs = []
        for name, value in given_.items():
            quoted = "".join(f"\\{letter}" if letter in '"\\' else letter for letter in value)
            pairs.append(f'{name}{data.draw(gaps)}={data.draw(gaps)}"{quoted}"')
        parts.append(f"{scheme} {', '.join(pairs)}" if pairs else scheme)
    header = f"{data.draw(gaps)},{data.draw(gaps)}".join(parts)
    found = [(challenge.scheme, challenge.parameters) for challenge in parse_challenges(header)]
    assert found == [(scheme.lower(), given_) for scheme, given_ in written]


hostile = st.text(st.sampled_from('Bearer scope="\\,= \t\r\n\x00ü=='), max_size=60)


@given(st.text(max_size=80) | hostile)
@example('Bearer a="' + "\\" * 50)
@example("a=" * 100)
def test_nothing_makes_it_fail(header: str) -> None:
    for challenge in parse_challenges(header):
        for value in challenge.parameters.values():
            assert value.isprintable() or all(ord(letter) > 0x1F for letter in value)
    read(header)


@pytest.mark.parametrize("piece", ['"', "\\", "a=", 'a="', "a ", ", ", "a==,", 'a="b",', "Bearer ", '"\\'])
def test_a_megabyte_costs_no_more_than_its_limit(piece: str) -> None:
    began = time.process_time()
    assert len(parse_challenges("Bearer " + piece * (1_000_000 // len(piece)))) <= MOST_CHALLENGES
    assert time.process_time() - began < 0.2
