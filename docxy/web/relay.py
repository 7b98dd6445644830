"""
One upstream body to one client, no faster than the client takes it.

The body is the producer and the client's request the consumer; this protocol
stands between them and passes pauses on, for it must know of them: a client
stalls only while it is being waited for.

After the headers the only honest sign of failure is a body that ends short,
by an orderly close.  Misuses guarded against: writing after the client left,
`finish()` on a body that is not whole, data that arrives while paused, bytes
beyond the announced length, ends that come twice.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from docxy.interfaces import UpstreamError
from docxy.oci.verify import DigestMismatch, Verifier
from docxy.upstream.body import close
from docxy.web.closing import PATIENCE
from docxy.web.request import MirrorRequest

TICK = 1.0  # seconds between looks at a paused client
SPEED_TICKS = 10  # over which a speed is told


class RelayEnded(Exception):
    """
    The body ended before it was whole; the text says why.

    ``cause`` is that in a word, empty where it is upstream's and its body knows it.
    """

    cause = ""


class Misfit(RelayEnded):
    """The bytes, ``size`` of them, are not those that the digest names."""

    cause = "digest"

    def __init__(self, why: str, size: int) -> None:
        super().__init__(why)
        self.size = size


class ClientStalled(RelayEnded):
    """The client took nothing for too long."""

    cause = "client"


@implementer(IPushProducer)
class BodyRelay(Protocol):
    """
    Relays a body to ``request``, whose head is set and whose size is ``length`` or unknown.

    ``done`` fires once: with the number of bytes written, or with `RelayEnded`.
    ``client_stall`` is how many seconds a client may take nothing.
    """

    def __init__(
        self, request: MirrorRequest, length: int | None, clock: IReactorTime, client_stall: float
    ) -> None:
        self.done: Deferred[int] = Deferred(self._cancelled)
        self.relayed = 0
        self.length = length
        self._marks = deque([0], SPEED_TICKS + 1)  # what was relayed at each tick
        self._request = request
        self._verifier: Verifier | None = None
        self._held = b""
        self._open = True
        self._client_waits = True
        self._client_stall = client_stall
        self._paused_for = 0.0
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = clock

    def verify(self, verifier: Verifier) -> None:
        """
        Hold the end of the body back until ``verifier`` has found it right.

        It hashes where the bytes are, as they come: a read of a connection takes a tenth of a
        millisecond at most, less than handing it to a thread and hearing of it again.
        """
        self._verifier = verifier

    @property
    def speed(self) -> int:
        """Bytes a second, over the last `SPEED_TICKS` seconds at most."""
        return int((self._marks[-1] - self._marks[0]) / max(1.0, TICK * (len(self._marks) - 1)))

    @property
    def waits_for(self) -> Literal["client", "upstream", "rate"]:
        """Who has to do something before it can go on."""
        return "upstream" if self._client_waits else "client"

    # From upstream

    def connectionMade(self) -> None:
        self._request.registerProducer(self, True)
        self._ticks.start(TICK, now=False)

    def dataReceived(self, data: bytes) -> None:
        if not self._open:
            return
        if self._verifier is not None:
            self._verifier.feed(data)
        if self.length is not None:
            left = self.length - self.relayed - len(self._held)
            if len(data) >= left:
                self._reached_end(data[:left])
                return
        if self._verifier is not None and self.length is None:
            data, self._held = self._held, data
        if data:
            self.relayed += len(data)
            self._request.write(data)

    def _reached_end(self, data: bytes) -> None:
        self._held += data
        # The end of a verified body is told by upstream: what may follow belongs to the digest.
        if self._verifier is None:
            self._finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._open:
            return
        # Without length and chunks only the digest can tell that all is there.
        whole = reason.check(ResponseDone) or (reason.check(PotentialDataLoss) and self._verifier)
        if not whole:
            self._end_short(RelayEnded(_why(reason)))
        elif self.length is not None and self.relayed + len(self._held) < self.length:
            self._end_short(RelayEnded("upstream sent less than it announced"))
        elif self._verifier is None:
            self._finish()
        else:
            self._finish_verified(self._verifier)

    def _finish_verified(self, verifier: Verifier) -> None:
        try:
            verifier.finish()
        except DigestMismatch as mismatch:
            self._end_short(Misfit(str(mismatch), self.relayed + len(self._held)))
        else:
            self._finish()

    # From the client

    def pauseProducing(self) -> None:
        self._client_waits = False
        self._steer()

    def resumeProducing(self) -> None:
        self._client_waits = True
        self._paused_for = 0.0
        self._steer()

    def stopProducing(self) -> None:
        """The consumer is gone; its `notifyFinish` cancels ``done``."""

    def _steer(self) -> None:
        """Let upstream send while the client can take more."""
        if self.transport is None or not self._open:
            return
        if self._may_go_on():
            self.transport.resumeProducing()  # type: ignore[attr-defined]  # an IPushProducer here
        else:
            self.transport.pauseProducing()  # type: ignore[attr-defined]

    def _may_go_on(self) -> bool:
        return self._client_waits

    def _cancelled(self, _: Deferred[int]) -> None:
        self._stop()
        close(self)

    # Time

    def _tick(self) -> None:
        self._marks.append(self.relayed)
        if self._client_waits:
            return
        self._paused_for += TICK
        if self._paused_for >= self._client_stall:
            self._let_go()

    # Ends

    def _stop(self) -> None:
        self._open = False
        if self._ticks.running:
            self._ticks.stop()

    def _finish(self) -> None:
        """All is there: the held end goes out."""
        self._stop()
        if self._held:
            self.relayed += len(self._held)
            self._request.write(self._held)
        self._request.unregisterProducer()
        self._request.finish()
        self.done.callback(self.relayed)

    def _end_short(self, why: RelayEnded) -> None:
        self._stop()
        close(self)
        self._request.unregisterProducer()
        if self.length is None and self._request.clientproto != b"HTTP/1.1":
            # Without length and chunks an orderly close would say that all is there.
            self._request.channel.abort()
        else:
            self._request.channel.leave(PATIENCE)
        self.done.errback(why)

    def _let_go(self) -> None:
        self._stop()
        close(self)
        self._request.unregisterProducer()
        self._request.channel.abort()
        self.done.errback(ClientStalled(f"the client took nothing for {self._client_stall:g} s"))


def _why(reason: Failure) -> str:
    return str(reason.value) if reason.check(UpstreamError) else "upstream broke off"
