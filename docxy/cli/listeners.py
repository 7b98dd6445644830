"""
Whether each listener can be opened, or who has it.

Opens each for a moment, or asks who answers there.  Changes nothing: what
lies in the way stays.
"""

from __future__ import annotations

import os
import socket
import ssl
from functools import partial
from typing import Any, Literal

from twisted.internet import defer
from twisted.internet.protocol import Factory

from docxy.acme.thread import in_thread
from docxy.cli.findings import Finding, failed, fine, refused, warning
from docxy.settings.values import Settings, SettingsError
from docxy.tls.endpoints import Malformed, is_tls, listen_error, parse_description, parse_listener, port_of
from docxy.tls.shown import Certificates

Holder = Literal["docxy", "other", "silent", "closed", "gone"]
"""Who answers: docxy, somebody else or nobody; somebody, but nothing; one whom this user may not ask;
nobody at a socket that was left behind."""

PATIENCE = 5.0
"""Seconds for whoever has a listener to say who it is."""

_WAIT = 3.0  # seconds for each step of the asking


async def listener_findings(reactor: Any, settings: Settings, certificates: Certificates) -> list[Finding]:
    """Each listener: free, held by docxy itself, or why it cannot be opened."""
    admin = () if settings.admin.listen is None else (settings.admin.listen,)
    keyed = (("server.listen", settings.server.listen), ("server.redirect", settings.server.redirect))
    found = []
    for key, texts in (*keyed, ("admin.listen", admin)):
        for text in texts:
            found.append(await _listener(reactor, text, key, certificates))
    return found


async def _listener(reactor: Any, text: str, key: str, certificates: Certificates) -> Finding:
    if "systemd:" in text:
        return fine("listener", text, "systemd opens it; not looked at")
    try:
        endpoint = parse_listener(reactor, text, certificates, key)
    except SettingsError as error:
        return refused("listener", error)
    if text.lower().startswith("haproxy:"):
        return fine("listener", text, "takes nobody but a proxy; not looked at")
    holder = await _asked(reactor, text)
    if holder == "docxy":
        return fine("listener", text, "held by the docxy that runs")
    if holder == "gone":
        return fine("listener", text, "free; the start replaces the socket that lies there")
    if holder == "closed" and os.geteuid() != 0:
        return _unseen(text)
    try:
        port = await endpoint.listen(Factory())
    except Exception as error:
        return _closed(text, key, error, holder)
    await defer.maybeDeferred(port.stopListening)
    return fine("listener", text, "free")


async def _asked(reactor: Any, text: str) -> Holder:
    try:
        return await in_thread(reactor, partial(_holder, text)).addTimeout(PATIENCE, reactor)
    except defer.TimeoutError:
        return "silent"


def _unseen(text: str) -> Finding:
    problem = "cannot be looked at by this user"
    return warning("listener", text, problem, "run docxy check as root, or trust in the unit")


def _closed(text: str, key: str, error: Exception, holder: Holder) -> Finding:
    told = listen_error(text, error, key)
    is_denied = "privilege" in told.problem or "may not be created" in told.problem
    if is_denied and os.geteuid() != 0:
        return _unseen(text)
    problem = told.problem.removeprefix(f"{text!r} ")
    if holder == "silent":
        problem += ", which does not answer"
    return failed("listener", text, problem, told.remedy)


def _holder(text: str) -> Holder:
    """Who answers there; blocks."""
    try:
        with connected(text) as there:
            there.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said = b""
            while b"\r\n\r\n" not in said and len(said) < 65536 and (data := there.recv(4096)):
                said += data
    except PermissionError:
        return "closed"
    except ConnectionRefusedError:
        return "gone" if text.lower().startswith("unix:") else "other"
    except TimeoutError:
        return "silent"
    except (OSError, Malformed):
        return "other"
    return "docxy" if b"\r\nserver: docxy\r\n" in said.lower() else "other"


def connected(text: str) -> socket.socket:
    """
    A connection to the listener ``text`` on this machine.

    :raises OSError: nobody is there.
    :raises Malformed: it is no endpoint.
    """
    parsed = parse_description(text)
    if parsed.kind == "unix":
        return _opened(socket.socket(socket.AF_UNIX), parsed.arguments.get("address", ""))
    interface = parsed.arguments.get("interface", "127.0.0.1")
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(interface, interface)  # noqa: S104 - it is not bound
    there = socket.create_connection((local, port_of(text) or 0), _WAIT)
    return _encrypted(there) if is_tls(text) else there


def _opened(there: socket.socket, path: str) -> socket.socket:
    there.settimeout(_WAIT)
    try:
        there.connect(path)
    except OSError:
        there.close()
        raise
    return there


def _encrypted(there: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # who it is, its answer says
    try:
        return context.wrap_socket(there)
    except OSError:
        there.close()
        raise
