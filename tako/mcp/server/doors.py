"""Doors: which names a request may call us by, and which web pages may call at all.

A page in a browser may not read what another site answers, but it may have its own name lead to 127.0.0.1
(DNS rebinding), and then speak with a server that thought only this machine could reach it. What gives it
away is the name: `Host` is the page's, and so is `Origin`, which a program that is no browser does not send.

| header | is fine if                                                                              |
|--------|-----------------------------------------------------------------------------------------|
| Host   | it is one of `hosts`, with any port if none is said there; or hosts is ["*"]            |
| Origin | it is not there; it is one of `origins`; or its host is one of `hosts`, or is the Host  |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tako.errors import InvalidInput
from tako.serving import HttpIncoming

__all__ = ["Doors"]

THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")


class Doors:
    """Whom to let in. Raises InvalidInput for what are no names."""

    __slots__ = ("_anything", "_hosts", "_origins")

    def __init__(self, hosts: Iterable[str] | None, origins: Iterable[str]) -> None:
        for argument, names in (("hosts", hosts), ("origins", origins)):
            if isinstance(names, str) or not isinstance(names, Iterable | None):
                raise InvalidInput(f"{argument} should be a list of names")
        named = [name.lower() for name in (THIS_MACHINE if hosts is None else hosts)]
        self._anything = "*" in named
        self._hosts = frozenset(named)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)

    def admit(self, request: HttpIncoming) -> bool:
        host = request.header("host")
        if not self._anything and (host is None or not self._is_ours(host)):
            return False
        origin = request.header("origin")
        if origin is None or origin.lower() in self._origins:
            return True
        scheme, colon, place = origin.partition("://")
        if not colon or scheme not in ("http", "https"):
            return False
        same = host is not None and place.lower() == host.lower()
        return same if self._anything else self._is_ours(place)

    def _is_ours(self, place: str) -> bool:
        place = place.strip().lower()
        return place in self._hosts or _name_in(place) in self._hosts


def _name_in(place: str) -> str:
    """The host of "host:port", without the brackets of IPv6."""
    if place.startswith("["):
        name, closed, port = place[1:].partition("]")
        return name if closed and (not port or port[1:].isdigit()) else ""
    name, colon, port = place.partition(":")
    return name if not colon or port.isdigit() else ""
