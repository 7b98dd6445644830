"""One answer's body on its way."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Span
from docxy.testing import MemoryBody
from docxy.upstream.body import DROP_LIMIT, DROP_SECONDS
from docxy.upstream.leg import Leg
from docxy.upstream.parts import Part


class Owner:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def leg_made(self, leg: Leg) -> None:
        """A leg is there."""
        self.told.append("made")

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """It delivers."""
        self.told.append(data)

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        """It is over."""
        self.told.append("lost")


class LegTests(SynchronousTestCase):
    """From its making to its end."""

    def setUp(self) -> None:
        """A leg that has delivered something."""
        self.clock = Clock()
        self.owner = Owner()
        self.body = MemoryBody(b"abc", end="never")
        self.leg = Leg(self.owner, Part(5, Span(5, 9, 9), True))
        self.body.deliver(self.leg)

    def test_owner(self) -> None:
        """Its owner hears of all that comes."""
        self.body.arrive(b"d")
        self.body.close()
        self.assertEqual(self.owner.told, ["made", b"abc", b"d", "lost"])
        self.assertEqual((self.leg.skip, self.leg.is_rest), (5, True))

    def test_pause(self) -> None:
        """It is paused and resumed."""
        self.leg.pause()
        self.body.arrive(b"d")
        self.assertEqual(self.owner.told, ["made", b"abc"])
        self.leg.resume()
        self.assertEqual(self.owner.told, ["made", b"abc", b"d"])

    def test_left_over(self) -> None:
        """Left over it is silent, resumed, and reads a short rest to its end."""
        self.leg.pause()
        self.leg.leave_over(self.clock)
        self.body.arrive(b"d" * 1000)
        self.assertFalse(self.body.paused or self.body.stopped)
        self.body.close("whole")
        self.assertEqual((self.owner.told, self.clock.getDelayedCalls()), (["made", b"abc"], []))

    def test_long_rest(self) -> None:
        """A long rest is not read, nor waited for."""
        self.leg.leave_over(self.clock)
        self.body.arrive(bytes(DROP_LIMIT))
        self.assertTrue(self.body.stopped)

    def test_late_rest(self) -> None:
        """A rest that does not come is given up."""
        self.leg.leave_over(self.clock)
        self.clock.advance(DROP_SECONDS)
        self.assertTrue(self.body.stopped)
