"""Bedrock: what its constructor takes, and what goes to the vendor, judged by botocore's own model of it."""

from __future__ import annotations

import base64
import re
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel, Field
from pydantic_core import from_json

from tako.effects import HttpRequest, Send
from tako.errors import InvalidInput
from tako.fetching import UrlPolicy
from tako.models import (
    AudioPart,
    CacheControl,
    ChatRequest,
    ContentPart,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
    VideoPart,
)
from tako.providers import Bedrock
from tako.testing import strategies
from tests.support.vendor_types import library

USER = Message.user("hello")
REQUEST = ChatRequest(messages=(USER,))
PIXEL = "iVBORw0KGgo="
MARK, HOUR = CacheControl(), CacheControl(ttl="1h")
POINT = {"cachePoint": {"type": "default"}}
WEATHER = ToolSchema(name="weather", description="Look it up", input_schema={"type": "object"})
CALL = ToolCallPart(id="t1", name="f", args={"a": 1})
CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-6", "us.amazon.nova-2-lite-v1:0"


def bedrock(model: str = CLAUDE, **arguments: Any) -> Bedrock:
    return Bedrock(model, **{"region": "us-east-1", "api_key": "k", **arguments})


@cache
def request_shape() -> Any:
    session = library("botocore.session").Session()
    return session.get_service_model("bedrock-runtime").operation_model("Converse").input_shape


def check(body: dict[str, Any]) -> None:
    """Assert that AWS's own validator, its enumerations, lengths and patterns take the body."""
    shape = request_shape()
    report = library("botocore.validate").ParamValidator().validate({"modelId": "m", **body}, shape)
    assert not report.has_errors(), report.generate_report()
    check_value(body, shape)


def check_value(value: Any, shape: Any) -> None:
    rules = shape.metadata
    if shape.type_name == "structure" and not shape.is_document_type:
        assert value.keys() <= shape.members.keys()
        assert not getattr(shape, "is_tagged_union", False) or len(value) == 1
        for name, inner in value.items():
            check_value(inner, shape.members[name])
    elif shape.type_name == "list":
        for inner in value:
            check_value(inner, shape.member)
    elif shape.type_name == "string":
        assert not shape.enum or value in shape.enum
        assert "pattern" not in rules or re.fullmatch(rules["pattern"], value), (value, shape.name)
        assert rules.get("min", 0) <= len(value) <= rules.get("max", 10**9)
    elif shape.type_name == "blob":
        base64.b64decode(value, validate=True)


def sent(*messages: Message, model: str = CLAUDE, stream: bool = False, **fields: Any) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    body: dict[str, Any] = from_json(bedrock(model).http_request(request, stream=stream).body)
    check(body)
    return body


def blocks_of(message: Message) -> list[Any]:
    (encoded,) = sent(message)["messages"]
    blocks: list[Any] = encoded["content"]
    return blocks


def refused(match: str, *messages: Message, model: str = CLAUDE, **fields: Any) -> None:
    with pytest.raises(InvalidInput, match=match):
        sent(*messages, model=model, **fields)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc",
        ),
        ("../a b?c#d+é", "..%2Fa%20b%3Fc%23d%2B%C3%A9"),
    ],
)
def test_the_address_is_encoded_once_and_whole(model: str, path: str) -> None:
    host = "https://bedrock-runtime.us-east-1.amazonaws.com/model"
    assert bedrock(model).http_request(REQUEST, stream=False).url == f"{host}/{path}/converse"
    assert bedrock(model).http_request(REQUEST, stream=True).url == f"{host}/{path}/converse-stream"
    other = ChatRequest(messages=(USER,), model=model)
    assert bedrock("m").http_request(other, stream=False).url == f"{host}/{path}/converse"
    assert bedrock(model).id == f"bedrock:{model}"


