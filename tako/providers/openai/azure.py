"""OpenAI's models on Azure: chat completions and responses, by deployment or under the v1 path.

| api_version         | api         | where                                                                |
|---------------------|-------------|----------------------------------------------------------------------|
| a date              | "chat"      | {endpoint}/openai/deployments/{deployment}/chat/completions          |
| a date              | "responses" | {endpoint}/openai/responses                                          |
| "v1"                | either      | {endpoint}/openai/v1/chat/completions, {endpoint}/openai/v1/responses |
| "latest", "preview" | either      | the same                                                             |

All but "v1" are named in the query (`api-version=...`). The body names the deployment as its model,
which only the first row could do without: there, a request's own `model` is another deployment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from tako.effects import HttpHead, HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers import arguments
from tako.providers.answer import AnswerDecoder
from tako.providers.chat_completions.decode import ChatDecoder
from tako.providers.chat_completions.dialect import OPENAI as CHAT
from tako.providers.chat_completions.dialect import LimitField, limited_by
from tako.providers.chat_completions.encode import encode_body as encode_chat
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider
from tako.providers.openai.chat import CAPABILITIES as CHAT_CAPABILITIES
from tako.providers.openai.responses import CAPABILITIES as RESPONSES_CAPABILITIES
from tako.providers.responses.decode import ResponsesDecoder
from tako.providers.responses.dialect import AZURE
from tako.providers.responses.encode import encode_body as encode_responses
from tako.providers.responses.facts import explained

__all__ = ["AzureOpenAI"]

OWNER = AZURE.owner
# What the filters say stands beside pieces of text.
AZURE_CHAT = replace(CHAT, owner=OWNER, vendor="azure", has_facts_beside_text=True)
CAPABILITIES = {"chat": CHAT_CAPABILITIES, "responses": RESPONSES_CAPABILITIES}
V1 = ("v1", "latest", "preview")
PASTED = ("/openai/v1", "/openai")


class AzureOpenAI(HttpProvider):
    """A deployment of one of OpenAI's models on Azure.

    endpoint          of the resource, such as https://name.openai.azure.com
    deployment        the name that the model was deployed under
    api_key           a key, `$ENV:NAME`, a function, or None for AZURE_OPENAI_API_KEY; "" sends none
    token             a Microsoft Entra token instead of a key, or a function that keeps one fresh
    api_version       a date as Azure names its versions, or "v1", "latest" or "preview" for the v1 path
    api               "chat" for chat completions, or "responses"
    store             as OpenAIResponses has it; for api="responses" alone
    max_tokens_field  what max_tokens is called, as a deployment's name need not tell its model; for
                      api="chat" alone
    timeout_secs      how long to wait for the next bytes; the whole answer may take longer
    headers           sent with each request; they win over ours

    Raises InvalidInput for a wrong argument and for a key that is not there.
    """

    def __init__(
        self,
        endpoint: str,
        deployment: str,
        api_key: KeySource | None = None,
        *,
        api_version: str = "2024-10-21",
        api: Literal["chat", "responses"] = "chat",
        token: KeySource | None = None,
        store: bool = False,
        max_tokens_field: LimitField = "auto",
        timeout_secs: float = 120.0,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        if api not in ("chat", "responses"):
            raise InvalidInput(f"{OWNER}: api should be chat or responses, not {api!r}")
        if token is not None and api_key is not None:
            raise InvalidInput(f"{OWNER}: token goes in the place of api_key: pass one of them")
        self._has_token = token is not None
        super().__init__(
            OWNER,
            f"azure-openai:{deployment}",
            arguments.text(OWNER, "deployment", deployment),
            key=api_key if token is None else token,
            key_argument="api_key" if token is None else "token",
            key_variables=("AZURE_OPENAI_API_KEY",),
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES[api] if capabilities is None else capabilities,
        )
        self._dialect = limited_by(AZURE_CHAT, max_tokens_field)
        if (store and api == "chat") or (max_tokens_field != "auto" and api == "responses"):
            name = "store" if api == "chat" else "max_tokens_field"
            raise InvalidInput(f"{OWNER}: {name} has no meaning for api={api!r}")
        self._api = api
        self._store = arguments.instance(OWNER, "store", store, bool)
        self._endpoint = _endpoint(endpoint)
        self._version = arguments.header_text(OWNER, "api_version", api_version)

    def key_headers(self, key: str) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {key}"),) if self._has_token else (("api-key", key),)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        deployment = request.model or self.model
        if self._api == "chat":
            body = encode_chat(request, dialect=self._dialect, model=deployment, stream=stream)
        else:
            body = encode_responses(
                request, dialect=AZURE, model=deployment, stream=stream, store=self._store
            )
        return self.post(self._url(deployment), body, stream=stream)

    def _url(self, deployment: str) -> str:
        root = f"{self._endpoint}/openai"
        if self._version in V1:
            root += "/v1"
        elif self._api == "chat":
            root += f"/deployments/{quote(deployment, safe='')}"
        path = "/chat/completions" if self._api == "chat" else "/responses"
        query = "" if self._version == "v1" else f"?api-version={quote(self._version, safe='')}"
        return f"{root}{path}{query}"

    def decode(self, payload: Any) -> ChatResponse:
        return self.decoder().whole(payload)

    def decoder(self) -> AnswerDecoder:
        return ChatDecoder(self._dialect) if self._api == "chat" else ResponsesDecoder(AZURE)

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        return explained(payload)


def _endpoint(endpoint: str) -> str:
    """The address of the resource, without the paths that the portal shows it with; raises InvalidInput."""
    address = arguments.text(OWNER, "endpoint", endpoint).rstrip("/")
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        valid = valid and not parts.query and not parts.fragment
    except ValueError:
        valid = False
    if not valid or not address.isascii() or " " in address:
        raise InvalidInput(
            f"{OWNER}: endpoint should look like https://name.openai.azure.com, not {endpoint!r}"
        )
    for path in PASTED:
        address = address.removesuffix(path)
    return address
