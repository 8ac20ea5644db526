"""How long tokens are good for, and what happens when many need them at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Failed, OnError, Succeeded, gather, sleep, within
from tako.errors import TimedOut
from tako.mcp.auth import MemoryTokens, OAuth
from tako.testing import Answer, Pause, ReceivedRequest
from tests.mcp.auth.kit import (
    ISSUER,
    MCP,
    REDIRECT,
    Issuer,
    Resource,
    Town,
    ask,
    document,
    refusal,
    town,
    visit,
)

# What they are good for, and for how long.


def test_renewed_before_they_end() -> None:
    place = town(gives_refresh=True, life=1000, methods=("client_secret_post",))
    assert place.visit() == 200
    place.simulator.now = 930.0
    assert place.visit() == 200
    assert len(place.issuer.forms) == 1
    place.simulator.now = 941.0
    assert place.visit() == 200
    assert place.resource.refusals == 1
    form = place.issuer.forms[1]
    assert form["resource"] == MCP
    assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "refresh-2")
    assert (form["client_id"], form["client_secret"]) == ("client-1", "secret of client-1")
    place.simulator.now = 2000.0
    assert place.visit() == 200
    assert place.issuer.forms[2]["refresh_token"] == "refresh-3"
    assert len(place.issuer.asked) == 1


def test_a_refresh_token_that_does_not_rotate() -> None:
    place = town(gives_refresh=True, rotates=False, life=1000)
    for moment in (0.0, 1000.0, 2000.0):
        place.simulator.now = moment
        assert place.visit() == 200
    assert [form.get("refresh_token") for form in place.issuer.forms] == [None, "refresh-2", "refresh-2"]


def test_a_token_that_was_revoked_is_refreshed() -> None:
    place = town(gives_refresh=True)
    place.visit()
    place.issuer.granted.clear()
    assert place.visit() == 200
    assert [form["grant_type"] for form in place.issuer.forms] == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client"])
def test_a_refresh_that_is_refused(error: str) -> None:
    place = town(gives_refresh=True, life=1000, program={"storage": MemoryTokens()})
    place.visit()
    place.issuer.refuse = lambda form: (
        document({"error": error}, 400) if form["grant_type"] == "refresh_token" else None
    )
    place.issuer.granted.clear()
    place.simulator.now = 2000.0
    assert place.visit() == 200
    assert len(place.issuer.asked) == 2
    assert len(place.issuer.registered) == (2 if error == "invalid_client" else 1)


def test_a_refresh_that_does_not_get_through() -> None:
    """The old token is used as long as it does; the next try is a while later."""
    place = town(gives_refresh=True, life=1000)
    place.visit()
    place.issuer.refuse = lambda form: document({}, 503)
    place.simulator.now = 950.0
    assert place.visit() == place.visit() == 200
    assert len(place.issuer.forms) == 2
    place.simulator.now = 1011.0
    place.issuer.refuse = lambda form: None
    assert place.visit() == 200
    assert len(place.issuer.forms) == 3


def test_tokens_outlive_the_program() -> None:
    place = town(gives_refresh=True, life=1000, program={"storage": MemoryTokens()})
    place.visit()
    assert place.visit(auth=place.program()) == 200
    place.simulator.now = 1000.0
    assert place.visit(auth=place.program()) == 200
    assert len(place.issuer.asked) == place.resource.refusals == 1
    other = OAuth(
        redirect=place.issuer.browse, redirect_uri=REDIRECT, client_id="b", storage=place.options["storage"]
    )
    assert place.visit(auth=other) == 200
    assert len(place.issuer.asked) == 2


@pytest.mark.parametrize(
    "record", ["", "[]", "{", "7", '{"access": 1}', '{"client_id": "x", "method": "odd"}', "\ud800"]
)
def test_a_damaged_record_counts_as_none(record: str) -> None:
    storage = MemoryTokens()
    for key in (f"tokens registered {MCP}", f"client {REDIRECT} {ISSUER}"):
        storage.set(key, record)
    place = town(program={"storage": storage})
    assert place.visit() == 200
    assert len(place.issuer.asked) == 1


def test_a_server_that_moves_to_another_issuer() -> None:
    second = Issuer(url="https://as2.test")

    def browse(url: str) -> str:
        return (second if url.startswith(second.url) else place.issuer).browse(url)

    place = town(
        gives_refresh=True, resource={"needs": ("a",), "challenge": "scopes"}, program={"redirect": browse}
    )
    place.visit()
    place.resource.issuer = second
    simulator = place.simulate(start=5.0)
    simulator._vendor["as2.test"] = second.vendor  # type: ignore[index]
    place.simulator = simulator
    assert place.visit() == 200
    assert len(second.registered) == len(second.asked) == 1
    sent = b"".join(request.body for request in second.vendor.requests)
    assert b"refresh-" not in sent and b"token-" not in sent
    assert [form["grant_type"] for form in place.issuer.forms] == ["authorization_code"]


def test_an_issuer_that_is_trusted_alone() -> None:
    place = town(program={"issuer": "https://other.test", "client_id": "mine", "client_secret": "hush"})
    refusal(place, "issuer_mismatch")
    assert place.issuer.vendor.requests == []
    servers = ["https://evil.test", ISSUER]
    place = town(program={"issuer": ISSUER}, resource={"metadata": {"authorization_servers": servers}})
    assert place.visit() == 200


# Many at once.


@given(st.integers(2, 6), st.integers(0, 2**16), st.booleans())
def test_who_meets_one_refusal_authorizes_once(many: int, seed: int, failing: bool) -> None:
    refused = document({"error": "access_denied"}, 400)
    place = town(refuse=lambda form: refused if failing else None)
    authorizer = place.auth.authorizer(MCP)
    flows = [visit(authorizer, MCP) for _ in range(many)]
    outcomes = place.simulate(seed=seed).run(gather(*flows, on_error=OnError.COLLECT))
    if failing:
        assert all(isinstance(outcome, Failed) for outcome in outcomes)
        assert len(place.issuer.asked) == len({id(outcome.error) for outcome in outcomes}) // many
    else:
        assert outcomes == [Succeeded(200)] * many
        assert len(place.issuer.asked) == len(place.issuer.registered) == 1


def test_who_comes_late_with_the_old_token_does_not_authorize_again() -> None:
    place = town()
    place.visit()
    authorizer = place.auth.authorizer(MCP)
    old = place.simulator.run(authorizer.headers(MCP))
    place.issuer.granted.clear()
    place.simulator.now += 100
    status, refused = place.simulator.run(ask(MCP, old))
    assert place.visit() == 200
    assert place.simulator.run(authorizer.challenged(status, refused, 1, old)) is True
    assert len(place.issuer.asked) == 2


@given(st.integers(2, 6), st.integers(0, 2**16))
def test_who_finds_them_ended_renews_once(many: int, seed: int) -> None:
    place = town(gives_refresh=True, life=1000)
    place.visit()
    authorizer = place.auth.authorizer(MCP)
    flows = [visit(authorizer, MCP) for _ in range(many)]
    outcomes = place.simulate(seed=seed, start=2000.0).run(gather(*flows))
    assert outcomes == [Succeeded(200)] * many
    assert len(place.issuer.forms) == 2


def test_a_program_that_hangs_up_lets_the_next_one_ask() -> None:
    """The first is cancelled while its user thinks; the second asks in its place."""
    issuer = Issuer()
    thinking: list[str] = []

    def after(request: ReceivedRequest) -> Answer | None:
        if request.target != "/register" or thinking:
            return None
        thinking.append("once")
        return Answer((Pause(25.0), b"{}"))

    issuer.after = after
    place = Town(issuer, Resource(issuer))
    authorizer = place.auth.authorizer(MCP)

    def patient() -> Any:
        yield from sleep(1)
        return (yield from visit(authorizer, MCP))

    outcomes = place.simulator.run(
        gather(within(5.0, visit(authorizer, MCP)), patient(), on_error=OnError.COLLECT)
    )
    assert isinstance(outcomes[0], Failed) and isinstance(outcomes[0].error, TimedOut)
    assert outcomes[1] == Succeeded(200)