def test_the_head_of_a_request() -> None:
    provider = bedrock(timeout_secs=7, headers={"X-Team": "a"}, endpoint_url="http://localhost:8787/aws/")
    request = provider.http_request(REQUEST, stream=True)
    assert request.url == "http://localhost:8787/aws/model/us.anthropic.claude-sonnet-4-6/converse-stream"
    assert (request.method, request.read_timeout) == ("POST", 7.0)
    assert dict(request.headers) == {
        "content-type": "application/json",
        "accept": "application/vnd.amazon.eventstream",
        "x-team": "a",
    }


def signed(provider: Bedrock) -> HttpRequest:
    flow = provider.chat_flow(REQUEST)
    effect: Any = next(flow)
    while type(effect) is not Send:
        effect = flow.send(1767268800.0)
    flow.close()
    return effect.request


def test_requests_are_signed_for_bedrock() -> None:
    headers = dict(signed(bedrock()).headers)
    assert headers["authorization"] == "Bearer k"
    keys: dict[str, Any] = {
        "api_key": None,
        "access_key_id": "AKIDEXAMPLE",
        "secret_access_key": "EXAMPLEKEY",
    }
    headers = dict(signed(bedrock(**keys)).headers)
    assert (
        "/us-east-1/bedrock/aws4_request, SignedHeaders=accept;content-type;host" in headers["authorization"]
    )
    mine = bedrock(headers={"Authorization": "Bearer gateway"})
    assert dict(signed(mine).headers)["authorization"] == "Bearer gateway"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": " "}, "model"),
        ({"region": "US"}, "region"),
        ({"endpoint_url": "localhost"}, "endpoint_url"),
        ({"endpoint_url": "https://h/?a=b"}, "endpoint_url"),
        ({"endpoint_url": ""}, "endpoint_url"),
        ({"timeout_secs": 0}, "timeout_secs"),
        ({"headers": [("a", "b\n")]}, "headers"),
        ({"tls": {}}, "tls"),
        ({"capabilities": 1}, "capabilities"),
        ({"profile_name": "p"}, "profile_name"),
        ({"url_prefetch": 7}, "url_prefetch"),
        ({"url_prefetch_max_bytes": 7}, "url_prefetch_max_bytes"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        bedrock(**wrong)


def test_the_smallest_request() -> None:
    assert sent() == {
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {},
    }
    assert sent(extra={"inferenceConfig": None})["inferenceConfig"] == {}


def test_neighbours_of_one_role_are_one_message() -> None:
    results = [Message.tool([ToolResultPart(id=f"t{n}", result="r")]) for n in (1, 2)]
    body = sent(
        Message.system("a"),
        USER,
        Message.assistant([TextPart(text="b"), CALL]),
        Message.assistant([ThinkingPart(text="another vendor's")]),
        *results,
        Message.system([TextPart(text="c", cache_control=HOUR), TextPart(text=" ")]),
        USER,
        tools=[WEATHER],
    )
    assert body["system"] == [{"text": "a"}, {"text": "c"}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    kinds = [[next(iter(block)) for block in message["content"]] for message in body["messages"]]
    assert kinds == [["text"], ["text", "toolUse"], ["toolResult", "toolResult", "text"]]


def test_blank_text_is_left_out() -> None:
    assert blocks_of(Message.user([TextPart(text=" \n"), TextPart(text="a", cache_control=MARK)])) == [
        {"text": "a"},
        POINT,
    ]
    refused("nothing to send", Message.system("a"), Message.user(" "))


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            ImagePart(mime="image/jpeg", data_b64=PIXEL),
            {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}},
        ),
        (
            ImageUrlPart(url=f"data:image/webp;base64,{PIXEL}"),
            {"image": {"format": "webp", "source": {"bytes": PIXEL}}},
        ),
        (
            AudioPart(mime="audio/mpeg", data_b64=PIXEL),
            {"audio": {"format": "mp3", "source": {"bytes": PIXEL}}},
        ),
        (
            VideoPart(mime="video/3gpp", url="s3://bucket/k.3gp"),
            {"video": {"format": "three_gp", "source": {"s3Location": {"uri": "s3://bucket/k.3gp"}}}},
        ),
        (
            DocumentPart(mime="text/plain", text="t", title="a_b", context="c", citations=True),
            {
                "document": {
                    "format": "txt",
                    "name": "a_b",
                    "source": {"text": "t"},
                    "context": "c",
                    "citations": {"enabled": True},
                }
            },
        ),
        (
            DocumentPart(url=f"data:application/pdf;base64,{PIXEL}"),
            {"document": {"format": "pdf", "name": "Document 1", "source": {"bytes": PIXEL}}},
        ),
        (
            OpaquePart(replay=Replay(vendor="bedrock", data={"guardContent": {"text": {"text": "q"}}})),
            {"guardContent": {"text": {"text": "q"}}},
        ),
    ],
)
def test_what_a_user_may_show(part: Any, block: dict[str, Any]) -> None:
    assert blocks_of(Message.user([part])) == [block]
    if part.type != "opaque" and block.get("document", {}).get("format") != "txt":
        marked = part.model_copy(update={"cache_control": MARK})
        assert blocks_of(Message.user([marked])) == [block, POINT]
    if part.type not in ("audio", "opaque"):
        result = ToolResultPart(id="t", content=(part,))
        (given_back,) = sent(Message.tool([result]))["messages"][0]["content"]
        assert given_back["toolResult"]["content"] == [block]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (ImagePart(mime="image/heic", data_b64=PIXEL), "image/png"),
        (ImageUrlPart(url="https://a.example/b.png"), "url_prefetch"),
        (DocumentPart(mime="application/zip", data_b64=PIXEL), "application/pdf"),
        (DocumentPart(url="https://a.example/b.pdf"), "url_prefetch"),
        (DocumentPart(file_id="f"), "s3://"),
        (AudioPart(mime="audio/midi", data_b64=PIXEL), "audio/aac"),
        (VideoPart(mime="video/mp4", url="gs://a/b"), "s3://"),
        (ThinkingPart(text="a"), "user message cannot hold"),
        (OpaquePart(replay=Replay(vendor="openai", data={})), "openai"),
    ],
)
def test_what_a_user_may_not_show(part: Any, named: str) -> None:
    refused(named, Message.user([part]))
    if type(part) in (ImagePart, VideoPart, OpaquePart):
        refused(named, Message.tool([ToolResultPart(id="t", content=(part,))]))


