"""Gemini and Vertex: what their constructors take, and what goes to the vendor."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from pydantic_core import from_json

from tako.effects import Call, HttpHead, HttpRequest, Send
from tako.errors import InvalidInput, ProviderError, RateLimited
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
from tako.providers import Gemini, Vertex
from tako.providers.gemini.encode import CODEC
from tako.providers.gemini.parts import MADE_ID
from tako.providers.gemini.schema import taken_schema
from tako.testing import strategies
from tests.support.answers import play
from tests.support.vendor_types import library

USER = Message.user("hello")
PIXEL = "iVBORw0KGgo="
GEMINI, VERTEX = Gemini("m", "k"), Vertex("p", "m", "t")
TOOL = ToolSchema(name="weather", description="Look it up", input_schema={"type": "object"})
SIGNED = Replay(vendor="gemini", data={"thoughtSignature": "c2ln"})
THEIRS = Replay(vendor="anthropic", data={"signature": "c2ln"})


def sent(*messages: Message, provider: Gemini | Vertex = GEMINI, **fields: Any) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    body: dict[str, Any] = from_json(provider.http_request(request, stream=False).body)
    return body


def parts_of(*messages: Message) -> list[Any]:
    (content,) = sent(*messages)["contents"]
    parts: list[Any] = content["parts"]
    return parts


def http(provider: Gemini | Vertex, *, stream: bool = False, model: str = "") -> HttpRequest:
    return provider.http_request(ChatRequest(messages=(USER,), model=model), stream=stream)


# Constructors and addresses.

BASE = "https://generativelanguage.googleapis.com/v1beta"


@pytest.mark.parametrize(
    ("provider", "url"),
    [
        (GEMINI, f"{BASE}/models/m:generateContent"),
        (Gemini("models/m", "k"), f"{BASE}/models/m:generateContent"),
        (Gemini("tunedModels/m", "k"), f"{BASE}/tunedModels/m:generateContent"),
        (Gemini("a b?", "k"), f"{BASE}/models/a%20b%3F:generateContent"),
        (Gemini("m", "k", api_version="v1"), f"{BASE[:-4]}:generateContent".replace(":gen", "/models/m:gen")),
        (Gemini("m", "k", base_url="https://h/x/v9"), "https://h/x/v9/models/m:generateContent"),
        (Gemini("m", "k", base_url="http://h:8"), "http://h:8/v1beta/models/m:generateContent"),
    ],
)
def test_the_address_of_a_gemini_model(provider: Gemini, url: str) -> None:
    assert http(provider).url == url
    stream = url.replace(":generateContent", ":streamGenerateContent?alt=sse")
    assert http(provider, stream=True).url == stream


IN_PLACE = "/v1/projects/p/locations/us-central1"
CENTRAL = f"https://us-central1-aiplatform.googleapis.com{IN_PLACE}"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("m", "/publishers/google/models/m"),
        ("models/m", "/publishers/google/models/m"),
        ("meta/llama@1", "/publishers/meta/models/llama@1"),
        ("publishers/meta/models/llama", "/publishers/meta/models/llama"),
        ("endpoints/123", "/endpoints/123"),
    ],
)
def test_the_address_of_a_vertex_model(model: str, path: str) -> None:
    assert http(Vertex("p", model, "t")).url == f"{CENTRAL}{path}:generateContent"
    assert http(VERTEX, model=model).url == f"{CENTRAL}{path}:generateContent"


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"location": "global"}, "https://aiplatform.googleapis.com/v1/projects/p/locations/global/"),
        ({"location": "eu"}, "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/"),
        ({"api_version": "v1beta1"}, CENTRAL.replace("/v1/", "/v1beta1/") + "/"),
        ({"endpoint_url": "https://own.example"}, f"https://own.example{IN_PLACE}/"),
        ({"endpoint_url": "https://own.example/v1beta1/"}, "https://own.example/v1beta1/projects/p/"),
    ],
)
def test_where_a_vertex_model_is_asked(options: dict[str, Any], start: str) -> None:
    assert http(Vertex("p", "m", "t", **options)).url.startswith(start)
    whole = "https://h.example/v1/projects/a/locations/b/endpoints/1:generateContent"
    own = Vertex("p", "projects/a/locations/b/endpoints/1", "t", endpoint_url="https://h.example")
    assert http(own).url == whole


def test_an_api_key_of_google_cloud_needs_no_project() -> None:
    request = http(Vertex("", "m", api_key="k"))
    assert request.url == "https://aiplatform.googleapis.com/v1/publishers/google/models/m:generateContent"
    assert ("x-goog-api-key", "k") in request.headers
    assert "authorization" not in dict(request.headers)
    with_project = http(Vertex("p", "m", api_key="k"))
    assert with_project.url.startswith(CENTRAL)


def test_ids_headers_and_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (GEMINI.id, VERTEX.id) == ("gemini:m", "vertex:m")
    assert dict(http(GEMINI).headers)["x-goog-api-key"] == "k"
    assert dict(http(VERTEX).headers)["authorization"] == "Bearer t"
    assert (
        dict(http(Gemini("m", "k", headers={"x-goog-api-key": "mine"})).headers)["x-goog-api-key"] == "mine"
    )
    assert dict(http(GEMINI, stream=True).headers)["accept"] == "text/event-stream"
    kinds: list[tuple[tuple[str, str], Callable[[], Gemini | Vertex], str]] = [
        (("GOOGLE_API_KEY", "GEMINI_API_KEY"), lambda: Gemini("m"), "x-goog-api-key"),
        (
            ("CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN"),
            lambda: Vertex("p", "m"),
            "authorization",
        ),
    ]
    for variables, make, header in kinds:
        for name in variables:
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(InvalidInput, match=variables[1]):
            make()
        for name in variables:  # the later one in the list wins
            monkeypatch.setenv(name, f"of {name}")
            assert dict(http(make()).headers)[header].endswith(f"of {name}")


def test_a_token_that_is_a_function_is_asked_before_each_request() -> None:
    tokens = iter(("one", "two"))
    provider = Vertex("p", "m", lambda: next(tokens))
    for token in ("one", "two"):
        flow = provider.chat_flow(ChatRequest(messages=(USER,)))
        asked = next(flow)
        assert isinstance(asked, Call)
        send = flow.send(asked.function())
        assert isinstance(send, Send)
        assert dict(send.request.headers)["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Gemini("", "k"), "model"),
        (lambda: Gemini("m", "k", base_url="h"), "base_url"),
        (lambda: Gemini("m", "k", api_version="v1/x"), "api_version"),
        (lambda: Gemini("m", "k", timeout_secs=0), "timeout_secs"),
        (lambda: Gemini("m", "k", url_prefetch_max_bytes=3), "url_prefetch_max_bytes"),
        (lambda: Vertex("", "m", "t"), "project_id"),
        (lambda: Vertex("p/q", "m", "t"), "project_id"),
        (lambda: Vertex("p", "m", "t", location="a/b"), "location"),
        (lambda: Vertex("p", "m", "t", location=""), "location"),
        (lambda: Vertex("p", "m", "t", api_key="k"), "api_key"),
        (lambda: Vertex("p", "m", "t\n"), "access token"),
        (lambda: Vertex("p", "m", "t", endpoint_url="https://h?x"), "endpoint_url"),
    ],
)
def test_a_wrong_argument_is_named(make: Any, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        make()


def test_a_refusal_has_the_word_for_its_status_and_the_hint() -> None:
    body = (
        b'[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":'
        b'[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}]'
    )
    flow = GEMINI.chat_flow(ChatRequest(messages=(USER,)))
    with pytest.raises(RateLimited, match="slow down") as caught:
        play(flow, [body], 429)
    assert (caught.value.code, caught.value.status) == ("RESOURCE_EXHAUSTED", 429)
    assert caught.value.retry_after == 1.5
    head = HttpHead(400, (), 1)
    assert GEMINI.explain({"error": {"code": 400, "message": "no"}}, head) == ("no", "400")
    assert GEMINI.explain(None, head) == (None, None)
    with pytest.raises(ProviderError, match="HTTP 502"):
        play(GEMINI.chat_flow(ChatRequest(messages=(USER,))), [b"<html>"], 502)


# Messages.


def test_roles_and_system_messages() -> None:
    body = sent(
        Message.system("one"),
        Message.user("hi"),
        Message.system("two"),
        Message.assistant("ho"),
        Message.user(""),
        Message.user("hu"),
    )
    assert body["systemInstruction"] == {"parts": [{"text": "one"}, {"text": "two"}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"text": "ho"}]},
        {"role": "user", "parts": [{"text": "hu"}]},
    ]
    assert body.keys() == {"systemInstruction", "contents"}
    with pytest.raises(InvalidInput, match="nothing to send"):
        sent(Message.system("one"))


@pytest.mark.parametrize(
    ("part", "parts"),
    [
        (
            ImagePart(mime="image/png", data_b64=PIXEL),
            [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}],
        ),
        (
            ImagePart(mime="image/png", data_b64=PIXEL, detail="low"),
            [
                {
                    "inlineData": {"mimeType": "image/png", "data": PIXEL},
                    "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"},
                }
            ],
        ),
        (
            ImageUrlPart(url=f"data:image/gif;base64,{PIXEL}", detail="auto"),
            [{"inlineData": {"mimeType": "image/gif", "data": PIXEL}}],
        ),
        (
            ImageUrlPart(url="https://h/a.JPG?x=1#y"),
            [{"fileData": {"mimeType": "image/jpeg", "fileUri": "https://h/a.JPG?x=1#y"}}],
        ),
        (
            ImageUrlPart(url="https://h/a", mime="image/webp"),
            [{"fileData": {"mimeType": "image/webp", "fileUri": "https://h/a"}}],
        ),
        (
            DocumentPart(url="gs://b/a.pdf", cache_control=CacheControl()),
            [{"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/a.pdf"}}],
        ),
        (
            DocumentPart(text="é", mime="text/plain", title="T", context="C", citations=False),
            [
                {"text": "T\nC"},
                {"inlineData": {"mimeType": "text/plain", "data": base64.b64encode("é".encode()).decode()}},
            ],
        ),
        (
            AudioPart(mime="audio/wav", data_b64=PIXEL),
            [{"inlineData": {"mimeType": "audio/wav", "data": PIXEL}}],
        ),
        (
            VideoPart(mime="video/mp4", file_id="files/abc"),
            [{"fileData": {"mimeType": "video/mp4", "fileUri": f"{BASE}/files/abc"}}],
        ),
        (
            VideoPart(mime="video/mp4", file_id="https://h/files/abc"),
            [{"fileData": {"mimeType": "video/mp4", "fileUri": "https://h/files/abc"}}],
        ),
        (
            OpaquePart(
                replay=Replay(vendor="gemini", data={"fileData": {"fileUri": "u"}, "videoMetadata": {}})
            ),
            [{"fileData": {"fileUri": "u"}, "videoMetadata": {}}],
        ),
    ],
)
def test_what_a_user_can_show(part: Any, parts: list[Any]) -> None:
    assert parts_of(Message.user([part])) == parts


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Message.user([ImageUrlPart(url="https://h/a")]), "give mime="),
        (Message.user([ImageUrlPart(url="data:image/png,x")]), "base64"),
        (Message.user([DocumentPart(data_b64=PIXEL, citations=True)]), "cite"),
        (Message.user([OpaquePart(replay=THEIRS)]), "anthropic"),
        (Message.user([ThinkingPart(text="x")]), "user message cannot hold"),
        (Message.system([ImagePart(mime="image/png", data_b64=PIXEL)]), "system message cannot hold"),
        (Message.assistant([DocumentPart(data_b64=PIXEL)]), "assistant message cannot hold"),
        (Message(role="tool", content=(TextPart(text="x"),)), "tool message cannot hold"),
        (Message.tool([ContentPart.tool_result("id", 1)]), "has no name"),
    ],
)
def test_what_has_no_place_is_refused(message: Message, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        sent(USER, message)


def test_what_the_vendor_wants_back_goes_back_on_the_same_part() -> None:
    audio = Replay(vendor="gemini", data={"inlineData": {"mimeType": "audio/L16;rate=24000"}})
    signature = {"thoughtSignature": "c2ln"}
    assert parts_of(
        Message.assistant(
            [
                ThinkingPart(text="hm", replay=SIGNED),
                ThinkingPart(text="seen", replay=Replay(vendor="gemini", data={})),
                ThinkingPart(text="not sent"),
                ThinkingPart(text="not sent", replay=THEIRS),
                TextPart(text="a", replay=SIGNED),
                TextPart(text="", replay=SIGNED),
                TextPart(text=""),
                TextPart(text="b", replay=THEIRS),
                ToolCallPart(id="1", name="f", args={"a": 1}, replay=SIGNED),
                OpaquePart(replay=Replay(vendor="gemini", data={"executableCode": {"code": "1"}})),
                OpaquePart(replay=THEIRS),
                ImagePart(mime="image/png", data_b64=PIXEL),
                OpaquePart(replay=SIGNED),
                AudioPart(mime="audio/l16", data_b64=PIXEL, replay=audio),
            ]
        )
    ) == [
        {"text": "hm", "thought": True, **signature},
        {"text": "seen", "thought": True},
        {"text": "a", **signature},
        {"text": "", **signature},
        {"text": "b"},
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, **signature},
        {"executableCode": {"code": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}, **signature},
        {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": PIXEL}},
    ]


def test_calls_and_their_results() -> None:
    calls = Message.assistant(
        [
            ToolCallPart(id="1", name="f", args={"a": 1}),
            ToolCallPart(id=f"{MADE_ID}x_1", name="g", args="broken"),
            ToolCallPart(
                id="3", name="h", replay=Replay(vendor="gemini", data={"functionCall": {"server": "s"}})
            ),
        ]
    )
    first = Message.tool(
        [ContentPart.tool_result("1", {"b": 2}), ContentPart.tool_result(f"{MADE_ID}x_1", [1])]
    )
    second = Message.tool([ToolResultPart(id="3", name="other", result="no", is_error=True)])
    _, model, results, after = sent(USER, calls, first, second, USER)["contents"]
    assert model["parts"] == [
        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}},
        {"functionCall": {"name": "g", "args": {"INVALID_JSON": "broken"}}},
        {"functionCall": {"id": "3", "name": "h", "args": {}, "server": "s"}},
    ]
    assert results == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "1", "name": "f", "response": {"b": 2}}},
            {"functionResponse": {"name": "g", "response": {"output": [1]}}},
            {"functionResponse": {"id": "3", "name": "other", "response": {"error": "no"}}},
        ],
    }
    assert after == {"role": "user", "parts": [{"text": "hello"}]}


def test_a_result_may_hold_media() -> None:
    result = ContentPart.tool_result(
        "1",
        {"for": "programs"},
        name="f",
        content=[TextPart(text="see"), ImagePart(mime="image/png", data_b64=PIXEL), TextPart(text="it")],
    )
    assert parts_of(Message.tool([result])) == [
        {
            "functionResponse": {
                "id": "1",
                "name": "f",
                "response": {"output": "see\nit"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}],
            }
        }
    ]


def test_a_result_says_in_words_what_its_media_cannot_say() -> None:
    document = DocumentPart(mime="application/pdf", data_b64="QQ==", title="The plan", context="A draft.")
    result = ContentPart.tool_result("1", None, name="f", content=[TextPart(text="see"), document])
    (part,) = parts_of(Message.tool([result]))
    assert part["functionResponse"]["response"] == {"output": "see\nThe plan\nA draft."}
    assert part["functionResponse"]["parts"] == [
        {"inlineData": {"mimeType": "application/pdf", "data": "QQ=="}}
    ]


@pytest.mark.parametrize(
    ("model", "wants"),
    [
        ("gemini-3-pro-preview", True),
        ("models/gemini-3.5-flash", True),
        ("gemini-10-pro", True),
        ("gemini-flash-latest", True),
        ("gemini-2.5-pro", False),
        ("gemini-1.5-flash", False),
        ("tunedModels/mine", False),
    ],
)
def test_a_call_without_a_signature_goes_to_a_model_that_refuses_such_calls(model: str, wants: bool) -> None:
    foreign = ToolCallPart(id="1", name="f", args={}, replay=THEIRS)
    calls = Message.assistant([TextPart(text="a"), foreign, foreign])
    own = Message.assistant([ToolCallPart(id="2", name="f", args={}, replay=SIGNED), foreign])
    for _ in range(2):  # a message is kept in both ways
        _, first, second = sent(USER, calls, own, model=model)["contents"]
        mark = {"thoughtSignature": "skip_thought_signature_validator"} if wants else {}
        call = {"functionCall": {"id": "1", "name": "f", "args": {}}}
        assert first["parts"] == [{"text": "a"}, {**call, **mark}, call]
        assert [part.get("thoughtSignature") for part in second["parts"]] == ["c2ln", None]
        _, first, _ = sent(USER, calls, own)["contents"]
        assert first["parts"] == [{"text": "a"}, call, call]


def test_a_message_is_encoded_once_and_a_result_again_for_another_name() -> None:
    message = Message.user("hi")
    sent(message)
    assert message.encoded(CODEC, lambda _: b"again") == b'{"text":"hi"}'
    result = Message.tool([ContentPart.tool_result("1", "x")])
    for name in ("f", "g"):
        call = Message.assistant([ToolCallPart(id="1", name=name)])
        for _ in range(2):
            (response,) = sent(USER, call, result)["contents"][2]["parts"]
            assert response["functionResponse"]["name"] == name


# Fields.


def test_each_field_has_its_place() -> None:
    body = sent(
        temperature=0.5,
        top_p=0.25,
        top_k=3,
        max_tokens=7,
        stop=("x", "y"),
        seed=0,
        n=2,
        presence_penalty=0.125,
        frequency_penalty=-0.5,
        top_logprobs=4,
        output_schema={"const": 1},
        thinking=Thinking(effort="low", summary="none"),
    )
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.25,
        "topK": 3,
        "maxOutputTokens": 7,
        "stopSequences": ["x", "y"],
        "seed": 0,
        "candidateCount": 2,
        "presencePenalty": 0.125,
        "frequencyPenalty": -0.5,
        "responseLogprobs": True,
        "logprobs": 4,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"enum": [1]},
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": False},
    }
    assert sent(top_logprobs=0)["generationConfig"] == {"responseLogprobs": True}


@pytest.mark.parametrize(
    ("thinking", "config"),
    [
        (Thinking(enabled=False), {"thinkingBudget": 0}),
        (Thinking(), {"thinkingBudget": -1}),
        (Thinking(summary="auto"), {"includeThoughts": True}),
        (Thinking(effort="high"), {"thinkingLevel": "HIGH"}),
    ],
)
def test_thinking(thinking: Thinking, config: dict[str, Any]) -> None:
    assert sent(thinking=thinking)["generationConfig"]["thinkingConfig"] == config


@pytest.mark.parametrize(
    ("fields", "calling"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"mode": "AUTO"}),
        ({"tool_choice": "required"}, {"mode": "ANY"}),
        ({"tool_choice": "none"}, {"mode": "NONE"}),
        ({"tool_choice": "weather"}, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
        ({"tools": (TOOL, TOOL.model_copy(update={"strict": True}))}, {"mode": "VALIDATED"}),
        ({"parallel_tool_calls": True}, None),
    ],
)
def test_how_tools_are_chosen(fields: dict[str, Any], calling: Any) -> None:
    body = sent(**{"tools": (TOOL,), **fields})
    assert body.get("toolConfig", {}).get("functionCallingConfig") == calling


def test_tools_of_ours_and_the_vendors() -> None:
    body = sent(tools=(TOOL,), extra={"tools": [{"googleSearch": {}}]})
    declared = {"name": "weather", "description": "Look it up", "parametersJsonSchema": {"type": "object"}}
    assert body["tools"] == [{"functionDeclarations": [declared]}, {"googleSearch": {}}]
    assert sent(extra={"tools": [{"codeExecution": {}}]})["tools"] == [{"codeExecution": {}}]
    assert "toolConfig" not in sent(tool_choice="auto")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"thinking": Thinking(effort="low", budget_tokens=9)}, "not both"),
        ({"tool_choice": "other", "tools": (TOOL,)}, "tool_choice"),
        ({"extra": {"contents": []}}, "contents"),
        ({"extra": {"tools": {}}}, "tools"),
        ({"output_schema": {"anyOf": 3}}, "output_schema"),
        ({"tools": (TOOL.model_copy(update={"input_schema": {"properties": []}}),)}, "weather"),
    ],
)
def test_what_cannot_be_asked_is_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        sent(**fields)


def test_metadata_are_labels_on_vertex() -> None:
    assert sent(provider=VERTEX, metadata={"team": "x"})["labels"] == {"team": "x"}


def test_extra_is_merged_at_every_depth() -> None:
    body = sent(
        temperature=0.5,
        max_tokens=7,
        thinking=Thinking(budget_tokens=9, summary="auto"),
        extra={
            "safetySettings": [{"category": "c", "threshold": "t"}],
            "cachedContent": "cachedContents/1",
            "generationConfig": {
                "maxOutputTokens": None,
                "responseModalities": ["TEXT"],
                "thinkingConfig": {"thinkingBudget": 1, "new": None},
            },
            "toolConfig": {"retrievalConfig": {"languageCode": "en"}},
        },
    )
    del body["contents"]
    assert body == {
        "safetySettings": [{"category": "c", "threshold": "t"}],
        "cachedContent": "cachedContents/1",
        "generationConfig": {
            "temperature": 0.5,
            "responseModalities": ["TEXT"],
            "thinkingConfig": {"thinkingBudget": 1, "includeThoughts": True, "new": None},
        },
        "toolConfig": {"retrievalConfig": {"languageCode": "en"}},
    }


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        ({"const": None}, {"enum": [None]}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"], "nullable": True}, {"type": ["string", "null"]}),
        (
            {"enum": ["a"], "type": "string", "nullable": True},
            {"enum": ["a", None], "type": ["string", "null"]},
        ),
        ({"$ref": "#/$defs/A", "nullable": True}, {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}),
        ({"type": "string", "nullable": False}, {"type": "string"}),
        (
            {"$defs": {"A": {"const": 1}}, "anyOf": [{"const": 2}], "items": {"const": 3}},
            {"$defs": {"A": {"enum": [1]}}, "anyOf": [{"enum": [2]}], "items": {"enum": [3]}},
        ),
        (
            {
                "properties": {"const": {"const": 1}},
                "additionalProperties": {"const": 2},
                "required": ["const"],
            },
            {
                "properties": {"const": {"enum": [1]}},
                "additionalProperties": {"enum": [2]},
                "required": ["const"],
            },
        ),
        ({"additionalProperties": False, "title": "t"}, {"additionalProperties": False, "title": "t"}),
    ],
)
def test_schemas(schema: dict[str, Any], taken: dict[str, Any]) -> None:
    before = repr(schema)
    assert taken_schema(schema, "it") == taken
    assert repr(schema) == before


def test_a_schema_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    schema["items"] = schema
    with pytest.raises(InvalidInput, match="deep"):
        taken_schema(schema, "it")


# Against the vendor's own types.


def checked(body: dict[str, Any]) -> None:
    """Assert that the vendor's library knows every field of the body."""
    types = library("google.genai.types")
    for content in body["contents"]:
        types.Content.model_validate(content)
    if "systemInstruction" in body:
        types.Content.model_validate(body["systemInstruction"])
    for tool in body.get("tools", ()):
        types.Tool.model_validate(tool)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))


