"""Bodies that mend themselves: from where on, by what answers, and from whom."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from docxy.interfaces import (
    IBody,
    Reply,
    Span,
    UpstreamBroken,
    UpstreamRefused,
    UpstreamTimedOut,
    UpstreamTooLarge,
)
from docxy.settings.values import LimitSettings, UpstreamSettings
from docxy.upstream.unbroken import MAX_AVOIDED, unbroken_maker
from tests.unit.upstream.unbroken_rig import (
    CARE,
    CDN,
    CONTENT,
    HOME,
    SIZE,
    Bench,
    UnbrokenCase,
    body_of,
    part,
    refusal,
    whole,
)


class WholeTests(UnbrokenCase):
    """Bodies that need no mending."""

    def test_interfaces(self) -> None:
        """It is a body to those who take it, and a producer to its sink."""
        body = self.bench.body(whole(), None, None)
        verifyObject(IBody, body)
        verifyObject(IPushProducer, body)

    def test_whole(self) -> None:
        """What comes whole is passed on as it comes."""
        self.bench.deliver(whole(end="whole"))
        self.ended_whole(self.bench)
        self.assertEqual((self.bench.course.hosts, self.bench.course.resumes.total()), ([CDN], 0))

    def test_empty(self) -> None:
        """Nothing is whole as well, and its answer is let go."""
        first = whole(b"", end="whole")
        self.bench.deliver(first)
        self.ended_whole(self.bench, b"")
        self.assertEqual(body_of(first).fate, "dropped")

    def test_untold_size(self) -> None:
        """Without a size the end of a clean answer is the end."""
        self.bench.deliver(whole(end="whole", told=False), span=Span(0, None, None))
        self.ended_whole(self.bench)

    def test_part_of_200(self) -> None:
        """Of a whole answer only the span is passed on, and a long rest is not read."""
        first = whole(CONTENT * 2000, end="never")
        self.bench.deliver(first, span=Span(5, 40, SIZE * 2000))
        self.ended_whole(self.bench, CONTENT[5:40])
        self.assertTrue(body_of(first).stopped)
        self.assertLess(body_of(first).sent, 70_000)

    def test_short_rest(self) -> None:
        """A short rest is read even by a sink that paused, so that the connection can serve again."""
        first = whole()
        self.bench.sink.then = lambda: self.bench.sink.producer.pauseProducing()
        self.bench.deliver(first, span=Span(0, 7, SIZE))
        self.ended_whole(self.bench, CONTENT[:7])
        self.assertEqual((body_of(first).sent, body_of(first).paused), (SIZE, False))

    def test_silent_rest(self) -> None:
        """A rest that does not come keeps its connection for ten seconds only."""
        first = whole(cut=7, end="never")
        self.bench.deliver(first, span=Span(0, 7, SIZE))
        self.assertFalse(body_of(first).stopped)
        self.ended_whole(self.bench, CONTENT[:7])
        self.assertTrue(body_of(first).stopped)

    def test_drop_and_read(self) -> None:
        """Before it is delivered it can be let go, or read, as any body."""
        first = whole(end="whole")
        self.bench.body(first, None, None).drop()
        self.assertEqual(body_of(first).fate, "dropped")
        self.assertEqual(
            self.successResultOf(self.bench.body(whole(end="whole"), None, None).read(SIZE)), CONTENT
        )

    def test_read_in_vain(self) -> None:
        """Read, it is bounded and watched, and stops when nobody waits for it any more."""
        for cut, limit, error in ((None, 99, UpstreamTooLarge), (33, 100, UpstreamBroken)):
            first = whole(cut=cut, end="never")
            reading = self.bench.body(first, None, None).read(limit)
            self.bench.wait(17)
            self.failureResultOf(reading, error)
            self.assertTrue(body_of(first).stopped)
            self.left_nothing(self.bench)
        first = whole(cut=33, end="never")
        reading = self.bench.body(first, None, None).read(SIZE)
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.assertTrue(body_of(first).stopped)
        self.left_nothing(self.bench)

    def test_shortened(self) -> None:
        """A body may be told to end sooner, but not behind what it delivered."""
        body = self.bench.body(whole(cut=40, end="never"), None, None)
        body.deliver(self.bench.sink)
        self.assertFalse(body.shorten(40))
        self.assertTrue(body.shorten(50))
        self.assertIsNone(self.bench.sink.reason)

    def test_shortened_in_time(self) -> None:
        """The end that it was told is the end."""
        first = whole(cut=40, end="never")
        body = self.bench.body(first, None, None)
        body.deliver(self.bench.sink)
        body.shorten(50)
        body_of(first).arrive(CONTENT[40:])
        self.ended_whole(self.bench, CONTENT[:50])
        self.assertFalse(body.shorten(60))

    def test_maker(self) -> None:
        """What is borne comes of the settings."""
        bench = self.bench
        upstream = UpstreamSettings("a", ("https://mirror.example", f"https://{HOME}"), stall=2.0)
        make = unbroken_maker(LimitSettings(mend_attempts=2), bench.clock)
        answer = whole(cut=5, end="never")
        body = make(answer, Span(0, SIZE, SIZE), bench.course, bench.ask, upstream)
        bench.script.extend([refusal(503, host=HOME), refusal(503), refusal(503)])
        body.deliver(bench.sink)
        bench.wait()
        self.ended_short(bench, "status 503", CONTENT[:5])
        self.assertEqual(bench.asked[0], (5, SIZE, frozenset({CDN})))
        self.assertEqual(len(bench.asked), 2)
        self.assertGreater(bench.asked_at[0], 2.0)


class MendedTests(UnbrokenCase):
    """Breaks that the sink does not see."""

    def test_causes(self) -> None:
        """A reset and an early end are mended from the next missing byte, each told by its cause."""
        table: tuple[tuple[Reply, str], ...] = (
            (whole(cut=33, end="broken"), "reset"),
            (whole(cut=33, end="whole"), "short"),
            (whole(cut=33, end="unknown"), "short"),
        )
        for first, cause in table:
            bench = Bench()
            bench.deliver(first, part(33))
            bench.wait(1)
            self.ended_whole(bench)
            self.assertEqual(
                (bench.asked, bench.course.resumes), ([(33, SIZE, frozenset({CDN}))], {cause: 1})
            )

    def test_many(self) -> None:
        """Twenty resets in a row, each after some bytes, are twenty resumes and one whole body."""
        cuts = range(5, SIZE, 5)
        legs = [part(cut, cut + 5, "broken") for cut in cuts]
        self.bench.deliver(whole(cut=5), *legs)
        self.bench.wait(5)
        self.ended_whole(self.bench)
        self.assertEqual(self.bench.firsts, [*cuts])
        self.assertEqual((self.bench.course.resumes, self.bench.course.hosts), ({"reset": 19}, [CDN]))

    def test_span(self) -> None:
        """A client's own part is mended inside itself."""
        first = part(20, 30, "broken", told=f"bytes 20-59/{SIZE}")
        self.bench.deliver(first, part(30, 60, told=f"bytes 30-59/{SIZE}"), span=Span(20, 60, SIZE))
        self.bench.wait(1)
        self.ended_whole(self.bench, CONTENT[20:60])
        self.assertEqual(self.bench.asked, [(30, 60, frozenset({CDN}))])

    def test_skipped(self) -> None:
        """A 200 to a resume is skipped forward, also for a part."""
        for span in (Span(0, SIZE, SIZE), Span(20, 60, SIZE)):
            bench = Bench()
            bench.deliver(whole(cut=33), whole(end="whole"), span=span)
            bench.wait(1)
            self.ended_whole(bench, CONTENT[span.first : span.end])
            self.assertEqual(bench.firsts, [33])

    def test_less_than_asked(self) -> None:
        """A part that is shorter than was asked for is gone on from."""
        self.bench.deliver(whole(cut=33), part(33, 40, told=f"bytes 33-39/{SIZE}"), part(40))
        self.bench.wait(1)
        self.ended_whole(self.bench)
        self.assertEqual(self.bench.firsts, [33, 40])

    def test_avoided(self) -> None:
        """Hosts and addresses that failed are named to be tried last; the registry's own host never."""
        legs = (
            part(10, 20, "broken", host="b.example"),
            part(20, 30, "broken", host=HOME, address="192.0.2.2"),
            UpstreamTimedOut("late"),
            part(30),
        )
        self.bench.deliver(whole(cut=10, host="a.example", address="192.0.2.1"), *legs)
        self.bench.wait(5)
        self.ended_whole(self.bench)
        first = {"a.example", "192.0.2.1"}
        second = {*first, "b.example"}
        third = {*second, "192.0.2.2"}
        self.assertEqual([avoid for _, _, avoid in self.bench.asked], [first, second, third, third])
        self.assertEqual(self.bench.course.hosts, ["a.example", "b.example", HOME, CDN])
        self.assertEqual(self.bench.course.resumes, {"reset": 3, "unanswered": 1})

    def test_avoided_mirror(self) -> None:
        """A nearer mirror that the registry stands behind is avoided like any host."""
        first = replace(whole(cut=10, host="near.example"), redirected=False)
        self.bench.deliver(first, part(10))
        self.bench.wait(1)
        self.assertEqual(self.bench.asked[0][2], {"near.example"})

    def test_worth_asking(self) -> None:
        """Of a host that brought much and then broke off only the address is avoided."""
        care = replace(CARE, patience=replace(CARE.patience, worth=10))
        for first, avoided in (
            (whole(cut=10, host="a.example", address="192.0.2.1"), {"192.0.2.1"}),
            (whole(cut=9, host="a.example", address="192.0.2.1"), {"192.0.2.1", "a.example"}),
            (whole(cut=10, end="never", host="a.example"), {"a.example"}),
        ):
            bench = Bench(care)
            bench.deliver(first, part(9 if len(avoided) == 2 else 10))
            bench.wait(30)
            self.ended_whole(bench)
            self.assertEqual(bench.asked[0][2], avoided)

    def test_avoided_bound(self) -> None:
        """However many hosts fail, few are kept."""
        count = 3 * MAX_AVOIDED
        content = bytes(count + 1)
        self.bench.deliver(
            whole(content, 1, host="h"),
            *(whole(content, at + 2, host=f"h{at}") for at in range(count)),
        )
        self.bench.wait(60)
        self.ended_whole(self.bench, content)
        self.assertLess(max(len(avoid) for _, _, avoid in self.bench.asked), MAX_AVOIDED + 2)

    def test_body_that_failed(self) -> None:
        """A leg that ends with an error of ours is one that was not answered."""
        first = whole(cut=10, end="never")
        self.bench.deliver(first, part(10))
        reader = body_of(first)._reader
        assert reader is not None
        reader.connectionLost(Failure(UpstreamBroken("it was not to be had")))
        self.bench.wait(1)
        self.ended_whole(self.bench)
        self.assertEqual(self.bench.course.resumes, {"unanswered": 1})


