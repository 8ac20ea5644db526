"""The well-known services that speak chat completions: where they are, and how they speak.

One table. An address that does not end in a version ends in the path, so that none is added to it. A
service without an address stands wherever its user has it: `base_url` is needed there. The local
servers need no key; if one of their variables is set, its key is sent.

How sure a row is (looked up in November 2026):

| what is known                     | of                                                              |
|-----------------------------------|-----------------------------------------------------------------|
| recorded: address, where it says  | ai21, avian, bedrock-mantle, cerebras, copilot, crusoe,         |
| its thinking, and what else a     | deepseek, doubleword, gemini, groq, heroku, huggingface,        |
| request of the recordings held    | ollama, openrouter, perplexity, snowflake, venice, vercel, xai, |
|                                   | zai; llamacpp and mistralrs, but for the address                |
| documented by the service: the    | anthropic, cohere (its address), dashscope, groq, vllm          |
| address and the flags             |                                                                 |
| told by others' documentation     | cohere (no `stream_options`), minimax, moonshot                 |
| the service's own library, and    | mistral                                                         |
| recordings of its own API         |                                                                 |
| address seen in published code    | baseten, deepinfra, fireworks, github, hyperbolic, nebius,      |
|                                   | novita, nvidia, sambanova, together                             |
| from memory                       | databricks, litellm, lmstudio; names of key variables; every    |
|                                   | flag that is not covered above, `takes_...=False` among them    |

A flag that turns out to be wrong is beaten by `quirks`, without a new version of tako.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from tako.providers.chat_completions.dialect import Dialect

__all__ = ["PRESETS", "TOLERANT", "Preset"]

TOLERANT: Final = Dialect(
    owner="OpenAICompatible",
    vendor="openai-compatible",
    max_tokens_field="max_tokens",
    takes_top_k=True,
    takes_any_audio=True,
    takes_video=True,
    ends_without_blank_line=True,
)
"""How a server is spoken to of which nothing is known: what it does not take, it has to refuse itself."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One service: its address, the variables that may hold its key, and its flags."""

    base_url: str | None
    key_variables: tuple[str, ...]
    flags: Mapping[str, Any] = field(default_factory=dict)
    needs_key: bool = True


def _hosted(base_url: str | None, *key_variables: str, **flags: Any) -> Preset:
    return Preset(base_url, key_variables, MappingProxyType(flags))


def _local(base_url: str, *key_variables: str, **flags: Any) -> Preset:
    return Preset(base_url, key_variables, MappingProxyType(flags), needs_key=False)


