"""ChatRequest to the body of a chat completion; what a message becomes is in `messages`.

| ours                               | on the wire                                                   |
|------------------------------------|---------------------------------------------------------------|
| max_tokens                         | max_tokens or max_completion_tokens, by the model's family    |
| stop, temperature, top_p, n,       | the same; top_k for the services that have it                 |
| seed, penalties, metadata          |                                                               |
| top_logprobs                       | logprobs: true, and top_logprobs above zero                   |
| thinking                           | where the dialect says                                        |
| tools, strict                      | `function` tools; the vendor's own ones through extra         |
| tool_choice, parallel_tool_calls   | the same, if there are tools                                  |
| output_schema                      | response_format: json_schema, strict where it fits            |
| stream                             | stream, and stream_options to be told the usage               |
| extra                              | any other field: prediction, service_tier, modalities, ...    |

What the service cannot be asked raises InvalidInput; nothing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import ChatRequest, Message, Thinking, ToolSchema
from tako.providers.body import chosen_tool, effort_of, join_body, json_bytes, merge_extra, vendor_tools
from tako.providers.chat_completions.dialect import Dialect, ThinkingField
from tako.providers.chat_completions.messages import encode_message, in_order
from tako.providers.chat_completions.strict import is_strict, schema_name

__all__ = ["TOOL_CODEC", "encode_body", "encode_tool"]

TOOL_CODEC: Final = "chat completions"
"""For whom an encoded tool is kept: no dialect is particular about tools."""

NEW_FAMILIES: Final = re.compile(r"gpt-([5-9]|\d\d)|o\d")
"""How names of OpenAI's models begin that refuse `max_tokens`: those since o1 and GPT-5."""

SETTINGS: Final[dict[ThinkingField, tuple[str, ...]]] = {
    "effort": ("effort",),
    "reasoning": ("effort", "budget_tokens", "summary"),
    "thinking": ("effort", "budget_tokens"),
    "enable_thinking": ("budget_tokens",),
    "template": ("effort",),
}
"""What can be said of thinking in each of the places for it."""


def encode_body(request: ChatRequest, *, dialect: Dialect, model: str, stream: bool) -> bytes:
    """The body; raises InvalidInput for what this service cannot be asked."""

    def encode(message: Message) -> bytes:
        return encode_message(message, dialect)

    messages = [data for message in in_order(request.messages) if (data := message.encoded(dialect, encode))]
    if not messages:
        raise InvalidInput(f"{dialect.owner}: messages: there is nothing to send")
    theirs, extra = vendor_tools(dialect.owner, request.extra)
    tools = [tool.encoded(TOOL_CODEC, encode_tool) for tool in request.tools]
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    fields = {"model": model, **_sampling(request, dialect, model)}
    if request.thinking is not None:
        fields |= _thinking(request.thinking, dialect)
    if tools:
        fields |= _tool_fields(request, dialect, theirs)
    elif request.tool_choice is not None:
        chosen_tool(dialect.owner, request)  # says so if a tool has to be called and there is none
    if request.output_schema is not None:
        fields["response_format"] = _response_format(request.output_schema, dialect)
    if stream:
        fields["stream"] = True
        if dialect.asks_for_usage:
            fields["stream_options"] = {"include_usage": True}
    merge_extra(dialect.owner, fields, extra, ("messages", "stream"))
    return join_body(fields, (("messages", messages), ("tools", tools)))


def _sampling(request: ChatRequest, dialect: Dialect, model: str) -> dict[str, Any]:
    """The limit, how tokens are chosen, and what is told of the request itself."""
    fields: dict[str, Any] = {
        _limit_field(dialect, model): request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        dialect.seed_field: request.seed,
        "n": request.n,
        "stop": request.stop or None,
        "metadata": request.metadata or None,
    }
    if request.top_logprobs is not None:
        fields["logprobs"] = True
        fields["top_logprobs"] = request.top_logprobs or None
    fields = {name: value for name, value in fields.items() if value is not None}
    for names, is_taken in (
        (("top_k",), dialect.takes_top_k),
        (("presence_penalty", "frequency_penalty"), dialect.takes_penalties),
        (("logprobs",), dialect.takes_logprobs),
    ):
        for name in () if is_taken else names:
            if name in fields:
                raise InvalidInput(f"{dialect.owner}: {name}: this service has no such setting; leave it out")
    if not dialect.takes_choices and fields.pop("n", 1) != 1:
        raise InvalidInput(f"{dialect.owner}: n: this service gives one answer only; ask several times")
    return fields


