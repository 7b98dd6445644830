"""
One upstream body to one client, no faster than the client takes it.

The upstream transport is the producer and the client's request the consumer;
this protocol stands between them and passes pauses on, for it must know of
them: a stall is upstream's only while the client is willing, and the client's
only while upstream is paused.

After the headers the only honest sign of failure is a body that ends short,
by an orderly close.  Misuses guarded against: writing after the client left,
`finish()` on a body that is not whole, data that arrives while paused, bytes
beyond the window, ends that come twice.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from docxy.answers import Stream
from docxy.oci.verify import DigestMismatch
from docxy.upstream.body import close
from docxy.web.closing import PATIENCE
from docxy.web.request import MirrorRequest

TICK = 1.0  # seconds between looks at the two clocks of a relay


class RelayEnded(Exception):
    """The body ended before it was whole; the text says why."""


@implementer(IPushProducer)
class BodyRelay(Protocol):
    """
    Relays ``stream`` to ``request``, whose head is set and whose size is ``length`` or unknown.

    ``done`` fires once: with the number of bytes written, or with `RelayEnded`.
    ``client_stall`` is how many seconds a client may take nothing.
    """

    def __init__(
        self,
        request: MirrorRequest,
        stream: Stream,
        length: int | None,
        clock: IReactorTime,
        client_stall: float,
    ) -> None:
        self.done: Deferred[int] = Deferred(self._cancelled)
        self.relayed = 0
        self._request = request
        self._verifier = stream.verifier
        self._host = stream.host
        self._windowed = stream.window is not None
        self._skip = stream.window.first if stream.window else 0
        self._length = length
        self._held = b""
        self._open = True
        self._paused = False
        self._stall = stream.stall
        self._client_stall = client_stall
        self._quiet = 0.0
        self._heard = False
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = clock

    # From upstream

    def connectionMade(self) -> None:
        self._request.registerProducer(self, True)
        self._ticks.start(TICK, now=False)

    def dataReceived(self, data: bytes) -> None:
        if not self._open:
            return
        self._heard = True
        if self._verifier is not None:
            self._verifier.feed(data)
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._pass(data)

    def _pass(self, data: bytes) -> None:
        """Write what may be written; the end of a verified body is held back."""
        if self._length is not None:
            left = self._length - self.relayed - len(self._held)
            if len(data) >= left:
                self._reached_end(data[:left])
                return
        if self._verifier is not None and self._length is None:
            data, self._held = self._held, data
        if data:
            self.relayed += len(data)
            self._request.write(data)

    def _reached_end(self, data: bytes) -> None:
        self._held += data
        if self._verifier is not None:
            return  # what may follow, and its end, tell whether the digest fits
        self._finish()
        if self._windowed:
            close(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._open:
            return
        # Without length and chunks only the digest can tell that all is there.
        whole = reason.check(ResponseDone) or (reason.check(PotentialDataLoss) and self._verifier)
        if not whole:
            self._end_short("upstream broke off")
        elif self._length is not None and self.relayed + len(self._held) < self._length:
            self._end_short("upstream sent less than it announced")
        else:
            self._finish()

    # From the client

    def pauseProducing(self) -> None:
        self._paused = True
        self._quiet = 0.0
        if self.transport is not None and self._open:
            self.transport.pauseProducing()  # type: ignore[attr-defined]  # an IPushProducer here

    def resumeProducing(self) -> None:
        self._paused = False
        self._quiet = 0.0
        if self.transport is not None and self._open:
            self.transport.resumeProducing()  # type: ignore[attr-defined]

    def stopProducing(self) -> None:
        """The consumer is gone; its `notifyFinish` cancels ``done``."""

    def _cancelled(self, _: Deferred[int]) -> None:
        self._stop()
        close(self)

    # Time

    def _tick(self) -> None:
        if self._heard:
            self._heard = False
            self._quiet = 0.0
            return
        self._quiet += TICK
        if self._paused and self._quiet >= self._client_stall:
            self._let_go()
        elif not self._paused and self._quiet >= self._stall:
            self._end_short(f"upstream sent nothing for {self._stall:g} s")

    # Ends

    def _stop(self) -> None:
        self._open = False
        if self._ticks.running:
            self._ticks.stop()

    def _finish(self) -> None:
        """The body is there: the held end goes out once the digest fits."""
        if self._verifier is not None:
            try:
                self._verifier.finish()
            except DigestMismatch as mismatch:
                self._end_short(str(mismatch))
                return
        self._stop()
        if self._held:
            self.relayed += len(self._held)
            self._request.write(self._held)
        self._request.unregisterProducer()
        self._request.finish()
        self.done.callback(self.relayed)

    def _end_short(self, why: str) -> None:
        self._stop()
        close(self)
        self._request.unregisterProducer()
        if self._length is None and self._request.clientproto != b"HTTP/1.1":
            # Without length and chunks an orderly close would say that all is there.
            self._request.channel.abort()
        else:
            self._request.channel.leave(PATIENCE)
        self.done.errback(RelayEnded(f"{self._host}: {why}"))

    def _let_go(self) -> None:
        self._stop()
        close(self)
        self._request.unregisterProducer()
        self._request.channel.abort()
        self.done.errback(RelayEnded(f"the client took nothing for {self._client_stall:g} s"))
