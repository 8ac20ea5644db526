"""HttpChannel: one request over Streamable HTTP, its headers, its answer, and what may be wrong with that."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tako.effects import Close, Receive, Send, Sleep, Succeeded, gather, within
from tako.errors import InvalidInput, ProtocolError, TakoError, TimedOut, TransportError
from tako.mcp.channel import UNSENT
from tako.mcp.errors import McpError
from tako.mcp.http import Http
from tako.mcp.http_channel import SessionExpired
from tako.mcp.http_peer import HttpRefusal
from tako.testing import Answer, Simulator
from tako.testing.vendor import Pause, ReceivedRequest, ScriptedVendor
from tests.mcp.http_channel_kit import (
    ACCEPTED,
    URL,
    Client,
    Ear,
    Server,
    ended_by,
    event,
    events,
    refused,
    result,
    said,
)

Json = Any


def echo(message: Json) -> Answer:
    return said(result(message["id"], message.get("params")))


# A request and its headers.


def test_an_answer_in_json() -> None:
    server = Server(echo)
    client = Client(server).open()
    assert client.ask(params={"name": "echo"}) == {"name": "echo"}
    assert client.ask(params={"n": 2}) == {"n": 2}
    [first, second] = server.messages
    assert first == {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}}
    assert second["id"] == 2
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", "/mcp")
    assert request.header("accept") == "application/json, text/event-stream"
    assert request.header("content-type") == "application/json"


def test_an_answer_costs_few_effects_and_is_read_to_its_end() -> None:
    client = Client(Server(echo)).open()
    run = client.simulator.stream(client.asking())
    assert list(run) == []
    assert [type(entry.effect) for entry in run.trace] == [Send, Receive, Receive, Close]
    assert run.open_exchanges == ()


@pytest.mark.parametrize(
    ("revision", "wanted"),
    [
        ("2024-11-05", {}),
        ("2025-03-26", {}),
        ("2025-06-18", {"mcp-protocol-version": "2025-06-18"}),
        (
            "2026-07-28",
            {
                "mcp-protocol-version": "2026-07-28",
                "mcp-method": "tools/call",
                "mcp-name": "echo",
                "mcp-param-region": "north",
            },
        ),
    ],
)
def test_the_headers_of_each_era(revision: str, wanted: dict[str, str]) -> None:
    server = Server(echo)
    client = Client(server).open(revision)
    for _ in range(2):  # the second time they are at hand
        client.ask(name="echo", headers=(("Mcp-Param-Region", "north"),))
        found = {name: value for name, value in server.requests[-1].headers if name.startswith("mcp-")}
        assert found == wanted


@pytest.mark.parametrize(
    ("name", "header"),
    [("plain name", "plain name"), ("straße", "=?base64?c3RyYcOfZQ==?="), (" edge", "=?base64?IGVkZ2U=?=")],
)
def test_a_name_that_a_header_cannot_carry_is_coded(name: str, header: str) -> None:
    server = Server(echo)
    Client(server).open("2026-07-28").ask(name=name)
    assert server.requests[0].header("mcp-name") == header


def test_parameters_are_mirrored_without_a_name_too() -> None:
    server = Server(echo)
    Client(server).open("2026-07-28").ask("x/y", headers=(("Mcp-Param-A", "1"),))
    assert server.requests[0].header("mcp-param-a") == "1"
    assert server.requests[0].header("mcp-name") is None


def test_a_notification_of_the_modern_era_names_its_method() -> None:
    server = Server(echo)
    Client(server).open("2026-07-28").tell("notifications/x", a=1)
    assert server.requests[0].header("mcp-method") == "notifications/x"
    assert server.messages == [{"jsonrpc": "2.0", "method": "notifications/x", "params": {"a": 1}}]


def test_a_request_whose_progress_is_heard_carries_its_token() -> None:
    server = Server(echo)
    given = {"name": "x", "_meta": {"k": 1}}
    assert Client(server).open().ask(params=given, hears=True)["_meta"] == {"k": 1, "progressToken": 1}
    assert given["_meta"] == {"k": 1}


def test_the_users_headers_go_with_everything_and_variables_are_filled_in() -> None:
    server = Server(echo, session="s")
    client = Client(server, headers=[("X-Path", "p=$PATH"), ("X-Cost", "$$5")]).initialized()
    client.ask()
    client.tell()
    client.run(client.channel.listen(client.ear))
    client.run(client.channel.close())
    assert server.methods() == ["initialize", "tools/call", "notifications/x", "GET", "DELETE"]
    for request in server.requests:
        assert (request.header("x-path"), request.header("x-cost")) == (f"p={os.environ['PATH']}", "$5")


def test_a_missing_variable_is_named_before_anything_is_sent() -> None:
    server = Server(echo)
    with pytest.raises(InvalidInput, match=r"authorization.*TAKO_NO_SUCH_VARIABLE"):
        Client(server, headers={"authorization": "Bearer ${TAKO_NO_SUCH_VARIABLE}"}).open()
    assert server.requests == []


# Sessions.


def test_a_session_id_goes_with_everything_after_initialize() -> None:
    server = Server(echo, session="se-!~")
    client = Client(server).initialized()
    client.ask()
    client.tell()
    client.run(client.channel.listen(client.ear))
    client.run(client.channel.close())
    assert [request.header("mcp-session-id") for request in server.requests] == [None] + ["se-!~"] * 4
    assert not client.channel.is_open


def test_initialize_begins_anew() -> None:
    server = Server(echo, session="first")
    client = Client(server).initialized()
    client.channel.settle(None)
    client.ask("initialize")
    assert server.requests[1].header("mcp-session-id") is None
    assert server.requests[1].header("mcp-protocol-version") is None


def test_the_modern_era_has_no_session() -> None:
    server = Server(lambda message: Answer((json.dumps(result(1, 1)).encode(),), 200, (
        ("content-type", "application/json"), ("mcp-session-id", "x"))))  # fmt: skip
    client = Client(server).open("2026-07-28")
    client.ask("server/discover")
    client.run(client.channel.close())
    assert server.methods() == ["server/discover"]


@pytest.mark.parametrize("session", ["a b", "ä", "a\tb", ""])
def test_a_session_id_that_no_header_can_carry_is_refused(session: str) -> None:
    with pytest.raises(ProtocolError, match="session id"):
        Client(Server(echo, session=session)).initialized()


@pytest.mark.parametrize("body", [b"", b"gone", json.dumps(refused(None, -32001)).encode()])
def test_an_expired_session_may_be_begun_anew_and_the_request_sent_again(body: bytes) -> None:
    server = Server(lambda message: Answer((body,), 404), session="old")
    client = Client(server).initialized()
    assert client.channel.is_open
    with pytest.raises(SessionExpired) as caught:
        client.ask()
    assert (caught.value.partial, caught.value.status) == (UNSENT, None)
    assert not client.channel.is_open
    with pytest.raises(TransportError, match="not connected") as again:
        client.ask()
    assert again.value.partial is UNSENT
    client.initialized()
    assert client.channel.is_open
    assert server.methods() == ["initialize", "tools/call", "initialize"]  # there was nothing to delete


def test_a_late_404_does_not_end_the_session_that_came_after() -> None:
    def asked(message: Json) -> Answer:
        if message["params"].get("slow"):
            return Answer((b"",), 404, before=(Pause(5),))
        return Answer((b"",), 404) if server.session == "s1" else echo(message)

    server = Server(asked, session="s1")
    client = Client(server).initialized()

    def slow() -> Any:
        with pytest.raises(SessionExpired):
            yield from client.asking(params={"slow": True})

    def quick() -> Any:
        yield Sleep(1)
        with pytest.raises(SessionExpired):
            yield from client.asking()
        server.session = "s2"
        yield from client.channel.open()
        yield from client.asking("initialize")

    client.run(gather(slow(), quick()))
    assert client.channel.is_open
    assert client.ask(params={"a": 1}) == {"a": 1}
    assert server.requests[-1].header("mcp-session-id") == "s2"


def test_no_such_method_with_404_leaves_the_session_alone() -> None:
    server = Server(lambda message: said(refused(message["id"], -32601), 404), session="s")
    client = Client(server).initialized()
    with pytest.raises(McpError) as caught:
        client.ask()
    assert (caught.value.number, caught.value.status) == (-32601, 404)
    assert client.channel.is_open


# Refusals, and answers that are none.

BODY = json.dumps(refused(None, -32600, "bad")).encode()


@pytest.mark.parametrize(
    ("answer", "kind", "match", "fields"),
    [
        (Answer((BODY,), 400), McpError, "^bad$", {"number": -32600, "status": 400}),
        (Answer((BODY,), 404), McpError, "^bad$", {"status": 404}),
        (Answer((BODY,), 403), McpError, "^bad$", {"status": 403}),
        (Answer((BODY,), 401), HttpRefusal, "auth=OAuth", {"status": 401, "retryable": False}),
        (Answer((b"who?",), 401), HttpRefusal, "wants authorization", {"body": "who?"}),
        (Answer((b"no",), 403), HttpRefusal, "HTTP 403: no", {"retryable": False}),
        (Answer((b"nope",), 404), HttpRefusal, "HTTP 404: nope", {"status": 404, "partial": None}),
        (Answer((b"x" * 100_000,), 500), HttpRefusal, "HTTP 500: xxx", {"retryable": True}),
        (
            Answer((b"slow",), 429, (("retry-after", "7"),)),
            HttpRefusal,
            "HTTP 429",
            {"retry_after": 7.0, "retryable": True},
        ),
        (
            Answer((b"<html>",), 502, (("content-type", "text/html"),)),
            HttpRefusal,
            r"^the MCP server http://server/mcp answered HTTP 502$",
            {},
        ),
        (ACCEPTED, ProtocolError, "gives no answer, but HTTP 202", {}),
        (Answer((), 204, (), "length"), ProtocolError, "HTTP 204", {}),
        (Answer((b"<p>",), 200, (("content-type", "text/html"),)), ProtocolError, "text/html.*right", {}),
        (Answer((b"",), 200, ()), ProtocolError, "of no type", {}),
        (Answer.json(b""), ProtocolError, "no message of JSON-RPC", {}),
        (Answer.json(b"{"), ProtocolError, r"the answer of .* it begins with '\{'", {}),
        (Answer.json(b'{"jsonrpc":"2.0","id":1,"result":1,"error":2}'), ProtocolError, "not one of", {}),
        (said(result(9, 1)), ProtocolError, "something else", {}),
        (said(result("1", 1)), ProtocolError, "something else", {}),
        (said(refused(9, -1)), ProtocolError, "something else", {}),
        (said(refused(1, -5)), McpError, "no", {"number": -5, "status": None}),
        (said(refused(None, -5)), McpError, "no", {"number": -5}),
        (said([result(1, 1)]), ProtocolError, "is a batch", {}),
        (said({"jsonrpc": "2.0", "method": "x"}), ProtocolError, "something else", {}),
    ],
    ids=lambda value: None,
)
def test_what_is_no_answer(
    answer: Answer, kind: type[TakoError], match: str, fields: dict[str, Json]
) -> None:
    with pytest.raises(kind, match=match) as caught:
        Client(Server(answer)).open().ask()
    assert type(caught.value) is kind
    assert {name: getattr(caught.value, name) for name in fields} == fields


def test_a_batch_where_the_revision_has_them() -> None:
    answer = said([{"jsonrpc": "2.0", "method": "x"}, result(7, "no"), result(1, "yes")])
    assert Client(Server(answer)).open("2025-03-26").ask() == "yes"


def test_a_body_has_a_limit() -> None:
    piece, text = b" " * (1 << 20), b'{"jsonrpc":"2.0","id":1,"result":7}'
    left = piece[len(text) :]
    assert Client(Server(Answer((text, *[piece] * 15, left)))).open().ask() == 7
    with pytest.raises(ProtocolError, match="over 16,777,216 bytes"):
        Client(Server(Answer((text, *[piece] * 15, left, b" ")))).open().ask()


def test_what_has_not_been_sent_is_said() -> None:
    client = Client(ScriptedVendor(ACCEPTED))
    for flow in (client.asking(), client.channel.tell("x", {}), client.channel.listen(Ear())):
        with pytest.raises(TransportError, match="not connected") as caught:
            client.run(flow)
        assert caught.value.partial is UNSENT
    nowhere = Client(ScriptedVendor(ACCEPTED), url="http://elsewhere/mcp")
    nowhere.simulator = Simulator(vendor={})
    nowhere.open()
    with pytest.raises(TransportError) as unsent:
        nowhere.ask()
    assert (unsent.value.phase, unsent.value.partial) == ("connect", UNSENT)
    assert nowhere.channel.is_open


# Notifications.


@pytest.mark.parametrize(
    "answer",
    [ACCEPTED, said({"jsonrpc": "2.0", "result": {}}), Answer((b"rubbish",)), events(b": open", Pause(999))],
)
def test_a_notification_is_told_whatever_body_comes_back(answer: Answer) -> None:
    client = Client(ScriptedVendor(answer)).open()
    client.tell()
    assert client.simulator.now < 1


def test_a_notification_that_is_refused() -> None:
    with pytest.raises(HttpRefusal):
        Client(ScriptedVendor(Answer((b"",), 500))).open().tell()
    client = Client(Server(echo, session="s")).initialized()
    client.simulator = Simulator(vendor=ScriptedVendor(Answer((b"",), 404)))
    with pytest.raises(SessionExpired):
        client.tell()


# Redirects and authorization.


def moved(status: int, to: str) -> Answer:
    return Answer((b"over there",), status, (("location", to),))


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("to", ["/mcp/", "http://server/mcp/", "mcp/", "http://server:80/mcp/"])
def test_a_redirect_within_the_origin_is_followed(status: int, to: str) -> None:
    def answer(request: ReceivedRequest) -> Answer:
        return moved(status, to) if request.target == "/mcp" else said(result(1, request.target))

    vendor = ScriptedVendor(answer)
    client = Client(vendor).open()
    assert client.ask() == "/mcp/"
    assert vendor.requests[0].body == vendor.requests[1].body
    with pytest.raises(ProtocolError):
        client.ask()  # the answer is to request 1
    assert len(vendor.requests) == (4 if status == 307 else 3)  # 308 is for ever


@pytest.mark.parametrize(
    ("status", "to", "match"),
    [
        (307, "https://server/mcp", "https://server/mcp, another origin"),
        (307, "http://server:81/mcp?key=secret", "http://server:81/mcp, another origin"),
        (308, "//evil/mcp", "http://evil/mcp, another origin"),
        (301, "/mcp/", "loses the request"),
        (302, "/mcp/", "loses the request"),
        (303, "/mcp/", "loses the request"),
        (307, "", "no http or https URL"),
        (307, "ftp://server/", "no http or https URL"),
        (307, "http://[", "no http or https URL"),
        (307, "/a\tb", "no http or https URL"),
        (307, "/mcp", "more than 5 times, lastly to http://server/mcp"),
    ],
)
def test_another_redirect_is_refused_and_says_where_to(status: int, to: str, match: str) -> None:
    vendor = ScriptedVendor(moved(status, to))
    with pytest.raises(HttpRefusal, match=match) as caught:
        Client(vendor, headers={"authorization": "secret"}).open().ask()
    assert "secret" not in str(caught.value)
    assert len(vendor.requests) == (6 if "more" in match else 1)


class Gate:
    """An Authorizer with a list of tokens, each good until it is refused."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.challenges: list[tuple[int, int]] = []

    def authorizer(self, url: str, tls: Any = None) -> Gate:
        return self

    def renew(self) -> Any:
        yield from ()

    def headers(self, url: str) -> Any:
        yield Sleep(0.1)
        return (("authorization", f"Bearer {self.tokens[0]}"),)

    def challenged(self, status: int, headers: Any, attempt: int, sent: Any) -> Any:
        yield Sleep(0.1)
        assert sent == (("authorization", f"Bearer {self.tokens[0]}"),)
        self.challenges.append((status, attempt))
        assert dict(headers)["www-authenticate"] == "Bearer"
        if len(self.tokens) == 1:
            return False
        del self.tokens[0]
        return True


