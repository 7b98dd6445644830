"""
Tests of `docxy.policy.retry`: how often, how soon, and what a peer may ask for.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.retry import Budget, Patience, told_wait

PATIENCE = Patience(attempts=8, seconds=150.0, first_wait=0.2, longest_wait=5.0)


def waits(budget: Budget, now: float = 0.0) -> list[float]:
    """What a budget grants to tries that fail at once, until it is spent."""
    granted: list[float] = []
    while (wait := budget.failed(now)) is not None:
        granted.append(round(wait, 6))
        now += wait
    return granted


class BudgetTests(SynchronousTestCase):
    def budget(self, patience: Patience = PATIENCE, jitter: float = 0.999999999) -> Budget:
        """A budget from moment 0 on whose waits are (nearly) whole steps."""
        return Budget(patience, 0.0, lambda: jitter)

    def test_doubling(self) -> None:
        """Eight tries have seven waits between them, each twice the one before, up to the longest."""
        self.assertEqual(waits(self.budget()), [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])

    def test_jitter(self) -> None:
        """A wait is never below half of its step."""
        self.assertEqual(waits(self.budget(jitter=0.0))[:3], [0.1, 0.2, 0.4])
        self.assertEqual(waits(self.budget(jitter=0.5))[:3], [0.15, 0.3, 0.6])

    def test_progress(self) -> None:
        """Progress gives everything back, and the try that made it does not count."""
        budget = self.budget()
        for _ in range(7):
            self.assertIsNotNone(budget.failed(0.0))
        self.assertIsNone(budget.failed(0.0))
        budget.progressed(100.0)
        self.assertEqual(len(waits(budget, 101.0)), 8)

    def test_worth(self) -> None:
        """A try that brought much is followed at once, if the peer does not ask for more."""
        budget, much = self.budget(), PATIENCE.worth
        for size, wait in ((much, 0.0), (much, 0.0), (much - 1, 0.2), (0, 0.4), (much, 0.0), (0, 0.8)):
            self.assertAlmostEqual(budget.failed(0.0, brought=size) or 0, wait, msg=f"{size}")
        self.assertEqual(budget.failed(0.0, 20.0, brought=much), 20.0)
        self.assertIsNone(budget.failed(0.0, brought=much), "tries are counted all the same")

    def test_time(self) -> None:
        """Time alone spends it as well, and no wait leads beyond its end."""
        budget = self.budget()
        self.assertAlmostEqual(budget.failed(149.95) or 0, 0.05)
        self.assertIsNone(budget.failed(150.0))
        budget.progressed(150.0)
        self.assertIsNotNone(budget.failed(299.0))
        self.assertIsNone(budget.failed(300.5))

    def test_retry_after(self) -> None:
        """What the peer asks for is the least, and what is left the most that is waited."""
        self.assertEqual(self.budget().failed(0.0, 20.0), 20.0)
        self.assertEqual(self.budget().failed(100.0, 3600.0), 50.0)
        self.assertAlmostEqual(self.budget().failed(0.0, 0.0) or 0, 0.2)

    def test_down(self) -> None:
        """A peer at which nobody listens has its own, shorter time, from the first of such tries in a row."""
        patience = Patience(attempts=8, seconds=20.0, first_wait=1.0, longest_wait=1.0, down=3.0)
        budget = self.budget(patience)
        self.assertAlmostEqual(budget.failed(5.0, is_down=True) or 0, 1.0)
        self.assertAlmostEqual(budget.failed(7.5, is_down=True) or 0, 0.5)
        self.assertIsNone(budget.failed(8.0, is_down=True))
        self.assertIsNotNone(budget.failed(8.0), "it listens")
        self.assertIsNotNone(budget.failed(9.0, is_down=True))
        budget.progressed(11.9)
        self.assertAlmostEqual(budget.failed(11.9) or 0, 1.0)
        self.assertIsNotNone(
            self.budget().failed(100.0, is_down=True), "unless told otherwise it is all the time"
        )

    def test_single_try(self) -> None:
        """One attempt is the one that failed."""
        self.assertIsNone(self.budget(Patience(attempts=1)).failed(0.0))

    def test_endless_attempts(self) -> None:
        """However many tries are allowed, steps stay numbers and time ends it."""
        granted = waits(self.budget(Patience(10_000, seconds=3000.0, first_wait=0.5, longest_wait=1.0)))
        self.assertLess(len(granted), 3010)

    @settings(derandomize=True, max_examples=50)
    @given(
        st.lists(st.tuples(st.floats(0, 30), st.booleans(), st.none() | st.floats(0, 1e9)), max_size=40),
        st.floats(0, 1, exclude_max=True),
    )
    def test_bounds(self, steps: list[tuple[float, bool, float | None]], jitter: float) -> None:
        """Whatever happens, waits are finite, fit into the time, and tries without progress are counted."""
        budget, now, since, failures, allowed = Budget(PATIENCE, 0.0, lambda: jitter), 0.0, 0.0, 0, 7
        for passed, is_progress, retry_after in steps:
            now += passed
            if is_progress:
                budget.progressed(now)
                since, failures, allowed = now, 0, 8
            wait = budget.failed(now, retry_after)
            failures += 1
            if failures > allowed or now >= since + PATIENCE.seconds:
                self.assertIsNone(wait)
                return
            assert wait is not None
            self.assertTrue(0 <= wait <= PATIENCE.seconds + 1e-6)
            self.assertLessEqual(now + wait, since + PATIENCE.seconds + 1e-6)
            now += wait


class ToldWaitTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """Seconds and moments are read; what is neither says nothing."""
        date = "Mon, 23 Nov 2026 12:00:00 GMT"
        for retry_after, seconds in (
            ("0", 0.0),
            (" 17 ", 17.0),
            ("999999999", 999999999.0),
            ("Mon, 23 Nov 2026 12:01:30 GMT", 90.0),
            ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
            (None, None),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("1e3", None),
            ("٣", None),
            ("9999999999", None),
            ("soon", None),
            ("Mon, 99 Nov 2026 12:01:30 GMT", None),
            ("x" * 41, None),
        ):
            self.assertEqual(told_wait(retry_after, date), seconds, retry_after)

    def test_moment_needs_date(self) -> None:
        """A moment without the peer's own clock says nothing; seconds need none."""
        for date in (None, "", "yesterday"):
            self.assertIsNone(told_wait("Mon, 23 Nov 2026 12:01:30 GMT", date))
        self.assertEqual(told_wait("5"), 5.0)

    @settings(derandomize=True, max_examples=100)
    @given(
        st.text(max_size=45) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,5} [A-Z][a-z]{2} \d{1,6} [\d:]{1,9} GMT"),
        st.text(max_size=45),
    )
    def test_anything(self, retry_after: str, date: str) -> None:
        """No text raises, and what comes out is a number of seconds that is not negative."""
        for asked, sent in ((retry_after, date), (date, retry_after), (retry_after, retry_after)):
            told = told_wait(asked, sent)
            self.assertTrue(told is None or told >= 0.0)
