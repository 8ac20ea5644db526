"""Google's models, behind the Gemini API and behind Vertex AI, and what their recordings hold."""

from __future__ import annotations

import base64
import json
import re
from itertools import count
from typing import Any, Literal

from tako.models import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
    Usage,
    VideoPart,
)
from tako.parts import IMAGE_TYPES
from tako.providers.gemini import Gemini, Vertex
from tako.providers.gemini.parts import MADE_ID
from tako.providers.gemini.schema import taken_schema
from tako.providers.http import HttpProvider
from tests.corpus.subject import Read, Subject, need
from tests.support.corpus import Exchange

__all__ = ["SUBJECT"]

CHOICES = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
SUMMARIES: dict[bool | None, Literal["auto", "none"] | None] = {None: None, True: "auto", False: "none"}
SAMPLING = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "maxOutputTokens": "max_tokens",
    "seed": "seed",
    "candidateCount": "n",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "stopSequences": "stop",
}
FREE_FORM = ("args", "response", "responseJsonSchema", "parametersJsonSchema", "parameters", "labels")
"""Objects whose keys are the caller's."""
SNAKE = re.compile(r"_([a-z])")

DIFFERENT = {
    "784597e61a7b6558": "a stream of 2023 that never says how it ended: to tako it was cut off",
    "5a4d5ab9cc57a649": "UNEXPECTED_TOOL_CALL: the vendor itself rejects the call, so it is an error",
}


def is_vertex(exchange: Exchange) -> bool:
    return exchange.name.startswith("google-vertex")


def provider_of(exchange: Exchange) -> HttpProvider:
    return Vertex("project", "m", "token") if is_vertex(exchange) else Gemini("m", "key")


def counts_of(exchange: Exchange, usage: Usage) -> dict[str, int | None]:
    """Our numbers in the vendor's: it counts tools beside the prompt, and thoughts beside the answer."""
    raw = usage.raw or {}
    of_tools, thought = raw.get("toolUsePromptTokenCount") or 0, usage.reasoning_tokens or 0
    read, written = usage.input_tokens, usage.output_tokens
    return {
        "input": read - of_tools if read is not None and "promptTokenCount" in raw else None,
        "output": written - thought if written is not None and "candidatesTokenCount" in raw else None,
        "cached_input": usage.cache_read_tokens,
        "reasoning": usage.reasoning_tokens,
    }


def error_code(exchange: Exchange) -> str | None:
    """The word for the status, where the vendor's library names the number as the code."""
    error = exchange.expected["error"]
    return error.get("status") or str(error["code"])


def events_in(exchange: Exchange) -> list[dict[str, Any]]:
    """The events of an answer, read off its bytes: the vendor's library only counts what they hold."""
    text = exchange.body.decode()
    if text.lstrip()[:1] in "[{":
        whole = json.loads(text)
        return whole if isinstance(whole, list) else [whole]
    return [json.loads(line[5:]) for line in text.split("\n") if line.startswith("data:")]


def more(exchange: Exchange, response: ChatResponse) -> list[str]:
    expected, content = exchange.expected, response.message.content
    replays = [part.replay.data for part in content if getattr(part, "replay", None)]  # type: ignore[union-attr]
    opaque = [part.replay.data for part in content if type(part) is OpaquePart]
    items = [SNAKE_OF[name] for part in opaque for name in part if name in SNAKE_OF]
    candidates = [
        c for event in events_in(exchange) for c in event.get("candidates") or () if not c.get("index")
    ]
    parts = [part for c in candidates for part in (c.get("content") or {}).get("parts") or ()]
    signatures = [part["thoughtSignature"] for part in parts if part.get("thoughtSignature")]
    media = [part["inlineData"]["data"] for part in parts if "inlineData" in part]
    shown = [part.data_b64 for part in content if type(part) in (ImagePart, AudioPart, VideoPart)]  # type: ignore[union-attr]
    pairs: dict[str, tuple[Any, Any]] = {
        "signatures": (
            sorted(data["thoughtSignature"] for data in replays if data.get("thoughtSignature")),
            sorted(signatures),
        ),
        "signature count": (len(signatures), expected.get("thinking_signatures") or 0),
        "media": (shown, media),
        "media count": (len(shown), expected.get("inline_data") or 0),
        "items": (items, [item["type"] for item in expected.get("server_tool_calls") or ()]),
        "block_reason": (
            (response.details.get("promptFeedback") or {}).get("blockReason"),
            expected.get("block_reason"),
        ),
        "blocked": (response.finish_reason == "content_filter", True)
        if expected.get("block_reason")
        else (0, 0),
        "sources": (sources_told(response), sources_in(candidates, parts)),
        "model": (response.model, expected.get("model")),
        "response_id": (response.response_id, expected.get("response_id")),
        "choices": (1 + len(response.other_choices), max(1, expected.get("choices") or 1)),
    }
    return [f"{name}: {got!r} is not {want!r}"[:300] for name, (got, want) in pairs.items() if got != want]


