"""
Endpoint strings: Twisted's, and the few that mean something of our own.

Owns what a listener's description says and why it could not be opened.
Knows nothing of what is served there.

Ours are ``ssl:PORT`` without key arguments and ``ssl:systemd:...`` (both show
the certificate of the settings), ``ssl:`` with key arguments (as Twisted's,
but with the whole chain, resumption and IPv6), ``tcp:PORT`` without an
interface (one socket for IPv6 and IPv4) and ``unix:`` (closed to others, and
free of stale sockets).  Everything else is Twisted's own parser's.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from dataclasses import dataclass

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    TCP4ServerEndpoint,
    UNIXServerEndpoint,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorTime,
    IStreamServerEndpoint,
)

from docxy.settings.values import SettingsError
from docxy.tls.bulk import server_endpoint
from docxy.tls.certificates import PairFiles
from docxy.tls.shown import Certificates
from docxy.tls.sockets import DualStackEndpoint, FreshUnixEndpoint, Heir

BACKLOG = 512  # connections waiting to be accepted; a node that starts pulls by many at once
SOCKET_MODE = 0o660

_TWISTEDS_ARGUMENTS = frozenset({"sslmethod", "dhParameters"})
_KEY_ARGUMENTS = frozenset({"privateKey", "certKey", "extraCertChain"}) | _TWISTEDS_ARGUMENTS
_OUR_ARGUMENTS = {
    kind: tuple(names.split())
    for kind, names in {
        "tcp": "port interface backlog",
        "ssl": "port privateKey certKey sslmethod interface backlog extraCertChain dhParameters",
        "unix": "address mode backlog lockfile",
    }.items()
}
_SYNTAX = (
    "write it as ssl:443, tcp:5000:interface=127.0.0.1, unix:/run/docxy.sock or systemd:domain=INET:index=0"
)


@dataclass(frozen=True, slots=True)
class Description:
    """
    One endpoint string, taken apart as Twisted does.

    ``arguments`` holds positional ones under the names of `_OUR_ARGUMENTS`
    where the kind is known, else under their number.
    """

    text: str
    kind: str
    arguments: dict[str, str]

    @property
    def has_key_arguments(self) -> bool:
        """Whether it names a key of its own."""
        return not _KEY_ARGUMENTS.isdisjoint(self.arguments)

    @property
    def inner(self) -> str:
        """The text after the kind."""
        return self.text.partition(":")[2]

    @property
    def is_ssl_systemd(self) -> bool:
        """Whether it is a TLS listener on an inherited socket."""
        return self.kind == "ssl" and self.inner.startswith("systemd:")


class Malformed(ValueError):
    """An endpoint string that says nothing; its text says why."""


def parse_description(text: str) -> Description:
    """
    Take ``text`` apart at its unescaped colons.

    :raises Malformed: a trailing backslash, a repeated or surplus argument.
    """
    first, *rest = _split(text, ":")
    kind = _unescape(first).lower()
    if kind == "ssl" and rest and rest[0] == "systemd":
        return Description(text, kind, {})
    arguments: dict[str, str] = {}
    positional = iter(_OUR_ARGUMENTS.get(kind, ()))
    for number, part in enumerate(rest):
        name, *value = _split(part, "=", 1)
        if value:
            name, content = _unescape(name), _unescape(value[0])
        else:
            name, content = next(positional, str(number)), _unescape(part)
        if name in arguments:
            raise Malformed(f"{name} is given twice")
        arguments[name] = content
    return Description(text, kind, arguments)


def _split(text: str, separator: str, most: int = -1) -> list[str]:
    parts: list[str] = []
    start = position = 0
    while position < len(text) and most != len(parts):
        if text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 2 if text[position] == "\\" else 1
    return [*parts, text[start:]]


def _unescape(text: str) -> str:
    pieces, escaped = [], False
    for character in text:
        escaped = character == "\\" and not escaped
        if not escaped:
            pieces.append(character)
    if escaped:
        raise Malformed("it ends in a backslash")
    return "".join(pieces)


def is_tls(description: str) -> bool:
    """Whether clients of this listener speak TLS to docxy."""
    try:
        parsed = parse_description(description)
    except Malformed:
        return False
    if parsed.kind == "haproxy":
        return is_tls(parsed.inner)
    return parsed.kind in ("ssl", "tls")


def port_of(description: str) -> int | None:
    """The TCP port it names; None for inherited and UNIX sockets and for what cannot be read."""
    try:
        parsed = parse_description(description)
        if parsed.kind == "haproxy":
            return port_of(parsed.inner)
        if parsed.kind not in ("tcp", "tcp6", "ssl", "tls"):
            return None
        # What Twisted alone understands has its arguments numbered.
        numbered = {"tcp6": "0", "tls": "1"}.get(parsed.kind, "port")
        return _port(parsed.arguments.get("port", parsed.arguments.get(numbered, "")))
    except Malformed:
        return None


def parse_listener(
    reactor: IReactorCore, description: str, certificates: Certificates, key: str, bulk: bool = True
) -> IStreamServerEndpoint:
    """
    The endpoint that ``description`` means.

    :param certificates: has that of the settings, and is given that of the listener.
    :param key: the setting that ``description`` stands in.
    :param bulk: the setting ``tls.bulk``.
    :raises SettingsError: under ``key``: it means nothing, or its certificate cannot serve.
    """
    try:
        return _endpoint(reactor, parse_description(description), certificates, key, bulk)
    except SettingsError:
        raise
    except (SSL.Error, crypto.Error):
        raise SettingsError(key, f"OpenSSL refuses the files of {description!r}", "check them") from None
    except (IndexError, KeyError) as error:
        if "systemd:" not in description:
            raise _malformed(key, description, error) from None
        raise SettingsError(
            key,
            f"{description!r} names a socket that systemd did not hand over",
            "start docxy through its .socket unit, and count index from 0 (or name it by FileDescriptorName)",
        ) from None
    # RuntimeError: StopIteration inside one of Twisted's generators.
    except (ValueError, TypeError, AttributeError, RuntimeError, OSError) as error:
        raise _malformed(key, description, error) from None


def _malformed(key: str, description: str, error: Exception) -> SettingsError:
    return SettingsError(
        key, f"{description!r} is not an endpoint ({str(error) or type(error).__name__})", _SYNTAX
    )


def _endpoint(
    reactor: IReactorCore, parsed: Description, certificates: Certificates, key: str, bulk: bool
) -> IStreamServerEndpoint:
    if parsed.kind == "ssl":
        return _tls_endpoint(reactor, parsed, certificates, key, bulk)
    if parsed.kind == "tcp":
        return _tcp_endpoint(reactor, parsed)
    if parsed.kind == "unix":
        return _unix_endpoint(reactor, parsed)
    return _twisted(reactor, parsed.text)


def _twisted(reactor: IReactorCore, text: str) -> IStreamServerEndpoint:
    if isinstance(reactor, Heir) and text.startswith("systemd:"):
        return reactor.lasting()
    endpoint = IStreamServerEndpoint(serverFromString(reactor, text))
    if isinstance(endpoint, AdoptedStreamServerEndpoint):
        # Addresses read by another family than the socket's own are garbage.
        with socket.socket(fileno=os.dup(endpoint.fileno)) as adopted:
            endpoint.addressFamily = adopted.family
        if endpoint.addressFamily == socket.AF_UNIX:
            return Heir(reactor, endpoint.fileno, lasting=True)
    return endpoint


def _tls_endpoint(
    reactor: IReactorCore, parsed: Description, certificates: Certificates, key: str, bulk: bool
) -> IStreamServerEndpoint:
    creator = certificates.default
    if parsed.has_key_arguments:
        is_twisteds = not _TWISTEDS_ARGUMENTS.isdisjoint(parsed.arguments)
        creator = certificates.add(_own_files(parsed, key), lasting=is_twisteds)
        if is_twisteds:
            return _twisted(reactor, parsed.text)
    if creator is None:
        raise SettingsError(
            key,
            f"{parsed.text!r} needs a certificate",
            "set tls.cert and tls.key (--cert and --key), or listen on tcp:5000:interface=127.0.0.1",
        )
    if parsed.is_ssl_systemd:
        below = _twisted(reactor, parsed.inner)
    else:
        below = _tcp_endpoint(reactor, parsed)
    return server_endpoint(creator, below, IReactorTime(reactor), bulk)


def _own_files(parsed: Description, key: str) -> PairFiles:
    private = os.path.abspath(parsed.arguments.get("privateKey", "server.pem"))  # Twisted's default
    cert, chain = parsed.arguments.get("certKey"), parsed.arguments.get("extraCertChain")
    return PairFiles(
        cert=os.path.abspath(cert) if cert else private,
        key=private,
        cert_setting=key,
        key_setting=key,
        chain=os.path.abspath(chain) if chain else None,
    )


def _tcp_endpoint(reactor: IReactorCore, parsed: Description) -> IStreamServerEndpoint:
    _refuse_unknown(parsed)
    port = _port(parsed.arguments.get("port", ""))
    backlog = _number("backlog", parsed.arguments.get("backlog", str(BACKLOG)))
    interface = parsed.arguments.get("interface", "")
    if isinstance(reactor, Heir):
        return reactor
    if interface:
        # Despite its name it takes IPv6 addresses as well.
        return TCP4ServerEndpoint(reactor, port, backlog, interface)
    return DualStackEndpoint(reactor, port, backlog)


def _unix_endpoint(reactor: IReactorCore, parsed: Description) -> IStreamServerEndpoint:
    _refuse_unknown(parsed)
    address = parsed.arguments.get("address")
    if not address:
        raise Malformed("it names no path")
    mode = _mode(parsed.arguments.get("mode", f"{SOCKET_MODE:o}"))
    backlog = _number("backlog", parsed.arguments.get("backlog", str(BACKLOG)))
    lock = bool(_number("lockfile", parsed.arguments.get("lockfile", "0")))
    if isinstance(reactor, Heir):
        return reactor
    return FreshUnixEndpoint(address, UNIXServerEndpoint(reactor, address, backlog, mode, lock))


def _mode(text: str) -> int:
    if not re.fullmatch("[0-7]{3,4}", text):
        raise Malformed("mode is not an octal number such as 660")
    return int(text, 8)


def _refuse_unknown(parsed: Description) -> None:
    unknown = parsed.arguments.keys() - set(_OUR_ARGUMENTS[parsed.kind])
    if unknown:
        raise Malformed(f"unknown argument {min(unknown)!r}")


def _port(text: str) -> int:
    port = _number("port", text)
    if port > 65535:
        raise Malformed(f"port {port} is above 65535")
    return port


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Malformed(f"{name} is not a number")
    return int(text)


def listen_error(description: str, error: BaseException, key: str = "server.listen") -> SettingsError:
    """Why the listener ``description`` could not be opened, and what to do about it."""
    cause = error.socketError if isinstance(error, CannotListenError) else error
    number = getattr(cause, "errno", None)
    problem, remedy = _refusal(description, number)
    if problem is None:
        problem = f"cannot be opened ({getattr(cause, 'strerror', None) or cause})"
    return SettingsError(key, f"{description!r} {problem}", remedy)


def _refusal(description: str, number: int | None) -> tuple[str | None, str]:
    port = port_of(description)
    if number == errno.EADDRINUSE:
        holder = f"ss -ltnp 'sport = :{port}'" if port else "ss -lxp"
        return "is taken by another process", f"find it with: {holder}; stop it or listen elsewhere"
    if number in (errno.EACCES, errno.EPERM) and port is not None:
        return (
            "may not be opened: ports below 1024 need a privilege",
            "give the service CAP_NET_BIND_SERVICE (AmbientCapabilities= in its unit), "
            "let systemd open the socket, or choose a port from 1024 on",
        )
    if number in (errno.EACCES, errno.EPERM):
        return "may not be created", "let the user that docxy runs as write to its directory"
    if number == errno.EADDRNOTAVAIL:
        return "names an address that this machine does not have", "see: ip address"
    if number == errno.ENOENT:
        return "lies in a directory that does not exist", "create it (RuntimeDirectory= in the unit)"
    return None, "choose another address or port"
