"""
Tests for `docxy.tls.flow`: who is given large portions, and when no more.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.tls.flow import CAREFUL, FLOWING, LONG_PAUSE, TRUSTED_AFTER, Flow


class FlowTests(SynchronousTestCase):
    def trusted(self) -> Flow:
        """One that took enough."""
        flow = Flow()
        flow.passed(TRUSTED_AFTER)
        return flow

    def test_first(self) -> None:
        """Large portions come after so many bytes, not before."""
        flow = Flow()
        self.assertIs(flow.portions, CAREFUL)
        flow.passed(TRUSTED_AFTER - 1)
        self.assertIs(flow.portions, CAREFUL)
        flow.passed(1)
        self.assertIs(flow.portions, FLOWING)

    def test_pauses(self) -> None:
        """A short pause takes nothing away; a long one does, once it is over."""
        for seconds, expected in ((0.0, FLOWING), (LONG_PAUSE / 2, FLOWING), (LONG_PAUSE * 2, CAREFUL)):
            flow = self.trusted()
            flow.paused(100.0)
            self.assertIs(flow.portions, FLOWING)
            flow.resumed(100.0 + seconds)
            self.assertIs(flow.portions, expected, seconds)

    def test_anew(self) -> None:
        """After a long pause all has to be earned again."""
        flow = self.trusted()
        flow.paused(0.0)
        flow.resumed(60.0)
        flow.passed(TRUSTED_AFTER - 1)
        self.assertIs(flow.portions, CAREFUL)
        flow.passed(1)
        self.assertIs(flow.portions, FLOWING)

    def test_resumed_twice(self) -> None:
        """A second resumption is none: time in which nobody was paused does not count."""
        flow = self.trusted()
        flow.paused(0.0)
        flow.resumed(0.0)
        flow.resumed(60.0)
        self.assertIs(flow.portions, FLOWING)

    @given(st.floats(1, 1e9), st.integers(1, 300_000))
    def test_slow_clients(self, rate: float, size: int) -> None:
        """Whoever takes less than 2.5 MB a second is paused too long, whatever was trusted before."""
        flow = self.trusted()
        flow.paused(0.0)
        flow.resumed(FLOWING.backlog / rate)
        slow = rate < 2_500_000
        flow.passed(size)
        self.assertTrue(flow.portions is CAREFUL or not slow)
