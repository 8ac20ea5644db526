"""GeminiDecoder: an answer of `generateContent`, whole or as a stream, to ChatChunks.

An event of a stream is a whole answer in itself, with what is new in it. Its parts are taken one by
one; text that follows text is one text, whatever the parts:

| part                          | becomes                                                              |
|-------------------------------|----------------------------------------------------------------------|
| text                          | TextDelta at once; a TextBlock behind it if a signature came with it; |
|                               | behind a call both wait with it                                      |
| text with `thought`           | ThinkingDelta at once, a ThinkingBlock when something else comes     |
| functionCall                  | held until the end, then a ToolCall; arguments that Vertex streams   |
|                               | are gathered first                                                   |
| inlineData of a known type    | MediaBlock; its signature, if any, an OpaqueBlock behind it          |
| an empty one                  | nothing                                                              |
| every other                   | OpaqueBlock, the part as it came                                     |

| field of a candidate or event | becomes                                                              |
|-------------------------------|----------------------------------------------------------------------|
| groundingMetadata,            | citations of the last text, told in a TextBlock at the end; and      |
| citationMetadata              | details                                                              |
| logprobsResult                | Logprobs                                                             |
| promptFeedback with a reason  | the finish reason "content_filter"; and details                      |
| usageMetadata                 | the usage: each holds all the counts, and the last one counts        |
| error                         | raised, so ChatError and ChatEnd                                     |
| every other                   | details, the last one that came                                      |

A stream has no mark of its own. It is whole when the input ends and

- the first candidate has given a finishReason, and after it came nothing but facts, such as the usage:
  a model that runs code says STOP before its result comes, and then goes on; or
- the prompt was judged (promptFeedback), and no part of an answer came.

A whole answer needs no reason. Candidates after the first have decoders of their own, and are told
at the end.

A finishReason of FAILURES says that the vendor made no answer of what the model wrote. That is an
error, and calls that it calls unexpected or malformed are not handed on.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import to_json

from tako.errors import ProtocolError, ProviderError, TakoError
from tako.events import ChatChunk, ChatEnd, OtherChoice, TextDelta, ThinkingDelta
from tako.models import Choice, FinishReason, Usage
from tako.providers.answer import (
    MAX_BLOCKS,
    MAX_TEXT,
    AnswerDecoder,
    PendingCall,
    cut_short,
    known_count,
    known_text,
    refused,
)
from tako.providers.base import ResponseBuilder
from tako.providers.gemini.blocks import OpenText, OpenThought, cited, logprobs, opaque, shown_media
from tako.providers.gemini.frames import Frames
from tako.providers.gemini.partial import PartialArguments
from tako.providers.gemini.parts import MADE_ID, VENDOR

__all__ = ["GeminiDecoder", "usage_of"]

REASONS: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
    "OTHER": "other",
    "IMAGE_OTHER": "other",
    "NO_IMAGE": "other",
    "FINISH_REASON_UNSPECIFIED": "other",
}
FAILURES: Final = frozenset(
    (
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "TOO_MANY_TOOL_CALLS",
        "UNEXPECTED_TOOL_CALL",
    )
)
MAX_CHOICES: Final = 128
RUN_BY_THE_VENDOR: Final = frozenset(("executableCode", "toolCall"))
"""Parts that the vendor itself answers in the part that follows."""

OF_AN_EVENT: Final = frozenset(("candidates", "error", "modelVersion", "responseId", "usageMetadata"))
PLAIN_EVENT: Final = OF_AN_EVENT - {"error"} | {"createTime"}
"""Fields of an event of which every one may have all: Vertex says in each when it was asked."""
OF_A_CANDIDATE: Final = frozenset(("content", "finishReason", "index", "logprobsResult"))
PLAIN: Final = frozenset(("content", "index"))
"""Fields of a candidate that every one has, and most have no others."""
OF_A_CALL: Final = frozenset(("id", "name", "args", "partialArgs", "willContinue"))


class GeminiDecoder(AnswerDecoder):
    """One answer of Gemini or Vertex. See the tables at the head of this file."""

    __slots__ = (
        "_counts",
        "_frames",
        "_is_blocked",
        "_is_ended",
        "_is_judged",
        "_others",
        "_others_size",
        "_partial",
        "_said_something",
        "_text",
        "_thought",
    )

    vendor = VENDOR
    reasons = REASONS

    def __init__(self) -> None:
        super().__init__()
        self._frames = Frames()
        self._text = OpenText()
        self._thought = OpenThought()
        # The call whose arguments are still being streamed.
        self._partial: tuple[PendingCall, PartialArguments] | None = None
        self._counts: dict[str, Any] | None = None
        self._said_something = False
        self._is_judged = False
        self._is_blocked = False
        self._is_ended = False
        self._others: dict[int, tuple[GeminiDecoder, ResponseBuilder]] = {}
        self._others_size = 0

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        for event in self._frames.feed(data):
            text: Any = None
            try:
                (candidate,) = event["candidates"]
                (part,) = candidate["content"]["parts"]
                (name,) = part
                if (
                    name == "text"
                    and not (self._text.is_sealed or self._thought.is_begun or self._held)
                    and candidate.keys() <= PLAIN
                    and ("index" not in candidate or candidate["index"] == 0)
                    and event["responseId"] == self._response_id
                    and event["modelVersion"] == self._model
                    and event.keys() <= PLAIN_EVENT
                ):
                    text = part["text"]
            except (KeyError, TypeError, ValueError):
                pass  # not the common case, so `_read` finds out what it is
            if type(text) is not str or not text:
                self._read(event, chunks)
                continue
            self._said_something, self._is_ended = True, False
            if "usageMetadata" in event:
                usage = event["usageMetadata"]
                if type(usage) is dict and (self._counts is None or "promptTokenCount" in usage):
                    self._counts = usage  # read at the end: each event repeats them
            if "createTime" in event:
                self._note(event, OF_AN_EVENT)
            self._text.add(text)
            chunks.append(TextDelta(text))
        if data:
            return
        is_refused = self._is_judged and not self._said_something
        if not self._is_ended and not is_refused:
            raise self._broken_off("a finishReason")
        self._end(chunks)

    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        self._read(payload, chunks)
        if not self._said_something and not self._is_judged and not payload.get("candidates"):
            raise ProtocolError(
                "the answer has neither candidates nor a verdict on the prompt", phase="decode"
            )
        self._end(chunks)

    def _read(self, event: Any, chunks: list[ChatChunk]) -> None:
        """Take one event, or a whole answer; some servers put either into a list."""
        if type(event) is list and len(event) == 1:
            (event,) = event
        if type(event) is not dict:
            raise ProtocolError(f"an object was expected, not {type(event).__name__}", phase="decode")
        if event.get("error"):
            raise refused(_status(event["error"]))
        self._response_id = known_text(event.get("responseId")) or self._response_id
        self._model = known_text(event.get("modelVersion")) or self._model
        usage = event.get("usageMetadata")
        if type(usage) is dict and (self._counts is None or "promptTokenCount" in usage):
            self._counts = usage  # read at the end: each event repeats them
        feedback = event.get("promptFeedback")
        if type(feedback) is dict:
            self._is_judged = True
            self._is_blocked = self._is_blocked or bool(feedback.get("blockReason"))
        if not event.keys() <= OF_AN_EVENT:
            self._note(event, OF_AN_EVENT)
        candidates = event.get("candidates") or ()
        for place, candidate in enumerate(candidates):
            index = candidate.get("index")
            if type(index) is not int:
                index = place
            if index == 0:
                self._read_candidate(candidate, chunks)
            else:
                self._read_other(index, candidate)

    def _count(self) -> None:
        if self._counts is not None:
            self.usage = usage_of(self._counts)

    def _note(self, fields: dict[str, Any], known: frozenset[str]) -> None:
        """Keep what is said besides, under the vendor's own names."""
        for name, value in fields.items():
            if name in known:
                continue
            details = self._details = {} if self._details is None else self._details
            if name in details or len(details) < MAX_BLOCKS:
                details[name] = value

    def _read_candidate(self, candidate: dict[str, Any], chunks: list[ChatChunk]) -> None:
        content = candidate.get("content")
        part: dict[str, Any] = {}
        for part in (content.get("parts") or ()) if type(content) is dict else ():
            self._take(part, chunks)
        if part.keys() - {"text"} or part.get("text"):
            self._is_ended = False
        if not candidate.keys() <= OF_A_CANDIDATE or "logprobsResult" in candidate:
            self._read_facts(candidate, chunks)
        reason = known_text(candidate.get("finishReason"))
        if reason is not None:
            self._reason = reason
            self._is_ended = reason != "STOP" or not part.keys() & RUN_BY_THE_VENDOR

    def _read_facts(self, candidate: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """Take what few events hold."""
        tokens = logprobs(candidate.get("logprobsResult"))
        if tokens is not None:
            chunks.append(tokens)
        for citation in cited(candidate):
            self._text.cite(citation)
        self._note(candidate, OF_A_CANDIDATE)

    def _read_other(self, index: int, candidate: dict[str, Any]) -> None:
        """Take a candidate after the first: it has a decoder of its own, whose chunks are kept."""
        if index not in self._others:
            if len(self._others) >= MAX_CHOICES:
                raise ProtocolError(f"the answer has more than {MAX_CHOICES} candidates", phase="decode")
            self._others[index] = GeminiDecoder(), ResponseBuilder()
        decoder, builder = self._others[index]
        chunks: list[ChatChunk] = []
        decoder._read_candidate(candidate, chunks)
        for chunk in chunks:
            if type(chunk) is TextDelta or type(chunk) is ThinkingDelta:
                self._others_size += len(chunk.text)
            else:
                self._others_size += len(to_json(candidate)) // len(chunks)
        if self._others_size > MAX_TEXT:
            raise ProtocolError(f"the other candidates have more than {MAX_TEXT} characters", phase="decode")
        builder.add(chunks)

    def _take(self, part: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """Take one part of the answer."""
        if not part:
            return
        self._said_something = True
        if type(part.get("text")) is str:
            self._take_text(part, chunks)
            return
        self._close(chunks)
        if "functionCall" in part:
            self._take_call(part)
            return
        for block in shown_media(part) or opaque(part):
            self._place(block, chunks)

    def _place(self, block: ChatChunk, chunks: list[ChatChunk]) -> None:
        """Tell of a block now, or after the calls that came before it."""
        if self._held:
            self._hold(block)
        else:
            chunks.append(block)

    def _take_text(self, part: dict[str, Any], chunks: list[ChatChunk]) -> None:
        text = part["text"]
        extras: dict[str, Any] = {}
        if len(part) > 1:
            extras = {name: value for name, value in part.items() if name not in ("text", "thought")}
        if part.get("thought"):
            self._close_text(chunks)
            if text and not self._held:
                chunks.append(ThinkingDelta(text))
            self._thought.add(text, extras)
            if extras:
                self._close_thought(chunks)
            return
        self._close_thought(chunks)
        if text:
            if extras or self._text.is_sealed:
                self._close_text(chunks)  # what came before was another part
            if not self._held:
                chunks.append(TextDelta(text))
        if extras:
            self._text.seal(text, extras)
        elif text:
            self._text.add(text)

    def _close(self, chunks: list[ChatChunk]) -> None:
        self._close_thought(chunks)
        self._close_text(chunks)

    def _close_text(self, chunks: list[ChatChunk]) -> None:
        """End the text. Nothing of one behind a call was told, and a call ends the text before it."""
        if self._held and self._text.pieces:
            self._hold(TextDelta("".join(self._text.pieces)))
        for block in self._text.close():
            self._place(block, chunks)

    def _close_thought(self, chunks: list[ChatChunk]) -> None:
        block = self._thought.close()
        if block is not None:
            self._place(block, chunks)

    def _break(self, chunks: list[ChatChunk], error: TakoError) -> None:
        """Tell of what was held, then of what is open, which is not held any more: no limit raises here."""
        self._count()
        if self._held and self._text.pieces:
            self._held.append(TextDelta("".join(self._text.pieces)))
        chunks += [item for item in self._held if type(item) is not PendingCall]  # type: ignore[misc]
        self._held.clear()
        self._close(chunks)
        super()._break(chunks, error)

    def _take_call(self, part: dict[str, Any]) -> None:
        fields = part["functionCall"]
        if self._partial is None or known_text(fields.get("name")):
            self._end_partial()
            call = PendingCall()
            call.id = known_text(fields.get("id")) or ""
            call.name = known_text(fields.get("name")) or ""
            self._hold(call)
            if fields.get("willContinue") or fields.get("partialArgs"):
                self._partial = call, PartialArguments()
            else:
                call.arguments.add(to_json(fields.get("args") or {}).decode())
        else:
            call = self._partial[0]
        call.extras |= {name: value for name, value in part.items() if name != "functionCall"}
        rest = {name: value for name, value in fields.items() if name not in OF_A_CALL}
        if rest:
            call.extras["functionCall"] = rest
        if self._partial is not None:
            for piece in fields.get("partialArgs") or ():
                self._partial[1].add(piece)
            if not fields.get("willContinue"):
                self._end_partial()

    def _end_partial(self) -> None:
        """Give the call its arguments that were streamed; raises ProviderError if a text in them was cut."""
        if self._partial is None:
            return
        (call, arguments), self._partial = self._partial, None
        if not arguments.is_whole:
            raise cut_short(call.name, self._reason)
        call.arguments.add(arguments.json())

    def _end(self, chunks: list[ChatChunk]) -> None:
        """Close what is open, tell of what was held, end."""
        self._count()
        self._close(chunks)
        if self._partial is not None:
            raise cut_short(self._partial[0].name, self._reason)
        if self._reason in FAILURES:
            message = known_text((self._details or {}).get("finishMessage"))
            raise ProviderError(
                f"the vendor made no answer of what the model wrote ({self._reason}): "
                f"{message or 'no explanation given'}; asking again may help",
                code=self._reason,
                phase="body",
            )
        others = self._other_choices()
        self._finish(chunks, None)
        end = chunks[-1]
        if self._is_blocked and type(end) is ChatEnd:
            end.finish_reason = "content_filter"
        chunks[-1:-1] = others

    def _other_choices(self) -> list[OtherChoice]:
        found: list[OtherChoice] = []
        for index, (decoder, builder) in sorted(self._others.items()):
            chunks: list[ChatChunk] = []
            decoder._response_id = f"{self._response_id or ''}_{index}"
            try:
                decoder._end(chunks)
            except ProviderError as error:
                decoder._break(chunks, error)  # one that failed does not spoil the others
            builder.add(chunks)
            answer = builder.response()
            choice = Choice(
                index=index,
                message=answer.message,
                finish_reason=answer.finish_reason,
                raw_finish_reason=decoder._reason,
            )
            found.append(OtherChoice(choice))
        return found

    def _call_id(self, call: PendingCall, ids: set[str]) -> str:
        """The vendor's id, or one that no other call has: made of its place, never of what it says."""
        call_id = call.id
        if not call_id or call_id in ids:
            call_id = f"{MADE_ID}{self._response_id or ''}_{len(ids)}"
        ids.add(call_id)
        return call_id


def usage_of(counts: dict[str, Any]) -> Usage:
    """What was used. The vendor counts thoughts beside the answer, and results of its own tools beside
    the prompt; cached tokens are among those of the prompt."""
    count = {name: known_count(value) for name, value in counts.items()}
    thought = count.get("thoughtsTokenCount")
    return Usage(
        input_tokens=_sum(count.get("promptTokenCount"), count.get("toolUsePromptTokenCount")),
        output_tokens=_sum(count.get("candidatesTokenCount"), thought),
        cache_read_tokens=count.get("cachedContentTokenCount"),
        reasoning_tokens=thought,
        raw=counts,
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)


def _status(error: Any) -> Any:
    """A google.rpc.Status with its code under the names that `refused` reads: the word is the code."""
    if type(error) is not dict:
        return error
    return {**error, "code": error.get("status") or error.get("code"), "status": error.get("code")}
