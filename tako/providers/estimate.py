"""How many tokens a request will be, before it is sent and without asking anybody.

No vendor's tokenizer is at hand, so text is taken apart into runs of one kind of character, and each
kind has its price; what is no text goes by rules of thumb:

| what                          | tokens                                                           |
|-------------------------------|------------------------------------------------------------------|
| a run of ASCII letters        | one for each LETTERS of them, or part of it                      |
| digits                        | one for each three                                               |
| other ASCII characters        | one for each three                                               |
| one space between words       | none; any other run of white space: one                          |
| Chinese, Japanese, Korean     | one each                                                         |
| letters of other scripts      | one for each three                                               |
| typographic and other symbols | one each                                                         |
| anything else (emoji, ...)    | two each                                                         |
| a message; a call, a result   | MESSAGE; PART                                                    |
| tools                         | TOOLS of the vendor, TOOL and the schema's text for each         |
| an image                      | its area / 750, at least 85 and at most 1600; IMAGE if unknown   |
| a document                    | its text; 1500 for each 50 kB of a PDF and the like              |
| sound, film                   | one for each 500, 800 bytes                                      |

Invariants: the same request always gives the same number, and adding anything to a request, a
character anywhere included, never lowers it. How far it is off is measured in docs/providers/choosing.md.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Final

from tako.models import ChatRequest, Message, Part, ToolSchema
from tako.parts import (
    AudioPart,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    OpaquePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    VideoPart,
)
from tako.providers.body import json_text

__all__ = ["estimate_tokens", "tokens_in_text"]

LETTERS: Final = 6
MESSAGE: Final = 4
PART: Final = 8
TOOLS: Final = {
    "anthropic": 400,
    "anthropic-bedrock": 400,
    "anthropic-vertex": 400,
    "azure-openai": 10,
    "mistral": 20,
    "openai": 10,
    "openai-codex": 10,
    "openai-responses": 10,
}
"""What a vendor tells its model of tools in general, before the first of them."""
TOOLS_OF_OTHERS: Final = 130
TOOL: Final = 8
IMAGE: Final = 765
"""Of an image whose size is not known: what a square of 1024 pixels is for most vendors."""
LEAST_IMAGE, MOST_IMAGE, AREA_OF_A_TOKEN = 85, 1600, 750
DOCUMENT, BYTES_OF_A_DOCUMENT = 1500, 50_000
BYTES_OF_SOUND, BYTES_OF_FILM = 500, 800

RUNS: Final = re.compile(
    r"(?P<letters>[A-Za-z]+)|(?P<digits>[0-9]+)|(?P<signs>[!-/:-@\[-`{-~]+)|(?P<space>\s+)"
    r"|(?P<east>[\u1100-\u11ff\u2e80-\u2fff\u3001-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"
    r"\U00020000-\U0003ffff]+)"
    r"|(?P<others>[\u00a1-\u10ff\u1200-\u167f\u1681-\u1fff\ua4d0-\ua95f\ua980-\uabff\ufb00-\ufeff]+)"
    r"|(?P<symbols>[\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2bff])|(?P<rest>.)",
    re.DOTALL,
)
"""No character is of two kinds, or adding one could make a run of another kind out of its neighbours."""
SIZE_OF: Final = {"letters": LETTERS, "digits": 3, "signs": 3, "east": 1, "others": 3, "symbols": 1}


def estimate_tokens(request: ChatRequest, vendor: str = "") -> int:
    """The tokens that this request is, more or less; `vendor` is the first word of a provider's id."""
    total = sum(_of_message(message) for message in request.messages)
    if request.tools:
        total += TOOLS.get(vendor, TOOLS_OF_OTHERS) + sum(map(_of_tool, request.tools))
    for more in (request.output_schema, request.extra.get("tools")):
        if more:
            total += tokens_in_text(json_text(more, "the request"))
    return total


def tokens_in_text(text: str) -> int:
    """The tokens of a text."""
    total = 0
    for run in RUNS.finditer(text):
        kind, length = run.lastgroup or "", run.end() - run.start()
        if size := SIZE_OF.get(kind):
            total += -(-length // size)
        elif kind == "space":
            total += length > 1 or run[0] != " "
        else:
            total += 2
    return total


def _of_message(message: Message) -> int:
    return MESSAGE + _of_parts(message.content)


def _of_parts(parts: Iterable[Part]) -> int:
    return sum(map(_of_part, parts))


def _of_part(part: Part) -> int:
    match part:
        case TextPart(text=text) | ThinkingPart(text=text):
            return tokens_in_text(text)
        case ToolCallPart(name=name, args=args):
            return PART + tokens_in_text(name) + tokens_in_text(json_text(args, f"the arguments of {name!r}"))
        case ToolResultPart(content=content, result=result):
            read = _of_parts(content) if content else tokens_in_text(json_text(result, "a result"))
            return PART + read
        case ImagePart(data_b64=data, detail=detail):
            return LEAST_IMAGE if detail == "low" else _of_image(data)
        case ImageUrlPart(detail=detail):
            return LEAST_IMAGE if detail == "low" else IMAGE
        case DocumentPart():
            return _of_document(part)
        case AudioPart(data_b64=data):
            return 1 + _size(data) // BYTES_OF_SOUND
        case VideoPart(data_b64=data):
            return 1 + _size(data) // BYTES_OF_FILM
        case OpaquePart(replay=replay):
            return tokens_in_text(json_text(replay.data, "an opaque part"))


def _of_tool(tool: ToolSchema) -> int:
    fields = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return TOOL + tokens_in_text(json_text(fields, f"the schema of {tool.name!r}"))


def _of_document(part: DocumentPart) -> int:
    total = tokens_in_text(f"{part.title or ''} {part.context or ''}")
    if part.text is not None:
        return total + tokens_in_text(part.text)
    if part.data_b64 and part.mime.startswith("text/"):
        return total + tokens_in_text(base64.b64decode(part.data_b64).decode("utf-8", "replace"))
    return total + DOCUMENT * (1 + _size(part.data_b64) // BYTES_OF_A_DOCUMENT)


def _size(data: str | None) -> int:
    """How many bytes the base64 stands for."""
    return len(data or "") * 3 // 4


def _of_image(data: str) -> int:
    size = image_size(data)
    if size is None:
        return IMAGE
    return min(MOST_IMAGE, max(LEAST_IMAGE, size[0] * size[1] // AREA_OF_A_TOKEN))


HEAD: Final = 64 * 1024
"""Characters of base64 in which the size of an image is looked for; in a JPEG a preview may come first."""


def image_size(data_b64: str) -> tuple[int, int] | None:
    """Width and height as the image's head says; None where it does not."""
    head = base64.b64decode(data_b64[:HEAD])
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    if head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP" and len(head) >= 30:
        return _webp_size(head)
    if head.startswith(b"\xff\xd8"):
        return _jpeg_size(head)
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8 ":
            width, height = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""The markers of a JPEG after which its size stands."""


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if marker in FRAMES:
            height, width = head[place + 5 : place + 7], head[place + 7 : place + 9]
            return int.from_bytes(width), int.from_bytes(height)
        if marker == 0xFF:
            place += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
        else:
            place += 2 + int.from_bytes(head[place + 2 : place + 4])
    return None
