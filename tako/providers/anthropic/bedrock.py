"""Claude on Amazon Bedrock: the Messages API behind InvokeModel.

| of the Messages API | here                                                                      |
|---------------------|---------------------------------------------------------------------------|
| the model           | in the address, `/invoke` or `/invoke-with-response-stream`               |
| anthropic-version   | `anthropic_version` in the body                                           |
| anthropic-beta      | `anthropic_beta` in the body                                              |
| x-api-key           | a signature (SigV4), or a bearer key of Bedrock                           |
| a stream            | frames of AWS's event stream                                              |
| an error            | the type in a header, the message in the body                             |
| token counting      | `/count-tokens`, with the body as base64; AWS counts for the ids of       |
|                     | models, and not for those of inference profiles                           |
| media by address    | not taken; tako can fetch them                                            |
| batches             | none (Bedrock's own read and write S3)                                    |

| frame                        | what becomes of it                                               |
|------------------------------|------------------------------------------------------------------|
| event `chunk`                | its `bytes` are, in base64, one event of the Messages API        |
| any other event              | skipped                                                          |
| exception or error           | raised, so ChatError and ChatEnd, with the status it stands for  |
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pydantic_core import to_json

from tako.effects import Flow, HttpHead, HttpRequest, TlsOptions
from tako.events import ChatChunk
from tako.models import Capabilities, ChatRequest
from tako.providers import arguments
from tako.providers.answer import known_count
from tako.providers.anthropic.decode import MessagesDecoder
from tako.providers.anthropic.encode import BodyStyle, encode_body
from tako.providers.anthropic.messages import (
    CAPABILITIES,
    Headers,
    MessagesProvider,
    beta_names,
    interleaves,
)
from tako.providers.aws import Aws
from tako.providers.aws_errors import exception_in, refusal_in
from tako.providers.credentials import KeySource
from tako.providers.http import parse_json
from tako.providers.prefetch import prefetch_policy
from tako.wire.eventstream import EventStreamParser, Frame

if TYPE_CHECKING:
    from tako.fetching import UrlPolicy

__all__ = ["AnthropicBedrock", "BedrockMessagesDecoder"]

OWNER: Final = "AnthropicBedrock"
METRICS: Final = "amazon-bedrock-invocationMetrics"


class AnthropicBedrock(MessagesProvider):
    """A Claude model on Amazon Bedrock.

    model                  a model, an inference profile, or the ARN of one
    region                 or else AWS_REGION or AWS_DEFAULT_REGION
    access_key_id, secret_access_key, session_token, profile_name, api_key
                           who asks; without any, AWS's variables or botocore's chain
    endpoint_url           another host, such as one in a private network
    betas                  names for `anthropic_beta`
    url_prefetch           whether tako fetches images and documents given by address, which this host
                           does not (True or a UrlPolicy)

    The rest is as for Anthropic. Raises InvalidInput for a wrong argument.
    """

    accepts = "application/vnd.amazon.eventstream"
    _signs = True

    def __init__(
        self,
        model: str,
        *,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        profile_name: str | None = None,
        api_key: KeySource | None = None,
        endpoint_url: str | None = None,
        timeout_secs: float = 120.0,
        default_max_tokens: int = 4096,
        version: str = "bedrock-2023-05-31",
        betas: Sequence[str] = (),
        headers: Headers = (),
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
        url_prefetch: bool | UrlPolicy = False,
    ) -> None:
        names = beta_names(OWNER, betas)
        super().__init__(
            OWNER,
            f"anthropic-bedrock:{model}",
            model,
            headers=headers,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=CAPABILITIES if capabilities is None else capabilities,
            fetches=prefetch_policy(OWNER, url_prefetch),
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
        self._models = f"{self._aws.runtime_url(endpoint_url)}/model"
        own: dict[str, Any] = {"anthropic_version": arguments.text(OWNER, "version", version)}
        if names:
            own["anthropic_beta"] = names
        self._style = BodyStyle(
            default_max_tokens=arguments.whole_number(OWNER, "default_max_tokens", default_max_tokens),
            interleaved=interleaves(names),
            fetches=False,
            own=own,
        )

    def sign(self, message: HttpRequest) -> Flow[HttpRequest]:
        return self._aws.sign(message)

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        action = "invoke-with-response-stream" if stream else "invoke"
        body = encode_body(request, self._style, model=None)
        return self.post(self._address(request, action), body, stream=stream)

    def count_request(self, request: ChatRequest) -> HttpRequest:
        # What is counted is the body as it would be sent, whole.
        body = base64.b64encode(encode_body(request, self._style, model=None)).decode()
        counted = to_json({"input": {"invokeModel": {"body": body}}})
        return self.post(self._address(request, "count-tokens"), counted, stream=False)

    def count_of(self, payload: dict[str, Any]) -> int | None:
        return known_count(payload.get("inputTokens"))

    def _address(self, request: ChatRequest, action: str) -> str:
        return f"{self._models}/{quote(request.model or self.model, safe='')}/{action}"

    def decoder(self) -> BedrockMessagesDecoder:
        return BedrockMessagesDecoder()

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        if isinstance(payload, dict) and isinstance(payload.get("error"), dict):
            return super().explain(payload, head)  # a gateway in between says it as Anthropic does
        return refusal_in(payload, head)


class BedrockMessagesDecoder(MessagesDecoder):
    """One answer of the Messages API in frames. See the second table at the head of this file."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        super().__init__()
        self._frames = EventStreamParser()

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        if not data:
            raise self._broken_off("message_stop")
        frames = self._frames
        frames.receive_data(data)
        while type(frame := frames.next_event()) is Frame:
            if frame.headers.get(":message-type", "event") != "event":
                raise exception_in(frame)
            if frame.headers.get(":event-type") != "chunk":
                continue
            wrapped = parse_json(frame.payload, "a frame of the stream")["bytes"]
            event = parse_json(base64.b64decode(wrapped), "an event of the stream")
            if type(event) is dict and METRICS in event:
                self._keep_details(event, (METRICS,))
            if self._read(event, chunks):
                return
