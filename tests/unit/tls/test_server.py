"""
Tests for `docxy.tls.server`: real handshakes with the standard library's client.
"""

from __future__ import annotations

import contextlib
import ssl
import warnings
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from docxy.settings.values import SettingsError
from docxy.tls.certificates import CertificatePair, names_of
from docxy.tls.server import ReloadableCreator, server_creator
from tests.unit.tls.throwaway import Issued, Wish, intermediate, issue, leaf, root
from tests.unit.tls.wire import Wire, peer, wire

HOST = "mirror.example.com"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def pair_of(issued: Issued, *issuers: Issued) -> CertificatePair:
    """The pair that a listener would show."""
    chain = tuple(each.certificate for each in (issued, *issuers))
    key: Any = issued.key
    return CertificatePair(chain, key, names_of(chain[0]), chain[0].not_valid_after_utc)


def client_context(*versions: ssl.TLSVersion, trusted: Issued | None = None) -> ssl.SSLContext:
    """A client that verifies, limited to ``versions``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=(trusted or root()).pem.decode())
    if versions:
        context.minimum_version, context.maximum_version = versions[0], versions[-1]
    return context


def call(creator: ReloadableCreator, context: ssl.SSLContext, **options: Any) -> Wire:
    """One connection of a client to ``creator``."""
    return wire(creator, peer(context, server_hostname=HOST, **options), client=False)


class HandshakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """One creator for a leaf with its intermediate."""
        self.creator = server_creator(pair_of(leaf(), intermediate()))

    def test_interface(self) -> None:
        """The creator is what Twisted asks for."""
        verifyObject(IOpenSSLServerConnectionCreator, self.creator)

    def test_versions(self) -> None:
        """TLS 1.2 and 1.3 work, with the whole chain verified, and carry bytes both ways."""
        for version in VERSIONS:
            with self.subTest(version=version):
                joined = call(self.creator, client_context(version))
                joined.peer.tls.write(b"ping")
                joined.end.write(b"pong")
                joined.pump()
                self.assertEqual((joined.protocol.data, joined.peer.heard), (b"ping", b"pong"))
                self.assertEqual(joined.peer.tls.version(), version.name.replace("_", "."))

    def test_old_versions(self) -> None:
        """TLS 1.1 and older are refused."""
        context = client_context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        self.assertFalse(call(self.creator, context).peer.handshaken)

    def test_suites(self) -> None:
        """Of TLS 1.2's suites the forward secret AEAD ones are accepted, and no others."""
        accepted = set()
        for suite in client_context().get_ciphers():
            if suite["protocol"] != "TLSv1.3":
                context = client_context(ssl.TLSVersion.TLSv1_2)
                context.set_ciphers(suite["name"])
                joined = call(self.creator, context)
                accepted |= {suite["name"]} if joined.peer.handshaken else set()
        expected = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"}
        self.assertEqual(accepted, expected | {"ECDHE-ECDSA-CHACHA20-POLY1305"})

    def test_client_chooses_suite(self) -> None:
        """The client's favourite suite is taken, since it knows what its hardware does well."""
        for first, second in [
            ("CHACHA20-POLY1305", "AES128-GCM-SHA256"),
            ("AES256-GCM-SHA384", "AES128-GCM-SHA256"),
        ]:
            context = client_context(ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(f"ECDHE-ECDSA-{first}:ECDHE-ECDSA-{second}")
            chosen = call(self.creator, context).peer.tls.cipher()
            assert chosen is not None
            self.assertEqual(chosen[0], f"ECDHE-ECDSA-{first}")

    def test_alpn(self) -> None:
        """HTTP/1.1 is chosen where it is offered; without an overlap the connection goes on without ALPN."""
        for offered, chosen in [
            (["h2", "http/1.1"], "http/1.1"),
            (["http/1.1"], "http/1.1"),
            (["h2"], None),
            ([], None),
        ]:
            with self.subTest(offered=offered):
                context = client_context()
                if offered:
                    context.set_alpn_protocols(offered)
                joined = call(self.creator, context)
                self.assertTrue(joined.peer.handshaken)
                self.assertEqual(joined.peer.tls.selected_alpn_protocol(), chosen)

    def test_proof(self) -> None:
        """A certificate authority that offers acme-tls/1 is shown the proof of the name that it sends."""
        asked: list[tuple[str, object]] = []
        for wish, versions in (
            ("p256", VERSIONS),
            ("p384", VERSIONS),
            ("rsa2048", VERSIONS),
            ("ed25519", VERSIONS),
        ):
            shown = pair_of(issue(Wish(HOST, key=wish), intermediate()), intermediate())
            proof = issue(Wish("proof.example", key=wish)).certificate

            def prove(name: str, key: object, proof: x509.Certificate = proof) -> x509.Certificate:
                asked.append((name, key))
                return proof

            for version in versions:
                creator = ReloadableCreator(shown, prove)
                context = _unverified(version, "acme-tls/1")
                joined = call(creator, context)
                self.assertTrue(joined.peer.handshaken, wish)
                self.assertEqual(joined.peer.tls.selected_alpn_protocol(), "acme-tls/1")
                self.assertEqual(joined.peer.tls.getpeercert(True), proof.public_bytes(Encoding.DER))
                self.assertEqual(asked.pop(), (HOST, shown.private_key))
                other = call(creator, _unverified(version, "http/1.1"))
                self.assertEqual(other.peer.tls.getpeercert(True), shown.chain[0].public_bytes(Encoding.DER))
                creator.replace(shown)
                self.assertEqual(call(creator, context).peer.tls.selected_alpn_protocol(), "acme-tls/1")
                asked.clear()

    def test_no_proof(self) -> None:
        """Where none is pending the connection goes on without ALPN, also without a server name."""
        creator = ReloadableCreator(self.creator.pair, lambda name, key: None)
        context = _unverified(VERSIONS[1], "acme-tls/1")
        for name in (HOST, None):
            joined = wire(creator, peer(context, server_hostname=name), client=False)
            self.assertTrue(joined.peer.handshaken)
            self.assertIsNone(joined.peer.tls.selected_alpn_protocol())

    def test_no_compression(self) -> None:
        """Nothing is compressed (CRIME)."""
        self.assertIsNone(call(self.creator, client_context(ssl.TLSVersion.TLSv1_2)).peer.tls.compression())

    def test_no_renegotiation(self) -> None:
        """A client of TLS 1.2 that asks for a second handshake is refused it."""
        connection = SSL.Connection(_unverifying(SSL.TLS1_2_VERSION), None)
        connection.set_connect_state()
        server = self.creator.serverConnectionForTLS(None)  # type: ignore[arg-type]
        server.set_accept_state()
        _shake(connection, server)
        connection.renegotiate()
        with self.assertRaises(SSL.Error) as caught:
            _shake(connection, server)
        self.assertIn("no renegotiation", str(caught.exception))


def _unverified(version: ssl.TLSVersion, *offered: str) -> ssl.SSLContext:
    """A client that takes any certificate, as an authority that looks for a proof does."""
    context = client_context(version)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(list(offered))
    return context


def _unverifying(version: int) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    return context


def _shake(client: SSL.Connection, server: SSL.Connection) -> None:
    for _ in range(6):  # steps; a whole handshake takes four
        for one, other in [(client, server), (server, client)]:
            with contextlib.suppress(SSL.WantReadError):
                one.do_handshake()
                one.recv(1)
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))


