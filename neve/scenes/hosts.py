"""Hosts: which ones a person named, and which addresses are nobody else's business.

Belongs here: judging names and addresses, no look-up. Does not belong here: the rest of an href
(``hrefs``), connecting (``reading.connections``).
"""

import ipaddress
import socket
from collections.abc import Iterable

# Azure hands out secrets of the machine here; all other clouds use addresses that are not global.
_METADATA = ipaddress.ip_address("168.63.129.16")
# What to do about a host that is refused.
FIX = (
    "if that is meant, name the host under 'hosts' in the region file, and with it every other "
    "host that the items use: those named are then the only ones"
)
_HOLDING_IPV4 = tuple(map(ipaddress.ip_network, ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
# Given up in favour of fc00::/7; Python calls it global.
_SITE_LOCAL = ipaddress.ip_network("fec0::/10")


def named(host: str, hosts: Iterable[str]) -> bool:
    """Whether ``host`` is among those that a person named; ``*.name`` are all below a name."""
    host = _plain(host)
    return any(
        host.endswith(one[1:]) if one.startswith("*.") else host == one
        for one in map(_plain, hosts)
    )


def private(host: str) -> bool:
    """Whether a host is an address of this machine, a private network or a cloud's metadata.

    IPv4 in all forms that connecting understands (decimal, octal, hexadecimal, shortened) and
    inside of IPv6. A name is not looked up: only ``localhost`` and what is below it are private.
    """
    plain = _plain(host)
    if plain == "localhost" or plain.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(plain.split("%")[0])
    except ValueError:
        try:
            address = ipaddress.IPv4Address(socket.inet_aton(plain))
        except (OSError, ValueError):
            return False
    return any(
        not one.is_global or one.is_multicast or one == _METADATA or one in _SITE_LOCAL
        for one in _all(address)
    )


def _all(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The address and the IPv4 addresses inside of it."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if any(address in network for network in _HOLDING_IPV4):
            inside.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        yield from (one for one in inside if one is not None)


def _plain(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")
