"""Fetching what a URL in a conversation leads to: an image, a document, a page, from anybody's server.

The URL may come from a stranger, or from a model that has read a stranger's page, and we stand where
the stranger does not: inside the network. So every hop of the way is checked from scratch:

| step     | what is refused                                                                      |
|----------|--------------------------------------------------------------------------------------|
| the URL  | anything but https (http with `allow_http`), users and passwords, unreadable hosts   |
| address  | a host with any address that is not public (see tako/wire/addresses.py)              |
| Send     | to a checked address, pinned: what DNS says a moment later is not asked, nor a proxy |
| redirect | more than `max_redirects`; else the way starts again at the top                      |
| head     | a status that is not 2xx, a type that nobody wants, a length over `max_bytes`        |
| body     | more than `max_bytes`, counted after inflating; first bytes of another type          |

`fetch` takes what it was told to accept, whole. `fetch_any` takes what there is, for somebody to read:
any type, an answer of any status, and of a long body the beginning, which `cut` says. The URL, the
address and the redirects are checked alike.

The whole way has `timeout_secs`, so a peer that says one byte a minute costs no more than that.

Invariants. A request names what is wanted and nothing about who asks: no key, cookie or referrer, and
no header that could hold one, for a redirect may lead to anybody.
What the policy refuses is InvalidInput, and says which option would allow it. Whatever else goes
wrong names the URL, without its query, which may be a signature. When `fetch` has ended, no exchange
of its is open. Memory is bounded by twice `max_bytes`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import urljoin

from tako.effects import Close, Flow, Headers, HttpHead, HttpRequest, Receive, Resolve, Send, within
from tako.errors import InvalidInput, ProtocolError, TakoError, TimedOut, TransportError
from tako.parts import image_type
from tako.wire.addresses import (
    Address,
    host_matches,
    is_in,
    is_public,
    literal_address,
    parse_address,
    parse_host_pattern,
    parse_network,
)
from tako.wire.route import Target, parse_url

__all__ = ["Fetched", "UrlPolicy", "checked_headers", "fetch", "fetch_any"]

MOST_ADDRESSES = 3
"""Addresses of a host that are tried, one after the other, each with its share of the time."""
MOST_SHOWN = 200
"""Characters of a URL that a message holds."""
MOST_OF_AN_ERROR = 64 * 1024
"""Bytes that are read of an answer that is no success: a reason fits in there."""
MOST_HEADERS = 20
MOST_OF_A_HEADER = 1_000
"""Headers of a caller's own, and characters of the value of one."""

