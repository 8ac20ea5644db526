"""Each method in each revision, over stdio; the official types judge every message that the server sends."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tako.mcp.server import McpServer, Resource
from tests.mcp.server.offers import RAW, everything_server
from tests.mcp.server.worlds import MODERN, REVISIONS, ask_one, handshake, official, over_stdio, request

ALL = pytest.mark.parametrize("revision", REVISIONS)
SERVER = everything_server()


def result(revision: str, method: str, params: dict[str, Any] | None = None, **options: Any) -> Any:
    answer = ask_one(SERVER, revision, method, params, **options)
    assert "result" in answer, answer
    return answer["result"]


def error(revision: str, method: str, params: dict[str, Any] | None = None, **options: Any) -> Any:
    return ask_one(options.pop("server", SERVER), revision, method, params, **options)["error"]


def call(revision: str, name: str, arguments: dict[str, Any] | None = None, **params: Any) -> Any:
    return result(
        revision,
        "tools/call",
        {"name": name, **({} if arguments is None else {"arguments": arguments}), **params},
    )


def test_the_oracle_is_there() -> None:
    if official is None:
        pytest.skip(
            "mcp-types is not installed, so what the server sends is not judged by the official types"
        )


@ALL
def test_tools_are_listed_with_what_the_revision_knows(revision: str) -> None:
    tools = {one["name"]: one for one in result(revision, "tools/list")["tools"]}
    assert tools["add"]["description"] == "Add two numbers."
    assert tools["add"]["inputSchema"]["properties"]["a"]["description"] == "the first"
    assert tools["add"]["annotations"] == {"readOnlyHint": True}
    assert tools["wipes"]["annotations"] == {"readOnlyHint": False}
    assert tools["samples"]["title"] == "Samples"
    assert tools["raw"]["inputSchema"] == RAW
    assert ("outputSchema" in tools["point"]) is (revision >= "2025-06-18")
    assert all(one["inputSchema"]["type"] == "object" for one in tools.values())


@ALL
@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("add", {"a": 2}, "3"),
        ("add", {"a": 2, "b": 40}, "42"),
        ("later", {"text": "é"}, "É"),
        ("count", {"to": 3}, "3 of 3"),
        ("nap", {"seconds": 1}, "slept 1"),
        ("raw", {"n": 1}, "{'n': 1}"),
        ("raw", None, "{}"),
    ],
)
def test_a_tool_of_each_shape_is_called(revision: str, name: str, arguments: Any, text: str) -> None:
    assert call(revision, name, arguments)["content"] == [{"type": "text", "text": text}]


@ALL
def test_a_model_is_structured_content(revision: str) -> None:
    given = call(revision, "point", {"x": 3})
    assert given["content"] == [{"type": "text", "text": '{"x":3,"y":-3}'}]
    assert given.get("structuredContent") == ({"x": 3, "y": -3} if revision >= "2025-06-18" else None)


def test_each_kind_of_content() -> None:
    blocks = call("2025-11-25", "everything")["content"]
    kinds = [
        "text",
        "image",
        "audio",
        "resource_link",
        "resource",
        "resource_link",
        "resource",
        "resource",
        "resource",
    ]
    assert [block["type"] for block in blocks] == [*kinds, "resource_link"]
    assert blocks[4]["resource"] == {
        "uri": "document:a-b",
        "mimeType": "application/pdf",
        "blob": "iVBORw0KGgo=",
    }
    assert blocks[8]["resource"] == {"uri": "test://b", "blob": "AP8="}
    assert call(MODERN, "everything")["content"] == blocks


@ALL
@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("fails", {"how": "words"}, "try another way"),
        ("fails", {"how": "boom"}, "RuntimeError: boom"),
        ("add", {"a": "no"}, "invalid arguments: a"),
        ("add", {"a": 1, "c": 1}, "invalid arguments: c"),
        ("count", {}, "invalid arguments: to"),
    ],
)
def test_what_goes_wrong_in_a_tool_is_a_result_that_the_model_can_read(
    revision: str, name: str, arguments: Any, words: str
) -> None:
    given = call(revision, name, arguments)
    assert given["isError"] is True and given["content"][0]["text"].startswith(words)
    assert "structuredContent" not in given


@ALL
@pytest.mark.parametrize(
    ("method", "params", "number"),
    [
        ("tools/call", {"name": "nothing"}, -32602),
        ("tools/call", {"name": 7}, -32602),
        ("tools/call", {"name": "add", "arguments": [1]}, -32602),
        ("tools/call", {}, -32602),
        ("prompts/get", {"name": "nothing"}, -32602),
        ("prompts/get", {"name": "greet"}, -32602),
        ("prompts/get", {"name": "greet", "arguments": {"name": 1}}, -32602),
        ("resources/read", {}, -32602),
        ("resources/read", {"uri": "test://bad"}, -32603),
        (
            "completion/complete",
            {"ref": {"type": "ref/other"}, "argument": {"name": "a", "value": ""}},
            -32602,
        ),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "no"}, "argument": {}}, -32602),
        ("completion/complete", {"ref": 1}, -32602),
        ("tools/list", {"cursor": "no cursor"}, -32602),
        ("tools/list", {"cursor": 7}, -32602),
        ("no/such/method", {}, -32601),
        ("server/discover", {}, -32601),
        ("initialize", {"protocolVersion": "2025-11-25"}, -32600),
        ("logging/setLevel", {"level": "loud"}, -32602),
        ("resources/subscribe", {}, -32602),
    ],
)
def test_what_a_request_can_do_wrong(revision: str, method: str, params: dict[str, Any], number: int) -> None:
    if revision == MODERN and method in ("initialize", "logging/setLevel", "resources/subscribe"):
        number = -32601  # the modern era has none of these
    if revision == MODERN and method == "server/discover":
        return
    assert error(revision, method, params)["code"] == number


def test_a_failure_inside_says_no_more_than_its_name() -> None:
    assert (
        error("2025-11-25", "resources/read", {"uri": "test://bad"})["message"]
        == "the server failed: ZeroDivisionError"
    )


@ALL
def test_a_resource_that_is_not_there_is_told_as_the_era_has_it(revision: str) -> None:
    told = error(revision, "resources/read", {"uri": "test://none"})
    assert told["code"] == (-32602 if revision == MODERN else -32002)
    assert told["data"] == {"uri": "test://none"}


@ALL
def test_resources_are_listed_and_read(revision: str) -> None:
    listed = result(revision, "resources/list")["resources"]
    assert listed[0] == {"uri": "test://text", "name": "text", "mimeType": "text/plain", "size": 9}
    assert listed[2]["description"] == "a json"
    templates = result(revision, "resources/templates/list")["resourceTemplates"]
    assert templates == [{"uriTemplate": "test://item/{id}/{+rest}", "name": "item", "mimeType": "text/x"}]
    read = {uri: result(revision, "resources/read", {"uri": uri})["contents"] for uri in (
        "test://text", "test://blob", "test://json", "test://many", "test://item/a%20b/c/d")}  # fmt: skip
    assert read["test://text"] == [{"uri": "test://text", "mimeType": "text/plain", "text": "some text"}]
    assert read["test://blob"][0]["blob"] == base64.b64encode(b"\x00\x01").decode()
    assert read["test://json"] == [
        {"uri": "test://json", "mimeType": "application/json", "text": '{"a":[1]}'}
    ]
    assert [one["uri"] for one in read["test://many"]] == ["test://m/1", "test://m/2"]
    assert read["test://item/a%20b/c/d"][0]["text"] == "a b:c/d"


@ALL
def test_prompts_are_listed_and_made(revision: str) -> None:
    prompt = result(revision, "prompts/list")["prompts"][0]
    assert prompt["description"] == "Greets somebody."
    assert prompt["arguments"] == [
        {"name": "name", "description": "whom", "required": True}, {"name": "mood", "required": False}
    ]  # fmt: skip
    made = result(revision, "prompts/get", {"name": "greet", "arguments": {"name": "Ann"}})
    assert made["description"] == "Greets somebody."
    assert made["messages"] == [
        {"role": "user", "content": {"type": "text", "text": "Hello Ann, I am glad"}},
        {"role": "assistant", "content": {"type": "text", "text": "Hello"}},
        {"role": "user", "content": {"type": "resource", "resource": {"uri": "test://e", "text": "inside"}}},
    ]


@ALL
def test_completion(revision: str) -> None:
    def complete(ref: dict[str, str], name: str, value: str, **more: Any) -> Any:
        params = {"ref": ref, "argument": {"name": name, "value": value}, **more}
        return result(revision, "completion/complete", params)["completion"]

    greet = {"type": "ref/prompt", "name": "greet"}
    item = {"type": "ref/resource", "uri": "test://item/{id}/{+rest}"}
    assert complete(greet, "name", "an") == {"values": ["Ann", "anton"], "total": 2, "hasMore": False}
    assert complete(greet, "mood", "") == {"values": [], "total": 0, "hasMore": False}
    many = complete(item, "id", "7", context={"arguments": {"rest": "!"}})
    assert many["values"][:2] == ["70!", "71!"] and len(many["values"]) == 100
    assert many["total"] == 150 and many["hasMore"] is True


@pytest.mark.parametrize("size", [3, 100])
@ALL
def test_lists_come_in_pages(revision: str, size: int) -> None:
    server = everything_server(page_size=size)
    names: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(20):
        page = ask_one(server, revision, "tools/list", cursor)["result"]
        assert 1 <= len(page["tools"]) <= size
        names += [one["name"] for one in page["tools"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert names == list(server.tools)


def test_a_cursor_stands_where_it_stood_when_offers_are_added() -> None:
    server = McpServer(resources=[Resource(f"test://{number}", "") for number in (1, 2, 3)], page_size=2)
    page = ask_one(server, MODERN, "resources/list")["result"]
    server.add(Resource("test://4", ""))
    rest = ask_one(server, MODERN, "resources/list", {"cursor": page["nextCursor"]})["result"]
    assert [one["uri"] for one in rest["resources"]] == ["test://3", "test://4"]
    server.remove(server.resources["test://2"])
    told = error(MODERN, "resources/list", {"cursor": page["nextCursor"]}, server=server)
    assert told["code"] == -32602 and "list anew" in told["message"]


@pytest.mark.parametrize("asked", [*REVISIONS, "1999-01-01"])
def test_initialize_settles_on_a_revision_of_its_era(asked: str) -> None:
    heard = over_stdio(SERVER, handshake(asked)[0])
    told = heard[0]["result"]
    assert told["protocolVersion"] == (asked if asked in REVISIONS[:-1] else "2025-11-25")
    assert told["serverInfo"] == {"name": "all", "version": SERVER.version}
    assert told["instructions"] == "Use it."
    assert told["capabilities"] == {
        "logging": {}, "completions": {}, "tools": {"listChanged": True}, "prompts": {"listChanged": True},
        "resources": {"listChanged": True, "subscribe": True},
    }  # fmt: skip


def test_discover_tells_what_initialize_does() -> None:
    told = result(MODERN, "server/discover")
    assert told["supportedVersions"] == [MODERN]
    assert told["_meta"] == {"io.modelcontextprotocol/serverInfo": {"name": "all", "version": SERVER.version}}
    assert told["capabilities"] == over_stdio(SERVER, handshake()[0])[0]["result"]["capabilities"]


def test_results_that_may_be_kept_say_so() -> None:
    server = everything_server(ttl=1.5, cache_scope="public")
    for method in (
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "server/discover",
    ):
        told = ask_one(server, MODERN, method)["result"]
        assert (told["ttlMs"], told["cacheScope"], told["resultType"]) == (1500, "public", "complete")
        if method != "server/discover":
            assert "ttlMs" not in ask_one(server, "2025-11-25", method)["result"]
    assert ask_one(server, MODERN, "resources/read", {"uri": "test://text"})["result"]["ttlMs"] == 1500


def test_what_is_not_offered_is_no_method() -> None:
    bare = McpServer([])
    for method in ("prompts/list", "resources/list", "completion/complete", "resources/subscribe"):
        assert error("2025-11-25", method, {}, server=bare)["code"] == -32601
    assert ask_one(bare, "2025-11-25", "tools/list")["result"] == {"tools": []}


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"io.modelcontextprotocol/protocolVersion": "v999"}, -32022),
        ({"io.modelcontextprotocol/protocolVersion": 7}, -32602),
        ({"io.modelcontextprotocol/clientCapabilities": None}, -32602),
        ({"io.modelcontextprotocol/clientCapabilities": []}, -32602),
    ],
)
def test_the_envelope_of_the_modern_era(changes: dict[str, Any], number: int) -> None:
    told = error(MODERN, "tools/list", {"_meta": changes})
    assert told["code"] == number
    if number == -32022:
        assert told["data"] == {"supported": [MODERN], "requested": "v999"}


def test_both_eras_on_one_connection() -> None:
    heard = over_stdio(
        SERVER,
        request(1, "server/discover", {}, MODERN),
        *handshake(),
        request(2, "tools/list"),
        request(3, "tools/list", {}, MODERN),
    )
    found = {message["id"]: message["result"] for message in heard}
    assert "resultType" not in found[2] and found[3]["resultType"] == "complete"
    assert found[2]["tools"] == found[3]["tools"]


def test_a_capability_that_a_tool_requires() -> None:
    told = error(MODERN, "tools/call", {"name": "samples", "arguments": {"text": "a"}, "_meta": {
        "io.modelcontextprotocol/clientCapabilities": {}}})  # fmt: skip
    assert (told["code"], told["data"]) == (-32021, {"requiredCapabilities": {"sampling": {}}})
    assert call(MODERN, "samples", {"text": "a"})["content"][0]["text"] == "A"
