"""
Tests of `docxy.upstream.failures`: what failed is remembered, for a while and in bounds.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.upstream.failures import GOOD, REMEMBERED, FailureMemory


class FailureMemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.memory = FailureMemory(self.clock, max_names=3)

    def test_ten_minutes(self) -> None:
        """What failed is bad for ten minutes after its last failure."""
        self.assertFalse(self.memory.bad("192.0.2.1"))
        self.memory.note("192.0.2.1")
        self.clock.advance(REMEMBERED - 1)
        self.assertTrue(self.memory.bad("192.0.2.1"))
        self.memory.note("192.0.2.1")
        self.clock.advance(REMEMBERED - 1)
        self.assertTrue(self.memory.bad("192.0.2.1"))
        self.clock.advance(1)
        self.assertEqual((self.memory.bad("192.0.2.1"), self.memory.rank("192.0.2.1")), (False, GOOD))

    def test_rank(self) -> None:
        """Sorted by rank, the good come first in their order, then the failures that are longest ago."""
        for name in ("b", "a", "b"):
            self.memory.note(name)  # at one moment: their order counts all the same
        self.assertEqual(sorted(("b", "d", "a", "c"), key=self.memory.rank), ["d", "c", "a", "b"])

    def test_since(self) -> None:
        """A failure counts against what proved good before it, and at that moment."""
        self.clock.advance(5)
        self.memory.note("a")
        self.clock.advance(5)
        told = [self.memory.failed_since(name, moment) for name, moment in (("a", 5), ("a", 6), ("b", 0))]
        self.assertEqual(told, [True, False, False])
        self.clock.advance(REMEMBERED)
        self.assertFalse(self.memory.failed_since("a", 0))

    def test_bounded(self) -> None:
        """No more names are kept than that; the oldest failure is forgotten first."""
        for name in ("a", "b", "c", "a", "d"):
            self.memory.note(name)
        self.assertEqual([name for name in "abcd" if self.memory.bad(name)], ["a", "c", "d"])

    def test_nobody(self) -> None:
        """An address that is not known is not remembered."""
        self.memory.note("")
        self.assertFalse(self.memory.bad(""))

    def test_names(self) -> None:
        """What failed lately can be listed, the latest last; what is over is not."""
        self.memory.note("a")
        self.clock.advance(REMEMBERED - 1)
        for name in ("b", "c", "b"):
            self.memory.note(name)
        self.assertEqual(self.memory.names(), ["a", "c", "b"])
        self.clock.advance(1)
        self.assertEqual(self.memory.names(), ["c", "b"])
