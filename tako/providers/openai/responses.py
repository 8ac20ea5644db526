"""OpenAI's responses API, and every server that speaks the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from tako.effects import HttpHead, HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse, Thinking
from tako.providers import arguments
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider
from tako.providers.responses.decode import ResponsesDecoder
from tako.providers.responses.dialect import OPENAI
from tako.providers.responses.encode import encode_body
from tako.providers.responses.facts import explained

__all__ = ["OpenAIResponses", "Summary", "usual_thinking"]

OWNER = OPENAI.owner
CAPABILITIES = Capabilities(
    max_context_tokens=128_000,
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
    supports_documents=True,
    supports_thinking=True,
)

Summary: TypeAlias = Literal["auto", "concise", "detailed"]


def usual_thinking(owner: str, effort: str | None, summary: str | None) -> Thinking:
    """What requests that leave it open ask for; raises InvalidInput."""
    if effort is not None:
        arguments.text(owner, "reasoning_effort", effort)
    if summary not in (None, "auto", "concise", "detailed"):
        raise InvalidInput(
            f"{owner}: reasoning_summary should be auto, concise, detailed or None, not {summary!r}"
        )
    return Thinking(effort=effort, summary=summary)  # type: ignore[arg-type]


class OpenAIResponses(HttpProvider):
    """A model behind the responses API.

    model              sent as it is
    api_key            a key, `$ENV:NAME`, a function, or None for OPENAI_API_KEY; "" sends none
    base_url           with or without /v1; an address that ends in /responses is taken as it is
    store              whether the vendor keeps the answers, so that previous_response_id finds them;
                       if not, reasoning comes back encrypted and travels with the conversation
    reasoning_effort   for requests whose `thinking` names none; None is the model's own
    reasoning_summary  the same, for what is shown of the thinking
    timeout_secs       how long to wait for the next bytes; the whole answer may take longer
    headers            sent with each request; they win over ours

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    def __init__(
        self,
        model: str,
        api_key: KeySource | None = None,
        *,
        base_url: str = "https://api.openai.com",
        organization: str | None = None,
        project: str | None = None,
        store: bool = False,
        reasoning_effort: str | None = None,
        reasoning_summary: Summary | None = None,
        timeout_secs: float = 120.0,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        own = [
            (f"openai-{name}", arguments.header_text(OWNER, name, value))
            for name, value in (("organization", organization), ("project", project))
            if value is not None
        ]
        super().__init__(
            OWNER,
            f"openai-responses:{model}",
            model,
            key=api_key,
            key_variables=("OPENAI_API_KEY",),
            own_headers=own,
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
        )
        self._url = arguments.service_url(OWNER, base_url, "/v1", "/responses")
        self._store = arguments.instance(OWNER, "store", store, bool)
        self._thinking = usual_thinking(OWNER, reasoning_effort, reasoning_summary)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(
            request,
            dialect=OPENAI,
            model=request.model or self.model,
            stream=stream,
            store=self._store,
            thinking=self._thinking,
        )
        return self.post(self._url, body, stream=stream)

    def decode(self, payload: Any) -> ChatResponse:
        return ResponsesDecoder(OPENAI).whole(payload)

    def decoder(self) -> ResponsesDecoder:
        return ResponsesDecoder(OPENAI)

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        return explained(payload)
