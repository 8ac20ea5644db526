"""How hard to think, as people write it: known words in any case, and every other as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic_core import from_json

from tako.models import ChatRequest, Message, Thinking
from tako.providers import (
    Anthropic,
    Bedrock,
    Gemini,
    Mistral,
    Ollama,
    OpenAI,
    OpenAIResponses,
)
from tako.providers.http import HttpProvider

VENDORS: dict[str, tuple[HttpProvider, Callable[[Any], Any], Callable[[str], str]]] = {
    "anthropic": (Anthropic("m", "k"), lambda body: body["output_config"]["effort"], str.lower),
    "openai": (OpenAI("m", "k"), lambda body: body["reasoning_effort"], str.lower),
    "responses": (OpenAIResponses("m", "k"), lambda body: body["reasoning"]["effort"], str.lower),
    "mistral": (Mistral("m", "k"), lambda body: body["reasoning_effort"], str.lower),
    "ollama": (Ollama("m"), lambda body: body["think"], str.lower),
    "bedrock": (
        Bedrock("openai.gpt-oss-120b-1:0", region="us-east-1", api_key="k"),
        lambda body: body["additionalModelRequestFields"]["reasoning_effort"],
        str.lower,
    ),
    "gemini": (
        Gemini("m", "k"),
        lambda body: body["generationConfig"]["thinkingConfig"]["thinkingLevel"],
        str.upper,
    ),
}


def effort_sent(vendor: str, effort: str) -> Any:
    provider, find, _ = VENDORS[vendor]
    request = ChatRequest(messages=(Message.user("hi"),), thinking=Thinking(effort=effort))
    return find(from_json(provider.http_request(request, stream=False).body))


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("word", ["low", "High", "MEDIUM", "xHigh", "Minimal", "MAX"])
def test_G16_a_known_word_is_taken_in_any_case(vendor: str, word: str) -> None:
    _, _, spelled = VENDORS[vendor]
    assert effort_sent(vendor, word) == spelled(word)


@pytest.mark.parametrize("vendor", VENDORS)
def test_G16_any_other_word_is_sent_as_it_is(vendor: str) -> None:
    assert effort_sent(vendor, "Ultra-Deep") == "Ultra-Deep"
