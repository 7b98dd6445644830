"""Bodies that mend themselves, whatever becomes of them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.web.client import ResponseDone

from docxy.interfaces import Reply, Span, UpstreamTimedOut
from docxy.testing import End, MemoryBody, reply
from tests.unit.upstream.unbroken_rig import CONTENT, SIZE, Bench, UnbrokenCase, body_of

ENDS: tuple[End, ...] = ("whole", "broken", "unknown", "never")
SPAN = Span(0, SIZE, SIZE)
CODED = (b"Content-Encoding", b"gzip")


@dataclass(frozen=True)
class Whim:
    """What one try is answered with: up to ``size`` bytes, in some way, ended somehow."""

    way: str
    size: int
    end: End
    piece: int
    is_told: bool

    def answer(self, first: int, span: Span) -> Reply | Exception:
        """The answer to a resume from ``first`` on, of the true content or of what can be told from it."""
        if self.way == "fails" or (self.way == "other" and span.size is None):
            return UpstreamTimedOut("late")
        if self.way == "refuses":
            return reply(503, b"")
        if self.way == "coded":
            return reply(200, MemoryBody(b"coded"), [CODED])
        if self.way == "elsewhere":
            return self._part(first + 1)
        if self.way == "other":
            return reply(200, MemoryBody(CONTENT + b"x"), length=SIZE + 1)
        return self.whole(span) if self.way == "whole" else self._part(first)

    def whole(self, span: Span) -> Reply:
        """A 200, as far as it comes."""
        is_cut = self.size < SIZE and span.size is None
        # Nobody could tell a clean end in the middle of a content of untold size.
        end: End = "broken" if self.end == "whole" and is_cut else self.end
        return reply(200, self._body(0, end), length=SIZE if self.is_told and span.size else None)

    def _part(self, first: int) -> Reply:
        told = f"bytes {first}-{SIZE - 1}/{SIZE if self.is_told else '*'}"
        return reply(206, self._body(first, self.end), [(b"Content-Range", told.encode())])

    def _body(self, first: int, end: End) -> MemoryBody:
        return MemoryBody(CONTENT[first : first + self.size], end=end, piece=self.piece)


WHIMS = st.builds(
    Whim,
    st.sampled_from(["part", "part", "part", "whole", "fails", "refuses", "coded", "elsewhere", "other"]),
    st.integers(0, 40) | st.just(SIZE),
    st.sampled_from(ENDS),
    st.integers(1, 30),
    st.booleans(),
)
SPANS = st.builds(
    lambda first, more, told: Span(first, min(first + more, SIZE) if told else None, SIZE if told else None),
    st.just(0) | st.integers(0, 60),
    st.integers(0, SIZE),
    st.booleans(),
)


class AnyTests(UnbrokenCase):
    """Random cuts, answers and pauses."""

    @settings(derandomize=True, max_examples=300, deadline=None)
    @given(WHIMS, st.lists(WHIMS, max_size=25), SPANS, st.lists(st.booleans(), max_size=8))
    def test_any(self, first: Whim, whims: list[Whim], span: Span, pauses: list[bool]) -> None:
        """What comes out is a prefix of the span, all of it when a clean end is told, and nothing is left."""
        bench = Bench()
        made: list[Reply] = []
        script = iter(whims)

        def ask(position: int, end: int | None, avoid: frozenset[str]) -> Deferred[Reply]:
            answer = next(script, Whim("refuses", 0, "whole", 1, True)).answer(position, span)
            if isinstance(answer, Exception):
                return fail(answer)
            made.append(answer)
            return succeed(answer)

        made.append(first.whole(span))
        bench.body(made[0], span, ask).deliver(bench.sink)
        for is_paused in pauses:
            if bench.sink.reason is None:
                (bench.sink.producer.pauseProducing if is_paused else bench.sink.producer.resumeProducing)()
            bench.wait(10)
        bench.sink.producer.resumeProducing()
        bench.wait(2000)
        wanted = CONTENT[span.first : span.end]
        assert bench.sink.reason is not None, "it never ended"
        self.assertTrue(wanted.startswith(bench.sink.came))
        if bench.sink.reason.check(ResponseDone):
            self.assertEqual(bench.sink.came, wanted)
        self.left_nothing(bench)
        for answer in made:
            if isinstance(answer.body, MemoryBody):
                body = body_of(answer)
                self.assertTrue(body.fate == "dropped" or body.stopped or body._end != "never")

    @settings(derandomize=True, max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=60), st.integers(1, 40)
    )
    def test_always_whole(self, legs: list[tuple[int, bool]], piece: int) -> None:
        """As long as each answer brings a byte, however few, all of it arrives."""
        bench = Bench()
        turns = iter(legs * SIZE)

        def ask(position: int, end: int | None, avoid: frozenset[str]) -> Deferred[Reply]:
            size, is_part = next(turns)
            whim = Whim(
                "part" if is_part else "whole", size if is_part else position + size, "broken", piece, True
            )
            answer = whim.answer(position, SPAN)
            assert isinstance(answer, Reply)
            return succeed(answer)

        first = Whim("whole", legs[0][0], "broken", piece, True).whole(SPAN)
        bench.body(first, SPAN, ask).deliver(bench.sink)
        bench.wait(100)
        self.ended_whole(bench)
