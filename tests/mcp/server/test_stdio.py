"""A server over standard streams: order, many at once, cancelling, news, the end, and hostile input."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Flow, Gather, Sleep
from tako.errors import Cancelled, InvalidInput
from tako.mcp.conversation import BACKLOG
from tako.mcp.errors import McpError
from tako.mcp.server import McpServer, Prompt, Resource
from tako.mcp.server.news import SUBSCRIPTION_ID
from tako.mcp.server.stdio import GRACE
from tako.testing import Simulator
from tako.tools import Tool
from tests.mcp.server.offers import everything_server, nap
from tests.mcp.server.worlds import (
    MODERN,
    REVISIONS,
    Pipe,
    handshake,
    judge,
    linked,
    over_stdio,
    post_modern,
    request,
)

LATEST = "2025-11-25"


def napper() -> McpServer:
    return McpServer([Tool.from_flow(nap)])


def naps(*seconds: float, first: int = 1) -> list[Any]:
    return [
        request(number, "tools/call", {"name": "nap", "arguments": {"seconds": one}})
        for number, one in enumerate(seconds, first)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_sixteen_calls_run_side_by_side_and_the_next_waits(seed: int) -> None:
    simulator = Simulator(seed)
    seconds = [1.6 - number / 10 for number in range(16)]
    heard = over_stdio(napper(), *handshake(), *naps(*seconds, 0.05), seed=seed, simulator=simulator)
    order = [message["id"] for message in heard if message["id"] != "init"]
    assert order == [16, 17, *range(15, 0, -1)]
    assert all(message["result"]["content"][0]["text"].startswith("slept") for message in heard[1:])


def test_initialize_is_performed_before_what_comes_behind_it() -> None:
    for seed in range(5):
        heard = over_stdio(
            everything_server(), *handshake(), request(1, "tools/list"), request(2, "ping"), seed=seed
        )
        assert all("result" in message for message in heard) and len(heard) == 3


def test_what_comes_before_initialize_is_refused() -> None:
    heard = over_stdio(
        everything_server(), request(1, "tools/list"), *handshake(), handshake()[0] | {"id": 9}
    )
    assert {message["id"]: "result" in message for message in heard} == {1: False, "init": True, 9: False}


def test_a_cancelled_call_ends_and_gets_no_answer() -> None:
    ended: list[str] = []

    def long() -> Flow[str]:
        try:
            yield Sleep(500)
        finally:
            ended.append("ended")
        return "never"

    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    server = McpServer([Tool.from_flow(long), Tool.from_flow(nap)])
    call = request(1, "tools/call", {"name": "long"})

    def also(pipe: Pipe, message: dict[str, Any]) -> None:
        if message["id"] == 2:
            assert ended == []
            pipe.say(cancel, *naps(1, first=3))

    simulator = Simulator()
    heard = over_stdio(server, *handshake(), call, *naps(1, first=2), simulator=simulator, also=also)
    assert [message["id"] for message in heard] == ["init", 2, 3] and ended == ["ended"]


def test_what_runs_when_the_client_has_gone_gets_a_moment() -> None:
    simulator = Simulator()
    heard = over_stdio(napper(), *handshake(), *naps(1.5, 500), simulator=simulator)
    assert [message["id"] for message in heard] == ["init", 1]
    assert (
        max(entry.ended or 0 for entry in simulator.trace if not entry.what.startswith("Sleep 1000")) < 1001
    )


def test_what_waits_for_a_worker_when_the_client_has_gone_is_done_as_long_as_something_is() -> None:
    simulator = Simulator()
    heard = over_stdio(napper(), *handshake(), *naps(*[1.5] * 6, 500, 1), concurrency=2, simulator=simulator)
    assert sorted(message["id"] for message in heard if message["id"] != "init") == [1, 2, 3, 4, 5, 6, 8]
    over = [entry.ended or 0 for entry in simulator.trace if entry.what == "Sleep 500.0 s"]
    assert len(over) == 1 and 4.5 + GRACE <= over[0] <= 5.5 + 2 * GRACE


def test_what_still_waits_for_a_worker_when_the_time_is_up_is_not_begun() -> None:
    simulator = Simulator()
    over_stdio(napper(), *handshake(), *naps(*[500] * 6), concurrency=2, simulator=simulator)
    begun = [entry for entry in simulator.trace if entry.what == "Sleep 500.0 s"]
    assert len(begun) == 2 and all((entry.ended or 0) <= 2 * GRACE for entry in begun)


def test_a_client_may_send_as_much_as_it_likes_before_it_hears_anything() -> None:
    many = [request(number, "tools/list") for number in range(1500)]
    heard = over_stdio(napper(), *handshake(), *many)
    assert {message["id"] for message in heard if "result" in message} == {"init", *range(1500)}


def test_the_link_is_read_though_every_worker_is_busy_unless_many_requests_wait_for_one() -> None:
    pipe, simulator, read = Pipe(), Simulator(), []
    pipe.say(*handshake(), *naps(10, 10, 10))

    def client() -> Flow[None]:
        yield Sleep(1)
        assert pipe.live is not None
        read.append(pipe.live.is_awaited)
        pipe.say(*naps(*[0] * BACKLOG, first=10))
        yield Sleep(1)
        read.append(pipe.live.is_awaited)
        yield Sleep(19)
        read.append(pipe.live.is_awaited)
        pipe.end()

    def both() -> Flow[None]:
        yield Gather((linked(napper().flow(concurrency=2), pipe), client()))

    simulator.run(both())
    assert read == [True, False, True] and len(pipe.heard) == 1 + 3 + BACKLOG


def test_a_ping_is_of_the_handshake_era() -> None:
    heard = over_stdio(napper(), *handshake(), request(1, "ping"), request(2, "ping", revision=MODERN))
    answers = {message["id"]: message for message in heard}
    assert answers[1]["result"] == {} and answers[2]["error"]["code"] == -32601


def test_an_error_that_is_no_json_is_an_error() -> None:
    def refuse() -> str:
        raise McpError("no", -32000, {"why": object()})

    heard = over_stdio(McpServer([refuse]), *handshake(), request(1, "tools/call", {"name": "refuse"}))
    assert heard[1]["error"]["code"] == -32603 and "JSON" in heard[1]["error"]["message"]


def test_the_flow_ends_with_the_input_also_before_anything_was_said() -> None:
    simulator = Simulator()
    pipe = Pipe()
    pipe.end()
    simulator.run(linked(napper().flow(), pipe))
    assert simulator.now == 0 and pipe.heard == []


def test_a_lost_link_ends_what_runs() -> None:
    from tako.errors import TransportError

    pipe, simulator = Pipe(), Simulator()
    pipe.say(*handshake(), *naps(500))

    def lose() -> Flow[None]:
        yield Sleep(3)
        assert pipe.live is not None
        pipe.live.lost(TransportError("gone"))

    from tako.effects import Gather

    def both() -> Flow[None]:
        yield Gather((linked(napper().flow(), pipe), lose()))

    simulator.run(both())
    assert simulator.now < 4


def changing(server: McpServer, revision: str, *messages: Any, when: str, do: Any) -> list[Any]:
    """What is heard when something is done to the server after the client has heard a message."""

    def also(pipe: Pipe, message: dict[str, Any]) -> None:
        if message.get("id") == when or message.get("method") == when:
            do(server)

    heard = over_stdio(server, *messages, also=also)
    asked = {
        "init": "initialize",
        1: "resources/subscribe",
        2: "subscriptions/listen",
        3: "subscriptions/listen",
        4: "resources/unsubscribe",
    }
    for message in heard:
        judge(message, revision, asked)
    return heard


def do_everything(server: McpServer) -> None:
    def one_more() -> str:
        return "x"

    server.add(one_more)
    server.remove("one_more")
    server.add(Prompt(one_more))
    server.add(Resource("test://new", ""))
    server.updated("test://text")
    server.updated("test://blob")
    server.changed("tools")


LISTS = [f"notifications/{kind}/list_changed" for kind in ("tools", "tools", "prompts", "resources")]
UPDATED = "notifications/resources/updated"


def test_news_of_the_handshake_era() -> None:
    subscribe = [
        request(one, f"resources/{what}", {"uri": uri})
        for one, what, uri in (
            (5, "subscribe", "test://text"),
            (6, "subscribe", "test://blob"),
            (4, "unsubscribe", "test://blob"),
        )
    ]
    server = everything_server()
    heard = over_stdio(
        server, *handshake(), *subscribe, concurrency=1,
        also=lambda pipe, message: do_everything(server) if message.get("id") == 4 else None,
    )  # fmt: skip
    news = [message for message in heard if "method" in message]
    assert [message["method"] for message in news] == [*LISTS, UPDATED, "notifications/tools/list_changed"]
    assert news[4]["params"] == {"uri": "test://text"}


def test_news_of_the_modern_era_go_to_the_subscriptions_that_asked_for_them() -> None:
    listen = [
        request(
            2,
            "subscriptions/listen",
            {"notifications": {"toolsListChanged": True, "promptsListChanged": False}},
            MODERN,
        ),
        request(
            3, "subscriptions/listen", {"notifications": {"resourceSubscriptions": ["test://blob"]}}, MODERN
        ),
    ]
    acknowledged: list[str] = []
    server = everything_server()

    def also(pipe: Pipe, message: dict[str, Any]) -> None:
        if message.get("method") == "notifications/subscriptions/acknowledged":
            acknowledged.append("")
            if len(acknowledged) == 2:
                do_everything(server)

    heard = over_stdio(server, *listen, also=also)
    for message in heard:
        judge(message, MODERN, {2: "subscriptions/listen", 3: "subscriptions/listen"})
    told = [
        (message["method"], message["params"]["_meta"][SUBSCRIPTION_ID])
        for message in heard
        if "method" in message
    ]
    assert sorted(told) == [
        ("notifications/resources/updated", 3),
        ("notifications/subscriptions/acknowledged", 2),
        ("notifications/subscriptions/acknowledged", 3),
        *[("notifications/tools/list_changed", 2)] * 3,
    ]
    honoured = {
        message["params"]["_meta"][SUBSCRIPTION_ID]: message["params"]["notifications"]
        for message in heard[:2]
    }
    assert honoured == {2: {"toolsListChanged": True}, 3: {"resourceSubscriptions": ["test://blob"]}}
    assert [message["id"] for message in heard[-2:]] == [2, 3]  # both end with the connection


def test_a_cancelled_subscription_hears_nothing_more() -> None:
    server = everything_server()
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}
    listen = request(2, "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, MODERN)

    def also(pipe: Pipe, message: dict[str, Any]) -> None:
        pipe.say(cancel)
        server.changed("tools")

    assert len(over_stdio(server, listen, also=also)) == 1


@pytest.mark.parametrize(
    "wanted", [None, 7, {"notifications": 1}, {"notifications": {"resourceSubscriptions": [1]}}]
)
def test_a_subscription_that_is_none(wanted: Any) -> None:
    params = wanted if isinstance(wanted, dict) else {"notifications": wanted}
    heard = over_stdio(everything_server(), request(1, "subscriptions/listen", params, MODERN))
    assert heard[0]["error"]["code"] == -32602


def test_a_batch_in_the_only_revision_that_has_them() -> None:
    batch = [request(1, "tools/list"), request(2, "ping"), {"jsonrpc": "2.0", "method": "x"}]

    def also(pipe: Pipe, message: dict[str, Any]) -> None:
        if message.get("id") == "init":
            pipe.say(batch)

    heard = over_stdio(everything_server(), *handshake("2025-03-26"), also=also)
    assert {message["id"] for message in heard} == {"init", 1, 2}
    refused = over_stdio(everything_server(), *handshake(), also=also)
    assert [message["error"]["code"] for message in refused if "error" in message] == [-32600]


def test_a_result_that_is_no_json_is_an_error() -> None:
    server = McpServer([nap_tool := Tool.from_flow(nap)])
    server.tools["nap"].annotations["bad"] = object()
    heard = over_stdio(server, *handshake(), request(1, "tools/list"))
    assert heard[-1]["error"]["code"] == -32603 and nap_tool.name == "nap"


def test_a_mistake_in_how_it_is_served() -> None:
    with pytest.raises(InvalidInput, match="concurrency should be"):
        Simulator().run(napper().flow(concurrency=0))


# Hostile input.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
METHODS = st.sampled_from(
    [
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/templates/list",
        "resources/read",
        "resources/subscribe",
        "resources/unsubscribe",
        "prompts/list",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "server/discover",
        "subscriptions/listen",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/initialized",
        "x",
    ]
)
WORDS = st.sampled_from(
    ["add", "asks", "speaks", "greet", "test://text", "test://item/1/2", "count", "point"]
)
FIELDS = st.sampled_from(
    [
        "name",
        "arguments",
        "uri",
        "cursor",
        "ref",
        "argument",
        "level",
        "notifications",
        "requestState",
        "inputResponses",
        "protocolVersion",
        "capabilities",
        "requestId",
        "progressToken",
        "_meta",
        "context",
    ]
)
META = st.dictionaries(
    st.sampled_from(
        [
            "io.modelcontextprotocol/protocolVersion",
            "io.modelcontextprotocol/clientCapabilities",
            "progressToken",
            "io.modelcontextprotocol/logLevel",
        ]
    ),
    st.sampled_from([MODERN, "x", 1, None])
    | st.dictionaries(st.sampled_from(["sampling", "elicitation"]), JSON),
    max_size=4,
)
PARAMS = st.dictionaries(FIELDS, WORDS | JSON, max_size=4).flatmap(
    lambda params: st.just(params) | META.map(lambda told: {**params, "_meta": told})
)
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={
        "id": st.integers(0, 3) | st.text(max_size=2) | JSON,
        "method": METHODS,
        "params": PARAMS | JSON,
        "result": JSON,
        "error": JSON,
    },
)


@given(st.lists(MESSAGES | JSON, max_size=5), st.integers(0, 3), st.sampled_from(["", *REVISIONS[:-1]]))
def test_whatever_is_said_is_answered_or_not_and_never_fails(
    messages: list[Any], seed: int, revision: str
) -> None:
    first = handshake(revision) if revision else []
    pipe = Pipe()
    pipe.say(*first, *messages)
    pipe.end()
    Simulator(seed).run(linked(everything_server().flow(concurrency=3), pipe))
    for message in pipe.heard:
        json.dumps(message, allow_nan=False)
        assert message["jsonrpc"] == "2.0"
        assert ("method" in message) or (("result" in message) is not ("error" in message))
    asked = [
        message["id"]
        for message in messages
        if isinstance(message, dict) and "method" in message and "id" in message
    ]
    for message in pipe.heard:
        if "result" in message:
            assert message["id"] in [*asked, "init"] or isinstance(message["id"], float)


@given(st.binary(max_size=200), st.integers(0, 3))
def test_whatever_bytes_come(data: bytes, seed: int) -> None:
    pipe = Pipe()
    pipe.say(*handshake())
    pipe.say_bytes(data + b"\n" + json.dumps(request("last", "ping")).encode() + b"\n")
    pipe.end()
    Simulator(seed).run(linked(napper().flow(concurrency=2), pipe))
    assert [message for message in pipe.heard if message.get("id") == "last"] == [
        {"jsonrpc": "2.0", "id": "last", "result": {}}
    ]


def test_a_tool_that_cancels_itself_harms_nobody_else() -> None:
    def cancels() -> str:
        raise Cancelled

    server = McpServer([cancels, Tool.from_flow(nap)])
    heard = over_stdio(server, *handshake(), request(1, "tools/call", {"name": "cancels"}), *naps(1, first=2))
    assert {message["id"]: "result" in message for message in heard} == {"init": True, 1: False, 2: True}
    response = post_modern(server.handler(), 1, "tools/call", {"name": "cancels"})
    assert response.messages[0]["error"]["code"] == -32603
