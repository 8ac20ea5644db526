"""Programs that nobody sits in front of: what they show, to whom, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import OnError, Succeeded, gather
from tako.errors import InvalidInput, TakoError
from tako.mcp.auth import (
    AuthorizationError,
    ClientCredentials,
    EnterpriseManaged,
    MemoryTokens,
    WorkloadIdentity,
)
from tako.testing import Answer, ReceivedRequest, ScriptedVendor
from tests.mcp.auth.kit import ISSUER, MCP, Town, document, town, visit

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PROVIDER = "https://idp.test/token"


@pytest.fixture(scope="module")
def key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    data: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return data.decode()


def test_a_secret() -> None:
    place = town(methods=("client_secret_basic",), resource={"metadata": {"scopes_supported": ["a"]}})
    auth = ClientCredentials("me", "hush")
    assert place.visit(auth=auth) == 200
    assert place.visit("?b", auth) == 200
    assert place.issuer.forms == [
        {"grant_type": "client_credentials", "scope": "a", "resource": MCP, "basic": "me:hush"},
        {"grant_type": "client_credentials", "scope": "a b", "resource": MCP, "basic": "me:hush"},
    ]
    assert place.issuer.asked == place.issuer.registered == []


def test_no_pkce_and_no_authorization_endpoint_are_needed() -> None:
    place = town(pkce=None, metadata={"authorization_endpoint": None})
    assert place.visit(auth=ClientCredentials("me", "hush")) == 200


def test_new_ones_before_they_end_without_asking_around_again() -> None:
    place = town(life=1000, gives_refresh=True)
    auth = ClientCredentials("me", "hush")
    place.visit(auth=auth)
    before = len(place.issuer.vendor.requests)
    place.simulator.now = 950.0
    assert place.visit(auth=auth) == 200
    assert place.resource.refusals == 1
    assert len(place.issuer.vendor.requests) == before + 1
    assert [form["grant_type"] for form in place.issuer.forms] == ["client_credentials"] * 2


def test_many_at_once() -> None:
    place = town()
    auth = ClientCredentials("me", "hush")
    flows = [visit(auth.authorizer(MCP), MCP) for _ in range(20)]
    assert place.simulator.run(gather(*flows, on_error=OnError.COLLECT)) == [Succeeded(200)] * 20
    assert len(place.issuer.forms) == 1


def test_a_private_key(key: Any) -> None:
    import jwt

    place = town(methods=("private_key_jwt",))
    auth = ClientCredentials("me", private_key=pem(key), algorithm="ES256", scopes=["a"])
    place.simulator.now = 1_700_000_000.0
    assert place.visit(auth=auth) == 200
    place.issuer.granted.clear()
    place.simulator.now += 100
    assert place.visit(auth=auth) == 200
    first, second = place.issuer.forms
    assert first["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert not {"client_id", "client_secret", "basic"} & set(first)
    options = {"verify_exp": False, "verify_iat": False}
    claims, others = (
        jwt.decode(form["client_assertion"], key.public_key(), ["ES256"], options, audience=ISSUER)
        for form in (first, second)
    )
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("me", "me", ISSUER)
    assert claims["exp"] - claims["iat"] == 300
    assert 0 <= claims["iat"] - 1_700_000_000 < 5
    assert claims["jti"] != others["jti"]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_a_key_that_is_none(key: Any, algorithm: str) -> None:
    for text in ("hush", "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----", *(
        [pem(key)] if algorithm != "ES256" else []
    )):  # fmt: skip
        with pytest.raises(InvalidInput, match=algorithm) as caught:
            town().visit(auth=ClientCredentials("me", private_key=text, algorithm=algorithm))
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("source", ["text", "function", "async"])
def test_a_workload(source: str) -> None:
    async def later() -> str:
        return "a.b.c"

    given: Any = {"text": "a.b.c", "function": lambda: "a.b.c", "async": later}[source]
    place = town(registers=False)
    assert place.visit(auth=WorkloadIdentity("me", given, scopes=["a"], issuer=ISSUER)) == 200
    assert place.issuer.forms == [
        {"grant_type": JWT_BEARER, "assertion": "a.b.c", "scope": "a", "client_id": "me", "resource": MCP}
    ]


def test_a_workload_that_is_refused_does_not_try_again() -> None:
    refused = document({"error": "invalid_grant", "error_description": "a.b.c is too old"}, 400)
    place = town(refuse=lambda form: refused)
    with pytest.raises(AuthorizationError) as caught:
        place.visit(auth=WorkloadIdentity("me", "a.b.c"))
    assert (caught.value.code, caught.value.status) == ("invalid_grant", 400)
    assert "a.b.c" not in str(caught.value)
    assert len(place.issuer.forms) == 1


class Provider:
    """A company's identity provider."""

    def __init__(self, **changes: Any) -> None:
        self.forms: list[dict[str, str]] = []
        self.said = {"issued_token_type": "urn:ietf:params:oauth:token-type:id-jag", "token_type": "N_A",
                     "access_token": "jag", **changes}  # fmt: skip
        self.vendor = ScriptedVendor(self.answer)

    def answer(self, request: ReceivedRequest) -> Answer:
        from urllib.parse import parse_qsl

        self.forms.append(dict(parse_qsl(request.body.decode())))
        return document(self.said)


