"""Tool and @tool: a Python function becomes something that a model can call.

| shape     | how it is told             | how it runs                                                      |
|-----------|----------------------------|------------------------------------------------------------------|
| plain     | a function                 | called through the driver                                        |
| async     | `async def`                | awaited by the driver                                            |
| generator | it returns an iterator, of | each step through the driver; what it yields is progress, what it |
|           | either kind                | returns is the result, or else the last thing it yielded         |
| flow      | `Tool.from_flow`           | a generator of effects, run as a part of the agent's own flow    |
| external  | `Tool.external`            | somebody else performs it, and the run pauses                    |

`invoke` is a flow: it checks the arguments, runs the tool, and gives back JSON, or a ToolOutput with
what is more than JSON: parts that the model can see, an error in words, a cache mark. All that goes
wrong in there is a ToolError or the function's own exception; the agent answers both to the model.

A generator that waits at a `yield` when its call is cancelled gets Cancelled there, and what it then
returns is the result: so it can say how far it has come.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast, overload

from pydantic_core import PydanticSerializationError, from_json, to_json

from tako.cancellation import CancellationToken
from tako.effects import Call, Effect, Emit, Flow
from tako.errors import Cancelled, InvalidInput, ToolError
from tako.models import CacheControl, ToolSchema
from tako.parts import DocumentPart, ImagePart, ImageUrlPart, TextPart
from tako.tools.context import ToolContext
from tako.tools.docstring import read_docstring
from tako.tools.output import ToolOutput
from tako.tools.signature import Signature, underlying

__all__ = ["Tool", "tool"]

Progress: TypeAlias = Callable[[Any], Sequence[Any]]
"""Makes the events to emit of what a generator tool yielded."""

PLAIN = frozenset((str, int, float, bool, type(None), dict, list, tuple))
"""Types of results that are no iterators: asking an abstract class costs more than all the rest."""


SHOWN = frozenset((TextPart, ImagePart, ImageUrlPart, DocumentPart))
"""Parts that a tool may return as they are, one or a list of them, for the model to see."""


@dataclass(frozen=True, slots=True)
class _Exhausted:
    value: Any


class Tool:
    """A function with the words and the schema that a model needs to call it.

    read_only    it changes nothing, so it may run side by side with other such calls
    concurrent   it changes something, and may all the same run side by side with others of its kind
    approval     each call waits until somebody has approved it
    timeout      seconds that one call may take
    max_output   characters of a result that the model gets to read; the agent's limit holds as well
    recursive    it runs an agent, which calls tools itself
    function     None for an external tool: the run pauses and the caller gives the result
    """

    __slots__ = (
        "_signature", "approval", "concurrent", "function", "is_flow", "max_output", "name",
        "read_only", "recursive", "schema", "timeout",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[..., Any] | None,
        *,
        name: str | None = None,
        description: str | None = None,
        input_schema: Mapping[str, Any] | None = None,
        read_only: bool = False,
        approval: bool = False,
        concurrent: bool = False,
        timeout: float | None = None,
        max_output: int | None = None,
        cache_control: CacheControl | None = None,
    ) -> None:
        if function is not None and not callable(function):
            raise InvalidInput(f"tool: expected a function, not {type(function).__name__}")
        _require_positive("timeout", timeout)
        _require_positive("max_output", max_output)
        name = name or getattr(function, "__name__", "")
        if not isinstance(name, str):
            raise InvalidInput(f"tool: name should be text, not {type(name).__name__}")
        if not name or name == "<lambda>":
            raise InvalidInput("tool: this function has no name of its own; pass name=...")
        told, documented = read_docstring(None if function is None else inspect.getdoc(underlying(function)))
        self._signature = None if function is None else Signature(function, name, documented)
        if self._signature is not None:
            input_schema = input_schema or self._signature.schema
        self.function = function
        self.name = name
        self.read_only = read_only
        self.concurrent = concurrent
        self.approval = approval
        self.timeout = timeout
        self.max_output = max_output
        self.recursive = False
        self.is_flow = False
        self.schema = ToolSchema(
            name=name,
            description=description if description is not None else told,
            input_schema=cast("dict[str, Any]", input_schema or {"type": "object", "properties": {}}),
            cache_control=cache_control,
        )

    @classmethod
    def external(
        cls, name: str, description: str, input_schema: Mapping[str, Any], *, read_only: bool = False
    ) -> Tool:
        """A tool that somebody else performs: the run ends with the calls as `result.pending`."""
        return cls(None, name=name, description=description, input_schema=input_schema, read_only=read_only)

    @classmethod
    def from_flow(cls, function: Callable[..., Flow[Any]], **options: Any) -> Tool:
        """A tool that asks for effects itself, instead of doing I/O: as parts of tako do.

        `function` makes the flow of one call; `options` are those of Tool.
        """
        made = cls(function, **options)
        made.is_flow = True
        return made

    @property
    def takes_context(self) -> bool:
        """Whether its function has a parameter that is made of the ToolContext."""
        return self._signature is not None and bool(self._signature.contextual)

    @property
    def tool_class(self) -> Literal["read_only", "mutating"]:
        return "read_only" if self.read_only else "mutating"

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function directly, as if it had not been made a tool."""
        if self.function is None:
            raise InvalidInput(f"tool {self.name!r} is performed elsewhere and cannot be called here")
        return self.function(*arguments, **keywords)

    def invoke(
        self, arguments: Any, make_context: Callable[[], ToolContext], progress: Progress | None = None
    ) -> Flow[Any]:
        """Run the tool and return JSON or a ToolOutput; raises ToolError, Cancelled, or what the
        function raised.

        `make_context` is called for tools that want one; without `progress` nothing is shown.
        """
        if self.function is None or self._signature is None:
            raise InvalidInput(f"tool {self.name!r} is performed elsewhere")
        context = make_context() if self._signature.contextual else None
        positional, keywords = self._signature.check(arguments, context)
        if self.is_flow:
            flow = self.function(*positional, **keywords)
            if not isinstance(flow, Generator):
                raise ToolError(
                    f"tool {self.name!r} is made by Tool.from_flow, so its function should be a generator "
                    f"that yields effects; it gave {type(flow).__name__}"
                )
            return self._checked((yield from flow))
        if context is None:
            value = yield Call(self.function, positional, keywords)
        else:
            value = yield _linked(context.cancel, self.function, positional, keywords)
        if type(value) not in PLAIN and isinstance(value, Iterator | AsyncIterator):
            step = _next if isinstance(value, Iterator) else _anext
            value = yield from _drain(value, step, context or make_context(), progress)
        return self._checked(value)

    def _checked(self, value: Any) -> Any:
        """JSON, or a ToolOutput whose value is JSON."""
        kind = type(value)
        if kind is ToolOutput:
            return value if value.value is None else replace(value, value=self._json(value.value))
        if kind in SHOWN:
            return ToolOutput.of((value,))
        if (kind is list or kind is tuple) and value and all(type(item) in SHOWN for item in value):
            return ToolOutput.of(value)
        return self._json(value)

    def _json(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind is bool or (kind is int and -(2**63) <= value < 2**63):
            return value
        if kind is str:
            return value if value.isascii() else speakable(value)
        try:
            return from_json(to_json(value, inf_nan_mode="null"))
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ToolError(
                f"tool {self.name!r} returned something that is not JSON ({error}); "
                "return text, numbers, lists, dicts, dataclasses, Pydantic models, or for bytes a part that "
                "says what they are, as ContentPart.image(data, mime)"
            ) from error


def speakable(text: str) -> str:
    """Text that UTF-8 can carry: names of files may hold bytes that are no text, and break every encoder."""
    return text.encode("utf-8", "replace").decode()


def words_of(error: Exception) -> str:
    """An exception as a model may read it; its own `str` may fail as well."""
    try:
        return speakable(f"{type(error).__name__}: {error}")
    except Exception:
        return type(error).__name__


def _drain(
    source: Any, step: Callable[[Any], Any], context: ToolContext, progress: Progress | None
) -> Flow[Any]:
    """Take what a generator yields, show each as progress, and return its result."""
    last: Any = None
    try:
        while True:
            try:
                item = yield _linked(context.cancel, step, (source,), {})
            except Cancelled as error:
                item = _last_words(source, error)
            if type(item) is _Exhausted:
                return last if item.value is None else item.value
            if isinstance(item, Effect):
                raise ToolError(
                    f"tool {context.tool_name!r} yielded an effect ({type(item).__name__}), and for a plain "
                    "generator nobody performs it; make the tool by Tool.from_flow(function)"
                )
            last = item
            if progress is not None:
                yield Emit(progress(item))
    finally:
        close = getattr(source, "close", None)
        if close is not None and not getattr(source, "gi_running", False):
            close()


def _last_words(source: Any, error: Cancelled) -> _Exhausted:
    """What a generator returns that is told of the cancel where it waits; raises the cancel otherwise."""
    throw = getattr(source, "throw", None)
    if throw is None or error.abandoned or getattr(source, "gi_running", False):
        raise error
    try:
        throw(error)
    except StopIteration as stop:
        if stop.value is not None:
            return _Exhausted(stop.value)
    raise error


def _require_positive(name: str, value: float | None) -> None:
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value <= 0):
        raise InvalidInput(f"tool: {name} should be a positive number, not {value!r}")