def test_media_are_fetched_where_that_is_allowed() -> None:
    linked = ChatRequest(messages=(Message.user([ImageUrlPart(url="https://b.example/b.png")]),))
    allowing = [
        bedrock(url_prefetch=True),
        bedrock(url_prefetch=UrlPolicy()),
        bedrock(url_prefetch=True, url_prefetch_allow_hosts=["b.example"], url_prefetch_timeout_secs=3),
    ]
    for provider in allowing:
        flow = provider.chat_flow(linked)
        assert type(next(flow)) is not Send  # it asks for the address of the image first
        flow.close()


def test_no_two_documents_have_one_name() -> None:
    def document(title: str | None) -> DocumentPart:
        return DocumentPart(data_b64=PIXEL, title=title)

    first = Message.user([document("My  Plan: a/b\n(1).pdf"), document(None), document("Document 1")])
    second = Message.tool([ToolResultPart(id="t", content=(document("My Plan- a-b (1)-pdf"), document("é")))])
    third = Message.user([document("x" * 300), document("x" * 300)])

    def names(*messages: Message) -> list[str]:
        blocks = [block for message in sent(*messages)["messages"] for block in message["content"]]
        inner = [
            block for found in blocks for block in found.get("toolResult", {"content": [found]})["content"]
        ]
        return [block["document"]["name"] for block in inner]

    found = names(first, second, third)
    assert found[:5] == [
        "My Plan- a-b (1)-pdf",
        "Document 1",
        "Document 1 (2)",
        "My Plan- a-b (1)-pdf (2)",
        "Document 2",
    ]
    assert len(set(found)) == 7
    assert all(len(name) <= 200 for name in found)
    assert names(first, second, third) == found
    # A kept encoding does not keep a name that another document has now.
    assert names(second, first)[0] == "My Plan- a-b (1)-pdf"


