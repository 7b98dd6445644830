"""
What can be looked at on this machine: certificates, listeners, names, libraries.

Opens each listener for a moment, or finds that docxy has it.  Asks no upstream.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat import bindings
from OpenSSL import SSL
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThreadPool

from docxy.acme.obtained import Obtained
from docxy.cli.findings import Finding, failed, fine, refused, warned, warning
from docxy.daemon import pair_of
from docxy.policy.hosts import parse_host
from docxy.settings.forms import is_loopback
from docxy.settings.values import Settings, SettingsError
from docxy.tls.certificates import load_files
from docxy.tls.client import trust_roots_present
from docxy.tls.endpoints import Malformed, is_tls, listen_error, parse_description, parse_listener, port_of
from docxy.tls.expiry import reminder_of
from docxy.tls.shown import Certificates, Expiry

_T = TypeVar("_T")

OLD = timedelta(days=180)
"""The age from which a library that secures connections is told to be renewed."""

_SHOWN_NAMES = 5
_WAIT = 3.0  # seconds for a listener on this machine to say who it is
_LIBRARIES = ("cryptography", "pyopenssl", "service-identity", "treq", "twisted")
_RELEASED = re.compile(r"\d{1,2} [A-Z][a-z]{2} \d{4}")


def settings_findings(settings: Settings) -> Iterator[Finding]:
    """That they can be read, and what docxy would warn of at its start."""
    names = ", ".join(upstream.name for upstream in settings.upstreams)
    yield fine(
        "settings", settings.given.file or "", f"mirrors {names} on {', '.join(settings.server.listen)}"
    )
    yield from (warned("settings", line) for line in settings.warnings)


def certificates_of(settings: Settings, now: datetime) -> Certificates:
    """
    The certificate of the settings, as the service has it.

    :raises SettingsError: it cannot serve.
    """
    if settings.acme is None:
        return Certificates(lambda: now, pair_of(settings))
    obtained = Obtained(settings.acme, lambda: now)
    return Certificates(lambda: now, obtained.pair, obtained.coming)


def certificate_findings(certificates: Certificates, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Each one that a listener shows, once `listener_findings` has read those of the listeners."""
    for expiry in certificates.expiries():
        try:
            yield _certificate(expiry, now)
        except SettingsError as error:
            yield refused("certificate", error)
    yield from (warned("certificate", line) for line in certificates.warnings(settings.server.public_urls))


def _certificate(expiry: Expiry, now: datetime) -> Finding:
    pair = load_files(expiry.files, now=now)
    left = (pair.not_after - now).days
    text = (
        f"{_listed(pair.names)}; {len(pair.chain)} in the chain; "
        f"ends {pair.not_after:%Y-%m-%d}, in {left} days"
    )
    reminder = reminder_of(expiry, now)
    if reminder is None:
        return fine("certificate", expiry.files.cert, text)
    tell = failed if reminder.urgent else warning
    return tell("certificate", expiry.files.cert, text, "renew it, and see why that did not happen by itself")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return (", ".join(names[:_SHOWN_NAMES]) or "no names") + more


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
    if await in_thread(reactor, _is_ours, text):
        return fine("listener", text, "held by the docxy that runs")
    try:
        port = await endpoint.listen(Factory())
    except Exception as error:
        return _closed(text, key, error)
    await maybeDeferred(port.stopListening)
    return fine("listener", text, "free")


def _closed(text: str, key: str, error: Exception) -> Finding:
    told = listen_error(text, error, key)
    is_denied = "privilege" in told.problem or "may not be created" in told.problem
    if is_denied and os.geteuid() != 0:
        problem = "cannot be looked at by this user"
        return warning("listener", text, problem, "run docxy check as root, or trust in the unit")
    return failed("listener", text, told.problem.removeprefix(f"{text!r} "), told.remedy)


