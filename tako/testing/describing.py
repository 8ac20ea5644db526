"""Effects and events in one line each: for traces, for errors, for the script of a playbook."""

from __future__ import annotations

from typing import Any

from tako.effects import (
    Call,
    Close,
    Emit,
    Entropy,
    Gather,
    OnError,
    Receive,
    Resolve,
    Send,
    Sleep,
    Within,
)

__all__ = ["brief", "describe", "describe_error", "name_of"]


def name_of(thing: Any) -> str:
    """The name of a function, a flow or a class, without its address in memory."""
    for attribute in ("__qualname__", "__name__"):
        name = getattr(thing, attribute, None)
        if isinstance(name, str):
            return name.rpartition("<locals>.")[2]
    return type(thing).__qualname__


def brief(value: Any, limit: int = 200) -> str:
    """The repr of a value, cut where it gets long."""
    return _cut(repr(value), limit)


def describe_error(error: BaseException) -> str:
    """The type of an error and its words, cut where they get long."""
    return f"{type(error).__name__}: {_cut(str(error), 200)}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def describe(effect: Any) -> str:
    """What an effect asks for. Holds no address in memory, so that two runs can be compared."""
    match effect:
        case Emit(events):
            return f"Emit {brief(list(events))}"
        case Send(request):
            return f"Send {getattr(request, 'method', request)} {getattr(request, 'url', '')}".rstrip()
        case Receive(exchange):
            return f"Receive from exchange {exchange}"
        case Close(exchange):
            return f"Close exchange {exchange}"
        case Resolve(host, port):
            return f"Resolve {host}:{port}"
        case Call(function):
            return f"Call {name_of(function)}"
        case Gather(flows, limit, on_error):
            names = ", ".join(name_of(flow) for flow in flows)
            bound = "" if limit is None else f", {limit} at a time"
            return f"Gather [{names}]{bound}" + (", collecting" if on_error is OnError.COLLECT else "")
        case Within(seconds, flow, token):
            limits = [] if seconds is None else [f"{seconds} s"]
            limits += [] if token is None else ["a token"]
            return f"Within {' and '.join(limits) or 'no limit'}: {name_of(flow)}"
        case Sleep(seconds):
            return f"Sleep {seconds} s"
        case Entropy(size):
            return f"Entropy of {size} bytes"
    return name_of(effect) if isinstance(effect, type) else brief(effect)
