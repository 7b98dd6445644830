"""
Bodies whose client, key or mirror has a rate: slower, and never refused.

None begins before what its client owes is paid; a transfer's bytes go out in
pieces, each when it is due.  The upstream is paused meanwhile, so that no more
than one delivery is kept here and neither end counts as stalled.
"""

from __future__ import annotations

from typing import Literal

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from docxy.interfaces import IBody
from docxy.policy.rates import Pace
from docxy.web.relay import BodyRelay
from docxy.web.request import MirrorRequest


async def pay(pace: Pace, clock: IReactorTime, size: int) -> None:
    """Wait until ``size`` bytes that are there may go out in one piece, and draw them."""
    seconds = pace.wait(clock.seconds())
    if seconds > 0:
        await deferLater(clock, seconds)
    pace.draw(size, clock.seconds())


class PacedRelay(BodyRelay):
    """A `BodyRelay` that draws its bytes from ``pace``."""

    def __init__(
        self,
        request: MirrorRequest,
        length: int | None,
        clock: IReactorTime,
        client_stall: float,
        pace: Pace,
    ) -> None:
        super().__init__(request, length, clock, client_stall)
        self._clock = clock
        self._pace = pace
        self._due: IDelayedCall | None = None
        self._body: IBody | None = None  # until it is delivered
        self._kept = b""  # what came and is not due
        self._end: Failure | None = None  # of upstream, which what is kept comes before

    @property
    def waits_for(self) -> Literal["client", "upstream", "rate"]:
        """Who has to do something before it can go on."""
        found = super().waits_for
        return "rate" if found == "upstream" and self._due is not None else found

    def take(self, body: IBody) -> None:
        """Have ``body`` delivered once nothing is owed."""
        seconds = self._pace.wait(self._clock.seconds())
        if seconds > 0:
            self._body = body
            self._wait(seconds)
        else:
            body.deliver(self)

    # From upstream

    def dataReceived(self, data: bytes) -> None:
        if self._open:
            self._kept += data
            self._write_due()
            if not self._may_go_on():
                self._steer()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end, self.transport = reason, None
        self._write_due()

    def _write_due(self) -> None:
        """Write as much as may go out now, and the end behind the last of it."""
        while self._open and self._kept and self._client_waits and self._due is None:
            size = self._pace.piece
            piece, self._kept = self._kept[:size], self._kept[size:]
            super().dataReceived(piece)
            self._wait(self._pace.draw(len(piece), self._clock.seconds()))
        if self._end is not None and not self._kept:
            super().connectionLost(self._end)

    # From the client

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self._kept:
            self._write_due()
            self._steer()

    # Time

    def _wait(self, seconds: float) -> None:
        if seconds > 0 and self._open:
            self._due = self._clock.callLater(seconds, self._is_due)

    def _is_due(self) -> None:
        self._due = None
        body, self._body = self._body, None
        if body is not None:
            body.deliver(self)
        else:
            self._write_due()
            self._steer()

    def _may_go_on(self) -> bool:
        return self._due is None and not self._kept and super()._may_go_on()

    def _stop(self) -> None:
        due, self._due = self._due, None
        if due is not None:
            due.cancel()
        body, self._body = self._body, None
        if body is not None:
            body.drop()
        self._kept = b""
        super()._stop()