def test_calls_and_results() -> None:
    long = "call:|" + "x" * 90
    calls = Message.assistant(
        [
            CALL,
            ToolCallPart(id=long, name="a.b", args="no json"),
            ToolCallPart(id=long + "y", name="c", args={}),
        ]
    )
    results = Message.tool(
        [
            ToolResultPart(id="t1", result={"a": 1}),
            ToolResultPart(id=long, result=[1, "é"], is_error=True, cache_control=HOUR),
            ToolResultPart(id=long + "y", result=""),
        ]
    )
    body = sent(USER, calls, results, tools=[WEATHER])
    uses = [block["toolUse"] for block in body["messages"][1]["content"]]
    assert uses[0] == {"toolUseId": "t1", "name": "f", "input": {"a": 1}}
    assert (uses[1]["name"], uses[1]["input"]) == ("a_b", {"INVALID_JSON": "no json"})
    blocks = body["messages"][2]["content"]
    answers = [block["toolResult"] for block in blocks if "toolResult" in block]
    assert [answer["toolUseId"] for answer in answers] == [use["toolUseId"] for use in uses]
    assert len({use["toolUseId"] for use in uses}) == 3
    assert answers[0] == {"toolUseId": "t1", "content": [{"json": {"a": 1}}]}
    assert (answers[1]["content"], answers[1]["status"]) == ([{"text": '[1,"é"]'}], "error")
    assert blocks[2] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert answers[2]["content"] == []


def test_no_mark_stands_right_after_a_document_that_aws_makes_text_of() -> None:
    plain = DocumentPart(text="t", mime="text/plain", cache_control=MARK)
    with pytest.raises(InvalidInput, match="text after it"):
        blocks_of(Message.user([plain]))
    unmarked = plain.model_copy(update={"cache_control": None})
    blocks = blocks_of(Message.user([unmarked, TextPart(text="a", cache_control=MARK)]))
    assert [*map(list, blocks)] == [["document"], ["text"], ["cachePoint"]]
    result = ToolResultPart(id="t", content=(plain,))
    assert blocks_of(Message.tool([result]))[1:] == [POINT]


def test_a_mark_inside_a_result_stands_after_it() -> None:
    parts = (TextPart(text="a", cache_control=MARK), TextPart(text=" "))
    assert blocks_of(Message.tool([ToolResultPart(id="t", content=parts)])) == [
        {"toolResult": {"toolUseId": "t", "content": [{"text": "a"}]}},
        POINT,
    ]


def test_what_the_vendor_wants_back_goes_back() -> None:
    signature = Replay(vendor="bedrock", data={"signature": "s"})
    cited = {"citationsContent": {"content": [{"text": "x"}], "citations": [{"title": "t"}]}}
    redacted = {"reasoningContent": {"redactedContent": "YWI="}}
    message = Message.assistant(
        [
            ThinkingPart(text="hm", replay=signature),
            ThinkingPart(text="unsigned"),
            ThinkingPart(text="foreign", replay=Replay(vendor="anthropic", data={"signature": "s"})),
            OpaquePart(replay=Replay(vendor="bedrock", data=redacted)),
            OpaquePart(replay=Replay(vendor="openai", data={"a": 1})),
            TextPart(text="x", replay=Replay(vendor="bedrock", data=cited)),
            TextPart(text="y", replay=Replay(vendor="openai", data={})),
            ImagePart(mime="image/png", data_b64=PIXEL),
        ]
    )
    assert sent(USER, message)["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        redacted,
        cited,
        {"text": "y"},
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
    ]


def test_parts_in_the_wrong_message() -> None:
    refused("assistant message cannot hold", Message.assistant([DocumentPart(file_id="f")]))
    refused("tool message cannot hold", Message(role="tool", content=[TextPart(text="a")]))
    refused("system message cannot hold", Message.system([ImagePart(mime="image/png", data_b64=PIXEL)]))
    refused(
        "result of a tool cannot hold",
        Message.tool([ToolResultPart(id="t", content=(AudioPart(mime="audio/wav", data_b64=PIXEL),))]),
    )


