"""
Which name did the client call us by, and may it be believed?

Owns the reading of ``Host`` and the choice of the base URL that challenges
name.  Knows nothing of upstreams, requests or certificates' files: the names
that stand in the certificate are an argument.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from docxy.policy.addresses import unmapped

_MAX_HOST = 261  # a name of 253, a colon, five digits, and brackets

# Nothing in here can end a quoted string, start a path or name a user.
_HOST = re.compile(r"(?:(?P<name>[A-Za-z0-9._-]+)|\[(?P<literal>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?")

_DEFAULT_PORTS = {"http": 80, "https": 443}

LocalAddress = tuple[str, int]
"""The address and port of the socket that took the connection."""


@dataclass(frozen=True, slots=True)
class HostName:
    """One ``Host``: ``name`` lower-case, IPv6 without brackets; ``port`` None where none was sent."""

    name: str
    port: int | None


def parse_host(text: str | None) -> HostName | None:
    """Read a ``Host`` header or a ``host[:port]`` of the settings (RFC 9110 §7.2); None for what is none."""
    if text is None or len(text) > _MAX_HOST:
        return None
    found = _HOST.fullmatch(text)
    if found is None:
        return None
    port = None if found["port"] is None else int(found["port"])
    name = _canonical_name(found["name"], found["literal"])
    if name is None or port == 0 or (port or 0) > 65535:
        return None
    return HostName(name, port)


def believed(
    host_header: str | None,
    *,
    public_urls: Iterable[str],
    certificate_names: Iterable[str],
    local_address: LocalAddress | None,
) -> str | None:
    """
    The client's ``Host`` as it was sent, port included, where its name is one of ours; else None.

    Ours are the public URLs' names, the certificate's names (a wildcard covers
    one label) and the local address of the socket.
    """
    host = parse_host(host_header)
    if host is None:
        return None
    public = (name for name, _, _ in map(_public, public_urls))
    if host.name in public or _certified(host.name, certificate_names) or _is_local(host.name, local_address):
        return host_header
    return None


def base_url(
    host_header: str | None,
    scheme: str,
    *,
    public_urls: tuple[str, ...],
    certificate_names: tuple[str, ...],
    local_address: LocalAddress | None,
) -> str:
    """
    The URL, without a path, under which this client reaches us.

    A believed ``Host`` gives it; else the first public URL; else the socket's
    own address.  Where ``Host`` is the very authority of a public URL, that
    URL's scheme stands: a proxy in front may end TLS without saying so.
    """
    netloc = believed(
        host_header, public_urls=public_urls, certificate_names=certificate_names, local_address=local_address
    )
    if netloc is not None:
        return f"{_public_scheme(netloc, scheme, public_urls)}://{netloc}"
    if public_urls:
        return public_urls[0].rstrip("/")
    return f"{scheme}://{_local_netloc(local_address)}"


def _canonical_name(name: str | None, literal: str | None) -> str | None:
    if name is not None:
        return name.lower().removesuffix(".")
    try:
        return str(ip_address(literal or ""))
    except ValueError:
        return None


def _public(url: str) -> tuple[str, int | None, str]:
    """Name, port and scheme of a public URL, which the settings have already judged."""
    scheme, _, netloc = url.rstrip("/").partition("://")
    host = parse_host(netloc) or HostName("", None)
    return host.name, host.port or _DEFAULT_PORTS.get(scheme), scheme


def _public_scheme(netloc: str, scheme: str, public_urls: Iterable[str]) -> str:
    host = parse_host(netloc) or HostName("", None)
    schemes = [
        theirs
        for name, port, theirs in map(_public, public_urls)
        if (name, port) == (host.name, host.port or _DEFAULT_PORTS.get(theirs))
    ]
    return scheme if scheme in schemes or not schemes else schemes[0]


def _certified(name: str, certificate_names: Iterable[str]) -> bool:
    label, _, parent = name.partition(".")
    wildcard = f"*.{parent}" if label and parent else None
    return any(own.lower() in (name, wildcard) for own in certificate_names)


def _is_local(name: str, local_address: LocalAddress | None) -> bool:
    if local_address is None:
        return False
    local = unmapped(local_address[0])
    if local is None:
        return False
    return unmapped(name) == local or (name == "localhost" and local.is_loopback)


def _local_netloc(local_address: LocalAddress | None) -> str:
    if local_address is None:
        return "localhost"  # a unix socket without a public URL has no better name
    address, port = local_address
    shown = str(unmapped(address) or address).partition("%")[0]
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
