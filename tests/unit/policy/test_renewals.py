"""
Tests of `docxy.policy.renewals`: when a certificate is renewed, and tried for again.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.renewals import DAY, LONGEST_LOOK, Span, Suggestion, ask_after, renew_at, wait_after

LIFE = Span(0.0, 90 * DAY)
chances = st.floats(0.0, 1.0, exclude_max=True)


class RenewTests(SynchronousTestCase):
    def test_by_age(self) -> None:
        """About two thirds of its life is a certificate's time, a little earlier by chance."""
        self.assertEqual(renew_at(LIFE, None, 0.0), 60 * DAY)
        self.assertAlmostEqual(renew_at(LIFE, None, 1.0), 57 * DAY)

    def test_by_suggestion(self) -> None:
        """The authority's window decides, but for one that begins before the certificate does."""
        self.assertEqual(renew_at(LIFE, Span(10.0, 20.0), 0.5), 15.0)
        self.assertEqual(renew_at(LIFE, Span(0.0, 10.0), 0.0), 0.0)
        self.assertEqual(renew_at(LIFE, Span(-1.0, 10.0), 0.0), 60 * DAY)

    @given(st.floats(0, 1e12), st.floats(0, 1e12), chances)
    def test_never_late(self, start: float, length: float, chance: float) -> None:
        """Whatever is suggested, a twelfth of the life is left."""
        self.assertLessEqual(renew_at(LIFE, Span(start, start + length), chance), 82.5 * DAY)

    def test_suggestions(self) -> None:
        """A window that ends before it begins says nothing; asking again is neither now nor never."""
        self.assertIsNone(Suggestion.of(2.0, 2.0, None))
        self.assertEqual(Suggestion.of(1.0, 2.0, None), Suggestion(Span(1.0, 2.0), LONGEST_LOOK))
        for told, heeded in ((1.0, 600.0), (7200.0, 7200.0), (1e9, DAY)):
            self.assertEqual(Suggestion.of(1.0, 2.0, told, "why"), Suggestion(Span(1.0, 2.0), heeded, "why"))
            self.assertEqual(ask_after(told), heeded)
        self.assertEqual(ask_after(None), LONGEST_LOOK)


class WaitTests(SynchronousTestCase):
    def test_doubling(self) -> None:
        """From a minute to a day."""
        whole = [round(wait_after(failures, None, 1.0)) for failures in (1, 2, 3, 11, 12, 1000)]
        self.assertEqual(whole, [60, 120, 240, 61_440, 86_400, 86_400])

    @given(st.integers(1, 10**6), chances)
    def test_bounds(self, failures: int, chance: float) -> None:
        """Half of each step is chance."""
        self.assertTrue(30.0 <= wait_after(failures, None, chance) <= DAY)

    def test_told(self) -> None:
        """What the authority asks for is heeded where it is longer, up to a week."""
        self.assertEqual(wait_after(1, 3600.0, 0.0), 3600.0)
        self.assertEqual(wait_after(9, 1.0, 0.0), wait_after(9, None, 0.0))
        self.assertEqual(wait_after(1, 1e9, 0.0), 7 * DAY)
