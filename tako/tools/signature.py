"""A function's signature as a Pydantic model: its JSON schema for the model, its check for us.

Every parameter becomes a field; a parameter annotated with ToolContext, or with an OfContext, is left out,
because tako fills it in. `*args` cannot be named in JSON and is refused; `**kwargs` lets further names
through. A parameter that is called like something of BaseModel's own (`json`, `copy`) is a field of another
name, whose alias it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError

from tako.errors import InvalidInput, ToolError
from tako.models import describe
from tako.tools.context import OfContext, ToolContext

__all__ = ["Signature", "underlying"]


class Signature:
    """How a function is called: checks arguments, and says which parameters are made of the context."""

    __slots__ = ("_model", "_positional", "_renamed", "contextual", "schema")

    def __init__(self, function: Callable[..., Any], name: str, documented: dict[str, str]) -> None:
        fields, self.contextual, self._positional, extra = _fields(function, name, documented)
        self._renamed = {f"parameter_{name}": name for name in fields if _is_taken(name)}
        for field_name, parameter in self._renamed.items():
            annotation, default = fields.pop(parameter)
            fields[field_name] = Annotated[annotation, Field(alias=parameter)], default
        try:
            self._model: type[BaseModel] = create_model(
                name, __config__=ConfigDict(extra="allow" if extra else "forbid"), **fields
            )
            schema = self._model.model_json_schema()
        except PydanticUserError as error:
            raise InvalidInput(
                f"tool {name!r}: a parameter has a type that JSON cannot carry: {error}"
            ) from error
        schema.pop("title", None)
        for prop in schema.get("properties", {}).values():
            prop.pop("title", None)
        self.schema: dict[str, Any] = schema

    def check(
        self, arguments: Any, context: ToolContext | None = None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments to call the function with; raises ToolError with words for the model."""
        if isinstance(arguments, str):
            raise ToolError("the arguments are not valid JSON; call the tool again with a JSON object")
        try:
            checked = self._model.__pydantic_validator__.validate_python(arguments)
        except ValidationError as error:
            raise ToolError(f"invalid arguments: {describe(error)}") from error
        keywords = dict(checked.__dict__)
        if checked.__pydantic_extra__:
            keywords.update(checked.__pydantic_extra__)
        if self._renamed:
            for field_name, parameter in self._renamed.items():
                keywords[parameter] = keywords.pop(field_name)
        if context is not None:
            for parameter, make in self.contextual.items():
                keywords[parameter] = make(context)
        positional = tuple([keywords.pop(name) for name in self._positional]) if self._positional else ()
        return positional, keywords


def _fields(
    function: Callable[..., Any], name: str, documented: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Callable[[ToolContext], object]], tuple[str, ...], bool]:
    """The fields, what makes each contextual parameter, the positional-only names, and if any name goes."""
    hints = _hints(function, name)
    fields: dict[str, Any] = {}
    positional: list[str] = []
    contextual: dict[str, Callable[[ToolContext], object]] = {}
    extra = False
    for parameter in inspect.signature(function).parameters.values():
        annotation = hints.get(parameter.name, Any)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(parameter.name)
        if annotation is ToolContext:
            contextual[parameter.name] = _itself
        elif isinstance(annotation, type) and issubclass(annotation, OfContext):
            contextual[parameter.name] = annotation.of
        elif parameter.kind is parameter.VAR_POSITIONAL:
            raise InvalidInput(
                f"tool {name!r}: *{parameter.name} cannot be filled from JSON; name each parameter"
            )
        elif parameter.kind is parameter.VAR_KEYWORD:
            extra = True
        elif parameter.name.startswith("_"):
            raise InvalidInput(
                f"tool {name!r}: parameter {parameter.name!r} may not start with an underscore"
            )
        else:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[parameter.name] = _field(annotation, default, documented.get(parameter.name))
    return fields, contextual, tuple(positional), extra


def _itself(context: ToolContext) -> ToolContext:
    return context


def _is_taken(name: str) -> bool:
    return hasattr(BaseModel, name) or name.startswith("model_")


def _field(annotation: Any, default: Any, description: str | None) -> Any:
    if description and not (get_origin(annotation) is Annotated and _described(annotation)):
        annotation = Annotated[annotation, Field(description=description)]
    return annotation, default


def _described(annotation: Any) -> bool:
    return any(getattr(item, "description", None) for item in annotation.__metadata__)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target = underlying(function)
    target = target if inspect.isroutine(target) else type(target).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except NameError as error:
        raise InvalidInput(
            f"tool {name!r}: a type hint cannot be resolved ({error}); define the type at module level"
        ) from error


def underlying(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function inside a functools.partial: the hints and the docstring are its own."""
    while isinstance(function, partial):
        function = function.func
    return function