def _is_ours(text: str) -> bool:
    """Whether a docxy answers there."""
    try:
        with connected(text) as there:
            there.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said = b""
            while b"\r\n\r\n" not in said and len(said) < 65536 and (data := there.recv(4096)):
                said += data
    except (OSError, Malformed):
        return False
    return b"\r\nserver: docxy\r\n" in said.lower()


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


async def name_findings(reactor: Any, settings: Settings) -> list[Finding]:
    """Whether each public name, and each that a certificate is to be obtained for, leads to this machine."""
    urls = settings.server.public_urls
    public = {host.name: "public_url" for url in urls if (host := parse_host(url.partition("://")[2]))}
    proved = dict.fromkeys(settings.acme.domains if settings.acme else (), "acme.domains")
    named = {**proved, **public}
    return [await in_thread(reactor, partial(_name, key), name) for name, key in named.items()]


def _name(key: str, name: str) -> Finding:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        remedy = f"add an A or AAAA record with the address of this machine, or mend {key}"
        return failed("name", name, "does not resolve", remedy)
    addresses = sorted({str(address[0]) for *_, address in found})
    own = [address for address in addresses if _is_own(address)]
    shown = f"leads to {', '.join(addresses)}"
    if not own:
        text = f"{shown}, no address of this machine"
        return warning("name", name, text, "right behind NAT, a proxy or a CDN only")
    if not _is_near(name) and all(map(is_loopback, addresses)):
        text = f"{shown}, on this machine alone"
        return warning("name", name, text, "see in /etc/hosts, and from another machine, where it leads")
    return fine("name", name, shown)


def _is_near(name: str) -> bool:
    """Whether it is meant for this machine alone, wherever it is looked up."""
    return name == "localhost" or is_loopback(name)


def _is_own(address: str) -> bool:
    """Whether a socket of this machine may have this address."""
    family = socket.AF_INET6 if ip_address(address.partition("%")[0]).version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as tried:
            tried.bind((address, 0))
    except OSError:
        return False
    return True


def library_findings(now: datetime) -> Iterator[Finding]:
    """What apt does not renew: the OpenSSL in the wheels; and what it may not have installed: trust roots."""
    shown = SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode("ascii", "replace")
    built = SSL.OpenSSL_version(SSL.OPENSSL_BUILT_ON).decode("ascii", "replace")
    yield openssl(f"{shown}, {built}", now, is_bundled(Path(bindings.__file__).parent))
    yield fine("library", "", ", ".join(f"{name} {version(name)}" for name in _LIBRARIES))
    if trust_roots_present():
        yield fine("trust roots", "", "present")
    else:
        yield failed(
            "trust roots", "", "none are installed: no upstream can be met", "install ca-certificates"
        )


def is_bundled(folder: Path) -> bool:
    """
    Whether the compiled modules in ``folder`` bring OpenSSL with them, as wheels do.

    Those of a distribution name its shared library, which its packages renew.
    """
    modules = folder.glob("*.so")
    return not any(b"libcrypto.so" in module.read_bytes() for module in modules)


def openssl(text: str, now: datetime, bundled: bool) -> Finding:
    """What there is to say of an OpenSSL that calls itself so, as ``OpenSSL 3.5.4 30 Sep 2025``."""
    if not bundled:
        return fine("library", "", f"{text}: the system's own, which its packages renew")
    released = _RELEASED.search(text)
    if released is None:
        return fine("library", "", text)
    age = (now - datetime.strptime(released.group(), "%d %b %Y").replace(tzinfo=UTC)).days
    text = f"{text}: {age} days old, comes with docxy"
    if age < OLD.days:
        return fine("library", "", text)
    remedy = "take the newest package of docxy, or: pip install --upgrade cryptography pyopenssl"
    return warning("library", "", text, remedy)


def in_thread(reactor: Any, work: Callable[[str], _T], argument: str) -> Deferred[_T]:
    """``work`` in one of the reactor's threads: it waits."""
    return deferToThreadPool(reactor, reactor.getThreadPool(), work, argument)
