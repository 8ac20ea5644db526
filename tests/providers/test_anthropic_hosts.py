"""Claude on Vertex AI and on Bedrock, by the same code; and the counting of tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from tako.effects import HttpRequest
from tako.errors import InvalidInput, ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.events import ChatChunk, ChatEnd, ChatError, TextDelta, ToolCall
from tako.fetching import UrlPolicy
from tako.models import ChatRequest, ContentPart, DocumentPart, Message, ToolResultPart
from tako.providers import Anthropic, AnthropicBedrock, AnthropicVertex, Provider
from tako.providers.anthropic.bedrock import METRICS, BedrockMessagesDecoder
from tako.providers.anthropic.decode import MessagesDecoder
from tako.providers.anthropic.messages import MessagesProvider
from tako.testing import Answer, ScriptedVendor, Simulator
from tako.testing.conformance import check_truncation
from tako.wire.eventstream import encode_frame
from tests.support.answers import collect, event_stream, play, streamed, told

ASK = ChatRequest(messages=(Message.user("hello"),))
TEXT = [{"type": "text", "text": "hello"}]
PIXEL = "iVBORw0KGgo="


def vertex(**options: Any) -> AnthropicVertex:
    return AnthropicVertex("proj", "claude-4@20250514", **{"access_token": "tok", **options})


def bedrock(**options: Any) -> AnthropicBedrock:
    keys = {"region": "us-east-1", "access_key_id": "AKID", "secret_access_key": "sec"}
    return AnthropicBedrock("us.claude-v1:0", **{**keys, **options})


def body_of(request: HttpRequest) -> Any:
    return from_json(request.body)


# Vertex.


def test_vertex_has_the_model_in_the_address_and_the_version_in_the_body() -> None:
    whole = vertex(betas=["a", "b"]).http_request(ASK, stream=False)
    place = "projects/proj/locations/us-east5/publishers/anthropic/models"
    base = f"https://us-east5-aiplatform.googleapis.com/v1/{place}"
    assert whole.url == f"{base}/claude-4@20250514:rawPredict"
    assert dict(whole.headers)["authorization"] == "Bearer tok"
    assert dict(whole.headers)["anthropic-beta"] == "a,b"
    assert body_of(whole) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": TEXT}],
    }
    stream = vertex().http_request(ASK.model_copy(update={"model": "other/x"}), stream=True)
    assert stream.url == f"{base}/other%2Fx:streamRawPredict"
    assert body_of(stream)["stream"] is True


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"location": "global"}, "https://aiplatform.googleapis.com/v1/projects/"),
        ({"location": "eu"}, "https://aiplatform.eu.rep.googleapis.com/v1/projects/"),
        ({"location": "us"}, "https://aiplatform.us.rep.googleapis.com/v1/projects/"),
        ({"endpoint_url": "http://127.0.0.1:1/"}, "http://127.0.0.1:1/v1/projects/"),
    ],
)
def test_vertex_has_hosts_for_places(options: dict[str, Any], start: str) -> None:
    assert vertex(**options).http_request(ASK, stream=False).url.startswith(start)


def test_a_token_may_be_asked_for_before_each_request() -> None:
    tokens = iter(("one", "two"))
    vendor = ScriptedVendor(Answer.json(json.dumps(whole_answer())))
    provider = vertex(access_token=lambda: next(tokens), endpoint_url="http://v.test")
    for _ in range(2):
        Simulator(vendor=vendor).run(provider.chat_flow(ASK))
    sent = [request.header("authorization") for request in vendor.requests]
    assert sent == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"error": {"code": 429, "message": "Slow", "status": "RESOURCE_EXHAUSTED"}}, "RESOURCE_EXHAUSTED"),
        ([{"error": {"code": 429, "message": "Slow", "status": "RESOURCE_EXHAUSTED"}}], "RESOURCE_EXHAUSTED"),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "Slow"}}, "rate_limit_error"),
    ],
)
def test_refusals_of_vertex_are_googles_or_anthropics(payload: Any, code: str) -> None:
    with pytest.raises(RateLimited, match="Slow") as caught:
        play(vertex().chat_flow(ASK), [json.dumps(payload).encode()], 429)
    assert (caught.value.code, caught.value.provider) == (code, "anthropic-vertex:claude-4@20250514")


def test_vertex_streams_the_same_events() -> None:
    events = [json.dumps(event) for event in EVENTS]
    response, _, _ = play(vertex().stream_flow(ASK), [event_stream(*events, named=True)])
    assert response.text == "Hi"


# Bedrock.


def whole_answer(**fields: Any) -> dict[str, Any]:
    head = {"id": "m1", "type": "message", "model": "claude", "stop_reason": "end_turn"}
    return {**head, "content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 1}, **fields}


EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "m1", "model": "claude", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop", METRICS: {"inputTokenCount": 1, "invocationLatency": 9}},
]


def chunk(event: Any) -> bytes:
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    payload = {"bytes": base64.b64encode(data).decode(), "p": "abcd"}
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return encode_frame(headers, json.dumps(payload).encode())


def exception(kind: str, payload: Any) -> bytes:
    return encode_frame({":exception-type": kind, ":message-type": "exception"}, json.dumps(payload).encode())


def decoded(*frames: bytes) -> list[ChatChunk]:
    return streamed(BedrockMessagesDecoder(), [b"".join(frames)])


def error_in(chunks: Iterable[ChatChunk]) -> TakoError:
    told(chunks)
    (error,) = [c.error for c in chunks if type(c) is ChatError]
    return error


def test_bedrock_has_the_model_in_the_address_and_all_else_in_the_body() -> None:
    provider = bedrock(betas=["computer-use-2025-01-24"], default_max_tokens=7)
    whole = provider.http_request(ASK, stream=False)
    assert whole.url == "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.claude-v1%3A0/invoke"
    assert body_of(whole) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["computer-use-2025-01-24"],
        "max_tokens": 7,
        "messages": [{"role": "user", "content": TEXT}],
    }
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/x"
    stream = provider.http_request(ASK.model_copy(update={"model": arn}), stream=True)
    quoted = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fx"
    assert stream.url.endswith(f"/model/{quoted}/invoke-with-response-stream")
    assert dict(stream.headers)["accept"] == "application/vnd.amazon.eventstream"
    assert "stream" not in body_of(stream)


def test_a_request_to_bedrock_is_signed_or_carries_a_key() -> None:
    payload = json.dumps(whole_answer()).encode()
    _, _, signed = play(bedrock(session_token="st").chat_flow(ASK), [payload])
    headers = {name.lower(): value for name, value in signed.headers}
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/20231114/us-east-1/bedrock/")
    assert headers["x-amz-security-token"] == "st"
    keyed = AnthropicBedrock("m", region="eu-west-1", api_key="bk", endpoint_url="http://b.test/")
    _, _, request = play(keyed.chat_flow(ASK), [payload])
    assert request.url == "http://b.test/model/m/invoke"
    assert dict(request.headers)["authorization"] == "Bearer bk"
    assert "sec" not in repr(bedrock()) and "bk" not in repr(keyed)


def test_a_stream_of_bedrock_is_the_stream_of_anthropic_in_frames() -> None:
    chunks = decoded(*map(chunk, EVENTS))
    plain = streamed(MessagesDecoder(), [event_stream(*[json.dumps(event) for event in EVENTS])])
    end = chunks[-1]
    assert type(end) is ChatEnd and end.details == {METRICS: EVENTS[-1][METRICS]}
    assert chunks[:-1] == plain[:-1] == [TextDelta("Hi")]
    assert (end.finish_reason, end.usage.output_tokens, end.model) == ("stop", 2, "claude")


def test_other_frames_are_skipped() -> None:
    other = encode_frame({":event-type": "new", ":message-type": "event"}, b"{}")
    assert decoded(chunk(EVENTS[0]), other, *map(chunk, EVENTS[1:])) == decoded(*map(chunk, EVENTS))


@pytest.mark.parametrize(
    ("kind", "status", "retryable"),
    [
        ("internalServerException", 500, True),
        ("modelStreamErrorException", 424, False),
        ("modelTimeoutException", 408, True),
        ("serviceUnavailableException", 503, True),
        ("throttlingException", 429, True),
        ("ThrottlingException", 429, True),
        ("validationException", 400, False),
        ("newException", None, False),
    ],
)
def test_an_exception_inside_a_stream(kind: str, status: int | None, retryable: bool) -> None:
    chunks = decoded(*map(chunk, EVENTS[:3]), exception(kind, {"message": "Sorry"}))
    error = error_in(chunks)
    assert type(error) is (RateLimited if status == 429 else ProviderError)
    assert (error.status, error.code, error.retryable) == (status, kind, retryable)
    assert "Sorry" in error.message
    assert chunks[0] == TextDelta("Hi")


def test_of_a_long_exception_the_beginning_is_kept() -> None:
    error = error_in(decoded(exception("validationException", {"message": "x", "trace": "é" * 99_999})))
    assert len(error.body or "") == 64 * 1024


def test_an_error_frame_says_it_in_its_headers() -> None:
    headers = {":message-type": "error", ":error-code": "internalServerException", ":error-message": "Oh"}
    error = error_in(decoded(encode_frame(headers, b"")))
    assert (error.status, error.code, "Oh" in error.message) == (500, "internalServerException", True)
    inner = {"type": "error", "error": {"type": "overloaded_error", "message": "Later"}}
    assert error_in(decoded(chunk(inner))).status == 529


@pytest.mark.parametrize(
    "frame",
    [
        encode_frame({":event-type": "chunk", ":message-type": "event"}, b"{}"),
        encode_frame({":event-type": "chunk", ":message-type": "event"}, b'{"bytes": 7}'),
        encode_frame({":event-type": "chunk", ":message-type": "event"}, b"<html>"),
        chunk(b"not json"),
        chunk(7),
        b"\x00" * 40,
        b"<html><body>A web page instead of a stream</body></html>",
    ],
)
def test_frames_that_nobody_can_read(frame: bytes) -> None:
    chunks = decoded(*map(chunk, EVENTS[:3]), frame)
    assert isinstance(error_in(chunks), ProtocolError)
    assert chunks[0] == TextDelta("Hi")


def test_cut_off_anywhere_it_is_an_error_that_another_try_may_cure() -> None:
    call = [
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "f"},
        },
        {"type": "content_block_stop", "index": 1},
    ]
    body = b"".join(chunk(event) for event in [*EVENTS[:4], *call, *EVENTS[4:]])
    for size in range(0, len(body), 7):
        chunks = streamed(BedrockMessagesDecoder(), [body[:size]])
        assert isinstance(error_in(chunks), TransportError)
        assert not any(type(c) is ToolCall for c in chunks)
    assert any(type(c) is ToolCall for c in streamed(BedrockMessagesDecoder(), [body]))
    check_truncation(BedrockMessagesDecoder, b"".join(map(chunk, EVENTS)))


@given(st.data())
def test_any_cut_gives_the_same_chunks(data: st.DataObject) -> None:
    frames = [*map(chunk, EVENTS), exception("throttlingException", {}), b"garbage that is no frame"]
    body = b"".join(data.draw(st.permutations(frames))[: data.draw(st.integers(1, 8))])
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True) if a < b]
    assert told(streamed(BedrockMessagesDecoder(), pieces)) == told(
        streamed(BedrockMessagesDecoder(), [body])
    )


def test_the_flow_streams_from_bedrock() -> None:
    body = b"".join(map(chunk, EVENTS))
    headers = (("content-type", "application/vnd.amazon.eventstream"), ("x-amzn-requestid", "r1"))
    response, _, _ = play(bedrock().stream_flow(ASK), [body], 200, headers)
    assert (response.text, response.request_id) == ("Hi", "r1")
    assert response == collect(decoded(body))[0].model_copy(update={"request_id": "r1"})


@pytest.mark.parametrize(
    ("payload", "headers", "code"),
    [
        (
            {"message": "No."},
            (("x-amzn-errortype", "ValidationException:http://internal"),),
            "ValidationException",
        ),
        ({"Message": "No.", "__type": "com.amazon#AccessDeniedException"}, (), "AccessDeniedException"),
        ({"message": "No."}, (), "400"),
        ({"type": "error", "error": {"type": "odd_error", "message": "No."}}, (), "odd_error"),
    ],
)
def test_refusals_of_bedrock(payload: Any, headers: Any, code: str | None) -> None:
    with pytest.raises(ProviderError, match="No\\.") as caught:
        play(bedrock().chat_flow(ASK), [json.dumps(payload).encode()], 400, headers)
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize("host", [bedrock, vertex])
def test_other_hosts_take_no_address(host: Callable[..., MessagesProvider]) -> None:
    image = ContentPart.image_url("https://x/y.png")
    for message in (
        Message.user([image]),
        Message.user([DocumentPart(url="https://x/y.pdf")]),
        Message.tool([ToolResultPart(id="1", content=(image,))]),
    ):
        asked = ChatRequest(messages=(Message.user("x"), message))
        # Kept for a host that fetches is not kept for one that does not.
        assert Anthropic("m", "").http_request(asked, stream=False).body
        with pytest.raises(InvalidInput, match="url_prefetch"):
            host().http_request(asked, stream=False)
    inline = Message.user([ContentPart.image_url(f"data:image/png;base64,{PIXEL}")])
    assert host().http_request(ChatRequest(messages=(inline,)), stream=False).body


def test_tako_fetches_what_bedrock_does_not() -> None:
    picture = base64.b64decode(PIXEL)
    host = ScriptedVendor(Answer((picture,), 200, (("content-type", "image/png"),), "length"))
    aws = ScriptedVendor([Answer.json(json.dumps(whole_answer())), Answer.json(b'{"inputTokens": 9}')])
    world = Simulator(
        0, {"pictures.test": host, "aws.test": aws}, addresses={"pictures.test": ["93.184.216.34"]}
    )
    provider = bedrock(url_prefetch=UrlPolicy(allow_http=True), endpoint_url="http://aws.test")
    shown = Message.user([ContentPart.image_url("http://pictures.test/y.png")])
    asked = ChatRequest(messages=(shown,))
    assert world.run(provider.chat_flow(asked)).text == "Hi"
    source = from_json(aws.requests[0].body)["messages"][0]["content"][0]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    # What is counted is what would be sent; the picture is fetched once.
    assert world.run(provider.count_tokens_flow(asked)) == 9
    assert len(host.requests) == 1


@pytest.mark.parametrize(
    ("make", "options", "named"),
    [
        (vertex, {"location": "a/b"}, "location"),
        (vertex, {"location": ""}, "location"),
        (vertex, {"access_token": None}, "access_token"),
        (vertex, {"endpoint_url": "x"}, "endpoint_url"),
        (vertex, {"version": ""}, "version"),
        (vertex, {"betas": "a"}, "betas"),
        (vertex, {"betas": ["a"], "headers": {"Anthropic-Beta": "b"}}, "not in both"),
        (vertex, {"url_prefetch": 1}, "url_prefetch"),
        (bedrock, {"region": "US East"}, "region"),
        (bedrock, {"api_key": "k"}, "api_key"),
        (bedrock, {"endpoint_url": ""}, "endpoint_url"),
        (bedrock, {"endpoint_url": "https://h/?a=b"}, "endpoint_url"),
        (bedrock, {"secret_access_key": None}, "secret_access_key"),
        (bedrock, {"default_max_tokens": 0}, "default_max_tokens"),
        (bedrock, {"version": ""}, "version"),
    ],
)
def test_a_wrong_argument_is_named(make: Any, options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        make(**options)


# Counting.


def counted(
    provider: MessagesProvider, payload: bytes, request: ChatRequest = ASK, status: int = 200
) -> tuple[Any, HttpRequest]:
    flow: Any = provider.count_tokens_flow(request)
    count, _, message = play(flow, [payload], status, (("request-id", "r1"),))
    return count, message


def test_tokens_are_counted_without_what_changes_nothing_of_them() -> None:
    asked = ChatRequest(
        messages=(Message.system("s"), Message.user("x")),
        temperature=0.5,
        max_tokens=9,
        stop=("|",),
        metadata={"user_id": "u"},
        extra={"cache_control": {"type": "ephemeral"}, "service_tier": "auto", "container": "c"},
    )
    count, request = counted(Anthropic("m", "k"), b'{"input_tokens": 14}', asked)
    assert (count, request.url) == (14, "https://api.anthropic.com/v1/messages/count_tokens")
    assert body_of(request) == {
        "model": "m",
        "system": [{"type": "text", "text": "s"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
        "cache_control": {"type": "ephemeral"},
    }


def test_other_hosts_count_in_their_own_way() -> None:
    count, request = counted(vertex(), b'{"input_tokens": 3}')
    assert count == 3
    assert request.url.endswith("/publishers/anthropic/models/count-tokens:rawPredict")
    assert body_of(request)["model"] == "claude-4@20250514"
    count, request = counted(bedrock(), b'{"inputTokens": 4}')
    assert (count, request.url.rpartition("/")[2]) == (4, "count-tokens")
    inner = body_of(request)["input"]["invokeModel"]["body"]
    assert from_json(base64.b64decode(inner)) == body_of(bedrock().http_request(ASK, stream=False))


@pytest.mark.parametrize("payload", [b"{}", b"[]", b'{"input_tokens": "x"}', b"<html>"])
def test_what_is_no_count_is_an_error(payload: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        counted(Anthropic("m", "k"), payload)
    assert (caught.value.provider, caught.value.model, caught.value.request_id) == ("anthropic:m", "m", "r1")
    with pytest.raises(RateLimited):
        counted(Anthropic("m", "k"), b"{}", status=429)


def test_capabilities_and_names() -> None:
    providers: list[Provider] = [Anthropic("m", ""), vertex(), bedrock()]
    for provider in providers:
        assert provider.capabilities.supports_documents and provider.capabilities.supports_thinking
    assert [provider.id.partition(":")[0] for provider in providers] == [
        "anthropic",
        "anthropic-vertex",
        "anthropic-bedrock",
    ]
