"""Messages, parts and tools as users write them."""

from __future__ import annotations

from typing import Any, assert_type

from tako import ContentPart, Message, Tool, ToolContext, Usage, tool
from tako.models import ImagePart, ImageUrlPart, TextPart, ToolCallPart

assert_type(ContentPart.text("hello"), TextPart)
assert_type(ContentPart.image(b"", "image/png"), ImagePart)
assert_type(ContentPart.image_url("https://example.org/a.png"), ImageUrlPart)

message = Message.user([ContentPart.text("What is this?"), ContentPart.image(b"")])
assert_type(message, Message)
assert_type(message.text, str)
assert_type(message.tool_calls, tuple[ToolCallPart, ...])
for part in message.content:
    if part.type == "text":
        assert_type(part, TextPart)
assert_type(Usage() + Usage(), Usage)


@tool
def weather(city: str) -> str:
    """Look up the weather."""
    return city


@tool(read_only=True, approval=True)
async def slow_weather(city: str, context: ToolContext) -> str:
    """Look up the weather, slowly."""
    return city


assert_type(weather, Tool)
assert_type(slow_weather, Tool)
called: Any = weather("Oslo")

Message.user(5)  # type: ignore[arg-type]
tool(read_only="yes")  # type: ignore[call-overload]