def company(provider: Provider, **options: Any) -> tuple[Town, EnterpriseManaged]:
    place = town(methods=("client_secret_basic",))
    place.simulator._vendor["idp.test"] = provider.vendor  # type: ignore[index]
    auth = EnterpriseManaged(
        "me",
        "hush",
        id_token="id.to.ken",
        provider_token_endpoint=PROVIDER,
        provider_client_id="me-there",
        **options,
    )
    return place, auth


def test_a_company_that_vouches() -> None:
    provider = Provider()
    place, auth = company(provider, scopes=["a"])
    assert place.visit(auth=auth) == 200
    assert provider.forms == [
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            "audience": ISSUER,
            "resource": MCP,
            "subject_token": "id.to.ken",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "scope": "a",
            "client_id": "me-there",
        }
    ]
    assert place.issuer.forms == [
        {"grant_type": JWT_BEARER, "assertion": "jag", "scope": "a", "resource": MCP, "basic": "me:hush"}
    ]


@pytest.mark.parametrize(
    "changes", [{"issued_token_type": "other"}, {"access_token": None}, {"error": "no id.to.ken"}]
)
def test_a_company_that_does_not(changes: dict[str, Any]) -> None:
    place, auth = company(Provider(**changes))
    with pytest.raises(AuthorizationError) as caught:
        place.visit(auth=auth)
    assert "id.to.ken" not in str(caught.value)
    assert place.issuer.forms == []


def test_a_server_that_names_another_issuer_gets_to_see_nothing() -> None:
    for auth in (
        ClientCredentials("me", "hush", issuer="https://mine.test"),
        WorkloadIdentity("me", "a.b.c", issuer="https://mine.test"),
    ):
        place = town()
        with pytest.raises(AuthorizationError, match=r"mine\.test"):
            place.visit(auth=auth)
        assert place.issuer.vendor.requests == []


def test_tokens_of_two_programs_in_one_storage() -> None:
    storage = MemoryTokens()
    place = town()
    for name in ("one", "two", "one", "two"):
        assert place.visit(auth=ClientCredentials(name, "hush", storage=storage)) == 200
    assert len(place.issuer.forms) == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClientCredentials("me"),
        lambda: ClientCredentials("me", "a", private_key="b"),
        lambda: ClientCredentials("", "a"),
        lambda: ClientCredentials("me", private_key="b", algorithm="none"),
        lambda: ClientCredentials("me", private_key="b", algorithm="HS256"),
        lambda: WorkloadIdentity(None, "x"),  # type: ignore[arg-type]
        lambda: EnterpriseManaged(
            "me", id_token="x", provider_token_endpoint="http://x.test", provider_client_id="y"
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_at_once(make: Any) -> None:
    with pytest.raises(InvalidInput):
        make()


@pytest.mark.parametrize("value", ["", None, 7])
def test_a_function_that_has_nothing(value: Any) -> None:
    with pytest.raises(TakoError, match="assertion"):
        town().visit(auth=WorkloadIdentity("me", lambda: value))


def test_reprs_hide_secrets(key: Any) -> None:
    _, enterprise = company(Provider())
    shown = [
        ClientCredentials("me", "hush"),
        ClientCredentials("me", private_key=pem(key)),
        WorkloadIdentity("me", "hush"),
        enterprise,
        enterprise._at_provider,
    ]
    text = " ".join(map(repr, shown))
    assert "hush" not in text and "PRIVATE" not in text and "id.to.ken" not in text
