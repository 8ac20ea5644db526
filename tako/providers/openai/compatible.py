"""OpenAICompatible: the servers that speak chat completions, each in its own way.

A preset is a row of the table in `presets`: an address, the variables of the key, and flags. Without
one, `base_url` says where the server is and `quirks` what is particular about it; what is said beats
the preset. The flags are the fields of `Dialect`, and documented there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import urlsplit

from tako.effects import HttpHead, HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.chat_completions.decode import ChatDecoder
from tako.providers.chat_completions.dialect import (
    FLAGS,
    Dialect,
    LimitField,
    ThinkingField,
    ThoughtField,
)
from tako.providers.chat_completions.encode import encode_body
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider
from tako.providers.openai.presets import PRESETS, TOLERANT, Preset
from tako.providers.prefetch import prefetch_policy

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["OpenAICompatible"]

OWNER: Final = TOLERANT.owner
CAPABILITIES: Final = Capabilities(
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
    supports_thinking=True,
)

CHOICES: Final[dict[str, tuple[Any, ...]]] = {
    "max_tokens_field": get_args(LimitField),
    "thinking": get_args(ThinkingField),
    "returns_thinking": (*get_args(ThoughtField), None),
}


class OpenAICompatible(HttpProvider):
    """A model behind a server that speaks OpenAI's chat completions.

    model         sent as it is, whatever colons and slashes are in it
    api_key       a key, `$ENV:NAME`, a function, or None for the variable of the preset; "" sends none
    preset        the name of a well-known service, such as "groq"
    base_url      where the server is, if there is no preset or it stands elsewhere; with or without a
                  version; an address that ends in /chat/completions is taken as it is
    quirks        flags of `Dialect` by name, which beat those of the preset
    timeout_secs  how long to wait for the next bytes; the whole answer may take longer
    headers       sent with each request; they win over ours
    url_prefetch  whether tako fetches what is given by address; a UrlPolicy says how, and so do the
                  url_prefetch_... options (see prefetch.py)

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    def __init__(
        self,
        model: str,
        api_key: KeySource | None = None,
        *,
        preset: str | None = None,
        base_url: str | None = None,
        quirks: Mapping[str, Any] | None = None,
        timeout_secs: float = 120.0,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        url_prefetch: bool | UrlPolicy = False,
        url_prefetch_allow_http: bool = False,
        url_prefetch_allow_private_ips: bool = False,
        url_prefetch_allow_hosts: Sequence[str] | None = None,
        url_prefetch_allow_cidrs: Sequence[str] | None = None,
        url_prefetch_timeout_secs: float | None = None,
        url_prefetch_max_bytes: int | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        known = _preset(preset)
        address = known.base_url if base_url is None else base_url
        if address is None:
            where = f"preset {preset!r} has no address of its own" if preset else "or a preset"
            raise InvalidInput(f"{OWNER}: base_url is needed ({where})")
        self._url = arguments.service_url(OWNER, address, "/v1", "/chat/completions")
        name = preset or urlsplit(self._url).hostname or ""
        self._dialect = replace(
            TOLERANT, owner=preset or OWNER, vendor=name, **{**known.flags, **_checked(quirks or {})}
        )
        if api_key is None and not known.needs_key and not any(map(os.environ.get, known.key_variables)):
            api_key = ""
        super().__init__(
            OWNER,
            f"{preset or 'openai-compatible'}:{model}",
            model,
            key=api_key,
            key_variables=known.key_variables,
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
            fetches=prefetch_policy(
                OWNER,
                url_prefetch,
                allow_http=url_prefetch_allow_http,
                allow_private_ips=url_prefetch_allow_private_ips,
                allow_hosts=url_prefetch_allow_hosts,
                allow_cidrs=url_prefetch_allow_cidrs,
                timeout_secs=url_prefetch_timeout_secs,
                max_bytes=url_prefetch_max_bytes,
            ),
        )

    @property
    def dialect(self) -> Dialect:
        """How this server is spoken to: the preset's flags and the quirks."""
        return self._dialect

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        model = request.model or self.model
        body = encode_body(request, dialect=self._dialect, model=model, stream=stream)
        return self.post(self._url, body, stream=stream)

    def decode(self, payload: Any) -> ChatResponse:
        return ChatDecoder(self._dialect).whole(payload)

    def decoder(self) -> ChatDecoder:
        return ChatDecoder(self._dialect)

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        """Also a list of one error, `detail` or `msg` for the message, and a `code` that is a number."""
        if isinstance(payload, list) and len(payload) == 1:
            payload = payload[0]
        message, code = super().explain(payload, head)
        if message is None and isinstance(payload, dict):
            other = next((payload[name] for name in ("detail", "msg", "message") if payload.get(name)), None)
            message = other if isinstance(other, str) else None
        return message, code


def _preset(name: str | None) -> Preset:
    if name is None:
        return Preset(None, ())
    if name not in PRESETS:
        raise InvalidInput(f"{OWNER}: preset should be one of {', '.join(PRESETS)}, not {name!r}")
    return PRESETS[name]


def _checked(quirks: Mapping[str, Any]) -> Mapping[str, Any]:
    """The flags, each of them known and of a value that it can have; raises InvalidInput."""
    for name, value in quirks.items():
        if name not in FLAGS:
            raise InvalidInput(f"{OWNER}: quirks: there is no {name!r}; there are {', '.join(sorted(FLAGS))}")
        if name == "seed_field":
            arguments.text(OWNER, "quirks: seed_field", value)
        elif value not in CHOICES.get(name, (True, False)) or (
            name not in CHOICES and type(value) is not bool
        ):
            choices = " or ".join(map(repr, CHOICES.get(name, (True, False))))
            raise InvalidInput(f"{OWNER}: quirks: {name} should be {choices}, not {value!r}")
    return quirks
