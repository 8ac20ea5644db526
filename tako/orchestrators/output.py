"""OutputType: what an agent's answer has to be, as a JSON schema for the model and a check for us."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import from_json, to_json

from tako.errors import InvalidInput
from tako.models import describe

__all__ = ["OutputType", "json_in"]

T = TypeVar("T")

WRAPPED = "value"


class OutputType(Generic[T]):
    """A Pydantic model or any other type. Vendors want an object at the root, so that a type that is
    none travels as `{"value": ...}`; the bare value is accepted as well."""

    __slots__ = ("_adapter", "_is_wrapped", "schema")

    def __init__(self, output_type: type[T]) -> None:
        try:
            self._adapter: TypeAdapter[T] = TypeAdapter(output_type)
            schema = self._adapter.json_schema()
        except PydanticUserError as error:
            reason = str(error).partition("\n")[0]
            raise InvalidInput(f"output_type: {output_type!r} has no JSON schema: {reason}") from error
        self._is_wrapped = schema.get("type") != "object" and "$ref" not in schema
        if self._is_wrapped:
            definitions = schema.pop("$defs", None)
            schema = {
                "type": "object",
                "properties": {WRAPPED: schema},
                "required": [WRAPPED],
                "additionalProperties": False,
            }
            if definitions:
                schema["$defs"] = definitions
        self.schema: dict[str, Any] = schema

    def check(self, text: str) -> T:
        """The value in the answer; raises InvalidInput with words for the model."""
        found = json_in(text)
        try:
            if not self._is_wrapped:
                return self._adapter.validate_json(found)
            return self._unwrap(found)
        except ValidationError as error:
            raise InvalidInput(describe(error)) from error

    def _unwrap(self, text: str | bytes) -> T:
        try:
            value = from_json(text)
        except ValueError:
            return self._adapter.validate_json(text)
        if isinstance(value, dict) and value.keys() == {WRAPPED}:
            text = to_json(value[WRAPPED])  # as JSON, because a strict type takes other things from it
        return self._adapter.validate_json(text)


def json_in(text: str) -> str:
    """The JSON in an answer: the whole of it, or what stands in a fence, or from the first bracket
    to its last. Models like to add a sentence or a fence even when told not to."""
    bare = text.strip()
    if bare[:1] in ("{", "["):
        return bare
    if "```" in bare:
        fenced = bare.split("```")[1]
        first, _, rest = fenced.partition("\n")
        bare = (rest if first.strip().isalpha() or not first.strip() else fenced).strip()
        if bare[:1] in ("{", "["):
            return bare
    starts = [position for position in (bare.find("{"), bare.find("[")) if position >= 0]
    if starts:
        start = min(starts)
        end = bare.rfind("}" if bare[start] == "{" else "]")
        if end > start:
            return bare[start : end + 1]
    return bare
