"""The server under test: `python -m tests.mcp.conformance.server ARM PORT|stdio`.

The tools, resources and prompts that the scenarios ask for, by the names that the suite gives them. One
server speaks both eras: what asks the client is written once, and the server sends a request of its own
or answers "input required", as the era has it.

| offer                                    | what scenarios want of it                                |
|------------------------------------------|----------------------------------------------------------|
| test_simple_text, test_*_content, ...    | each kind of content                                     |
| test_tool_with_logging, .._with_progress | what is said while a tool runs                           |
| test_error_handling                      | a failure that is a result                               |
| test_sampling, test_elicitation*         | questions to the client; schemas arrive as they are      |
| test_missing_capability                  | is refused to a client that cannot sample                |
| test_input_required_result_*             | several questions, several rounds, a state nobody forges |
| test_trigger_*_change                    | a list that changes while somebody listens               |
| json_schema_2020_12_tool, test_headers   | schemas that are listed as they were given               |
| test://*                                 | text, bytes, a template, one to subscribe to             |
| test_*_prompt, test_prompt_*             | messages of each kind; one that asks first               |

test_structured_content is for the clients of tests/mcp/interop.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import time
from dataclasses import dataclass
from typing import Any

import trio

from tako.mcp.server import (
    Client,
    Elicit,
    Embedded,
    McpServer,
    Resource,
    Roots,
    Sample,
    ServedTool,
    Template,
    answer,
    serve,
    serve_async,
)
from tako.parts import AudioPart, ImagePart
from tako.tools import Tool, ToolContext, ToolOutput

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SILENCE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
PAUSE = 0.05
"""Seconds between two things that a tool says, so that one sees that they do not come at once."""


# Content.


def test_simple_text() -> str:
    """Gives a text."""
    return "This is a simple text response for testing."


def test_image_content() -> ImagePart:
    """Gives an image."""
    return ImagePart(mime="image/png", data_b64=PIXEL)


def test_audio_content() -> ToolOutput:
    """Gives a sound."""
    return answer(AudioPart(mime="audio/wav", data_b64=SILENCE))


def test_embedded_resource() -> ToolOutput:
    """Gives a resource."""
    return answer(Embedded("test://embedded-resource", "This is an embedded resource.", mime="text/plain"))


def test_multiple_content_types() -> ToolOutput:
    """Gives a text, an image and a resource."""
    return answer(
        "Multiple content types test:",
        ImagePart(mime="image/png", data_b64=PIXEL),
        Embedded("test://mixed-content-resource", '{"test": "data"}', mime="application/json"),
    )


@dataclass
class Sum:
    sum: int


def test_structured_content(a: int, b: int) -> Sum:
    """Adds two numbers."""
    return Sum(a + b)


def test_error_handling() -> str:
    """Fails."""
    raise RuntimeError("This tool intentionally returns an error for testing")


# What is said while a tool runs.


def test_tool_with_logging(context: ToolContext) -> str:
    """Logs three times."""
    client = Client.of(context)
    for event in ("started", "processing data", "completed"):
        client.log("info", f"Tool execution {event}")
        time.sleep(PAUSE)
    return "Tool with logging executed successfully"


def test_tool_with_progress(context: ToolContext) -> str:
    """Says how far it is, three times."""
    client = Client.of(context)
    for done in (0, 50, 100):
        client.progress(done, 100, f"Completed step {done} of 100")
        time.sleep(PAUSE)
    return "done"


def test_logging_tool(context: ToolContext) -> str:
    """Logs, for whoever wants to hear it."""
    Client.of(context).log("info", "evaluated")
    return "Logging evaluated"


# Questions to the client.


def test_sampling(prompt: str, context: ToolContext) -> str:
    """Asks the client's model."""
    return f"LLM response: {Client.of(context).sample(prompt, max_tokens=100).text}"


