"""
A real handshake in memory: Twisted's TLS at one end, the standard library's at the other.

Owns moving the bytes.  Knows nothing of certificates.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure


class Heard(Protocol):
    """Remembers what came."""

    def __init__(self) -> None:
        self.data = b""
        self.lost: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep the reason."""
        self.lost = reason


class HeardFactory(Factory):
    """Makes `Heard`."""

    protocol = Heard


@dataclass
class Peer:
    """The standard library's end."""

    tls: ssl.SSLObject
    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO
    error: ssl.SSLError | None = None
    handshaken: bool = False
    heard: bytes = b""

    def step(self) -> None:
        """Go on with the handshake, then read."""
        try:
            if not self.handshaken:
                self.tls.do_handshake()
                self.handshaken = True
            while data := self.tls.read(65536):
                self.heard += data
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error


def peer(context: ssl.SSLContext, **options: Any) -> Peer:
    """An end made of ``context``; ``options`` are those of `ssl.SSLContext.wrap_bio`."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    return Peer(context.wrap_bio(incoming, outgoing, **options), incoming, outgoing)


@dataclass
class Wire:
    """Both ends and what lies between them."""

    peer: Peer
    end: TLSMemoryBIOProtocol
    protocol: Heard
    transport: StringTransport
    clock: Clock = field(default_factory=Clock)

    def pump(self) -> Wire:
        """Move bytes until both ends are silent."""
        for _ in range(100):
            self.clock.advance(0)
            self.peer.step()
            there, back = self.transport.value(), self.peer.outgoing.read()
            if not there and not back:
                return self
            self.transport.clear()
            self.peer.incoming.write(there)
            if back:
                self.end.dataReceived(back)
        raise AssertionError("the two ends never fall silent")

    def close(self) -> None:
        """Let Twisted's end say goodbye in order."""
        self.end.loseConnection()
        self.pump()
        self.end.connectionLost(connectionDone)

    def cut(self) -> None:
        """Break the connection without a word."""
        self.end.connectionLost(Failure(ConnectionLost()))


def wire(creator: Any, other: Peer, *, client: bool) -> Wire:
    """Join ``creator``'s next connection to ``other`` and shake hands."""
    clock = Clock()
    return join(TLSMemoryBIOFactory(creator, client, HeardFactory(), clock), other, clock)


def join(factory: TLSMemoryBIOFactory, other: Peer, clock: Clock) -> Wire:
    """Join the next connection of ``factory``, which wraps a `HeardFactory`, to ``other`` and shake hands."""
    return opened(factory, other, clock).pump()


def opened(factory: TLSMemoryBIOFactory, other: Peer, clock: Clock) -> Wire:
    """The same before the first word is said."""
    end = factory.buildProtocol(None)
    assert isinstance(end, TLSMemoryBIOProtocol)
    protocol = end.wrappedProtocol
    assert isinstance(protocol, Heard)
    transport = StringTransport()
    end.makeConnection(transport)
    return Wire(other, end, protocol, transport, clock)