def _next(source: Iterator[Any]) -> Any:
    try:
        return next(source)
    except StopIteration as stop:
        return _Exhausted(stop.value)


async def _anext(source: AsyncIterator[Any]) -> Any:
    try:
        return await anext(source)
    except StopAsyncIteration:
        return _Exhausted(None)


def _linked(
    target: CancellationToken,
    function: Callable[..., Any],
    positional: tuple[Any, ...],
    keywords: dict[str, Any],
) -> Call:
    """A Call during which the driver's cancel reaches the token in the tool's context."""

    def linked(*, token: CancellationToken) -> Any:
        undo = token.on_cancel(target.cancel)
        try:
            value = function(*positional, **keywords)
            if inspect.isawaitable(value):
                value, undo = _until_done(value, undo), _nothing
            return value
        finally:
            undo()

    return Call(linked, token_argument="token")


def _nothing() -> None:
    """What is left to undo once the undoing was handed on."""


async def _until_done(value: Any, undo: Callable[[], None]) -> Any:
    try:
        return await value
    finally:
        undo()


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    read_only: bool = False,
    approval: bool = False,
    concurrent: bool = False,
    timeout: float | None = None,
    max_output: int | None = None,
    cache_control: CacheControl | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a tool of a function: `@tool`, or `@tool(read_only=True)`.

    The name, the schema and the descriptions come from its signature, type hints and docstring.
    Raises InvalidInput for a signature that JSON cannot fill.
    """
    if function is None:
        return lambda wrapped: Tool(wrapped, **options)
    return Tool(function)
