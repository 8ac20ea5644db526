"""JsonSchema: whether an answer is JSON that fits a schema, or has such JSON in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.json_schema import compiled
from tako.verifiers.base import Candidate, Score, Verifier
from tako.verifiers.passages import NO_JSON, json_value_in

__all__ = ["JsonSchema"]


class JsonSchema(Verifier):
    """1 for an answer whose JSON fits the schema, else 0 with the first fault as the reason.

    The JSON is the whole answer, or else a fenced block of it, or else what stands between the outermost
    braces. Which words of a schema are applied is told in `tako.json_schema.checker`.
    """

    def __init__(self, schema: Mapping[str, Any] | bool) -> None:
        """Raises InvalidInput for what is no schema."""
        if not isinstance(schema, Mapping | bool):
            hint = (
                "; of a Pydantic model take its model_json_schema()"
                if hasattr(schema, "model_json_schema")
                else ""
            )
            raise InvalidInput(
                f"JsonSchema: schema should be a dict, as JSON has it, not {type(schema).__name__}{hint}"
            )
        try:
            self._checker = compiled(dict(schema) if isinstance(schema, Mapping) else schema)
        except InvalidInput as error:
            raise InvalidInput(f"JsonSchema: schema: {error}") from error

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        return self._score(candidate.text)
        yield  # a flow without effects

    def _score(self, text: str) -> Score:
        value = json_value_in(text)
        if value is NO_JSON:
            return Score(value=0.0, reason="there is no JSON in it")
        try:
            self._checker.check(value)
        except InvalidInput as error:
            return Score(value=0.0, reason=str(error))
        return Score(value=1.0)
