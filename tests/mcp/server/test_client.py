"""A function that asks and tells its client: the same function, in both eras, over stdio and HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tako.errors import InvalidInput, ToolError
from tako.mcp.errors import McpError
from tako.mcp.server import Client, McpServer, Prompt, Resource, ServedTool, Template
from tako.mcp.server.questions import require
from tako.mcp.server.request_state import RequestState, seal, unseal
from tako.mcp.versions import REVISIONS as TABLE
from tako.testing import Simulator
from tako.tools import Tool, ToolContext
from tests.mcp.server.offers import asks_first, everything_server
from tests.mcp.server.worlds import EVERYTHING, MODERN, ask_one, handshake, judge, over_stdio, request

LATEST = "2025-11-25"
SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "Hi Ann"}, "model": "m"}
ACCEPTED = {"action": "accept", "content": {"name": "Ann"}}
ROOTS = {"roots": [{"uri": "file:///a"}]}
ANSWERS = {"elicitation/create": ACCEPTED, "sampling/createMessage": SAMPLED, "roots/list": ROOTS}
BY_KEY = {"user_name": ACCEPTED, "greeting": SAMPLED, "question-3": ROOTS}


def text(answer: Any) -> str:
    result = answer["result"]
    return result["content"][0]["text"] if "content" in result else result["messages"][0]["content"]["text"]


def modern(server: McpServer, method: str, params: dict[str, Any], **meta: Any) -> Any:
    return ask_one(server, MODERN, method, {**params, "_meta": meta})


def rounds(
    server: McpServer, params: dict[str, Any], answers: dict[str, Any], method: str = "tools/call"
) -> list[Any]:
    """All results of a request whose client answers what it is asked, until it is complete."""
    results = []
    given: dict[str, Any] = {}
    for _ in range(10):
        result = modern(server, method, {**params, **given})["result"]
        results.append(result)
        if result["resultType"] == "complete":
            break
        given = {
            "requestState": result["requestState"],
            "inputResponses": {key: answers[key] for key in result["inputRequests"]},
        }
    return results


def test_in_the_handshake_era_the_server_asks_and_waits() -> None:
    heard = over_stdio(
        everything_server(), *handshake(), request(1, "tools/call", {"name": "asks"}), answers=ANSWERS
    )
    for message in heard:
        judge(message, LATEST, {1: "tools/call", "init": "initialize"})
    asked = [message for message in heard if "method" in message]
    assert [message["method"] for message in asked] == list(ANSWERS)
    assert asked[0]["params"] == {
        "message": "Who?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}
    }  # fmt: skip
    assert asked[1]["params"] == {
        "messages": [{"role": "user", "content": {"type": "text", "text": "greet Ann"}}],
        "maxTokens": 5,
        "systemPrompt": "be short",
    }
    assert text(heard[-1]) == "Hi Ann file:///a, 4 rounds"


def test_in_the_modern_era_the_client_comes_back_with_the_answers() -> None:
    results = rounds(everything_server(), {"name": "asks"}, BY_KEY)
    assert [list(result.get("inputRequests", ())) for result in results] == [
        ["user_name"],
        ["greeting"],
        ["question-3"],
        [],
    ]
    assert results[2]["inputRequests"]["question-3"] == {"method": "roots/list"}
    assert text({"result": results[-1]}) == "Hi Ann file:///a, 4 rounds"
    states = [result["requestState"] for result in results[:-1]]
    assert len(set(states)) == 3


def test_several_things_are_asked_at_once() -> None:
    answers = {"who": {"action": "decline"}, "what": SAMPLED, "where": ROOTS}
    first, last = rounds(everything_server(), {"name": "asks_all"}, answers)
    assert set(first["inputRequests"]) == set(answers)
    assert text({"result": last}) == "decline m 1"
    told = ask_one(everything_server(), LATEST, "tools/call", {"name": "asks_all"}, answers=ANSWERS)
    assert text(told) == "accept m 1"


def test_a_prompt_and_a_resource_can_ask_as_well() -> None:
    def page(context: ToolContext) -> str:
        return Client.of(context).elicit("Who?", key="who").action

    server = McpServer(prompts=[Prompt(asks_first)], resources=[Resource("test://page", page)])
    assert (
        text({"result": rounds(server, {"name": "asks_first"}, {"who": ACCEPTED}, "prompts/get")[-1]})
        == "for accept"
    )
    read = rounds(server, {"uri": "test://page"}, {"who": ACCEPTED}, "resources/read")
    assert [result["resultType"] for result in read] == ["input_required", "complete"]
    assert read[-1]["contents"][0]["text"] == "accept"


def test_an_answer_without_a_state_is_enough_for_one_round() -> None:
    given = {"name": "asks", "inputResponses": {"user_name": {"action": "cancel"}, "unknown": 7}}
    assert text(modern(everything_server(), "tools/call", given)) == "cancel, 1 rounds"


@pytest.mark.parametrize(
    "answer", [12345, None, {}, {"action": "no"}, {"action": "accept", "content": 3}, [], "accept"]
)
def test_what_is_no_answer_is_asked_again(answer: Any) -> None:
    server = everything_server()
    first = modern(server, "tools/call", {"name": "asks"})["result"]
    for given in ({}, {"requestState": first["requestState"]}):
        again = modern(
            server, "tools/call", {"name": "asks", **given, "inputResponses": {"user_name": answer}}
        )["result"]
        assert list(again["inputRequests"]) == ["user_name"]


def test_an_answer_to_another_question_under_the_same_key_is_none() -> None:
    asked = iter(["first?", "second?", "second?"])

    def fickle(context: ToolContext) -> str:
        question = next(asked)
        return question + Client.of(context).elicit(question, key="k").action

    server = McpServer([fickle])
    results = rounds(server, {"name": "fickle"}, {"k": ACCEPTED})
    messages = [result["inputRequests"]["k"]["params"]["message"] for result in results[:-1]]
    assert messages == ["first?", "second?"]


def change(state: str) -> list[str]:
    """States that somebody has meddled with."""
    body, _, tag = state.partition(".")
    flipped = ("B" if body[5] == "A" else "A").join((body[:5], body[6:]))
    return [
        "",
        "x",
        ".",
        f"{flipped}.{tag}",
        f"{body}.{tag[::-1]}",
        f"{body}",
        f"{state}=",
        f"{state} ",
        f"{body}.",
        "é.é",
        state * 2,
    ]


def test_a_state_that_is_not_ours_is_refused() -> None:
    server = everything_server(state_key=b"k" * 32)
    given = {"name": "asks", "inputResponses": {"user_name": ACCEPTED}}
    state = modern(server, "tools/call", {"name": "asks"})["result"]["requestState"]
    assert "result" in modern(server, "tools/call", {**given, "requestState": state})
    for other in (*change(state), 7, {}):
        assert modern(server, "tools/call", {**given, "requestState": other})["error"]["code"] == -32602, (
            other
        )
    assert (
        modern(server, "tools/call", {**given, "requestState": state, "arguments": {"a": 1}})["error"]["code"]
        == -32602
    )
    assert (
        modern(server, "tools/call", {**given, "name": "asks_all", "requestState": state})["error"]["code"]
        == -32602
    )
    stranger = everything_server(state_key=b"j" * 32)
    assert modern(stranger, "tools/call", {**given, "requestState": state})["error"]["code"] == -32602


def test_a_state_goes_to_another_process_that_has_the_key() -> None:
    one, other = (everything_server(state_key=b"k" * 32) for _ in range(2))
    state = modern(one, "tools/call", {"name": "asks"})["result"]["requestState"]
    given = {"name": "asks", "requestState": state, "inputResponses": {"user_name": {"action": "decline"}}}
    assert text(modern(other, "tools/call", given)) == "decline, 2 rounds"


def test_a_state_expires() -> None:
    sealed = seal(RequestState({"a": ("d", 1)}, {"b": "e"}, {"c": [2]}), "of", b"k" * 32, 100.0)
    assert unseal(sealed, "of", b"k" * 32, 3699.0).kept == {"c": [2]}
    with pytest.raises(McpError, match="expired"):
        unseal(sealed, "of", b"k" * 32, 3801.0)
    with pytest.raises(InvalidInput, match="keep less"):
        seal(RequestState(kept={"a": "x" * 300_000}), "of", b"k" * 32, 0.0)
    with pytest.raises(InvalidInput, match="not JSON"):
        seal(RequestState(kept={"a": object()}), "of", b"k" * 32, 0.0)


@pytest.mark.parametrize(
    ("needs", "told", "has"),
    [
        ({"sampling": {}}, {"sampling": {}}, True),
        ({"sampling": {"tools": {}}}, {"sampling": {}}, False),
        ({"sampling": {"tools": {}}}, {"sampling": {"tools": {}}}, True),
        ({"elicitation": {}}, {"elicitation": {}}, True),
        ({"elicitation": {}}, {"elicitation": {"url": {}}}, False),
        ({"elicitation": {"url": {}}}, {"elicitation": {}}, False),
        ({"elicitation": {"url": {}}}, {"elicitation": {"url": {}}}, True),
        ({"roots": {}}, {"roots": None}, False),
        ({"roots": {}}, {}, False),
    ],
)
def test_what_a_client_must_have_told(needs: Any, told: Any, has: bool) -> None:
    if has:
        require(needs, told)
    else:
        with pytest.raises(McpError) as caught:
            require(needs, told)
        assert (caught.value.number, caught.value.data) == (-32021, {"requiredCapabilities": needs})


def test_nobody_is_asked_who_has_not_said_that_they_can_answer() -> None:
    messages = [*handshake(capabilities={}), request(1, "tools/call", {"name": "asks"})]
    heard = over_stdio(everything_server(), *messages)
    assert [message["error"]["code"] for message in heard if message.get("id") == 1] == [-32021]
    assert not [message for message in heard if "method" in message]


def test_a_client_that_refuses_is_heard_by_the_function() -> None:
    def tries(context: ToolContext) -> str:
        try:
            return Client.of(context).sample("hi").text
        except McpError as error:
            return f"refused: {error.message} ({error.number})"

    answers = {"sampling/createMessage": {"error": {"code": -1, "message": "no"}}}
    assert (
        text(ask_one(McpServer([tries]), LATEST, "tools/call", {"name": "tries"}, answers=answers))
        == "refused: no (-1)"
    )


def test_a_function_that_swallows_the_question_is_called_again_all_the_same() -> None:
    def swallows(context: ToolContext) -> str:
        try:
            return Client.of(context).elicit("Who?").action
        except Exception:
            return "swallowed"

    answers = {"elicitation/create": ACCEPTED}
    assert (
        text(ask_one(McpServer([swallows]), LATEST, "tools/call", {"name": "swallows"}, answers=answers))
        == "accept"
    )
    assert (
        rounds(McpServer([swallows]), {"name": "swallows"}, {"question-1": ACCEPTED})[-1]["content"][0][
            "text"
        ]
        == "accept"
    )


def test_one_that_asks_for_ever_is_given_up() -> None:
    count = iter(range(1000))

    def nags(context: ToolContext) -> str:
        Client.of(context).elicit(f"{next(count)}?")
        return "never"

    told = ask_one(
        McpServer([nags]), LATEST, "tools/call", {"name": "nags"}, answers={"elicitation/create": ACCEPTED}
    )
    assert told["error"]["code"] == -32603 and "given up" in told["error"]["message"]


@pytest.mark.parametrize(
    ("action", "words"), [("accept", "wiped all"), ("decline", "the user did not approve")]
)
def test_a_tool_that_needs_approval_asks_the_user(action: str, words: str) -> None:
    params = {"name": "wipes", "arguments": {"what": "all"}}
    told = ask_one(
        everything_server(), LATEST, "tools/call", params, answers={"elicitation/create": {"action": action}}
    )
    assert text(told).startswith(words)
    last = rounds(everything_server(), params, {"approval": {"action": action}})[-1]
    assert text({"result": last}).startswith(words)


def test_a_tool_that_needs_approval_is_not_run_where_nobody_can_give_it() -> None:
    messages = [
        *handshake(capabilities={}),
        request(1, "tools/call", {"name": "wipes", "arguments": {"what": "all"}}),
    ]
    heard = over_stdio(everything_server(), *messages)
    assert heard[-1]["result"]["isError"] and "needs the user's approval" in text(heard[-1])


@pytest.mark.parametrize("token", ["p", 7, 0])
def test_progress_goes_to_who_asked_for_it(token: Any) -> None:
    for revision in (LATEST, MODERN):
        first = [] if revision == MODERN else handshake()
        params = {"name": "speaks", "_meta": {"progressToken": token}}
        heard = over_stdio(everything_server(), *first, request(1, "tools/call", params, revision))
        steps = [message["params"] for message in heard if message.get("method") == "notifications/progress"]
        assert steps == [
            {"progressToken": token, "progress": done, "total": 2, "message": f"at {done}"} for done in (1, 2)
        ]
        assert heard[-1]["id"] == 1  # the result is the last word
        silent = over_stdio(
            everything_server(), *first, request(1, "tools/call", {"name": "speaks"}, revision)
        )
        assert not [message for message in silent if message.get("method") == "notifications/progress"]


def test_what_a_generator_yields_is_progress() -> None:
    params = {"name": "count", "arguments": {"to": 3}, "_meta": {"progressToken": "t"}}
    heard = over_stdio(everything_server(), *handshake(), request(1, "tools/call", params))
    steps = [message["params"] for message in heard if message.get("method") == "notifications/progress"]
    assert [(step["progress"], step["message"]) for step in steps] == [
        (1, "1 of 3"),
        (2, "2 of 3"),
        (3, "3 of 3"),
    ]


@pytest.mark.parametrize(
    ("revision", "level", "heard"),
    [(LATEST, None, 2), (LATEST, "debug", 2), (LATEST, "error", 1), (LATEST, "alert", 0),
     (MODERN, None, 0), (MODERN, "debug", 2), (MODERN, "warning", 1), (MODERN, "no level", 0)],
)  # fmt: skip
def test_log_messages_of_the_level_that_is_wanted(revision: str, level: str | None, heard: int) -> None:
    messages = [] if revision == MODERN else handshake()
    params: dict[str, Any] = {"name": "speaks"}
    if level is not None and revision == MODERN:
        params["_meta"] = {"io.modelcontextprotocol/logLevel": level}
    elif level is not None:
        messages.append(request(2, "logging/setLevel", {"level": level}))
    said = over_stdio(
        everything_server(), *messages, request(1, "tools/call", params, revision), concurrency=1
    )
    logs = [message["params"] for message in said if message.get("method") == "notifications/message"]
    assert len(logs) == heard
    if heard == 2:
        assert logs[0] == {"level": "debug", "data": {"a": 1}, "logger": "here"}


@pytest.mark.parametrize("step", [0, -1, float("nan"), float("inf")])
def test_what_is_no_progress_is_not_sent(step: float) -> None:
    told: list[Any] = []
    client = Client(TABLE[LATEST], {}, {}, say=lambda method, params: told.append(params), progress_token=1)
    for each in (0, step, 2):
        client.progress(each)
    assert [params["progress"] for params in told] == [0, 2]


def test_a_function_gets_the_client_by_a_parameter_of_that_type() -> None:
    def tells(word: str, client: Client, context: ToolContext) -> str:
        return f"{word} {client.revision} {context.tool_name} {client is Client.of(context)}"

    def template(word: str, client: Client) -> str:
        return f"{word} {client.revision}"

    server = McpServer([tells], templates=[Template("x:{word}", template)], prompts=[Prompt(template)])
    result = ask_one(server, LATEST, "tools/call", {"name": "tells", "arguments": {"word": "a"}})["result"]
    assert result["content"][0]["text"] == f"a {LATEST} tells True"
    assert server.tools["tells"].input_schema["properties"] == {"word": {"type": "string"}}
    read = ask_one(server, LATEST, "resources/read", {"uri": "x:b"})["result"]
    assert read["contents"][0]["text"] == f"b {LATEST}"
    made = ask_one(server, LATEST, "prompts/get", {"name": "template", "arguments": {"word": "c"}})["result"]
    assert made["messages"][0]["content"]["text"] == f"c {LATEST}"


def test_a_handle_outside_a_server_says_so() -> None:
    def tells(context: ToolContext) -> str:
        return str(Client.of(context))

    from tako.models import Principal

    flow = Tool(tells).invoke({}, lambda: ToolContext("1", "tells", 0, "r", Principal()))
    with pytest.raises(ToolError, match="MCP client"):
        Simulator().run(flow)
    client = Client(TABLE[LATEST], EVERYTHING, {}, say=lambda method, params: None)
    with pytest.raises(InvalidInput, match="level should be one of"):
        client.log("loud", "x")
    with pytest.raises(InvalidInput, match="JSON"):
        client.log("info", object())
    assert client.can("sampling") and not client.can("tasks")
    assert ServedTool(tells).is_lively
