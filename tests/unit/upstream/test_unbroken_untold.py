"""Bodies that mend themselves: of unknown size, and answers that are of something else."""

from __future__ import annotations

from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from docxy.interfaces import Reply, Span, UpstreamBroken
from tests.unit.upstream.unbroken_rig import CONTENT, SIZE, Bench, UnbrokenCase, body_of, part, refusal, whole

UNTOLD = Span(0, None, None)


class UntoldTests(UnbrokenCase):
    """Bodies of unknown size."""

    def broken(self, *script: Reply, told: bool = False) -> Bench:
        """A body that broke after 33 bytes of untold size."""
        bench = Bench()
        bench.deliver(whole(cut=33, told=False), *script, span=UNTOLD)
        bench.wait(150)
        return bench

    def test_learnt(self) -> None:
        """The size is learnt from the first answer that tells it, and holds from then on."""
        wrong = part(50, told="bytes 50-98/99")
        bench = self.broken(part(33, 50, "broken"), wrong, part(50))
        self.ended_whole(bench)
        self.assertEqual(bench.asked[0][:2], (33, None))
        self.assertEqual(bench.asked[1][:2], (50, SIZE))
        self.assertEqual(bench.course.resumes["misfit"], 1)

    def test_skipped(self) -> None:
        """A 200 tells the end by its own, with a size and without."""
        for told in (True, False):
            self.ended_whole(self.broken(whole(end="whole", told=told)))

    def test_end_is_known(self) -> None:
        """416 with the size that came, and a 200 of that size, say that all is there."""
        bare = b"bytes */33"
        for answer in (refusal(416, (b"Content-Range", bare)), whole(CONTENT[:33], end="whole")):
            self.ended_whole(self.broken(answer), CONTENT[:33])
            self.assertIn(body_of(answer).fate, ("dropped", "delivered"))

    def test_other_416(self) -> None:
        """416 that says something else, or nothing, is no end."""
        for told in ([(b"Content-Range", b"bytes */34")], [(b"Content-Range", b"x")], []):
            self.ended_whole(self.broken(refusal(416, *told), part(33)))

    def test_no_end_of_the_content(self) -> None:
        """The clean end of what skipped too little, or is a part of untold size, is not the content's."""
        for answer in (
            whole(CONTENT[:20], end="whole", told=False),
            whole(CONTENT[:20], end="whole"),
            whole(b"", end="whole", told=False),
            part(33, 40, told="bytes 33-39/*"),
        ):
            last = part(40) if answer.status == 206 else part(33)
            self.ended_whole(self.broken(answer, last))

    def test_end_of_part(self) -> None:
        """After a part of untold size it takes a 416 to know that nothing follows."""
        bench = self.broken(part(33, told="bytes 33-99/*"), refusal(416, (b"Content-Range", b"bytes */100")))
        self.ended_whole(bench)

    def test_untold_end(self) -> None:
        """Where a close tells the end: two answers that end at one byte leave it to the digest."""
        bench = Bench()
        first = whole(end="unknown", told=False)
        bench.deliver(first, whole(end="unknown", told=False), span=UNTOLD)
        bench.wait(5)
        assert bench.sink.reason is not None
        bench.sink.reason.trap(PotentialDataLoss)
        self.assertEqual((bench.sink.came, len(bench.asked)), (CONTENT, 1))
        self.left_nothing(bench)

    def test_untold_ends_that_differ(self) -> None:
        """A second answer that goes further, or not as far, is no second witness."""
        first = whole(cut=33, end="unknown", told=False)
        bench = Bench()
        bench.deliver(
            first,
            whole(cut=20, end="unknown", told=False),
            whole(cut=40, end="unknown", told=False),
            whole(end="whole", told=False),
            span=UNTOLD,
        )
        bench.wait(10)
        self.ended_whole(bench)
        self.assertEqual(bench.firsts, [33, 33, 40])

    def test_untold_without_asking(self) -> None:
        """What is only watched ends as its answer does."""
        for end, reason in (
            ("unknown", PotentialDataLoss),
            ("broken", UpstreamBroken),
            ("whole", ResponseDone),
        ):
            bench = Bench()
            bench.body(whole(end=end, told=False), UNTOLD, None).deliver(bench.sink)  # type: ignore[arg-type]
            assert bench.sink.reason is not None
            bench.sink.reason.trap(reason)
            self.left_nothing(bench)


class MisfitTests(UnbrokenCase):
    """Answers that are of something else."""

    def test_table(self) -> None:
        """Another part, another content, coded bytes and nonsense are let go, and it is asked again."""
        coded = [(b"Content-Encoding", b"gzip")]
        for answer in (
            part(34),
            part(0),
            part(33, told="bytes 33-100/101"),
            part(33, told="nonsense"),
            part(33, told="bytes */100"),
            part(33, headers=coded),
            whole(CONTENT + b"x"),
            whole(CONTENT[:90]),
            whole(headers=coded),
        ):
            bench = Bench()
            bench.deliver(whole(cut=33), answer, part(33))
            bench.wait(5)
            self.ended_whole(bench)
            self.assertEqual(body_of(answer).fate, "dropped")
            self.assertEqual((bench.firsts, bench.course.resumes["misfit"]), ([33, 33], 1))
