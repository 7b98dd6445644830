"""
Which pictures a run has.
"""

from twisted.trial.unittest import SynchronousTestCase

from bench.cases import every
from bench.charts import SHOWN, Bar, Chart, charts
from bench.results import SECONDS, THROUGHPUT, Results


class ChartTests(SynchronousTestCase):
    """Pictures are made of what was measured."""

    def test_groups(self) -> None:
        """Each case of a picture is a group with its title, each way a bar with its range."""
        results = Results(titles={"image": "an image", "image-line": "an image, slowly"})
        for value in (3.0, 1.0, 2.0):
            results.add("image", "nginx", {SECONDS: value})
        results.add("image-line", "docxy", {SECONDS: 9.0})
        groups = (
            ("an image", (Bar("nginx", 2.0, 1.0, 3.0),)),
            ("an image, slowly", (Bar("docxy", 9.0, 9.0, 9.0),)),
        )
        self.assertEqual(charts(results), [Chart("image", SECONDS, groups)])

    def test_left_out(self) -> None:
        """A case that was not measured is left out, and so is a way that failed."""
        results = Results(titles={"blobs-8": "eight"})
        results.add("blobs-8", "nginx", {THROUGHPUT: 400.0})
        results.fail("blobs-8", "peer", "it ended")
        self.assertEqual(
            [(one.name, len(one.groups), len(one.groups[0][1])) for one in charts(results)], [("many", 1, 1)]
        )
        self.assertEqual(charts(Results()), [])

    def test_known(self) -> None:
        """Every case that a picture shows is one that is run."""
        self.assertEqual(
            {case for _, cases, _ in SHOWN for case in cases} - {case.name for case in every()}, set()
        )
