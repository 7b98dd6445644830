"""Bodies that mend themselves: how long, how often, and for whom."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from docxy.interfaces import Reply, UpstreamTimedOut
from docxy.policy.retry import Patience
from docxy.testing import MemoryBody, reply
from tests.unit.upstream.unbroken_rig import (
    CARE,
    CONTENT,
    SIZE,
    Bench,
    Line,
    UnbrokenCase,
    body_of,
    part,
    refusal,
    whole,
)


class SlowTests(UnbrokenCase):
    """Legs that are too slow."""

    def test_stall(self) -> None:
        """No byte for 15 seconds, and the leg is left for another one; what it says later is not heard."""
        first = whole(cut=33, end="never")
        self.bench.deliver(first, part(33))
        self.bench.wait(10)
        body_of(first).arrive(CONTENT[33:35])
        self.bench.wait(14)
        self.assertEqual(self.bench.asked, [])
        self.bench.script[0] = part(35)
        self.bench.wait(3)
        self.assertTrue(body_of(first).stopped)
        reader = body_of(first)._reader
        assert reader is not None
        reader.dataReceived(b"late")
        body_of(first).close()
        self.ended_whole(self.bench)
        self.assertEqual((self.bench.firsts, self.bench.course.resumes), ([35], {"stall": 1}))

    def test_paused_is_no_stall(self) -> None:
        """While the sink wants nothing the clock stands; afterwards it begins anew."""
        first = whole(cut=33, end="never")
        self.bench.deliver(first, part(33))
        self.bench.wait(10)
        self.bench.sink.producer.pauseProducing()
        self.bench.sink.producer.pauseProducing()
        self.bench.wait(200)
        self.bench.sink.producer.resumeProducing()
        self.bench.wait(14)
        self.assertEqual(self.bench.asked, [])
        self.bench.wait(3)
        self.ended_whole(self.bench)

    def test_crawl(self) -> None:
        """A leg below the floor of bytes a second is left, where there is a floor."""
        for crawl, asked in ((0, 0), (3, 1)):
            bench = Bench(replace(CARE, crawl=crawl))
            first = whole(cut=5, end="never")
            bench.deliver(first, part(14))
            for at in range(5, 18):
                bench.wait(1)
                body_of(first).arrive(CONTENT[at : at + 1])
            self.assertEqual(bench.firsts, [14] * asked)
            if asked:
                self.assertEqual((bench.sink.came, bench.course.resumes), (CONTENT, {"crawl": 1}))
            bench.sink.producer.stopProducing()
            self.left_nothing(bench)


class BudgetTests(UnbrokenCase):
    """How many tries, for how long."""

    def test_attempts(self) -> None:
        """Eight tries in a row without a byte, then a short end that tells the last cause."""
        lines: tuple[Line, ...] = (
            UpstreamTimedOut("late"),
            refusal(503),
            part(34),
            part(33, 33, "broken"),
            part(33, 33, "whole"),
            UpstreamTimedOut("late"),
            whole(cut=20),
            refusal(500),
            part(33),
        )
        self.bench.deliver(whole(cut=33), *lines)
        self.bench.wait(150)
        self.ended_short(self.bench, "status 500", CONTENT[:33])
        self.assertEqual(len(self.bench.asked), 8)
        self.assertEqual(self.bench.course.resumes.total(), 8)

    def test_backoff(self) -> None:
        """The waits double."""
        self.bench.deliver(whole(cut=33), *(UpstreamTimedOut("late") for _ in range(8)))
        self.bench.wait(150)
        times = [0.0, *self.bench.asked_at]
        waits = [round(after - before, 1) for before, after in pairwise(times)]
        self.assertEqual(waits, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 7.5])
        self.ended_short(self.bench, "late", CONTENT[:33])

    def test_at_once(self) -> None:
        """After a leg that brought enough nothing is waited for; what came before it does not count."""
        bench = Bench(replace(CARE, patience=Patience(worth=30)))
        bench.deliver(whole(cut=30), part(30, 60, "broken"), part(60, 89, "broken"), part(89))
        bench.wait(1)
        self.assertEqual([round(at, 1) for at in bench.asked_at], [0.0, 0.0, 0.1])
        self.ended_whole(bench)

    def test_reset_by_progress(self) -> None:
        """Bytes renew the budget: seven failures, a byte, seven more, and all is well."""
        failures = [UpstreamTimedOut("late") for _ in range(7)]
        self.bench.deliver(whole(cut=33), *failures, part(33, 34, "broken"), *failures, part(34))
        self.bench.wait(150)
        self.ended_whole(self.bench)

    def test_skipped_bytes(self) -> None:
        """Bytes that had been delivered before are no progress, however many they are."""
        self.bench.deliver(whole(cut=33), *(whole(cut=33, end="broken") for _ in range(20)))
        self.bench.wait(150)
        self.ended_short(self.bench, "the connection broke", CONTENT[:33])
        self.assertEqual(len(self.bench.asked), 8)

    def test_seconds(self) -> None:
        """150 seconds without a byte are all, whatever is left of the tries."""
        waiting = refusal(503, (b"Retry-After", b"100"))
        self.bench.deliver(whole(cut=33), waiting, refusal(503, (b"Retry-After", b"100")), refusal(503))
        self.bench.wait(155)
        self.ended_short(self.bench, "status 503", CONTENT[:33])
        self.assertEqual(len(self.bench.asked), 3)
        self.assertLess(self.bench.asked_at[-1], 151)

    def test_long_legs(self) -> None:
        """A leg that delivers for longer than that has all of the budget when it breaks."""
        first = whole(cut=10, end="never")
        self.bench.deliver(first, part(30))
        for at in range(10, 30):
            self.bench.wait(10)
            body_of(first).arrive(CONTENT[at : at + 1])
        body_of(first).close()
        self.bench.wait(1)
        self.ended_whole(self.bench)

    def test_pauses_do_not_count(self) -> None:
        """The time in which the sink wanted nothing is not taken from the budget."""
        first = whole(cut=33, end="never")
        self.bench.deliver(first, UpstreamTimedOut("late"), part(33))
        for _ in range(2):
            self.bench.sink.producer.pauseProducing()
            self.bench.wait(200)
            self.bench.sink.producer.resumeProducing()
            self.bench.sink.producer.resumeProducing()
        self.bench.sink.producer.pauseProducing()
        self.bench.wait(200)
        body_of(first).close()
        self.bench.wait(1)
        self.bench.sink.producer.resumeProducing()
        self.bench.wait(5)
        self.ended_whole(self.bench)


class PauseTests(UnbrokenCase):
    """A sink that wants nothing for a while."""

    def test_no_try(self) -> None:
        """A leg that breaks while the sink pauses is mended once the sink wants bytes again."""
        first = whole(cut=33, end="never")
        self.bench.deliver(first, part(33))
        self.bench.sink.producer.pauseProducing()
        body_of(first).close()
        self.bench.wait(250)
        self.assertEqual(self.bench.asked, [])
        self.bench.sink.producer.resumeProducing()
        self.bench.wait(0.1)
        self.ended_whole(self.bench)

    def test_before_the_wait_is_over(self) -> None:
        """A pause that ends between two tries changes nothing."""
        first = whole(cut=33, end="never")
        self.bench.deliver(first, part(33))
        self.bench.sink.producer.pauseProducing()
        body_of(first).close()
        self.bench.sink.producer.resumeProducing()
        self.bench.wait(1)
        self.ended_whole(self.bench)
        self.assertEqual(self.bench.firsts, [33])

    def test_outlives_the_leg(self) -> None:
        """A pause during a try holds for the leg that comes of it."""
        asked: Deferred[Reply] = Deferred()
        answer = part(33, end="never")
        self.bench.deliver(whole(cut=33), asked)
        self.bench.wait(1)
        self.bench.sink.then = lambda: self.bench.sink.producer.pauseProducing()
        self.bench.sink.producer.pauseProducing()
        asked.callback(answer)
        self.assertTrue(body_of(answer).paused)
        sent = body_of(answer).sent
        self.bench.wait(100)
        self.assertEqual((body_of(answer).sent, len(self.bench.asked)), (sent, 1))
        self.bench.sink.then = lambda: None
        self.bench.sink.producer.resumeProducing()
        body_of(answer).close("whole")
        self.ended_whole(self.bench)

    def test_from_the_start(self) -> None:
        """A sink that pauses as soon as it is connected is heard too."""
        first = whole(cut=33, end="never")
        sink = self.bench.sink
        sink.connectionMade = lambda: sink.producer.pauseProducing()  # type: ignore[method-assign]
        self.bench.deliver(first)
        self.assertTrue(body_of(first).paused)
        sink.producer.stopProducing()


class LeavingTests(UnbrokenCase):
    """A sink that leaves: no try, no call, no connection is left."""

    def left(self, sink_came: bytes) -> None:
        """It leaves, twice even."""
        self.bench.sink.producer.stopProducing()
        self.bench.sink.producer.stopProducing()
        self.bench.sink.producer.resumeProducing()
        self.assertEqual((self.bench.sink.came, self.bench.sink.reason), (sink_came, None))
        self.left_nothing(self.bench)

    def test_flowing(self) -> None:
        """In mid-leg: the leg is closed."""
        first = whole(cut=33, end="never")
        self.bench.deliver(first)
        self.left(CONTENT[:33])
        self.assertTrue(body_of(first).stopped)
        body_of(first).close()
        self.left_nothing(self.bench)

    def test_by_its_bytes(self) -> None:
        """Because of the bytes that it got, even the last ones."""
        for cut in (14, SIZE):
            bench = Bench()
            first = whole(end="never")
            bench.sink.then = lambda bench=bench, cut=cut: (  # type: ignore[misc]
                len(bench.sink.came) == cut and bench.sink.producer.stopProducing()
            )
            bench.deliver(first)
            self.assertEqual((bench.sink.came, bench.sink.reason), (CONTENT[:cut], None))
            self.assertTrue(body_of(first).stopped)
            self.left_nothing(bench)

    def test_waiting(self) -> None:
        """Between two tries: the next one is not made."""
        self.bench.deliver(whole(cut=33), part(33))
        self.left(CONTENT[:33])
        self.assertEqual(self.bench.asked, [])

    def test_postponed(self) -> None:
        """While it wanted nothing: no try is made any more."""
        self.bench.deliver(whole(cut=33), part(33))
        self.bench.sink.producer.pauseProducing()
        self.bench.wait(1)
        self.left(CONTENT[:33])
        self.assertEqual(self.bench.asked, [])

    def test_asking(self) -> None:
        """During a try: it is cancelled."""
        cancelled: list[object] = []
        self.bench.deliver(whole(cut=33), Deferred(cancelled.append))
        self.bench.wait(1)
        self.left(CONTENT[:33])
        self.assertEqual(len(cancelled), 1)

    def test_asking_too_late(self) -> None:
        """Where the answer or another failure comes all the same, it is let go."""
        answer = part(33)
        for outcome in (answer, Failure(UpstreamTimedOut("late")), Failure(CancelledError())):
            self.bench = Bench()
            asked: Deferred[Reply] = Deferred(lambda it, outcome=outcome: it.callback(outcome))  # type: ignore[misc]
            self.bench.deliver(whole(cut=33), asked)
            self.bench.wait(1)
            self.left(CONTENT[:33])
        self.assertEqual(body_of(answer).fate, "dropped")

    def test_before_delivery(self) -> None:
        """As soon as it is connected: the answer is let go."""
        first = whole()
        sink = self.bench.sink
        sink.connectionMade = lambda: sink.producer.stopProducing()  # type: ignore[method-assign]
        self.bench.deliver(first)
        self.assertEqual((body_of(first).fate, sink.reason), ("dropped", None))
        self.left_nothing(self.bench)

    def test_after_the_end(self) -> None:
        """After the end it changes nothing."""
        self.bench.deliver(reply(200, MemoryBody(CONTENT), length=SIZE))
        self.bench.sink.producer.pauseProducing()
        self.bench.sink.producer.stopProducing()
        self.ended_whole(self.bench)
