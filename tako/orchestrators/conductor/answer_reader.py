"""AnswerReader: a wire machine that finds the final answer in a coordinator's JSON while it is being written.

Pieces of the model's text in, pieces of the answer out. What is told as the answer is the text of
`final_answer` at the top of the object, once `"halt": true` has been read before it; anything else is
silence, and the answer is then told whole when the plan is.

| state   | reads                                  | next                                               |
|---------|----------------------------------------|----------------------------------------------------|
| before  | white space, the first line of a fence | before                                             |
|         | {                                      | between; anything else: lost                       |
| between | a quote                                | key, a string                                      |
|         | }                                      | over                                               |
| key     | a string                               | colon                                              |
| colon   | :                                      | value                                              |
| value   | a quote                                | answer, if it is that; otherwise skipped: a string |
|         | { or [                                 | nested, until its brackets are closed: between     |
|         | a word, up to a comma or }             | between; halted, if it was halt and true           |
| answer  | a string, of which each piece is told  | over                                               |
| over    | anything                               | over: the first answer is the answer               |
| lost    | anything                               | lost                                               |

Invariants. Any way of cutting the text gives the same answer, also inside an escape or between the
halves of a surrogate pair. Nothing is raised: of what is no JSON as much is read as can be. What is
kept of the text that is not the answer is bounded by NOTED.
"""

from __future__ import annotations

import re

__all__ = ["AnswerReader"]

NOTED = 16
"""Characters of a key or a word that are looked at; `final_answer` has 12."""

_IN_STRING = re.compile(r'["\\]')
_IN_NESTED = re.compile(r'["{}\[\]]')
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SPACE = " \t\r\n\ufeff"
_BROKEN = "\ufffd"
"""What half a character is read as."""


class AnswerReader:
    """`feed` it what the model says; `text` is the answer so far."""

    __slots__ = (
        "_depth", "_escape", "_halted", "_high", "_key", "_said", "_state", "_string", "_word", "has_begun",
        "was_fed",
    )  # fmt: skip

    def __init__(self) -> None:
        self._state = "before"
        self._string = ""
        """The kind of string that is being read: "key", "answer", "skipped", "nested"; none if empty."""
        self._escape = ""
        """An escape as far as it has come."""
        self._high: int | None = None
        """The first half of a pair, which waits for the second."""
        self._key = self._word = ""
        self._depth = 0
        self._halted = False
        self._said: list[str] = []
        self.has_begun = False
        """Whether the answer has been reached; it may be empty."""
        self.was_fed = False

    @property
    def text(self) -> str:
        """All of the answer that has been told."""
        return "".join(self._said)

    def feed(self, piece: str) -> str:
        """What these characters add to the answer."""
        self.was_fed = self.was_fed or bool(piece)
        already, place, size = len(self._said), 0, len(piece)
        while place < size:
            if self._state in ("over", "lost"):
                break
            place = self._read_string(piece, place) if self._string else self._read_sign(piece, place)
        return "".join(self._said[already:])

    # Strings.

    def _read_string(self, piece: str, place: int) -> int:
        if self._escape:
            return self._read_escape(piece, place)
        found = _IN_STRING.search(piece, place)
        end = len(piece) if found is None else found.start()
        if end > place:
            self._take(piece[place:end])
        if found is None:
            return end
        if found.group() == "\\":
            self._escape = "\\"
        else:
            self._end_string()
        return found.end()

    def _read_escape(self, piece: str, place: int) -> int:
        """One more character of an escape."""
        character = piece[place]
        if self._escape == "\\" and character != "u":
            self._escape = ""
            self._take(_ESCAPES.get(character, character))
        elif len(self._escape) > 1 and character not in "0123456789abcdefABCDEF":
            self._escape = ""
            self._take(_BROKEN)
            return place  # it may be the end of the string
        else:
            self._escape += character
            if len(self._escape) == len("\\u0000"):
                code, self._escape = int(self._escape[2:], 16), ""
                self._take_code(code)
        return place + 1

    def _take_code(self, code: int) -> None:
        """A UTF-16 unit; two may be one character."""
        high, self._high = self._high, None
        if high is not None and 0xDC00 <= code < 0xE000:
            self._take(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)))
            return
        if high is not None:
            self._take(_BROKEN)
        if 0xD800 <= code < 0xDC00:
            self._high = code
        else:
            self._take(_BROKEN if 0xDC00 <= code < 0xE000 else chr(code))

    def _take(self, text: str) -> None:
        if self._high is not None:
            self._high, text = None, _BROKEN + text
        if self._string == "answer":
            self._said.append(text)
        elif self._string == "key":
            self._key = (self._key + text[:NOTED])[:NOTED]

    def _end_string(self) -> None:
        if self._high is not None:
            self._take("")
        ended, self._string = self._string, ""
        if ended == "key":
            self._state = "colon"
        elif ended == "answer":
            self._state = "over"
        elif ended == "skipped":
            self._state = "between"

    # Between strings.

    def _read_sign(self, piece: str, place: int) -> int:
        if self._state == "nested":
            return self._read_nested(piece, place)
        character = piece[place]
        if self._state == "value":
            self._begin_value(character)
        elif self._state == "word":
            return self._read_word(character, place)
        elif self._state == "colon":
            if character == ":":
                self._state = "value"
        elif self._state == "between":
            if character == '"':
                self._string, self._key = "key", ""
            elif character == "}":
                self._state = "over"
        else:
            self._read_before(character)
        return place + 1

    def _read_before(self, character: str) -> None:
        if character == "{":
            self._state = "between"
        elif self._state == "fence":
            if character == "\n":
                self._state = "before"
        elif character == "`":
            self._state = "fence"
        elif character not in _SPACE:
            self._state = "lost"

    def _begin_value(self, character: str) -> None:
        if character == '"':
            is_answer = self._halted and self._key == "final_answer"
            self._string = "answer" if is_answer else "skipped"
            self.has_begun = is_answer
        elif character in "{[":
            self._state, self._depth = "nested", 1
        elif character not in _SPACE:
            self._state, self._word = "word", character

    def _read_word(self, character: str, place: int) -> int:
        if character in ",}" or character in _SPACE:
            if self._key == "halt":
                self._halted = self._word == "true"
            self._state = "between"
            return place  # where a brace ends the object
        self._word = (self._word + character)[:NOTED]
        return place + 1

    def _read_nested(self, piece: str, place: int) -> int:
        found = _IN_NESTED.search(piece, place)
        if found is None:
            return len(piece)
        sign = found.group()
        if sign == '"':
            self._string = "nested"
        elif sign in "{[":
            self._depth += 1
        else:
            self._depth -= 1
            if self._depth == 0:
                self._state = "between"
        return found.end()
