"""What the parts of an answer become besides plain text: blocks, media, citations, probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tako.errors import ProtocolError
from tako.events import ChatChunk, Logprobs, MediaBlock, OpaqueBlock, TextBlock, ThinkingBlock
from tako.models import (
    AudioPart,
    Citation,
    ImagePart,
    OpaquePart,
    Replay,
    TextPart,
    ThinkingPart,
    TokenLogprob,
    VideoPart,
)
from tako.parts import IMAGE_TYPES
from tako.providers.answer import MAX_BLOCKS, MAX_TEXT, Pieces, known_text
from tako.providers.gemini.parts import VENDOR

__all__ = ["OpenText", "OpenThought", "cited", "logprobs", "opaque", "shown_media"]

OF_MEDIA: Final = frozenset(("inlineData", "thoughtSignature"))
OF_A_BLOB: Final = frozenset(("mimeType", "data"))


class OpenText:
    """A text that more may be added to, with what belongs to it.

    | what comes                  | becomes                                                       |
    |-----------------------------|---------------------------------------------------------------|
    | text                        | more of the same text, unless that is sealed                  |
    | text with a signature       | a text of its own, which is sealed                            |
    | a signature without text    | an empty text behind this one; both are sealed                |
    | a citation                  | one of this text, if there is one                             |

    Nothing is told of a text until it is closed, because its citations come last.
    """

    __slots__ = ("_citations", "_extras", "_size", "_tail", "is_sealed", "pieces")

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.pieces: list[str] = []
        self._size = 0
        self._extras: dict[str, Any] = {}
        self._tail: list[dict[str, Any]] = []
        self._citations: list[dict[str, Any]] = []
        self.is_sealed = False
        """Whether the next text is another one."""

    def add(self, text: str) -> None:
        """Take a piece of a text that is not sealed; raises ProtocolError at MAX_TEXT."""
        self._size += len(text)
        if self._size > MAX_TEXT:
            raise ProtocolError(f"the answer holds a text of more than {MAX_TEXT} characters", phase="decode")
        self.pieces.append(text)

    def seal(self, text: str, extras: dict[str, Any]) -> None:
        """Take what comes with extras: a text, before which the one before was closed, or none."""
        if text:
            self.add(text)
            self._extras = extras
        elif len(self._tail) < MAX_BLOCKS:
            self._tail.append(extras)
        self.is_sealed = True

    def cite(self, facts: dict[str, Any]) -> None:
        """Take the fields of a citation, with its place in bytes; each is taken once."""
        if self.pieces and len(self._citations) < MAX_BLOCKS and facts not in self._citations:
            self._citations.append(facts)

    def close(self) -> list[TextBlock]:
        """The blocks to tell of: none for a text that nothing belongs to."""
        blocks: list[TextBlock] = []
        if self._extras or self._citations:
            text = "".join(self.pieces)
            citations = tuple(_citation(text, facts) for facts in self._citations)
            replay = Replay(vendor=VENDOR, data=self._extras) if self._extras else None
            blocks.append(TextBlock(TextPart(text=text, citations=citations, replay=replay)))
        for extras in self._tail:
            blocks.append(TextBlock(TextPart(text="", replay=Replay(vendor=VENDOR, data=extras))))
        if self.pieces or self._tail:
            self._clear()
        return blocks


class OpenThought:
    """A block of thinking that more may be added to."""

    __slots__ = ("_extras", "_pieces", "is_begun")

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._pieces = Pieces()
        self._extras: dict[str, Any] = {}
        self.is_begun = False

    def add(self, text: str, extras: dict[str, Any]) -> None:
        self.is_begun = True
        self._pieces.add(text)
        self._extras = extras

    def close(self) -> ThinkingBlock | None:
        """The block to tell of, if there is one."""
        if not self.is_begun:
            return None
        text, extras = self._pieces.join(), self._extras
        self._clear()
        if not text and not extras:
            return None
        replay = Replay(vendor=VENDOR, data=extras) if extras else None
        return ThinkingBlock(ThinkingPart(text=text, replay=replay))


def opaque(part: dict[str, Any]) -> list[ChatChunk]:
    """A part that is not interpreted, as it came."""
    return [OpaqueBlock(OpaquePart(replay=Replay(vendor=VENDOR, data=part)))]


def shown_media(part: dict[str, Any]) -> list[ChatChunk]:
    """A picture, sound or film that the model made; nothing for what cannot be shown as one.

    What the vendor wants back with a picture or a film is a block behind it, as those hold no replay.
    """
    blob = part.get("inlineData")
    if type(blob) is not dict:
        return []
    mime, data = known_text(blob.get("mimeType")), known_text(blob.get("data"))
    if mime is None or data is None or part.keys() - OF_MEDIA:
        return []
    extras = {name: value for name, value in part.items() if name != "inlineData"}
    rest = {name: value for name, value in blob.items() if name not in OF_A_BLOB}
    kind = mime.partition(";")[0].strip().lower()
    if kind.startswith("audio/"):
        if kind != mime:
            rest["mimeType"] = mime  # such as audio/L16;codec=pcm;rate=24000, which is needed to play it
        if rest:
            extras["inlineData"] = rest
        replay = Replay(vendor=VENDOR, data=extras) if extras else None
        return [MediaBlock(AudioPart(mime=kind, data_b64=data, replay=replay))]
    if rest or (kind not in IMAGE_TYPES and not kind.startswith("video/")):
        return []
    if kind.startswith("video/"):
        blocks: list[ChatChunk] = [MediaBlock(VideoPart(mime=kind, data_b64=data))]
    else:
        blocks = [MediaBlock(ImagePart(mime=kind, data_b64=data))]
    return blocks + (opaque(extras) if extras else [])


def logprobs(result: Any) -> Logprobs | None:
    """The probabilities in a logprobsResult."""
    if type(result) is not dict or not result.get("chosenCandidates"):
        return None
    tops = result.get("topCandidates") or ()
    found: list[TokenLogprob] = []
    for place, chosen in enumerate(result["chosenCandidates"]):
        others = (tops[place].get("candidates") or ()) if place < len(tops) else ()
        top = tuple((_token(other), other["logProbability"]) for other in others)
        found.append(TokenLogprob(token=_token(chosen), logprob=chosen["logProbability"], top=top))
    return Logprobs(tuple(found))


def _token(fields: dict[str, Any]) -> Any:
    return fields.get("token") or ""  # an empty one is left out


def cited(candidate: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The citations of a candidate: fields of a Citation, its place in bytes, its text as `said`."""
    recited = candidate.get("citationMetadata")
    if type(recited) is dict:
        for entry in recited.get("citationSources") or recited.get("citations") or ():
            yield {
                "source": known_text(entry.get("uri")),
                "title": known_text(entry.get("title")),
                "start": entry.get("startIndex", 0),
                "end": entry.get("endIndex"),
                "replay": entry,
            }
    grounding = candidate.get("groundingMetadata")
    if type(grounding) is dict:
        chunks = grounding.get("groundingChunks") or ()
        supports = grounding.get("groundingSupports") or ()
        for support in supports:
            for index in support.get("groundingChunkIndices") or ():
                if type(index) is int and 0 <= index < len(chunks) and chunks[index]:
                    yield _grounded(chunks[index], support)
        if not supports:
            for chunk in filter(None, chunks):
                yield _grounded(chunk, {})


