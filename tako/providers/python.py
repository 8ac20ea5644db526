"""PythonProvider: a model that is a Python function.

`chat` may be a plain function, an `async def`, a generator or an async generator; `stream` either
kind of generator. Each works under every adapter, blocking ones too: the functions are run through
the Call effect, so an adapter does for them what it does for tools.

A function is given the request as a dict (`model`, `messages`, `stream`, and what else is set), or
as the ChatRequest itself if its first parameter is annotated so. It answers with

- text; or a dict `{"text": ..., "input_tokens": ..., "output_tokens": ...}`
- a part, a list of parts, a Message (tool calls included), a ChatResponse, or a dict of one
- and a generator yields text, ChatChunks, or dicts of the original's shape, told apart by `kind`:
  `delta` (text, tool_calls), `error` (message), `end` (finish_reason, usage)

The end of a generator is the end of the answer. What it raises is a ProviderError with the
original exception as its cause; a TakoError goes through as it is.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from tako.effects import Call, Emit, Flow
from tako.errors import InvalidInput, ProviderError, TakoError
from tako.events import ChatChunk, ChatEnd, ChatError, TextDelta, ToolCall
from tako.models import (
    NOT_COUNTED,
    Capabilities,
    ChatRequest,
    ChatResponse,
    ContentPart,
    FinishReason,
    Message,
    Part,
    ToolCallPart,
    Usage,
    Value,
    describe,
)
from tako.providers.base import Provider, Relay, ResponseBuilder, as_they_are
from tako.providers.replies import chunks_of, response_of

__all__ = ["PythonProvider"]

V = TypeVar("V", bound=Value)
_PARTS: TypeAdapter[list[Part]] = TypeAdapter(list[Part])
_DONE = object()

WHOLE = frozenset((str, dict, list, Message, ChatResponse))
"""Types of whole answers: to ask an abstract class, as for Iterator, costs as much as the call."""


class PythonProvider(Provider):
    """A provider made of your own function, or two."""

    def __init__(
        self,
        id: str,
        chat: Callable[..., Any] | None = None,
        stream: Callable[..., Any] | None = None,
        *,
        max_context_tokens: int | None = None,
        capabilities: Capabilities | None = None,
    ) -> None:
        if not isinstance(id, str) or not id:
            raise InvalidInput("PythonProvider: id should be a name")
        if chat is None and stream is None:
            raise InvalidInput("PythonProvider: give it a chat function, a stream function, or both")
        for name, function in (("chat", chat), ("stream", stream)):
            if function is not None and not callable(function):
                raise InvalidInput(
                    f"PythonProvider: {name} should be a function, not {type(function).__name__}"
                )
        if capabilities is not None and not isinstance(capabilities, Capabilities):
            raise InvalidInput(
                f"PythonProvider: capabilities should be Capabilities, not {type(capabilities).__name__}"
            )
        self.id = id
        self.model = id.partition(":")[2]
        self._chat = _Function(cast("Callable[..., Any]", chat or stream))
        self._stream = _Function(cast("Callable[..., Any]", stream or chat))
        self.capabilities = capabilities or Capabilities(
            max_context_tokens=32_000 if max_context_tokens is None else max_context_tokens,
            supports_streaming=stream is not None
            or inspect.isgeneratorfunction(chat)
            or inspect.isasyncgenfunction(chat),
            supports_tools=True,
        )

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        return self._answer(self._chat, request, stream=False, relay=None)

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        return self._answer(self._stream, request, stream=True, relay=relay)

    def _answer(
        self, function: _Function, request: ChatRequest, *, stream: bool, relay: Relay | None
    ) -> Flow[ChatResponse]:
        reader: _Reader | None = None  # a whole answer that nobody watches needs none
        payload = request if function.wants_request else _as_dict(request, stream=stream)
        try:
            value = yield from self._ask(function.call, payload)
            if type(value) not in WHOLE and isinstance(value, Iterator | AsyncIterator):
                step = _next if isinstance(value, Iterator) else _anext
                reader = _Reader()
                while (item := (yield from self._ask(step, value))) is not _DONE:
                    chunks = reader.read(item)
                    if relay is not None and (events := relay(chunks)):
                        yield Emit(events)
                chunks = reader.end()
            else:
                response = _response(value)
                if relay is None:
                    return response
                reader = _Reader()
                chunks = reader.take(chunks_of(response))
        except TakoError as error:
            error.provider = error.provider or self.id
            reader = reader or _Reader()
            chunks = reader.broken(error)
        if relay is not None and (events := relay(chunks)):
            yield Emit(events)
        return reader.response()

    def _ask(self, function: Callable[..., Any], argument: Any) -> Flow[Any]:
        """Call a function of the user; what it raises is the provider's failure."""
        try:
            return (yield Call(function, (argument,)))
        except TakoError:
            raise
        except Exception as error:
            raise ProviderError(
                f"Python provider raised: {type(error).__name__}: {error}", provider=self.id
            ) from error


