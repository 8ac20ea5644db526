"""What the tests over the recordings have to know of one vendor, as data and a few functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tako.errors import TakoError
from tako.models import ChatRequest, ChatResponse, Usage
from tako.providers.http import HttpProvider
from tests.support.corpus import Exchange

__all__ = ["Inexpressible", "Read", "Subject", "all_subjects", "need"]

Counts = dict[str, int | None]


class Inexpressible(Exception):
    """The recorded request holds what tako has no words for; the message says what."""


def need(condition: object, what: object) -> None:
    """Raise Inexpressible unless the condition holds."""
    if not condition:
        raise Inexpressible(str(what)[:200])


@dataclass(frozen=True, slots=True)
class Read:
    """A recorded request as tako says it: encoding `request` with `provider` should give the body again."""

    request: ChatRequest
    provider: HttpProvider
    is_stream: bool


def _text(exchange: Exchange) -> str:
    return (exchange.expected["text"] or "") + (exchange.expected.get("refusal") or "")


def _error_code(exchange: Exchange) -> str | None:
    error = exchange.expected["error"]
    code = error.get("code") or error.get("type")
    return None if code is None else str(code)


def _error_message(exchange: Exchange) -> str:
    error = exchange.expected["error"]
    body = error.get("body")
    inner = body.get("error", body) if isinstance(body, dict) else None
    return str((inner if isinstance(inner, dict) else error).get("message") or error["message"])


def _error_status(exchange: Exchange) -> int:
    return int(exchange.expected["error"].get("status_code") or exchange.status)


def _is_call(exchange: Exchange, call: Mapping[str, Any]) -> bool:
    # Some servers send an object with nothing in it where no call is, and the libraries hand it over.
    return bool(call["name"] or call["id"] or call["arguments_raw"])


def _nothing_more(exchange: Exchange, response: ChatResponse) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Subject:
    """One vendor.

    endpoints      names of files of the corpus, such as "anthropic.messages"
    provider       the provider that reads this exchange
    counts         our usage in the vendor's own numbers: input, output, cached_input, cache_write, reasoning
    different      id of an exchange -> why tako reads it otherwise, on purpose; asserted to be different
    wanted         which exchanges of the endpoints are this vendor's
    text           the text that is expected (the refusal after it)
    error_*        what is expected of a refusal
    is_call        whether an expected call is one for us, and not the vendor's own business
    ends_early     id of a stream -> why its vendor's mark comes before its end, so that a cut after the mark
                   cannot be seen; for recordings that were written by hand
    more           names of what else differs: citations, signatures, items of the vendor's own, ...
    read           a recorded request as tako says it; raises Inexpressible
    plain          a request's body in a form in which spellings that mean the same look the same
    minimum        share of the recorded requests that has to survive unchanged
    """

    name: str
    endpoints: tuple[str, ...]
    provider: Callable[[Exchange], HttpProvider]
    counts: Callable[[Exchange, Usage], Counts]
    read: Callable[[Exchange], Read]
    plain: Callable[[dict[str, Any]], Any]
    minimum: float
    different: Mapping[str, str] = field(default_factory=dict)
    ends_early: Mapping[str, str] = field(default_factory=dict)
    wanted: Callable[[Exchange], bool] = lambda exchange: True
    text: Callable[[Exchange], str] = _text
    error_code: Callable[[Exchange], str | None] = _error_code
    error_message: Callable[[Exchange], str] = _error_message
    error_status: Callable[[Exchange], int] = _error_status
    is_call: Callable[[Exchange, Mapping[str, Any]], bool] = _is_call
    more: Callable[[Exchange, ChatResponse], list[str]] = _nothing_more

    def __repr__(self) -> str:
        return self.name


@cache
def all_subjects() -> tuple[Subject, ...]:
    """The subjects of all files in `vendors`: everything in them that is a Subject."""
    found = []
    for path in sorted((Path(__file__).parent / "vendors").glob("[!_]*.py")):
        module = import_module(f"tests.corpus.vendors.{path.stem}")
        found += [value for value in vars(module).values() if isinstance(value, Subject)]
    return tuple({subject.name: subject for subject in found}.values())


def described(error: TakoError | None) -> str:
    return "no error" if error is None else f"{type(error).__name__}: {error.message[:160]}"
