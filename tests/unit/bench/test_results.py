"""
The figures of a run: series, and the JSON that keeps them.
"""

import json

from twisted.trial.unittest import SynchronousTestCase

from bench.results import Results, from_json, to_json


def two_rounds() -> Results:
    """Two ways in one case, one of which fails after the first round."""
    results = Results({"date": "2026-01-02"}, {"blob": "one blob"})
    results.add("blob", "nginx", {"MB/s": 420, "CPU": 2.0})
    results.add("blob", "docxy", {"MB/s": 300})
    results.add("blob", "nginx", {"MB/s": 410.123456789, "CPU": 2.5})
    results.fail("blob", "docxy", "it ended")
    results.fail("blob", "peer", "not installed")
    return results


class ResultsTests(SynchronousTestCase):
    """What is added can be found."""

    def test_series(self) -> None:
        """A series has its middle and both its ends."""
        results = Results(titles={"blob": "one blob"})
        for value in (3.0, 1.0, 9.0):
            results.add("blob", "nginx", {"MB/s": value})
        found = results.find("blob", "nginx", "MB/s")
        assert found is not None
        self.assertEqual((found.median, found.low, found.high), (3.0, 1.0, 9.0))

    def test_absent(self) -> None:
        """What was not measured is not there."""
        self.assertIsNone(two_rounds().find("blob", "docxy", "CPU"))

    def test_order(self) -> None:
        """Ways and metrics keep the order of the first round, and who only failed comes last."""
        results = two_rounds()
        self.assertEqual(results.ways("blob"), ["nginx", "docxy", "peer"])
        self.assertEqual(results.metrics("blob"), ["MB/s", "CPU"])
        self.assertEqual((results.ways("other"), results.metrics("other")), ([], []))


class JsonTests(SynchronousTestCase):
    """The document of a run."""

    def test_round_trip(self) -> None:
        """What is written is read again, to six digits."""
        results = two_rounds()
        results.series["blob", "nginx", "MB/s"][1] = 410.123
        self.assertEqual(from_json(json.loads(json.dumps(to_json(results)))), results)

    def test_digits(self) -> None:
        """Six digits are kept, and the statistics stand beside the values."""
        way = to_json(two_rounds())["cases"][0]["ways"][0]
        told = {"median": 415.062, "low": 410.123, "high": 420.0, "values": [420.0, 410.123]}
        self.assertEqual((way["name"], way["metrics"]["MB/s"]), ("nginx", told))

    def test_failed(self) -> None:
        """Who failed says why; who did not says nothing of it."""
        told = [way.get("failed") for way in to_json(two_rounds())["cases"][0]["ways"]]
        self.assertEqual(told, [None, "it ended", "not installed"])

    def test_other_format(self) -> None:
        """A document of another format is refused."""
        for document in ({}, {"format": 0}):
            with self.assertRaisesRegex(ValueError, "format 1"):
                from_json(document)