# What several services have in common, so that the table stays readable.
_PLAIN: Final = {"takes_top_k": False, "takes_video": False}
_GATEWAY: Final = {
    "thinking": "reasoning",
    "returns_details": True,
    "returns_images": True,
    "takes_cache_marks": True,
    "takes_file_urls": True,
}
_RETURNS_CONTENT: Final = {"returns_thinking": "reasoning_content"}

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "ai21": _hosted("https://api.ai21.com/studio/v1", "AI21_API_KEY", thinking="none", **_PLAIN),
        # It would ignore these, not refuse them; `n` has to be 1.
        "anthropic": _hosted(
            "https://api.anthropic.com/v1",
            "ANTHROPIC_API_KEY",
            thinking="thinking",
            takes_schema=False,
            takes_choices=False,
            takes_penalties=False,
            takes_logprobs=False,
            **_PLAIN,
        ),
        "avian": _hosted("https://api.avian.io/v1", "AVIAN_API_KEY", **_RETURNS_CONTENT),
        "baseten": _hosted("https://inference.baseten.co/v1", "BASETEN_API_KEY"),
        "bedrock-mantle": _hosted(None, "AWS_BEARER_TOKEN_BEDROCK", **_PLAIN),
        "cerebras": _hosted(
            "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY", returns_thinking="reasoning", **_PLAIN
        ),
        "cohere": _hosted(
            "https://api.cohere.ai/compatibility/v1",
            "CO_API_KEY",
            "COHERE_API_KEY",
            asks_for_usage=False,
            **_PLAIN,
        ),
        "copilot": _hosted(
            "https://api.githubcopilot.com/chat/completions",
            "GITHUB_COPILOT_API_KEY",
            "GITHUB_COPILOT_API_TOKEN",
            max_tokens_field="auto",
            **_PLAIN,
        ),
        "crusoe": _hosted(
            "https://api.inference.crusoecloud.com/v1", "CRUSOE_API_KEY", returns_thinking="reasoning"
        ),
        "dashscope": _hosted(
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            "DASHSCOPE_API_KEY",
            thinking="enable_thinking",
            takes_cache_marks=True,
            **_RETURNS_CONTENT,
        ),
        "databricks": _hosted(
            None, "DATABRICKS_TOKEN", thinking="thinking", takes_cache_marks=True, **_PLAIN
        ),
        "deepinfra": _hosted(
            "https://api.deepinfra.com/v1/openai/chat/completions", "DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"
        ),
        "deepseek": _hosted(
            "https://api.deepseek.com/chat/completions",
            "DEEPSEEK_API_KEY",
            thinking="thinking",
            takes_schema=False,
            takes_choices=False,
            takes_files=False,
            **_RETURNS_CONTENT,
            **_PLAIN,
        ),
        "doubleword": _hosted("https://api.doubleword.ai/v1", "DOUBLEWORD_API_KEY", **_RETURNS_CONTENT),
        "fireworks": _hosted(
            "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", **_RETURNS_CONTENT
        ),
        "gemini": _hosted(
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            "GEMINI_API_KEY",
            "GOOGLE_API_KEY",
            **_PLAIN,
        ),
        "github": _hosted(
            "https://models.github.ai/inference/chat/completions",
            "GITHUB_API_KEY",
            "GITHUB_TOKEN",
            max_tokens_field="auto",
            **_PLAIN,
        ),
        "groq": _hosted(
            "https://api.groq.com/openai/v1",
            "GROQ_API_KEY",
            max_tokens_field="max_completion_tokens",
            takes_choices=False,
            takes_logprobs=False,
            **_PLAIN,
        ),
        "heroku": _hosted("https://us.inference.heroku.com/v1", "HEROKU_INFERENCE_KEY", thinking="none"),
        "huggingface": _hosted("https://router.huggingface.co/v1", "HF_TOKEN"),
        "hyperbolic": _hosted("https://api.hyperbolic.xyz/v1", "HYPERBOLIC_API_KEY"),
        "litellm": _local(
            "http://localhost:4000",
            "LITELLM_API_KEY",
            "LITELLM_PROXY_API_KEY",
            takes_cache_marks=True,
            takes_file_urls=True,
            **_RETURNS_CONTENT,
        ),
        "llamacpp": _local("http://localhost:8080", "LLAMA_API_KEY", thinking="template", **_RETURNS_CONTENT),
        "lmstudio": _local("http://localhost:1234", "LM_STUDIO_API_KEY"),
        "minimax": _hosted(
            "https://api.minimax.io/v1",
            "MINIMAX_API_KEY",
            returns_details=True,
            thinking="none",
            takes_choices=False,
            takes_penalties=False,
        ),
        "mistral": _hosted(
            "https://api.mistral.ai/v1",
            "MISTRAL_API_KEY",
            seed_field="random_seed",
            # Its own library has no `stream_options`, and its streams tell their usage unasked.
            asks_for_usage=False,
            **_PLAIN,
        ),
        "mistralrs": _local("http://localhost:1234", thinking="enable_thinking"),
        "moonshot": _hosted(
            "https://api.moonshot.ai/v1",
            "MOONSHOT_API_KEY",
            "MOONSHOTAI_API_KEY",
            thinking="thinking",
            takes_top_k=False,
            **_RETURNS_CONTENT,
        ),
        "nebius": _hosted("https://api.studio.nebius.com/v1", "NEBIUS_API_KEY"),
        "novita": _hosted("https://api.novita.ai/openai/v1", "NOVITA_API_KEY", thinking="enable_thinking"),
        "nvidia": _hosted(
            "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY", thinking="template"
        ),
        "ollama": _local("http://localhost:11434", "OLLAMA_API_KEY", returns_thinking="reasoning"),
        "openrouter": _hosted("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", **_GATEWAY),
        "perplexity": _hosted(
            "https://api.perplexity.ai/chat/completions", "PERPLEXITY_API_KEY", ends_without_done=True
        ),
        "sambanova": _hosted("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
        "snowflake": _hosted(
            None,
            "SNOWFLAKE_TOKEN",
            thinking="reasoning",
            returns_details=True,
            max_tokens_field="max_completion_tokens",
            **_PLAIN,
        ),
        "together": _hosted("https://api.together.xyz/v1", "TOGETHER_API_KEY", "TOGETHER_AI_API_KEY"),
        "venice": _hosted(
            "https://api.venice.ai/api/v1", "VENICE_API_KEY", "VENICE_AI_API_KEY", **_RETURNS_CONTENT
        ),
        "vercel": _hosted(
            "https://ai-gateway.vercel.sh/v1",
            "AI_GATEWAY_API_KEY",
            "VERCEL_AI_GATEWAY_API_KEY",
            "VERCEL_OIDC_TOKEN",
            **_GATEWAY,
        ),
        "vllm": _local(
            "http://localhost:8000", "VLLM_API_KEY", thinking="template", returns_thinking="reasoning"
        ),
        "xai": _hosted("https://api.x.ai/v1", "XAI_API_KEY", **_RETURNS_CONTENT, **_PLAIN),
        "zai": _hosted(
            "https://api.z.ai/api/paas/v4",
            "ZAI_API_KEY",
            thinking="thinking",
            takes_schema=False,
            takes_choices=False,
            takes_file_urls=True,
            takes_top_k=False,
            **_RETURNS_CONTENT,
        ),
    }
)