class RefusedTests(UnbrokenCase):
    """Refusals of resumes."""

    def test_final(self) -> None:
        """Where the registry says no, or its token server does, it ends short at once."""
        lines: tuple[Reply | Exception, ...] = (
            *(refusal(status, host=HOME) for status in (401, 403, 404)),
            UpstreamRefused("the token server answered with status 401"),
        )
        for line in lines:
            bench = Bench()
            bench.deliver(whole(cut=33), line)
            bench.wait(1)
            self.assertEqual(len(bench.asked), 1)
            self.ended_short(bench, "status 40", CONTENT[:33])

    def test_elsewhere(self) -> None:
        """A CDN's refusal, and a nearer mirror's, are not the registry's: it is asked again."""
        near = replace(refusal(404, host="near.example"), redirected=False)
        for answer in (refusal(403), refusal(404), near):
            bench = Bench()
            bench.deliver(whole(cut=33), answer, part(33))
            bench.wait(2)
            self.ended_whole(bench)
            self.assertEqual(bench.course.resumes["refused"], 1)

    def test_retry_after(self) -> None:
        """429 and 503 are waited for as long as they ask, in seconds or as a date."""
        date = b"Mon, 23 Nov 2026 12:00:00 GMT"
        later = b"Mon, 23 Nov 2026 12:00:20 GMT"
        for status, headers in (
            (429, [(b"Retry-After", b"20")]),
            (503, [(b"Retry-After", later), (b"Date", date)]),
        ):
            bench = Bench()
            bench.deliver(whole(cut=33), refusal(status, *headers, host=HOME), part(33))
            bench.wait(19.5)
            self.assertEqual(len(bench.asked), 1)
            bench.wait(1)
            self.ended_whole(bench)

    def test_bug(self) -> None:
        """What is no failure of upstream's is told in the log, and ends short."""
        self.bench.deliver(whole(cut=33), RuntimeError("a bug"))
        self.bench.wait(1)
        self.ended_short(self.bench, "could not be asked for", CONTENT[:33])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
