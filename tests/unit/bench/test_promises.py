"""
The promises of speed, judged by made-up runs.
"""

from twisted.trial.unittest import SynchronousTestCase

from bench.promises import HASH, PROMISES, judged, promises
from bench.results import (
    ABOVE_IDLE,
    CPU_PER_GIB,
    FIRST_ANSWER,
    IDLE,
    P50,
    SECONDS,
    SERVED,
    THROUGHPUT,
    WHOLE,
    Results,
)

Figures = dict[tuple[str, str, str], float]

# Each figure just good enough.
KEPT: Figures = {
    ("blob", "nginx", CPU_PER_GIB): 2,
    ("blob", "nginx", THROUGHPUT): 400,
    ("blob", "docxy", CPU_PER_GIB): 3.25,
    ("blob", "docxy", THROUGHPUT): 323,
    ("blob", "docxy, verify = false", CPU_PER_GIB): 2.6,
    ("blob", "docxy, verify = false", THROUGHPUT): 340,
    ("head", "straight", P50): 0.25,
    ("head", "docxy", P50): 1.75,
    ("slow", "docxy", ABOVE_IDLE): 250,
    ("slow", "docxy", SERVED): 1000,
    ("start", "docxy", IDLE): 70,
    ("start", "docxy", FIRST_ANSWER): 1,
    ("image", "straight", SECONDS): 10,
    ("image", "docxy", SECONDS): 10.5,
    ("image-line", "straight", SECONDS): 20,
    ("image-line", "docxy", SECONDS): 21,
    ("steady", "docxy", SECONDS): 10,
    ("resetting", "docxy", SECONDS): 11,
    ("resetting", "docxy", WHOLE): 100,
    ("resetting", "straight", WHOLE): 0,
    ("resetting", "nginx", WHOLE): 0,
    ("steady-line", "docxy", SECONDS): 10,
    ("resetting-line", "docxy", SECONDS): 11,
    ("resetting-line", "docxy", WHOLE): 100,
}

# For each promise a figure that breaks it.
BROKEN: tuple[Figures, ...] = (
    {("blob", "docxy, verify = false", CPU_PER_GIB): 2.61},
    {("blob", "docxy, verify = false", THROUGHPUT): 339},
    {("blob", "docxy", CPU_PER_GIB): 3.27},
    {("blob", "docxy", THROUGHPUT): 322},
    {("head", "docxy", P50): 1.76},
    {("slow", "docxy", ABOVE_IDLE): 251},
    {("start", "docxy", IDLE): 70.1},
    {("start", "docxy", FIRST_ANSWER): 1.01},
    {("image", "docxy", SECONDS): 10.51},
    {("image-line", "docxy", SECONDS): 21.1},
    {("resetting", "nginx", WHOLE): 100},
    {("resetting", "docxy", SECONDS): 11.1},
    {("resetting-line", "docxy", SECONDS): 11.1},
)


def run(figures: Figures) -> Results:
    """A run of one round."""
    results = Results({HASH: 0.6})
    for (case, way, metric), value in figures.items():
        results.titles[case] = case
        results.add(case, way, {metric: value})
    return results


class JudgedTests(SynchronousTestCase):
    """Which promises are kept."""

    def test_kept(self) -> None:
        """A figure at its bound is good enough."""
        self.assertEqual([one.met for one in judged(run(KEPT))], [True] * len(PROMISES))

    def test_broken(self) -> None:
        """One beyond it breaks its promise and, of the others, none."""
        self.assertEqual(len(BROKEN), len(PROMISES))
        for number, figures in enumerate(BROKEN):
            found = [one.met for one in judged(run(KEPT | figures))]
            self.assertIs(found[number], False, PROMISES[number][0])

    def test_short(self) -> None:
        """A body that did not come whole keeps no promise, however fast it was."""
        for case, place in (("resetting", -2), ("resetting-line", -1)):
            self.assertIs(judged(run(KEPT | {(case, "docxy", WHOLE): 50}))[place].met, False)

    def test_turned_away(self) -> None:
        """Memory counts only where every client was served."""
        self.assertIs(judged(run(KEPT | {("slow", "docxy", SERVED): 999}))[5].met, False)

    def test_not_measured(self) -> None:
        """What was not measured is neither kept nor broken, and nor is what failed after some rounds."""
        results = run(KEPT)
        results.fail("start", "docxy", "it ended")
        del results.about[HASH]
        found = [one.met for one in judged(results)]
        self.assertEqual([place for place, met in enumerate(found) if met is None], [2, 6, 7])
        self.assertEqual({one.met for one in judged(Results())}, {None})


class TableTests(SynchronousTestCase):
    """The verdicts as text."""

    def test_lines(self) -> None:
        """A line for each promise: what was promised, what was measured, whether it is kept."""
        lines = promises(
            run({("start", "docxy", IDLE): 60, ("head", "docxy", P50): 3, ("head", "straight", P50): 1})
        ).splitlines()
        self.assertEqual(len(lines), len(PROMISES) + 1)
        told = [line.split("  ")[0] + "|" + " ".join(line.split()[-3:]) for line in lines]
        self.assertIn("idle under 70 MiB|60.0 MiB yes", told)
        self.assertIn("HEAD of a manifest: p50 under 1.5 ms above straight|2.00 ms no", told)
        self.assertTrue(told[-1].endswith("|not measured -"), told[-1])

    def test_nothing(self) -> None:
        """A run that measured nothing of it says nothing."""
        self.assertEqual(promises(Results()), "")