def guarded(good: str, status: int = 401) -> ScriptedVendor:
    def answer(request: ReceivedRequest) -> Answer:
        if request.header("authorization") == f"Bearer {good}":
            return said(result(1, "in"))
        return Answer((b"out",), status, (("www-authenticate", "Bearer"),))

    return ScriptedVendor(answer)


def test_a_challenge_is_met() -> None:
    gate = Gate("a", "b", "c")
    vendor = guarded("c", 403)
    assert Client(vendor, auth=gate).open().ask() == "in"
    assert gate.challenges == [(403, 1), (403, 2)]
    assert len({request.body for request in vendor.requests}) == 1


def test_a_challenge_that_is_not_met_is_the_error() -> None:
    with pytest.raises(HttpRefusal, match="does not take") as caught:
        Client(guarded("z"), auth=Gate("a", "b")).open().ask()
    assert caught.value.status == 401


def test_a_server_that_always_challenges_is_given_up() -> None:
    vendor = guarded("z")
    with pytest.raises(HttpRefusal):
        Client(vendor, auth=Gate(*["a"] * 99)).open().ask()
    assert len(vendor.requests) == 9


# Giving up.


def test_silence_is_told_to_the_server_at_once() -> None:
    server = Server(events(b": nothing\n\n", Pause(999)))
    client = Client(server).open()
    with pytest.raises(TimedOut, match="was silent for 5 seconds"):
        client.ask(timeout=5.0)
    assert server.messages[1] == {
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1},
    }  # fmt: skip
    assert client.simulator.now == pytest.approx(5.0)


