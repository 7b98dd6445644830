"""
Tests for `docxy.tls.client`: real handshakes with the standard library's server.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from pathlib import Path

from service_identity import VerificationError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface.verify import verifyObject

from docxy.settings.values import SettingsError
from docxy.tls.client import ClientTrust, trust_roots_present
from tests.unit.tls.throwaway import Issued, Wish, intermediate, issue, leaf, root, write
from tests.unit.tls.wire import Wire, peer, wire

HOST = b"registry.example.com"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class FilesTestCase(SynchronousTestCase):
    """A case with a directory of its own."""

    def setUp(self) -> None:
        """Make the directory and the authority's file."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.directory = Path(made.name)
        self.ca = write(self.directory / "ca.pem", root().pem)

    def server(
        self, *versions: ssl.TLSVersion, shown: Issued | None = None, tickets: int = 2
    ) -> ssl.SSLContext:
        """A registry's TLS."""
        one = shown or leaf(HOST.decode(), "127.0.0.1")
        path = write(self.directory / "server.pem", [one.pem, intermediate().pem, one.key_pem()])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.num_tickets = tickets
        if versions:
            context.minimum_version, context.maximum_version = versions[0], versions[-1]
        return context

    def call(self, trust: ClientTrust, server: ssl.SSLContext, host: bytes = HOST, port: int = 443) -> Wire:
        """One connection to ``server``, which says a word so that its tickets are read."""
        joined = wire(trust.creatorForNetloc(host, port), peer(server, server_side=True), client=True)
        if joined.peer.handshaken:
            joined.peer.tls.write(b"hello")
        return joined.pump()


class VerificationTests(FilesTestCase):
    def test_interfaces(self) -> None:
        """Trust and creator are what Twisted's Agent asks for."""
        trust = ClientTrust()
        verifyObject(IPolicyForHTTPS, trust)
        verifyObject(IOpenSSLClientConnectionCreator, trust.creatorForNetloc(HOST, 443))

    def test_own_authority(self) -> None:
        """A certificate from the further authority is believed, by name and by address."""
        trust = ClientTrust(self.ca)
        for host in (HOST, HOST.upper(), b"127.0.0.1"):
            joined = self.call(trust, self.server(), host)
            self.assertEqual(joined.protocol.data, b"hello")

    def test_system_roots_stay(self) -> None:
        """The further authority is believed besides the system's, not in their place."""
        other = issue(Wish("Other Root", "p256 other", authority=True))
        signed = issue(Wish(HOST.decode(), "p256 signed"), other)
        self.system_roots(write(self.directory / "system.pem", other.pem))
        trust = ClientTrust(self.ca)
        for shown in (signed, leaf(HOST.decode())):
            self.assertTrue(self.call(trust, self.server(shown=shown)).peer.handshaken)

    def system_roots(self, path: str) -> None:
        """Let the system's roots be those in ``path``."""
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = path
        if before is None:
            self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        else:
            self.addCleanup(os.environ.__setitem__, "SSL_CERT_FILE", before)

    def test_unknown_authority(self) -> None:
        """Without the further authority its certificates are refused."""
        joined = self.call(ClientTrust(), self.server())
        self.assertFalse(joined.peer.handshaken)
        self.assertEqual(joined.protocol.data, b"")

    def test_other_name(self) -> None:
        """A certificate for another name or address is refused, in every handshake."""
        trust = ClientTrust(self.ca)
        for host in (b"evil.example.com", b"127.0.0.2", b"evil.example.com"):
            joined = self.call(trust, self.server(), host)
            joined.end.connectionLost(joined.end._reason)
            assert joined.protocol.lost is not None
            joined.protocol.lost.trap(VerificationError)
            self.assertEqual(joined.protocol.data, b"")

    def test_unreadable_names(self) -> None:
        """A name that cannot be read vouches for nothing, and hides none that can be."""
        trust = ClientTrust(self.ca)
        for names, is_taken in (
            (("*.test",), False),
            (("a.*.example.com", "*.*.example.com"), False),
            ((), False),
            (("*.test", HOST.decode()), True),
        ):
            shown = issue(Wish("", names=names), intermediate())
            joined = self.call(trust, self.server(shown=shown))
            self.assertEqual((joined.protocol.data == b"hello", joined.peer.handshaken), (is_taken, is_taken))

    def test_server_name(self) -> None:
        """The host is named to the server, an address is not."""
        for host, named in [(HOST, HOST.decode()), (b"127.0.0.1", None)]:
            names: list[str | None] = []
            server = self.server()
            server.sni_callback = lambda _, name, __, seen=names: seen.append(name)
            self.call(ClientTrust(self.ca), server, host)
            self.assertEqual(names, [named])

    def test_alpn(self) -> None:
        """HTTP/1.1 is offered, and servers without ALPN are spoken to all the same."""
        for known, chosen in [(["h2", "http/1.1"], "http/1.1"), ([], None)]:
            server = self.server()
            if known:
                server.set_alpn_protocols(known)
            joined = self.call(ClientTrust(self.ca), server)
            self.assertEqual(
                (joined.peer.tls.selected_alpn_protocol(), joined.peer.handshaken), (chosen, True)
            )


class AuthorityFileTests(FilesTestCase):
    def test_refused(self) -> None:
        """A file that cannot serve as authority is named, with the key ``ca``."""
        for path in [
            str(self.directory / "missing.pem"),
            str(self.directory),
            write(self.directory / "empty.pem", b""),
            write(self.directory / "key.pem", root().key_pem()),
            write(self.directory / "broken.pem", root().pem.replace(b"MII", b"AAA")),
        ]:
            with self.subTest(path=path), self.assertRaises(SettingsError) as caught:
                ClientTrust(path)
            self.assertEqual(caught.exception.key, "ca")
            self.assertIn(path, caught.exception.problem)