def test_tools_and_the_choice_among_them() -> None:
    marked = ToolSchema(name="f", description=" ", input_schema={}, strict=True, cache_control=MARK)
    config = sent(tools=[WEATHER, marked], extra={"tools": [{"systemTool": {"name": "nova_grounding"}}]})
    assert config["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "weather",
                    "description": "Look it up",
                    "inputSchema": {"json": {"type": "object"}},
                }
            },
            {"toolSpec": {"name": "f", "inputSchema": {"json": {}}, "strict": True}},
            POINT,
            {"systemTool": {"name": "nova_grounding"}},
        ]
    }
    choices = {"auto": {"auto": {}}, "required": {"any": {}}, "weather": {"tool": {"name": "weather"}}}
    for choice, wanted in choices.items():
        assert sent(tools=[WEATHER], tool_choice=choice)["toolConfig"]["toolChoice"] == wanted
    assert "toolConfig" not in sent(tools=[WEATHER], tool_choice="none")
    refused("'none'", USER, Message.assistant([CALL]), tools=[WEATHER], tool_choice="none")
    refused("name of a tool", tools=[WEATHER], tool_choice="other")
    refused("no tools", tool_choice="required")


def test_limits_metadata_and_the_vendors_own_fields() -> None:
    body = sent(
        max_tokens=9,
        temperature=0.0,
        top_p=0.5,
        stop=["a", "b"],
        n=1,
        parallel_tool_calls=True,
        metadata={"team": "a"},
        extra={
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
            "performanceConfig": {"latency": "optimized"},
            "additionalModelResponseFieldPaths": ["/stop_sequence"],
            "inferenceConfig": {"maxTokens": 10},
        },
    )
    assert body["inferenceConfig"] == {
        "maxTokens": 10,
        "temperature": 0.0,
        "topP": 0.5,
        "stopSequences": ["a", "b"],
    }
    assert body["requestMetadata"] == {"team": "a"}
    assert body["guardrailConfig"]["guardrailIdentifier"] == "g"
    assert body["performanceConfig"] == {"latency": "optimized"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"n": 2}, "n:"),
        ({"presence_penalty": 0.1}, "presence_penalty"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"top_logprobs": 0}, "top_logprobs"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"extra": {"messages": []}}, "messages"),
        ({"extra": {"system": []}}, "system"),
        ({"extra": {"modelId": "m"}}, "modelId"),
        ({"extra": {"toolConfig": {}}}, "toolConfig"),
        ({"extra": {"tools": {}}}, "tools"),
    ],
)
def test_what_bedrock_cannot_be_asked(fields: dict[str, Any], named: str) -> None:
    refused(named, **fields)


