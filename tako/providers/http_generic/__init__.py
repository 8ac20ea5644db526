"""HttpGeneric: any vendor that takes JSON and answers with JSON, described by a template and pointers.

    HttpGeneric(
        "parrot",
        "parrot-1",
        "https://parrot.test/v1/talk",
        {"model": "{{ model }}", "messages": "{{ messages | openai }}", "heat": "{{ temperature }}"},
        "/reply/text",
        headers=[("authorization", "Bearer $PARROT_KEY")],
        stream_config={"kind": "ndjson", "content_pointer": "/say", "finish_reason_pointer": "/over"},
    )

| file             | knows                                    |
|------------------|------------------------------------------|
| template, values | what goes into the body                  |
| config, pointer  | where things are in answers and streams  |
| decode           | what becomes of them                     |
| headers          | keys                                     |

Invariant: nothing that a request sets is left out. Where the template has no place for it, or no
pointer could find the answer to it, that is an InvalidInput before anything is sent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic_core import from_json

from tako.effects import Flow, HttpHead, HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import Capabilities, ChatRequest, ChatResponse, FinishReason
from tako.providers.body import json_bytes, merge_extra
from tako.providers.http import HttpProvider
from tako.providers.http_generic.config import ResponseConfig, Shape, StreamConfig
from tako.providers.http_generic.decode import REASONS, GenericDecoder
from tako.providers.http_generic.headers import HeaderValues, given_values
from tako.providers.http_generic.pointer import Pointer
from tako.providers.http_generic.template import Slot, Template
from tako.providers.http_generic.values import FORMATS, Values, require

__all__ = ["HttpGeneric", "ResponseConfig", "StreamConfig"]

OWNER = "HttpGeneric"
C = TypeVar("C", bound=ResponseConfig)


class HttpGeneric(HttpProvider):
    """A model behind a template.

    id                     what errors and traces call it
    url                    where to POST to; `{{ model }}` in it is the model's name
    body_template          the body, as JSON or its text, with placeholders (see `values`)
    response_text_pointer  where the text is in a whole answer
    response_config        where the rest is in a whole answer (see `config`)
    stream_config          how a stream looks; without it there is no streaming
    finish_reasons         what the vendor's reasons mean, besides those that are known
    error_message_pointer, error_code_pointer  where a refusal says why, if not under /error
    headers                pairs; `$NAME` is a variable, a function is asked before each request

    Raises InvalidInput for a wrong argument and for a variable that is not set.
    """

    def __init__(
        self,
        id: str,
        model: str,
        url: str,
        body_template: Any,
        response_text_pointer: str,
        *,
        headers: HeaderValues = (),
        timeout_secs: float = 120.0,
        response_config: ResponseConfig | Mapping[str, Any] | None = None,
        stream_config: StreamConfig | Mapping[str, Any] | None = None,
        finish_reasons: Mapping[str, FinishReason] | None = None,
        error_message_pointer: str | None = None,
        error_code_pointer: str | None = None,
        tls: TlsOptions | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        if not all(isinstance(value, str) and value.strip() for value in (id, model, url)):
            raise InvalidInput(f"{OWNER}: id, model, url are required, each as text that is not empty")
        self._url = Template(f"{OWNER}: url", _checked_url(url), {"model": FORMATS["model"]})
        self._body = Template(f"{OWNER}: body_template", _as_json(body_template), FORMATS)
        self._names = {slot.name for slot in (*self._body.slots, *self._url.slots)}
        whole = _config(ResponseConfig, response_config) or ResponseConfig()
        self._stream = _config(StreamConfig, stream_config)
        self._whole_shape = Shape(_pointer("response_text_pointer", response_text_pointer).text, whole)
        self._stream_shape = Shape(self._stream.content_pointer, self._stream) if self._stream else None
        self._reasons: dict[str, FinishReason] = {**REASONS, **_reasons(finish_reasons)}
        self._error = (
            None
            if error_message_pointer is None
            else _pointer("error_message_pointer", error_message_pointer),
            None if error_code_pointer is None else _pointer("error_code_pointer", error_code_pointer),
        )
        self.accepts = "application/x-ndjson" if self._is_ndjson else "text/event-stream"
        known, self._asked = given_values(OWNER, headers, os.environ)
        self._signs = bool(self._asked)
        super().__init__(
            OWNER,
            id,
            model,
            headers=known,
            timeout_secs=timeout_secs,
            tls=tls,
            capabilities=self._usual_capabilities() if capabilities is None else capabilities,
        )

    @property
    def supports_streaming(self) -> bool:
        """Whether there is a stream_config."""
        return self._stream is not None

    @property
    def _is_ndjson(self) -> bool:
        return self._stream is not None and self._stream.kind == "ndjson"

    def _usual_capabilities(self) -> Capabilities:
        reads_calls = self._whole_shape.calls is not None
        if self._stream_shape is not None:
            reads_calls = reads_calls and self._stream_shape.calls is not None
        return Capabilities(
            max_context_tokens=32_000,
            supports_streaming=self._stream is not None,
            supports_tools=reads_calls and not self._names.isdisjoint(("tools", "request")),
            supports_json_mode="output_schema" in self._names,
        )

    def http_request(self, request: ChatRequest, *, stream: bool) -> HttpRequest:
        shape = self._stream_shape if stream else self._whole_shape
        if shape is None:
            raise InvalidInput(f"{OWNER}: {self.id} has no stream_config, so it cannot stream")
        if not request.messages:
            raise InvalidInput(f"{OWNER}: messages: there is nothing to send")
        if request.tools and shape.calls is None:
            config = "stream_config" if stream else "response_config"
            raise InvalidInput(
                f"{OWNER}: the request has tools, but {config} has no tool_calls_pointer to read a call by"
            )
        require(OWNER, request, self._names, self.model)
        model = request.model or self.model
        body = self._body.fill(Values(OWNER, request, model=model, stream=stream).of)
        if request.extra:
            if not isinstance(body, dict):
                raise InvalidInput(
                    f"{OWNER}: extra has fields, but body_template is no object to put them in"
                )
            body = merge_extra(OWNER, body, request.extra, ())

        def in_url(slot: Slot) -> str:
            return quote(model, safe="")

        return self.post(self._url.fill(in_url), json_bytes(body, "the request"), stream=stream)

    def sign(self, message: HttpRequest) -> Flow[HttpRequest]:
        """The request with what the functions among the headers say."""
        own = []
        for name, key in self._asked:
            own.append((name, (yield from key.ask())))
        return replace(message, headers=(*message.headers, *own))

    def decode(self, payload: Any) -> ChatResponse:
        return GenericDecoder(self._whole_shape, self._reasons, self._error).whole(payload)

    def decoder(self) -> GenericDecoder:
        # Without a stream_config nothing is ever fed to it: `http_request` refuses before.
        shape = self._stream_shape or self._whole_shape
        return GenericDecoder(shape, self._reasons, self._error, self._stream)

    def explain(self, payload: Any, head: HttpHead) -> tuple[str | None, str | None]:
        message, code = super().explain(payload, head)
        pointers = self._error
        if pointers[0] is not None and isinstance(found := pointers[0].find(payload), str):
            message = found
        if pointers[1] is not None and isinstance(found := pointers[1].find(payload), str | int):
            code = str(found)
        return message, code


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
    except ValueError:
        valid = False
    if not valid or not url.isascii() or not url.isprintable() or "{{" in urlsplit(url).netloc:
        raise InvalidInput(f"{OWNER}: url should look like https://host/path, not {url.partition('?')[0]!r}")
    return url


def _as_json(template: Any) -> Any:
    """The template as a value; it may be given as the text of one."""
    if not isinstance(template, str):
        return template
    try:
        return from_json(template)
    except ValueError as error:
        raise InvalidInput(f"{OWNER}: body_template is text, but no JSON: {error}") from None


def _config(kind: type[C], given: C | Mapping[str, Any] | None) -> C | None:
    if given is None or isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise InvalidInput(f"{OWNER}: {kind.called} should be a dict, not {type(given).__name__}")
    try:
        return kind(**given)
    except (InvalidInput, TypeError) as error:
        raise InvalidInput(f"{OWNER}: {error}") from None


def _pointer(name: str, text: str) -> Pointer:
    try:
        return Pointer(text)
    except InvalidInput as error:
        raise InvalidInput(f"{OWNER}: {name} {error}") from None


MEANINGS = ("stop", "length", "tool_calls", "content_filter", "pause", "error", "other")


def _reasons(given: Mapping[str, FinishReason] | None) -> Mapping[str, FinishReason]:
    for name, meaning in (given or {}).items():
        if not isinstance(name, str) or meaning not in MEANINGS:
            raise InvalidInput(
                f"{OWNER}: finish_reasons[{name!r}] should be one of {', '.join(MEANINGS)}, not {meaning!r}"
            )
    return given or {}