class _Function:
    """A function of the user, and whether it takes the request as it is."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.wants_request = _wants_request(call)


class _Reader:
    """What a user's function gives, in any of its shapes, as chunks; and the response in the end."""

    def __init__(self) -> None:
        self._builder = ResponseBuilder()
        self._fragments: dict[int, dict[str, str]] = {}
        self._ended = False

    def read(self, item: Any) -> list[ChatChunk]:
        """The chunks in one thing that a generator yielded."""
        chunks: list[ChatChunk]
        if self._ended:
            return []
        if isinstance(item, str):
            chunks = [TextDelta(item)] if item else []
        elif isinstance(item, dict):
            try:
                chunks = self._read_dict(item)
            except TakoError:
                raise
            except (TypeError, ValueError) as error:
                raise ProviderError(f"Python provider stream raised: bad type in chunk ({error})") from error
        elif isinstance(item, ToolCallPart):
            chunks = [ToolCall(item)]
        elif isinstance(item, ChatError):
            chunks = [item, ChatEnd("error", NOT_COUNTED)]
        elif isinstance(item, ChatChunk):
            chunks = [item]
        else:
            raise _bad_type(item)
        return self.take(chunks)

    def end(self) -> list[ChatChunk]:
        """The generator has ended: so has the answer, if it did not say so itself."""
        if self._ended:
            return []
        calls = self._whole_calls()
        return self.take([*calls, ChatEnd("tool_calls" if calls else "stop", NOT_COUNTED)])

    def broken(self, error: TakoError) -> list[ChatChunk]:
        if self._ended:
            return []
        return self.take([ChatError(error), ChatEnd("error", NOT_COUNTED)])

    def response(self) -> ChatResponse:
        """The whole; raises the error that broke it."""
        return self._builder.finish()

    def take(self, chunks: list[ChatChunk]) -> list[ChatChunk]:
        """Keep the chunks for the response and pass them on."""
        self._builder.add(chunks)
        self._ended = any(type(chunk) is ChatEnd for chunk in chunks)
        return chunks

    def _read_dict(self, item: dict[str, Any]) -> list[ChatChunk]:
        match item:
            case {"kind": "delta", **rest}:
                for fragment in rest.get("tool_calls") or ():
                    self._add_fragment(fragment)
                text = rest.get("text")
                return [TextDelta(text)] if isinstance(text, str) and text else []
            case {"kind": "error", "message": str(message)}:
                return [ChatError(ProviderError(message)), ChatEnd("error", NOT_COUNTED)]
            case {"kind": "end", "finish_reason": reason, "usage": usage}:
                calls = self._whole_calls()
                return [*calls, ChatEnd(_finish_reason(reason), _checked(Usage, usage or {}))]
        raise ProviderError(
            f"Python provider stream raised: {sorted(item)!r} is not a chunk; "
            "it needs a kind: delta, error (message) or end (finish_reason, usage)"
        )

    def _add_fragment(self, fragment: Any) -> None:
        if not isinstance(fragment, dict):
            raise _bad_type(fragment)
        slot = self._fragments.setdefault(int(fragment.get("index") or 0), {"id": "", "name": "", "args": ""})
        slot["id"] = fragment.get("id") or slot["id"]
        slot["name"] = fragment.get("name") or slot["name"]
        slot["args"] += fragment.get("arguments_fragment") or ""

    def _whole_calls(self) -> list[ChatChunk]:
        calls: list[ChatChunk] = []
        for index, slot in sorted(self._fragments.items()):
            if not slot["name"]:
                raise ProviderError(f"Python provider stream raised: tool call {index} has no name")
            calls.append(
                ToolCall(
                    ToolCallPart(
                        id=slot["id"] or f"call_{index}", name=slot["name"], args=_json(slot["args"])
                    )
                )
            )
        self._fragments.clear()
        return calls


