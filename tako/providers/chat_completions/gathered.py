"""Gathered: what of an answer is kept until it is whole.

| kept              | what becomes of it                                                             |
|-------------------|--------------------------------------------------------------------------------|
| thinking          | a ThinkingBlock as soon as something else comes, with the field it goes back in |
| reasoning_details | one OpaqueBlock; entries of one kind at one index are pieces of one entry       |
| audio             | a MediaBlock with its transcript; its id goes back                             |
| images            | a MediaBlock each, where they can go back; else a fact                         |
| annotations, ...  | Citations of a TextBlock                                                       |
| facts             | ChatEnd.details, in the vendor's own words                                      |

Invariant: each of them has a limit.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import to_json

from tako.errors import ProtocolError
from tako.events import ChatChunk, MediaBlock, OpaqueBlock, TextBlock, ThinkingBlock
from tako.models import AudioPart, Citation, ImagePart, OpaquePart, Replay, TextPart, ThinkingPart
from tako.parts import IMAGE_TYPES
from tako.providers.answer import MAX_BLOCKS, MAX_TEXT, Pieces, known_text
from tako.providers.chat_completions.dialect import Dialect

__all__ = ["Gathered"]

MAX_IMAGES: Final = 64 * 1024 * 1024
"""Bytes of all pictures in one answer, as they are sent: as many as a whole answer may have."""

GROWING: Final = ("text", "summary", "data")
"""The fields of an entry of `reasoning_details` that come in pieces."""

SOUNDS: Final = (
    (b"RIFF", "audio/wav"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
)
"""How sound begins; the vendor does not say what it is, and what begins otherwise is bare samples."""


class Gathered:
    """What of one answer is kept until it is whole. See the table at the head of this file."""

    __slots__ = (
        "_audio",
        "_details",
        "_dialect",
        "_facts",
        "_images",
        "_images_size",
        "_size",
        "_was_parted",
        "refusal",
        "thinking",
    )

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.thinking = Pieces()
        self.refusal = Pieces()
        self._details: list[dict[str, Any]] = []
        self._audio: dict[str, Pieces] = {}
        self._images: list[Any] = []
        self._images_size = 0
        self._facts: dict[str, Any] = {}
        self._size = 0
        self._was_parted = False

    def take_facts(self, facts: dict[str, Any]) -> None:
        """Keep what goes into the details: of an object the newest fields, else the newest value."""
        for name, value in facts.items():
            kept = self._facts.get(name)
            if name == "annotations" and type(kept) is list and type(value) is list:
                kept += [entry for entry in value if entry not in kept[-MAX_BLOCKS:]]
                self._check(len(kept), "annotations")
            elif type(kept) is dict and type(value) is dict:
                self._facts[name] = {**kept, **value}
                self._check(len(self._facts[name]), f"fields of {name}")
            else:
                self._facts[name] = list(value) if type(value) is list else value

    def take_details(self, entries: Any) -> None:
        """Keep `reasoning_details`: a whole list, or the pieces of some entries."""
        for entry in entries:
            last = self._details[-1] if self._details else None
            is_same = last is not None and all(
                name in entry and last.get(name) == entry[name] for name in ("type", "index")
            )
            if last is None or not is_same:
                self._details.append(dict(entry))
                self._check(len(self._details), "reasoning details")
                self._count(entry)
                continue
            for name, value in entry.items():
                if name in GROWING and type(value) is str and type(last.get(name)) is list:
                    last[name].append(value)
                elif name in GROWING and type(value) is str and type(last.get(name)) is str:
                    last[name] = [last[name], value]
                elif value is not None:
                    last[name] = value
            self._count(entry)

    def take_audio(self, audio: dict[str, Any]) -> None:
        """Keep a piece of a spoken answer."""
        for name, value in audio.items():
            if not known_text(value) or (name in self._audio and name not in ("data", "transcript")):
                continue
            self._check(len(self._audio), "fields of audio")
            self._audio.setdefault(name, Pieces()).add(value)

    def take_images(self, images: Any) -> None:
        """Keep the pictures that the model made."""
        for image in images:
            self._images.append(image)
            self._check(len(self._images), "images")
            self._images_size += len(to_json(image))
            if self._images_size > MAX_IMAGES:
                raise ProtocolError(f"the answer has images of more than {MAX_IMAGES} bytes", phase="decode")

    def _check(self, number: int, what: str) -> None:
        if number > MAX_BLOCKS:
            raise ProtocolError(f"the answer has more than {MAX_BLOCKS} {what}", phase="decode")

    def _count(self, entry: dict[str, Any]) -> None:
        self._size += sum([len(value) for value in entry.values() if type(value) is str])
        if self._size > MAX_TEXT:
            raise ProtocolError(f"the reasoning details have more than {MAX_TEXT} characters", phase="decode")

    def close_thinking(self, chunks: list[ChatChunk]) -> bool:
        """Append the block of the thinking so far, if there is any to send back; say whether there was."""
        text = self.thinking.join()
        if not text:
            return False
        self.thinking = Pieces()
        self._was_parted = True
        replay = Replay(vendor=self._dialect.vendor, data={"field": self._dialect.returns_thinking})
        chunks.append(ThinkingBlock(ThinkingPart(text=text, replay=replay)))
        return True

    def close(self, text: str, chunks: list[ChatChunk]) -> None:
        """Append the blocks of everything else, the text's first; `text` is that since the last block."""
        citations = tuple(self._citations())
        if citations and text:
            chunks.append(TextBlock(TextPart(text=text, citations=citations)))
        chunks += [MediaBlock(part) for part in self._pictures()]
        if self._audio:
            chunks.append(self._sound())
        if self._details:
            details = [self._joined(entry) for entry in self._details]
            replay = Replay(vendor=self._dialect.vendor, data={"reasoning_details": details})
            chunks.append(OpaqueBlock(OpaquePart(replay=replay)))

    def told(self, before: dict[str, Any] | None) -> dict[str, Any] | None:
        """The details of the answer: those that there were, the facts, and a refusal."""
        refusal = self.refusal.join()
        return {**(before or {}), **self._facts, **({"refusal": refusal} if refusal else {})} or None

    def _joined(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {
            name: "".join(value) if name in GROWING and type(value) is list else value
            for name, value in entry.items()
        }

    def _citations(self) -> Iterator[Citation]:
        """What the answer rests on: places in its text, or, of a search, only the pages."""
        annotations = self._facts.get("annotations")
        places = [
            entry
            for entry in (annotations if type(annotations) is list else ())
            if type(entry) is dict and entry.get("type") == "url_citation"
        ]
        for entry in places:
            found = entry["url_citation"] if type(entry.get("url_citation")) is dict else entry
            yield self._citation(found, entry)
        if places:
            return
        pages = self._facts.get("search_results") or self._facts.get("citations")
        for page in pages if type(pages) is list else ():
            if type(page) is str:
                yield Citation(source=page)
            elif type(page) is dict:
                yield self._citation(page, page)

    def _citation(self, found: dict[str, Any], entry: dict[str, Any]) -> Citation:
        start, end = found.get("start_index"), found.get("end_index")
        if self._was_parted or type(start) is not int or type(end) is not int:
            start = end = None
        return Citation(
            source=known_text(found.get("url")),
            title=known_text(found.get("title")),
            text=known_text(found.get("content")) or known_text(found.get("snippet")),
            start=start,
            end=end,
            replay=Replay(vendor=self._dialect.vendor, data=entry),
        )

    def _pictures(self) -> Iterator[ImagePart]:
        """The pictures that are here and can go back; all others are a fact."""
        if not self._images:
            return
        from tako.providers.urls import data_of  # few answers hold a picture, and it brings a good deal

        left = []
        for image in self._images:
            address = image.get("image_url") if type(image) is dict else None
            url = address.get("url") if type(address) is dict else None
            found = data_of(url) if type(url) is str and self._dialect.returns_images else None
            if found is not None and found[0] in IMAGE_TYPES:
                yield ImagePart(mime=found[0], data_b64=found[1])
            else:
                left.append(image)
        if left:
            self._facts["images"] = left

    def _sound(self) -> ChatChunk:
        found = {name: pieces.join() for name, pieces in self._audio.items()}
        data = _one_base64(found.get("data", ""))
        kept = {name: value for name, value in found.items() if name not in ("data", "transcript")}
        if not data:
            return OpaqueBlock(OpaquePart(replay=Replay(vendor=self._dialect.vendor, data={"audio": found})))
        start = base64.b64decode(data[:16])
        mime = next((mime for mark, mime in SOUNDS if start.startswith(mark)), "audio/pcm")
        return MediaBlock(
            AudioPart(
                mime=mime,
                data_b64=data,
                transcript=found.get("transcript"),
                replay=Replay(vendor=self._dialect.vendor, data=kept) if kept else None,
            )
        )


def _one_base64(text: str) -> str:
    """One piece of base64 out of several, each of which may have been filled up by itself."""
    try:
        pieces = text.replace("=", "= ").replace("= =", "==").split()
        return base64.b64encode(
            b"".join([base64.b64decode(piece, validate=True) for piece in pieces])
        ).decode()
    except binascii.Error as error:
        raise ProtocolError(f"the sound in the answer is no base64: {error}", phase="decode") from None
