"""
Tests for `docxy.tls.bulk`: what every TLS transport does, asked of Twisted's stock one and of ours alike.

The other end is the standard library's, or OpenSSL where that cannot do it.
"""

from __future__ import annotations

import ssl
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from docxy.tls.bulk import BulkFactory
from tests.unit.tls.ends import CREATOR, Drops, Source, shake_hands
from tests.unit.tls.test_server import HOST, client_context
from tests.unit.tls.throwaway import leaf
from tests.unit.tls.wire import HeardFactory, Peer, Wire, opened, peer

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
MIB = 1 << 20


class Transports:
    """What is asked of either transport; ``factory`` makes it."""

    class Tests(SynchronousTestCase):
        """As a server, to a client of the standard library."""

        factory: type[TLSMemoryBIOFactory]

        def opened(self, *versions: ssl.TLSVersion) -> Wire:
            """A connection on which nothing was said yet."""
            return self.opened_to(peer(client_context(*versions), server_hostname=HOST))

        def opened_to(self, other: Peer) -> Wire:
            """One such to ``other``."""
            clock = Clock()
            return opened(self.factory(CREATOR, False, HeardFactory(), clock), other, clock)

        def connect(self, *versions: ssl.TLSVersion) -> Wire:
            """One connection whose handshake is done."""
            return self.opened(*versions).pump()

        def sent_by_peer(self, wire: Wire, data: bytes) -> bytes:
            """``data`` as the other end puts it on the wire."""
            wire.peer.tls.write(data)
            return wire.peer.outgoing.read()

        # Bytes

        def test_sizes(self) -> None:
            """Writes of every size arrive whole and in order, with both versions of TLS."""
            sizes = (0, 1, 16383, 16384, 16385, 65535, 65536, 65537, 3 * MIB)
            for version in VERSIONS:
                wire = self.connect(version)
                for number, size in enumerate(sizes):
                    wire.end.write(bytes([number]) * size)
                wire.pump()
                expected = b"".join(bytes([number]) * size for number, size in enumerate(sizes))
                self.assertTrue(wire.peer.heard == expected, version)

        def test_received(self) -> None:
            """What comes in one piece of many records is delivered whole and in order."""
            for version in VERSIONS:
                wire = self.connect(version)
                data = bytes(range(256)) * 4096
                wire.end.dataReceived(self.sent_by_peer(wire, data))
                self.assertTrue(wire.protocol.data == data, version)

        # The executors that differ are the two transports.
        @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
        @given(st.lists(st.integers(1, 40_000), max_size=6), st.integers(1, 50_000))
        def test_cut_anywhere(self, sizes: list[int], step: int) -> None:
            """However the network cuts what comes, the same bytes are delivered."""
            wire = self.connect()
            data = b"".join(bytes([number]) * size for number, size in enumerate(sizes))
            sealed = self.sent_by_peer(wire, data) if data else b""
            for start in range(0, len(sealed), step):
                wire.end.dataReceived(sealed[start : start + step])
            self.assertTrue(wire.protocol.data == data)

        def test_sequence(self) -> None:
            """A sequence is written as one."""
            wire = self.connect()
            wire.end.writeSequence([b"a" * 20_000, b"b", b"c" * 70_000])
            self.assertEqual(wire.pump().peer.heard, b"a" * 20_000 + b"b" + b"c" * 70_000)

        def test_early(self) -> None:
            """What is written before the handshake is done follows it, in its order."""
            wire = self.opened()
            wire.end.write(b"a" * 70_000)
            wire.end.write(b"b" * 70_000)
            self.assertEqual(wire.pump().peer.heard, b"a" * 70_000 + b"b" * 70_000)

        # Ends

        def test_close(self) -> None:
            """An orderly close says so to the other end, after all that was written."""
            wire = self.connect()
            wire.end.write(b"x" * 100_000)
            wire.end.loseConnection()
            wire.pump()
            self.assertEqual(len(wire.peer.heard), 100_000)
            self.assertEqual(wire.peer.tls.read(1), b"")  # close_notify: else it would want more
            self.assertIsNone(wire.peer.error)

        def test_closed_by_peer(self) -> None:
            """What came before the other end's close is delivered; it is answered, and is a clean end."""
            wire = self.connect()
            wire.peer.tls.write(b"last words" * 5000)
            with self.assertRaises(ssl.SSLWantReadError):
                wire.peer.tls.unwrap()
            wire.end.dataReceived(wire.peer.outgoing.read())
            self.assertEqual(wire.protocol.data, b"last words" * 5000)
            self.assertTrue(wire.transport.disconnecting)
            wire.peer.incoming.write(wire.transport.value())
            wire.peer.tls.unwrap()
            wire.end.connectionLost(connectionDone)
            assert wire.protocol.lost is not None
            wire.protocol.lost.trap(ConnectionDone)

        def test_truncated(self) -> None:
            """A stream that ends without the other end's close is no clean end, whatever TCP says."""
            wire = self.connect()
            sealed = self.sent_by_peer(wire, b"x" * 40_000)
            wire.end.dataReceived(sealed[:-100])
            wire.end.connectionLost(connectionDone)
            self.assertEqual(len(wire.protocol.data), 2 * 16384)
            assert wire.protocol.lost is not None
            wire.protocol.lost.trap(ConnectionLost)

        def test_bad_record(self) -> None:
            """Nothing from a forged record on is delivered, and the connection ends with an alert."""
            for version in VERSIONS:
                wire = self.connect(version)
                sealed = bytearray(self.sent_by_peer(wire, b"x" * 50_000))
                sealed[len(sealed) // 2] ^= 1
                wire.transport.clear()
                wire.end.dataReceived(bytes(sealed))
                self.assertEqual(wire.protocol.data, b"x" * 16384)
                self.assertTrue(wire.transport.value())
                self.assertTrue(wire.transport.disconnecting)
                wire.end.dataReceived(self.sent_by_peer(wire, b"more"))
                wire.end.connectionLost(connectionDone)
                self.assertEqual(wire.protocol.data, b"x" * 16384)
                assert wire.protocol.lost is not None
                self.assertTrue(wire.protocol.lost.check(SSL.Error, ConnectionLost))

        def test_ends_early(self) -> None:
            """What follows an end in the same large piece is not delivered, and the end is what it was."""
            for forged, kinds in ((True, (SSL.Error, ConnectionLost)), (False, (ConnectionDone,))):
                wire = self.connect()
                sealed = bytearray(self.sent_by_peer(wire, b"x" * 1000))
                if forged:
                    sealed[-1] ^= 1
                else:
                    with self.assertRaises(ssl.SSLWantReadError):
                        wire.peer.tls.unwrap()
                    sealed += wire.peer.outgoing.read()
                wire.end.dataReceived(bytes(sealed) + bytes(200_000))
                self.assertEqual(wire.protocol.data, b"" if forged else b"x" * 1000)
                self.assertTrue(wire.transport.disconnecting)
                wire.end.connectionLost(connectionDone)
                assert wire.protocol.lost is not None
                self.assertTrue(wire.protocol.lost.check(*kinds), forged)

        def test_nonsense(self) -> None:
            """What is no TLS at all ends the connection before it begins."""
            wire = self.opened()
            wire.end.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
            self.assertTrue(wire.transport.disconnecting)
            wire.end.connectionLost(connectionDone)
            self.assertEqual(wire.protocol.data, b"")

        def test_abort(self) -> None:
            """After an abort nothing is delivered and nothing written."""
            wire = self.connect()
            wire.end.abortConnection()
            self.assertTrue(wire.transport.disconnected)
            wire.transport.clear()
            wire.end.dataReceived(self.sent_by_peer(wire, b"too late" * 9000))
            wire.end.write(b"too late")
            wire.clock.advance(0)
            self.assertEqual((wire.protocol.data, wire.transport.value()), (b"", b""))

        def test_abort_while_delivering(self) -> None:
            """Who aborts in the middle of a delivery is given no other."""
            wire = self.connect()
            given: list[int] = []

            def received(data: bytes) -> None:
                given.append(len(data))
                wire.end.abortConnection()

            wire.protocol.dataReceived = received  # type: ignore[method-assign]
            wire.end.dataReceived(self.sent_by_peer(wire, b"x" * 100_000))
            self.assertEqual(len(given), 1)

        def test_write_after_close(self) -> None:
            """What is written after the close is dropped."""
            wire = self.connect()
            wire.end.loseConnection()
            wire.end.write(b"too late")
            self.assertEqual(wire.pump().peer.heard, b"")

        def test_lost(self) -> None:
            """A connection that is gone takes writes without a word."""
            wire = self.connect()
            wire.cut()
            wire.end.write(b"too late")
            wire.clock.advance(0)
            assert wire.protocol.lost is not None
            wire.protocol.lost.trap(ConnectionLost)

        # Sources

        def test_push(self) -> None:
            """A source's pauses are the socket's, and the close waits until it is done."""
            wire, source = self.connect(), Source()
            wire.end.registerProducer(source, True)
            below: Any = wire.transport.producer
            below.pauseProducing()
            below.resumeProducing()
            self.assertEqual(source.told, ["pause", "resume"])
            wire.end.write(b"a" * 70_000)
            wire.end.loseConnection()
            wire.end.write(b"b" * 70_000)
            self.assertFalse(wire.transport.disconnecting)
            wire.end.unregisterProducer()
            self.assertIsNone(wire.transport.producer)
            self.assertEqual(wire.pump().peer.heard, b"a" * 70_000 + b"b" * 70_000)
            self.assertEqual(wire.peer.tls.read(1), b"")

        def test_push_early(self) -> None:
            """A source is paused by what cannot be encrypted yet, and resumed once it can."""
            wire = self.opened()
            source = Source()
            wire.end.registerProducer(source, True)
            wire.end.write(b"x" * 70_000)
            self.assertEqual(source.told, ["pause"])
            wire.pump()
            self.assertEqual(source.told, ["pause", "resume"])
            self.assertEqual(wire.peer.heard, b"x" * 70_000)

        def test_push_stopped(self) -> None:
            """A source is told when the socket is gone, and at once where it has been."""
            wire, source = self.connect(), Source()
            wire.end.registerProducer(source, True)
            below: Any = wire.transport.producer
            below.stopProducing()
            self.assertEqual(source.told, ["stop"])
            wire.cut()
            late = Source()
            wire.end.registerProducer(late, True)
            self.assertEqual(late.told, ["stop"])

        def test_second_source(self) -> None:
            """There is one source at a time."""
            wire = self.connect()
            wire.end.registerProducer(Source(), True)
            self.assertRaises(RuntimeError, wire.end.registerProducer, Source(), True)

        def test_pull(self) -> None:
            """A source that waits to be asked is asked until it is done."""
            wire = self.connect()
            drops = Drops(wire.end, [b"a" * 30_000, b"b" * 70_000, b"c"])
            self.cooperated()
            wire.end.registerProducer(drops, False)
            self.turns()
            self.assertEqual(wire.pump().peer.heard, b"a" * 30_000 + b"b" * 70_000 + b"c")

        def cooperated(self) -> None:
            """Let Twisted's pull sources be asked when `turns` says so."""
            from twisted.internet import _producer_helpers
            from twisted.internet.task import Cooperator

            self._turns: list[Any] = []
            cooperator = Cooperator(
                scheduler=self._scheduled, terminationPredicateFactory=lambda: lambda: True
            )
            self.patch(_producer_helpers, "cooperate", cooperator.cooperate)

        def _scheduled(self, turn: Any) -> Any:
            self._turns.append(turn)
            return None

        def turns(self) -> None:
            """Ask until nobody wants to be asked."""
            while self._turns:
                self._turns.pop(0)()

        # What was agreed

        def test_alpn(self) -> None:
            """The protocol agreed on is known to both ends, and so is the certificate to the client."""
            context = client_context()
            context.set_alpn_protocols(["h2", "http/1.1"])
            other = peer(context, server_hostname=HOST)
            end: Any = self.opened_to(other).pump().end
            self.assertEqual(end.negotiatedProtocol, b"http/1.1")
            self.assertEqual(other.tls.selected_alpn_protocol(), "http/1.1")
            self.assertEqual(other.tls.getpeercert(True), ssl.PEM_cert_to_DER_cert(leaf().pem.decode()))
            self.assertIsNone(end.getPeerCertificate())

        def test_resumption(self) -> None:
            """A client comes back with its session and is known, with both versions of TLS."""
            for version in VERSIONS:
                context = client_context(version)
                first = peer(context, server_hostname=HOST)
                wire = self.opened_to(first).pump()
                wire.end.write(b"a word, for the tickets come before it")
                wire.pump()
                again = peer(context, server_hostname=HOST, session=first.tls.session)
                self.opened_to(again).pump()
                self.assertTrue(again.tls.session_reused, version)

        def test_renegotiation(self) -> None:
            """A client of TLS 1.2 that wants to renegotiate is refused."""
            context = SSL.Context(SSL.TLS_CLIENT_METHOD)
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
            client = SSL.Connection(context, None)
            client.set_connect_state()
            wire = self.opened()
            shake_hands(client, wire)
            client.renegotiate()
            refusal = self.assertRaises(SSL.Error, shake_hands, client, wire)
            self.assertIn("no renegotiation", str(refusal))
            self.assertIsNone(wire.protocol.lost)


class StockTests(Transports.Tests):
    """Twisted's own."""

    factory = TLSMemoryBIOFactory


class BulkTests(Transports.Tests):
    """Ours."""

    factory = BulkFactory