# The vendor's library knows of two kinds; its own searches (toolCall) are not among them.
SNAKE_OF = {
    "executableCode": "executable_code",
    "codeExecutionResult": "code_execution_result",
}


def sources_told(response: ChatResponse) -> set[Any]:
    parts = [part for part in response.message.content if type(part) is TextPart]
    return {citation.source for part in parts for citation in part.citations}


def sources_in(candidates: list[dict[str, Any]], parts: list[Any]) -> set[Any]:
    """The sources of an answer that ends in text; in others a citation has nothing to stand with."""
    found: set[Any] = set()
    for candidate in candidates:
        recited = candidate.get("citationMetadata") or {}
        found |= {
            e.get("uri") or None for e in recited.get("citationSources") or recited.get("citations") or ()
        }
        grounding = candidate.get("groundingMetadata") or {}
        chunks, supports = grounding.get("groundingChunks") or [], grounding.get("groundingSupports") or []
        named = [i for support in supports for i in support.get("groundingChunkIndices") or ()]
        for chunk in [chunks[i] for i in named if i < len(chunks)] if supports else chunks:
            found |= {source.get("uri") or None for source in chunk.values()}
    return found


# Reading a recorded request.


def camel(value: Any) -> Any:
    """Field names as they are on the wire: the vendor takes both spellings. What is null is not there."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, item in value.items():
        if item is None:
            continue
        name = SNAKE.sub(lambda letter: letter[1].upper(), name)
        name = "responseJsonSchema" if name == "responseSchema" else name
        found[name] = item if name in FREE_FORM else camel(item)
    return found


def base64_of(data: str) -> str:
    """In the usual alphabet; a recorder elided the middle of what is long."""
    data = data.replace("-", "+").replace("_", "/")
    data += "=" * (-len(data) % 4)
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        return base64.b64encode(data.encode()).decode()
    return data


def media_of(part: dict[str, Any]) -> Any:
    source = part.get("inlineData") or part.get("fileData")
    if not source or len(part) != 1 or source.keys() - {"mimeType", "data", "fileUri"}:
        return OpaquePart(replay=Replay(vendor="gemini", data=part))
    mime, uri = source.get("mimeType"), source.get("fileUri")
    fields = {"data_b64": base64_of(source["data"])} if uri is None else {"url": uri}
    need(mime, "a file without a type")
    if mime in IMAGE_TYPES and uri is None:
        return ImagePart(mime=mime, **fields)
    if mime in IMAGE_TYPES and uri.startswith("http"):
        return ImageUrlPart(mime=mime, url=uri)
    kind = {"audio": AudioPart, "video": VideoPart}.get(mime.partition("/")[0], DocumentPart)
    return kind(mime=mime, **fields)


class Reader:
    """One recorded request. Calls without ids get some, as tako gives them."""

    def __init__(self) -> None:
        self.numbers = count()

    def id_of(self, fields: dict[str, Any]) -> str:
        return str(fields.get("id") or f"{MADE_ID}{next(self.numbers)}")

    def part(self, part: dict[str, Any]) -> Any:
        rest = {name: value for name, value in part.items() if name != "thought"}
        if "text" in part:
            rest.pop("text")
            if part.get("thought"):
                return ThinkingPart(text=part["text"], replay=Replay(vendor="gemini", data=rest))
            return TextPart(text=part["text"], replay=Replay(vendor="gemini", data=rest) if rest else None)
        if "functionCall" in part:
            call = rest.pop("functionCall")
            need(call.keys() <= {"id", "name", "args"}, call)
            replay = Replay(vendor="gemini", data=rest) if rest else None
            args = call.get("args", {})
            return ToolCallPart(id=self.id_of(call), name=call["name"], args=args, replay=replay)
        if "functionResponse" in part:
            found = part["functionResponse"]
            need(found.keys() <= {"id", "name", "response", "parts"}, found)
            content = [media_of(entry) for entry in found.get("parts") or ()]
            response, is_error = found["response"], False
            if content:
                need(response.keys() in ({"output"}, {"error"}), "an object beside media")
                ((key, text),) = response.items()
                need(isinstance(text, str), "an object beside media")
                content, is_error = [*([TextPart(text=text)] if text else []), *content], key == "error"
            return ToolResultPart(
                id=self.id_of(found),
                name=found["name"],
                result=response,
                content=tuple(content),
                is_error=is_error,
            )
        return media_of(rest)

    def messages(self, content: dict[str, Any]) -> list[Message]:
        parts = [self.part(part) for part in content.get("parts") or ()]
        if content.get("role") == "model":
            return [Message.assistant(parts)]
        messages: list[Message] = []
        for part in parts:
            make = Message.tool if type(part) is ToolResultPart else Message.user
            message = make([part])
            if messages and messages[-1].role is message.role:
                message = Message(role=message.role, content=(*messages.pop().content, part))
            messages.append(message)
        return messages


def read(exchange: Exchange) -> Read:
    body = camel(exchange.request["body_json"])
    reader = Reader()
    fields: dict[str, Any] = {"messages": []}
    system = body.pop("systemInstruction", None)
    if system:
        fields["messages"].append(Message.system([TextPart(text=p["text"]) for p in system["parts"]]))
    for content in body.pop("contents"):
        fields["messages"] += reader.messages(content)
    fields["tools"], theirs = tools_of(body.pop("tools", None) or [])
    config = body.pop("toolConfig", {})
    calling = config.pop("functionCallingConfig", {})
    names = calling.get("allowedFunctionNames") or []
    if not fields["tools"] or len(names) > 1 or calling.get("mode") not in CHOICES:
        config |= {"functionCallingConfig": calling} if calling else {}
    else:
        fields["tool_choice"] = names[0] if names else CHOICES[calling["mode"]]
    generation = body.pop("generationConfig", {})
    fields |= generation_of(generation)
    if is_vertex(exchange) and "labels" in body:
        fields["metadata"] = body.pop("labels")
    extra = {**body, "generationConfig": generation, "toolConfig": config, "tools": theirs}
    fields["extra"] = {name: value for name, value in extra.items() if value}
    return Read(ChatRequest(**fields), provider_of(exchange), exchange.is_stream)


def tools_of(tools: Any) -> tuple[list[ToolSchema], list[Any]]:
    ours, theirs = [], []
    for tool in tools if isinstance(tools, list) else [tools]:
        rest = dict(tool)
        for entry in rest.pop("functionDeclarations", ()):
            known = {"name", "description", "parameters", "parametersJsonSchema"}
            need(entry.keys() <= known, entry.keys() - known)
            schema = entry.get("parametersJsonSchema") or entry.get("parameters") or {}
            description = entry.get("description") or ""
            ours.append(ToolSchema(name=entry["name"], description=description, input_schema=schema))
        if rest:
            theirs.append(rest)
    return ours, theirs


def generation_of(generation: dict[str, Any]) -> dict[str, Any]:
    """The fields of a ChatRequest that are in a generationConfig; they are taken out of it."""
    fields = {ours: generation.pop(name) for name, ours in SAMPLING.items() if name in generation}
    if generation.get("responseLogprobs"):
        del generation["responseLogprobs"]
        fields["top_logprobs"] = generation.pop("logprobs", 0)
    if "responseJsonSchema" in generation and generation.get("responseMimeType") == "application/json":
        del generation["responseMimeType"]
        fields["output_schema"] = generation.pop("responseJsonSchema")
    thinking = generation.pop("thinkingConfig", None)
    if not thinking:
        return fields
    budget, shown = thinking.get("thinkingBudget"), thinking.get("includeThoughts")
    if budget == 0 and shown is None:
        fields["thinking"] = Thinking(enabled=False)
    elif budget is not None and budget <= 0:
        generation["thinkingConfig"] = thinking
    else:
        summary = SUMMARIES[shown]
        fields["thinking"] = Thinking(
            budget_tokens=budget, effort=thinking.get("thinkingLevel"), summary=summary
        )
    return fields


def plain(body: dict[str, Any]) -> Any:
    found = camel(body)
    contents: list[tuple[str, list[Any]]] = []
    for content in found.pop("contents"):
        role = "model" if content.get("role") == "model" else "user"
        if not contents or contents[-1][0] != role:
            contents.append((role, []))  # the vendor makes one turn of several
        contents[-1][1].extend(plain_part(part) for part in content.get("parts") or ())
    found["contents"] = [(role, [part for part in parts if part]) for role, parts in contents]
    system = found.pop("systemInstruction", None) or {}
    found["systemInstruction"] = [part["text"] for part in system.get("parts") or ()]
    ours, theirs = tools_of(found.pop("tools", None) or [])
    found["tools"] = [[t.name, t.description, plain_schema(t.input_schema)] for t in ours] + theirs
    generation = found.get("generationConfig") or {}
    if generation.get("stopSequences") == []:
        del generation["stopSequences"]
    if isinstance(generation.get("responseJsonSchema"), dict):
        generation["responseJsonSchema"] = plain_schema(generation["responseJsonSchema"])
    thinking = generation.get("thinkingConfig") or {}
    if "thinkingLevel" in thinking:
        thinking["thinkingLevel"] = thinking["thinkingLevel"].upper()
    return {name: value for name, value in found.items() if value}


def plain_part(part: dict[str, Any]) -> dict[str, Any]:
    part = {name: value for name, value in part.items() if value is not False}
    if part == {"text": ""}:
        return {}
    if "functionCall" in part:
        part["functionCall"] = {"args": {}, **part["functionCall"]}
    if "functionResponse" in part:
        found = dict(part["functionResponse"])
        if found.get("parts"):
            found["parts"] = [plain_part(entry) for entry in found["parts"]]
        part["functionResponse"] = found
    if "inlineData" in part:
        part["inlineData"] = {**part["inlineData"], "data": base64_of(part["inlineData"]["data"])}
    return part


def plain_schema(schema: Any) -> Any:
    """Both of the vendor's dialects as one: types in small letters, `const` and `nullable` as we say it."""

    def lowered(value: Any) -> Any:
        if isinstance(value, list):
            return [lowered(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            name: item.lower() if name == "type" and isinstance(item, str) else lowered(item)
            for name, item in value.items()
        }

    return lowered(taken_schema(schema, "a schema"))


ENDS_EARLY = dict.fromkeys(
    (
        "9ca30bdd76b0bcdb",
        "b4fd7fde05d39108",
        "c6beeb6b7f63f26e",
        "4cbd47585bf8b231",
        "95cb54fb4352ff54",
        "dea40257f80ec068",
        "8512a26d82fdcdc6",
        "a7b9e8224865bc53",
        "268392a9762ea63d",
    ),
    "edited by hand: a finishReason in every event",
)

SUBJECT = Subject(
    name="gemini",
    endpoints=(
        "google-gemini.generateContent",
        "google-gemini.streamGenerateContent",
        "google-vertex.generateContent",
        "google-vertex.streamGenerateContent",
    ),
    provider=provider_of,
    counts=counts_of,
    read=read,
    plain=plain,
    minimum=0.95,
    different=DIFFERENT,
    ends_early=ENDS_EARLY,
    error_code=error_code,
    more=more,
)
