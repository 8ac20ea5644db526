"""`tako.provider("vendor:model")`: what leads where, and what a name that leads nowhere is told."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tako
from tako.errors import InvalidInput
from tako.providers import OpenAI
from tako.providers.catalogue import VENDORS, provider, vendors
from tako.providers.openai.presets import PRESETS

VARIABLES = {
    "ANTHROPIC_API_KEY": "k",
    "AWS_BEARER_TOKEN_BEDROCK": "k",
    "AWS_REGION": "eu-west-1",
    "AZURE_OPENAI_API_KEY": "k",
    "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com",
    "GEMINI_API_KEY": "k",
    "GOOGLE_CLOUD_PROJECT": "project",
    "MISTRAL_API_KEY": "k",
    "OPENAI_API_KEY": "k",
}
PLACES = ("AZURE_OPENAI_ENDPOINT", "GOOGLE_CLOUD_PROJECT", "GCP_PROJECT", "GOOGLE_CLOUD_LOCATION")


KEYWORDS: dict[str, dict[str, object]] = {
    "anthropic-vertex": {"access_token": "t"},
    "openai-codex": {"credentials": lambda: None},
    "vertex": {"access_token": "t"},
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def complaint(name: object, **options: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        provider(name, **options)  # type: ignore[arg-type]
    assert caught.value.message.startswith("provider: ")
    return caught.value.message


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_vendor_is_the_class_of_its_name(vendor: str) -> None:
    found = provider(f"{vendor}:a/b:c", **KEYWORDS.get(vendor, {}))
    assert type(found).__name__ == VENDORS[vendor].name
    assert found.model == "a/b:c"


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - set(VENDORS)))
def test_each_preset_is_a_vendor(preset: str) -> None:
    try:
        found = provider(f"{preset}:meta/llama-3.3:free", api_key="k")
    except InvalidInput as error:
        # A host of one's own has no address that could be known.
        assert "base_url" in error.message
        found = provider(f"{preset}:meta/llama-3.3:free", api_key="k", base_url="https://h.test")
    assert type(found).__name__ == "OpenAICompatible"
    assert found.model == "meta/llama-3.3:free"


def test_a_vendor_with_a_class_of_its_own_comes_before_the_preset_of_its_name() -> None:
    assert type(provider("anthropic:m")).__name__ == "Anthropic"


def test_keywords_are_the_constructors() -> None:
    found = provider("openai:gpt-5", api_key="sk-1", base_url="https://h.test", timeout_secs=30)
    wanted = OpenAI("gpt-5", "sk-1", base_url="https://h.test", timeout_secs=30)
    request = tako.ChatRequest(messages=[tako.Message.user("x")])
    assert isinstance(found, OpenAI)
    assert found.http_request(request, stream=False) == wanted.http_request(request, stream=False)
    with pytest.raises(TypeError, match="colour"):
        provider("openai:gpt-5", colour="red")
    with pytest.raises(InvalidInput, match="timeout_secs"):
        provider("openai:gpt-5", timeout_secs=0)


def test_a_fake_has_its_whole_name_for_an_id() -> None:
    found = provider("fake:test", canned_text="hello")
    assert found.id == "fake:test"
    assert found.chat_sync(tako.ChatRequest(messages=[tako.Message.user("x")])).text == "hello"


def test_what_a_vendor_needs_comes_from_keywords_and_then_from_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    request = tako.ChatRequest(messages=[tako.Message.user("x")])

    def address(**options: object) -> str:
        found = provider("vertex:gemini-2.5-pro", access_token="t", **options)
        url: str = found.http_request(request, stream=False).url  # type: ignore[attr-defined]
        return url

    assert "projects/project/" in address() and "us-central1" in address()
    assert "projects/mine/" in address(project_id="mine")
    monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "europe-west4")
    assert "europe-west4" in address() and "us-east1" in address(location="us-east1")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    assert "projects/mine/" in address(project_id="mine")
    assert complaint("vertex:m") == (
        "provider: vertex needs project_id=..., or the environment variable "
        "`GOOGLE_CLOUD_PROJECT` or `GCP_PROJECT`"
    )
    monkeypatch.setenv("GCP_PROJECT", "other")
    assert "projects/other/" in address()


@pytest.mark.parametrize(
    ("model", "owner"),
    [
        ("gpt-5-mini", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("o1", "openai"),
        ("o3-mini", "openai"),
        ("o4-mini-2025-04-16", "openai"),
        ("ft:gpt-4o-mini:org::id", "openai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("gemini-2.5-flash", "gemini"),
        ("mistral-large-latest", "mistral"),
        ("codestral-latest", "mistral"),
    ],
)
def test_a_family_that_only_its_maker_serves_needs_no_vendor(model: str, owner: str) -> None:
    found = provider(model)
    assert (found.id, found.model) == (f"{owner}:{model}", model)


@pytest.mark.parametrize(
    "name", ["llama3:8b", "gpt-oss-120b", "qwen3", "deepseek-r1", "o1x", "anthropic.claude-3", "x:y"]
)
def test_a_model_that_many_serve_needs_its_vendor(name: str) -> None:
    message = complaint(name)
    assert repr(name) in message and "vendor:model" in message
    assert all(vendor in message for vendor in vendors())


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("opnai:gpt-5", "openai:gpt-5"),
        ("Anthropic:claude", "anthropic:claude"),
        ("openai/gpt-5", "openai:gpt-5"),
        ("azure:prod", "azure-openai:prod"),
        ("Google/gemini-2.5-pro", "gemini:gemini-2.5-pro"),
        ("aws:anthropic.claude-3", "bedrock:anthropic.claude-3"),
        ("nobody:m", None),
        ("google", None),
        ("olama:llama3:8b", "ollama:llama3:8b"),
    ],
)
def test_a_name_that_is_nearly_right_is_told_the_right_one(name: str, hint: str | None) -> None:
    message = complaint(name)
    assert ("did you mean" in message) == (hint is not None)
    assert hint is None or f'(did you mean "{hint}"?)' in message


@pytest.mark.parametrize("name", ["", " ", None, 7, ["openai:gpt-5"]])
def test_what_is_no_name_is_refused(name: object) -> None:
    assert "should look like" in complaint(name)


def test_space_around_a_name_is_no_part_of_it() -> None:
    assert provider(" openai: gpt-5\n").model == "gpt-5"


def test_what_no_variable_can_hold_is_named() -> None:
    assert complaint("openai-codex:gpt-5") == "provider: openai-codex needs credentials=..."


def test_a_vendor_alone_names_no_model() -> None:
    assert complaint("openai:") == "provider: 'openai:' names no model; it should look like \"openai:model\""


def test_nothing_but_what_is_asked_for_is_loaded() -> None:
    program = (
        "import sys, tako; tako.provider('openai:gpt-5', api_key='k');"
        "print([name for name in sys.modules if name.startswith('tako.providers.') and "
        "name.split('.')[2] in ('anthropic', 'gemini', 'bedrock', 'mistral', 'ollama', 'http_generic')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
