"""Which IP addresses are the public's: what a URL from a stranger may lead to, and what it may not.

A host in a URL is a name, or an address in one of many spellings, and an address may hold another:

| host                                     | the address that it means                            |
|------------------------------------------|------------------------------------------------------|
| 127.0.0.1, 127.1, 2130706433, 0177.0.0.1 | IPv4; one to four parts, the last one fills the rest, |
| 0x7f.1, 0x7F000001, 127.0.0.1.           | each decimal, octal (0...) or hexadecimal (0x...)    |
| ::1, fe80::1%eth0                        | IPv6; the zone says by which interface               |
| ::ffff:127.0.0.1                         | IPv4-mapped: the system dials the IPv4 address       |
| 64:ff9b::127.0.0.1                       | a NAT64 gateway dials the IPv4 address               |
| 256.1.1.1, 1.2.3.4.5, 09.1               | none, and no name either: refused                    |

`is_public` lists what it knows: IPv4 but for the blocks of the IANA's registry of special purposes,
and of IPv6 the one eighth that is given out to the public, but for its special blocks. It is stricter
than `ipaddress.is_global` where that changes with the version of Python, or means something else:

| block                                        | why it is not public                               |
|----------------------------------------------|----------------------------------------------------|
| 224.0.0.0/4                                  | multicast is global, but no server                 |
| 192.0.0.0/24, 2001::/23                      | protocols' own, whatever single addresses in there |
| 192.88.99.0/24, 2002::/16, 2001::/32         | 6to4 and Teredo: doors into IPv4, out of use       |
| ::/96, 64:ff9b:1::/48, ::ffff:0:0:0/96       | doors into IPv4, of this network's own making      |
| 168.63.129.16                                | Azure's metadata, seen from inside Azure           |
| all else outside of 2000::/3                 | nobody has been given it                           |

Invariants. Nothing here looks anything up. The same address is judged alike in every spelling and
wrapping, and what is in doubt is not public.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from tako.errors import InvalidInput
from tako.wire.route import parse_url

__all__ = [
    "Address",
    "Network",
    "host_matches",
    "is_in",
    "is_public",
    "literal_address",
    "parse_address",
    "parse_host_pattern",
    "parse_network",
]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_NOT_PUBLIC_4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network; 0.0.0.0 dials this machine
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a provider's NAT; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
_NAT64 = IPv6Network("64:ff9b::/96")
_MAPPED = IPv6Network("::ffff:0:0/96")

_NUMBER = re.compile(r"0x([0-9a-f]{0,61})|(0[0-7]{0,62})|([1-9][0-9]{0,62})", re.IGNORECASE)
_NOT_A_NUMBER = 1 << 32
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE | re.DOTALL)
_NOT_IN_A_HOST = re.compile(r"[/?#@:\\\s]")


def literal_address(host: str) -> Address | None:
    """The address that a host is a spelling of, None for a name.

    The host is as an Origin has it: in ASCII, without brackets. Raises InvalidInput for one that ends
    in a number and is no address: no name does, and who would dial it is anybody's guess.
    """
    if ":" in host:
        try:
            return IPv6Address(host)
        except ValueError:
            raise InvalidInput("the host is not an IPv6 address") from None
    name = host.removesuffix(".")
    if not _ENDS_IN_A_NUMBER.fullmatch(name):
        return None
    *firsts, last = [_number(part) for part in name.split(".")]
    if len(firsts) > 3 or any(number > 255 for number in firsts) or last >= 256 ** (4 - len(firsts)):
        raise InvalidInput(f"the host {host[:60]!r} ends in a number but is not an IPv4 address")
    return IPv4Address(last + sum(number << 8 * (3 - place) for place, number in enumerate(firsts)))


def parse_address(text: str) -> Address:
    """An address as a resolver gives it; raises InvalidInput."""
    try:
        return ip_address(text)
    except ValueError:
        raise InvalidInput(f"{text[:60]!r} is not an IP address") from None


def is_public(address: Address) -> bool:
    """Whether this address may be anybody's server; see the head of this file."""
    address = _dialled(address)
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_4)
    if address in _NAT64:
        return is_public(_last_four_bytes(address))
    return address in _PUBLIC_6 and not any(address in block for block in _NOT_PUBLIC_6)


def is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    """Whether one of the networks has this address; an IPv4-mapped one counts as the IPv4 address."""
    address = _dialled(address)
    return any(address in network for network in networks)


@lru_cache(maxsize=256)
def parse_network(text: str) -> Network:
    """A network like 10.0.0.0/8, or a single address; raises InvalidInput."""
    try:
        network = ip_network(text)
    except ValueError as error:
        raise InvalidInput(f"{text[:60]!r} is not a network like '10.1.0.0/16': {error}") from None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = _last_four_bytes(network.network_address)
        return IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return network


@lru_cache(maxsize=256)
def parse_host_pattern(text: str) -> str:
    """A host name, or `*.` and a name for all that are below it, in lower case and ASCII.

    Raises InvalidInput for anything else, also for an address, which belongs in a list of networks.
    """
    wildcard = "*." if text.startswith("*.") else ""
    name = text[len(wildcard) :]
    if not _NOT_IN_A_HOST.search(name) and "*" not in name:
        try:
            host = parse_url(f"https://{name}/").origin.host
            if literal_address(host) is None:
                return wildcard + host.removesuffix(".")
        except InvalidInput:
            pass
    raise InvalidInput(
        f"{text[:60]!r} is not a host name like 'files.example.com' or '*.example.com'; "
        "an address is allowed as a network"
    )


def host_matches(host: str, patterns: tuple[str, ...]) -> bool:
    """Whether a host is one of the patterns; `*.example.com` has a.b.example.com, not example.com."""
    name = host.lower().removesuffix(".")
    return any(
        name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:])) for pattern in patterns
    )


def _dialled(address: Address) -> Address:
    """The address that the system dials: an IPv4-mapped one is another spelling of IPv4."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _last_four_bytes(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)


def _number(part: str) -> int:
    """A part of an IPv4 address as inet_aton(3) and the WHATWG's URL standard read it; what is no
    number is larger than any that fits."""
    match = _NUMBER.fullmatch(part)
    if match is None:
        return _NOT_A_NUMBER
    hexadecimal, octal, decimal = match.groups()
    if hexadecimal is not None:
        return int(hexadecimal or "0", 16)
    return int(octal, 8) if octal is not None else int(decimal)
