"""ChatRequest to the body of `generateContent`, for the Gemini API and for Vertex AI.

| ours                      | on the wire                                                            |
|---------------------------|------------------------------------------------------------------------|
| system messages           | `systemInstruction`, the parts of all of them in order                 |
| user, assistant           | `contents` with role `user` and `model`; the parts are in `parts`      |
| tool                      | `user`, `functionResponse` parts; tool messages in a row are one turn, |
|                           | because the vendor wants as many responses in it as there were calls   |
| tools                     | `functionDeclarations`, with `parametersJsonSchema` (see `schema`)     |
| tool_choice               | `functionCallingConfig`: AUTO (VALIDATED where a tool is strict), ANY, |
|                           | NONE, or ANY with the one name that is allowed                         |
| sampling, limits, format  | `generationConfig`                                                     |
| thinking                  | `thinkingConfig`: level of effort or budget (0 for none, -1 for as     |
|                           | much as it takes), and whether thoughts are shown                      |
| metadata                  | `labels`, on Vertex                                                    |
| extra                     | merged into the body at every depth; its `tools` join ours             |

What has no place there raises InvalidInput; nothing else is left out, but empty contents, which the
vendor refuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import ChatRequest, Message, Role, Thinking, ToolResultPart, ToolSchema
from tako.providers.body import EFFORTS, chosen_tool, effort_of, json_bytes, merge_extra, vendor_tools
from tako.providers.gemini.parts import OWNER, encode_parts, encode_signed_parts
from tako.providers.gemini.schema import taken_schema

__all__ = ["CODEC", "encode_body", "encode_tool"]

CODEC: Final = "gemini"
"""For whom an encoded message is kept."""
SIGNED_CODEC: Final = "gemini signed"
SIGNING: Final = re.compile(r"gemini-(?:[3-9]|[1-9][0-9]|[a-z])")
"""Models that refuse calls without a signature: those since Gemini 3, so what is named `latest` too."""

SYSTEM, TOOL, ASSISTANT = Role.SYSTEM, Role.TOOL, Role.ASSISTANT
MODES: Final = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
NAMES: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "seed": "seed",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""What goes into generationConfig under another name, and otherwise as it is."""


def encode_body(request: ChatRequest, *, model: str, takes_labels: bool) -> bytes:
    """The body; raises InvalidInput for what Gemini cannot be asked.

    model         whom the address asks: what is old has to look different for some
    takes_labels  whether the service knows `labels`
    """
    system, contents = _conversation(request, wants_signatures=SIGNING.search(model) is not None)
    if not contents:
        raise InvalidInput(f"{OWNER}: messages: there is nothing to send but system messages")
    pieces = [b'{"contents":[', b",".join(contents), b"]"]
    if system:
        pieces += [b',"systemInstruction":{"parts":[', b",".join(system), b"]}"]
    theirs, extra = vendor_tools(OWNER, request.extra)
    ours = [tool.encoded(CODEC, encode_tool) for tool in request.tools]
    tools = [b'{"functionDeclarations":[%s]}' % b",".join(ours)] if ours else []
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    if tools:
        pieces += [b',"tools":[', b",".join(tools), b"]"]
    fields = _fields(request, takes_labels=takes_labels)
    shared = {name for name in fields if isinstance(extra.get(name), Mapping)}
    fields |= {name: _merged(fields[name], extra[name]) for name in shared}
    rest = {name: value for name, value in extra.items() if name not in shared}
    merge_extra(OWNER, fields, rest, ("contents", "systemInstruction", "model", "stream"))
    # An object that is not empty, without its first bracket.
    pieces += [b",", json_bytes(fields, "the request")[1:]] if fields else [b"}"]
    return b"".join(pieces)


def _merged(ours: Any, theirs: Any) -> Any:
    """Two objects merged at every depth: theirs wins, and None takes a field of ours out."""
    if not isinstance(ours, dict) or not isinstance(theirs, Mapping):
        return theirs
    merged = {name: value for name, value in ours.items() if name not in theirs}
    for name, value in theirs.items():
        if value is not None or name not in ours:
            merged[name] = _merged(ours.get(name), value)
    return merged


def _conversation(request: ChatRequest, *, wants_signatures: bool) -> tuple[list[bytes], list[bytes]]:
    """The parts of `systemInstruction` and the elements of `contents`."""
    system: list[bytes] = []
    contents: list[bytes] = []
    results: list[bytes] = []
    names: dict[str, str] = {}
    for message in request.messages:
        role = message.role
        if role is TOOL:
            if results_of := _results(message, names):
                results.append(results_of)
            continue
        if role is ASSISTANT and wants_signatures:
            data = message.encoded(SIGNED_CODEC, encode_signed_parts)
        else:
            data = message.encoded(CODEC, encode_parts)
        if role is SYSTEM:
            if data:
                system.append(data)
            continue
        if role is ASSISTANT:
            names.update((call.id, call.name) for call in message.tool_calls)
        if results and data:
            contents.append(_content(b"user", results))
            results = []
        if data:
            contents.append(_content(b"model" if role is ASSISTANT else b"user", [data]))
    if results:
        contents.append(_content(b"user", results))
    return system, contents


