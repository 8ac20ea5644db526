"""What a function becomes: the words and the schema for the model, the checks for us, the registry."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from tako.effects import Call, Flow
from tako.errors import InvalidInput, ToolError
from tako.models import CacheControl, Principal
from tako.testing.simulator import Simulator
from tako.tools import Tool, ToolContext, ToolRegistry, tool


class Unit(Enum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Place(BaseModel):
    city: str = Field(description="Its name")


def weather(
    place: Place,
    unit: Unit = Unit.CELSIUS,
    days: Annotated[int, Field(description="From 1 to 9", ge=1, le=9)] = 3,
    style: Literal["short", "long"] = "short",
    near: float | None = None,
) -> str:
    """Tell the weather.

    Args:
        place: Where
        days: not read, the annotation says it
        style: How
    """
    return f"{place.city} {unit} {days} {style} {near}"


def test_the_schema_is_that_of_the_signature() -> None:
    one = Tool(weather)
    assert (one.name, one.schema.name) == ("weather", "weather")
    assert one.schema.description == "Tell the weather."
    assert one.schema.input_schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["place"],
        "properties": {
            "place": {"$ref": "#/$defs/Place", "description": "Where"},
            "unit": {"$ref": "#/$defs/Unit", "default": "c"},
            "days": {
                "type": "integer",
                "description": "From 1 to 9",
                "minimum": 1,
                "maximum": 9,
                "default": 3,
            },
            "style": {"type": "string", "enum": ["short", "long"], "default": "short", "description": "How"},
            "near": {"anyOf": [{"type": "number"}, {"type": "null"}], "default": None},
        },
        "$defs": {
            "Place": {
                "type": "object",
                "title": "Place",
                "properties": {"city": {"type": "string", "title": "City", "description": "Its name"}},
                "required": ["city"],
            },
            "Unit": {"enum": ["c", "f"], "title": "Unit", "type": "string"},
        },
    }


def test_the_context_is_no_parameter_for_the_model() -> None:
    def act(context: ToolContext, x: int) -> None: ...

    assert list(Tool(act).schema.input_schema["properties"]) == ["x"]


def test_a_function_without_parameters_has_an_empty_object() -> None:
    def act() -> None: ...

    assert Tool(act).schema.input_schema == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }


def test_other_names_are_allowed_where_the_function_takes_them() -> None:
    def act(a: int, **others: Any) -> None: ...

    assert Tool(act).schema.input_schema["additionalProperties"] is True


def test_a_parameter_may_be_called_like_a_method_of_a_model() -> None:
    def act(
        json: str, schema: int = 1, model_config: str = "x", model_dump_it: int = 2, copy: int = 3
    ) -> Any:
        return [json, schema, model_config, model_dump_it, copy]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = Tool(act)
    schema = one.schema.input_schema
    assert list(schema["properties"]) == ["json", "schema", "model_config", "model_dump_it", "copy"]
    assert schema["required"] == ["json"]
    assert invoked(one, {"json": "j", "model_config": "y"}) == ["j", 1, "y", 2, 3]


def test_a_parameter_without_a_hint_takes_anything() -> None:
    def act(x, y=1):  # type: ignore[no-untyped-def]
        return [x, y]

    assert Tool(act).schema.input_schema["properties"] == {"x": {}, "y": {"default": 1}}
    assert invoked(Tool(act), {"x": {"a": [1]}}) == [{"a": [1]}, 1]


def test_what_is_said_at_the_decorator_counts() -> None:
    mark = CacheControl()

    @tool(name="other", description="Words.", read_only=True, approval=True, cache_control=mark)
    def act() -> None:
        """Not these."""

    assert (act.name, act.schema.name, act.schema.description) == ("other", "other", "Words.")
    assert (act.read_only, act.approval, act.schema.cache_control) == (True, True, mark)


def test_a_tool_can_be_called_as_the_function_that_it_was() -> None:
    @tool
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    assert add(1) == 2 and add(1, b=5) == 6
    assert repr(add) == "<Tool add>"


def test_an_external_tool_is_not_performed_here() -> None:
    one = Tool.external("ask", "Ask somebody.", {"type": "object", "properties": {"q": {}}}, read_only=True)
    assert one.schema.input_schema["properties"] == {"q": {}}
    assert one.read_only and one.function is None
    with pytest.raises(InvalidInput, match="performed elsewhere"):
        one(q=1)
    with pytest.raises(InvalidInput, match="performed elsewhere"):
        invoked(one, {})


def test_a_partial_has_the_hints_and_the_words_of_its_function() -> None:
    def act(a: int, b: int, c: int = 0) -> int:
        """Sum up.

        Args:
            b: the other
        """
        return a + b + c

    one = Tool(functools.partial(act, 1, c=5), name="act")
    assert one.schema.description == "Sum up."
    assert one.schema.input_schema["properties"] == {
        "b": {"type": "integer", "description": "the other"},
        "c": {"type": "integer", "default": 5},
    }
    assert invoked(one, {"b": "2"}) == 8


def test_a_schema_of_ones_own_is_what_the_model_sees() -> None:
    def act(a: int) -> int:
        return a

    one = Tool(act, input_schema={"type": "object", "properties": {"a": {"const": 1}}})
    assert one.schema.input_schema["properties"] == {"a": {"const": 1}}
    with pytest.raises(ToolError):
        invoked(one, {"a": "x"})


def starred(*numbers: int) -> None: ...
def underlined(_x: int) -> None: ...
def uncarriable(x: Iterator[object] | Call | Simulator) -> None: ...
def two_contexts(x: ToolContext | None) -> None: ...
def unresolved(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Tool(5), "expected a function, not int"),  # type: ignore[arg-type]
        (lambda: Tool(lambda: None), "pass name="),
        (lambda: Tool(functools.partial(weather)), "pass name="),
        (lambda: Tool(None), "pass name="),
        (lambda: Tool(weather, name=5), "name should be text"),  # type: ignore[arg-type]
        (lambda: Tool(weather, description=5), "description"),  # type: ignore[arg-type]
        (lambda: Tool(starred), r"'starred': \*numbers cannot be filled"),
        (lambda: Tool(underlined), "'_x' may not start with an underscore"),
        (lambda: Tool(uncarriable), "'uncarriable': a parameter has a type that JSON cannot carry"),
        (lambda: Tool(two_contexts), "'two_contexts': a parameter has a type that JSON cannot carry"),
        (lambda: Tool(unresolved), "'unresolved': a type hint cannot be resolved"),
        (lambda: Tool.external("x", "d", 5), "input_schema"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_a_tool_is_refused_with_the_reason(make: Callable[[], Tool], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()


def context() -> ToolContext:
    return ToolContext(call_id="1", tool_name="t", step=1, run_id="r", principal=Principal())


def invoked(one: Tool, arguments: Any, progress: Callable[[Any], Any] | None = None) -> Any:
    return Simulator().run(one.invoke(arguments, context, progress))


def test_progress_is_emitted_only_where_somebody_looks() -> None:
    def count() -> Iterator[int]:
        yield 1
        yield 2

    simulator = Simulator()

    def flow() -> Flow[Any]:
        return (yield from Tool(count).invoke({}, context, lambda item: [("saw", item)]))

    stream = simulator._start(flow(), None)
    assert list(stream) == [("saw", 1), ("saw", 2)]
    assert stream.result == 2
    assert list(simulator._start(Tool(count).invoke({}, context), None)) == []


def test_a_context_is_made_only_for_those_who_want_one() -> None:
    made: list[ToolContext] = []

    def make() -> ToolContext:
        made.append(context())
        return made[-1]

    def simple() -> int:
        return 1

    def curious(context: ToolContext) -> bool:
        return context is made[-1]

    Simulator().run(Tool(simple).invoke({}, make))
    assert made == []
    assert Simulator().run(Tool(curious).invoke({}, make)) is True


# The registry.


def named(name: str) -> Tool:
    return Tool(lambda: None, name=name)


def test_tools_are_sorted_by_name_whatever_the_order() -> None:
    for names in (["b", "a", "c"], ["c", "b", "a"]):
        registry = ToolRegistry([named(name) for name in names])
        assert [one.name for one in registry] == ["a", "b", "c"]
        assert [schema.name for schema in registry.schemas] == ["a", "b", "c"]
        assert len(registry) == 3


def test_functions_become_tools() -> None:
    registry = ToolRegistry([weather])
    one = registry.get("weather")
    assert isinstance(one, Tool) and one.function is weather
    assert registry.get("other") is None
    assert ToolRegistry().schemas == ()


def hurry() -> Flow[str]:
    """Ask for an effect, as a flow does."""
    yield Call(str.upper, ("now",))
    return "done"


def test_effects_of_a_plain_generator_are_not_shown_as_progress() -> None:
    with pytest.raises(ToolError, match=r"yielded an effect \(Call\).* make the tool by Tool.from_flow"):
        invoked(Tool(hurry), {})
    assert invoked(Tool.from_flow(hurry), {}) == "done"


def test_a_flow_that_is_none_is_an_error_in_words() -> None:
    def plain() -> Any:
        return "no flow"

    with pytest.raises(ToolError, match="should be a generator that yields effects; it gave str"):
        invoked(Tool.from_flow(plain), {})


def test_a_list_of_tools_in_the_list_is_told_how_to_be_written() -> None:
    with pytest.raises(InvalidInput, match=r"not list; write tools=\[\*them\]"):
        ToolRegistry([[weather]])  # type: ignore[list-item]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two tools are named 'weather'"):
        ToolRegistry([weather, named("weather")])


@pytest.mark.parametrize("tools", [5, None, [5], ["x"], {"a": 1}])
def test_what_is_no_list_of_tools_is_refused(tools: Any) -> None:
    with pytest.raises(InvalidInput, match="tools"):
        ToolRegistry(tools)
