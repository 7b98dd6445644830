"""
Tests for `docxy.tls.bulk`: what it does otherwise than Twisted's transport, and what it takes for granted.
"""

from __future__ import annotations

import hashlib
import inspect
import subprocess
import sys
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.trial.unittest import SynchronousTestCase

from docxy.tls.bulk import BulkFactory, BulkTLS, client_endpoint, server_endpoint
from docxy.tls.client import ClientTrust
from docxy.tls.flow import CAREFUL, FLOWING, LONG_PAUSE, TRUSTED_AFTER
from tests.unit.tls.ends import CREATOR, Source
from tests.unit.tls.test_server import HOST, client_context
from tests.unit.tls.wire import HeardFactory, Wire, join, peer

# What Twisted 26.10 has; where a newer one differs, read docxy/tls/bulk.py again before this is changed.
KNOWN = {
    "__init__": "7901d67764ac44b4",
    "_bufferedWrite": "88a1032b1e8fa054",
    "_checkHandshakeStatus": "3902da2549f56145",
    "_flushReceiveBIO": "b45e129f60c44862",
    "_flushSendBIO": "c034168e4f0faf2c",
    "_shutdownTLS": "f72004ba90a03215",
    "_tlsShutdownFinished": "e78b042366fe0af0",
    "_unbufferPendingWrites": "c2b342c0a2c72978",
    "_write": "b795cc8e83620d7d",
    "abortConnection": "3b083442ea198088",
    "connectionLost": "db44a0b303d81d19",
    "dataReceived": "0c9326eac628dc89",
    "loseConnection": "5681a9bd1bd76930",
    "makeConnection": "c83b193e6cb07f9f",
    "registerProducer": "15968aeddd276cf2",
    "unregisterProducer": "678e56aca31507a7",
    "write": "e029bcaebbb754c2",
}


def connect() -> Wire:
    """One connection whose handshake is done."""
    clock = Clock()
    other = peer(client_context(), server_hostname=HOST)
    return join(BulkFactory(CREATOR, False, HeardFactory(), clock), other, clock)


class TwistedTests(SynchronousTestCase):
    """What is overridden or called of Twisted's transport is what it was."""

    def test_source(self) -> None:
        """The methods that ours stand in for, or lean on, have not changed."""
        found = {
            name: hashlib.sha256(inspect.getsource(getattr(TLSMemoryBIOProtocol, name)).encode()).hexdigest()[
                :16
            ]
            for name in KNOWN
        }
        self.assertEqual(found, KNOWN)

    def test_overridden(self) -> None:
        """No more is overridden than the module says."""
        told = {"_flushReceiveBIO", "_flushSendBIO", "_write"}
        public = {"dataReceived", "makeConnection", "registerProducer", "unregisterProducer"}
        below = {name for each in BufferingTLSTransport.__mro__[:-1] for name in vars(each)}
        ours = {name for name in vars(BulkTLS) if name in below and not name.startswith("__")}
        self.assertEqual({name for name in ours if callable(getattr(BulkTLS, name))}, told | public)


class DeliveryTests(SynchronousTestCase):
    """What comes."""

    def test_joined(self) -> None:
        """All records of one read are one delivery."""
        wire = connect()
        sizes: list[int] = []
        wire.protocol.dataReceived = lambda data: sizes.append(len(data))  # type: ignore[method-assign]
        wire.peer.tls.write(b"x" * 100_000)
        wire.end.dataReceived(wire.peer.outgoing.read())
        self.assertEqual(sizes, [100_000])