@pytest.mark.parametrize(
    "answer",
    [
        Answer((), before=(Pause(99),)),
        Answer((Pause(99),)),
        Answer((b"{", Pause(99))),
        events(Pause(99)),
        events(*[piece for _ in range(99) for piece in (Pause(1.0), b": ping\n\n")]),
        events(*[piece for _ in range(99) for piece in (Pause(1.0), event(id="x"))]),
        events(event(id="x", retry=99_000)),
    ],
    ids=["no head", "no body", "half a body", "no event", "keep-alives", "ids", "a long delay"],
)
def test_what_brings_no_message_is_silence(answer: Answer) -> None:
    client = Client(Server(answer)).open()
    with pytest.raises(TimedOut):
        client.ask(timeout=5.0)
    assert client.simulator.now == pytest.approx(5.0)


def test_every_message_begins_the_silence_anew() -> None:
    words = [piece for n in range(5) for piece in (Pause(4.0), {"jsonrpc": "2.0", "method": f"n{n}"})]
    client = Client(Server(ended_by("late", *words, Pause(4.0)))).open()
    assert client.ask(timeout=5.0) == "late"
    assert len(client.ear.heard) == 5


def test_a_cancelled_request_is_withdrawn_before_the_next_message() -> None:
    server = Server(lambda message: events(Pause(99)) if message["id"] < 3 else echo(message))
    client = Client(server).open()
    for _ in range(2):
        with pytest.raises(TimedOut):
            client.run(within(1.0, client.asking()))
    assert server.methods() == ["tools/call", "notifications/cancelled", "tools/call"]
    client.tell()
    assert server.methods()[3:] == ["notifications/cancelled", "notifications/x"]
    assert [m["params"]["requestId"] for m in server.messages if "cancelled" in m["method"]] == [1, 2]
    client.ask()
    assert server.methods()[5:] == ["tools/call"]