def _next(iterator: Iterator[Any]) -> Any:
    return next(iterator, _DONE)


async def _anext(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator, _DONE)


def _wants_request(function: Callable[..., Any]) -> bool:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    annotation = parameters[0].annotation if parameters else None
    return annotation is ChatRequest or (
        isinstance(annotation, str) and annotation.rpartition(".")[2] == "ChatRequest"
    )


def _as_dict(request: ChatRequest, *, stream: bool) -> dict[str, Any]:
    """The request as the original handed it over: what is not set is left out."""
    payload = request.model_dump(mode="json", exclude_none=True)
    for message in payload["messages"]:
        message["content"] = [
            {name: value for name, value in part.items() if value != []} for part in message["content"]
        ]
    always = ("model", "messages")
    is_set = {key: value for key, value in payload.items() if value not in ([], {}) or key in always}
    return {**is_set, "stream": stream}


def _response(value: Any) -> ChatResponse:
    """The response in what a function returned."""
    if isinstance(value, str | Message | ChatResponse):
        return response_of(value, NOT_COUNTED)
    if isinstance(value, ContentPart):
        return response_of(cast(Part, value), NOT_COUNTED)
    if isinstance(value, list | tuple):
        try:
            return response_of(_PARTS.validate_python(list(value)), NOT_COUNTED)
        except ValidationError as error:
            raise ProviderError(f"Python provider returned a bad part: {describe(error)}") from error
    if not isinstance(value, dict):
        raise _bad_type(value)
    if "message" in value:
        return _checked(ChatResponse, value)
    if "role" in value:
        return response_of(_checked(Message, value), NOT_COUNTED)
    text = value.get("text")
    if not isinstance(text, str):
        raise _bad_type(value)
    usage = {name: value[name] for name in ("input_tokens", "output_tokens") if name in value}
    return ChatResponse(message=Message.assistant(text), usage=_checked(Usage, usage))


def _checked(model: type[V], value: Any) -> V:
    try:
        return value if isinstance(value, model) else model.model_validate(value)
    except ValidationError as error:
        raise ProviderError(f"Python provider returned a bad {model.__name__}: {describe(error)}") from error


def _finish_reason(value: Any) -> FinishReason:
    reasons: tuple[FinishReason, ...] = ("stop", "length", "tool_calls", "content_filter", "error", "other")
    for reason in reasons:
        if value == reason:
            return reason
    raise ProviderError(
        f"Python provider stream raised: unknown finish_reason {value!r}; one of {', '.join(reasons)}"
    )


def _json(text: str) -> Any:
    if not text.strip():
        return {}
    try:
        return from_json(text)
    except ValueError:
        return text  # the agent tells the model that this was no JSON


def _bad_type(value: Any) -> ProviderError:
    return ProviderError(
        f"Python provider returned bad type: {type(value).__name__}; "
        "return text, a dict with text, parts, a Message or a ChatResponse"
    )
