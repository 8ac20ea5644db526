"""Features: sixteen numbers that say what kind of text a task is, for routers that learn or weigh.

| place | name             | value                                                                          |
|-------|------------------|--------------------------------------------------------------------------------|
| 0     | size             | log10(1 + n), n being the length in bytes of UTF-8                             |
| 1     | words            | words / 100, at most 1                                                         |
| 2     | question         | 1 if there is a "?"                                                            |
| 3     | backtick         | 1 if there is a backtick                                                       |
| 4     | code_words       | 1 if there is one of CODE_WORDS, in capitals or not                            |
| 5     | symbols          | 1 if there is one of = + * / ^ ∫ ∑ √                                           |
| 6     | digits           | ASCII digits / n                                                               |
| 7     | capitals         | ASCII capitals / n                                                             |
| 8     | says_code        | 1 if it says "code"                                                            |
| 9     | says_math        | 1 if it says "math" or "solve"                                                 |
| 10    | says_explain     | 1 if it says "explain" or "describe"                                           |
| 11    | says_verify      | 1 if it says "verify", "check" or "prove"                                      |
| 12    | lines            | line ends / 20, at most 1                                                      |
| 13    | punctuation      | bytes of . , ; : ! / n                                                         |
| 14    | brackets         | 1 if there are "(", and as many ")"                                            |
| 15    | bias             | 1                                                                              |

Invariants. They are those of the original tako, so that what was trained there can be used here. Any text has
them, and the time is linear in its length. A share of an empty text is 0.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["FEATURES", "FEATURE_DIM", "featurise_text"]

FEATURES: Final = (
    "size",
    "words",
    "question",
    "backtick",
    "code_words",
    "symbols",
    "digits",
    "capitals",
    "says_code",
    "says_math",
    "says_explain",
    "says_verify",
    "lines",
    "punctuation",
    "brackets",
    "bias",
)
"""Their names, in order."""
FEATURE_DIM: Final = 16

CODE_WORDS: Final = ("fn ", "def ", "class ", "import ", "function ", "return ", "let ", "const ")
SYMBOLS: Final = "=+*/^∫∑√"
DIGITS, CAPITALS, PUNCTUATION = b"0123456789", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b".,;:!"


def featurise_text(text: str) -> list[float]:
    """The sixteen features of a text."""
    data = text.encode("utf-8", "surrogatepass")  # a text that no encoder takes has features too
    size = len(data)
    over = size or 1
    lower = text.lower()
    opening = text.count("(")
    return [
        math.log10(1 + size),
        min(len(text.split()) / 100, 1.0),
        float("?" in text),
        float("`" in text),
        _says(lower, *CODE_WORDS),
        _says(text, *SYMBOLS),
        (size - len(data.translate(None, DIGITS))) / over,
        (size - len(data.translate(None, CAPITALS))) / over,
        _says(lower, "code"),
        _says(lower, "math", "solve"),
        _says(lower, "explain", "describe"),
        _says(lower, "verify", "check", "prove"),
        min(text.count("\n") / 20, 1.0),
        (size - len(data.translate(None, PUNCTUATION))) / over,
        float(0 < opening == text.count(")")),
        1.0,
    ]


def _says(text: str, *words: str) -> float:
    return float(any(word in text for word in words))
