"""OllamaDecoder: an answer of Ollama, whole or as a stream of JSON lines, to ChatChunks.

A whole answer is one object; a stream is many of the same, with pieces of the message.

| field                        | what becomes of it                                            |
|------------------------------|---------------------------------------------------------------|
| message.content, response    | TextDelta at once                                             |
| message.thinking, thinking   | ThinkingDelta at once                                         |
| message.tool_calls           | held until the end, whichever object they come in             |
| logprobs                     | Logprobs at once                                              |
| error                        | raised, so ChatError and ChatEnd                              |
| done: true                   | the counts and times are kept; the calls, the ChatEnd         |
| anything else                | skipped                                                       |

`message` is that of /api/chat; `response` and `thinking` beside it are those of /api/generate, which
is read here as well, though tako does not ask for it.

Nearly all lines of a stream are a piece of text, spelled alike: those are read many at once, in half
the time, by `plain_texts`. Everything else goes line by line, and so do they beside anything else.

Calls come whole, with their arguments as an object. Servers from before 2025-11 give them no id, so
one is made from what tells this answer from every other: the moment it was made, and what was
counted and timed. Prompts that were cached are counted by newer servers only, so that a count may
be missing: it is not known then.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, Final

from pydantic_core import from_json, to_json

from tako.errors import ProtocolError
from tako.events import ChatChunk, Logprobs, TextDelta, ThinkingDelta
from tako.models import FinishReason, Usage
from tako.providers.answer import AnswerDecoder, PendingCall, known_count, known_text, refused
from tako.providers.chat_completions.facts import logprobs_of
from tako.providers.http import parse_json
from tako.providers.ollama.encode import VENDOR
from tako.wire.ndjson import NDJSONParser

__all__ = ["OllamaDecoder"]

REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    # The model was brought into memory, or out of it: nothing was asked, so nothing was answered.
    "load": "other",
    "unload": "other",
}

COUNTS: Final[tuple[str, ...]] = ("prompt_eval_count", "eval_count")
TIMES: Final[tuple[str, ...]] = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
"""In nanoseconds."""
PLAIN: Final = re.compile(
    rb'\n\{"model":"[ !#-\[\]-~]+","created_at":"[ !#-\[\]-~]*","message":\{"role":"assistant",'
    rb'"content":"([^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*)"\},"done":false\}(?=\n|\Z)'
).findall
"""The content of each line that is a piece of text and nothing else, as it is written."""
MANY: Final = 4
"""Lines from which on it pays to read them at once."""
CALL_FIELDS: Final = frozenset(("id", "type", "function"))


class OllamaDecoder(AnswerDecoder):
    """One answer of Ollama. See the table at the head of this file."""

    __slots__ = ("_has_message", "_last_call", "_lines", "_mark")

    vendor = VENDOR
    reasons = REASONS

    def __init__(self) -> None:
        super().__init__()
        self._lines = NDJSONParser()
        self._has_message = False
        self._last_call: PendingCall | None = None
        self._mark = ""

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        lines = self._lines.feed(data)
        texts = plain_texts(lines) if self._last_call is None else None
        if texts is not None:
            self._has_message = True
            self._model = from_json(lines[-1])["model"]
            chunks += [TextDelta(text) for text in texts if text]
            lines = []
        for line in lines:
            try:
                event = from_json(line)
            except ValueError:
                event = parse_json(line, "a line of the stream")
            try:
                message = event["message"]
                text = message["content"]
                # A piece of text in another spelling has no field but these: a count of them tells it.
                plain = len(event) == 4 and len(message) == 2 and "role" in message
                if plain and type(text) is str and text and event["done"] is False and not self._last_call:
                    chunks.append(TextDelta(text))
                    self._has_message = True
                    self._model = known_text(event["model"]) or self._model
                    continue
            except (KeyError, TypeError):
                pass  # not the common case, so `_read` finds out what it is
            self._read(event, chunks)
            if event.get("done") is True:
                self._end(event, chunks)
                return
        if not data:
            raise self._broken_off('"done": true')

    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        self._read(payload, chunks)
        if payload.get("done") is not True:
            raise ProtocolError('the answer does not say "done": true: it is not whole', phase="decode")
        self._end(payload, chunks)

    def _read(self, event: Any, chunks: list[ChatChunk]) -> None:
        """Take one object of a stream, or a whole answer."""
        if type(event) is not dict:
            raise ProtocolError(f"an object was expected, not {type(event).__name__}", phase="decode")
        if event.get("error"):
            raise refused(event["error"])
        self._model = known_text(event.get("model")) or self._model
        message = event.get("message")
        if message is not None:
            self._read_message(message, message.get("content"), chunks)
        elif "response" in event:
            self._read_message(event, event["response"], chunks)
        tokens = logprobs_of({"content": event.get("logprobs")})
        if tokens:
            chunks.append(Logprobs(tokens))

    def _read_message(self, message: dict[str, Any], text: Any, chunks: list[ChatChunk]) -> None:
        self._has_message = True
        thinking = message.get("thinking")
        if thinking:
            chunks.append(ThinkingDelta(_checked_text(thinking)))
        if text:
            chunks.append(TextDelta(_checked_text(text)))
        if text or thinking:
            self._last_call = None
        for entry in message.get("tool_calls") or ():
            self._last_call = _call_of(entry)
            self._hold(self._last_call)

    def _end(self, event: dict[str, Any], chunks: list[ChatChunk]) -> None:
        if not self._has_message:
            raise ProtocolError("the answer has no message", phase="decode")
        self._reason = known_text(event.get("done_reason"))
        raw = {name: event[name] for name in COUNTS + TIMES if name in event}
        self.usage = Usage(
            input_tokens=known_count(event.get("prompt_eval_count")),
            output_tokens=known_count(event.get("eval_count")),
            raw=raw or None,
        )
        self._details = {name: event[name] for name in TIMES if name in event} or None
        self._mark = _fingerprint([event.get("created_at"), raw])
        self._finish(chunks, self._last_call)

    def _call_id(self, call: PendingCall, ids: set[str]) -> str:
        call_id = call.id
        if not call_id or call_id in ids:
            call_id = f"call_{self._mark}_{len(ids)}"
        ids.add(call_id)
        return call_id


def plain_texts(lines: list[bytes]) -> list[str] | None:
    """The texts of lines of which each is as servers write nearly all of them; None if any is not.

    A match is a whole line, for it begins behind a line end, stops before one, and holds none. So there
    are as many matches as lines only if every line is plain, and what is read does not depend on how
    many lines came together. What may be wrong inside of a text, JSON finds out for all of them at once.
    """
    if len(lines) < MANY:
        return None
    found = PLAIN(b"\n".join((b"", *lines)))
    if len(found) != len(lines):
        return None
    try:
        texts: list[str] = from_json(b'["%b"]' % b'","'.join(found))
    except ValueError:
        return None  # to be told of where the line is read by itself
    return texts


def _checked_text(text: Any) -> str:
    if type(text) is not str:
        raise ProtocolError(f"text was expected, not {type(text).__name__}", phase="decode")
    return text


def _call_of(entry: dict[str, Any]) -> PendingCall:
    function = entry["function"]
    call = PendingCall()
    call.id = known_text(entry.get("id")) or ""
    call.name = known_text(function.get("name")) or ""
    call.extras = {name: value for name, value in entry.items() if name not in CALL_FIELDS}
    arguments = function.get("arguments")
    if type(arguments) is str:
        call.arguments.add(arguments)  # some servers that imitate this one send text
    elif arguments is not None:
        call.arguments.add(to_json(arguments).decode())
    return call


def _fingerprint(facts: list[Any]) -> str:
    return blake2b(to_json(facts), digest_size=6).hexdigest()
