"""What a server can be made of, what it cannot, and a whole agent as a tool."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from examples.mcp_server import SERVER as LIBRARY
from tako import AbMcts, Conductor, SelfCaller, SingleAgent, Trinity
from tako.effects import Emit, Flow, Now, OnError, Sleep, gather, within
from tako.errors import InvalidInput, TimedOut
from tako.mcp.server import Client, Embedded, McpServer, Prompt, Resource, ServedTool, Template, answer, serve
from tako.mcp.server.mailbox import Mailbox
from tako.mcp.server.tapping import tapped
from tako.mcp.server.uri_template import UriTemplate
from tako.mcp.versions import REVISIONS as TABLE
from tako.models import ContentPart, Message
from tako.parts import TextPart
from tako.providers import Fake
from tako.testing import Simulator
from tako.tools import Tool
from tests.mcp.server.worlds import MODERN, REVISIONS, ask_one, handshake, over_stdio, request


class Pair(TypedDict):
    left: int
    right: str


@dataclasses.dataclass
class Point:
    x: int


def pair() -> Pair:
    return {"left": 1, "right": "b"}


def point() -> Point:
    return Point(1)


def part() -> TextPart:
    return TextPart(text="a")


def number() -> int:
    return 1


@pytest.mark.parametrize(
    ("function", "properties"), [(pair, ["left", "right"]), (point, ["x"]), (part, None), (number, None)]
)
def test_the_output_schema_is_that_of_the_return_type(function: Any, properties: Any) -> None:
    schema = ServedTool(function).output_schema
    assert (None if schema is None else list(schema["properties"])) == properties
    told = ask_one(McpServer([function]), MODERN, "tools/call", {"name": function.__name__})["result"]
    assert ("structuredContent" in told) is (properties is not None)


def test_an_output_schema_of_ones_own() -> None:
    def rows() -> list[int]:
        return [1, 2]

    def both() -> Any:
        return answer("see below", structured={"a": 1})

    server = McpServer(
        [
            ServedTool(rows, output_schema={"type": "array"}),
            ServedTool(both, output_schema={"type": "object"}),
        ]
    )
    assert ask_one(server, MODERN, "tools/call", {"name": "rows"})["result"]["structuredContent"] == [1, 2]
    old = ask_one(server, "2025-11-25", "tools/call", {"name": "rows"})["result"]  # which has objects only
    assert "structuredContent" not in old
    told = ask_one(server, "2025-11-25", "tools/call", {"name": "both"})["result"]
    assert told == {"content": [{"type": "text", "text": "see below"}], "structuredContent": {"a": 1}}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: McpServer([number, number]), "'number'"),
        (lambda: McpServer("add"), "tools should be a list"),
        (lambda: McpServer([3]), "expected a function or a Tool"),
        (lambda: McpServer([Tool.external("x", "", {})]), "is external"),
        (lambda: McpServer([ServedTool(number, requires="sampling")]), "should be a list"),
        (lambda: McpServer([Tool(number, input_schema={"type": "array"})]), "should be of an object"),
        (lambda: McpServer(page_size=0), "page_size"),
        (lambda: McpServer(ttl=-1), "ttl"),
        (lambda: McpServer(cache_scope="all"), "cache_scope"),
        (lambda: McpServer(state_key=b"short"), "state_key"),
        (lambda: McpServer(resources=[number]), r"resources\[0\] should be a Resource"),
        (lambda: McpServer(templates=["x"]), r"templates\[0\] should be a Template"),
        (lambda: McpServer(prompts=[lambda: "x"]), "no name of its own"),
        (lambda: McpServer(prompts=[3]), "prompts: expected a function"),
        (lambda: McpServer(completions={"x": 3}), "completions"),
        (lambda: McpServer(completions={"x": {"a": "abc"}}), "a list of texts or a function"),
        (lambda: Resource("no address", "x"), "address with a scheme"),
        (lambda: Resource("a:b", 3), "should be text, bytes or a function"),
        (lambda: Resource("a:b", lambda x: x), "takes arguments"),
        (lambda: Template("a:b", number), "1 to 8 gaps"),
        (lambda: Template("a:{b}", number), "its function takes nothing"),
        (lambda: Template("a:{b}", lambda b, c: b), "its gaps are b"),
        (lambda: Template("a:{b}", 3), "expected a function"),
        (lambda: Embedded("a:b"), "one of them"),
        (lambda: Embedded("a:b", "x", b"x"), "one of them"),
        (lambda: answer(3), "no block for int"),
        (lambda: McpServer().changed("all"), "kind should be"),
        (lambda: McpServer().remove("x"), "no tool 'x'"),
        (lambda: McpServer().remove(Prompt(number)), "is not offered"),
        (lambda: serve([number], http="nowhere"), '"host:port"'),
        (lambda: serve([number], http="0.0.0.0:80"), "hosts="),
        (lambda: serve(McpServer(), name="x"), "has one already"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_says_why(make: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()


@pytest.mark.parametrize(
    ("template", "address", "values"),
    [
        ("a://{b}", "a://x", {"b": "x"}),
        ("a://{b}", "a://x%2Fy", {"b": "x/y"}),
        ("a://{b}", "a://x/y", None),
        ("a://{b}", "a://", None),
        ("a://{b}", "b://x", None),
        ("a://{+b}", "a://x/y?z#1", {"b": "x/y?z#1"}),
        ("a://{b}/c/{d}", "a://1/c/2", {"b": "1", "d": "2"}),
        ("a.c/{b}", "abc/x", None),
        ("{+b}-{+c}-{d}", "1-/-2", {"b": "1", "c": "/", "d": "2"}),
        ("{+b}-{c}", "1-2/3-4", {"b": "1-2/3", "c": "4"}),
        ("a://{b}", "a://" + "x" * 5000, None),
    ],
)
def test_addresses_with_gaps(template: str, address: str, values: Any) -> None:
    assert UriTemplate(template).match(address) == values


@pytest.mark.parametrize(
    "text", ["a", "{a}{b}", "{a", "a}", "{a b}", "{a}/{a}", "{?a}", "/".join(f"{{a{n}}}" for n in range(9))]
)
def test_what_is_no_template(text: str) -> None:
    with pytest.raises(InvalidInput):
        UriTemplate(text)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4))
def test_what_fills_the_gaps_comes_out_again(values: list[str]) -> None:
    from urllib.parse import quote

    names = [f"n{number}" for number in range(len(values))]
    template = UriTemplate("x:/" + "/".join(f"{{{name}}}" for name in names))
    address = "x:/" + "/".join(quote(value, safe="") for value in values)
    if len(address) <= 4096:
        assert template.match(address) == dict(zip(names, values, strict=True))


@given(
    st.lists(st.sampled_from(["{}", "{+}", "a", "/", "aa"]), min_size=1, max_size=7),
    st.text("a/b", max_size=9),
)
def test_addresses_match_as_the_regular_expression_says(pieces: list[str], address: str) -> None:
    text, pattern = "", ""
    for number, piece in enumerate(pieces):
        text += piece.replace("}", f"n{number}}}")
        gap = {"{}": "[^/?#]+?", "{+}": ".+?"}.get(piece)
        pattern += f"(?P<n{number}>{gap})" if gap else piece
    try:
        template = UriTemplate(text)
    except InvalidInput:
        return
    found = re.fullmatch(pattern, address)
    assert template.match(address) == (found and found.groupdict())


def test_no_address_takes_long() -> None:
    template = UriTemplate("-".join(f"{{+n{number}}}" for number in range(8)) + "!")
    assert template.match("-" * 4096) is None
    assert template.match("-" * 4095 + "!") is not None


# An agent as a tool.


def agent_server() -> McpServer:
    script = [ContentPart.tool_call("1", "number", {}), "The number is 1."]
    return McpServer(SingleAgent(Fake(script=script), tools=[number]), name="an agent")


@pytest.mark.parametrize("revision", REVISIONS)
def test_an_agent_is_a_tool_that_takes_a_prompt(revision: str) -> None:
    listed = ask_one(agent_server(), revision, "tools/list")["result"]["tools"]
    assert [one["name"] for one in listed] == ["an_agent"]
    assert listed[0]["inputSchema"]["required"] == ["prompt"]
    told = ask_one(
        agent_server(), revision, "tools/call", {"name": "an_agent", "arguments": {"prompt": "which number?"}}
    )
    assert told["result"]["content"] == [{"type": "text", "text": "The number is 1."}]


def test_what_an_agent_does_is_progress() -> None:
    params = {"name": "an_agent", "arguments": {"prompt": "which?"}, "_meta": {"progressToken": 1}}
    heard = over_stdio(agent_server(), *handshake(), request(1, "tools/call", params))
    words = [message["params"]["message"] for message in heard if "method" in message]
    assert words[0] == "calls number" and "".join(words[1:]) == "The number is 1."


def test_an_agent_that_cannot_go_on_is_an_error() -> None:
    calls = [ContentPart.tool_call("1", "number", {})]
    agent = SingleAgent(Fake(script=[*calls, *calls]), tools=[number], max_steps=1)
    told = ask_one(McpServer(agent), MODERN, "tools/call", {"name": "tako", "arguments": {"prompt": "x"}})[
        "result"
    ]
    assert told["isError"] and "max_steps" in told["content"][0]["text"]


PLANS = ['{"dispatch": [{"worker": "w", "task": "count"}]}', '{"halt": true, "final_answer": "one"}']


def worker() -> SingleAgent:
    return SingleAgent(Fake(script=[ContentPart.tool_call("1", "number", {}), "1"]), tools=[number])


@pytest.mark.parametrize(
    ("agent", "words", "answer"),
    [
        (
            lambda: Conductor(Fake(script=PLANS), {"w": worker()}),
            ["calls worker:w", "w:step1-1: calls number", "one"],
            "one",
        ),
        (
            lambda: Trinity.classic(Fake(script=["count", "one", "ACCEPT"])),
            ["thinker speaks", "worker speaks", "one", "verifier speaks"],
            "one",
        ),
        (
            lambda: AbMcts(Fake(script=["x", "y"]), lambda text: 0.25, max_iterations=2, seed=1),
            ["answer 1: 0.25", "answer 2: 0.25", "x"],
            "x",
        ),
        (
            lambda: SelfCaller(Fake(script=["x", "y"]), lambda text: 0.25, max_depth=1),
            ["x", "answer judged with 0.25", "y", "answer judged with 0.25"],
            "y",
        ),
    ],
)
def test_any_orchestrator_can_be_served_and_tells_what_it_does(
    agent: Callable[[], Any], words: list[str], answer: str
) -> None:
    params = {"name": "tako", "arguments": {"prompt": "how many?"}, "_meta": {"progressToken": 1}}
    heard = over_stdio(McpServer(agent()), *handshake(), request(1, "tools/call", params))
    assert [message["params"]["message"] for message in heard if "method" in message] == words
    assert heard[-1]["result"] == {"content": [{"type": "text", "text": answer}]}


# Tapping, and mailboxes.


def noisy(depth: int) -> Flow[list[Any]]:
    yield Emit((depth, "begins"))
    said: list[Any] = [(yield Now())]
    if depth:
        found = yield from gather(noisy(depth - 1), within(9, noisy(depth - 1)), on_error=OnError.COLLECT)
        said += [outcome.value for outcome in found]
    try:
        yield from within(1, slowly())
    except TimedOut as error:
        said.append(error.partial)
    yield Emit(("ends",))
    return said


def slowly() -> Flow[str]:
    try:
        yield Sleep(5)
    except BaseException:
        yield Emit(("cut short",))
        return "partly"
    return "never"


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_tapped_flow_does_what_it_did_and_its_events_go_elsewhere(depth: int) -> None:
    taken: list[Any] = []
    plain, quiet = Simulator().stream(noisy(depth)), Simulator().stream(tapped(noisy(depth), taken.append))
    events = list(plain)
    assert list(quiet) == [] and sorted(map(str, taken)) == sorted(map(str, events)) and len(events) > 2
    assert quiet.result == plain.result and quiet.now == plain.now


def test_a_tapped_flow_is_thrown_what_it_would_have_been() -> None:
    def fails() -> Flow[str]:
        try:
            yield Sleep(-1)
        except Exception as error:
            return f"caught {type(error).__name__}"
        raise KeyError("x")

    with pytest.raises(KeyError):
        Simulator().run(tapped(fails(), lambda event: None))
    flow = tapped(fails(), lambda event: None)
    next(flow)
    with pytest.raises(StopIteration) as stopped:
        flow.throw(InvalidInput("no"))
    assert stopped.value.value == "caught InvalidInput"


@given(st.lists(st.lists(st.integers(), max_size=4), max_size=5), st.integers(0, 3))
def test_what_is_put_is_taken_in_order_by_one_who_waits(rounds: list[list[int]], seed: int) -> None:
    mailbox: Mailbox[int] = Mailbox()
    taken: list[int] = []

    def puts() -> Flow[None]:
        for items in rounds:
            for item in items:
                assert mailbox.put(item)
            yield Sleep(1)
        mailbox.close()

    def takes() -> Flow[None]:
        while not mailbox.is_closed:
            taken.extend((yield from mailbox.take()))

    simulator = Simulator(seed)
    simulator.run(gather(puts(), takes()))
    assert taken == [item for items in rounds for item in items] and simulator.now == len(rounds)


def test_a_full_mailbox_drops_what_need_not_be_kept() -> None:
    mailbox: Mailbox[int] = Mailbox(limit=2)
    kept = [mailbox.put(1), mailbox.put(2), mailbox.put(3), mailbox.put(4, must=True)]
    assert kept == [True, True, False, True]
    assert Simulator().run(mailbox.take()) == [1, 2, 4]
    mailbox.close()
    assert not mailbox.put(5) and Simulator().run(mailbox.take()) == []


def test_a_prompt_that_gives_what_is_no_message() -> None:
    for value in ({"role": "user"}, 7, [Message.system("x")]):
        server = McpServer(prompts=[Prompt(lambda value=value: value, name="p")])
        assert ask_one(server, MODERN, "prompts/get", {"name": "p"})["error"]["code"] == -32603


def test_the_example() -> None:
    told = ask_one(LIBRARY, MODERN, "tools/call", {"name": "find_book", "arguments": {"title": "SEA"}})[
        "result"
    ]
    assert told["structuredContent"] == {"id": "2", "title": "The Sea Around Us"}
    answers = {"elicitation/create": {"action": "accept"}}
    lent = ask_one(
        LIBRARY, "2025-11-25", "tools/call", {"name": "lend", "arguments": {"id": "1"}}, answers=answers
    )
    assert lent["result"]["content"][0]["text"] == "The Octopus is yours."


def test_progress_in_the_handle_itself() -> None:
    said: list[Any] = []
    client = Client(TABLE["2025-11-25"], {}, {}, say=lambda *told: said.append(told), progress_token="t")
    for item in ("a", 2, "c" * 5000):
        client.went_on(item)
    assert [params["progress"] for _, params in said] == [1, 2, 3]
    assert len(said[2][1]["message"]) == 1000
