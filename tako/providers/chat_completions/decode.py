"""ChatDecoder: a chat completion, whole or as a stream, to ChatChunks.

| event                              | what becomes of it                                              |
|------------------------------------|-----------------------------------------------------------------|
| content, refusal                   | TextDelta at once; the refusal is told in the details as well   |
| content as a list                  | its text; its thinking as ThinkingDelta                         |
| reasoning_content, reasoning       | ThinkingDelta at once; a ThinkingBlock where it has to go back  |
| reasoning_details                  | gathered until the end, then an OpaqueBlock that goes back      |
| tool_calls, function_call          | gathered by index until the end                                 |
| audio, images                      | gathered until the end, then a MediaBlock                       |
| logprobs                           | Logprobs at once                                                |
| annotations, citations             | Citations of a TextBlock at the end                             |
| a choice after the first           | a decoder of its own; OtherChoice at the end                    |
| usage, wherever it is              | kept for the ChatEnd; the last one counts                       |
| id, model, what `facts` names      | kept for the ChatEnd                                            |
| error, in any of its forms         | raised, so ChatError and ChatEnd                                |
| [DONE]                             | what was gathered, the calls, the ChatEnd                       |
| anything else                      | skipped                                                         |

The hot path is a delta of one choice with nothing but text; `_read` knows all the rest, and knows
that case as well. A whole answer has `message` where a stream has `delta`; the steps are the same.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import from_json, to_json

from tako.errors import ProtocolError
from tako.events import ChatChunk, Logprobs, OtherChoice, TextDelta, ThinkingDelta
from tako.models import Choice, FinishReason
from tako.providers.answer import MAX_TEXT, AnswerDecoder, PendingCall, Pieces, known_text, refused
from tako.providers.base import ResponseBuilder
from tako.providers.chat_completions.dialect import OPENAI, Dialect
from tako.providers.chat_completions.facts import facts_of, logprobs_of, refusal_in, usage_in
from tako.providers.chat_completions.gathered import Gathered
from tako.providers.chat_completions.messages import LEGACY_ID
from tako.providers.http import parse_json
from tako.wire.sse import SSEParser

__all__ = ["ChatDecoder"]

DONE: Final = b"[DONE]"
MAX_CHOICES: Final = 128
MANY: Final = 1024
"""Pieces of text that are kept as they came, before they are joined."""

REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
}

CALL_FIELDS: Final = frozenset(("index", "id", "type", "function", "custom"))


class ChatDecoder(AnswerDecoder):
    """One answer in one dialect of the chat completions API. See the table at the head of this file.

    A vendor whose `content` is something else overrides `_read_content`.
    """

    __slots__ = (
        "_dialect",
        "_ending",
        "_gathered",
        "_has_choice",
        "_is_plain",
        "_is_whole",
        "_last_call",
        "_may_be_plain",
        "_others",
        "_others_size",
        "_said",
        "_slots",
        "_sse",
        "_texts",
        "vendor",
    )

    reasons = REASONS

    def __init__(self, dialect: Dialect = OPENAI) -> None:
        super().__init__()
        self.vendor = dialect.vendor
        self._dialect = dialect
        self._sse = SSEParser()
        # What the last event may lack at its end; [DONE] is looked for in it.
        self._ending = b"\n\n" if dialect.ends_without_blank_line else b""
        self._slots: dict[Any, PendingCall] = {}
        self._last_call: PendingCall | None = None
        self._has_choice = False
        self._is_whole = False
        # Whether text can be handed on without a look at what stands beside it, or came before it.
        self._may_be_plain = not (dialect.repeats_text or dialect.has_facts_beside_text)
        self._is_plain = self._may_be_plain
        # The text since the last block, the newest pieces in `_texts` and all before them in `_said`: a
        # citation that comes at the end belongs to all of it.
        self._texts: list[str] = []
        self._said = Pieces()
        # Made when they are needed: most answers are text and nothing else.
        self._gathered: Gathered | None = None
        self._others: dict[int, tuple[ChatDecoder, ResponseBuilder]] | None = None
        self._others_size = 0

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        texts = self._texts
        for payload in self._sse.feed_data(data or self._ending):
            try:
                event = from_json(payload)
            except ValueError:
                if payload.strip() == DONE:
                    self._end(chunks)
                    return
                if not data:
                    break
                event = parse_json(payload, "an event of the stream")
            try:
                (choice,) = event["choices"]
                delta = choice["delta"]
                (name,) = delta
                if (
                    name == "content"
                    and self._is_plain
                    and choice["index"] == 0
                    and ("finish_reason" not in choice or choice["finish_reason"] is None)
                    and ("logprobs" not in choice or choice["logprobs"] is None)
                    and ("usage" not in event or event["usage"] is None)
                ):
                    text = delta["content"]
                    if type(text) is str:
                        if text:
                            texts.append(text)
                            chunks.append(TextDelta(text))
                        continue
            except (KeyError, TypeError, ValueError):
                pass  # not the common case, so `_read` finds out what it is
            self._read(event, chunks)
        if not data:
            self._take_end_of_input(chunks)
            return
        if chunks:
            self._has_choice = True
        if len(texts) > MANY:
            self._said.add("".join(texts))
            texts.clear()

    def _take_end_of_input(self, chunks: list[ChatChunk]) -> None:
        """End without [DONE], where the dialect has it so; raises TransportError anywhere else."""
        if not (self._dialect.ends_without_done and self._reason):
            raise self._broken_off("[DONE]")
        self._end(chunks)

    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        self._is_whole = True
        self._read(payload, chunks)
        self._end(chunks)

    def _end(self, chunks: list[ChatChunk]) -> None:
        if not self._has_choice and not chunks:
            raise ProtocolError("the answer has no choices", phase="decode")
        others = self._other_choices()
        if self._gathered is not None:
            self._gathered.close_thinking(chunks)
            self._gathered.close(self._text(), chunks)
            self._details = self._gathered.told(self._details)
        self._finish(chunks, self._last_call)
        chunks[-1:-1] = others

    def _other_choices(self) -> list[OtherChoice]:
        found: list[OtherChoice] = []
        for index, (decoder, builder) in sorted((self._others or {}).items()):
            chunks: list[ChatChunk] = []
            decoder._response_id = self._response_id
            decoder._end(chunks)
            builder.add(chunks)
            response = builder.response()
            found.append(
                OtherChoice(
                    Choice(
                        index=index,
                        message=response.message,
                        finish_reason=response.finish_reason,
                        raw_finish_reason=response.raw_finish_reason,
                    )
                )
            )
        return found

    def _read(self, event: Any, chunks: list[ChatChunk]) -> None:
        """Take one event, or a whole answer."""
        if type(event) is not dict:
            raise ProtocolError(f"an object was expected, not {type(event).__name__}", phase="decode")
        self._response_id = self._response_id or known_text(event.get("id"))
        self._model = self._model or known_text(event.get("model"))
        usage = usage_in(event)
        if usage is not None:
            self.usage = usage
        error = refusal_in(event)
        if error:
            raise refused(error)
        facts = facts_of(event)
        if facts:
            self._gather().take_facts(facts)
        choices = event.get("choices") or ()
        taken: set[int] = set()
        for place, choice in enumerate(choices):
            index = choice.get("index")
            if type(index) is not int or (self._is_whole and (index in taken or len(choices) == 1)):
                index = place
            taken.add(index)
            if index == 0:
                self._read_choice(choice, chunks)
            else:
                self._read_other(index, choice)

    def _read_other(self, index: int, choice: dict[str, Any]) -> None:
        """Take a choice after the first: it has a decoder of its own, whose chunks are kept."""
        others = self._others = {} if self._others is None else self._others
        if index not in others:
            if len(others) >= MAX_CHOICES:
                raise ProtocolError(f"the answer has more than {MAX_CHOICES} choices", phase="decode")
            decoder = type(self)(self._dialect)
            decoder._is_whole = self._is_whole
            others[index] = decoder, ResponseBuilder()
        decoder, builder = others[index]
        chunks: list[ChatChunk] = []
        decoder._read_choice(choice, chunks)
        for chunk in chunks:
            if type(chunk) is TextDelta or type(chunk) is ThinkingDelta:
                self._others_size += len(chunk.text)
        if self._others_size > MAX_TEXT:
            raise ProtocolError(f"the other choices have more than {MAX_TEXT} characters", phase="decode")
        # A Choice has no place for log probabilities, and they would be kept without a limit.
        builder.add([chunk for chunk in chunks if type(chunk) is not Logprobs])

    def _read_choice(self, choice: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """Take what an event says of one choice."""
        error = refusal_in(choice)
        if error:
            raise refused(error)
        delta = self._delta_of(choice, is_first=not (self._has_choice or chunks))
        self._has_choice = True
        thinking = known_text(delta.get("reasoning_content")) or known_text(delta.get("reasoning"))
        if thinking:
            self._take_thinking(thinking, chunks)
        content = delta.get("content")
        if content:
            self._read_content(content, chunks)
        refusal = delta.get("refusal")
        if refusal:
            self._take_text(refusal, chunks)
            self._gather().refusal.add(refusal)
        for entry in delta.get("tool_calls") or ():
            self._read_call(entry)
        legacy = delta.get("function_call")
        if legacy and any(legacy.values()):
            # The one call of models from before 2024; some servers send it with nothing in it.
            self._read_call({"index": 0, "id": f"{LEGACY_ID}{self._response_id}", "function": legacy})
        self._read_rare(choice, delta, chunks)
        reason = choice.get("finish_reason")
        if type(reason) is str:
            self._reason = reason or self._reason or ""

    def _delta_of(self, choice: dict[str, Any], *, is_first: bool) -> dict[str, Any]:
        """What is new. Some servers repeat the whole message beside it; others send that alone."""
        delta, message = choice.get("delta"), choice.get("message")
        if self._is_whole or (delta is None and is_first):
            delta = message or delta
        return delta or {}

    def _read_rare(self, choice: dict[str, Any], delta: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """Take what few answers hold: it may be in the choice or in its delta."""
        tokens = logprobs_of(choice.get("logprobs"))
        if tokens:
            chunks.append(Logprobs(tokens))
        facts = facts_of(choice) | facts_of(delta)
        if facts:
            self._gather().take_facts(facts)
        details = delta.get("reasoning_details")
        if details and self._dialect.returns_details:
            self._gather().take_details(details)
        audio = delta.get("audio")
        if audio:
            self._gather().take_audio(audio)
        images = delta.get("images")
        if images:
            self._gather().take_images(images)

    def _read_content(self, value: Any, chunks: list[ChatChunk]) -> None:
        """Take a `content` that is not empty: text, or a list of blocks that hold text or thinking."""
        if type(value) is not list:
            self._take_text(value, chunks)
            return
        for block in value:
            if type(block) is str:
                self._take_text(block, chunks)
                continue
            kind = block.get("type", "text")
            if kind == "text":
                self._take_text(block["text"], chunks)
            elif kind in ("thinking", "reasoning"):
                thoughts = block.get(kind) or block.get("summary") or ""
                for thought in thoughts if type(thoughts) is list else (thoughts,):
                    text = known_text(thought["text"] if type(thought) is dict else thought)
                    if text:
                        self._take_thinking(text, chunks)

    def _take_text(self, text: Any, chunks: list[ChatChunk]) -> None:
        if type(text) is not str:
            raise ProtocolError(f"text was expected, not {type(text).__name__}", phase="decode")
        if not self._is_plain:
            if self._gathered is not None and self._gathered.close_thinking(chunks):
                self._drop_text()
            self._is_plain = self._may_be_plain
            if self._dialect.repeats_text:
                text = self._news_in(text)
        if text:
            self._texts.append(text)
            chunks.append(TextDelta(text))

    def _news_in(self, text: str) -> str:
        """What a piece says beyond the pieces before it, which it repeats."""
        before = self._text()
        self._drop_text()
        self._said.add(before)
        return text.removeprefix(before)

    def _text(self) -> str:
        """The text since the last block."""
        return self._said.join() + "".join(self._texts)

    def _drop_text(self) -> None:
        """Begin anew: what comes now belongs to another block."""
        self._said = Pieces()
        self._texts.clear()

    def _take_thinking(self, text: str, chunks: list[ChatChunk]) -> None:
        chunks.append(ThinkingDelta(text))
        if self._dialect.returns_thinking is not None:
            self._gather().thinking.add(text)
            self._is_plain = False

    def _gather(self) -> Gathered:
        if self._gathered is None:
            self._gathered = Gathered(self._dialect)
        return self._gathered

    def _read_call(self, entry: dict[str, Any]) -> None:
        """Take a whole call or a piece of one."""
        function, custom = entry.get("function") or {}, entry.get("custom")
        if custom and not function.get("name"):
            function = custom
        else:
            custom = None  # some servers send the other kind beside it, with nothing in it
        call_id, name = known_text(entry.get("id")) or "", known_text(function.get("name")) or ""
        arguments = function.get("input") if custom else function.get("arguments")
        if arguments is not None and type(arguments) is not str:
            # Some compatible servers send the value instead of its text.
            arguments = to_json(arguments).decode()
        call = self._call_of(entry.get("index"), call_id, name, arguments or "")
        if not (call.id or call.name):
            call.extras = {key: value for key, value in entry.items() if key not in CALL_FIELDS}
        call.id = call.id or call_id
        call.name = call.name or name
        if custom:
            call.takes_text, call.shows_cut = True, False
            call.extras["type"] = "custom"
        if arguments is not None:
            call.arguments.add(arguments)

    def _call_of(self, index: Any, call_id: str, name: str, arguments: str) -> PendingCall:
        """The call that a piece belongs to: the one at its index, or the last one if it has none.

        In a whole answer each entry is a call. In a stream some servers say 0 for every call: there,
        another id begins another call, and so does a name where neither index nor id can tell, or
        where arguments that are whole come after others.
        """
        call = None if self._is_whole else self._last_call if index is None else self._slots.get(index)
        if call is not None and (call_id or name):
            if call_id and call.id:
                is_other = call_id != call.id
            else:
                is_other = bool(not call_id and name and call.name) and (
                    index is None or (_is_object(arguments) and call.arguments.join() != "")
                )
            if is_other:
                call = None
        if call is None:
            call = PendingCall()
            self._hold(call)
            self._slots[index] = call
        self._last_call = call
        return call


def _is_object(text: str) -> bool:
    """Whether the text is a JSON object and nothing less."""
    if not (text.startswith("{") and text.endswith("}")):
        return False
    try:
        from_json(text)
    except ValueError:
        return False
    return True
