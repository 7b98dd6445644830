"""
Who is the client, and which scheme did it use, where proxies stand in front?

Owns the reading of ``X-Forwarded-For`` and ``X-Forwarded-Proto``.  Believes
nothing that a proxy outside the trusted networks could have written, and
takes no proxy for a client: who is not named is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from docxy.policy.addresses import Address, inside, unmapped
from docxy.settings.values import Network

UNIX = "unix"
"""Stands for the peer of a unix socket, which has no address."""

UNKNOWN = "unknown"
"""Stands for a client that no proxy names: it is in no network."""

_MAX_ENTRY = 64  # an IPv6 address with zone, brackets and port is shorter

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?")
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")

_MAX_PROXIES = 32  # in one chain; what lies beyond is not read


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: tuple[Network, ...]) -> str:
    """
    The right-most address of ``X-Forwarded-For`` that is no trusted proxy.

    ``peer`` is the socket's other end, None for a unix socket, which is trusted.
    ``forwarded_for`` are the header's lines in order.  Where a trusted proxy
    names nobody, or what is no address, the client is `UNKNOWN`: it could be anybody.
    """
    if not _is_trusted(peer, trusted):
        return _canonical(peer)
    client = UNKNOWN
    for entry in _last_first(forwarded_for):
        address = _address(entry)
        if address is None:
            return UNKNOWN
        client = _plain(address)
        if not inside(address, trusted):
            return client
    return client


def own_address(peer: str | None, forwarded: Sequence[str], trusted: tuple[Network, ...]) -> str | None:
    """
    The peer, where it may be asking for itself: this machine, or a trusted proxy that forwards nothing.

    ``forwarded`` are all lines of ``X-Forwarded-For`` and ``-Proto``.  Good
    for health checks alone: a proxy may have been told to add neither.
    """
    address = None if peer is None else unmapped(peer)
    is_near = _is_trusted(peer, trusted) or (address is not None and address.is_loopback)
    return _canonical(peer) if is_near and not forwarded else None


def client_scheme(
    peer: str | None,
    forwarded_proto: Sequence[str],
    trusted: tuple[Network, ...],
    own_scheme: Literal["http", "https"],
) -> Literal["http", "https"]:
    """The scheme that the nearest proxy says, where it is trusted and says one; else our own."""
    if _is_trusted(peer, trusted):
        said = next(iter(_last_first(forwarded_proto)), "").lower()
        if said == "https":
            return "https"
        if said == "http":
            return "http"
    return own_scheme


def _is_trusted(peer: str | None, trusted: tuple[Network, ...]) -> bool:
    if peer is None:
        return True
    address = unmapped(peer)
    return address is not None and inside(address, trusted)


def _canonical(peer: str | None) -> str:
    if peer is None:
        return UNIX
    address = unmapped(peer)
    return UNKNOWN if address is None else _plain(address)


def _plain(address: Address) -> str:
    return str(address).partition("%")[0]


def _last_first(lines: Sequence[str]) -> list[str]:
    entries = ",".join(lines).rsplit(",", _MAX_PROXIES)[-_MAX_PROXIES:]
    return [entry.strip(" \t") for entry in reversed(entries)]


def _address(entry: str) -> Address | None:
    if len(entry) > _MAX_ENTRY:
        return None
    found = _BRACKETED.fullmatch(entry) or _WITH_PORT.fullmatch(entry)
    return unmapped(found[1] if found else entry)