def _content(role: bytes, parts: list[bytes]) -> bytes:
    return b'{"role":"%s","parts":[%s]}' % (role, b",".join(parts))


def _results(message: Message, names: Mapping[str, str]) -> bytes:
    """The parts of a tool message; a result without a name has that of the call with its id."""
    found = []
    for part in message.content:
        if type(part) is ToolResultPart and not part.name:
            if part.id not in names:
                raise InvalidInput(
                    f"{OWNER}: the result of {part.id!r} has no name, and there is no call with this id "
                    "before it: give it the name of its tool"
                )
            part = part.model_copy(update={"name": names[part.id]})
        found.append(part)
    if all(new is old for new, old in zip(found, message.content, strict=True)):
        return message.encoded(CODEC, encode_parts)
    # Kept with the message all the same: it means the same for as long as the names do.
    named = tuple(part.name for part in found if type(part) is ToolResultPart)
    return message.encoded(
        (CODEC, named), lambda _: encode_parts(Message(role=Role.TOOL, content=tuple(found)))
    )


def encode_tool(tool: ToolSchema) -> bytes:
    """One element of `functionDeclarations`."""
    schema = taken_schema(tool.input_schema, f"the schema of tool {tool.name!r}")
    fields = {"name": tool.name, "description": tool.description, "parametersJsonSchema": schema}
    return json_bytes(fields, f"the schema of tool {tool.name!r}")


def _fields(request: ChatRequest, *, takes_labels: bool) -> dict[str, Any]:
    """The small fields, all but what `extra` says."""
    if request.parallel_tool_calls is False:
        raise InvalidInput(
            f"{OWNER}: parallel_tool_calls: this vendor cannot be told to call one tool at a time; "
            "leave it out, and say so in the instructions"
        )
    fields: dict[str, Any] = {}
    generation = _generation(request)
    if generation:
        fields["generationConfig"] = generation
    calling = _calling(request)
    if calling:
        fields["toolConfig"] = {"functionCallingConfig": calling}
    if request.metadata:
        if not takes_labels:
            raise InvalidInput(f"{OWNER}: metadata: the Gemini API takes none (Vertex does, as labels)")
        fields["labels"] = request.metadata
    return fields


def _calling(request: ChatRequest) -> dict[str, Any]:
    tool = chosen_tool(OWNER, request)
    if tool is not None:
        return {"mode": "ANY", "allowedFunctionNames": [tool]}
    choice = request.tool_choice
    if not request.tools and not request.extra.get("tools"):
        return {}
    if choice in (None, "auto") and any(entry.strict for entry in request.tools):
        return {"mode": "VALIDATED"}
    return {"mode": MODES[choice]} if choice is not None else {}


def _generation(request: ChatRequest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, theirs in NAMES.items():
        value = getattr(request, name)
        if value is not None:
            found[theirs] = value
    if request.stop:
        found["stopSequences"] = request.stop
    if request.top_logprobs is not None:
        found["responseLogprobs"] = True
        if request.top_logprobs:
            found["logprobs"] = request.top_logprobs
    if request.output_schema is not None:
        found["responseMimeType"] = "application/json"
        found["responseJsonSchema"] = taken_schema(request.output_schema, "output_schema")
    if request.thinking is not None:
        found["thinkingConfig"] = _thinking(request.thinking)
    return found


def _thinking(thinking: Thinking) -> dict[str, Any]:
    if not thinking.enabled:
        return {"thinkingBudget": 0}
    if thinking.effort is not None and thinking.budget_tokens is not None:
        raise InvalidInput(f"{OWNER}: thinking: this vendor takes effort or budget_tokens, not both")
    found: dict[str, Any] = {}
    effort = effort_of(thinking)
    if effort is not None:
        found["thinkingLevel"] = effort.upper() if effort in EFFORTS else effort
    if thinking.budget_tokens is not None:
        found["thinkingBudget"] = thinking.budget_tokens
    if not found and thinking.summary is None:
        # Some models think only when they are told to; this says "as much as it takes".
        found["thinkingBudget"] = -1
    if thinking.summary is not None:
        found["includeThoughts"] = thinking.summary != "none"
    return found