@pytest.mark.parametrize(("revision", "method"), [("2026-07-28", "tools/call"), (None, "initialize")])
def test_what_is_not_withdrawn(revision: str | None, method: str) -> None:
    vendor = ScriptedVendor(events(Pause(99)))
    client = Client(vendor).open(revision)
    with pytest.raises(TimedOut):
        client.ask(method, timeout=1.0)
    with pytest.raises(TimedOut):
        client.run(within(1.0, client.asking(method)))
    client.tell()
    assert len(vendor.requests) == 3


def test_a_server_that_does_not_take_a_withdrawal_costs_two_seconds() -> None:
    def asked(request: ReceivedRequest) -> Answer:
        message = json.loads(request.body)
        if message["method"] == "notifications/cancelled":
            return Answer((), before=(Pause(99),))
        return events(Pause(99)) if message["id"] < 3 else echo(message)

    vendor = ScriptedVendor(asked)
    client = Client(vendor).open()
    for _ in range(2):
        with pytest.raises(TimedOut):
            client.ask(timeout=1.0)
    assert client.ask(params={"a": 1}) == {"a": 1}
    assert client.simulator.now == pytest.approx(6.0)


def test_an_ear_that_fails_is_a_request_given_up() -> None:
    class Deaf(Ear):
        def hear(self, method: str, params: Any) -> Any:
            raise RuntimeError("broken")
            yield

    server = Server(ended_by(1, {"jsonrpc": "2.0", "method": "x"}))
    client = Client(server).open()
    client.ear = Deaf()
    with pytest.raises(RuntimeError):
        client.ask()
    client.tell()
    assert server.methods() == ["tools/call", "notifications/cancelled", "notifications/x"]