def _limit_field(dialect: Dialect, model: str) -> str:
    """The name of max_tokens: newer models refuse the old one, many compatible servers the new one."""
    if dialect.max_tokens_field != "auto":
        return dialect.max_tokens_field
    family = model.removeprefix("ft:").removeprefix("openai/")
    return "max_completion_tokens" if NEW_FAMILIES.match(family) else "max_tokens"


def _thinking(thinking: Thinking, dialect: Dialect) -> dict[str, Any]:
    """The fields that say how to think; raises InvalidInput for a setting without one."""
    kind = dialect.thinking
    if kind == "none":
        raise InvalidInput(f"{dialect.owner}: thinking: this service cannot be told how; leave it out")
    effort, budget, summary = effort_of(thinking), thinking.budget_tokens, thinking.summary
    for name, value in (("effort", effort), ("budget_tokens", budget), ("summary", summary)):
        if value is not None and name not in SETTINGS[kind]:
            raise InvalidInput(
                f"{dialect.owner}: thinking: {name}={value!r} cannot be asked for here; "
                f"what can is {' and '.join(SETTINGS[kind])}"
            )
    beside = {} if effort is None else {"reasoning_effort": effort}
    match kind:
        case "effort":
            return beside if thinking.enabled else {"reasoning_effort": "none"}
        case "reasoning":
            return {"reasoning": _reasoning(thinking, dialect)}
        case "thinking":
            asked: dict[str, Any] = {"type": "enabled" if thinking.enabled else "disabled"}
            return {"thinking": asked if budget is None else {**asked, "budget_tokens": budget}, **beside}
        case "enable_thinking":
            limit = {} if budget is None else {"thinking_budget": budget}
            return {"enable_thinking": thinking.enabled, **limit}
        case "template":
            return {"chat_template_kwargs": {"enable_thinking": thinking.enabled}, **beside}


def _reasoning(thinking: Thinking, dialect: Dialect) -> dict[str, Any]:
    if thinking.summary not in (None, "none", "auto"):
        raise InvalidInput(f"{dialect.owner}: thinking: summary should be auto or none here")
    asked = {
        "effort": effort_of(thinking),
        "max_tokens": thinking.budget_tokens,
        "exclude": True if thinking.summary == "none" else None,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    is_said = thinking.effort is not None or thinking.budget_tokens is not None
    return asked if is_said else {"enabled": thinking.enabled, **asked}


def _tool_fields(request: ChatRequest, dialect: Dialect, theirs: Sequence[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    name = chosen_tool(dialect.owner, request)
    if name is not None:
        kind = "custom" if name in _custom_names(theirs) else "function"
        fields["tool_choice"] = {"type": kind, kind: {"name": name}}
    elif request.tool_choice is not None:
        fields["tool_choice"] = request.tool_choice
    if request.parallel_tool_calls is not None:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def _custom_names(tools: Sequence[Any]) -> list[Any]:
    """The names of the tools that take text instead of JSON."""
    custom = [tool["custom"] for tool in tools if isinstance(tool, Mapping) and tool.get("type") == "custom"]
    return [tool.get("name") for tool in custom if isinstance(tool, Mapping)]


def _response_format(schema: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    if not dialect.takes_schema:
        raise InvalidInput(
            f"{dialect.owner}: output_schema: this service follows no schema; tell it in the messages, with "
            'extra={"response_format": {"type": "json_object"}}'
        )
    json_schema = {"name": schema_name(schema), "schema": schema, "strict": is_strict(schema)}
    return {"type": "json_schema", "json_schema": json_schema}


def encode_tool(tool: ToolSchema) -> bytes:
    """One element of `tools`."""
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return json_bytes({"type": "function", "function": function}, f"the schema of tool {tool.name!r}")
