"""
Twisted's TLS transport, made for moving much.

Twisted's own decrypts, hands up, encrypts and writes each record of 16 KiB by
itself.  Here all the records of one read from the socket go up as one
delivery, and what is read and what is written is taken in portions that
`docxy.tls.flow` allows.  Everything else is as Twisted does it, and its stock transport can
take this one's place at any time.

All that is used of Twisted's private parts stands in this file.  Overridden:
``_flushReceiveBIO``, ``_flushSendBIO`` and ``_write`` of
`TLSMemoryBIOProtocol`.  Called or read: its ``_tlsConnection``,
``_lostTLSConnection``, ``_aborted``, ``_bufferedWrite``, ``_shutdownTLS`` and
``_tlsShutdownFinished``, and ``_clock`` of its factory.  A test compares their
source with what this file was written for.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import Connection, Error, WantReadError, ZeroReturnError
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS, wrapServerTLS
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from docxy.tls.flow import FLOWING, Flow, Portions

RECORD = 16 * 1024  # bytes of plain text at most in one record (RFC 8446 section 5.1)

# Of one portion: 64 bytes a record are more than any suite adds, a few KiB are for the rest of a handshake.
_SEALED = FLOWING.piece + 64 * (FLOWING.piece // RECORD) + 8192

_KEPT_BLOCK = 1 << 20


class BulkTLS(BufferingTLSTransport):
    """
    One TLS connection, either side.

    Holds at most `FLOWING.backlog` and one write more of what is to be sent,
    and `FLOWING.read` of what came.
    """

    factory: BulkFactory
    transport: Any  # ITCPTransport, with what FileDescriptor adds
    _tlsConnection: Connection
    _lostTLSConnection: bool

    def makeConnection(self, transport: ITransport) -> None:
        self._flow = Flow()
        self._portions = self._flow.portions
        self._has_source = False
        super().makeConnection(transport)
        self._use(self._portions)

    # What comes

    def dataReceived(self, data: bytes) -> None:
        """Decrypt one read, and count it."""
        super().dataReceived(data)
        self._passed(len(data))

    def _flushReceiveBIO(self) -> None:  # noqa: N802 Twisted calls it
        """Hand all that can be decrypted up at once, then tell how the stream ended, if it did."""
        if not self._lostTLSConnection:
            records, end = self._decrypted()
            if records and not self._aborted:
                self.wrappedProtocol.dataReceived(b"".join(records))
            if end is not None and not self._lostTLSConnection:
                self._ended(end)
        self._flushSendBIO()

    def _decrypted(self) -> tuple[list[bytes], Failure | None]:
        records: list[bytes] = []
        receive = self._tlsConnection.recv
        try:
            while True:
                records.append(receive(RECORD))
        except WantReadError:
            return records, None
        except Error:
            return records, Failure()

    def _ended(self, end: Failure) -> None:
        if end.check(ZeroReturnError):
            self._shutdownTLS()
            self._tlsShutdownFinished(None)
        else:
            self._tlsShutdownFinished(end)

    # What leaves

    def _write(self, octets: bytes) -> None:
        sent = 0
        while sent < len(octets) and not self._lostTLSConnection:
            try:
                sent += self._tlsConnection.send(octets[sent : sent + self._portions.piece])
            except WantReadError:
                self._bufferedWrite(octets[sent:])
                return
            except Error:
                self._tlsShutdownFinished(Failure())
                return
            self._flushSendBIO()
        self._passed(sent)

    def _flushSendBIO(self) -> None:  # noqa: N802 Twisted calls it
        """Pass on what OpenSSL has to send, however much it is."""
        while True:
            try:
                sealed = self._tlsConnection.bio_read(_SEALED)
            except WantReadError:
                return
            self.transport.write(sealed)
            if len(sealed) < _SEALED:
                return

    # How much at once

    def _passed(self, size: int) -> None:
        self._flow.passed(size)
        self._judge()

    def _judge(self) -> None:
        portions = self._flow.portions
        if portions is not self._portions:
            self._use(portions)

    def _use(self, portions: Portions) -> None:
        self._portions = portions
        # Twisted has one figure for what is read at once and for what may wait to be sent.
        self.transport.bufferSize = portions.backlog if self._has_source else portions.read

    # Who is paused

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._has_source = True
        self._use(self._portions)
        super().registerProducer(_Paused(self, producer) if streaming else producer, streaming)

    def unregisterProducer(self) -> None:
        super().unregisterProducer()
        self._has_source = False
        self._use(self._portions)

    def source_paused(self) -> None:
        """The source was told to wait."""
        self._flow.paused(self.factory.seconds())

    def source_resumed(self) -> None:
        """The source may go on."""
        self._flow.resumed(self.factory.seconds())
        self._judge()

    def pauseProducing(self) -> None:
        """This connection is the source, and is told to wait."""
        self.source_paused()
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It may go on."""
        self.source_resumed()
        self.transport.resumeProducing()


