"""
Whether the docxy of these settings serves, asked where it listens.

For supervisors that can run a command, as those of containers can.  Knows the
settings and the URL of ``/health``; asks nobody but this machine.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from docxy.tls.endpoints import Malformed, is_tls, parse_description, port_of

SECONDS = 5.0
"""How long each step of the asking may take."""

_EVERYWHERE = ("", "::", "0.0.0.0")  # noqa: S104 - read from the settings, not listened on


@dataclass(frozen=True, slots=True)
class _Way:
    """How a listener is reached: ``place`` is an address, or with port 0 the path of a UNIX socket."""

    place: str
    port: int = 0
    tls: bool = False

    def connect(self) -> socket.socket:
        """A connection to it, TLS and all; raises `OSError`."""
        if not self.port:
            return _unix(self.place)
        connected = socket.create_connection((self.place, self.port), SECONDS)
        return _unchecked().wrap_socket(connected) if self.tls else connected


def _unix(path: str) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(SECONDS)
    try:
        connected.connect(path)
    except OSError:
        connected.close()
        raise
    return connected


def _unchecked() -> ssl.SSLContext:
    # This machine is asked, and told no secret: whose certificate it shows is for clients to check.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def ailment(listeners: Sequence[str]) -> str | None:
    """
    What keeps the first of ``listeners`` that can be asked from serving; None where it serves.

    ``listeners`` are endpoint strings.  Inherited ones, as systemd's, have no place to ask at.
    """
    for description in listeners:
        way = _way(description)
        if way is not None:
            try:
                return _asked(way)
            except (OSError, HTTPException) as error:
                why = str(error) or type(error).__name__
                return f"{description}: {why}; is docxy running, and with these settings?"
    return "server.listen: names no listener that can be asked; add one of tcp:, ssl: or unix:"


def _way(description: str) -> _Way | None:
    try:
        parsed = parse_description(description)
    except Malformed:
        return None
    if parsed.kind == "unix":
        return _Way(parsed.arguments.get("address", ""))
    port = port_of(description)
    if port is None or parsed.kind not in ("tcp", "ssl"):
        return None
    interface = parsed.arguments.get("interface", "")
    return _Way("127.0.0.1" if interface in _EVERYWHERE else interface, port, is_tls(description))


def _asked(way: _Way) -> str | None:
    connection = HTTPConnection("localhost")
    connection.sock = way.connect()
    try:
        connection.request("GET", "/health")
        status = connection.getresponse().status
    finally:
        connection.close()
    return None if status == HTTPStatus.OK else f"/health: answers {status}; its log says why"
