"""
One answer's body on its way into a body that may take several.

Owns what a leg knows of itself and how it is left.  Knows nothing of what its
bytes mean: that is its owner's.
"""

from __future__ import annotations

from typing import Protocol as Shape

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from docxy.upstream.body import Drop
from docxy.upstream.parts import Part


class LegOwner(Shape):
    """Whom a leg delivers to."""

    def leg_made(self, leg: Leg) -> None:
        """It is ready to deliver."""

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """It delivers."""

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        """It is over."""


class Leg(Protocol):
    """One upstream answer's body, as long as it is the one that delivers."""

    def __init__(self, owner: LegOwner, part: Part) -> None:
        self.owner = owner
        self.skip = part.skip
        self.is_rest = part.is_rest
        self._leftover: Drop | None = None

    def connectionMade(self) -> None:
        self.owner.leg_made(self)

    def dataReceived(self, data: bytes) -> None:
        if self._leftover is None:
            self.owner.leg_received(self, data)
        else:
            self._leftover.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._leftover is None:
            self.owner.leg_lost(self, reason)
        else:
            self._leftover.connectionLost(reason)

    def leave_over(self, clock: IReactorTime) -> None:
        """No more of it is wanted: a short rest may come, so that the connection can serve again."""
        self._leftover = Drop(clock)
        assert self.transport is not None
        self._leftover.makeConnection(self.transport)
        self.resume()

    def pause(self) -> None:
        """Let nothing come for now."""
        self.transport.pauseProducing()  # type: ignore[union-attr]  # an IPushProducer here

    def resume(self) -> None:
        """Let it come."""
        self.transport.resumeProducing()  # type: ignore[union-attr]
