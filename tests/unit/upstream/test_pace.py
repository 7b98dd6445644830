"""How fast a body comes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.upstream.pace import CRAWL_SECONDS, Pace


class StallTests(SynchronousTestCase):
    """No byte at all."""

    def passed(self, pace: Pace, seconds: int) -> list[str]:
        """What it says to second after second."""
        said = [pace.passed(1.0) for _ in range(seconds)]
        return [cause for each in said if each is not None for cause in each[:1]]

    def test_stall(self) -> None:
        """So many seconds without a byte, and no less, are a stall; a byte or a new beginning starts anew."""
        pace = Pace(5.0, 0)
        self.assertEqual(self.passed(pace, 5), [])
        pace.took(1)
        self.assertEqual(self.passed(pace, 5), [])
        pace.restart()
        # The second that is told next may have begun long before.
        self.assertEqual(self.passed(pace, 5), [])
        self.assertEqual(pace.passed(1.0), ("stall", "it sent nothing for 5 s"))

    def test_no_floor(self) -> None:
        """Without a floor one byte now and then is enough."""
        pace = Pace(5.0, 0)
        for _ in range(20):
            pace.took(1)
            self.assertEqual(self.passed(pace, 4), [])


class CrawlTests(SynchronousTestCase):
    """Fewer bytes than the floor."""

    def test_crawl(self) -> None:
        """Each ten seconds are judged by themselves."""
        for size, cause in ((99, "crawl"), (100, None), (1000, None)):
            pace = Pace(60.0, 10)
            for _ in range(3):
                pace.took(size)
                said = [pace.passed(1.0) for _ in range(int(CRAWL_SECONDS))]
                self.assertEqual(said[:-1], [None] * 9)
                self.assertEqual(said[-1] and said[-1][0], cause)

    def test_words(self) -> None:
        """The words name the floor."""
        said = [Pace(60.0, 10).passed(10.0)]
        self.assertEqual(said, [("crawl", "it sent less than 10 bytes a second")])

    def test_restart(self) -> None:
        """A new beginning forgets the bytes before."""
        pace = Pace(60.0, 10)
        pace.took(1000)
        pace.restart()
        self.assertEqual(pace.passed(10.0), ("crawl", "it sent less than 10 bytes a second"))
