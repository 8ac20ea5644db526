"""Tool and @tool: a Python function becomes something that a model can call.

A tool is one of five shapes, found out from the function: plain, `async def`, generator, async
generator, or none at all (external: somebody else performs it, and the run pauses). What a
generator yields is progress; its return value is the result, or else the last thing it yielded.

`invoke` is a flow: it checks the arguments, calls the function through the driver, and makes JSON
of what comes back. All that goes wrong in there is a ToolError or the function's own exception;
the agent answers both to the model.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, overload

from pydantic_core import PydanticSerializationError, from_json, to_json

from tako.cancellation import CancellationToken
from tako.effects import Call, Emit, Flow
from tako.errors import InvalidInput, ToolError
from tako.models import CacheControl, ToolSchema
from tako.tools.context import ToolContext
from tako.tools.docstring import read_docstring
from tako.tools.signature import Signature, underlying

__all__ = ["Tool", "tool"]

Progress: TypeAlias = Callable[[Any], Any]
"""Makes the event to emit of what a generator tool yielded."""

PLAIN = frozenset((str, int, float, bool, type(None), dict, list, tuple))
"""Types of results that are no iterators: asking an abstract class costs more than all the rest."""


@dataclass(frozen=True, slots=True)
class _Exhausted:
    value: Any


class Tool:
    """A function with the words and the schema that a model needs to call it.

    read_only    it changes nothing, so it may run side by side with other such calls
    approval     each call waits until somebody has approved it
    function     None for an external tool: the run pauses and the caller gives the result
    """

    __slots__ = ("_signature", "approval", "function", "name", "read_only", "schema")

    def __init__(
        self,
        function: Callable[..., Any] | None,
        *,
        name: str | None = None,
        description: str | None = None,
        input_schema: Mapping[str, Any] | None = None,
        read_only: bool = False,
        approval: bool = False,
        cache_control: CacheControl | None = None,
    ) -> None:
        if function is not None and not callable(function):
            raise InvalidInput(f"tool: expected a function, not {type(function).__name__}")
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
        self.approval = approval
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
        """Run the tool and return JSON; raises ToolError, Cancelled, or what the function raised.

        `make_context` is called for tools that want one; without `progress` nothing is shown.
        """
        if self.function is None or self._signature is None:
            raise InvalidInput(f"tool {self.name!r} is performed elsewhere")
        context = None if self._signature.context_name is None else make_context()
        positional, keywords = self._signature.check(arguments, context)
        if context is None:
            value = yield Call(self.function, positional, keywords)
        else:
            value = yield _linked(context.cancel, self.function, positional, keywords)
        if type(value) not in PLAIN and isinstance(value, Iterator | AsyncIterator):
            step = _next if isinstance(value, Iterator) else _anext
            value = yield from _drain(value, step, context or make_context(), progress)
        return self._json(value)

    def _json(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind is bool or kind is int:
            return value
        if kind is str:
            return value if value.isascii() else speakable(value)
        try:
            return from_json(to_json(value, inf_nan_mode="null"))
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise ToolError(
                f"tool {self.name!r} returned something that is not JSON ({error}); "
                "return text, numbers, lists, dicts, dataclasses or Pydantic models"
            ) from error


def speakable(text: str) -> str:
    """Text that UTF-8 can carry: names of files may hold bytes that are no text, and break every encoder."""
    return text.encode("utf-8", "replace").decode()


def _drain(
    source: Any, step: Callable[[Any], Any], context: ToolContext, progress: Progress | None
) -> Flow[Any]:
    """Take what a generator yields, show each as progress, and return its result."""
    last: Any = None
    try:
        while True:
            item = yield _linked(context.cancel, step, (source,), {})
            if type(item) is _Exhausted:
                return last if item.value is None else item.value
            last = item
            if progress is not None:
                yield Emit((progress(item),))
    finally:
        close = getattr(source, "close", None)
        if close is not None and not getattr(source, "gi_running", False):
            close()


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