class PortionTests(SynchronousTestCase):
    """What leaves."""

    def setUp(self) -> None:
        """A connection with a source, and the sizes of what is passed to the socket."""
        self.wire = connect()
        self.source = Source()
        self.wire.end.registerProducer(self.source, True)
        self.transport: Any = self.wire.transport
        self.sizes: list[int] = []
        self.patch(self.wire.transport, "write", lambda data: self.sizes.append(len(data)))

    def written(self, size: int) -> list[int]:
        """The plain sizes, in pieces of 16 KiB, that a write of ``size`` bytes is passed on in."""
        self.sizes.clear()
        self.wire.end.write(bytes(size))
        return [sealed // 16384 for sealed in self.sizes]

    def earn(self) -> None:
        """Take as much as large portions ask for."""
        for _ in range(TRUSTED_AFTER // (1 << 20)):
            self.wire.end.write(bytes(1 << 20))

    def test_careful(self) -> None:
        """At first each record is passed on by itself, and little is kept."""
        self.assertEqual(self.written(65536), [1, 1, 1, 1])
        self.assertEqual(self.transport.bufferSize, CAREFUL.backlog)

    def test_flowing(self) -> None:
        """Who takes much without a pause is given large portions, a short pause or not."""
        self.earn()
        self.pause(LONG_PAUSE / 2)
        self.assertEqual(self.written(2 * FLOWING.piece), [4, 4])
        self.assertEqual(self.transport.bufferSize, FLOWING.backlog)

    def test_held_up(self) -> None:
        """After a long pause it is as at first."""
        self.earn()
        self.pause(LONG_PAUSE * 2)
        self.assertEqual(self.transport.bufferSize, CAREFUL.backlog)
        self.assertEqual(self.written(65536), [1, 1, 1, 1])

    def pause(self, seconds: float) -> None:
        """Let the socket be full for so long."""
        self.transport.producer.pauseProducing()
        self.wire.clock.advance(seconds)
        self.transport.producer.resumeProducing()
        self.assertEqual(self.source.told, ["pause", "resume"])

    def test_source_leaves(self) -> None:
        """Without a source the figure is again what is read at once."""
        self.earn()
        self.wire.end.unregisterProducer()
        self.assertEqual(self.transport.bufferSize, FLOWING.read)


class ReadTests(SynchronousTestCase):
    """What is read from the socket at once."""

    def setUp(self) -> None:
        self.wire = connect()
        self.transport: Any = self.wire.transport

    def earn(self) -> None:
        """Let as much come as large reads ask for."""
        for _ in range(TRUSTED_AFTER // (1 << 20)):
            self.wire.peer.tls.write(bytes(1 << 20))
            self.wire.end.dataReceived(self.wire.peer.outgoing.read())

    def pause(self, seconds: float) -> None:
        """Let the other side of TLS want no more for so long."""
        self.wire.end.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.wire.clock.advance(seconds)
        self.wire.end.resumeProducing()
        self.assertEqual(self.transport.producerState, "producing")

    def test_careful(self) -> None:
        """At first little is."""
        self.assertEqual(self.transport.bufferSize, CAREFUL.read)

    def test_flowing(self) -> None:
        """Where much came without a long pause, more is."""
        self.earn()
        self.pause(LONG_PAUSE / 2)
        self.assertEqual(self.transport.bufferSize, FLOWING.read)

    def test_held_up(self) -> None:
        """After a long pause it is as at first."""
        self.earn()
        self.pause(LONG_PAUSE * 2)
        self.assertEqual(self.transport.bufferSize, CAREFUL.read)


class EndpointTests(SynchronousTestCase):
    """Where the transport is put in place."""

    def test_server(self) -> None:
        """A listener has the transport that was asked for."""
        for bulk, expected in ((True, BulkFactory), (False, TLSMemoryBIOFactory)):
            reactor = MemoryReactorClock()
            below = TCP4ServerEndpoint(reactor, 443)
            self.successResultOf(server_endpoint(CREATOR, below, reactor, bulk).listen(HeardFactory()))
            made: Any = reactor.tcpServers[0][1]
            self.assertIs(type(made), expected)
            self.assertIs(made._clock, reactor)

    def test_client(self) -> None:
        """A connection has the transport that was asked for, and the protocol on it is given back."""
        for bulk, expected in ((True, BulkTLS), (False, BufferingTLSTransport)):
            reactor = MemoryReactorClock()
            creator = ClientTrust().creatorForNetloc(HOST.encode(), 443)
            below = TCP4ClientEndpoint(reactor, "192.0.2.1", 443)
            connecting = client_endpoint(creator, below, reactor, bulk).connect(HeardFactory())
            factory: Any = reactor.tcpClients[0][2]
            made = factory.buildProtocol(None)
            made.makeConnection(StringTransport())
            protocol: Any = self.successResultOf(connecting)
            self.assertIs(type(protocol.transport), expected)


class MemoryTests(SynchronousTestCase):
    """What the C library does with freed pieces."""

    PROGRAM = """
import resource, sys
from docxy.tls.bulk import keep_large_blocks
if sys.argv[1] == "keep":
    keep_large_blocks()
def turn():
    pieces = [bytes(100_000) for _ in range(8)]
for _ in range(5):
    turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

    def faults(self, word: str) -> int:
        """The pages that had to be had from the kernel."""
        run = subprocess.run(
            [sys.executable, "-c", self.PROGRAM, word], check=True, capture_output=True, text=True
        )
        return int(run.stdout)

    def test_kept(self) -> None:
        """Pieces that come and go cost few page faults."""
        self.assertLess(self.faults("keep"), 50 * 10)
