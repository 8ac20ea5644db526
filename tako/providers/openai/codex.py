"""OpenAI's models over a subscription: the endpoint that the Codex tools use, which speaks responses.

It is not documented and may change. It streams only, stores nothing, and takes no settings for how
tokens are chosen. The credentials are the caller's: tako neither logs in nor refreshes them, and
asks for them before every request, so a function may. A 401 is handed on as it comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from tako.effects import Call, Flow, HttpHead, HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.events import ChatChunk
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.http import HttpProvider
from tako.providers.openai.responses import CAPABILITIES, Summary, usual_thinking
from tako.providers.responses.decode import ResponsesDecoder
from tako.providers.responses.dialect import CODEX
from tako.providers.responses.encode import encode_body
from tako.providers.responses.facts import explained

__all__ = ["CodexCredentials", "CredentialsSource", "OpenAICodex"]

OWNER = CODEX.owner


@dataclass(frozen=True, slots=True)
class CodexCredentials:
    """Who asks. Neither field is ever shown."""

    access_token: str = field(repr=False)
    account_id: str = field(repr=False)


CredentialsSource: TypeAlias = (
    CodexCredentials | Callable[[], CodexCredentials] | Callable[[], Awaitable[CodexCredentials]]
)


class OpenAICodex(HttpProvider):
    """A model behind a ChatGPT subscription.

    model              sent as it is
    credentials        a CodexCredentials, or a function that returns one, asked before every request
    originator         what the vendor is told of who is asking
    reasoning_summary  for requests whose `thinking` names none; None shows no thinking
    reasoning_effort   the same; None is the model's own
    base_url           an address that ends in /codex/responses is taken as it is
    timeout_secs       how long to wait for the next bytes; the whole answer may take longer
    headers            sent with each request; they win over ours

    Raises InvalidInput for a wrong argument.
    """

    _signs = True

    def __init__(
        self,
        model: str,
        credentials: CredentialsSource,
        *,
        originator: str = "tako",
        reasoning_summary: Summary | None = "auto",
        reasoning_effort: str | None = None,
        base_url: str = "https://chatgpt.com/backend-api",
        timeout_secs: float = 120.0,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        own = [
            ("openai-beta", "responses=experimental"),
            ("originator", arguments.header_text(OWNER, "originator", originator)),
        ]
        super().__init__(
            OWNER,
            f"openai-codex:{model}",
            model,
            own_headers=own,
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
        )
        self._url = arguments.service_url(OWNER, base_url, "", "/codex/responses")
        self._thinking = usual_thinking(OWNER, reasoning_effort, reasoning_summary)
        self._credentials = credentials if callable(credentials) else _signature(credentials)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        body = encode_body(
            request,
            dialect=CODEX,
            model=request.model or self.model,
            stream=True,  # the endpoint knows nothing else
            thinking=self._thinking,
        )
        return self.post(self._url, body, stream=True)

    def sign(self, message: HttpRequest) -> Flow[HttpRequest]:
        """The request with the credentials as they are now; raises what the caller's function raises."""
        own = self._credentials
        if callable(own):
            own = _signature((yield Call(own)))
        given = {name for name, _ in message.headers}
        return replace(message, headers=(*message.headers, *(pair for pair in own if pair[0] not in given)))

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        """The whole answer, put together from the stream."""
        return (yield from self.stream_flow(request, _nothing))

    def decode(self, payload: Any) -> ChatResponse:
        return ResponsesDecoder(CODEX).whole(payload)

    def decoder(self) -> ResponsesDecoder:
        return ResponsesDecoder(CODEX)

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        return explained(payload)


def _nothing(chunks: list[ChatChunk]) -> tuple[()]:
    return ()


def _signature(credentials: object) -> tuple[tuple[str, str], ...]:
    """The headers that carry the credentials; raises InvalidInput, which never shows them."""
    if not isinstance(credentials, CodexCredentials):
        raise InvalidInput(
            f"{OWNER}: credentials should be a CodexCredentials, or a function that returns one, "
            f"not {type(credentials).__name__}"
        )
    for name in ("access_token", "account_id"):
        value = getattr(credentials, name)
        if not isinstance(value, str) or not value or not (value.isascii() and value.isprintable()):
            raise InvalidInput(f"{OWNER}: credentials: {name} should be printable ASCII and not empty")
    return (
        ("authorization", f"Bearer {credentials.access_token}"),
        ("chatgpt-account-id", credentials.account_id),
    )
