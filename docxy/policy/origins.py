"""
Origins: what has to be equal for two URLs to share a secret.

Owns the strict reading of http(s) URLs that others sent.  It reads less than a
browser does, on purpose: a URL that two readers could take for two different
hosts is refused here, so that the host judged is the host connected to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

MAX_URL = 8192  # bytes; signed CDN URLs are known to take two of these eight KiB

_PORTS = {"http": 80, "https": 443}

_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_MAX_SHOWN = 256  # of a URL in a message


class UrlRefused(ValueError):
    """A URL that we will not read; the text is the reason and repeats nothing of the URL's query."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port (RFC 6454): the host lower-case, an IPv6 literal without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Read an absolute URL's origin; raises `UrlRefused`."""
        check_characters(url)
        found = _URL.match(url)
        if found is None:
            raise UrlRefused("not an http or https URL")
        scheme = found["scheme"].lower()
        host, port = _host_and_port(found["authority"])
        return cls(scheme, host, _PORTS[scheme] if port is None else port)

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address and no name."""
        return ":" in self.host or _is_number(self.host.rpartition(".")[2])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"


def check_characters(url: str) -> None:
    """Raise `UrlRefused` for a URL that is too long or holds what no URL may hold (RFC 3986 §2)."""
    if len(url) > MAX_URL:
        raise UrlRefused("longer than 8 KiB")
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        raise UrlRefused("control characters, spaces, backslashes or non-ASCII characters")


def redact(url: str) -> str:
    """The URL for a message: its origin and path; query, fragment and user information are secrets."""
    found = _URL.match(url)
    try:
        return f"{Origin.of(url)}{found['path'] if found else ''}"[:_MAX_SHOWN]
    except UrlRefused:
        return "(a malformed URL)"


def _host_and_port(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise UrlRefused("user information")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise UrlRefused("malformed host or port")
    port = None if found["port"] is None else int(found["port"])
    if port is not None and not 1 <= port <= 65535:
        raise UrlRefused("a port outside 1-65535")
    return (_literal(found["six"]) if found["six"] else _name(found["name"].lower())), port


def _literal(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise UrlRefused("malformed IPv6 address") from None


def _name(host: str) -> str:
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise UrlRefused("malformed host name")
    if _is_number(labels[-1]) and not _is_dotted_quad(host):
        # Resolvers read 127.1, 2130706433 and 0x7f.1 as addresses (URL Standard, "ends in a number").
        raise UrlRefused("a host that is neither a name nor an address")
    return host


def _is_number(label: str) -> bool:
    return _NUMBER.fullmatch(label) is not None


def _is_dotted_quad(host: str) -> bool:
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True
