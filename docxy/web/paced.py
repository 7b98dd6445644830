"""
A relay whose client, key or mirror has a rate: slower, and never refused.

After each delivery it waits until those bytes were due.  The upstream is
paused meanwhile, so that nothing piles up and neither end counts as stalled.
"""

from __future__ import annotations

from typing import Literal

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from docxy.policy.rates import Pace
from docxy.web.relay import BodyRelay
from docxy.web.request import MirrorRequest


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

    @property
    def waits_for(self) -> Literal["client", "upstream", "rate"]:
        """Who has to do something before it can go on."""
        found = super().waits_for
        return "rate" if found == "upstream" and self._due is not None else found

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        seconds = self._pace.draw(len(data), self._clock.seconds())
        if seconds > 0 and self._open:
            self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        """Nothing more for so long; what came while it was paused only makes it longer."""
        if self._due is None:
            self._due = self._clock.callLater(seconds, self._is_due)
            self._steer()
        else:
            self._due.reset(seconds)

    def _is_due(self) -> None:
        self._due = None
        self._steer()

    def _may_go_on(self) -> bool:
        return self._due is None and super()._may_go_on()

    def _stop(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        super()._stop()
