"""URLs that a server names: which of them may be asked, and what belongs to what.

A server that we were sent to by the user tells us where else to go: to its metadata, to its authorization
server, to the endpoints of that. Each of these is checked before it is asked or shown:

| a URL                                | may be asked                                             |
|--------------------------------------|----------------------------------------------------------|
| https, any host that is not loopback | yes; also a private network's, where companies have them |
| http or https of a loopback host     | if the MCP server itself is on one                       |
| any other                            | no                                                       |

Loopback is `localhost`, what is below it, 127.0.0.0/8 and ::1. Names are not looked up here, so a name that
leads inside is not noticed: who lets strangers choose the MCP servers fetches through a proxy that knows.

Invariants. What may not be asked is AuthorizationError or, where the program named it, InvalidInput; neither
quotes a query.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from tako.errors import InvalidInput
from tako.mcp.auth.errors import AuthorizationError
from tako.wire.addresses import literal_address
from tako.wire.route import Origin, parse_url

__all__ = [
    "canonical", "check_named", "check_own", "covers", "is_local", "origin_of", "shown",
]  # fmt: skip

MOST_OF_A_URL: Final = 4096


def check_own(url: object, what: str) -> str:
    """A URL of the program's own: https, or on a loopback host. Raises InvalidInput."""
    if not isinstance(url, str) or len(url) > MOST_OF_A_URL:
        raise InvalidInput(f"{what} should be a URL")
    try:
        origin = parse_url(url).origin
    except InvalidInput as error:
        raise InvalidInput(f"{what}: {error}") from None
    if origin.scheme != "https" and not is_local(url):
        raise InvalidInput(
            f"{what} should begin with https://, because what is sent there are credentials; http:// is for "
            "localhost alone"
        )
    return url


def check_named(url: object, what: str, *, local: bool) -> str:
    """A URL that a server has named; `local`: one on a loopback host. Raises AuthorizationError."""
    try:
        address = check_own(url, what)
    except InvalidInput as error:
        raise AuthorizationError(str(error), code="unsupported_server", phase="authorization") from None
    if is_local(address) and not local:
        raise AuthorizationError(
            f"{what} is on this machine ({shown(address)}), and a server that is elsewhere has named it; "
            "it is not asked",
            code="unsupported_server",
            phase="authorization",
        )
    return address


def is_local(url: str) -> bool:
    """Whether the host of a URL is this machine, by its name or address."""
    host = parse_url(url).origin.host.removesuffix(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = literal_address(host)
    return address is not None and address.is_loopback


def origin_of(url: str) -> str:
    """Scheme, host and port, without a slash at the end."""
    origin: Origin = parse_url(url).origin
    return f"{origin.scheme}://{origin.authority}"


def canonical(url: str) -> str:
    """A server's URL as the name of a resource: RFC 8707, 2: no fragment; RFC 3986, 6.2.2: lower case."""
    target = parse_url(url)
    path = target.path
    bare = path == "/" and not urlsplit(url).path
    return origin_of(url) + ("" if bare else path)


def covers(resource: str, url: str) -> bool:
    """Whether a resource of this name has this URL in it: the same origin, and a path above it or equal.

    Raises InvalidInput for a resource that is no URL.
    """
    mine, theirs = parse_url(url), parse_url(resource)
    if mine.origin != theirs.origin or urlsplit(resource).fragment:
        return False
    below = mine.path.partition("?")[0].rstrip("/") + "/"
    above = theirs.path.partition("?")[0].rstrip("/") + "/"
    return below.startswith(above)


def shown(url: str) -> str:
    """A URL for messages."""
    return url.partition("?")[0].partition("#")[0][:200]
