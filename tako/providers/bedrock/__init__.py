"""Models behind Amazon Bedrock's Converse API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from tako.effects import Flow, HttpHead, HttpRequest, TlsOptions
from tako.models import Capabilities, ChatRequest, ChatResponse
from tako.providers.aws import Aws
from tako.providers.aws_errors import refusal_in
from tako.providers.bedrock.blocks import OWNER
from tako.providers.bedrock.decode import ConverseDecoder
from tako.providers.bedrock.encode import encode_body
from tako.providers.credentials import KeySource
from tako.providers.http import HttpProvider
from tako.providers.prefetch import prefetch_policy

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["Bedrock"]

CAPABILITIES: Final = Capabilities(
    max_context_tokens=200_000,
    supports_streaming=True,
    supports_tools=True,
    supports_vision=True,
    supports_json_mode=True,
    supports_documents=True,
    supports_thinking=True,
)


class Bedrock(HttpProvider):
    """A model behind the Converse API.

    model           the id of a model, of an inference profile, or an ARN
    region          None for AWS_REGION or AWS_DEFAULT_REGION
    endpoint_url    another address than the region's own, such as a VPC endpoint or a gateway
    profile_name, access_key_id, secret_access_key, session_token, api_key
                    who asks; without any, what AWS tools usually find (see tako.providers.aws)
    timeout_secs    how long to wait for the next bytes; the whole answer may take longer
    headers         sent and signed with each request; an authorization header stands for itself
    url_prefetch    True or a UrlPolicy: tako fetches media that are given by http address, which
                    Bedrock does not; the url_prefetch_* options are those of the UrlPolicy

    Raises InvalidInput for a wrong argument and for a region that is not known.
    """

    accepts = "application/vnd.amazon.eventstream"
    _signs = True

    def __init__(
        self,
        model: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        profile_name: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        api_key: KeySource | None = None,
        timeout_secs: float = 120.0,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
        url_prefetch: bool | UrlPolicy = False,
        url_prefetch_allow_http: bool = False,
        url_prefetch_allow_private_ips: bool = False,
        url_prefetch_allow_hosts: Sequence[str] | None = None,
        url_prefetch_allow_cidrs: Sequence[str] | None = None,
        url_prefetch_timeout_secs: float | None = None,
        url_prefetch_max_bytes: int | None = None,
    ) -> None:
        super().__init__(
            OWNER,
            f"bedrock:{model}",
            model,
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
        self._aws = Aws(
            OWNER,
            region=region,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            session_token=session_token,
            profile_name=profile_name,
            api_key=api_key,
        )
        self._base = self._aws.runtime_url(endpoint_url)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        model = request.model or self.model
        # Encoded here and nowhere else: what is signed has to be what is sent.
        url = f"{self._base}/model/{quote(model, safe='')}/{'converse-stream' if stream else 'converse'}"
        return self.post(url, encode_body(request, model=model), stream=stream)

    def sign(self, message: HttpRequest) -> Flow[HttpRequest]:
        return self._aws.sign(message)

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        return refusal_in(payload, head)

    def decode(self, payload: Any) -> ChatResponse:
        return ConverseDecoder().whole(payload)

    def decoder(self) -> ConverseDecoder:
        return ConverseDecoder()
