"""AzureOpenAI: where each API is, what carries the key, and what the content filters say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic_core import from_json

from tako.effects import Call, HttpRequest
from tako.errors import InvalidInput, ProviderError
from tako.models import ChatRequest, Message
from tako.providers.openai import AzureOpenAI
from tests.support.answers import event_stream, play

ENDPOINT = "https://name.openai.azure.com"
ASKED = ChatRequest(messages=(Message.user("hello"),))
SAFE = {"hate": {"filtered": False, "severity": "safe"}}


def http(request: ChatRequest = ASKED, *, endpoint: str = ENDPOINT, **options: Any) -> HttpRequest:
    return AzureOpenAI(endpoint, "gpt 4/o", "k", **options).http_request(request, stream=False)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21"),
        (
            {"api_version": "2025-01-01-preview"},
            "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2025-01-01-preview",
        ),
        ({"api_version": "v1"}, "/openai/v1/chat/completions"),
        ({"api_version": "preview"}, "/openai/v1/chat/completions?api-version=preview"),
        ({"api_version": "latest"}, "/openai/v1/chat/completions?api-version=latest"),
        (
            {"api": "responses", "api_version": "2025-03-01-preview"},
            "/openai/responses?api-version=2025-03-01-preview",
        ),
        ({"api": "responses", "api_version": "v1"}, "/openai/v1/responses"),
        ({"api": "responses", "api_version": "preview"}, "/openai/v1/responses?api-version=preview"),
    ],
)
def test_the_address(options: dict[str, Any], path: str) -> None:
    assert http(**options).url == ENDPOINT + path


@pytest.mark.parametrize("pasted", ["/", "/openai", "/openai/", "/openai/v1", "/openai/v1/"])
def test_the_address_is_never_doubled(pasted: str) -> None:
    assert http(endpoint=ENDPOINT + pasted).url == http().url


def test_the_model_is_the_deployment() -> None:
    assert from_json(http().body)["model"] == "gpt 4/o"
    other = ASKED.model_copy(update={"model": "other"})
    assert "/deployments/other/" in http(other).url
    assert from_json(http(other).body)["model"] == "other"
    assert from_json(http(other, api="responses", api_version="v1").body)["model"] == "other"
    assert AzureOpenAI(ENDPOINT, "d", "k").id == "azure-openai:d"


def test_the_limit_has_two_names() -> None:
    limited = ASKED.model_copy(update={"max_tokens": 9})
    assert from_json(http(limited).body)["max_tokens"] == 9
    assert (
        from_json(http(limited, max_tokens_field="max_completion_tokens").body)["max_completion_tokens"] == 9
    )
    assert from_json(http(limited, api="responses").body)["max_output_tokens"] == 9


def test_answers_are_stored_only_if_asked() -> None:
    assert from_json(http(api="responses").body)["store"] is False
    assert from_json(http(api="responses", store=True).body)["store"] is True


def test_a_key_and_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dict(http().headers)["api-key"] == "k"
    provider = AzureOpenAI(ENDPOINT, "d", token="t")
    headers = dict(provider.http_request(ASKED, stream=False).headers)
    assert headers["authorization"] == "Bearer t"
    assert "api-key" not in headers
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "from-the-environment")
    provider = AzureOpenAI(ENDPOINT, "d")
    assert dict(provider.http_request(ASKED, stream=False).headers)["api-key"] == "from-the-environment"
    monkeypatch.delenv("AZURE_OPENAI_API_KEY")
    with pytest.raises(InvalidInput, match="AZURE_OPENAI_API_KEY"):
        AzureOpenAI(ENDPOINT, "d")


@pytest.mark.parametrize(
    ("argument", "header", "value"), [("token", "authorization", "Bearer new"), ("api_key", "api-key", "new")]
)
def test_a_function_is_asked_before_each_request(argument: str, header: str, value: str) -> None:
    provider = AzureOpenAI(ENDPOINT, "d", **{argument: lambda: "x"})  # type: ignore[arg-type]
    flow = provider.sign(provider.http_request(ASKED, stream=False))
    assert isinstance(flow.send(None), Call)
    with pytest.raises(StopIteration) as stopped:
        flow.send("new")
    assert dict(stopped.value.value.headers)[header] == value


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"endpoint": "name.openai.azure.com"}, "endpoint"),
        ({"endpoint": "https://x?api-version=1"}, "endpoint"),
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "https://x:port"}, "endpoint"),
        ({"deployment": " "}, "deployment"),
        ({"api": "completions"}, "api"),
        ({"api_version": ""}, "api_version"),
        ({"token": "t"}, "token"),
        ({"store": True}, "store"),
        ({"store": 1, "api": "responses"}, "store"),
        ({"max_tokens_field": "max"}, "max_tokens_field"),
        ({"max_tokens_field": "max_tokens", "api": "responses"}, "max_tokens_field"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        AzureOpenAI(**{"endpoint": ENDPOINT, "deployment": "d", "api_key": "k", **wrong})


def test_errors_name_azure() -> None:
    with pytest.raises(InvalidInput, match="AzureOpenAI"):
        http(ChatRequest(messages=()))
    with pytest.raises(InvalidInput, match="AzureOpenAI"):
        http(ASKED.model_copy(update={"seed": 1}), api="responses")


def test_what_the_filters_say_of_the_prompt_comes_in_an_event_without_choices() -> None:
    stream = event_stream(
        json.dumps({"choices": [], "id": "", "model": "", "prompt_filter_results": [SAFE]}),
        '{"id":"c1","model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}]}',
        json.dumps(
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "content_filter_results": SAFE}]}
        ),
        "[DONE]",
    )
    response, _, _ = play(AzureOpenAI(ENDPOINT, "d", "k").stream_flow(ASKED), [stream])
    assert (response.text, response.model, response.response_id) == ("Hi", "gpt-4o", "c1")
    assert response.details["prompt_filter_results"] == [SAFE]
    assert response.details["content_filter_results"] == SAFE


def test_what_the_filters_say_beside_a_piece_of_text_is_kept() -> None:
    def piece(text: str, **more: Any) -> str:
        return json.dumps({"choices": [{"index": 0, "delta": {"content": text}, **more}]})

    seen = {"protected_material_text": {"detected": True}}
    stream = event_stream(
        piece("H"),
        piece("i", content_filter_results=seen),
        piece("!", content_filter_results=SAFE),
        '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
        "[DONE]",
    )
    response, _, _ = play(AzureOpenAI(ENDPOINT, "d", "k").stream_flow(ASKED), [stream])
    assert response.text == "Hi!"
    assert response.details["content_filter_results"] == {**seen, **SAFE}


def test_what_the_filters_say_of_a_response() -> None:
    body = {"id": "r", "status": "completed", "output": [], "content_filters": [SAFE]}
    provider = AzureOpenAI(ENDPOINT, "d", "k", api="responses")
    assert provider.decode(body).details["content_filters"] == [SAFE]


def refusal_of(body: Any, status: int, headers: tuple[tuple[str, str], ...] = ()) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        play(AzureOpenAI(ENDPOINT, "d", "k").chat_flow(ASKED), [json.dumps(body).encode()], status, headers)
    return caught.value


def test_a_refusal_of_the_filters_says_which() -> None:
    results = {
        "hate": {"filtered": False, "severity": "safe"},
        "jailbreak": {"filtered": True, "detected": True},
        "violence": {"filtered": True, "severity": "high"},
    }
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": results}
    error = {
        "message": "The prompt was filtered",
        "code": "content_filter",
        "status": 400,
        "innererror": inner,
    }
    caught = refusal_of({"error": error}, 400, (("apim-request-id", "a1"),))
    assert caught.message.endswith("The prompt was filtered (filtered: jailbreak, violence high)")
    assert (caught.code, caught.request_id) == ("content_filter", "a1")
    assert "ResponsibleAIPolicyViolation" in (caught.body or "")


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error": {"code": "404", "message": "Resource not found"}}, "404", "Resource not found"),
        ({"statusCode": 401, "message": "Access denied"}, "401", "Access denied"),
        ({"code": "invalid", "error": "Not that"}, "invalid", "Not that"),
        ("no", None, "no"),
        ({"error": {"message": "m", "innererror": {"content_filter_result": [7]}}}, None, "m"),
        ({"error": []}, None, '{"error": []}'),
    ],
)
def test_other_refusals(body: Any, code: str | None, message: str) -> None:
    caught = refusal_of(body, 404)
    assert caught.code == code
    assert caught.message.endswith(f": {message}")