class ResumptionTests(SynchronousTestCase):
    def test_resumed(self) -> None:
        """A client that comes back resumes its session, in both versions."""
        for version in VERSIONS:
            with self.subTest(version=version):
                creator, context = server_creator(pair_of(leaf(), intermediate())), client_context(version)
                first = call(creator, context)
                self.assertFalse(first.peer.tls.session_reused)
                first.close()
                second = call(creator, context, session=first.peer.tls.session)
                self.assertTrue(second.peer.tls.session_reused)

    def test_not_across_creators(self) -> None:
        """A session is worth nothing at another listener's creator."""
        for version in VERSIONS:
            with self.subTest(version=version):
                context = client_context(version)
                one, other = (server_creator(pair_of(leaf(), intermediate())) for _ in range(2))
                first = call(one, context)
                first.close()
                second = call(other, context, session=first.peer.tls.session)
                self.assertTrue(second.peer.handshaken)
                self.assertFalse(second.peer.tls.session_reused)


class ReplaceTests(SynchronousTestCase):
    def test_next_connection(self) -> None:
        """The new certificate is shown from the next connection on; older connections live."""
        old, new = pair_of(leaf(), intermediate()), pair_of(leaf(HOST, "new.example"), intermediate())
        creator = ReloadableCreator(old)
        before = call(creator, client_context())
        creator.replace(new)
        after = call(creator, client_context())
        before.end.write(b"still here")
        before.pump()
        self.assertEqual(before.peer.heard, b"still here")
        self.assertIs(creator.pair, new)
        for joined, pair in [(before, old), (after, new)]:
            shown = joined.peer.tls.getpeercert()
            assert shown is not None
            self.assertEqual(int(str(shown["serialNumber"]), 16), pair.chain[0].serial_number)

    def test_refused(self) -> None:
        """A pair that OpenSSL refuses leaves the old one in place, and the reason is named."""
        good = pair_of(leaf(), intermediate())
        stranger: Any = root().key
        foreign = replace(good, private_key=stranger)
        weak = pair_of(issue(Wish(HOST, "rsa1024")))
        creator = ReloadableCreator(good)
        for bad in (foreign, weak):
            with self.assertRaises(SettingsError) as caught:
                creator.replace(bad)
            self.assertEqual(caught.exception.key, "tls.cert")
            self.assertNotIn("no reason given", caught.exception.problem)
        self.assertIs(creator.pair, good)
        self.assertTrue(call(creator, client_context()).peer.handshaken)


class KeyTypeTests(SynchronousTestCase):
    def test_types(self) -> None:
        """Keys of every supported type serve in both versions."""
        for kind in ("p256", "p384", "rsa2048", "ed25519"):
            one = issue(Wish(HOST, kind, digest=hashes.SHA256()), intermediate())
            creator = server_creator(pair_of(one, intermediate()))
            for version in VERSIONS:
                with self.subTest(kind=kind, version=version):
                    self.assertTrue(call(creator, client_context(version)).peer.handshaken)
