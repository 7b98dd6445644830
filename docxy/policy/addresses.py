"""
Which network addresses may be connected to, and how clients are told apart.

Owns the judgement on an address that a name has been resolved to.  Resolves
nothing and connects to nothing: the caller connects to the address that was
judged, and to no other.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from docxy.settings.values import Network, UpstreamSettings

Address = IPv4Address | IPv6Address

# IANA's special-purpose registries (RFC 6890), and the one public address that is not: Azure's
# metadata service.  Our own list, because `is_global` changes from one Python to the next.
_REFUSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)

# Whatever is outside is loopback, NAT64, site-local, unique-local, link-local, multicast or unassigned.
_GLOBAL_6 = IPv6Network("2000::/3")

_REFUSED_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, benchmarks, ORCHID
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address inside
            "3fff::/20",
        ),
    )
)

_COMPATIBLE = IPv6Network("::/96")


def check_address(address: str, *, host: str, upstream: UpstreamSettings) -> bool:
    """
    Whether a connection for ``host`` may go to ``address``, which it was resolved to.

    True for public addresses, for any address of a host that the settings name
    in full, and for the networks of ``network.allow``.  False for what is no address.
    """
    found = unmapped(address)
    if found is None:
        return False
    if host.lower() in upstream.trusted_hosts or inside(found, upstream.network.allow):
        return True
    if isinstance(found, IPv4Address):
        return not inside(found, _REFUSED_4)
    return found.scope_id is None and found in _GLOBAL_6 and not inside(found, _REFUSED_6)


def bucket(address: str | None) -> str:
    """What a client is counted under: its IPv4 address, its IPv6 /64, ``unix`` for None, else ``unknown``."""
    if address is None:
        return "unix"
    found = unmapped(address)
    if found is None:
        return "unknown"
    if isinstance(found, IPv4Address):
        return str(found)
    return _around(found, 64)


def networks(address: str) -> tuple[str, ...]:
    """Whose connections are counted together: its `bucket`, and around an IPv6 /64 the /48."""
    found = unmapped(address)
    wide = (_around(found, 48),) if isinstance(found, IPv6Address) else ()
    return (bucket(address), *wide)


def _around(address: IPv6Address, prefix: int) -> str:
    bits = 128 - prefix
    return str(IPv6Network((int(address) >> bits << bits, prefix)))


def unmapped(address: str) -> Address | None:
    """Read an address, IPv4 out of its mapped and compatible forms (RFC 4291 §2.5.5); None for no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if isinstance(found, IPv4Address):
        return found
    if found.ipv4_mapped is not None:
        return found.ipv4_mapped
    if found in _COMPATIBLE and int(found) > 1:  # :: and ::1 are not compatible addresses
        return IPv4Address(int(found))
    return found


def inside(address: Address, networks: Iterable[Network]) -> bool:
    """Whether one of the networks holds the address; a zone id is no part of the comparison."""
    return any(address in network for network in networks)