@pytest.mark.parametrize(
    ("model", "fields", "additional"),
    [
        (CLAUDE, {"top_k": 5}, {"top_k": 5}),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2", {"top_k": 5}, {"top_k": 5}),
        (NOVA, {"top_k": 5}, {"inferenceConfig": {"topK": 5}}),
        (CLAUDE, {"thinking": Thinking()}, {"thinking": {"type": "adaptive"}}),
        (CLAUDE, {"thinking": Thinking(enabled=False)}, {"thinking": {"type": "disabled"}}),
        (
            CLAUDE,
            {"thinking": Thinking(budget_tokens=1024, summary="none")},
            {"thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}},
        ),
        (
            CLAUDE,
            {"thinking": Thinking(effort="high", summary="auto")},
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
        ),
        (
            NOVA,
            {"thinking": Thinking(effort="low")},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
        ),
        (NOVA, {"thinking": Thinking(enabled=False)}, {"reasoningConfig": {"type": "disabled"}}),
        ("openai.gpt-oss-120b-1:0", {"thinking": Thinking(effort="low")}, {"reasoning_effort": "low"}),
        ("qwen.qwen3-32b-v1:0", {"thinking": Thinking(effort="high")}, {"reasoning_config": "high"}),
    ],
)
def test_what_families_of_models_can_be_asked(
    model: str, fields: dict[str, Any], additional: dict[str, Any]
) -> None:
    assert sent(model=model, **fields)["additionalModelRequestFields"] == additional
    own = {"additionalModelRequestFields": {"x": 1}}
    assert sent(model=model, **fields, extra=own)["additionalModelRequestFields"] == {**additional, "x": 1}


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("us.meta.llama4-v1:0", {"top_k": 5}),
        ("us.meta.llama4-v1:0", {"thinking": Thinking()}),
        ("us.amazon.nova-pro-v1:0", {"thinking": Thinking(effort="low")}),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/anthropicclaude", {"top_k": 5}),
        (CLAUDE, {"thinking": Thinking(summary="concise")}),
        (NOVA, {"thinking": Thinking(budget_tokens=9)}),
        ("openai.gpt-oss-120b-1:0", {"thinking": Thinking(enabled=False)}),
        ("openai.gpt-oss-120b-1:0", {"thinking": Thinking(summary="auto")}),
    ],
)
def test_what_families_of_models_cannot_be_asked(model: str, fields: dict[str, Any]) -> None:
    refused("top_k" if "top_k" in fields else "thinking", model=model, **fields)


def test_thinking_may_be_left_to_the_model() -> None:
    assert "additionalModelRequestFields" not in sent(model="openai.gpt-oss-20b-1:0", thinking=Thinking())


class Place(BaseModel):
    """Where."""

    city: str
    near: list[Place] = Field(default=[], max_length=2)


def test_an_output_schema_is_closed_and_named() -> None:
    schema = Place.model_json_schema()
    format = sent(output_schema={**schema, "title": "A place!"})["outputConfig"]["textFormat"]
    assert format["type"] == "json_schema"
    structure = format["structure"]["jsonSchema"]
    assert structure["name"] == "A_place"
    closed = from_json(structure["schema"])
    assert closed["$defs"]["Place"]["additionalProperties"] is False
    assert sent(output_schema={"type": "object"})["outputConfig"]["textFormat"]["structure"][
        "jsonSchema"
    ] == {
        "name": "answer",
        "schema": '{"type":"object","additionalProperties":false}',
    }
    nested = {
        "anyOf": [{"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}}]
    }
    text = sent(output_schema=nested)["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]
    assert from_json(text)["anyOf"][0]["items"] == {
        "type": "object",
        "additionalProperties": False,
        "description": '{additionalProperties: {"type":"string"}}',
    }
    # AWS refuses a keyword outside of its subset, so the model is told instead.
    assert closed["$defs"]["Place"]["properties"]["near"]["description"] == "{default: [], maxItems: 2}"


@given(
    strategies.conversations(
        media=("image", "document", "document_text", "audio", "video"),
        result_media=("image", "document", "video"),
        replay=Replay(vendor="bedrock", data={"signature": "c2ln"}),
    )
)
def test_any_conversation_is_a_valid_request(messages: list[Message]) -> None:
    body = sent(*messages, tools=[WEATHER])
    roles = [message["role"] for message in body["messages"]]
    assert all(one != other for one, other in pairwise(roles))
    calls = [block["toolUse"]["toolUseId"] for block in every_block(body) if "toolUse" in block]
    results = [block["toolResult"]["toolUseId"] for block in every_block(body) if "toolResult" in block]
    assert sorted(calls) == sorted(results)


def every_block(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [block for message in body["messages"] for block in message["content"]]


def test_a_conversation_is_encoded_once() -> None:
    messages = (USER, Message.assistant([CALL]), Message.tool([ToolResultPart(id="t1", result={"a": 1})]))
    request = ChatRequest(messages=messages)
    first = bedrock().http_request(request, stream=False).body
    kept = [message.encoded("bedrock.converse", lambda message: b"made again") for message in messages]
    assert b"made again" not in kept
    assert bedrock().http_request(request, stream=False).body == first
    assert ContentPart.text("a") == TextPart(text="a")
