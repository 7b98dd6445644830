"""
Upstream bodies: to hand on, to let go, or to read whole within a bound.

Knows nothing of what the bytes mean.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse
from zope.interface import implementer

from docxy.interfaces import IBody, UpstreamBroken, UpstreamError, UpstreamTimedOut, UpstreamTooLarge

DROP_LIMIT = 65536  # bytes read on to save a connection; more is dearer than a new one
DROP_SECONDS = 10.0  # to wait for those bytes; then the connection is not worth it
READ_SECONDS = 30.0  # for a body that is read whole, however small its sender makes the pieces


@implementer(IBody)
class ResponseBody:
    """The body of an `IResponse`."""

    def __init__(self, response: IResponse, clock: IReactorTime) -> None:
        self._response = response
        self._clock = clock

    def deliver(self, protocol: IProtocol) -> None:
        self._response.deliverBody(protocol)

    def drop(self) -> None:
        self._response.deliverBody(Drop(self._clock))

    def read(self, limit: int) -> Deferred[bytes]:
        collector = Collector(limit)
        self._response.deliverBody(collector)
        return collector.done.addTimeout(READ_SECONDS, self._clock, _late)


def _late(_: object, seconds: float) -> Failure:
    return Failure(UpstreamTimedOut(f"the answer was not whole within {seconds:g} s"))


class Drop(Protocol):
    """Reads a short rest of no use; ends the connection when it is not short, or does not come."""

    def __init__(self, clock: IReactorTime) -> None:
        self._left = DROP_LIMIT
        self._limit = clock.callLater(DROP_SECONDS, close, self)

    def dataReceived(self, data: bytes) -> None:
        if self._left > 0:
            self._left -= len(data)
            if self._left <= 0:
                close(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._limit.active():
            self._limit.cancel()


def close(protocol: Protocol) -> None:
    """
    End the upstream connection behind a body protocol, at once.

    ``stopProducing`` reaches the socket itself: ``loseConnection`` over TLS
    would wait for a peer's close_notify that a paused transport never reads.
    """
    if protocol.transport is not None:
        protocol.transport.stopProducing()  # type: ignore[attr-defined]  # an IPushProducer here


class Collector(Protocol):
    """All bytes of a body in ``done``, as `IBody.read` has it."""

    def __init__(self, limit: int) -> None:
        self.done: Deferred[bytes] = Deferred(self._cancelled)
        self._limit = limit
        # One piece: a list of what a peer sends byte by byte would be fifty times as large.
        self._content = bytearray()

    def _cancelled(self, _: Deferred[bytes]) -> None:
        self._content.clear()
        close(self)

    def dataReceived(self, data: bytes) -> None:
        if self.done.called:
            return
        self._content += data
        if len(self._content) > self._limit:
            self._content.clear()
            self.done.errback(UpstreamTooLarge(f"the answer is larger than {self._limit} bytes"))
            close(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(bytes(self._content))
        elif reason.check(UpstreamError):
            self.done.errback(reason)
        else:
            self.done.errback(UpstreamBroken("the answer broke off"))
