"""What a server offers: tools, resources, templates of resources, prompts, as values.

| an offer   | made of                                 | the client sees          | and then       |
|------------|-----------------------------------------|--------------------------|----------------|
| ServedTool | a tako Tool, or a function              | tools/list               | tools/call     |
| Resource   | an address, and a function or its value | resources/list           | resources/read |
| Template   | an address with gaps, and a function    | resources/templates/list | resources/read |
| Prompt     | a function of texts                     | prompts/list             | prompts/get    |

A function is plain or async; that of a tool may be a generator or a flow as well. It gets the client with a
parameter that is annotated `Client`. What cannot be offered raises InvalidInput.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Final, TypeAlias, cast, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError
from typing_extensions import is_typeddict

from tako.errors import InvalidInput
from tako.mcp.mirrored import marks_of
from tako.mcp.server.uri_template import UriTemplate
from tako.mcp.versions import Revision
from tako.parts import Part
from tako.tools.output import ToolOutput
from tako.tools.tool import SHOWN, Tool

__all__ = ["Given", "Offer", "Prompt", "Resource", "ServedTool", "Template", "given_by"]

Json: TypeAlias = Any
FIRST_WITH_OUTPUT_SCHEMA: Final = "2025-06-18"


@dataclass(frozen=True, slots=True)
class Given:
    """What a function of the server's author gave, as it is."""

    value: Any


def given_by(function: Callable[..., Any], name: str, description: str | None = None) -> Tool:
    """The function as a Tool whose result stays as it is: bytes, Messages, whatever it gives."""
    if inspect.iscoroutinefunction(inspect.unwrap(function)):

        @functools.wraps(function)
        async def boxed_async(*positional: Any, **keywords: Any) -> ToolOutput:
            return _boxed(await function(*positional, **keywords))

        return Tool(boxed_async, name=name, description=description)

    @functools.wraps(function)
    def boxed(*positional: Any, **keywords: Any) -> ToolOutput:
        return _boxed(function(*positional, **keywords))

    return Tool(boxed, name=name, description=description)


def _boxed(value: Any) -> ToolOutput:
    return ToolOutput(content=cast("tuple[Part, ...]", (Given(value),)))


class ServedTool:
    """A tool, and what MCP says of it besides.

    title          what people read
    output_schema  JSON Schema of what it gives; of the function's return type, if that is a Pydantic model, a
                   dataclass or a TypedDict. Then the result has `structuredContent`
    annotations    hints: destructiveHint, idempotentHint, openWorldHint; readOnlyHint is the tool's own
    requires       what the client must have told that it can do: ("sampling",)

    A tool with `approval=True` is run when the client's user has accepted it, who is asked by elicitation.
    """

    __slots__ = (
        "annotations",
        "input_schema",
        "is_lively",
        "marks",
        "output_schema",
        "requires",
        "title",
        "tool",
    )

    def __init__(
        self,
        tool: Tool | Callable[..., Any],
        *,
        title: str | None = None,
        output_schema: Mapping[str, Json] | None = None,
        annotations: Mapping[str, Json] | None = None,
        requires: Sequence[str] = (),
    ) -> None:
        if not callable(tool):
            raise InvalidInput(f"tools: expected a function or a Tool, not {type(tool).__name__}")
        self.tool = tool if isinstance(tool, Tool) else Tool(tool)
        if self.tool.function is None:
            raise InvalidInput(
                f"tool {self.tool.name!r} is external: nobody performs it here, so it cannot be served"
            )
        if self.tool.recursive:
            raise InvalidInput(f"tool {self.tool.name!r} is a sub-agent of no agent; serve the agent itself")
        if isinstance(requires, str):
            raise InvalidInput(f"tool {self.tool.name!r}: requires should be a list: [{requires!r}]")
        self.title = title
        self.requires: dict[str, dict[str, Json]] = {name: {} for name in requires}
        self.output_schema = (
            dict(output_schema) if output_schema is not None else _output_schema(self.tool.function)
        )
        self.annotations = {"readOnlyHint": self.tool.read_only, **(annotations or {})}
        self.input_schema = {"type": "object", **self.tool.schema.input_schema}
        self.marks = marks_of(self.input_schema)
        self.is_lively = self.tool.approval or is_lively(self.tool)
        if self.input_schema["type"] != "object":
            raise InvalidInput(f"tool {self.tool.name!r}: the input schema should be of an object")

    @property
    def key(self) -> str:
        return self.tool.name

    def listed(self, revision: Revision) -> dict[str, Json]:
        """It in tools/list."""
        told: dict[str, Json] = {"name": self.tool.name, "inputSchema": self.input_schema}
        if self.tool.schema.description:
            told["description"] = self.tool.schema.description
        if self.title is not None:
            told["title"] = self.title
        if self.gives_structure(revision):
            told["outputSchema"] = self.output_schema
        told["annotations"] = self.annotations
        return told

    def gives_structure(self, revision: Revision) -> bool:
        """Whether results have `structuredContent`: before the modern era that is always an object."""
        schema = self.output_schema
        if schema is None or revision.name < FIRST_WITH_OUTPUT_SCHEMA:
            return False
        return revision.is_modern or schema.get("type") == "object"


def is_lively(tool: Tool) -> bool:
    """Whether it may say something before its result; a tool that cannot is answered with less ado."""
    function = inspect.unwrap(tool.function) if tool.function is not None else None
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return tool.is_flow or tool.takes_context or is_generator