RESPONSE = {
    "type": "object",
    "properties": {"response": {"type": "string", "description": "User's response"}},
    "required": ["response"],
}


def test_elicitation(message: str, context: ToolContext) -> str:
    """Asks the client's user."""
    return told(Client.of(context).elicit(message, RESPONSE))


DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "User name", "default": "John Doe"},
        "age": {"type": "integer", "description": "User age", "default": 30},
        "score": {"type": "number", "description": "User score", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "description": "Verification status", "default": True},
    },
    "required": [],
}


def test_elicitation_sep1034_defaults(context: ToolContext) -> str:
    """Asks with a default for each kind of field."""
    return told(Client.of(context).elicit("Please review the fields", DEFAULTS))


OPTIONS = ["option1", "option2", "option3"]
TITLED = [{"const": f"value{number}", "title": f"Option {number}"} for number in (1, 2, 3)]
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": OPTIONS},
        "titledSingle": {"type": "string", "oneOf": TITLED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"type": "string", "enum": OPTIONS},
        },
        "titledMulti": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"anyOf": TITLED}},
    },
    "required": [],
}


def test_elicitation_sep1330_enums(context: ToolContext) -> str:
    """Asks to choose, in each way that there is."""
    return told(Client.of(context).elicit("Please select options", ENUMS))


def told(elicited: Any) -> str:
    return f"User response: {elicited.action}, {elicited.content.get('response', dict(elicited.content))}"


def test_missing_capability() -> str:
    """Is only for clients that can sample."""
    return "Success"


def test_streaming_elicitation(context: ToolContext) -> str:
    """Says something, and then asks."""
    client = Client.of(context)
    client.progress(50, 100)
    return told(client.elicit("What is to be streamed?", RESPONSE))


# Questions in the modern era.


def form(name: str, kind: str = "string") -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}


WHO = Elicit("What is your name?", form("name"))
CONFIRM = Elicit("Please confirm", form("ok", "boolean"))


def test_input_required_result_elicitation(context: ToolContext) -> str:
    """Asks for a name."""
    person = Client.of(context).ask(user_name=WHO)["user_name"]
    return f"Hello, {person.content['name']}!"


def test_input_required_result_sampling(context: ToolContext) -> str:
    """Asks a model for a capital."""
    question = Sample("What is the capital of France?", max_tokens=100)
    return Client.of(context).ask(capital_question=question)["capital_question"].text


def test_input_required_result_list_roots(context: ToolContext) -> str:
    """Asks for the folders."""
    return " ".join(root.uri for root in Client.of(context).ask(client_roots=Roots())["client_roots"])


def test_input_required_result_request_state(context: ToolContext) -> str:
    """Asks for a confirmation, and keeps a state meanwhile."""
    client = Client.of(context)
    client.state["kind"] = "request-state"
    client.ask(confirm=CONFIRM)
    return "state-ok"


def test_input_required_result_multiple_inputs(context: ToolContext) -> str:
    """Asks for three things at once."""
    client = Client.of(context)
    client.state["kind"] = "multiple-inputs"
    answers = client.ask(
        user_name=WHO, greeting=Sample("Generate a greeting", max_tokens=50), client_roots=Roots()
    )
    return f"{answers['greeting'].text}, {answers['user_name'].content}, {len(answers['client_roots'])} roots"


def test_input_required_result_multi_round(context: ToolContext) -> str:
    """Asks for one thing after the other."""
    client = Client.of(context)
    name = client.ask(step1=Elicit("Step 1: What is your name?", form("name")))["step1"]
    color = client.ask(step2=Elicit("Step 2: What is your favorite color?", form("color")))["step2"]
    return f"{name.content['name']} likes {color.content['color']}"


def test_input_required_result_tampered_state(context: ToolContext) -> str:
    """Asks for a confirmation, and keeps a state that nobody can forge."""
    client = Client.of(context)
    client.state["kind"] = "tamper-test"
    client.ask(confirm=CONFIRM)
    return "integrity-ok"


