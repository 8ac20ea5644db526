"""Where a request goes: the parts of a URL, and the proxy that the environment sets for it.

A URL is an Origin (who is asked) and a target (what for). A Route is how the origin is reached:

| route                          | dial   | TLS with         | target of the request  |
|--------------------------------|--------|------------------|------------------------|
| no proxy                       | origin | origin, if https | path and query         |
| proxy, http origin             | proxy  | proxy, if https  | the whole URL          |
| proxy, https origin (`tunnel`) | proxy  | proxy, if https; | path and query, after  |
|                                |        | then the origin  | CONNECT to the origin  |

Invariants. Nothing here looks anything up: a host is a name, or an address in its usual spelling.
The variables mean what they mean to requests, so that all adapters take the same way. Passwords
are in no repr and no message. What is wrong with a URL or a variable is an InvalidInput.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from urllib.parse import SplitResult, quote, unquote, urlsplit

from tako.errors import InvalidInput

__all__ = ["Origin", "Proxy", "Route", "Target", "parse_url", "route_for"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
# What RFC 3986 lets a path and a query hold as it is. "%" because it is taken for an escape already.
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"
_QUERY_SAFE = _PATH_SAFE + "?[]"


@dataclass(frozen=True, slots=True)
class Origin:
    """`host` is in lower case, in ASCII, without brackets; `port` is always there."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and, unless it is the usual one, port, as a URL and a Host header have them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def endpoint(self) -> str:
        """Host and port, always both, as messages and CONNECT have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Target:
    origin: Origin
    path: str = field(repr=False)
    """Path and query, percent-encoded. Some vendors want keys in the query: not in the repr."""


@dataclass(frozen=True, slots=True)
class Proxy:
    origin: Origin
    variable: str
    """The environment variable that names it, for messages."""
    authorization: str | None = field(default=None, repr=False)
    """The value of Proxy-Authorization."""


@dataclass(frozen=True, slots=True)
class Route:
    origin: Origin
    proxy: Proxy | None = None

    @property
    def tunnel(self) -> bool:
        """True if the proxy is asked to CONNECT."""
        return self.proxy is not None and self.origin.scheme == "https"

    @property
    def first_hop(self) -> Origin:
        """Who is dialled."""
        return self.proxy.origin if self.proxy else self.origin


@lru_cache(maxsize=256)
def parse_url(url: str) -> Target:
    """Take an http or https URL apart; the fragment is dropped.

    Raises InvalidInput saying what is wrong with it, without the query.
    """
    if _UNSAFE.search(url):
        raise InvalidInput("the URL holds a control character or a line break")
    parts = _split(url.strip(" "), "the URL")
    if parts.scheme not in _DEFAULT_PORTS:
        raise InvalidInput(f"the URL must start with http:// or https://, not {parts.scheme[:20]!r}")
    if "@" in parts.netloc:
        raise InvalidInput("the URL holds a user or password; send it as a header instead")
    try:
        path = quote(parts.path, safe=_PATH_SAFE) or "/"
        if parts.query:
            path += "?" + quote(parts.query, safe=_QUERY_SAFE)
    except UnicodeError:
        raise InvalidInput("the URL holds a lone surrogate, which no encoding can carry") from None
    return Target(_origin(parts, "the URL"), path)


def route_for(origin: Origin, environ: Mapping[str, str]) -> Route:
    """The way to an origin.

    `http_proxy`, `https_proxy` and else `all_proxy`, in lower case and else in upper case; HTTP_PROXY
    in upper case does not count where REQUEST_METHOD is set, because a CGI server puts the header
    "Proxy" of whoever calls into it. Raises InvalidInput, naming the variable, for a proxy that
    cannot be used.
    """
    for name in (f"{origin.scheme}_proxy", "all_proxy"):
        variable, url = _read(name, environ)
        if not url:
            continue
        no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        if _is_exempt(origin, no_proxy):
            return Route(origin)
        return Route(origin, _parse_proxy(variable, url))
    return Route(origin)


def _read(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that counts and its value. Set to nothing, the lower case one still counts."""
    if name in environ:
        return name, environ[name].strip()
    upper = name.upper()
    if upper == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
        return upper, ""
    return upper, environ.get(upper, "").strip()


def _parse_proxy(variable: str, url: str) -> Proxy:
    what = f"the proxy in {variable}"
    if _UNSAFE.search(url):
        raise InvalidInput(f"{what} holds a control character")
    parts = _split(url if "://" in url else f"http://{url}", what)
    if parts.scheme.startswith("socks"):
        raise InvalidInput(
            f"{what} is a SOCKS proxy, which is not supported; give an http:// one, or unset {variable}"
        )
    if parts.scheme not in _DEFAULT_PORTS:
        raise InvalidInput(f"{what} must start with http:// or https://")
    authorization = None
    if "@" in parts.netloc:
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        # What os.environ could not decode goes back to the bytes that it was.
        credentials = f"{unquote(user)}:{unquote(password)}".encode("utf-8", "surrogateescape")
        authorization = "Basic " + base64.b64encode(credentials).decode("ascii")
    return Proxy(_origin(parts, what), variable, authorization)


def _split(url: str, what: str) -> SplitResult:
    # No `from error` here and below: the message of urllib quotes the URL, password and all.
    try:
        return urlsplit(url)
    except ValueError:
        raise InvalidInput(f"{what} cannot be read; is the host, or a bracket, misplaced?") from None


def _origin(parts: SplitResult, what: str) -> Origin:
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidInput(f"{what} has a port that is not a number up to 65535") from None
    if not host:
        raise InvalidInput(f"{what} has no host")
    if port == 0:
        raise InvalidInput(f"{what} has port 0, which nobody can listen on")
    return Origin(parts.scheme, _normalise_host(host, what), port or _DEFAULT_PORTS[parts.scheme])


def _normalise_host(host: str, what: str) -> str:
    if ":" in host:  # urlsplit has seen to the brackets
        try:
            return _without_zone(IPv6Address(host))
        except ValueError:
            raise InvalidInput(f"{what} has a host that is not an IPv6 address") from None
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii").lower()
        except UnicodeError:
            raise InvalidInput(f"{what} has a host that is not a domain name") from None
    if not _HOST.fullmatch(host) or len(host) > 254:
        raise InvalidInput(f"{what} has a host that is neither a domain name nor an IP address")
    return host


def _without_zone(address: IPv6Address) -> str:
    if address.scope_id is not None:
        raise ValueError("a zone means something on this machine only")
    return str(address)


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    """NO_PROXY as requests reads it, odd corners included: `*` counts only alone, CIDR is for IPv4
    addresses, and a port is compared for names, not for IPv4 addresses."""
    if no_proxy.strip() == "*":
        return True
    address = _ipv4(origin.host)
    with_port = f"{origin.host}:{origin.port}"
    for item in no_proxy.replace(" ", "").lower().split(","):
        network = _ipv4_network(item) if address else None
        if network is not None:
            if address in network:
                return True
            continue
        name = item.lstrip(".")
        if not name:
            continue
        if origin.host == name or origin.host.endswith("." + name):
            return True
        if not address and (with_port == name or with_port.endswith("." + name)):
            return True
    return False


def _ipv4(host: str) -> IPv4Address | None:
    try:
        return IPv4Address(host)
    except ValueError:
        return None


def _ipv4_network(item: str) -> IPv4Network | None:
    address, slash, bits = item.partition("/")
    if not slash or not bits.isdigit() or not 1 <= int(bits) <= 32:
        return None
    try:
        return IPv4Network((address, int(bits)), strict=False)
    except ValueError:
        return None