_REDIRECTS = (301, 302, 303, 307, 308)
_MAYBE_LATER = (408, 425, 429)
_UNDONE = ("", "identity", "gzip", "x-gzip", "deflate")
"""Content codings that the arms undo, in pieces of a bounded size. One at most: a row of them can be
made such that gigabytes go in and nothing comes out."""
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?\s*([^\s"';]{1,40})""", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OF_THE_CONNECTION = frozenset(
    ("accept-encoding", "connection", "content-length", "expect", "forwarded", "host", "keep-alive", "te",
     "trailer", "transfer-encoding", "upgrade", "via")
)  # fmt: skip
_FOR_A_PROXY = ("proxy-", "x-forwarded-", "x-real-ip")
_CREDENTIALS = re.compile(r"auth|cookie|token|key|secret|passw|session|credential|signature", re.IGNORECASE)
_SAME_TYPE = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "application/x-pdf": "application/pdf"}


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """What may be fetched from where. Raises InvalidInput for a value that makes no sense.

    `allow_hosts` are names and `*.` with a name for all below it, `allow_networks` networks or single
    addresses; both lift the check of the address for what they name, and nothing else.
    """

    allow_http: bool = False
    allow_private_addresses: bool = False
    allow_hosts: tuple[str, ...] = ()
    allow_networks: tuple[str, ...] = ()
    timeout_secs: float = 10.0
    """For the whole way, redirects and body included."""
    max_bytes: int = 10 * 1024 * 1024
    max_redirects: int = 3

    def __post_init__(self) -> None:
        for name in ("allow_http", "allow_private_addresses"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(f"UrlPolicy: {name} should be True or False")
        for name, parse in (("allow_hosts", parse_host_pattern), ("allow_networks", parse_network)):
            values = getattr(self, name)
            if not isinstance(values, (tuple, list)) or not all(isinstance(value, str) for value in values):
                raise InvalidInput(f"UrlPolicy: {name} should be a tuple of strings")
            object.__setattr__(self, name, tuple(values))
            for value in values:
                try:
                    parse(value)
                except InvalidInput as error:
                    raise InvalidInput(f"UrlPolicy: {name}: {error}") from None
        seconds = self.timeout_secs
        if not _is_number(seconds, (int, float)) or not (0 < seconds < math.inf):
            raise InvalidInput("UrlPolicy: timeout_secs should be a number of seconds above 0")
        for name, least in (("max_bytes", 1), ("max_redirects", 0)):
            value = getattr(self, name)
            if not _is_number(value, int) or value < least:
                raise InvalidInput(f"UrlPolicy: {name} should be a whole number, at least {least}")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was there. Queries may hold secrets, so the URL is not in the repr."""

    url: str = field(repr=False)
    """Where it was found, after all redirects."""
    mime: str
    """In lower case and without parameters; one of those that were accepted, if they were named. Empty
    if the server did not say."""
    data: bytes = field(repr=False)
    status: int = 200
    charset: str | None = None
    """The encoding that the server names."""
    cut: bool = False
    """True if this is only the beginning, up to a limit."""
    redirects: int = 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for, and taken."""

    headers: Headers
    types: frozenset[str] | None = None
    """None is whatever there is, be it an error, or the beginning of something long."""


def fetch(url: str, policy: UrlPolicy, *, accept: Collection[str]) -> Flow[Fetched]:
    """What is at the URL, of one of the types in `accept`, whole.

    Raises InvalidInput for what the policy refuses, TransportError and TimedOut for what another try
    may cure, ProtocolError for the rest.
    """
    headers = _with_defaults((), ", ".join(sorted(accept)))
    return _fetch(url, policy, _Wanted(headers, frozenset(wanted.lower() for wanted in accept)))


def fetch_any(url: str, policy: UrlPolicy, *, headers: Headers = ()) -> Flow[Fetched]:
    """Whatever is at the URL: any type and any status, cut at `max_bytes`.

    `headers` are sent at every hop, so they are only such as `checked_headers` lets pass. Raises what
    `fetch` raises, but for an answer's type, status and length.
    """
    return _fetch(url, policy, _Wanted(_with_defaults(checked_headers(headers), "*/*")))


def checked_headers(headers: Mapping[str, str] | Headers) -> Headers:
    """Headers that may go to anybody; raises InvalidInput for one that may not.

    Whoever writes a page chooses where it redirects to, and a model goes where the page tells it to:
    so none is sent that is, by its name, a credential; nor one that belongs to the connection.
    """
    items = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    if len(items) > MOST_HEADERS:
        raise InvalidInput(f"headers: {len(items)} are too many; give at most {MOST_HEADERS}")
    for name, value in items:
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise InvalidInput(f"headers: {str(name)[:60]!r} is not the name of a header")
        lower = name.lower()
        if lower in _OF_THE_CONNECTION or lower.startswith(_FOR_A_PROXY):
            raise InvalidInput(f"headers: {name} belongs to the connection and cannot be set; leave it out")
        if _CREDENTIALS.search(name):
            raise InvalidInput(
                f"headers: {name} may be a credential, and whoever is asked, or redirected to, would "
                "see it; leave it out: only public pages are fetched"
            )
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value) or len(value) > MOST_OF_A_HEADER:
            raise InvalidInput(
                f"headers: the value of {name} should be one line of ASCII, of at most {MOST_OF_A_HEADER} "
                "characters"
            )
    return items


def _with_defaults(own: Headers, accept: str) -> Headers:
    given = {name.lower() for name, _ in own}
    defaults = (("User-Agent", "tako"), ("Accept", accept), ("Accept-Encoding", "identity"))
    return (*[header for header in defaults if header[0].lower() not in given], *own)


def _fetch(url: str, policy: UrlPolicy, wanted: _Wanted) -> Flow[Fetched]:
    opened: list[int] = []
    try:
        return (yield from within(policy.timeout_secs, _follow(url, policy, wanted, opened)))
    except (InvalidInput, TransportError, ProtocolError, TimedOut) as error:
        for exchange in opened:
            yield Close(exchange)
        _explain(error, url, policy)
        raise


def _follow(url: str, policy: UrlPolicy, wanted: _Wanted, opened: list[int]) -> Flow[Fetched]:
    """From hop to hop. `opened` has the exchange that is open, for whoever has to close it."""
    target = _check_url(url, policy)
    for redirects in range(policy.max_redirects + 1):
        addresses = yield from _checked_addresses(target, policy)
        head = yield from _ask(target, addresses, policy, wanted.headers)
        opened.append(head.exchange)
        if head.status not in _REDIRECTS:
            take = _take_any(head, policy) if wanted.types is None else _take(head, policy, wanted.types)
            mime, data, cut = yield from take
            yield Close(opened.pop())
            charset = _CHARSET.search(head.header("content-type") or "")
            named = charset[1].lower() if charset else None
            return Fetched(_whole(target), mime, data, head.status, named, cut, redirects)
        yield Close(opened.pop())
        target = _next_target(target, head, policy)
    raise ProtocolError(
        f"it redirects more than {policy.max_redirects} times, lastly to {_shown(target)}", phase="head"
    )


def _take(head: HttpHead, policy: UrlPolicy, types: frozenset[str]) -> Flow[tuple[str, bytes, bool]]:
    """Type and body, all of it; raises if they are not as wanted."""
    mime = _check_head(head, policy, types)
    data, cut = yield from _read(head.exchange, policy.max_bytes)
    if cut:
        raise _too_large(policy.max_bytes)
    _check_type(mime, data)
    return mime, data, False


def _take_any(head: HttpHead, policy: UrlPolicy) -> Flow[tuple[str, bytes, bool]]:
    """Type and body, and whether it was longer than what is read of it."""
    _check_coding(head)
    most = policy.max_bytes if 200 <= head.status < 300 else min(policy.max_bytes, MOST_OF_AN_ERROR)
    data, cut = yield from _read(head.exchange, most)
    return _type_of(head), data, cut


def _check_url(url: str, policy: UrlPolicy) -> Target:
    """The parts of a URL that may be asked for, before its host is looked up; raises InvalidInput."""
    target = parse_url(url)
    if target.origin.scheme != "https" and not policy.allow_http:
        raise InvalidInput(
            f"{_shown(target)} is refused: it is not https; try https://; a UrlPolicy with "
            "allow_http=True would allow it"
        )
    return target


def _next_target(target: Target, head: HttpHead, policy: UrlPolicy) -> Target:
    location = head.header("location")
    if not location:
        raise ProtocolError(f"{_shown(target)} redirects to nowhere", phase="head", status=head.status)
    try:
        if _CONTROL.search(location):  # urljoin would drop some of them
            raise ValueError
        return _check_url(urljoin(_whole(target), location), policy)
    except InvalidInput as error:
        raise InvalidInput(f"{_shown(target)} redirects elsewhere: {error}") from None
    except ValueError:  # urljoin's would quote the URL
        raise InvalidInput(f"{_shown(target)} redirects to what is not a URL") from None


def _checked_addresses(target: Target, policy: UrlPolicy) -> Flow[list[Address]]:
    """The addresses of the host, all of them allowed; raises InvalidInput if one is not."""
    origin = target.origin
    literal = literal_address(origin.host)
    if literal is not None:
        found = [literal]
    else:
        texts: tuple[str, ...] = yield Resolve(origin.host, origin.port)
        found = [parse_address(text) for text in texts]
    if not found:
        raise TransportError(f"the host {origin.host} has no address", phase="resolve")
    if not policy.allow_private_addresses and not _is_allowed_host(origin.host, policy):
        networks = tuple(parse_network(network) for network in policy.allow_networks)
        for address in found:
            if not is_public(address) and not is_in(address, networks):
                _refuse(target, address, named=literal is None)
    return found


def _is_allowed_host(host: str, policy: UrlPolicy) -> bool:
    return host_matches(host, tuple(parse_host_pattern(pattern) for pattern in policy.allow_hosts))


def _refuse(target: Target, address: Address, *, named: bool) -> NoReturn:
    host = target.origin.host
    by_name = f"allow_hosts=({host!r},), " if named else ""
    raise InvalidInput(
        f"{_shown(target)} is refused: the address of {host} is {address}, which is not public; "
        f"a UrlPolicy with {by_name}allow_networks=({str(address)!r},) or allow_private_addresses=True "
        "would allow it"
    )


def _ask(target: Target, addresses: list[Address], policy: UrlPolicy, headers: Headers) -> Flow[HttpHead]:
    """The head of the answer, of the first address that takes a connection."""
    tried = addresses[:MOST_ADDRESSES]
    for address in tried:
        request = HttpRequest(
            "GET",
            _whole(target),
            headers,
            connect_timeout=policy.timeout_secs / len(tried),
            read_timeout=policy.timeout_secs,
            pinned_address=str(address),
        )
        try:
            head: HttpHead = yield Send(request)
            return head
        except (TransportError, TimedOut) as error:
            if error.phase != "connect" or address is tried[-1]:
                raise
    raise AssertionError("the last address has returned or raised")


def _check_head(head: HttpHead, policy: UrlPolicy, types: frozenset[str]) -> str:
    """The type of what follows; raises if it is not wanted."""
    if not 200 <= head.status < 300:
        later = head.status >= 500 or head.status in _MAYBE_LATER
        kind = TransportError if later else ProtocolError
        raise kind(f"the server answered {head.status}", phase="head", status=head.status)
    mime = _type_of(head)
    if mime not in types:
        raise ProtocolError(
            f"it is {mime[:60] or 'of no type'}, and should be one of {', '.join(sorted(types))}",
            phase="head",
        )
    _check_coding(head)
    length = (head.header("content-length") or "").strip()
    if length.isdecimal() and (len(length) > 18 or int(length) > policy.max_bytes):
        raise _too_large(policy.max_bytes)
    return mime


def _type_of(head: HttpHead) -> str:
    mime = (head.header("content-type") or "").partition(";")[0].strip().lower()
    return _SAME_TYPE.get(mime, mime)


def _check_coding(head: HttpHead) -> None:
    coding = ",".join([value for name, value in head.headers if name == "content-encoding"]).strip().lower()
    if coding not in _UNDONE:
        raise ProtocolError(
            f"it has the content coding {coding[:60]!r}, which nobody asked for", phase="head"
        )


def _read(exchange: int, limit: int) -> Flow[tuple[bytes, bool]]:
    """The body up to the limit, and whether there was more."""
    # Not a list of pieces: a peer that sends single bytes would have each cost forty.
    data = bytearray()
    while piece := (yield Receive(exchange)):
        room = limit - len(data)
        data += piece[:room]
        if len(piece) > room:
            return bytes(data), True
    return bytes(data), False


def _too_large(limit: int) -> ProtocolError:
    return ProtocolError(f"it is larger than {limit} bytes; max_bytes would allow more", phase="body")


def _type_by_content(data: bytes) -> str | None:
    """The type that the first bytes belong to, of those that have such."""
    # Readers of PDF have always let something stand in front of it.
    return image_type(data) or ("application/pdf" if b"%PDF-" in data[:1024] else None)


_TYPES_BY_CONTENT = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"))


def _check_type(mime: str, data: bytes) -> None:
    """Vendors refuse a picture under another's name, and say less about why."""
    if mime in _TYPES_BY_CONTENT and (actual := _type_by_content(data)) != mime:
        what = f"it is {actual}" if actual else "its first bytes are not those of one"
        raise ProtocolError(f"the server calls it {mime}, but {what}", phase="body")


def _explain(error: TakoError, url: str, policy: UrlPolicy) -> None:
    """Have an error name the URL; InvalidInput does, where there is one to name."""
    if isinstance(error, InvalidInput):
        return
    shown = _shown(parse_url(url))
    if isinstance(error, TimedOut):
        error.message = f"{shown} could not be fetched within {policy.timeout_secs:g} seconds (timeout_secs)"
    else:
        error.message = f"{shown} could not be fetched: {error.message}"


def _whole(target: Target) -> str:
    return f"{target.origin.scheme}://{target.origin.authority}{target.path}"


def _shown(target: Target) -> str:
    """A URL for messages."""
    return _whole(target).partition("?")[0][:MOST_SHOWN]


def _is_number(value: object, kinds: type[int] | tuple[type[int], type[float]]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)