def test_input_required_result_capabilities(context: ToolContext) -> str:
    """Asks for what the client can do."""
    client = Client.of(context)
    questions: dict[str, Any] = {}
    if client.can("elicitation"):
        questions["elicit_input"] = Elicit("Elicitation input", form("value"))
    if client.can("sampling"):
        questions["sample_input"] = Sample("Sample request", max_tokens=50)
    return f"received {', '.join(client.ask(**questions))}"


# Schemas.

JSON_SCHEMA_2020_12 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
HEADERS = {
    "type": "object",
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    "required": ["region"],
}


def anything(**arguments: Any) -> str:
    return f"called with {arguments}"


TOOLS = [
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_structured_content,
    test_error_handling,
    test_tool_with_logging,
    test_tool_with_progress,
    test_logging_tool,
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
    ServedTool(test_missing_capability, requires=["sampling"]),
    test_streaming_elicitation,
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_tampered_state,
    test_input_required_result_capabilities,
    Tool(anything, name="json_schema_2020_12_tool", description="Any", input_schema=JSON_SCHEMA_2020_12),
    Tool(anything, name="test_headers", description="Mirrored into headers", input_schema=HEADERS),
]


# Resources and prompts.


def data(id: str) -> dict[str, Any]:
    """What is known of an id."""
    return {"id": id, "templateTest": True, "data": f"Data for ID: {id}"}


RESOURCES = [
    Resource("test://static-text", "This is the content of the static text resource.", mime="text/plain"),
    Resource("test://static-binary", base64.b64decode(PIXEL), mime="image/png"),
    Resource("test://watched-resource", lambda: "Watched resource content", mime="text/plain"),
]
TEMPLATES = [Template("test://template/{id}/data", data, mime="application/json")]


def test_simple_prompt() -> str:
    """A text."""
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    """A text with gaps.

    Args:
        arg1: First test argument
        arg2: Second test argument
    """
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(resourceUri: str) -> list[Any]:
    """A resource and a text."""
    return [
        Embedded(resourceUri, "Embedded resource content for testing.", mime="text/plain"),
        "Please process the embedded resource above.",
    ]


def test_prompt_with_image() -> list[Any]:
    """An image and a text."""
    return [ImagePart(mime="image/png", data_b64=PIXEL), "Please analyze the image above."]


def test_input_required_result_prompt(context: ToolContext) -> str:
    """A text about what the client's user says."""
    question = Elicit("What context should the prompt use?", form("context"))
    return f"Prompt with context: {Client.of(context).ask(user_context=question)['user_context'].content}"


PROMPTS = [
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
]

SERVER = McpServer(
    TOOLS,
    name="tako-conformance",
    instructions="Everything that the scenarios ask for.",
    resources=RESOURCES,
    templates=TEMPLATES,
    prompts=PROMPTS,
    completions={"test_prompt_with_arguments": {"arg1": ["paris", "park", "party"]}},
)


def test_trigger_tool_change() -> str:
    """Changes the list of tools."""
    SERVER.changed("tools")
    return "changed"


def test_trigger_prompt_change() -> str:
    """Changes the list of prompts."""
    SERVER.changed("prompts")
    return "changed"


SERVER.add(test_trigger_tool_change)
SERVER.add(test_trigger_prompt_change)


async def serve_it(http: str | None) -> None:
    await serve_async(SERVER, http=http)


def main(arm: str, where: str) -> None:
    http = None if where == "stdio" else f"127.0.0.1:{where}"
    try:
        match arm:
            case "blocking":
                serve(SERVER, http=http)
            case "trio":
                trio.run(serve_it, http)
            case "asyncio":
                asyncio.run(serve_it(http))
            case _:
                raise SystemExit(f"an arm is blocking, trio or asyncio, not {arm!r}")
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main(*sys.argv[1:])
