"""Frames: the body of `streamGenerateContent` to the JSON values in it, however it was asked for.

The first byte that is not white space tells which of three it is, and it stays that:

| first byte | the body is                                | a value is                              |
|------------|--------------------------------------------|-----------------------------------------|
| `[`        | a JSON array (asked for without alt=sse)   | an element                              |
| `{`        | one object: an error, or a whole answer    | the body, at the end of the input       |
| other      | server-sent events                         | what stands behind `data:` in one line  |

Google writes an event as one line of `data:`, and leaves out the blank line behind the last one at
times, so lines are what counts here and not blocks. A server that fails in the middle of a stream
writes its error as bare JSON between the events: a line that is no field of an event begins such a
value, which takes all the rest of the input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json

from tako.errors import ProtocolError
from tako.providers.http import MAX_BODY, parse_json
from tako.wire.json_array import JSONArrayParser
from tako.wire.ndjson import NDJSONParser

__all__ = ["Frames"]

WHITE_SPACE: Final = b" \t\r\n"
DATA: Final = b"data:"
FIELD: Final = re.compile(rb"(?:event|id|retry)(?::|$)|:")
DONE: Final = b"[DONE]"
"""Google sends none, but gateways that imitate other vendors do."""


class Frames:
    """One body. See the table at the head of this file; raises ProtocolError."""

    __slots__ = ("_bare", "_elements", "_lines")

    def __init__(self) -> None:
        self._lines: NDJSONParser | None = None
        self._elements: JSONArrayParser | None = None
        # A value that has no frame, as far as it came.
        self._bare: bytearray | None = None

    def feed(self, data: bytes) -> Iterator[Any]:
        """The values that these bytes complete, one after the other; b"" is the end of the input."""
        if self._lines is None and self._elements is None and self._bare is None:
            data = data.lstrip(WHITE_SPACE)
            if not data:
                return
            self._begin(data[0])
        if self._elements is not None:
            for element in self._elements.feed(data):
                yield _value(element)
            return
        for line in () if self._lines is None else self._lines.feed(data):
            if self._bare is not None:
                self._add(line + b"\n")
            elif line[:5] == DATA:
                try:
                    yield from_json(line[5:])
                except ValueError:
                    if line[5:].strip() not in (b"", DONE):
                        yield _value(line[5:])
            elif FIELD.match(line) is None:
                self._bare = bytearray(line + b"\n")
        if self._bare is None:
            return
        if not data:
            yield _value(bytes(self._bare))
        elif self._lines is None:
            self._add(data)

    def _begin(self, first: int) -> None:
        if first == 0x5B:
            self._elements = JSONArrayParser(MAX_BODY)
        elif first == 0x7B:
            self._bare = bytearray()
        else:
            self._lines = NDJSONParser(MAX_BODY)

    def _add(self, data: bytes) -> None:
        assert self._bare is not None
        self._bare += data
        if len(self._bare) > MAX_BODY:
            raise ProtocolError(f"the answer holds a value of more than {MAX_BODY} bytes", phase="decode")


def _value(data: bytes) -> Any:
    return parse_json(data, "an event of the stream")