# The end.


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer((), 405), 0),
        (Answer((b"x",), 500), 0),
        (Answer((), before=(Pause(99),)), 2),
        (moved(301, "/x"), 0),
    ],
)
def test_closing_never_fails_and_is_soon_over(answer: Answer, seconds: float) -> None:
    client = Client(Server(echo, session="s")).initialized()
    vendor = ScriptedVendor(answer)
    client.simulator = Simulator(vendor=vendor)
    client.run(client.channel.close())
    client.run(client.channel.close())
    assert [request.method for request in vendor.requests] == ["DELETE"]
    assert client.simulator.now == pytest.approx(seconds)


def test_requests_side_by_side_keep_their_answers_apart() -> None:
    def asked(message: Json) -> Answer:
        number = message["params"]["n"]
        pieces = (event(result(message["id"], number)),)
        return Answer(pieces, 200, (("content-type", "text/event-stream"),), before=(Pause(number % 3),))

    client = Client(Server(asked), seed=4).open()
    outcomes = client.run(gather(*[client.asking(params={"n": n}) for n in range(20)]))
    assert [outcome.value for outcome in outcomes if isinstance(outcome, Succeeded)] == list(range(20))


# The configuration.


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"url": "server/mcp"}, "must start with http"),
        ({"url": "ws://server/mcp"}, "there is WebSocket"),
        ({"url": "http://user:pass@server/"}, "user or password"),
        ({"url": 7}, "url should be text"),
        ({"headers": {"Mcp-Session-Id": "x"}}, "'mcp-session-id'"),
        ({"headers": {"Accept": "x"}}, "'accept'"),
        ({"headers": [("mcp-param-x", "x")]}, "'mcp-param-x'"),
        ({"headers": {"a b": "secret"}}, "'a b' is not the name"),
        ({"headers": {"a": 1}}, "should be text"),
        ({"headers": "a: b"}, "mapping"),
        ({"headers": {"Authorization": "secret"}, "auth": Gate("x")}, "leave one out"),
        ({"timeout_secs": 0}, "timeout_secs"),
        ({"timeout_secs": True}, "timeout_secs"),
        ({"tls": object()}, "https://"),
        ({"era": "old"}, "era"),
    ],
)
def test_a_wrong_argument_is_named(options: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInput, match=match) as caught:
        Http(**{"url": URL, **options})
    assert "secret" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    server = Http("https://host/mcp?key=secret", headers={"authorization": "Bearer secret"})
    assert "secret" not in repr(server) + server.label + str(server)
    assert server.label == "the MCP server https://host/mcp"


def test_headers_may_be_a_generator() -> None:
    server = Server(echo)
    client = Client(server, headers=((name, "1") for name in ["X-A"])).open()
    client.open().ask()
    assert server.requests[0].header("x-a") == "1"
