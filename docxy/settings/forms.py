"""
The written forms of single settings: URLs, host names, networks, words.

Owns what one value may look like.  Knows neither the key that it stands under
nor any other value: whoever reads a table adds those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from docxy.settings.values import Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
RESERVED = frozenset({"v1", "v2", "auth", "health", "generate_204"})
"""First path segments that are docxy's own."""

_MAX_URL = 2048
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Each pattern is anchored by fullmatch, and has one way only to match: linear.
_PLAIN = re.compile(r"[!-~]+")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_GLOB = re.compile(r"[a-z0-9._/*?\[\]!-]{1,255}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_ENDPOINT = re.compile(r"[a-z][a-z0-9]*:.+")
_PORT = re.compile(r"[0-9]{1,5}")
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))? ?([KMGT]i?)?B?")
_UNITS = "KMGT"
_SERVICE = re.compile(r"[ !#-\[\]-~]{1,256}")


WITH_USER = ("bears a user name", "take out what stands before the @")
"""Problem and remedy of a name or URL with an account in it, which is never repeated."""


class Malformed(Exception):
    """A value has not the form that it must have: ``problem``, and the ``remedy``."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Url:
    """An ``http`` or ``https`` URL without user name; ``port`` is None where it is the scheme's own."""

    scheme: str
    host: str  # lower-case; an IPv6 address without brackets
    port: int | None
    rest: str  # path and query, as written

    @property
    def base(self) -> str:
        """Scheme, host and port, as in an origin."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port else "")


def shown(text: object) -> str:
    """``text`` as it may stand in a message: quoted, on one line, short, without what may be a password."""
    quoted = repr(text if not isinstance(text, str) or "@" not in text else "***@" + text.rpartition("@")[2])
    return quoted if len(quoted) <= 80 else quoted[:76] + "..." + quoted[-1]


def url(text: str) -> Url:
    """
    The URL that ``text`` is; the path and query are kept as they are.

    :raises Malformed: without ever repeating a URL that bears a password.
    """
    if not _PLAIN.fullmatch(text) or len(text) > _MAX_URL or "\\" in text:
        raise Malformed("is not a URL", "write one like https://registry.example.com")
    if "@" in text:
        raise Malformed(*WITH_USER)
    scheme = text.partition("://")[0].lower()
    if scheme not in _DEFAULT_PORTS or "://" not in text:
        raise Malformed(f"{shown(text)} is not an https:// or http:// URL", f"write {_with_scheme(text)}")
    if "#" in text:
        raise Malformed(f"{shown(text)} has a fragment", "take out what follows the #")
    return _split(text, scheme)


def _with_scheme(text: str) -> str:
    return "https://" + text.partition("://")[2 if "://" in text else 0][:200]


def _split(text: str, scheme: str) -> Url:
    try:
        parts = urlsplit(text)
        host, number = host_name(parts.hostname or ""), parts.port
    except (ValueError, Malformed):
        raise Malformed(f"{shown(text)} has no valid host and port", "write HOST or HOST:PORT") from None
    if number == 0 or parts.netloc.endswith(":"):
        raise Malformed(f"{shown(text)} has no valid port", "write a port from 1 to 65535, or none")
    rest = parts.path + (f"?{parts.query}" if "?" in text else "")
    return Url(scheme, host, None if number == _DEFAULT_PORTS[scheme] else number, rest)


def base_url(text: str) -> Url:
    """The URL of a host alone: no path but ``/``, no query.  :raises Malformed:"""
    parsed = url(text)
    if parsed.rest not in ("", "/"):
        raise Malformed(f"{shown(text)} has a path or a query", f"write {parsed.base}")
    return Url(parsed.scheme, parsed.host, parsed.port, "")


def host_name(text: str) -> str:
    """
    A host name or an address, lower-case, without port.

    :raises Malformed: also for a trailing dot, and for names that are nearly
        an IPv4 address (resolvers read ``127.1`` as loopback).
    """
    if "@" in text:
        raise Malformed(*WITH_USER)
    lower = text.lower()
    address = _address(lower.removeprefix("[").removesuffix("]") if lower.startswith("[") else lower)
    if address is not None:
        return str(address)
    labels = lower.split(".")
    if len(lower) > 253 or not all(map(_LABEL.fullmatch, labels)) or _NUMBER.fullmatch(labels[-1]):
        raise Malformed(f"{shown(text)} is not a host name", "write the name alone, without scheme or port")
    return lower


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if "%" in text else address


def host_pattern(text: str) -> str:
    """A host name, or ``*.`` and a name of two labels or more.  :raises Malformed:"""
    if not text.startswith("*."):
        return host_name(text)
    suffix = host_name(text[2:])
    if "." not in suffix or _address(suffix) is not None:
        raise Malformed(f"{shown(text)} is too wide", "name at least two labels, like *.example.com")
    return "*." + suffix


def network(text: str) -> Network:
    """An address or a network in CIDR form, with no bit set outside its mask.  :raises Malformed:"""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        remedy = f"write {ip_network(text, strict=False)}"
    except ValueError:
        remedy = "write an address or a network like 10.0.0.0/8"
    raise Malformed(f"{shown(text)} is not a network", remedy)


def is_loopback(text: str) -> bool:
    """Whether ``text`` is an address of this machine alone."""
    address = _address(text)
    return address is not None and address.is_loopback


def is_private(text: str | None) -> bool:
    """Whether an address to listen on is reached from near alone; None is an inherited socket."""
    address = None if text is None else _address(text)
    return text is None or (address is not None and not address.is_unspecified and not address.is_global)


def source_address(text: str) -> str:
    """An address of this machine.  :raises Malformed: for names, zones and the unspecified address."""
    address = _address(text)
    if address is None or address.is_unspecified or address.is_multicast:
        raise Malformed(f"{shown(text)} is no address to connect from", "write an address of this machine")
    return str(address)


def component(text: str) -> str:
    """One path component of a repository name (OCI distribution, `<name>`).  :raises Malformed:"""
    if len(text) > 128 or not _COMPONENT.fullmatch(text):
        raise Malformed(
            f"{shown(text)} is not a lower-case path component",
            "use a-z and 0-9, with single . _ or - between them",
        )
    if text in RESERVED:
        raise Malformed(f"{shown(text)} is one of docxy's own paths", "choose another word")
    return text


def secret(text: str) -> str:
    """A path component of 8 to 128 characters.  :raises Malformed: without repeating it."""
    if not 8 <= len(text) <= 128 or not _COMPONENT.fullmatch(text) or text in RESERVED:
        raise Malformed(
            "is not a lower-case path component of 8 to 128 characters",
            "use a-z and 0-9, with single . _ or - between them, for example 20 random letters",
        )
    return text


def upstream_name(text: str) -> str:
    """A host name, a host name with port, or a simple word, lower-case.  :raises Malformed:"""
    if "@" in text:
        raise Malformed(*WITH_USER)
    host, colon, number = text.partition(":")
    if text != text.lower():
        raise Malformed(f"{shown(text)} is not lower-case", f"write {shown(text.lower())}")
    if not colon and "." not in text:
        return component(text)
    if colon and not (_PORT.fullmatch(number) and 0 < int(number) < 65536):
        raise Malformed(f"{shown(text)} has no valid port", "write HOST or HOST:PORT")
    host_name(host)
    return text


def repository_glob(text: str) -> str:
    """A repository name, in which ``* ? [ ]`` match as in a shell.  :raises Malformed:"""
    if not _GLOB.fullmatch(text):
        raise Malformed(f"{shown(text)} is not a pattern of repository names", "write one like library/*")
    return text


def service(text: str) -> str:
    """The ``service`` of a token request: printable ASCII that needs no escape.  :raises Malformed:"""
    if not _SERVICE.fullmatch(text):
        raise Malformed("is not a service name", "copy it from the registry's WWW-Authenticate header")
    return text


def endpoint(text: str) -> str:
    """A Twisted server endpoint string, as far as its shape tells.  :raises Malformed:"""
    if not _ENDPOINT.fullmatch(text) or not text.isprintable():
        raise Malformed(f"{shown(text)} is not an endpoint", "write one like ssl:443 or tcp:5000")
    return text


def port(text: str) -> int:
    """A TCP port.  :raises Malformed:"""
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise Malformed(f"{shown(text)} is not a port", "write a number from 1 to 65535")
    return int(text)


def size(text: str) -> int:
    """Bytes: a number, perhaps with a unit, of 1000 (``GB``) or 1024 (``GiB``).  :raises Malformed:"""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise Malformed(f"{shown(text)} is not a size", 'write one like "500 GB" or "20 MiB"')
    whole, part, unit = found[1], found[2] or "", found[3] or ""
    scale = (1024 if unit.endswith("i") else 1000) ** (_UNITS.index(unit[0]) + 1 if unit else 0)
    return int(int(whole + part) * scale // 10 ** len(part))


def plain(text: str) -> str:
    """Any words but none: no control characters, not empty.  :raises Malformed:"""
    if not text.strip() or not text.isprintable():
        raise Malformed("is empty or has control characters", "write it out, or remove the key")
    return text
