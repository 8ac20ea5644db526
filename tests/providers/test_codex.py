"""OpenAICodex: whose credentials go along, and that the endpoint is only ever asked to stream."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import from_json

from tako.effects import Call, HttpRequest
from tako.errors import InvalidInput, ProviderError
from tako.models import ChatRequest, Message, Thinking
from tako.providers.openai import OpenAICodex
from tako.providers.openai.codex import CodexCredentials
from tests.support.answers import event_stream, play

ASKED = ChatRequest(messages=(Message.user("hello"),))
MINE = CodexCredentials("token-1", "account-1")
ANSWER = event_stream(
    '{"type":"response.created","response":{"id":"resp_1","model":"gpt-5","output":[]}}',
    '{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"msg_1"}}',
    '{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"Hi"}',
    '{"type":"response.completed","response":{"id":"resp_1","status":"completed","output":[]}}',
)


def body_of(request: ChatRequest = ASKED, **options: Any) -> dict[str, Any]:
    message = OpenAICodex("gpt-5", MINE, **options).http_request(request, stream=False)
    decoded: dict[str, Any] = from_json(message.body)
    return decoded


def signed(provider: OpenAICodex, credentials: object = None) -> dict[str, str]:
    """The headers as they are sent; `credentials` is what the caller's function returns."""
    flow = provider.sign(provider.http_request(ASKED, stream=True))
    try:
        effect = flow.send(None)
        assert isinstance(effect, Call)
        flow.send(credentials)
    except StopIteration as stop:
        sent: HttpRequest = stop.value
        return dict(sent.headers)
    raise AssertionError("one call was expected")


def test_the_head_of_a_request() -> None:
    provider = OpenAICodex("gpt-5", MINE, originator="me", headers={"X-Mine": "1"})
    assert provider.http_request(ASKED, stream=False).url == "https://chatgpt.com/backend-api/codex/responses"
    assert signed(provider) == {
        "content-type": "application/json",
        "openai-beta": "responses=experimental",
        "originator": "me",
        "accept": "text/event-stream",
        "x-mine": "1",
        "authorization": "Bearer token-1",
        "chatgpt-account-id": "account-1",
    }
    assert signed(OpenAICodex("gpt-5", MINE))["originator"] == "tako"


def test_it_always_streams_stores_nothing_and_has_instructions() -> None:
    assert body_of() == {
        "model": "gpt-5",
        "input": [{"type": "message", "role": "user", "content": "hello"}],
        "instructions": "",
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": "auto"},
    }
    told = ChatRequest(messages=(Message.system("be brief"), Message.user("hello")))
    assert body_of(told)["instructions"] == "be brief"


def test_a_later_system_message_has_the_role_that_is_taken() -> None:
    later = ChatRequest(messages=(Message.user("hello"), Message.system("be brief")))
    assert body_of(later)["input"][1] == {"type": "message", "role": "developer", "content": "be brief"}


def test_reasoning() -> None:
    assert body_of(reasoning_effort="low")["reasoning"] == {"effort": "low", "summary": "auto"}
    off = body_of(reasoning_summary=None)
    assert "reasoning" not in off
    assert off["include"] == ["reasoning.encrypted_content"]
    asked = ASKED.model_copy(update={"thinking": Thinking(effort="high", summary="detailed")})
    assert body_of(asked)["reasoning"] == {"effort": "high", "summary": "detailed"}


@pytest.mark.parametrize(
    "field",
    [
        {"max_tokens": 5},
        {"temperature": 0.0},
        {"top_p": 0.5},
        {"top_logprobs": 0},
        {"metadata": {"a": "b"}},
        {"seed": 1},
    ],
)
def test_what_the_endpoint_refuses_is_refused_here(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(field))):
        body_of(ASKED.model_copy(update=field))


def test_credentials_are_asked_for_before_every_request() -> None:
    provider = OpenAICodex("gpt-5", lambda: MINE)
    first = signed(provider, CodexCredentials("token-2", "a"))
    assert first["authorization"] == "Bearer token-2"
    second = signed(provider, CodexCredentials("token-3", "b"))
    assert (second["authorization"], second["chatgpt-account-id"]) == ("Bearer token-3", "b")


def test_a_header_of_the_caller_wins() -> None:
    provider = OpenAICodex("gpt-5", MINE, headers={"chatgpt-account-id": "mine"})
    assert signed(provider)["chatgpt-account-id"] == "mine"


@pytest.mark.parametrize(
    "wrong",
    ["token", None, 7, CodexCredentials("", "a"), CodexCredentials("t\n", "a"), CodexCredentials("t", "")],
)
def test_wrong_credentials_are_named_and_never_shown(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="credentials") as caught:
        OpenAICodex("gpt-5", wrong)
    assert "token" not in str(caught.value).replace("access_token", "")
    with pytest.raises(InvalidInput, match="credentials"):
        signed(OpenAICodex("gpt-5", lambda: MINE), wrong)


def test_credentials_are_not_shown() -> None:
    assert "token-1" not in repr(MINE)
    assert "account-1" not in repr(MINE)
    assert "token-1" not in repr(OpenAICodex("gpt-5", MINE))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": ""}, "model"),
        ({"originator": ""}, "originator"),
        ({"base_url": "chatgpt.com"}, "base_url"),
        ({"reasoning_summary": "none"}, "reasoning_summary"),
        ({"timeout_secs": 0}, "timeout_secs"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        OpenAICodex(**{"model": "m", "credentials": MINE, **wrong})


def test_a_whole_answer_is_put_together_from_the_stream() -> None:
    response, emitted, sent = play(OpenAICodex("gpt-5", MINE).chat_flow(ASKED), [ANSWER])
    assert (response.text, response.finish_reason, response.response_id) == ("Hi", "stop", "resp_1")
    assert emitted == []
    assert from_json(sent.body)["stream"] is True


def test_a_refusal_is_handed_on_as_it_comes() -> None:
    with pytest.raises(ProviderError, match="sign in again") as caught:
        play(OpenAICodex("gpt-5", MINE).chat_flow(ASKED), [b'{"detail":"Please sign in again."}'], 401)
    assert caught.value.message.endswith(": Please sign in again.")
    assert (caught.value.status, caught.value.retryable) == (401, False)
