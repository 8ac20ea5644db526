"""Authorization by the user, in virtual time: the way it goes, as whom we come, and what is asked for."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.mcp.auth import AuthorizationError, MemoryTokens, OAuth
from tako.mcp.auth.challenges import MOST_SCOPES
from tako.testing import Answer, ReceivedRequest
from tests.mcp.auth.kit import (
    MCP,
    NOT_FOUND,
    REDIRECT,
    Issuer,
    document,
    refusal,
    targets,
    town,
    visit,
)

# The way it goes well.


def test_the_whole_way() -> None:
    place = town(scopes=("a",), resource={"metadata": {"scopes_supported": ["a", "b"]}})
    assert place.visit() == 200
    assert place.issuer.registered == [
        {
            "client_name": "tako",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "application_type": "native",
            "token_endpoint_auth_method": "none",
            "scope": "a b",
        }
    ]
    (asked,), (form,) = place.issuer.asked, place.issuer.forms
    assert {
        name: asked[name] for name in ("response_type", "client_id", "redirect_uri", "resource", "scope")
    } == {
        "response_type": "code",
        "client_id": "client-1",
        "redirect_uri": REDIRECT,
        "resource": MCP,
        "scope": "a b",
    }
    assert len(asked["state"]) == len(asked["code_challenge"]) == len(form["code_verifier"]) == 43
    assert form == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "redirect_uri": REDIRECT,
        "code_verifier": form["code_verifier"],
        "resource": MCP,
        "client_id": "client-1",
    }
    assert targets(place) == [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
    ]
    assert place.visit() == 200
    assert place.resource.refusals == 1


def test_state_and_verifier_are_new_each_time() -> None:
    place = town()
    place.visit()
    place.issuer.granted.clear()
    place.simulator.now += 100
    place.visit()
    first, second = place.issuer.asked
    assert first["state"] != second["state"]
    assert first["code_challenge"] != second["code_challenge"]


def test_the_token_is_shown_to_its_server_alone() -> None:
    place = town()
    place.visit()
    authorizer = place.auth.authorizer(MCP)
    assert place.simulator.run(authorizer.headers(MCP + "/more")) == (("Authorization", "Bearer token-2"),)
    for other in ("https://mcp.test:8443/mcp", "http://mcp.test/mcp", "https://evil.test/mcp"):
        assert place.simulator.run(authorizer.headers(other)) == ()


# As whom.


def test_a_client_that_was_configured() -> None:
    place = town(program={"client_id": "mine"}, registers=False)
    assert place.visit() == 200
    assert place.issuer.forms[0]["client_id"] == "mine"
    assert "client_secret" not in place.issuer.forms[0]


@pytest.mark.parametrize(
    ("methods", "basic"),
    [(("client_secret_basic",), True), (None, True), (("client_secret_post",), False),
     (("client_secret_post", "client_secret_basic"), True)],
)  # fmt: skip
def test_a_secret_that_was_configured(methods: tuple[str, ...] | None, basic: bool) -> None:
    place = town(program={"client_id": "m:ine", "client_secret": "s+c r%t"}, methods=methods)
    assert place.visit() == 200
    form = place.issuer.forms[0]
    if basic:
        assert form["basic"] == "m%3Aine:s%2Bc+r%25t"
        assert not {"client_id", "client_secret"} & set(form)
    else:
        assert (form["client_id"], form["client_secret"]) == ("m:ine", "s+c r%t")
        assert "basic" not in form
    assert place.issuer.registered == []


def test_the_url_of_a_metadata_document() -> None:
    url = "https://me.test/client.json"
    place = town(program={"client_metadata_url": url}, takes_documents=True)
    assert place.visit() == 200
    assert place.issuer.asked[0]["client_id"] == place.issuer.forms[0]["client_id"] == url
    assert place.issuer.registered == []
    place = town(program={"client_metadata_url": url})
    assert place.visit() == 200
    assert len(place.issuer.registered) == 1


@pytest.mark.parametrize(
    ("methods", "wanted"),
    [
        (("client_secret_post", "client_secret_basic", "none"), "none"),
        (("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        (("client_secret_post", "private_key_jwt"), "client_secret_post"),
        (("private_key_jwt",), None),
        (None, None),
    ],
)
def test_the_method_that_is_registered_for(methods: tuple[str, ...] | None, wanted: str | None) -> None:
    place = town(methods=methods, assigned_method=wanted or "client_secret_basic")
    assert place.visit() == 200
    assert place.issuer.registered[0].get("token_endpoint_auth_method") == wanted


def test_a_method_that_nobody_can_do() -> None:
    refusal(town(assigned_method="private_key_jwt"), "unsupported_server")
    refusal(town(assigned_method="tls_client_auth"), "unsupported_server")


def test_the_kind_of_application() -> None:
    for uri, kind in (
        (REDIRECT, "native"),
        ("com.example.app:/back", "native"),
        ("https://app.test/back", "web"),
    ):
        place = town(program={"redirect_uri": uri})
        assert place.visit() == 200
        assert place.issuer.registered[0]["application_type"] == kind


def test_a_server_that_registers_nobody() -> None:
    assert "client_id" in refusal(town(registers=False), "registration_needed")


def test_a_registration_is_kept_and_shown_to_no_other_redirect() -> None:
    storage = MemoryTokens()
    place = town(program={"storage": storage})
    place.visit()
    place.issuer.granted.clear()
    place.simulator.now += 100
    assert place.visit(auth=place.program()) == 200
    assert len(place.issuer.registered) == 1
    place.issuer.granted.clear()
    place.options["redirect_uri"] = "http://127.0.0.1:1/other"
    place.simulator.now += 100
    assert place.visit(auth=place.program()) == 200
    assert [wanted["redirect_uris"][0] for wanted in place.issuer.registered] == [
        REDIRECT,
        "http://127.0.0.1:1/other",
    ]


@pytest.mark.parametrize(("end", "registrations"), [(None, 1), (0, 1), (150.0, 2), (1e9, 1)])
def test_a_secret_that_ends(end: float | None, registrations: int) -> None:
    place = town(secrets_end=end, methods=("client_secret_post",))
    for moment in (0.0, 100.0, 200.0):
        place.simulator.now = moment
        place.issuer.granted.clear()
        assert place.visit() == 200
    assert len(place.issuer.registered) == registrations


def test_a_client_that_is_forgotten_is_registered_again() -> None:
    refused = document({"error": "invalid_client", "error_description": "who?"}, 401)
    place = town(refuse=lambda form: refused if form.get("client_id") == "client-1" else None)
    assert place.visit() == 200
    assert [asked["client_id"] for asked in place.issuer.asked] == ["client-1", "client-2"]
    place = town(refuse=lambda form: refused)
    assert "who?" in refusal(place, "invalid_client")
    assert len(place.issuer.registered) == 2
    place = town(refuse=lambda form: refused, program={"client_id": "mine"})
    refusal(place, "invalid_client")
    assert len(place.issuer.asked) == 1


def test_no_message_quotes_a_secret() -> None:
    def refuse(form: dict[str, str]) -> Answer:
        return document({"error": "invalid_request", "error_description": f"{form} \x1b[31m"}, 400)

    place = town(
        program={"client_id": "mine", "client_secret": "hush"}, refuse=refuse, methods=("client_secret_post",)
    )
    message = refusal(place, "invalid_request")
    assert message.isprintable()
    form = place.issuer.forms[0]
    for secret in ("hush", form["code"], form["code_verifier"]):
        assert secret not in message


# What is asked for.


@pytest.mark.parametrize(
    ("resource", "issuer", "program", "expected"),
    [
        ({}, {}, {}, None),
        ({"metadata": {"scopes_supported": ["a", "b"]}}, {}, {}, "a b"),
        ({"metadata": {"scopes_supported": ["a", "b"]}, "needs": ("c",), "challenge": "scopes"}, {}, {}, "c"),
        ({"metadata": {"scopes_supported": ["a"]}}, {}, {"scopes": ["x"]}, "x"),
        ({"needs": ("c",), "challenge": "scopes"}, {}, {"scopes": ["x"]}, "x c"),
        (
            {"metadata": {"scopes_supported": ["a"]}},
            {"scopes": ("a", "offline_access")},
            {},
            "a offline_access",
        ),
        ({"metadata": {"scopes_supported": ["a", "offline_access"]}}, {"scopes": ("a",)}, {}, "a"),
        ({"metadata": {"scopes_supported": ["a", "offline_access"]}}, {}, {}, "a"),
        ({}, {"scopes": ("offline_access",)}, {}, None),
        ({}, {}, {"scopes": ["offline_access"]}, "offline_access"),
    ],
)
def test_scopes(resource: Any, issuer: Any, program: Any, expected: str | None) -> None:
    place = town(resource=resource, program=program, **issuer)
    assert place.visit() == 200
    asked = place.issuer.asked[0]
    assert asked.get("scope") == expected
    assert asked.get("prompt") == ("consent" if "offline_access" in (expected or "") else None)


def test_stepping_up() -> None:
    place = town(resource={"metadata": {"scopes_supported": ["a"]}})
    assert place.visit() == 200
    assert place.visit("?write") == 200
    assert place.visit("?admin") == 200
    assert place.visit("?write") == 200
    assert [asked["scope"] for asked in place.issuer.asked] == ["a", "a write", "a write admin"]


def test_stepping_up_after_a_restart_keeps_what_was_granted() -> None:
    place = town(resource={"metadata": {"scopes_supported": ["a"]}}, program={"storage": MemoryTokens()})
    place.visit()
    assert place.visit("?write", place.program()) == 200
    assert [asked["scope"] for asked in place.issuer.asked] == ["a", "a write"]


def test_what_is_not_given_is_asked_for_once() -> None:
    place = town(resource={"needs": ("admin",), "challenge": "scopes"})
    grant = place.issuer._grant
    place.issuer._grant = lambda scope: grant("")  # type: ignore[method-assign]
    assert place.visit() == 403
    assert len(place.issuer.asked) == 2
    assert place.visit() == 403
    assert len(place.issuer.asked) == 2


@pytest.mark.parametrize(
    ("scopes", "listed", "status", "asked"),
    [
        (["a"], ["a", "b"], 200, ["a", "a b"]),  # what the resource lists, and was not asked for yet
        ([], ["a", "b"], 403, ["a b"]),  # it was: the same again would be of no use
        (["a"], [], 403, ["a"]),
        (["a"], ["c"], 403, ["a", "a c"]),  # it was worth a try
    ],
)
def test_a_403_that_names_no_scopes(
    scopes: list[str], listed: list[str], status: int, asked: list[str]
) -> None:
    resource = {"metadata": {"scopes_supported": listed}, "challenge": "mute"}
    place = town(resource=resource, program={"scopes": scopes})
    assert place.visit() == 200
    place.issuer.granted = {token: {"a"} for token in place.issuer.granted}
    for _ in range(2):
        assert place.visit("?b") == status
    assert [request.get("scope") for request in place.issuer.asked] == asked


@pytest.mark.parametrize(
    ("status", "header"),
    [(403, "Bearer"), (403, 'Bearer scope="a"'), (404, "Bearer"),
     (403, 'Basic error="insufficient_scope", scope="a"')],
)  # fmt: skip
def test_what_is_no_question_of_authorization(status: int, header: str) -> None:
    place = town()
    challenged = place.auth.authorizer(MCP).challenged(status, (("www-authenticate", header),), 1)
    assert place.simulator.run(challenged) is False
    assert place.issuer.vendor.requests == []


def test_a_server_that_never_lets_in() -> None:
    place = town()
    place.resource.issuer = Issuer()  # who knows none of the tokens
    assert place.visit() == 401
    assert len(place.issuer.asked) == 1


# What a program may say.


@pytest.mark.parametrize(
    "options",
    [
        {"redirect": None}, {"redirect_uri": "http://far.test/cb"}, {"redirect_uri": "nonsense"},
        {"redirect_uri": "http://127.0.0.1/cb#x"}, {"redirect_uri": "javascript:x"}, {"redirect_uri": None},
        {"client_secret": "s"}, {"client_metadata_url": "https://me.test"}, {"scopes": "a b"},
        {"client_metadata_url": "http://127.0.0.1/x"}, {"scopes": ["a b"]}, {"scopes": [7]},
        {"issuer": "http://far.test"},
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f"OAuth: .*{next(iter(options)).split('_')[0]}"):
        OAuth(**{"redirect": print, "redirect_uri": REDIRECT, **options})


def test_a_server_without_tls() -> None:
    auth = OAuth(redirect=print, redirect_uri=REDIRECT)
    with pytest.raises(InvalidInput, match="https"):
        auth.authorizer("http://far.test/mcp")
    assert auth.authorizer("http://localhost:1/mcp") is auth.authorizer("HTTP://LOCALHOST:1/mcp#x")


def test_reprs_hide_secrets() -> None:
    place = town(program={"client_id": "mine", "client_secret": "hush"}, gives_refresh=True)
    place.visit()
    authorizer = place.auth.authorizer(MCP)
    shown = (place.auth, authorizer, authorizer._tokens, place.auth.storage, place.auth._redirect)
    text = " ".join(map(repr, shown))
    for secret in ("hush", "token-2", "refresh-2"):
        assert secret not in text


def test_nothing_is_left_open() -> None:
    place = town(after=lambda request: NOT_FOUND if "register" in request.target else None)
    authorizer = place.auth.authorizer(MCP)
    run = place.simulator.stream(visit(authorizer, MCP))
    with pytest.raises(AuthorizationError):
        for _ in run:
            pass
    assert run.open_exchanges == ()


def test_a_server_that_wants_ever_more() -> None:
    """One request is answered MOST_ATTEMPTS refusals, and no request is asked for without end."""
    place = town()
    answer, numbers = place.resource.answer, count()

    def greedy(request: ReceivedRequest) -> Answer:
        if request.method == "GET":
            return answer(request)
        header = f'Bearer error="insufficient_scope", scope="s{next(numbers)}"'
        return Answer((), 403, (("www-authenticate", header),))

    place.resource.vendor._answers = greedy
    assert place.visit() == 403
    assert [asked["scope"] for asked in place.issuer.asked] == ["s0", "s0 s1", "s0 s1 s2"]
    for _ in range(60):
        place.visit()
    assert len(place.issuer.asked) == MOST_SCOPES


@pytest.mark.parametrize(
    ("granted", "again"), [("a", "a b write"), ("", "a b write"), ("a b c", "a b c write")]
)
def test_what_was_asked_for_is_asked_for_again_whatever_was_granted(granted: str, again: str) -> None:
    place = town(resource={"metadata": {"scopes_supported": ["a", "b"]}})
    grant = place.issuer._grant
    place.issuer._grant = lambda scope: grant(granted)  # type: ignore[method-assign]
    assert place.visit() == 200
    assert place.visit("?write") == 403
    assert [asked["scope"] for asked in place.issuer.asked] == ["a b", again]
