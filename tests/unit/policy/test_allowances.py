"""Tests for `docxy.policy.allowances`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.allowances import Pulls
from docxy.policy.allowances import UNTOLD_WINDOW, Allowance, Allowances


def told(
    left: int,
    limit: int | None = 100,
    at: float = 0.0,
    credential: str = "anonymous",
    window: int | None = 600,
) -> Allowance:
    """What Docker Hub says."""
    whole = None if limit is None else Pulls(limit, window)
    return Allowance("docker.io", credential, Pulls(left, window), whole, "192.0.2.1", at)


class AllowanceTests(SynchronousTestCase):
    """One word of an upstream."""

    def test_low(self) -> None:
        """A tenth of the limit is little, or ten where there is none."""
        for left, limit, low in (
            (10, 100, True),
            (11, 100, False),
            (20, 200, True),
            (10, None, True),
            (11, None, False),
        ):
            self.assertEqual(told(left, limit).is_low, low, (left, limit))
        self.assertTrue(told(0, 0).is_low)

    def test_window(self) -> None:
        """The window is that of either header."""
        self.assertEqual(told(1).window, 600)
        bare = Allowance("a", "b", Pulls(1), Pulls(100, 60), "", 0.0)
        self.assertEqual(bare.window, 60)
        self.assertIsNone(told(1, None, window=None).window)


class AllowancesTests(SynchronousTestCase):
    """All of them."""

    def setUp(self) -> None:
        """Nothing is known."""
        self.known = Allowances()

    def test_said_once(self) -> None:
        """That little is left is said once a window, for each credential."""
        self.assertFalse(self.known.note(told(50)))
        self.assertTrue(self.known.note(told(10, at=1.0)))
        self.assertFalse(self.known.note(told(9, at=2.0)))
        self.assertTrue(self.known.note(told(9, at=2.0, credential="account")))
        self.assertFalse(self.known.note(told(90, at=650.0)))
        self.assertTrue(self.known.note(told(3, at=700.0)))

    def test_current(self) -> None:
        """The last word counts, until its window has passed."""
        self.known.note(told(50))
        self.known.note(told(49, at=1.0))
        self.assertEqual([one.left.count for one in self.known.current(600.9)], [49])
        self.assertEqual(self.known.current(601.0), [])
        self.known.note(told(1, None, at=1000.0, window=None))
        self.assertEqual(len(self.known.current(999.9 + UNTOLD_WINDOW)), 1)
        self.assertEqual(self.known.current(1000.0 + UNTOLD_WINDOW), [])

    def test_scarcest(self) -> None:
        """Of several credentials the one with the smallest part left stands for the upstream."""
        self.known.note(told(60, 100))
        self.known.note(told(100, 200, credential="account"))
        self.assertEqual(self.known.scarcest(1.0)["docker.io"].credential, "account")
        self.known.note(told(199, 200, credential="account"))
        self.assertEqual(self.known.scarcest(1.0)["docker.io"].credential, "anonymous")
        self.assertEqual(self.known.scarcest(1000.0), {})
        self.known.note(told(0, 0, credential="none"))
        self.assertEqual(self.known.scarcest(1.0)["docker.io"].credential, "none")
