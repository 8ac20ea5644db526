"""One JSON array that arrives in pieces: bytes in, its elements out, each as the bytes of one value.

Some servers stream by sending an array, whose elements are written as they are made. Only the frame
is looked at here: strings, brackets and the commas of the array itself. What an element holds is
for whoever decodes it, so an element with mistakes inside comes out as it is.

| state  | byte                  | becomes                                                          |
|--------|-----------------------|------------------------------------------------------------------|
| before | `[`                   | inside                                                           |
| inside | `{` or `[`            | one level deeper, where commas mean nothing                      |
| deeper | `}` or `]`            | one level less deep; if that is inside, an element is whole      |
| inside | `,`                   | inside; what came since the last one is an element, if not told  |
| inside | `]`                   | closed; the same                                                 |
| these  | `"`                   | in a string, until a `"` that no backslash stands before         |
| closed | b"" (the end)         | ended                                                            |
| others | b"" (the end)         | failed, with a TransportError: the array is not whole            |
| any    | what cannot stand     | failed, with a ProtocolError; every later call raises it         |
|        | there                 |                                                                  |

An object is told as soon as it is whole: the comma behind it comes with the next one only.
No byte is looked at again because more arrived, so time is linear for any cut; what is held between
two calls is at most `max_element_size` bytes, and the elements that nobody has asked for.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from tako.errors import InvalidInput, ProtocolError, TransportError
from tako.wire import END, NEED_DATA, End, NeedData

__all__ = ["JSONArrayParser"]

DEFAULT_MAX_ELEMENT_SIZE: Final = 8 * 1024 * 1024
WHITE_SPACE: Final = b" \t\r\n"

OF_THE_FRAME: Final = re.compile(rb'["\[\]{},]')
OF_A_STRING: Final = re.compile(rb'["\\]')
SOMETHING: Final = re.compile(rb"[^ \t\r\n]")


class JSONArrayParser:
    """Takes a body that is one JSON array apart. See the table at the head of this file.

    Read it in one of two ways, and stay with it: `receive_data` and `next_event`, as every wire
    machine, or `feed`, the same elements by the batch. Elements before a mistake are always handed
    over before the error is raised.
    """

    __slots__ = (
        "_depth",
        "_element",
        "_elements",
        "_ended",
        "_escaped",
        "_failure",
        "_has_comma",
        "_in_string",
        "_is_told",
        "_max_element_size",
        "closed",
    )

    def __init__(self, max_element_size: int = DEFAULT_MAX_ELEMENT_SIZE) -> None:
        if max_element_size < 1:
            raise InvalidInput(f"max_element_size must be at least 1 byte, not {max_element_size}")
        self._max_element_size = max_element_size
        self._element = bytearray()
        self._elements: deque[bytes] = deque()
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._has_comma = False
        self._is_told = False
        self._ended = False
        self._failure: str | None = None
        self.closed = False
        """Whether the bracket that ends the array has come."""

    def receive_data(self, data: bytes) -> None:
        """Take the next piece of the body; b"" is its end.

        A mistake in this piece is raised by `next_event`, after the elements before it. Raises
        the same again if the stream had failed before, InvalidInput after the end.
        """
        self._raise_failure()
        self._elements.extend(self._receive(data))

    def next_event(self) -> bytes | NeedData | End:
        """Give the next element, NEED_DATA when there is none yet, END when there will be none.

        Raises ProtocolError or TransportError once the elements before it have been given.
        """
        if self._elements:
            return self._elements.popleft()
        self._raise_failure()
        return END if self._ended else NEED_DATA

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece of the body, b"" at its end, and give the elements it completed.

        A mistake is raised by the first call that has no element to give, and by every later one.
        Raises ProtocolError or TransportError, and InvalidInput after the end.
        """
        elements = self._receive(data)
        if not elements:
            self._raise_failure()
        return elements

    def _receive(self, data: bytes) -> list[bytes]:
        if self._failure is not None:
            return []
        if self._ended:
            if data:
                raise InvalidInput("data after the end of the input: make one parser for each response")
            return []
        elements: list[bytes] = []
        if data:
            self._scan(data, elements)
        elif self.closed:
            self._ended = True
        else:
            self._ended = True
            self._fail("the input ended before the array did")
        return elements

    def _scan(self, data: bytes, elements: list[bytes]) -> None:
        place = start = 0
        if self._depth == 0:
            place = start = self._outside(data, 0)
        while place < len(data) and self._failure is None:
            if self._in_string:
                place = self._string(data, place)
                continue
            found = OF_THE_FRAME.search(data, place)
            if found is None:
                break
            place = found.end()
            match data[place - 1]:
                case 0x22:
                    self._in_string = True
                case 0x5B | 0x7B:  # [ {
                    self._depth += 1
                case byte if byte != 0x2C and self._depth > 1:  # ] }
                    self._depth -= 1
                    if self._depth == 1:
                        self._keep(data[start:place])
                        self._tell(elements)
                        start = place
                case 0x2C if self._depth > 1:
                    pass
                case byte:
                    self._keep(data[start : place - 1])
                    self._divide(byte, elements)
                    start = place = self._outside(data, place) if self.closed else place
        if self._failure is None and self._depth:
            self._keep(data[start:])

    def _outside(self, data: bytes, place: int) -> int:
        """Where to go on in what is not part of the array: after its first bracket, or at the end."""
        found = SOMETHING.search(data, place)
        if found is None:
            return len(data)
        if self.closed or data[found.start()] != 0x5B:
            after = " after the array" if self.closed else ", not an array"
            # One byte: how many there are behind it depends on how the body was cut.
            self._fail(f"the peer sent {found[0]!r}{after}")
            return len(data)
        self._depth = 1
        return found.end()

    def _string(self, data: bytes, place: int) -> int:
        """Where the string that this place is in ends; the end of the data if it does not."""
        if self._escaped:
            self._escaped = False
            return place + 1
        found = OF_A_STRING.search(data, place)
        if found is None:
            return len(data)
        if found[0] == b'"':
            self._in_string = False
        else:
            self._escaped = True
        return found.end()

    def _keep(self, piece: bytes) -> None:
        if not self._element:
            piece = piece.lstrip(WHITE_SPACE)
        if len(self._element) + len(piece) > self._max_element_size:
            self._fail(
                f"the peer sent an element of more than {self._max_element_size} bytes; if it is meant to "
                "send that much at once, pass a larger max_element_size"
            )
            return
        self._element += piece

    def _tell(self, elements: list[bytes]) -> None:
        """Take an element that is whole by itself."""
        if self._failure is not None:
            return
        if self._is_told:
            self._fail("the peer sent two elements without a comma between them")
            return
        elements.append(bytes(self._element))
        self._element.clear()
        self._is_told = True

    def _divide(self, byte: int, elements: list[bytes]) -> None:
        """Take the comma or the bracket behind an element."""
        if self._failure is not None:
            return
        element = bytes(self._element).rstrip(WHITE_SPACE)
        self._element.clear()
        if byte == 0x7D:
            self._fail("the peer closed an object that was not open")
        elif element and self._is_told:
            self._fail("the peer sent two elements without a comma between them")
        elif element:
            elements.append(element)
        elif not self._is_told and (byte == 0x2C or self._has_comma):
            self._fail("the peer sent an array with nothing where an element should be")
        if self._failure is None:
            self._has_comma, self._is_told = byte == 0x2C, False
            if byte == 0x5D:
                self._depth, self.closed = 0, True

    def _fail(self, failure: str) -> None:
        """Remember the mistake, once, and let go of what was held."""
        self._element.clear()
        self._failure = failure

    def _raise_failure(self) -> None:
        if self._failure is None:
            return
        if self._ended:
            raise TransportError(self._failure, phase="body")
        raise ProtocolError(self._failure, phase="decode")
