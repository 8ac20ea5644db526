"""Writes docs/providers/features.md: what each provider can be asked, found out by asking.

    python docs/features.py

For each feature a request is encoded with it and without it. "yes" means that the vendor's request
says it; "no", that the provider refuses it; "-", that it is left out, as documented for marks that
a vendor has no use for. A test sees to it that the page is as this program writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tako.errors import InvalidInput
from tako.models import ChatRequest, ContentPart, Message, Thinking, ToolSchema
from tako.parts import CacheControl, TextPart
from tako.providers import (
    Anthropic,
    AzureOpenAI,
    Bedrock,
    Gemini,
    HttpGeneric,
    Mistral,
    Ollama,
    OpenAI,
    OpenAICodex,
    OpenAICompatible,
    OpenAIResponses,
    Vertex,
)
from tako.providers.http import HttpProvider
from tako.providers.openai.codex import CodexCredentials

PAGE = Path(__file__).parent / "providers" / "features.md"

KEYS: Any = {"region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"}
TEMPLATE = {
    "model": "{{ model }}",
    "messages": "{{ messages | openai }}",
    "tools": "{{ tools | openai }}",
    "temperature": "{{ temperature }}",
    "max_tokens": "{{ max_tokens }}",
    "stop": "{{ stop }}",
}
POINTERS: Any = {"tool_calls_pointer": "/choices/0/message/tool_calls"}
PROVIDERS: dict[str, HttpProvider] = {
    "OpenAI": OpenAI("gpt-5", "key"),
    "Compatible": OpenAICompatible("m", "key", base_url="https://host.example/v1"),
    "Responses": OpenAIResponses("gpt-5", "key"),
    "Codex": OpenAICodex("gpt-5", CodexCredentials("token", "account")),
    "Azure": AzureOpenAI("https://name.openai.azure.com", "gpt-5", "key"),
    "Anthropic": Anthropic("claude-sonnet-4-5", "key", default_max_tokens=8192),
    "Gemini": Gemini("gemini-2.5-flash", "key"),
    "Vertex": Vertex("project", "gemini-2.5-flash", "token"),
    "Bedrock": Bedrock("anthropic.claude-sonnet-4-5-20250929-v1:0", **KEYS),
    "Mistral": Mistral("mistral-large-latest", "key"),
    "Ollama": Ollama("llama3.2"),
    "HttpGeneric": HttpGeneric(
        "mine",
        "m",
        "https://host.example/chat",
        TEMPLATE,
        "/choices/0/message/content",
        response_config=POINTERS,
    ),
}

PNG = b"\x89PNG\r\n\x1a\n" + bytes(24)
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}
TOOL = ToolSchema(name="look", description="Look at it.", input_schema=SCHEMA)
STRICT = TOOL.model_copy(update={"strict": True})
MARKED_TOOL = TOOL.model_copy(update={"cache_control": CacheControl()})
ASKED = [Message.user("Look."), Message.assistant([ContentPart.tool_call("call00001", "look", {"x": 1})])]


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [Message.user([TextPart(text="Hi"), *parts])]}


def result(**fields: Any) -> dict[str, Any]:
    answer = ContentPart.tool_result("call00001", "seen", name="look", **fields)
    return {"messages": [*ASKED, Message.tool([answer])], "tools": [TOOL]}


def call(**fields: Any) -> dict[str, Any]:
    return {**user(), "tools": [TOOL], **fields}


PLAIN = user()
FEATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "System messages": ({"messages": [Message.system("Be brief."), *PLAIN["messages"]]}, PLAIN),
    "Images as data": (user(ContentPart.image(PNG)), PLAIN),
    "Images by address": (user(ContentPart.image_url("https://host.example/a.png")), PLAIN),
    "PDF as data": (user(ContentPart.document(b"%PDF-1.7")), PLAIN),
    "PDF by address": (user(ContentPart.document("https://host.example/a.pdf")), PLAIN),
    "Documents as text": (user(ContentPart.document("It says so.")), PLAIN),
    "Sound as data": (user(ContentPart.audio(b"RIFF")), PLAIN),
    "Film as data": (user(ContentPart.video(b"0000")), PLAIN),
    "Tools": (call(), PLAIN),
    "Strict tools": (call(tools=[STRICT]), call()),
    "Some tool has to be called": (call(tool_choice="required"), call()),
    "This tool has to be called": (call(tool_choice="look"), call()),
    "No tool may be called": (call(tool_choice="none"), call()),
    "One call at a time": (call(parallel_tool_calls=False), call()),
    "Errors of tools": (result(is_error=True), result()),
    "Images in results": (result(content=[TextPart(text="seen"), ContentPart.image(PNG)]), result()),
    "Structured output": ({**PLAIN, "output_schema": SCHEMA}, PLAIN),
    "Thinking by effort": ({**PLAIN, "thinking": Thinking(effort="high")}, PLAIN),
    "Thinking by budget": ({**PLAIN, "thinking": Thinking(budget_tokens=2048)}, PLAIN),
    "Thinking off": ({**PLAIN, "thinking": Thinking(enabled=False)}, PLAIN),
    "Cache marks in messages": (
        user(TextPart(text="!", cache_control=CacheControl())),
        user(TextPart(text="!")),
    ),
    "Cache marks on tools": (call(tools=[MARKED_TOOL]), call()),
    "max_tokens": ({**PLAIN, "max_tokens": 5000}, PLAIN),
    "temperature": ({**PLAIN, "temperature": 0.5}, PLAIN),
    "top_p": ({**PLAIN, "top_p": 0.5}, PLAIN),
    "top_k": ({**PLAIN, "top_k": 5}, PLAIN),
    "presence_penalty": ({**PLAIN, "presence_penalty": 0.5}, PLAIN),
    "frequency_penalty": ({**PLAIN, "frequency_penalty": 0.5}, PLAIN),
    "stop": ({**PLAIN, "stop": ["END"]}, PLAIN),
    "seed": ({**PLAIN, "seed": 7}, PLAIN),
    "n": ({**PLAIN, "n": 2}, PLAIN),
    "top_logprobs": ({**PLAIN, "top_logprobs": 2}, PLAIN),
    "metadata": ({**PLAIN, "metadata": {"user_id": "7"}}, PLAIN),
}


def answer(provider: HttpProvider, with_it: dict[str, Any], without: dict[str, Any]) -> str:
    """Whether the provider can be asked for a feature."""
    try:
        body = provider.http_request(ChatRequest(**with_it), stream=False).body
    except InvalidInput as error:
        return "fetched" if "url_prefetch" in error.message else "no"
    return "yes" if body != provider.http_request(ChatRequest(**without), stream=False).body else "-"


def page() -> str:
    """The page as it should be."""
    rows = [
        ("", *PROVIDERS),
        ("---", *("---" for _ in PROVIDERS)),
        *(
            (name, *(answer(provider, *requests) for provider in PROVIDERS.values()))
            for name, requests in FEATURES.items()
        ),
    ]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return f"{INTRODUCTION}\n{table}\n"


INTRODUCTION = """# What each provider can be asked

`python docs/features.py` wrote this page by encoding a request with each feature and one without it.
"yes": the vendor's request says it. "no": the provider refuses it with an `InvalidInput` that says why.
"-": it is left out, because the vendor has no use for it. "fetched": tako fetches it if it is allowed to
(`url_prefetch=True`), and sends the data.

The models in the examples are of the kind that has most: thinking, say, is refused by some older ones.
Fields of a vendor's own go into `extra`, tools of its own into `extra={"tools": [...]}`, blocks of its
own into an `OpaquePart`.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