@given(strategies.conversations())
def test_any_conversation_is_one_that_the_vendor_takes(messages: list[Message]) -> None:
    body = sent(*messages)
    checked(body)
    asked = 0
    for content in body["contents"]:
        assert content["parts"]
        answered = sum("functionResponse" in part for part in content["parts"])
        assert answered == asked, "as many responses in the turn after it as there are calls in a turn"
        asked = sum("functionCall" in part for part in content["parts"])
    texts = [part.text for m in messages for part in m.content if type(part) is TextPart]
    told = [part["text"] for c in body["contents"] for part in c["parts"] if "text" in part]
    told = [part["text"] for part in body.get("systemInstruction", {}).get("parts", ())] + told
    assert told == texts


def test_the_vendors_types_know_all_our_fields() -> None:
    checked(
        sent(
            Message.system("s"),
            Message.user([ImagePart(mime="image/png", data_b64=PIXEL, detail="high"), TextPart(text="x")]),
            Message.assistant([ToolCallPart(id="1", name="weather", replay=SIGNED)]),
            Message.tool([ContentPart.tool_result("1", 1)]),
            tools=(TOOL,),
            tool_choice="weather",
            temperature=0.5,
            stop=("x",),
            top_logprobs=1,
            seed=1,
            n=1,
            output_schema={"type": "object"},
            thinking=Thinking(effort="high", summary="auto"),
        )
    )
