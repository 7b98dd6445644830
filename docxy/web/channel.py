"""
One client connection: bounded headers, bounded waits, and refusals in JSON.

All that is used of Twisted's private parts stands in this file:
``_respondToBadRequestAndDisconnect``, ``_handlingRequest``, ``_dataBuffer``,
``_waitingForTransport``, ``_networkProducer``, ``_receivedHeaderSize``,
``_receivedHeaderCount``, ``_command`` and ``_version``.  Their tests fail when
a new Twisted changes them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from zope.interface import implementer

from docxy.log import ACCESS
from docxy.oci.errors import REQUEST_INVALID, SIZE_INVALID, ErrorCode, RegistryError
from docxy.tls.server import ACME_TLS_1
from docxy.web.closing import PATIENCE, Watch
from docxy.web.status import phrase

_log = Logger()

MAX_HEADERS = 65536  # bytes of request line and headers; a token of 40 KiB passes
MAX_FORM = 65536  # bytes of a POST's body
MAX_AHEAD = 16384  # bytes kept of what a client asks for before it has its answer
_TLS_HANDSHAKE = b"\x16"  # the type of a TLS record that holds a ClientHello; no method begins so

LINGER = 2.0  # seconds in which a refused client may read why

HEADERS_TOO_LARGE = ErrorCode("UNSUPPORTED", 431, "request line and headers are over 64 KiB")


@implementer(IHandshakeListener)
class MirrorChannel(HTTPChannel):
    """HTTP/1.1 as `HTTPChannel` speaks it, with docxy's limits."""

    MAX_LENGTH = MAX_HEADERS
    totalHeadersSize = MAX_HEADERS
    header_seconds = 20.0
    client_stall = 300.0
    site: Any

    _deadline: IDelayedCall | None = None
    _refused = False
    _greeted = False
    _leaving: Watch | None = None
    _last = b""  # the last byte that came
    _ahead = 0
    _is_last = False  # whether the next answer is the last
    _waiting: IDelayedCall | None = None  # for the last request
    _asked_since = 0.0
    networks: tuple[str, ...] = ()  # whose connection this is, for the count of connections a client

    def __init__(self) -> None:
        super().__init__()
        self._takers: list[Deferred[None]] = []
        self._line = bytearray()  # of the line that is awaited, what is not shown to `LineReceiver`

    def connectionMade(self) -> None:
        super().connectionMade()
        self._start_deadline()

    def handshakeCompleted(self) -> None:
        """Over TLS: a certificate authority wanted the handshake alone (RFC 8737 section 3)."""
        transport: Any = self.transport
        if transport.negotiatedProtocol == ACME_TLS_1:
            transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._stop_deadline()
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        if self._leaving is not None:
            self._leaving.stop()
        super().connectionLost(reason)
        self._fire_taken()
        self.site.channel_lost(self)

    def dataReceived(self, data: bytes) -> None:
        if self._is_deaf():
            return
        if not self._handlingRequest and self._deadline is None:
            self._start_deadline()
        greeting, self._greeted = not self._greeted, True
        if greeting and data[:1] == _TLS_HANDSHAKE:
            # Clients that try https first wait for this long: it tells them to go on in http.
            self.refuse(REQUEST_INVALID.error("this listener speaks plain HTTP"))
            return
        self._take_lines(data)

    def _take_lines(self, data: bytes) -> None:
        """Keep the pieces of a line until it ends: `LineReceiver` copies all that it has for each."""
        ended = b"\r\n" in self._last + data
        self._last = data[-1:]
        self._line += data
        if ended or not self.line_mode or len(self._line) > MAX_HEADERS:
            taken = bytes(self._line)
            self._line.clear()
            super().dataReceived(taken)

    def lineReceived(self, line: bytes) -> None:
        # The lines of one delivery come one by one, whatever became of the first.
        if not self._is_deaf():
            super().lineReceived(line)

    def _is_deaf(self) -> bool:
        """Whether nothing more is taken from this client; over TLS data comes on after we closed."""
        return self._refused or self._leaving is not None

    # What is asked for ahead of time

    def requestDone(self, request: Any) -> None:  # noqa: N802 Twisted calls it
        self._ahead = 0
        if self._waitingForTransport and self.persistent:
            # The next answer waits for a client that has not taken this one, or answers would pile up.
            self.paused = True
            self._networkProducer.pauseProducing()
        super().requestDone(request)

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._fire_taken()
        if self.paused:
            self.paused = False
            super().dataReceived(b"")

    def taken(self) -> Deferred[None]:
        """Fires once what was written has left our buffers, or the client has left."""
        waiting: Deferred[None] = Deferred()
        self._takers.append(waiting)
        if not self._waitingForTransport:
            self._fire_taken()
        return waiting

    def _fire_taken(self) -> None:
        takers, self._takers = self._takers, []
        for waiting in takers:
            waiting.callback(None)

    # Slow headers: the limit is absolute, from the first byte to the last.

    def _start_deadline(self) -> None:
        self._asked_since = self.site.reactor.seconds()
        self._deadline = self.callLater(self.header_seconds, self._too_slow)

    def _stop_deadline(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._receivedHeaderSize or self._line or self.clearLineBuffer():
            self.refuse(REQUEST_INVALID.error("the request took too long", status=408))
        else:
            self.loseConnection()

    def allContentReceived(self) -> None:
        # The end of a body comes even where its beginning was refused.
        if not self._is_deaf():
            self._stop_deadline()
            super().allContentReceived()

    # What is refused before a request exists

    def allHeadersReceived(self) -> None:
        error = self._host_error() or self._body_error()
        if error is not None:
            # `lineReceived` goes on to the body after this: let it find none.
            self.length = None
            self.refuse(error)
            return
        super().allHeadersReceived()

    def _host_error(self) -> RegistryError | None:
        """RFC 9112 section 3.2: exactly one Host, from HTTP/1.1 on."""
        hosts = len(self.requests[-1].requestHeaders.getRawHeaders(b"Host", []))
        if hosts == 1 or (hosts == 0 and self._version != b"HTTP/1.1"):
            return None
        return REQUEST_INVALID.error("a request names one Host")

    def _body_error(self) -> RegistryError | None:
        """Why this request's body is not taken: Twisted would collect it first, whatever its size."""
        if self._is_coded_twice():
            return REQUEST_INVALID.error()
        if self.length == 0:
            return None
        if self._command != b"POST":
            return REQUEST_INVALID.error("this request may have no body")
        if self.length is not None and self.length > MAX_FORM:
            return SIZE_INVALID.error(f"the form is over {MAX_FORM} bytes")
        return None

    def _is_coded_twice(self) -> bool:
        """RFC 9112 section 6.1: Twisted overlooks "identity" before and after another coding."""
        return len(self.requests[-1].requestHeaders.getRawHeaders(b"Transfer-Encoding", [])) > 1

    def headerReceived(self, line: bytes) -> bool:
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            # Python reads no number of more than 4300 digits.
            self.length = None
            self.refuse(REQUEST_INVALID.error())
            return False

    def rawDataReceived(self, data: bytes) -> None:
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        # Not the inherited one: it bounds nothing while the client does not read, and keeps each piece apart.
        if not self._dataBuffer:
            self._dataBuffer.append(bytearray())
        self._dataBuffer[0] += data
        self._ahead += len(data)
        if self._ahead > MAX_AHEAD:
            self._networkProducer.pauseProducing()

    def lineLengthExceeded(self, line: bytes) -> None:
        self.refuse(HEADERS_TOO_LARGE.error())

    def _respondToBadRequestAndDisconnect(self) -> None:
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self.refuse(HEADERS_TOO_LARGE.error())
        else:
            self.refuse(REQUEST_INVALID.error())

    def refuse(self, error: RegistryError) -> None:
        """Answer with ``error``, take nothing more, and close once it could be read."""
        if self._refused:
            return
        self._refused = True
        self._stop_deadline()
        self.clearLineBuffer()
        self._line.clear()
        body = error.body()
        assert self.transport is not None
        self.transport.writeSequence(
            [
                b"HTTP/1.1 %d %s\r\n" % (error.status, phrase(error.status)),
                b"Content-Type: application/json\r\nConnection: close\r\n",
                b"Content-Length: %d\r\n\r\n" % len(body),
                body,
            ]
        )
        self._log_refused(error, len(body))
        # Closing at once, with input unread, would reset: the client might not see the answer.
        self._deadline = self.callLater(LINGER, self.loseConnection)

    def _log_refused(self, error: RegistryError, size: int) -> None:
        self.site.count_refused(error.status)
        # What was asked for is not told: it was not read to its end, or made no sense.
        _log.info(
            ACCESS,
            access=True,
            client=self.site.client_of(self),
            **dict.fromkeys(("method", "upstream", "repository", "reference"), "-"),
            status=error.status,
            bytes=size,
            duration=self.site.reactor.seconds() - self._asked_since,
            source="self",
            resumes=0,
            error=error.message,
        )

    # Closing

    def loseConnection(self) -> None:
        self.leave(self.client_stall)

    def leave(self, patience: float) -> None:
        """Close in order, and abort once the client has taken nothing for ``patience`` seconds."""
        if self._leaving is None:
            super().loseConnection()
            self._leaving = Watch(self.transport, self.site.reactor, patience)

    def abort(self) -> None:
        """End the connection at once, by a reset."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]  # an ITCPTransport

    def end_short(self) -> None:
        """End the answer that is being given short of its end, and the connection in order."""
        for request in list(self.requests):
            request.end_short()
        self.leave(PATIENCE)

    def timeoutConnection(self) -> None:
        self.loseConnection()

    def finish_soon(self, grace: float = 0.0) -> None:
        """Close after the answer that is being given; if idle, after ``grace`` seconds without a request."""
        if grace and not self._handlingRequest:
            self._is_last = True
            self._waiting = self.callLater(grace, self.finish_soon)
            return
        self.persistent = False
        if not self._handlingRequest:
            self.loseConnection()

    def checkPersistence(self, request: Any, version: bytes) -> bool:  # noqa: N802 Twisted calls it
        if self._is_last:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return not self._is_last and bool(super().checkPersistence(request, version))
