"""Structured output: what the model is told, what is accepted, and how often it may try again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from typing_extensions import TypedDict

from tako.errors import InvalidInput, OutputInvalid
from tako.models import Capabilities, ChatResponse, Message
from tako.orchestrators.output import OutputType, json_in
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake
from tako.providers.python import PythonProvider
from tako.testing.simulator import Simulator
from tako.testing.strategies import json_values
from tests.orchestrators.kit import Recorded, assert_replayable, call, events_of, kinds


class City(BaseModel):
    name: str
    people: int = Field(ge=0)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: date


class Node(BaseModel):
    label: str
    below: list[Node] = Field(default_factory=list)


@dataclass
class Point:
    x: int


class Movie(TypedDict):
    title: str


class Colour(Enum):
    RED = "red"


def output_of(agent: SingleAgent[Any]) -> Any:
    return Simulator().run(agent, "go").output


@pytest.mark.parametrize(
    ("output_type", "text", "value"),
    [
        (City, '{"name": "Bonn", "people": 3}', City(name="Bonn", people=3)),
        (City, ' \n{"name": "Bonn", "people": 3}\n', City(name="Bonn", people=3)),
        (City, '```json\n{"name": "Bonn", "people": 3}\n```', City(name="Bonn", people=3)),
        (City, '```\n{"name": "Bonn", "people": 3}```', City(name="Bonn", people=3)),
        (City, 'Here it is: {"name": "Bonn", "people": 3}. Bye', City(name="Bonn", people=3)),
        (City, 'Sure:\n```json\n{"name": "a ``` b", "people": 3}\n```', None),
        (Node, '{"label": "a", "below": [{"label": "b"}]}', Node(label="a", below=[Node(label="b")])),
        (Point, '{"x": 1}', Point(1)),
        (Movie, '{"title": "M"}', {"title": "M"}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (int, '{"value": 3}', 3),
        (int, "3", 3),
        (int, "```json\n3\n```", 3),
        (bool, '{"value": false}', False),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (list[City], '{"value": [{"name": "a", "people": 1}]}', [City(name="a", people=1)]),
        (list[Strict], '{"value": [{"when": "2024-02-29"}]}', [Strict(when=date(2024, 2, 29))]),
        (City | Point, '{"value": {"x": 1}}', Point(1)),
        (City | int, '{"value": 3}', 3),
        (int | None, '{"value": null}', None),
        (Literal["a", "b"], '{"value": "b"}', "b"),
        (Colour, '{"value": "red"}', Colour.RED),
        (date, '{"value": "2024-02-29"}', date(2024, 2, 29)),
        (tuple[int, str], '{"value": [1, "a"]}', (1, "a")),
        (str, "any text {", "any text {"),
    ],
)
def test_an_answer_becomes_a_value(output_type: Any, text: str, value: Any) -> None:
    agent = SingleAgent(Fake(text), output_type=output_type, output_retries=0)
    if value is None and output_type is City:
        with pytest.raises(OutputInvalid):
            output_of(agent)
    else:
        assert output_of(agent) == value


@pytest.mark.parametrize("output_type", [City, Node, Point, Movie, int, list[City], City | Point, str | None])
def test_the_schema_has_an_object_at_its_root(output_type: Any) -> None:
    schema = OutputType(output_type).schema
    while "$ref" in schema:
        schema = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    assert schema["type"] == "object"


def test_the_model_is_given_the_schema() -> None:
    model = Recorded('{"name": "Bonn", "people": 3}')
    agent = SingleAgent(model, output_type=City)
    Simulator().run(agent, "go")
    assert agent.equipment.output is not None
    assert model.requests[0].output_schema == agent.equipment.output.schema
    assert model.requests[0].messages == (Message.user("go"),)


@pytest.mark.parametrize("system", [None, "be brief", Message.system("be brief").content])
def test_a_model_that_cannot_be_held_to_a_schema_is_told_it_in_words(system: Any) -> None:
    seen: list[str] = []

    def answer(request: dict[str, Any]) -> str:
        seen.append("\n".join(part["text"] for part in request["messages"][0]["content"]))
        return "3"

    provider = PythonProvider("mine", answer, capabilities=Capabilities())
    assert output_of(SingleAgent(provider, output_type=int, system=system)) == 3
    assert '"required":["value"]' in seen[0]
    assert seen[0].startswith("be brief") == (system is not None)


def test_text_as_output_needs_no_schema() -> None:
    model = Recorded("ok")
    Simulator().run(SingleAgent(model, output_type=str), "go")
    assert model.requests[0].output_schema is None


def test_an_answer_that_does_not_fit_goes_back_with_the_reason() -> None:
    model = Recorded('{"name": "Bonn", "people": -1}', "no", '{"name": "Bonn", "people": 1}')
    result = Simulator().run(SingleAgent(model, output_type=City), "go")
    assert result.output == City(name="Bonn", people=1)
    assert result.steps == 3
    told = [request.messages[-1].text for request in model.requests[1:]]
    assert "people: Input should be greater than or equal to 0" in told[0]
    assert "Invalid JSON" in told[1]
    assert_replayable(result.new_messages)
    assert len(result.new_messages) == 6


def test_tries_are_bounded_and_the_error_has_everything() -> None:
    model = Recorded("no")
    with pytest.raises(OutputInvalid) as caught:
        Simulator().run(SingleAgent(model, output_type=City, output_retries=2), "go")
    error = caught.value
    assert len(model.requests) == 3
    assert (error.body, error.phase, error.provider, error.model) == ("no", "output", "fake:test", "test")
    assert (error.partial.stop_reason, error.partial.steps, error.partial.text) == ("error", 3, "no")
    assert error.usage.input_tokens == 3


def test_tries_are_steps_too() -> None:
    model = Recorded("no")
    with pytest.raises(OutputInvalid):
        Simulator().run(SingleAgent(model, output_type=City, output_retries=9, max_steps=2), "go")
    assert len(model.requests) == 2


def test_tools_are_called_before_the_output_is_checked() -> None:
    def look() -> str:
        return "Bonn"

    model = Recorded(call("1", "look"), '{"name": "Bonn", "people": 1}')
    assert output_of(SingleAgent(model, output_type=City, tools=[look])) == City(name="Bonn", people=1)


def test_a_retry_is_an_event() -> None:
    events = events_of(SingleAgent(Fake(script=["no", "3"]), output_type=int), "go")
    assert kinds(events) == [
        "step_start",
        "assistant_text",
        "output_retry",
        "step_start",
        "assistant_text",
        "final",
    ]
    assert events[2].step == 1 and "Invalid JSON" in events[2].error


def test_an_answer_that_was_cut_off_may_still_fit() -> None:
    response = ChatResponse(message=Message.assistant("3"), finish_reason="length")
    result = Simulator().run(SingleAgent(Fake(script=[response]), output_type=int), "go")
    assert (result.output, result.stop_reason) == (3, "length")


def test_a_finished_run_gives_its_output_again_after_a_journey() -> None:
    agent = SingleAgent(Fake('{"name": "Bonn", "people": 1}'), output_type=City)
    result = Simulator().run(agent, "go")
    assert result.run is not None
    assert Simulator().run(agent, agent.load(result.run.dumps())) == result
    assert Simulator().run(agent, result.run) == result


FRAMES = ("{}", "```json\n{}\n```", "```\n{}\n```", "Here you are:\n```json\n{}\n```\nBye.", "So: {}\nBye.")


@given(json_values(), st.sampled_from(FRAMES))
def test_any_object_is_found_in_any_wrapping(value: Any, frame: str) -> None:
    text = to_json({"value": value}).decode()
    if "```" not in text:
        assert json_in(frame.replace("{}", text)) == text


@given(st.text(alphabet='`{}[]"ajson\n 3:,', max_size=40))
def test_any_text_is_a_value_or_an_invalid_input(text: str) -> None:
    for output_type in (City, int, list[int]):
        try:
            OutputType(output_type).check(text)
        except InvalidInput as error:
            assert error.message
