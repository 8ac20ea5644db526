"""What is not done yet: an item and a text, as far as they have grown, and what becomes of them.

What the vendor says of a whole at its end counts; what has grown counts where it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tako.errors import ProtocolError
from tako.events import TextBlock, ThinkingBlock
from tako.models import Replay, TextPart, ThinkingPart
from tako.providers.answer import PendingCall, Pieces, known_text
from tako.providers.responses.facts import citation_of
from tako.providers.responses.items import CUSTOM_CALL

__all__ = ["Item", "Text", "checked_text", "fill_call", "unfinished"]

OF_A_CALL: Final = frozenset(("type", "call_id", "name", "arguments", "input"))
LEFT_OUT: Final = frozenset(("text", "refusal", "annotations", "logprobs"))
"""What a part's replay does not repeat: it is in the text, in the citations, or of no use to the vendor."""


class Item:
    """An item that is not done: as it was added, and what has grown since.

    waits  whether it stands behind a call, and so is told with it
    field  where reasoning that has grown belongs
    parts  the places of its texts that are done
    call   what it becomes, if it is a call
    """

    __slots__ = ("call", "field", "fields", "grown", "parts", "waits")

    def __init__(self, fields: dict[str, Any], *, waits: bool) -> None:
        self.fields = fields
        self.waits = waits
        self.grown: Pieces | None = None
        self.field = "summary"
        self.parts: set[Any] = set()
        self.call: PendingCall | None = None

    def grow(self, text: str) -> None:
        """Take a piece; raises ProtocolError at the limit."""
        if self.grown is None:
            self.grown = Pieces()
        self.grown.add(text)

    def whole(self) -> str:
        return "" if self.grown is None else self.grown.join()

    def thinking(self, fields: dict[str, Any], vendor: str) -> ThinkingBlock | None:
        """The reasoning in an item that is done; None if there is nothing in it, shown or not."""
        grown = self.whole()
        summary, content = (_joined(fields.get(name)) for name in ("summary", "content"))
        # Some servers say the same in both.
        text = (summary if summary == content else summary + content) or grown
        if not text and not fields.get("id") and not fields.get("encrypted_content"):
            return None
        if grown and not (summary or content):
            kind = "summary_text" if self.field == "summary" else "reasoning_text"
            fields = {**fields, self.field: [{"type": kind, "text": grown}]}
        replay = Replay(vendor=vendor, data={"summary": [], **fields})
        return ThinkingBlock(ThinkingPart(text=text, replay=replay))


class Text:
    """A text that is not done: what there is of it, and what is said of it."""

    __slots__ = ("annotations", "has_logprobs", "kind", "part", "pieces")

    def __init__(self) -> None:
        self.kind = "output_text"
        self.pieces: list[str] = []
        self.part: dict[str, Any] = {}
        self.annotations: list[Any] = []
        self.has_logprobs = False

    def block(self, said: str, part: dict[str, Any], message: dict[str, Any], vendor: str) -> TextBlock:
        """The text with its citations, and with what its part and its message are besides text."""
        annotations = part.get("annotations") or self.annotations
        cited = [citation_of(annotation, vendor) for annotation in annotations]
        facts = {name: value for name, value in message.items() if name != "content" and value is not None}
        facts = {"type": "message", "role": "assistant", **facts}
        if facts.get("status") not in ("completed", "incomplete"):
            facts["status"] = "completed"
        own = {name: value for name, value in part.items() if name not in LEFT_OUT and value is not None}
        data = {"message": facts, "part": {"type": self.kind, **own}}
        citations = tuple([citation for citation in cited if citation is not None])
        replay = Replay(vendor=vendor, data=data)
        return TextBlock(TextPart(text=said, citations=citations, replay=replay))


def fill_call(call: PendingCall, grown: str, fields: Mapping[str, Any]) -> None:
    """Let the call be what its item says; what has grown counts if the item says nothing."""
    call.id = known_text(fields.get("call_id")) or known_text(fields.get("id")) or ""
    call.name = known_text(fields.get("name")) or ""
    call.extras = {
        name: value for name, value in fields.items() if name not in OF_A_CALL and value is not None
    }
    call.takes_text = fields.get("type") == CUSTOM_CALL
    if call.takes_text:
        call.extras["type"] = CUSTOM_CALL
    # An item says itself whether it is whole.
    call.shows_cut = not call.takes_text and fields.get("status") != "incomplete"
    said = fields.get("input" if call.takes_text else "arguments")
    call.arguments.add(checked_text(said or grown))


def unfinished(fields: dict[str, Any]) -> dict[str, Any]:
    """An item as it was added, for one that is not done: what is encrypted may be half of it, and
    half of it the vendor refuses."""
    known = {name: value for name, value in fields.items() if name != "encrypted_content"}
    return {**known, "status": "incomplete"}


def checked_text(text: Any) -> str:
    """A text; raises ProtocolError."""
    if type(text) is not str:
        raise ProtocolError(f"text was expected, not {type(text).__name__}", phase="decode")
    return text


def _joined(parts: Any) -> str:
    return "".join([checked_text(part.get("text") or "") for part in parts or ()])