class ResumptionTests(FilesTestCase):
    def reused(self, joined: Wire) -> bool:
        """Whether the server resumed."""
        self.assertTrue(joined.peer.handshaken)
        return bool(joined.peer.tls.session_reused)

    def test_resumed(self) -> None:
        """The second and third connection to a host resume, under both versions and one ticket or two."""
        for version in VERSIONS:
            for tickets in (1, 2):
                with self.subTest(version=version, tickets=tickets):
                    trust, server = ClientTrust(self.ca), self.server(version, tickets=tickets)
                    first, second, third = (self.closed(self.call(trust, server)) for _ in range(3))
                    self.assertEqual(
                        (self.reused(first), self.reused(second), self.reused(third)), (False, True, True)
                    )

    def closed(self, joined: Wire) -> Wire:
        """End in order, and give it back."""
        joined.close()
        return joined

    def test_while_open(self) -> None:
        """A session is resumed while the connection that brought it still lives, by several at once."""
        for version in VERSIONS:
            with self.subTest(version=version):
                trust, server = ClientTrust(self.ca), self.server(version)
                first, second, third = (self.call(trust, server) for _ in range(3))
                self.assertEqual(
                    (self.reused(first), self.reused(second), self.reused(third)), (False, True, True)
                )
                first.end.write(b"still here")
                self.assertEqual(first.pump().peer.heard, b"still here")

    def test_after_break(self) -> None:
        """After a connection that broke off, the next one works; under TLS 1.3 it resumes."""
        for version, resumes in [(ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)]:
            with self.subTest(version=version):
                trust, server = ClientTrust(self.ca), self.server(version)
                first = self.call(trust, server)
                first.cut()
                second = self.call(trust, server)
                self.assertEqual(self.reused(second), resumes)
                self.assertTrue(self.reused(self.call(trust, server)))

    def test_server_forgot(self) -> None:
        """A server that no longer knows its tickets gets a full handshake, and its new tickets are used."""
        for version in VERSIONS:
            with self.subTest(version=version):
                trust = ClientTrust(self.ca)
                self.call(trust, self.server(version)).close()
                server = self.server(version)
                first, second = self.call(trust, server), self.call(trust, server)
                self.assertEqual((self.reused(first), self.reused(second)), (False, True))

    def test_no_tickets(self) -> None:
        """A server without tickets is spoken to as before."""
        trust, server = ClientTrust(self.ca), self.server(ssl.TLSVersion.TLSv1_3, tickets=0)
        first, second = self.call(trust, server), self.call(trust, server)
        self.assertEqual((self.reused(first), self.reused(second)), (False, False))

    def test_not_shared(self) -> None:
        """No session crosses from one trust, host or port to another."""
        trust, server = ClientTrust(self.ca), self.server()
        self.call(trust, server).close()
        for other, host, port in [
            (ClientTrust(self.ca), HOST, 443),
            (trust, b"127.0.0.1", 443),
            (trust, HOST, 8443),
        ]:
            self.assertFalse(self.reused(self.call(other, server, host, port)))
        self.assertTrue(self.reused(self.call(trust, server)))

    def test_refused_name_leaves_no_session(self) -> None:
        """A server that was refused for its name is refused again: nothing of it is resumed."""
        trust, server = ClientTrust(self.ca), self.server()
        self.call(trust, server).close()
        for _ in range(2):
            self.assertEqual(self.call(trust, server, b"evil.example.com").protocol.data, b"")

    def test_bounded(self) -> None:
        """Only the hosts used last are remembered."""
        trust, server = ClientTrust(self.ca, max_hosts=2), self.server()
        self.call(trust, server).close()
        kept = trust.creatorForNetloc(b"b.example", 443)
        self.assertTrue(self.reused(self.call(trust, server)))
        trust.creatorForNetloc(b"c.example", 443)
        self.assertIsNot(trust.creatorForNetloc(b"b.example", 443), kept)
        self.assertFalse(self.reused(self.call(trust, server)))


class TrustRootsPresentTests(FilesTestCase):
    def test_variables(self) -> None:
        """The variables that OpenSSL obeys are obeyed."""
        hashed = self.directory / "hashed"
        hashed.mkdir()
        write(hashed / "5ed36f99.0", b"")
        empty = self.directory / "none"
        empty.mkdir()
        missing = str(self.directory / "missing")
        for environ, present in [
            ({"SSL_CERT_FILE": self.ca}, True),
            ({"SSL_CERT_FILE": missing}, False),
            ({"SSL_CERT_FILE": write(self.directory / "empty.pem", b"")}, False),
            ({"SSL_CERT_DIR": str(hashed)}, True),
            ({"SSL_CERT_DIR": f"{missing}:{hashed}"}, True),
            ({"SSL_CERT_DIR": str(empty)}, False),
            ({"SSL_CERT_DIR": missing}, False),
            ({"SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}, False),
        ]:
            with self.subTest(environ=environ):
                self.assertIs(trust_roots_present(environ), present)

    def test_defaults(self) -> None:
        """Without the variables the system's own places are looked at: what Python finds is found."""
        known = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        known.load_default_certs()
        self.assertTrue(trust_roots_present({}) or not known.get_ca_certs())
