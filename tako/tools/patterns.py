r"""CallPattern: which calls are meant, by the tool's name and by what its arguments say.

| text                              | means                                                           |
|-----------------------------------|-----------------------------------------------------------------|
| `read`                            | every call of this tool                                         |
| `mcp_*`                           | every call of the tools with such a name                        |
| `bash(command=git status*)`       | calls whose argument `command` looks like that                  |
| `bash(command=make, cwd="a, b=c")`| several arguments; a value in "..." is JSON text                |
| `fetch(retries:=3)`               | an argument that is equal to this JSON                          |
| `bash={"command":"make"}`         | exactly this call, with these arguments and no others           |

A value is a glob over the text of the argument, and over its compact JSON if it is not text: `*` is any
text, `?` any character, `\*` and `\?` the characters themselves, and `[` nothing special, for commands and
JSON are full of it. A name that holds one of `"(),:=` or a space is written in "..." as well. An argument
that is not there matches nothing, not even `**`.

A pattern is read in two ways, because the two kinds of mistake do not weigh the same:

| reading | asked by                     | `*` and `?` match                      | `**` matches |
|---------|------------------------------|----------------------------------------|--------------|
| matches | what allows: policy, memory  | all but ; & \| < > $ ` ( ) and line ends | everything   |
| touches | what denies                  | everything                             | everything   |

So `bash(command=git *)` on an allow list does not let `git log; rm -rf ~` pass, while on a deny list it stops
that too. For the same reason an allowing glob does not climb: a path with more `..` parts than the pattern
itself shows does not match it (`src/*` goes through folders, and not to `src/../secrets`), unless the glob is
`**` and nothing else. Globs know text, and neither shells nor paths nor URLs: what nobody may do is better
not on an allow list than on a deny list.

Matching walks over the text once; a glob with wildcards has at most GLOB_LIMIT characters. In JSON a
pattern is its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue
from pydantic_core import (
    CoreSchema,
    PydanticSerializationError,
    PydanticSerializationUnexpectedValue,
    core_schema,
    to_jsonable_python,
)

from tako.errors import InvalidInput

if TYPE_CHECKING:
    from tako.models import ToolCallPart

__all__ = ["GLOB_LIMIT", "CallPattern"]

GLOB_LIMIT = 4096
"""Characters of a glob with wildcards; each character of a text costs a step over so many bits."""

SEPARATORS = frozenset(";&|<>$`()\n\r")
"""What can begin another command, or carry the output of one elsewhere."""

_NEXT_ARGUMENT = re.compile(r',\s*(?=[^\s"(),:=]+:?=)')
_ODD = re.compile(r'[\s"(),:=]')


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
class CallPattern:
    """Some calls of some tools.

    tool       a glob over the name of the tool
    arguments  by name: text is a glob over the argument, any other JSON has to be equal to it
    text       the pattern in one line; `CallPattern.of` reads it, and equal patterns have the same

    Raises InvalidInput for an empty name, a value that is not JSON, a glob that is too long.
    """

    tool: str
    arguments: Mapping[str, JsonValue]
    text: str
    is_exact: bool
    """Whether the arguments are all that there may be, each of them literally: see `exactly`."""
    _whole: Any = field(default=None)
    _tool_glob: _Glob = field(default=None)  # type: ignore[assignment]
    _globs: tuple[tuple[str, Any], ...] = field(default=())

    def __init__(self, tool: str, /, **arguments: JsonValue) -> None:
        name_glob = _tool_glob(tool)
        checked = {name: _json_value(name, arguments[name]) for name in sorted(arguments)}
        globs = [(name, _glob(name, value)) for name, value in checked.items()]
        put = object.__setattr__
        put(self, "tool", tool)
        put(self, "arguments", checked)
        put(self, "text", _speakable(_written(tool, checked)))
        put(self, "is_exact", False)
        put(self, "_whole", None)
        put(self, "_tool_glob", name_glob)
        put(self, "_globs", tuple(globs))

    @classmethod
    def of(cls, pattern: str | CallPattern) -> CallPattern:
        """The pattern that a text stands for; raises InvalidInput that says how to write it."""
        if isinstance(pattern, CallPattern):
            return pattern
        if not isinstance(pattern, str):
            raise InvalidInput(
                f"a pattern should be text such as 'bash(command=git *)', not {type(pattern).__name__}"
            )
        return _Reader(pattern).pattern()

    @classmethod
    def exactly(cls, call: ToolCallPart) -> CallPattern:
        """This call and no other: the same tool with the same arguments, none more and none less."""
        return cls._exact(_escaped(call.name), call.args)

    @classmethod
    def _exact(cls, tool: str, args: Any) -> CallPattern:
        made, put = cls(tool), object.__setattr__
        args = _json_value("args", args)
        put(made, "arguments", args if isinstance(args, dict) else {})
        put(made, "text", _speakable(f"{_word(tool, odd=_ODD_TOOL)}={_compact(args)}"))
        put(made, "is_exact", True)
        put(made, "_whole", args)
        return made

    def matches(self, name: str, args: object) -> bool:
        """Whether the call is certainly one of those that are meant: the reading of what allows."""
        return self._reads(name, args, careful=True)

    def touches(self, name: str, args: object) -> bool:
        """Whether the call may be one of those that are meant: the reading of what denies."""
        return self._reads(name, args, careful=False)

    def is_about(self, name: str) -> bool:
        """Whether some calls of the tool of that name are meant."""
        return self._tool_glob.fits(name, careful=False)

    @property
    def takes_any_arguments(self) -> bool:
        """Whether the name alone decides."""
        return not (self.is_exact or self._globs)

    def _reads(self, name: str, args: object, *, careful: bool) -> bool:
        if not self._tool_glob.fits(name, careful=False):
            return False
        if self.is_exact:
            return _same(args, self._whole)
        if not self._globs:
            return True
        if not isinstance(args, Mapping):
            return False
        for argument, expected in self._globs:
            if argument not in args:
                return False
            value = args[argument]
            if type(expected) is _Glob:
                if not expected.fits(value if isinstance(value, str) else _compact(value), careful=careful):
                    return False
            elif not _same(value, expected):
                return False
        return True

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"CallPattern.of({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, CallPattern) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> tuple[Any, ...]:
        return CallPattern.of, (self.text,)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.of,
            json_schema_input_schema=core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _text_of, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )


def _text_of(pattern: object) -> str:
    """What a pattern is in JSON; anything else, as a bool beside it in a union, is not dumped as one."""
    if not isinstance(pattern, CallPattern):
        raise PydanticSerializationUnexpectedValue(f"no pattern, but {type(pattern).__name__}")
    return pattern.text


class _Glob:
    """A glob as a row of states, one for each character to come and one for the end.

    A set of states is a number, bit by bit. A character moves a state one on where it is the one that
    is waited for, and leaves a state where a star stands as it is. So a text is walked over once,
    whatever the stars.
    """

    __slots__ = ("_climbs", "_end", "_moves", "_ones", "_open", "_stars", "literal")

    def __init__(self, glob: str) -> None:
        self._moves: dict[str, int] = {}
        self._ones = self._open = self._stars = 0
        shown, state, place = list[str](), 1, 0
        while place < len(glob):
            character = glob[place]
            if character == "*":
                if glob[place : place + 2] == "**":
                    self._open |= state
                self._stars |= state
                shown.append("*")
            elif character == "?":
                self._ones |= state
                state <<= 1
                shown.append("?")
            else:
                if character == "\\" and glob[place + 1 : place + 2] in ("*", "?", "\\"):
                    place += 1
                    character = glob[place]
                self._moves[character] = self._moves.get(character, 0) | state
                state <<= 1
                shown.append(character)
            place += 1
        self._end = state
        self._climbs = _climbs("".join(shown))
        self.literal = None if self._stars or self._ones else "".join(shown)
        if self.literal is None and len(glob) > GLOB_LIMIT:
            raise InvalidInput(f"a glob may have {GLOB_LIMIT} characters, and this one has {len(glob)}")

    def fits(self, text: str, *, careful: bool) -> bool:
        """Whether the whole text is one that the glob describes; `careful` is the reading of what allows."""
        if self.literal is not None:
            return text == self.literal
        if self._end == 1 and self._open:
            return True
        if careful and _climbs(text) > self._climbs:
            return False
        moves, states, every, end = self._moves, 1, not careful, self._end
        settled = end & (self._stars if every else self._open)
        for character in text:
            if every or character not in SEPARATORS:
                states = (states & (moves.get(character, 0) | self._ones)) << 1 | states & self._stars
            else:
                states = (states & moves.get(character, 0)) << 1 | states & self._open
            if not states or states & settled:
                break
        return bool(states & end)


class _Reader:
    """Reads the text of a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.place = 0

    def pattern(self) -> CallPattern:
        tool = self.word("(=", "a tool's name with spaces or signs should stand in quotes")
        rest = self.text[self.place :]
        if not rest:
            return CallPattern(tool)
        if rest[0] == "=":
            self.place += 1
            args = self.json()
            if self.place < len(self.text):
                raise self.error("nothing should follow the JSON of the arguments")
            return CallPattern._exact(tool, args)
        if rest[0] != "(" or rest[-1] != ")":
            raise self.error("the arguments should stand in ( )")
        if not rest[1:-1].strip():
            raise self.error(f"leave out the ( ) for any arguments, and write {tool}={{}} for none")
        self.place += 1
        return CallPattern(tool, **self.arguments())

    def arguments(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        how = "an argument is written name=glob or name:=JSON, as in bash(command=git *)"
        while True:
            name = self.word(":=", how)
            if name in found:
                raise self.error(f"{name!r} stands there twice")
            if self.text.startswith(":=", self.place):
                self.place += 2
                value = self.json()
                if isinstance(value, str):  # text is a glob; as JSON it means itself
                    value = _escaped(value)
            elif self.text.startswith("=", self.place):
                self.place += 1
                value = self.value()
            else:
                raise self.error(how)
            found[name] = value
            rest = self.text[self.place :].lstrip()
            if rest == ")":
                return found
            if not rest.startswith(","):
                raise self.error('put a value that holds "quotes" into quotes as a whole')
            self.place = len(self.text) - len(rest) + 1

    def word(self, stops: str, otherwise: str) -> str:
        """A name, up to one of the stops; if there is none, the error has these words."""
        self.place += len(self.text) - self.place - len(self.text[self.place :].lstrip())
        if self.text.startswith('"', self.place):
            return str(self.json())
        start = self.place
        while self.place < len(self.text) and self.text[self.place] not in stops:
            if _ODD.match(self.text[self.place]) and self.text[self.place] != ":":
                raise self.error(otherwise)
            self.place += 1
        if self.place == start and self.text:
            raise self.error(otherwise)
        return self.text[start : self.place]

    def value(self) -> str:
        """A glob: JSON text in quotes, or all up to the next argument."""
        if self.text.startswith('"', self.place):
            return str(self.json())
        start, following = self.place, _NEXT_ARGUMENT.search(self.text, self.place)
        self.place = following.start() if following else len(self.text) - 1
        return self.text[start : self.place].strip()

    def json(self) -> Any:
        try:
            value, self.place = _DECODER.raw_decode(self.text, self.place)
        except (ValueError, RecursionError) as error:
            raise self.error(f"there should be JSON ({error})") from error
        return value

    def error(self, words: str) -> InvalidInput:
        shown = self.text if len(self.text) <= 200 else f"{self.text[:200]}..."
        return InvalidInput(f"pattern {shown!r}, at character {self.place + 1}: {words}")


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_ODD_TOOL = re.compile(r'[\s"(),=]')


def _tool_glob(tool: str) -> _Glob:
    if not isinstance(tool, str):
        raise InvalidInput(f"pattern: tool should be text, not {type(tool).__name__}")
    if not tool:
        raise InvalidInput("pattern: tool is empty; write * for every tool")
    return cast("_Glob", _glob("tool", tool))


def _glob(name: str, value: JsonValue) -> Any:
    """What an argument is compared with: a glob for text, other JSON as it is."""
    if not isinstance(value, str):
        return value
    try:
        return _Glob(value)
    except InvalidInput as error:
        raise InvalidInput(f"pattern: {name}: {error.message}") from error


def _json_value(name: str, value: Any) -> Any:
    try:
        plain = to_jsonable_python(value)
        json.dumps(plain, allow_nan=False)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InvalidInput(f"pattern: {name} should be text or other JSON ({error})") from error
    return plain


def _speakable(text: str) -> str:
    """The text, if UTF-8 can carry it: a pattern is kept in JSON."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"pattern: half a character (a lone surrogate) at {error.start}") from error
    return text


def _compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _escaped(text: str) -> str:
    """The glob that describes this text alone."""
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def _climbs(path: str) -> int:
    """How many parts of a path are `..`."""
    return path.replace("\\", "/").split("/").count("..") if ".." in path else 0


def _same(one: object, other: object) -> bool:
    """Equal as JSON: 1 is 1.0, and neither is true."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _word(text: str, odd: re.Pattern[str] = _ODD) -> str:
    return text if text and text.isprintable() and not odd.search(text) else _compact(text)


def _written(tool: str, arguments: Mapping[str, Any]) -> str:
    """The text that is read as this pattern."""
    words = {name: _word(name) for name in arguments}
    plain = all(word == name for name, word in words.items())  # else a value's end could not be seen
    shown = ", ".join(
        f"{words[name]}={_value(value, plain=plain)}"
        if isinstance(value, str)
        else f"{words[name]}:={_compact(value)}"
        for name, value in arguments.items()
    )
    return _word(tool, _ODD_TOOL) + (f"({shown})" if shown else "")


def _value(glob: str, *, plain: bool) -> str:
    bare = plain and glob and glob.isprintable() and glob == glob.strip() and glob[0] != '"'
    return glob if bare and not _NEXT_ARGUMENT.search(glob) else _compact(glob)
