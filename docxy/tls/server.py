"""
The TLS that clients meet: versions, suites, ALPN and resumption.

Owns the OpenSSL context of our listeners and the seam through which a new
certificate takes the place of an old one.  Knows nothing of files, endpoint
strings or HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from docxy.settings.values import SettingsError
from docxy.tls.certificates import CertificatePair, PrivateKey

HTTP_1_1 = b"http/1.1"
ACME_TLS_1 = b"acme-tls/1"  # RFC 8737 section 6.2

Proof = Callable[[str, PrivateKey], x509.Certificate | None]
"""From the server name that a client sent, and our key, to the certificate that proves the name ours."""

_PARTIAL_WRITE = (
    0x1  # SSL_MODE_ENABLE_PARTIAL_WRITE of openssl/ssl.h: pyOpenSSL sets it, and has no name for it
)

# Forward secret AEAD suites alone (RFC 9325 section 4.2).  TLS 1.3 has no others.
_SUITES = b":".join(
    [
        b"ECDHE-ECDSA-AES128-GCM-SHA256",
        b"ECDHE-RSA-AES128-GCM-SHA256",
        b"ECDHE-ECDSA-CHACHA20-POLY1305",
        b"ECDHE-RSA-CHACHA20-POLY1305",
        b"ECDHE-ECDSA-AES256-GCM-SHA384",
        b"ECDHE-RSA-AES256-GCM-SHA384",
    ]
)


def _choose_protocol(_: SSL.Connection, offered: Sequence[bytes]) -> Any:
    """The ALPN answer."""
    # RFC 7301 section 3.2 would have us end a connection that offers h2 alone.  Going on without ALPN
    # costs nothing and serves the clients that speak HTTP/1.1 all the same.
    return HTTP_1_1 if HTTP_1_1 in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _proving(key: PrivateKey, proof: Proof) -> Callable[[SSL.Connection, Sequence[bytes]], Any]:
    """The ALPN answer that proves names to a certificate authority besides."""

    def choose(connection: SSL.Connection, offered: Sequence[bytes]) -> Any:
        if ACME_TLS_1 not in offered:
            return _choose_protocol(connection, offered)
        certificate = proof((connection.get_servername() or b"").decode("ascii", "replace"), key)
        if certificate is None:
            return SSL.NO_OVERLAPPING_PROTOCOLS
        # The signature algorithm is chosen by now: OpenSSL takes another certificate of the same key alone.
        connection.use_certificate(certificate)
        return ACME_TLS_1

    return choose


def make_context(pair: CertificatePair, proof: Proof | None = None) -> SSL.Context:
    """
    An OpenSSL server context that shows ``pair``'s chain, and ``proof`` to who asks by ``acme-tls/1``.

    :raises SettingsError: OpenSSL refuses the certificate or its key, as its security level does
        with weak signatures.
    """
    # No OP_CIPHER_SERVER_PREFERENCE: every suite is strong, and only the client knows whether it
    # has AES in hardware.
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection holds 34 KiB less
    # A write into memory never has to wait: all records of a portion are made by one call.
    context.clear_mode(_PARTIAL_WRITE)
    context.set_cipher_list(_SUITES)
    context.set_alpn_select_callback(_choose_protocol if proof is None else _proving(pair.private_key, proof))
    # Sessions live in tickets, sealed with this context's own key: nothing is kept here that a
    # stream of new clients could make grow.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(secrets.token_bytes(16))
    _show(context, pair)
    return context


def _show(context: SSL.Context, pair: CertificatePair) -> None:
    try:
        context.use_certificate(pair.chain[0])
        for issuer in pair.chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(pair.private_key)
        context.check_privatekey()
    except SSL.Error as error:
        raise SettingsError(
            "tls.cert",
            f"OpenSSL refuses the certificate or its key ({_reason(error)})",
            "have it issued again, with an ECDSA P-256 or an RSA key of at least 2048 bits and SHA-256",
        ) from None


def _reason(error: SSL.Error) -> str:
    entries = error.args[0] if error.args else ()
    return ", ".join(str(entry[-1]) for entry in entries) or "no reason given"


@implementer(IOpenSSLServerConnectionCreator)
class ReloadableCreator:
    """
    Makes the server side of each TLS connection from the pair that is current when it begins.

    Connections that exist keep the certificate they began with.
    """

    def __init__(self, pair: CertificatePair, proof: Proof | None = None) -> None:
        self._proof = proof
        self._context = make_context(pair, proof)
        self._pair = pair

    @property
    def pair(self) -> CertificatePair:
        """The certificate and key that the next connection is shown."""
        return self._pair

    def replace(self, pair: CertificatePair) -> None:
        """
        Show ``pair`` from the next connection on.

        :raises SettingsError: OpenSSL refuses it; the old pair stays.
        """
        self._context = make_context(pair, self._proof)
        self._pair = pair

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """The connection object Twisted asks for when a client connects."""
        return SSL.Connection(self._context, None)


def server_creator(pair: CertificatePair, proof: Proof | None = None) -> ReloadableCreator:
    """
    The creator that listeners share.

    :raises SettingsError: OpenSSL refuses the pair.
    """
    return ReloadableCreator(pair, proof)
