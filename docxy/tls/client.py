"""
Whom docxy believes when it calls a registry, its realm or its CDN.

Owns the trust roots, the client contexts (a few, one for each host) and the
TLS sessions that are resumed.  Knows nothing of HTTP, pools or upstreams.

Names are verified in every full handshake, by `service_identity` and not by
Twisted's own callback: that accepts a certificate whose names it cannot read.
A resumed handshake verifies nothing again, therefore a session lives and dies
with the creator of one host and port, in one `ClientTrust`.
"""

from __future__ import annotations

import os
import re
import ssl
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from weakref import ref

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError
from service_identity.hazmat import (
    DNS_ID,
    CertificatePattern,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    ServiceID,
    verify_service_identity,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from docxy.settings.values import SettingsError
from docxy.tls import pem

MAX_HOSTS = 16  # contexts kept: each holds its own parsed copy of the system's roots, about 0.9 MiB

_ALPN = [b"http/1.1"]
_VERIFIED = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
_CONNECT_EXIT = SSL.SSL_ST_CONNECT | SSL.SSL_CB_EXIT

# Where systems keep their roots; pyOpenSSL looks in the same places when its OpenSSL is the wheel's own.
_ROOT_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
)
_ROOT_DIRECTORIES = ("/etc/ssl/certs",)
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")


@implementer(IPolicyForHTTPS)
class ClientTrust:
    """
    Verified client TLS: the system's trust roots, and those of ``ca_path`` besides.

    Contexts and sessions of the ``max_hosts`` hosts used last are kept.

    :raises SettingsError: under ``setting``: the file is missing, unreadable or holds no certificate.
    """

    def __init__(
        self, ca_path: str | None = None, *, setting: str = "ca", max_hosts: int = MAX_HOSTS
    ) -> None:
        self._roots = () if ca_path is None else _load_roots(ca_path, setting)
        self._max_hosts = max_hosts
        self._creators: OrderedDict[tuple[str, int], ResumingCreator] = OrderedDict()

    def creatorForNetloc(self, hostname: bytes, port: int) -> IOpenSSLClientConnectionCreator:
        """The creator of connections to this host and port, which resumes what it began."""
        where = hostname.decode("ascii").strip("[]").lower(), port
        if where not in self._creators:
            self._creators[where] = ResumingCreator(where[0], self._roots)
        self._creators.move_to_end(where)
        if len(self._creators) > self._max_hosts:
            self._creators.popitem(last=False)
        return self._creators[where]


@implementer(IOpenSSLClientConnectionCreator)
class ResumingCreator:
    """
    Makes verified connections to one host, each resuming the session of an earlier one.

    OpenSSL shares a session object between the store here and the connection
    that it came from, and spoils it when that connection breaks without a
    close_notify.  Hence sessions are taken while the connection lives, and of
    the tickets that a TLS 1.3 server sends the first one is offered again:
    the connection itself has moved on to the last.  After a break under
    TLS 1.2 the next handshake is a full one.
    """

    def __init__(self, host: str, roots: tuple[crypto.X509, ...] = ()) -> None:
        self._options = optionsForClientTLS(host, acceptableProtocols=_ALPN)
        self._wanted = _identity(host)
        self._roots_to_add = roots
        self._session: SSL.Session | None = None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The connection object Twisted asks for when it calls the host."""
        connection = self._options.clientConnectionForTLS(tlsProtocol)
        connection.set_verify(_VERIFIED, _NameCheck(tlsProtocol, self._wanted).judged)
        self._add_roots(connection.get_context())
        if self._session is not None:
            connection.set_session(self._session)
        connection.set_info_callback(_SessionWatch(self._keep).progressed)
        return connection

    def _add_roots(self, context: SSL.Context) -> None:
        # Twisted has no public way to join its platformTrust() with a file, and its context is
        # reached through a connection only.  All connections of this creator share that one.
        if not self._roots_to_add:
            return
        store = context.get_cert_store()
        assert store is not None
        for root in self._roots_to_add:
            store.add_cert(root)
        self._roots_to_add = ()

    def _keep(self, session: SSL.Session) -> None:
        self._session = session


class _NameCheck:
    """Ends a connection whose peer's certificate is not for the host that was called."""

    def __init__(self, protocol: TLSMemoryBIOProtocol, wanted: ServiceID) -> None:
        self._protocol = ref(protocol)  # which owns the connection that owns this
        self._wanted = wanted

    def judged(self, _: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
        """OpenSSL judged one certificate of the chain; the leaf's is depth 0."""
        if depth or not ok:
            return bool(ok)
        try:
            verify_service_identity(list(_patterns(certificate.to_cryptography())), [self._wanted], [])
        except Exception:  # nothing may leave a callback of OpenSSL's, and what cannot be judged is refused
            protocol = self._protocol()
            if protocol is not None:
                protocol.failVerification(Failure())
            return False
        return True


def _identity(host: str) -> ServiceID:
    try:
        return IPAddress_ID(str(ip_address(host)))
    except ValueError:
        return DNS_ID(host)


def _patterns(certificate: x509.Certificate) -> Iterator[CertificatePattern]:
    """The names and addresses that it is for, less those that no host can match, as ``*.example`` is one."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in found.get_values_for_type(x509.DNSName):
        with suppress(CertificateError):
            yield DNSPattern.from_bytes(name.encode("utf-8"))
    for address in found.get_values_for_type(x509.IPAddress):
        if isinstance(address, IPv4Address | IPv6Address):
            yield IPAddressPattern(address)


class _SessionWatch:
    """Waits for the first session of one connection that can be resumed, and hands it on."""

    def __init__(self, keep: Callable[[SSL.Session], None]) -> None:
        self._keep = keep
        self._handshaken = False
        self._done = False

    def progressed(self, connection: SSL.Connection, where: int, outcome: int) -> None:
        """OpenSSL's state machine moved; its steps for TLS 1.3 tickets come after the handshake."""
        if self._done or where != _CONNECT_EXIT or outcome != 1:
            return
        tls_1_3 = connection.get_protocol_version() == SSL.TLS1_3_VERSION
        if tls_1_3 and not self._handshaken:
            self._handshaken = True  # no ticket has come yet
            return
        session = connection.get_session()
        if session is not None:
            self._done = True
            self._keep(session)


def _load_roots(path: str, setting: str) -> tuple[crypto.X509, ...]:
    found = pem.certificates(pem.read_blocks(path, setting), path, setting)
    if not found:
        raise SettingsError(
            setting, f"{path!r} holds no certificate", "give the PEM file of the CA's certificate"
        )
    return tuple(crypto.X509.from_cryptography(certificate) for certificate in found)


def trust_roots_present(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the system has any trust roots (slim containers lack the package ca-certificates)."""
    files, directories = _root_places(environ)
    return any(map(_holds_certificate, files)) or any(map(_holds_hashed_names, directories))


def _root_places(environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    # OpenSSL's own rule: a variable takes the place of its default; pyOpenSSL adds: either one ends
    # the search for other places.
    file, directory = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if file is not None or directory is not None:
        return [file] if file else [], directory.split(os.pathsep) if directory else []
    defaults = ssl.get_default_verify_paths()
    return [defaults.openssl_cafile, *_ROOT_FILES], [defaults.openssl_capath, *_ROOT_DIRECTORIES]


def _holds_certificate(path: str) -> bool:
    try:
        return b"CERTIFICATE-----" in Path(path).read_bytes()
    except OSError:
        return False


def _holds_hashed_names(path: str) -> bool:
    try:
        return any(_HASHED_NAME.fullmatch(entry) for entry in os.listdir(path))
    except OSError:
        return False