def _output_schema(function: Callable[..., Any]) -> dict[str, Json] | None:
    try:
        kind = get_type_hints(inspect.unwrap(function)).get("return")
    except (NameError, TypeError):
        return None
    if not isinstance(kind, type) or kind is ToolOutput or kind in SHOWN:
        return None
    if not (is_typeddict(kind) or is_dataclass(kind) or issubclass(kind, BaseModel)):
        return None
    try:
        return TypeAdapter(kind).json_schema(mode="serialization")
    except PydanticUserError:  # it holds what JSON has no word for
        return None


class Resource:
    """Something that can be read under a fixed address.

    content  text, bytes, or a function that gives them: plain or async, asked at each read. It may
             also give JSON, an Embedded, or a list of Embedded
    """

    __slots__ = ("annotations", "description", "is_lively", "mime", "name", "size", "title", "tool", "uri")

    def __init__(
        self,
        uri: str,
        content: str | bytes | Callable[..., Any],
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime: str | None = None,
        size: int | None = None,
        annotations: Mapping[str, Json] | None = None,
    ) -> None:
        if not isinstance(uri, str) or ":" not in uri:
            raise InvalidInput(f"resource: uri should be an address with a scheme, not {uri!r}")
        if not callable(content) and not isinstance(content, str | bytes):
            raise InvalidInput(f"resource {uri!r}: content should be text, bytes or a function")
        function = content if callable(content) else lambda: content
        self.uri = uri
        self.name = name or uri.rstrip("/").rpartition("/")[2] or uri
        self.title = title
        self.mime = mime or (None if callable(content) else _mime_of(content))
        self.size = (
            len(content.encode() if isinstance(content, str) else content)
            if isinstance(content, str | bytes)
            else size
        )
        self.annotations = annotations
        self.tool = given_by(function, self.name)
        self.is_lively = is_lively(self.tool)
        self.description = description or self.tool.schema.description or None
        if self.tool.schema.input_schema.get("properties"):
            raise InvalidInput(
                f"resource {uri!r}: its function takes arguments; an address with gaps is a Template"
            )

    @property
    def key(self) -> str:
        return self.uri

    def listed(self, revision: Revision) -> dict[str, Json]:
        """It in resources/list."""
        return _told(
            self, {"uri": self.uri, "name": self.name}, "title", "description", "size", "annotations"
        )


def _mime_of(content: str | bytes) -> str:
    return "text/plain" if isinstance(content, str) else "application/octet-stream"


class Template:
    """Resources whose addresses have gaps; the function gets what stands in them, by name."""

    __slots__ = ("annotations", "description", "is_lively", "mime", "name", "template", "title", "tool")

    def __init__(
        self,
        uri_template: str,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime: str | None = None,
        annotations: Mapping[str, Json] | None = None,
    ) -> None:
        if not callable(function):
            raise InvalidInput(
                f"template {uri_template!r}: expected a function, not {type(function).__name__}"
            )
        self.template = UriTemplate(uri_template)
        self.name = name or _own_name(function) or uri_template
        self.title = title
        self.mime = mime
        self.annotations = annotations
        self.tool = given_by(function, self.name)
        self.is_lively = is_lively(self.tool)
        self.description = description or self.tool.schema.description or None
        taken, needed = _parameters(self.tool)
        if not needed <= set(self.template.names) <= taken:
            raise InvalidInput(
                f"template {uri_template!r}: its gaps are {', '.join(self.template.names)}, "
                f"and its function takes {', '.join(sorted(taken)) or 'nothing'}"
            )

    @property
    def key(self) -> str:
        return self.template.text

    def listed(self, revision: Revision) -> dict[str, Json]:
        """It in resources/templates/list."""
        told = {"uriTemplate": self.template.text, "name": self.name}
        return _told(self, told, "title", "description", "annotations")


class Prompt:
    """A function that gives messages: text, a part, a Message, or a list of them. Its arguments are texts."""

    __slots__ = ("arguments", "description", "is_lively", "name", "title", "tool")

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
    ) -> None:
        if not callable(function):
            raise InvalidInput(f"prompts: expected a function or a Prompt, not {type(function).__name__}")
        self.name = name or _own_name(function)
        if not self.name:
            raise InvalidInput("prompts: this function has no name of its own; pass name=...")
        self.title = title
        self.tool = given_by(function, self.name)
        self.is_lively = is_lively(self.tool)
        self.description = description or self.tool.schema.description or None
        schema = self.tool.schema.input_schema
        required = schema.get("required", ())
        self.arguments = [
            {
                "name": one,
                **({"description": said["description"]} if "description" in said else {}),
                "required": one in required,
            }
            for one, said in schema.get("properties", {}).items()
        ]

    @property
    def key(self) -> str:
        return self.name

    def listed(self, revision: Revision) -> dict[str, Json]:
        """It in prompts/list."""
        told: dict[str, Json] = {"name": self.name}
        if self.arguments:
            told["arguments"] = self.arguments
        return _told(self, told, "title", "description")


Offer: TypeAlias = ServedTool | Resource | Template | Prompt


def _own_name(function: Callable[..., Any]) -> str:
    name = str(getattr(function, "__name__", ""))
    return "" if name == "<lambda>" else name


def _parameters(tool: Tool) -> tuple[set[str], set[str]]:
    """What its function takes, and what of that it needs."""
    schema = tool.schema.input_schema
    return set(schema.get("properties", {})), set(schema.get("required", ()))


def _told(offer: Any, told: dict[str, Json], *names: str) -> dict[str, Json]:
    """What is known of it besides."""
    for name in names:
        value = getattr(offer, name)
        if value is not None:
            told[name] = value
    if getattr(offer, "mime", None) is not None:
        told["mimeType"] = offer.mime
    return told