@implementer(IPushProducer)
class _Paused:
    """A producer whose pauses are told to its consumer as well."""

    def __init__(self, consumer: BulkTLS, producer: IPushProducer) -> None:
        self._consumer = consumer
        self._producer = producer

    def pauseProducing(self) -> None:
        self._consumer.source_paused()
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        self._consumer.source_resumed()
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        self._producer.stopProducing()


class BulkFactory(TLSMemoryBIOFactory):
    """Makes `BulkTLS` where Twisted's makes the stock transport."""

    protocol = BulkTLS

    def seconds(self) -> float:
        """The time of its clock."""
        return float(self._clock.seconds())


@implementer(IStreamServerEndpoint)
class _BulkServerEndpoint:
    def __init__(
        self, creator: IOpenSSLServerConnectionCreator, below: IStreamServerEndpoint, clock: IReactorTime
    ) -> None:
        self._creator = creator
        self._below = below
        self._clock = clock

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        listening: Deferred[IListeningPort] = self._below.listen(
            BulkFactory(self._creator, False, protocolFactory, self._clock)
        )
        return listening


@implementer(IStreamClientEndpoint)
class _BulkClientEndpoint:
    def __init__(
        self, creator: IOpenSSLClientConnectionCreator, below: IStreamClientEndpoint, clock: IReactorTime
    ) -> None:
        self._creator = creator
        self._below = below
        self._clock = clock

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[Any] = self._below.connect(
            BulkFactory(self._creator, True, protocolFactory, self._clock)
        )
        return connecting.addCallback(lambda made: made.wrappedProtocol)


def server_endpoint(
    creator: IOpenSSLServerConnectionCreator, below: IStreamServerEndpoint, clock: IReactorTime, bulk: bool
) -> IStreamServerEndpoint:
    """Listens with TLS over ``below``, by Twisted's stock transport unless ``bulk``."""
    return (_BulkServerEndpoint if bulk else wrapServerTLS)(creator, below, clock)


def client_endpoint(
    creator: IOpenSSLClientConnectionCreator, below: IStreamClientEndpoint, clock: IReactorTime, bulk: bool
) -> IStreamClientEndpoint:
    """Connects with TLS over ``below``, by Twisted's stock transport unless ``bulk``."""
    return (_BulkClientEndpoint if bulk else wrapClientTLS)(creator, below, clock)


def keep_large_blocks() -> None:
    """
    Let the C library keep the memory of freed pieces, as it does once it met one of 1 MiB.

    glibc gives free memory above 128 KiB back to the kernel, and twice the
    size of the largest block that it ever did this for is kept from then on
    (mallopt(3): M_MMAP_THRESHOLD, dynamic).  Else each read costs the faults
    of 16 pages and more.  Elsewhere this does nothing.
    """
    bytearray(_KEPT_BLOCK)
