"""The arguments of a vendor's constructor: each is checked once, and a wrong one is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar, cast
from urllib.parse import urlsplit

from tako.errors import InvalidInput

__all__ = [
    "given_headers",
    "header_text",
    "headers_of",
    "instance",
    "seconds",
    "service_url",
    "text",
    "whole_number",
]

T = TypeVar("T")
Headers = tuple[tuple[str, str], ...]

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VERSION = re.compile(r"/v\d\w*")


def text(owner: str, name: str, value: str) -> str:
    """A string that is not empty; raises InvalidInput."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{owner}: {name} should be a string that is not empty, not {value!r}")
    return value


def header_text(owner: str, name: str, value: str) -> str:
    """A string that can be the value of a header; raises InvalidInput."""
    if not text(owner, name, value).isascii() or not value.isprintable():
        raise InvalidInput(f"{owner}: {name} should be printable ASCII, not {value!r}")
    return value


def instance(owner: str, name: str, value: T, kind: type[T]) -> T:
    """A value of this type; raises InvalidInput."""
    if not isinstance(value, kind):
        raise InvalidInput(f"{owner}: {name} should be of type {kind.__name__}, not {type(value).__name__}")
    return value


def seconds(owner: str, name: str, value: float) -> float:
    """A length of time above zero; raises InvalidInput."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise InvalidInput(f"{owner}: {name} should be a number of seconds above 0, not {value!r}")
    return float(value)


def whole_number(owner: str, name: str, value: int) -> int:
    """A count above zero; raises InvalidInput."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInput(f"{owner}: {name} should be a whole number above 0, not {value!r}")
    return value


def service_url(owner: str, base_url: str, version: str, path: str, *, argument: str = "base_url") -> str:
    """The address of a service: base, version and path, none of them twice.

    A base that ends in a version keeps its own, and one that ends in the path is taken as it is, so
    that every address of every compatible server can be said. Raises InvalidInput.
    """
    address = text(owner, argument, base_url)
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        valid = valid and not parts.query and not parts.fragment
    except ValueError:
        valid = False
    if not valid or not address.isascii() or " " in address:
        raise InvalidInput(
            f"{owner}: {argument} should look like https://host or https://host/path, not {base_url!r}"
        )
    address = address.rstrip("/")
    if address.endswith(path):
        return address
    last = address.rpartition("/")[2]
    return address + path if VERSION.fullmatch("/" + last) else address + version + path


def given_headers(owner: str, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    """The caller's headers with names in lower case; raises InvalidInput."""
    pairs: Headers = ()
    try:
        pairs = tuple(
            cast("Iterable[tuple[str, str]]", headers.items() if isinstance(headers, Mapping) else headers)
        )
        well_formed = all(_is_header(name, value) for name, value in pairs)
    except (TypeError, ValueError):
        well_formed = False
    if not well_formed:
        # The headers are not shown: there may be a key in them.
        raise InvalidInput(f"{owner}: headers should be pairs of a header name and a printable ASCII string")
    return tuple((name.lower(), value) for name, value in pairs)


def _is_header(name: str, value: str) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and HEADER_NAME.fullmatch(name) is not None
        and value.isascii()
        and value.isprintable()
    )


def headers_of(own: Iterable[tuple[str, str]], given: Headers) -> Headers:
    """Our headers and the caller's, whose wins where both name the same one."""
    names = {name for name, _ in given}
    return (*(pair for pair in own if pair[0] not in names), *given)
