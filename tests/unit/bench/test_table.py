"""
A run as text for the terminal.
"""

from twisted.trial.unittest import SynchronousTestCase

from bench.results import Results, Series
from bench.table import about, cell, columns, number, table


class NumberTests(SynchronousTestCase):
    """Three significant digits."""

    def test_sizes(self) -> None:
        """Large numbers have no places, small ones as many as they need, and none an exponent."""
        table = {
            0: "0",
            0.001234: "0.00123",
            0.0000001: "0.000000",
            0.05: "0.0500",
            0.9996: "1.00",
            1.234: "1.23",
            9.996: "10.0",
            12.34: "12.3",
            123.4: "123",
            12345.6: "12346",
            -1.5: "-1.50",
        }
        self.assertEqual({value: number(value) for value in table}, table)


class CellTests(SynchronousTestCase):
    """One series."""

    def test_range(self) -> None:
        """More than one value shows what they range over."""
        self.assertEqual(cell(Series((2.0, 1.0, 4.0))), "2.00 (1.00 to 4.00)")

    def test_one(self) -> None:
        """One value stands alone, and none is a dash."""
        self.assertEqual((cell(Series((2.0,))), cell(None)), ("2.00", "-"))


class TableTests(SynchronousTestCase):
    """The whole."""

    def test_columns(self) -> None:
        """The first column is flush left, the others right, and no line ends in blanks."""
        self.assertEqual(columns([["", "a"], ["long", "12"], ["x", ""]]), ["       a", "long  12", "x"])

    def test_whole(self) -> None:
        """A block for each case, a line for each way, and the reasons of those that failed."""
        results = Results({"date": "2026-01-02"}, {"blob": "one blob", "head": "HEAD"})
        results.add("blob", "nginx", {"MB/s": 420})
        results.fail("blob", "peer", "it ended")
        results.add("head", "nginx", {"ms": 0.5})
        lines = [
            "run of 2026-01-02",
            "",
            "blob: one blob",
            "         MB/s",
            "  nginx   420",
            "  peer      -",
            "  peer failed: it ended",
        ]
        lines += ["", "head: HEAD", "            ms", "  nginx  0.500", ""]
        self.assertEqual(table(results).split("\n"), lines)

    def test_about(self) -> None:
        """It begins with when, where and with what the run was made."""
        told = {
            "date": "2026-01-02",
            "quick": True,
            "machine": {"cores": "2"},
            "versions": {"curl": "8", "wrk": "4"},
        }
        lines = ["quick run of 2026-01-02", "cores 2", "curl 8, wrk 4", ""]
        self.assertEqual(about(Results(told)), lines)
