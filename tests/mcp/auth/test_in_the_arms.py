"""The same town over loopback, visited by all three arms, by many at once, and across them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.effects import Flow, Succeeded, gather
from tako.mcp.auth import ClientCredentials, FileTokens, OAuth
from tako_io_sync.loopback import LoopbackServer
from tests.mcp.auth.kit import REDIRECT, Issuer, Resource, visit

Run = Callable[[Flow[Any]], Any]


def run_sync(flow: Flow[Any]) -> Any:
    with tako_io_sync.Runtime() as runtime:
        return runtime.run(flow)


def run_trio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_trio.Runtime() as runtime:
            return await runtime.run(flow)

    return trio.run(main)


def run_asyncio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_asyncio.Runtime() as runtime:
            return await runtime.run(flow)

    return asyncio.run(main())


ARMS = {"sync": run_sync, "trio": run_trio, "asyncio": run_asyncio}


@pytest.fixture(params=ARMS.values(), ids=ARMS)
def run(request: pytest.FixtureRequest) -> Run:
    arm: Run = request.param
    return arm


@contextmanager
def town_on_sockets(**options: Any) -> Iterator[tuple[Resource, Issuer]]:
    issuer = Issuer(**options)
    resource = Resource(issuer)
    with LoopbackServer(issuer.vendor) as authorization, LoopbackServer(resource.vendor) as server:
        issuer.url = authorization.url
        resource.url = f"{server.url}/mcp"
        yield resource, issuer


def test_the_whole_way_and_a_step_up(run: Run, tmp_path: Path) -> None:
    """Tokens outlive the program, in a file; a revoked one is refreshed."""
    with town_on_sockets(gives_refresh=True, methods=("client_secret_basic",)) as (resource, issuer):

        async def redirect(url: str) -> str:
            return issuer.browse(url)

        def program() -> OAuth:
            return OAuth(redirect=redirect, redirect_uri=REDIRECT, storage=FileTokens(tmp_path / "tokens"))

        auth = program()
        assert run(visit(auth.authorizer(resource.url), resource.url)) == 200
        assert run(visit(auth.authorizer(resource.url), resource.url + "?write")) == 200
        issuer.granted.clear()
        assert run(visit(program().authorizer(resource.url), resource.url)) == 200
        assert [form["grant_type"] for form in issuer.forms] == [
            "authorization_code",
            "authorization_code",
            "refresh_token",
        ]
        assert [asked.get("scope") for asked in issuer.asked] == [None, "write"]
        assert len(issuer.registered) == 1


def test_32_threads_of_the_blocking_arm() -> None:
    with town_on_sockets() as (resource, issuer):
        auth = OAuth(redirect=issuer.browse, redirect_uri=REDIRECT)
        statuses: list[int] = []
        start = threading.Barrier(32)

        def work() -> None:
            start.wait(10)
            statuses.append(run_sync(visit(auth.authorizer(resource.url), resource.url)))

        threads = [threading.Thread(target=work) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert statuses == [200] * 32
        assert len(issuer.asked) == len(issuer.registered) == len(issuer.forms) == 1


@pytest.mark.parametrize("arm", [run_trio, run_asyncio], ids=["trio", "asyncio"])
def test_a_thousand_tasks_that_met_one_refusal(arm: Run) -> None:
    with town_on_sockets() as (resource, issuer):
        auth = OAuth(redirect=issuer.browse, redirect_uri=REDIRECT)
        authorizer = auth.authorizer(resource.url)
        challenge = (("www-authenticate", "Bearer"),)
        flows = [authorizer.challenged(401, challenge, 1, ()) for _ in range(1000)]
        assert arm(gather(*flows)) == [Succeeded(True)] * 1000
        assert len(issuer.asked) == 1


def test_all_arms_share_one_authorization() -> None:
    with town_on_sockets() as (resource, issuer):
        auth = ClientCredentials("me", "hush")
        found: list[Any] = []

        def work(arm: Run) -> None:
            flows = [visit(auth.authorizer(resource.url), resource.url) for _ in range(5)]
            found.extend(arm(gather(*flows)))

        threads = [threading.Thread(target=work, args=(arm,)) for arm in ARMS.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert found == [Succeeded(200)] * 15
        assert len(issuer.forms) == 1
