"""M01: thinking as JSON."""

from __future__ import annotations

from pydantic_core import from_json

from tako.models import Message, Replay, ThinkingPart

ITEM = {"item_id": "rs_1", "output_index": 0, "encrypted_content": "x=="}


def test_M01_thinking_is_told_by_its_type_with_its_vendor_and_data_and_nothing_is_lost() -> None:
    message = Message.assistant(
        [ThinkingPart(text="so", replay=Replay(vendor="openai", data=ITEM)), ThinkingPart(text="bare")]
    )
    written = message.model_dump_json(exclude_none=True)
    assert from_json(written)["content"] == [
        {"type": "thinking", "text": "so", "replay": {"vendor": "openai", "data": ITEM}},
        {"type": "thinking", "text": "bare"},
    ]
    assert Message.model_validate_json(written) == message
    assert Message.model_validate_json(message.model_dump_json()) == message
    assert message.text == ""