def _grounded(chunk: dict[str, Any], support: dict[str, Any]) -> dict[str, Any]:
    source: Any = next((value for value in chunk.values() if type(value) is dict), {})
    segment = support.get("segment") or {}
    return {
        "source": known_text(source.get("uri")) or known_text(source.get("documentName")),
        "title": known_text(source.get("title")),
        "text": known_text(source.get("text")),
        "start": segment.get("startIndex", 0) if segment else None,
        "end": segment.get("endIndex"),
        "said": known_text(segment.get("text")),
        "replay": {"groundingChunk": chunk, "groundingSupport": support} if support else chunk,
    }


def _citation(text: str, facts: dict[str, Any]) -> Citation:
    """The citation with its place in characters. The vendor counts bytes, and at times from elsewhere:
    then the words that it repeats are looked for, and if they are not there, there is no place."""
    start, end, said = facts["start"], facts["end"], facts.get("said")
    place: tuple[int, int] | None = None
    if type(start) is int and type(end) is int and 0 <= start <= end:
        data = text.encode("utf-8", "surrogatepass")
        if end <= len(data):
            first = len(data[:start].decode("utf-8", "ignore"))
            last = len(data[:end].decode("utf-8", "ignore"))
            place = (first, last) if said is None or text[first:last] == said else None
    if place is None and said is not None and (found := text.find(said)) >= 0:
        place = (found, found + len(said))
    return Citation(
        source=facts["source"],
        title=facts["title"],
        text=facts.get("text"),
        start=place[0] if place else None,
        end=place[1] if place else None,
        replay=Replay(vendor=VENDOR, data=facts["replay"]),
    )
