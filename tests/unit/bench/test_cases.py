"""
The list of cases, and the options that choose of it.
"""

from argparse import Namespace

from twisted.trial.unittest import SynchronousTestCase

from bench.__main__ import arguments, chosen
from bench.cases import every


def parsed(*words: str) -> Namespace:
    """Options as they are typed."""
    return arguments().parse_args(words)


def names(*words: str) -> tuple[list[str], list[str]]:
    """The cases and ways that these options choose."""
    cases, ways = chosen(arguments(), parsed(*words))
    return [case.name for case in cases], [way.name for way in ways]


class ChosenTests(SynchronousTestCase):
    """What is run."""

    def test_all(self) -> None:
        """Untold, every case through every way; no two have one name."""
        cases, ways = names()
        self.assertEqual(cases, [case.name for case in every()])
        self.assertEqual((len(set(cases)), len(set(ways))), (len(cases), 6))

    def test_quick(self) -> None:
        """A quick run has fewer, but a case that is asked for by name is run all the same."""
        self.assertLess(len(names("--quick")[0]), len(every()))
        self.assertEqual(names("--quick", "--case", "token", "--case", "blob")[0], ["token", "blob"])

    def test_ways(self) -> None:
        """Ways are chosen by how their names begin."""
        self.assertEqual(
            names("--way", "docxy", "--way", "nginx")[1], ["nginx", "docxy", "docxy, verify = false"]
        )

    def test_peers(self) -> None:
        """Another proxy is one more way, in cases with TLS on both sides."""
        cases, ways = chosen(
            arguments(), parsed("--peer", "other=run --on {listen}", "--peer-url", "other=http://x")
        )
        self.assertEqual((ways[-1].name, ways[-1].url), ("other", "http://x"))  # type: ignore[attr-defined]  # a Peer
        fitting = [case.name for case in cases if case.fits(ways[-1])]
        self.assertIn("blob", fitting)
        self.assertNotIn("blob-plain", fitting)

    def test_wrong(self) -> None:
        """A case that is none, and a peer without a command, end the program."""
        for words in (["--case", "blub"], ["--peer", "other"]):
            with self.assertRaises(SystemExit):
                names(*words)

    def test_straight(self) -> None:
        """Where the two sides differ, there is no straight way."""
        cases, ways = chosen(
            arguments(), parsed("--way", "straight", "--case", "blob", "--case", "blob-plain-client")
        )
        self.assertEqual([case.name for case in cases for way in ways if case.fits(way)], ["blob"])
