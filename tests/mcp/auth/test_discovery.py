"""Who lets in, and what of that is not believed: documents, redirects, garbage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import ProtocolError, TakoError, TimedOut, TransportError
from tako.mcp.auth import AuthorizationError
from tako.testing import Answer, Pause, ReceivedRequest
from tests.mcp.auth.kit import (
    ISSUER,
    MCP,
    Issuer,
    Resource,
    Town,
    document,
    refusal,
    targets,
    town,
)

# Finding out.


@pytest.mark.parametrize("challenge", [None, "bare"])
@pytest.mark.parametrize(
    ("at", "resource"),
    [
        ("/.well-known/oauth-protected-resource/mcp", MCP),
        ("/.well-known/oauth-protected-resource", "https://mcp.test"),
        ("/.well-known/oauth-protected-resource", "https://mcp.test/"),
    ],
)
def test_where_the_resource_s_metadata_is(at: str, resource: str, challenge: str | None) -> None:
    """And its name is sent as it was published, with or without a slash."""
    place = town(resource={"metadata_at": at, "metadata": {"resource": resource}, "challenge": challenge})
    assert place.visit() == 200
    assert place.issuer.asked[0]["resource"] == place.issuer.forms[0]["resource"] == resource


def test_a_place_that_only_the_challenge_knows() -> None:
    place = town(resource={"metadata_at": "/custom/place.json"})
    assert place.visit() == 200
    assert targets(place)[0] == "/custom/place.json"


@pytest.mark.parametrize(
    ("issuer", "at", "before"),
    [
        ("https://as.test", "/.well-known/oauth-authorization-server", 0),
        ("https://as.test", "/.well-known/openid-configuration", 1),
        ("https://as.test/t/1", "/.well-known/oauth-authorization-server/t/1", 0),
        ("https://as.test/t/1", "/.well-known/openid-configuration/t/1", 1),
        ("https://as.test/t/1", "/t/1/.well-known/openid-configuration", 2),
    ],
)
def test_where_the_issuer_s_metadata_are(issuer: str, at: str, before: int) -> None:
    place = town(url=issuer, metadata_at=at)
    assert place.visit() == 200
    asked = targets(place)[1:]
    assert (asked[-1], len(asked) - 1) == (at, before)
    if issuer != ISSUER:
        assert "/.well-known/oauth-authorization-server" not in asked


def test_a_server_of_2025_03_26_with_metadata() -> None:
    """It is its own issuer, and nobody said that it has PKCE; a slash makes no difference there."""
    for url in ("https://mcp.test", "https://mcp.test/"):
        issuer = Issuer(url="https://mcp.test", pkce=None, iss=None, says_iss=False, metadata={"issuer": url})
        place = Town(issuer, Resource(issuer, metadata_at=None, challenge="bare"))
        assert place.visit() == 200
        assert issuer.forms[0]["resource"] == MCP


def test_a_server_of_2025_03_26_without_metadata() -> None:
    issuer = Issuer(
        url="https://mcp.test", iss=None, metadata_at="/nowhere", assigned_method="client_secret_post"
    )
    place = Town(issuer, Resource(issuer, metadata_at=None, challenge="bare"))
    assert place.visit() == 200
    assert [form["grant_type"] for form in issuer.forms] == ["authorization_code"]
    assert "token_endpoint_auth_method" not in issuer.registered[0]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_trouble_is_not_taken_for_an_old_server(status: int) -> None:
    """Also if an authorization server is there as well."""
    for part in ("protected-resource", "protected-resource/mcp", "authorization-server"):

        def after(request: ReceivedRequest, part: str = part) -> Answer | None:
            return document({}, status) if request.target.endswith(part) else None

        issuer = Issuer(url="https://mcp.test", after=after)
        place = Town(issuer, Resource(issuer, metadata_at=None, challenge="bare"))
        message = refusal(place, kind=TransportError)
        assert str(status) in message and "try again" in message
        assert issuer.asked == []


def test_redirects_of_documents() -> None:
    moved = {"/.well-known/oauth-authorization-server": "/moved", "/loop": "/loop"}

    def after(request: ReceivedRequest) -> Answer | None:
        if request.target == "/moved":
            return document(issuer.described())
        if request.target in moved:
            return Answer((), 302, (("location", moved[request.target]),))
        return None

    issuer = Issuer(after=after)
    assert Town(issuer, Resource(issuer)).visit() == 200
    moved["/.well-known/oauth-authorization-server"] = "/loop"
    refusal(Town(issuer, Resource(issuer)), kind=ProtocolError)
    moved["/.well-known/oauth-authorization-server"] = "https://evil.test/moved"
    refusal(Town(issuer, Resource(issuer)), "unsupported_server")


def test_what_is_too_large_or_too_slow() -> None:
    assert "65536" in refusal(town(after=lambda request: Answer((b" " * 70_000,))), kind=ProtocolError)
    place = town(after=lambda request: Answer((b" ", Pause(20.0)) * 5))
    assert "within 30 seconds" in refusal(place, kind=TimedOut)


def test_a_place_on_this_machine_is_not_asked_for_a_server_elsewhere() -> None:
    for url in ("http://127.0.0.1:9/x", "https://localhost/x", "http://[::1]/x", "https://a.localhost/"):
        challenge = (("www-authenticate", f'Bearer resource_metadata="{url}"'),)
        place = town()
        with pytest.raises(AuthorizationError, match="this machine"):
            place.simulator.run(place.auth.authorizer(MCP).challenged(401, challenge, 1))
        assert place.issuer.vendor.requests == place.resource.vendor.requests == []
        assert "this machine" in refusal(town(metadata={"token_endpoint": url}), "unsupported_server")


@pytest.mark.parametrize(
    "url", ["http://as.test/x", "ftp://as.test/", "javascript:alert(1)", 7, "https://u:p@x/"]
)
def test_an_endpoint_that_must_not_be_asked(url: Any) -> None:
    for name in ("token_endpoint", "authorization_endpoint", "registration_endpoint"):
        place = town(metadata={name: url})
        refusal(place, "unsupported_server")
        assert place.issuer.asked == place.issuer.forms == []


# What is not believed.


@pytest.mark.parametrize(
    "resource",
    [
        "https://evil.test/mcp", "http://mcp.test/mcp", "https://mcp.test/mc", "https://mcp.test/mcp/deeper",
        "https://mcp.test:8443/mcp", "nonsense", "https://mcp.test/mcp#part",
    ],
)  # fmt: skip
def test_metadata_of_another_resource(resource: str) -> None:
    place = town(resource={"metadata": {"resource": resource}})
    refusal(place, "resource_mismatch")
    assert place.issuer.vendor.requests == []


@pytest.mark.parametrize(
    "issuer", ["https://evil.test", "https://as.test/", "https://AS.test", "https://as.test:443"]
)
def test_metadata_of_another_issuer(issuer: str) -> None:
    place = town(metadata={"issuer": issuer})
    refusal(place, "issuer_mismatch")
    assert place.issuer.registered == place.issuer.asked == []


@pytest.mark.parametrize("says_iss", [True, False])
@pytest.mark.parametrize("iss", ["https://evil.test", "https://as.test/", "HTTPS://as.test", ""])
def test_a_redirect_of_another_issuer(iss: str, says_iss: bool) -> None:
    place = town(iss=iss, says_iss=says_iss)
    refusal(place, "issuer_mismatch")
    assert place.issuer.forms == []


def test_a_redirect_without_its_issuer() -> None:
    place = town(iss=None, says_iss=True)
    refusal(place, "issuer_mismatch")
    assert place.issuer.forms == []
    assert town(iss=None, says_iss=False).visit() == 200


@pytest.mark.parametrize("pkce", [None, (), ("plain",)])
def test_a_server_without_pkce(pkce: tuple[str, ...] | None) -> None:
    place = town(pkce=pkce)
    assert "PKCE" in refusal(place, "unsupported_server")
    assert place.issuer.asked == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda query: query.replace("state=", "state=x"), "state_mismatch"),
        (lambda query: query.replace("state=", "other="), "state_mismatch"),
        (lambda query: query + "&state=x", "state_mismatch"),
        (lambda query: query.replace("code=", "other="), "state_mismatch"),
        (lambda query: "", "state_mismatch"),
        (lambda query: "&".join(f"a{number}=1" for number in range(100)), "state_mismatch"),
        (lambda query: "x" * 100_000, "state_mismatch"),
        (lambda query: None, "state_mismatch"),
        (lambda query: query.replace("code=code-1", "error=access_denied"), "access_denied"),
    ],
)  # fmt: skip
def test_redirects_that_bring_no_code(change: Any, code: str) -> None:
    issuer = Issuer()
    place = Town(issuer, Resource(issuer), redirect=lambda url: change(issuer.browse(url)))
    refusal(place, code)
    assert issuer.forms == []


@pytest.mark.parametrize(
    "cut", [lambda url: url, lambda url: url.partition("?")[2], lambda url: url + "#_=_"]
)
def test_a_redirect_as_url_or_query(cut: Any) -> None:
    issuer = Issuer()
    assert Town(issuer, Resource(issuer), redirect=lambda url: cut(issuer.browse(url))).visit() == 200


def test_an_async_redirect() -> None:
    issuer = Issuer()

    async def redirect(url: str) -> str:
        return issuer.browse(url)

    assert Town(issuer, Resource(issuer), redirect=redirect).visit() == 200


def test_an_authorization_endpoint_with_a_query_of_its_own() -> None:
    issuer = Issuer(metadata={"authorization_endpoint": f"{ISSUER}/authorize?tenant=7"})
    assert Town(issuer, Resource(issuer)).visit() == 200
    assert issuer.asked[0]["tenant"] == "7"


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
bodies = st.binary(max_size=40) | json_values.map(lambda value: json.dumps(value).encode())
statuses = st.sampled_from([200, 201, 204, 302, 400, 401, 404])


@given(bodies, st.sampled_from(["resource", "issuer", "register", "token"]), statuses)
def test_garbage_for_a_document(data: bytes, where: str, status: int) -> None:
    garbage = Answer((data,), status)

    def after(request: ReceivedRequest) -> Answer | None:
        hit = {"issuer": "well-known", "register": "/register", "token": "/token"}.get(where, "#")
        return garbage if hit in request.target else None

    issuer = Issuer(after=after)
    place = Town(issuer, Resource(issuer))
    if where == "resource":
        place.resource.metadata_at = "/elsewhere"
        answer = place.resource.answer
        place.resource.vendor._answers = lambda request: (
            garbage if request.method == "GET" else answer(request)
        )
    try:
        place.visit()
    except TakoError:
        pass


MEMBERS = [
    "issuer", "token_endpoint", "authorization_endpoint", "registration_endpoint", "scopes_supported",
    "code_challenge_methods_supported", "token_endpoint_auth_methods_supported",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(MEMBERS), json_values, min_size=1))
def test_metadata_of_the_wrong_types(metadata: dict[str, Any]) -> None:
    try:
        town(metadata=metadata).visit()
    except TakoError:
        pass


@pytest.mark.parametrize(
    "said",
    [
        {"access_token": "t\u00f6ken"}, {"access_token": "a b"}, {"access_token": "a\r\nx: y"},
        {"access_token": ""}, {"access_token": "a\x7f"}, {"access_token": 7}, {"token_type": "DPoP"},
        {"token_type": "N_A"}, {"token_type": None}, {"error": "invalid_request"},
    ],
)  # fmt: skip
def test_tokens_that_are_not_taken(said: dict[str, Any]) -> None:
    body = {"access_token": "t", "token_type": "Bearer", **said}
    place = town(refuse=lambda form: document(body))
    refusal(place)
    assert place.simulator.run(place.auth.authorizer(MCP).headers(MCP)) == ()


@pytest.mark.parametrize(
    ("life", "renew_at"),
    [(1000, 940.0), ("1000", 940.0), (100.0, 90.0), (0, None), (None, None), (-1, None), ("soon", None),
     ("9" * 400, 10 * 365 * 86400.0 - 60), (1e300, 10 * 365 * 86400.0 - 60), ([], None), (True, 0.9)],
)  # fmt: skip
def test_how_long_they_are_good_for(life: object, renew_at: float | None) -> None:
    """One that is over at once, and cannot be refreshed, is used as if nothing had been said."""
    said = {"access_token": "t", "token_type": "BEARER", "expires_in": life}
    place = town(refuse=lambda form: document(said))
    place.resource.issuer = Issuer()
    place.visit()
    assert place.auth.authorizer(MCP)._tokens.renew_at == renew_at


GIVEN = ["access_token", "token_type", "expires_in", "scope", "refresh_token"]


@given(st.dictionaries(st.sampled_from(GIVEN), json_values | st.just("9" * 400), min_size=1))
def test_tokens_of_the_wrong_types(changes: dict[str, Any]) -> None:
    """Whatever comes through can stand in a header, and has a moment that is a number."""
    said = {"access_token": "t", "token_type": "Bearer", "expires_in": 5, **changes}
    place = town(refuse=lambda form: Answer.json(json.dumps(said)))
    try:
        place.visit()
    except TakoError:
        return
    tokens = place.auth.authorizer(MCP)._tokens
    assert tokens.access.isascii() and tokens.access.isprintable() and " " not in tokens.access
    assert tokens.renew_at is None or 0 <= tokens.renew_at < 1e12
