"""OpenAICompatible: its presets and quirks, and what goes to a server in each dialect."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from pydantic_core import from_json

from tako.effects import HttpRequest
from tako.errors import InvalidInput, ProviderError, RateLimited
from tako.fetching import UrlPolicy
from tako.models import (
    AudioPart,
    CacheControl,
    ChatRequest,
    ContentPart,
    DocumentPart,
    ImagePart,
    Message,
    OpaquePart,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
)
from tako.providers import OpenAICompatible
from tako.providers.chat_completions.dialect import FLAGS
from tako.providers.openai import presets
from tako.providers.openai.presets import PRESETS
from tako.testing import strategies
from tests.support.answers import play

USER = Message.user("hello")
PIXEL = "iVBORw0KGgo="
ANYWHERE = "http://localhost"


def made(preset: str | None = None, **options: Any) -> OpenAICompatible:
    return OpenAICompatible("m", "k", preset=preset, **{"base_url": ANYWHERE, **options})


def http(provider: OpenAICompatible, *, stream: bool = False) -> HttpRequest:
    return provider.http_request(ChatRequest(messages=(USER,)), stream=stream)


def sent(
    provider: OpenAICompatible, *messages: Message, stream: bool = False, **fields: Any
) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    decoded: dict[str, Any] = from_json(provider.http_request(request, stream=stream).body)
    return decoded


@pytest.mark.parametrize(
    ("preset", "url"),
    [
        ("groq", "https://api.groq.com/openai/v1/chat/completions"),
        ("deepseek", "https://api.deepseek.com/chat/completions"),
        ("openrouter", "https://openrouter.ai/api/v1/chat/completions"),
        ("perplexity", "https://api.perplexity.ai/chat/completions"),
        ("zai", "https://api.z.ai/api/paas/v4/chat/completions"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
        ("copilot", "https://api.githubcopilot.com/chat/completions"),
        ("ai21", "https://api.ai21.com/studio/v1/chat/completions"),
        ("ollama", "http://localhost:11434/v1/chat/completions"),
        ("litellm", "http://localhost:4000/v1/chat/completions"),
        ("deepinfra", "https://api.deepinfra.com/v1/openai/chat/completions"),
    ],
)
def test_where_presets_are(preset: str, url: str) -> None:
    provider = OpenAICompatible("m", "k", preset=preset)
    assert http(provider).url == url
    assert provider.id == f"{preset}:m"


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_made_and_its_address_ends_in_the_path_once(preset: str) -> None:
    known = PRESETS[preset]
    assert known.flags.keys() <= FLAGS
    provider = OpenAICompatible("m", "k", preset=preset, base_url=None if known.base_url else ANYWHERE)
    url = http(provider).url
    assert url.count("/chat/completions") == 1 and url.endswith("/chat/completions")
    assert url.startswith(known.base_url or ANYWHERE)
    assert made(preset, quirks=dict(known.flags)).dialect.thinking == provider.dialect.thinking
    for name, value in known.flags.items():
        assert getattr(provider.dialect, name) == value


def test_of_every_preset_is_said_how_sure_it_is() -> None:
    names = set(re.findall(r"[a-z0-9-]+", presets.__doc__ or ""))
    assert PRESETS.keys() <= names


def test_keys_come_from_the_variables_of_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CO_API_KEY", "COHERE_API_KEY", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-strangers")
    with pytest.raises(InvalidInput, match="CO_API_KEY` or `COHERE_API_KEY"):
        OpenAICompatible("m", preset="cohere")
    with pytest.raises(InvalidInput, match="api_key"):
        OpenAICompatible("m", base_url=ANYWHERE)
    assert "authorization" not in dict(http(OpenAICompatible("m", preset="ollama")).headers)
    monkeypatch.setenv("COHERE_API_KEY", "k1")
    monkeypatch.setenv("OLLAMA_API_KEY", "k2")
    assert dict(http(OpenAICompatible("m", preset="cohere")).headers)["authorization"] == "Bearer k1"
    assert dict(http(OpenAICompatible("m", preset="ollama")).headers)["authorization"] == "Bearer k2"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"preset": "grok"}, "preset should be one of"),
        ({"base_url": None}, "base_url"),
        ({"preset": "snowflake", "base_url": None}, "snowflake"),
        ({"quirks": {"takes_topk": True}}, "takes_topk"),
        ({"quirks": {"owner": "x"}}, "owner"),
        ({"quirks": {"takes_top_k": "yes"}}, "takes_top_k"),
        ({"quirks": {"takes_top_k": 1}}, "takes_top_k"),
        ({"quirks": {"thinking": "hard"}}, "thinking"),
        ({"quirks": {"returns_thinking": True}}, "returns_thinking"),
        ({"quirks": {"seed_field": ""}}, "seed_field"),
        ({"url_prefetch": "yes"}, "url_prefetch"),
        ({"url_prefetch_max_bytes": 7}, "url_prefetch"),
        ({"model": ""}, "model"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        OpenAICompatible(**{"model": "m", "api_key": "k", "base_url": ANYWHERE, **wrong})


def test_quirks_beat_the_preset_and_what_is_said_beats_the_address() -> None:
    provider = made("groq", quirks={"takes_top_k": True, "max_tokens_field": "max_tokens"})
    assert http(provider).url == "http://localhost/v1/chat/completions"
    body = sent(provider, top_k=5, max_tokens=7)
    assert (body["top_k"], body["max_tokens"]) == (5, 7)
    with pytest.raises(InvalidInput, match="top_k"):
        sent(made("groq"), top_k=5)


def test_fetching_is_off_unless_it_is_allowed() -> None:
    assert made()._fetches is None
    assert made(url_prefetch=True)._fetches == UrlPolicy()
    assert made(url_prefetch=True, url_prefetch_max_bytes=7)._fetches == UrlPolicy(max_bytes=7)


@pytest.mark.parametrize(
    ("kind", "thinking", "wanted"),
    [
        ("effort", Thinking(), {}),
        ("effort", Thinking(effort="low"), {"reasoning_effort": "low"}),
        ("effort", Thinking(enabled=False), {"reasoning_effort": "none"}),
        ("effort", Thinking(budget_tokens=9), None),
        ("effort", Thinking(summary="auto"), None),
        ("reasoning", Thinking(), {"reasoning": {"enabled": True}}),
        ("reasoning", Thinking(enabled=False), {"reasoning": {"enabled": False}}),
        ("reasoning", Thinking(effort="low"), {"reasoning": {"effort": "low"}}),
        (
            "reasoning",
            Thinking(budget_tokens=9, summary="none"),
            {"reasoning": {"max_tokens": 9, "exclude": True}},
        ),
        ("reasoning", Thinking(summary="none"), {"reasoning": {"enabled": True, "exclude": True}}),
        ("reasoning", Thinking(summary="concise"), None),
        ("thinking", Thinking(), {"thinking": {"type": "enabled"}}),
        ("thinking", Thinking(enabled=False), {"thinking": {"type": "disabled"}}),
        (
            "thinking",
            Thinking(effort="max", budget_tokens=9),
            {"thinking": {"type": "enabled", "budget_tokens": 9}, "reasoning_effort": "max"},
        ),
        ("thinking", Thinking(summary="none"), None),
        (
            "enable_thinking",
            Thinking(budget_tokens=9),
            {"enable_thinking": True, "thinking_budget": 9},
        ),
        ("enable_thinking", Thinking(enabled=False), {"enable_thinking": False}),
        ("enable_thinking", Thinking(effort="low"), None),
        (
            "template",
            Thinking(effort="low"),
            {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "low"},
        ),
        ("template", Thinking(enabled=False), {"chat_template_kwargs": {"enable_thinking": False}}),
        ("template", Thinking(budget_tokens=9), None),
        ("none", Thinking(), None),
    ],
)
def test_how_a_service_is_told_to_think(kind: str, thinking: Thinking, wanted: dict[str, Any] | None) -> None:
    provider = made(quirks={"thinking": kind})
    if wanted is None:
        with pytest.raises(InvalidInput, match="thinking"):
            sent(provider, thinking=thinking)
        return
    body = sent(provider, thinking=thinking)
    assert {name: body[name] for name in body.keys() - {"model", "messages"}} == wanted


@pytest.mark.parametrize(
    ("flag", "fields", "named"),
    [
        ("takes_schema", {"output_schema": {"type": "object"}}, "output_schema"),
        ("takes_choices", {"n": 2}, "n:"),
        ("takes_penalties", {"presence_penalty": 0.5}, "presence_penalty"),
        ("takes_penalties", {"frequency_penalty": 0.5}, "frequency_penalty"),
        ("takes_logprobs", {"top_logprobs": 2}, "logprobs"),
        ("takes_top_k", {"top_k": 2}, "top_k"),
    ],
)
def test_what_a_service_does_not_take_is_said(flag: str, fields: dict[str, Any], named: str) -> None:
    name = next(iter(fields))
    assert sent(made(quirks={flag: True}), **fields).keys() & {name, "response_format"}
    with pytest.raises(InvalidInput, match=named):
        sent(made(quirks={flag: False}), **fields)
    assert "n" not in sent(made(quirks={"takes_choices": False}), n=1)


def test_names_of_fields() -> None:
    provider = made(quirks={"seed_field": "random_seed", "max_tokens_field": "max_completion_tokens"})
    body = sent(provider, seed=1, max_tokens=2, stream=True)
    assert (body["random_seed"], body["max_completion_tokens"]) == (1, 2)
    assert body["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(made(quirks={"asks_for_usage": False}), stream=True)


def content(provider: OpenAICompatible, *parts: Any) -> Any:
    return sent(provider, Message.user(parts))["messages"][0]["content"]


def test_media_that_only_some_services_take() -> None:
    film = ContentPart.video("https://x/y.mp4")
    yes, no = made(), made("groq")
    assert content(yes, film) == [{"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}]
    sound = AudioPart(mime="audio/flac", data_b64=PIXEL)
    assert content(yes, sound)[0]["input_audio"] == {"data": PIXEL, "format": "flac"}
    by_address = DocumentPart(url="https://x/y.pdf", title="y.pdf")
    fetching = made("openrouter")
    assert content(fetching, by_address)[0]["file"] == {
        "filename": "y.pdf",
        "file_data": "https://x/y.pdf",
    }
    with pytest.raises(InvalidInput, match="video"):
        content(no, film)
    with pytest.raises(InvalidInput, match="file_id"):
        content(yes, ContentPart(type="video", mime="video/mp4", file_id="f"))
    with pytest.raises(InvalidInput, match="url_prefetch"):
        content(yes, by_address)
    with pytest.raises(InvalidInput, match="audio"):
        content(made(quirks={"takes_any_audio": False}), sound)
    with pytest.raises(InvalidInput, match="files"):
        content(made("deepseek"), DocumentPart(data_b64=PIXEL))


def test_cache_marks_for_services_that_have_them() -> None:
    mark, seen = CacheControl(ttl="1h"), {"type": "ephemeral", "ttl": "1h"}
    text = TextPart(text="a", cache_control=mark)
    result = ContentPart(type="tool_result", id="1", result="r", cache_control=mark)
    messages = (
        Message.system([text]),
        Message.user([text]),
        Message.assistant([ContentPart.text("b"), text]),
        Message.tool([result]),
    )
    block = {"type": "text", "text": "a", "cache_control": seen}
    assert sent(made("openrouter"), *messages)["messages"] == [
        {"role": "system", "content": [block]},
        {"role": "user", "content": [block]},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}, block]},
        {
            "role": "tool",
            "tool_call_id": "1",
            "content": [{"type": "text", "text": "r", "cache_control": seen}],
        },
    ]
    assert "cache_control" not in str(sent(made("groq"), *messages))


def test_thinking_goes_back_where_it_came_from_and_nowhere_else() -> None:
    def thought(vendor: str) -> ThinkingPart:
        return ThinkingPart(text="hm", replay=Replay(vendor=vendor, data={"field": "reasoning_content"}))

    details = OpaquePart(replay=Replay(vendor="openrouter", data={"reasoning_details": [{"type": "t"}]}))
    message = Message.assistant([thought("deepseek"), details, ContentPart.text("a")])
    assert sent(made("deepseek"), USER, message)["messages"][1] == {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "hm",
    }
    assert sent(made("openrouter"), USER, message)["messages"][1] == {
        "role": "assistant",
        "content": "a",
        "reasoning_details": [{"type": "t"}],
    }
    assert sent(made(), USER, message)["messages"][1] == {"role": "assistant", "content": "a"}


def test_pictures_of_the_model_go_back_where_they_can() -> None:
    message = Message.assistant([ContentPart.text("see"), ImagePart(mime="image/png", data_b64=PIXEL)])
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    assert sent(made("openrouter"), USER, message)["messages"][1]["images"] == [image]
    with pytest.raises(InvalidInput, match="image"):
        sent(made("groq"), USER, message)


def test_an_encoded_message_is_kept_for_its_dialect_alone() -> None:
    message = Message.user([TextPart(text="a", cache_control=CacheControl())])
    for _ in range(2):
        assert isinstance(sent(made("openrouter"), message)["messages"][0]["content"], list)
        assert sent(made("groq"), message)["messages"][0]["content"] == "a"


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error":{"message":"m","code":400}}', "m", "400"),
        (b'{"error":"m"}', "m", None),
        (b'[{"error":{"message":"m","status":"X","code":404}}]', "m", "404"),
        (b'{"detail":"m"}', "m", None),
        (b'{"msg":"m","code":7}', "m", "7"),
        (b'{"object":"error","message":"m","type":"T","code":401}', "m", "401"),
        (b"<html>m", "<html>m", None),
        (b'{"detail":[{"loc":["body"]}]}', '"loc"', None),
    ],
)
def test_refusals_in_all_their_forms(body: bytes, message: str, code: str | None) -> None:
    for status, kind in ((400, ProviderError), (429, RateLimited)):
        with pytest.raises(kind) as caught:
            play(made().chat_flow(ChatRequest(messages=(USER,))), [body], status)
        assert message in caught.value.message
        assert (caught.value.code, caught.value.status) == (code, status)


@given(strategies.conversations(media=strategies.MEDIA, result_media=("image", "image_url", "audio")))
def test_a_gateway_takes_every_conversation(messages: list[Message]) -> None:
    """Each call has its result before anybody else speaks, and nothing but text is in a result."""
    body = sent(made("openrouter"), *messages)
    waiting: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            assert isinstance(message["content"], str)
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting
        waiting = [call["id"] for call in message.get("tool_calls", ())]
    assert not waiting
