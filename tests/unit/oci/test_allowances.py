"""Tests for `docxy.oci.allowances`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.allowances import Pulls, parse_pulls, parse_source

# Each line is what a header says, and what it means.
TABLE: dict[str, Pulls | None] = {
    "100;w=21600": Pulls(100, 21600),
    "0;w=3600": Pulls(0, 3600),
    " 76 ; W = 21600 ": Pulls(76, 21600),
    "100": Pulls(100),
    "100;w=0": Pulls(100),
    "100;w=": Pulls(100),
    "100;w=x;w=60": Pulls(100, 60),
    '100;comment="x";w=60': Pulls(100, 60),
    "10, 10;w=1, 50;w=60": Pulls(10),
    "10;w=1, 50;w=60": Pulls(10, 1),
    "": None,
    "unlimited": None,
    "-1;w=60": None,
    "1.5;w=60": None,
    "9" * 13: None,
    "\u0661;w=60": None,
}


class AllowanceTests(SynchronousTestCase):
    """What headers say."""

    def test_table(self) -> None:
        """A count and its window are read; what is neither is left out."""
        for text, expected in TABLE.items():
            self.assertEqual(parse_pulls(text), expected, text)
        self.assertIsNone(parse_pulls(None))

    @given(st.integers(0, 10**12 - 1), st.integers(1, 10**12 - 1))
    def test_round(self, count: int, window: int) -> None:
        """What the registry writes is read as it was meant."""
        self.assertEqual(parse_pulls(f"{count};w={window}"), Pulls(count, window))

    @given(st.text(max_size=60))
    def test_anything(self, text: str) -> None:
        """Whatever comes is bounded numbers, or nothing."""
        found = parse_pulls(text)
        if found is not None:
            self.assertTrue(0 <= found.count < 10**12)
            self.assertTrue(found.window is None or 0 < found.window < 10**12)

    def test_source(self) -> None:
        """Whom the registry counts is an address or an account; anything else is not repeated."""
        for text in ("203.0.113.9", "2001:41d0:801:2000::", "8a4f-11ed_x"):
            self.assertEqual(parse_source(text), text)
        for bad in (None, "", "a b", "<b>", "x" * 65):
            self.assertEqual(parse_source(bad), "")
