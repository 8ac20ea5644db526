"""Dialect: how one service speaks chat completions, as data.

There is one encoder and one decoder. Both take whatever cannot be misread from anybody: a list where
a string was expected, an index that is missing, a null where others leave the field out. A flag is
for what they cannot do for everybody, because the same bytes mean something else elsewhere, or
because another service would refuse the request.

Two dialects are the same only if they are one object: an encoded message is kept for its dialect.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final, Literal, TypeAlias, get_args

from tako.errors import InvalidInput

__all__ = ["FLAGS", "OPENAI", "Dialect", "LimitField", "ThinkingField", "ThoughtField", "limited_by"]

LimitField: TypeAlias = Literal["auto", "max_tokens", "max_completion_tokens"]

ThinkingField: TypeAlias = Literal["effort", "reasoning", "thinking", "enable_thinking", "template", "none"]
"""Where a service wants to be told how to think:

| effort          | reasoning_effort: "low"                                           |
| reasoning       | reasoning: {effort, max_tokens, enabled, exclude}                 |
| thinking        | thinking: {type, budget_tokens}; an effort beside it              |
| enable_thinking | enable_thinking: true, thinking_budget: 1000                      |
| template        | chat_template_kwargs: {enable_thinking: true}                     |
| none            | nowhere: InvalidInput                                             |
"""

ThoughtField: TypeAlias = Literal["reasoning_content", "reasoning"]


@dataclass(frozen=True, slots=True, eq=False)
class Dialect:
    """Who is spoken to, and what is particular about it."""

    owner: str = "OpenAI"
    """Whom errors name."""
    vendor: str = "openai"
    """Whose replay data is sent back, and with whose name ours are marked."""

    max_tokens_field: LimitField = "auto"
    """What max_tokens is called; "auto" goes by the family of the model."""
    asks_for_usage: bool = True
    """Whether a stream is asked to end with its usage (`stream_options`)."""
    takes_top_k: bool = False
    """Whether `top_k` is a field."""
    takes_schema: bool = True
    """Whether an answer can be held to a JSON schema (`response_format: json_schema`)."""
    takes_choices: bool = True
    """Whether more than one answer can be asked for (`n`)."""
    takes_penalties: bool = True
    """Whether `presence_penalty` and `frequency_penalty` are fields."""
    takes_logprobs: bool = True
    """Whether `logprobs` and `top_logprobs` are fields."""
    takes_files: bool = True
    """Whether a user's message can hold a `file`."""
    takes_file_urls: bool = False
    """Whether the data of a `file` can be an address, which the service fetches."""
    takes_video: bool = False
    """Whether a user's message can hold a `video_url`."""
    takes_any_audio: bool = False
    """Whether sound of other types than wav and mp3 can be sent."""
    takes_cache_marks: bool = False
    """Whether blocks can hold `cache_control`, as Anthropic's do."""
    returns_images: bool = False
    """Whether an answer may hold `images`, which are sent back with it."""
    seed_field: str = "seed"
    """What `seed` is called."""
    thinking: ThinkingField = "effort"
    """Where the service is told how to think."""
    returns_thinking: ThoughtField | None = None
    """The field in which thinking is sent back with the message that it led to; None for not at all."""
    returns_details: bool = False
    """Whether `reasoning_details` are sent back with the message that they came with."""

    ends_without_blank_line: bool = False
    """Whether the last event counts without the blank line that should end it."""
    ends_without_done: bool = False
    """Whether a stream is whole without [DONE]: a finish reason, and then the end of the input."""
    repeats_text: bool = False
    """Whether each piece repeats all the text before it."""
    has_facts_beside_text: bool = False
    """Whether something may stand beside each piece of text that belongs in the details."""


OPENAI: Final = Dialect()
FLAGS: Final = frozenset(field.name for field in fields(Dialect)) - {"owner", "vendor"}


def limited_by(dialect: Dialect, field: LimitField) -> Dialect:
    """The dialect with this name for max_tokens; raises InvalidInput for a name that is none."""
    names = get_args(LimitField)
    if field not in names:
        raise InvalidInput(
            f"{dialect.owner}: max_tokens_field should be one of {', '.join(names)}, not {field!r}"
        )
    return dialect if field == dialect.max_tokens_field else replace(dialect, max_tokens_field=field)
