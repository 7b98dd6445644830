"""Tests for `docxy.policy.misfits`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.misfits import REMEMBERED, Misfits

STEPS = st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.integers(0, 700))


class MisfitTests(SynchronousTestCase):
    """Who sent wrong bytes of what."""

    def test_remembered(self) -> None:
        """The hosts of a blob, all of them, for ten minutes after the last time."""
        misfits = Misfits()
        misfits.remember("blob", ["a"], 9, 0.0)
        misfits.remember("blob", ["b"], 9, 100.0)
        self.assertEqual(misfits.hosts("blob", 100.0 + REMEMBERED - 0.1), {"a", "b"})
        self.assertEqual(misfits.hosts("blob", 100.0 + REMEMBERED), set())
        self.assertEqual(misfits.hosts("other", 0.0), set())

    def test_anew(self) -> None:
        """What was forgotten is not remembered by what comes later."""
        misfits = Misfits()
        misfits.remember("blob", ["a"], 9, 0.0)
        misfits.remember("blob", ["b"], 9, REMEMBERED)
        self.assertEqual(misfits.hosts("blob", REMEMBERED), {"b"})

    def test_size(self) -> None:
        """How many bytes came is told as long as their hosts are, the last time's."""
        misfits = Misfits()
        self.assertIsNone(misfits.size("blob", 0.0))
        misfits.remember("blob", ["a"], 0, 0.0)
        self.assertEqual(misfits.size("blob", 0.0), 0)
        misfits.remember("blob", ["b"], 7, 1.0)
        self.assertEqual(misfits.size("blob", REMEMBERED), 7)
        self.assertIsNone(misfits.size("blob", 1.0 + REMEMBERED))

    def test_bound(self) -> None:
        """Of too many the one that is longest ago goes."""
        misfits = Misfits(max_blobs=2)
        for blob in "abac":
            misfits.remember(blob, ["h"], 9, 0.0)
        self.assertEqual([bool(misfits.hosts(blob, 0.0)) for blob in "abc"], [True, False, True])

    @settings(derandomize=True, max_examples=100, deadline=None)
    @given(st.lists(STEPS, max_size=20))
    def test_reference(self, steps: list[tuple[int, str, int]]) -> None:
        """It is what a list of all that happened would tell."""
        misfits = Misfits()
        kept: dict[int, tuple[float, set[str]]] = {}
        now = 0.0
        for blob, host, seconds in steps:
            until, hosts = kept.get(blob, (now, set()))
            kept[blob] = (now + REMEMBERED, {host} | (hosts if now < until else set()))
            misfits.remember(blob, [host], 9, now)
            now += seconds
            for each, (until, hosts) in kept.items():
                self.assertEqual(misfits.hosts(each, now), hosts if now < until else set())
