"""
One large body over several connections, delivered in order and in bounded memory.

The first answer streams to the sink at once: it is the front.  Segments behind
it are asked for ahead, by ranges.  Each one that is answered with just its
bytes shortens the front, fills while it waits, and is the front in its turn.
What is held never exceeds ``connections`` segments, however slow the sink is.
Every segment is an `UnbrokenBody`, and mends itself.

Where a segment cannot be had as a range, all from there on comes over one
connection, silently: the front goes on to the end or, once it was shortened,
a tail is asked for when its turn comes.

Misuses guarded against: answers that come after the front has passed their
segment, ranges that are refused half-way, bytes out of turn while the sink is
being served, a sink that leaves while answers are awaited, bodies in tiny pieces.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocol, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from zope.interface import implementer

from docxy.interfaces import Ask, Course, IBody, Reply, Span, Unbroken, UpstreamBroken, UpstreamError
from docxy.oci.errors import RegistryError
from docxy.settings.values import LimitSettings, UpstreamSettings
from docxy.upstream.attempt import host_of
from docxy.upstream.parts import Unfit, next_part
from docxy.upstream.segment import Segment
from docxy.upstream.unbroken import UnbrokenBody, unbroken_maker

_log = Logger()

Make = Callable[["Reply | None", Span, Course], UnbrokenBody]


@dataclass(frozen=True, slots=True)
class Lanes:
    """How wide a body is fetched: over ``connections``, ``segment`` bytes at a time each."""

    connections: int
    segment: int


@implementer(IBody, IPushProducer)
class ParallelBody:
    """
    The body of ``first``, whose span's end and size are known, fetched over several ``lanes``.

    ``make`` makes the bodies of its parts, also of one that nothing was
    answered for; by ``ahead`` they are asked for.  ``course`` is told how it goes.
    """

    def __init__(
        self, first: Reply, span: Span, course: Course, make: Make, ahead: Ask, lanes: Lanes
    ) -> None:
        assert span.end is not None
        self._reply = first
        self._course = course
        self._span = span
        self._end = span.end
        self._make = make
        self._ahead = ahead
        self._lanes = lanes
        self._sink: IProtocol | None = None
        self._line: deque[Segment] = deque()  # in order; the first is the front
        self._paused = False
        self._ended = False
        self._pumping = False
        self._is_alone = False

    # IBody

    def deliver(self, protocol: IProtocol) -> None:
        self._sink = protocol
        front = self._segment(self._span.first, self._end)
        self._line.append(front)
        protocol.makeConnection(self)  # type: ignore[arg-type]  # a push producer is all that it is
        if self._ended:
            self._reply.body.drop()
        else:
            self._begin(front, self._reply)
            self._pump()

    def drop(self) -> None:
        self._reply.body.drop()

    def read(self, limit: int) -> Deferred[bytes]:
        read: Deferred[bytes] = self._reply.body.read(limit)
        return read

    # From the sink: IPushProducer

    def pauseProducing(self) -> None:
        self._paused = True
        if self._line:
            self._line[0].pause()

    def resumeProducing(self) -> None:
        self._paused = False
        self._pump()
        if self._line and not self._paused:
            self._line[0].resume()

    def stopProducing(self) -> None:
        """The sink wants no more."""
        self._ended = True
        while self._line:
            self._line.popleft().leave()

    # From the segments

    def _received(self, segment: Segment, data: bytes) -> None:
        """Pass on what is in turn; hold the rest."""
        if segment is not self._line[0] or segment.held or self._paused or self._pumping:
            segment.keep(data)
        else:
            self._pass(data)

    def _segment_ended(self, segment: Segment, reason: Failure) -> None:
        if segment is not self._line[0] and not reason.check(ResponseDone):
            self._go_on_alone(segment)
        self._pump()

    def _pass(self, data: bytes) -> None:
        assert self._sink is not None
        self._sink.dataReceived(data)

    # In turn

    def _pump(self) -> None:
        """Do all that can be done now; what that brings about is done here as well, not deeper."""
        if self._pumping:
            return
        self._pumping = True
        try:
            # Planning comes first: a front that is passed on has its successor in line.
            while not self._ended and (self._plan() or self._step()):
                pass
        finally:
            self._pumping = False

    def _step(self) -> bool:
        """Bring the front on; False where it has nothing to give."""
        front = self._line[0]
        if front.held:
            if self._paused:
                return False
            self._pass(front.take())
        elif front.reason is not None:
            self._advance(front, front.reason)
        elif front.is_unasked:
            self._begin(front, None)
        else:
            return False
        return True

    def _advance(self, front: Segment, reason: Failure) -> None:
        """The front is over: its successor takes its place, or the whole is over."""
        if front.end == self._end or not reason.check(ResponseDone):
            self._finish(reason)
            return
        self._line.popleft()
        while self._line[0].first < front.end:
            self._line.popleft().leave()  # the front was faster than its answer
        if self._paused:
            self._line[0].pause()

    def _finish(self, reason: Failure) -> None:
        self.stopProducing()
        assert self._sink is not None
        self._sink.connectionLost(reason)

    # Ahead

    def _plan(self) -> bool:
        """Ask for one more segment; False where there is none, or no room for it."""
        first = self._next_first()
        end = min(first + self._lanes.segment, self._end)
        if self._is_alone or self._paused or first >= end or not self._has_room(end - first):
            return False
        segment = self._segment(first, end)
        self._line.append(segment)
        asking = segment.asking = self._ahead(first, end, frozenset())
        asking.addCallbacks(self._answered, self._unanswered, callbackArgs=(segment,), errbackArgs=(segment,))
        return True

    def _next_first(self) -> int:
        last = self._line[-1]
        is_whole = last.first == self._span.first and last.end == self._end
        return last.position + self._lanes.segment if is_whole else last.end

    def _has_room(self, size: int) -> bool:
        front, *others = self._line
        running = sum(1 for segment in self._line if segment.reason is None)
        held = front.held + sum(segment.end - segment.first for segment in others)
        most = self._lanes.connections * self._lanes.segment
        return running < self._lanes.connections and held + size <= most

    def _answered(self, reply: Reply, segment: Segment) -> None:
        segment.asking = None
        if segment not in self._line:
            reply.body.drop()
            return
        if not self._is_right(reply, segment):
            reply.body.drop()
            self._go_on_alone(segment)
        elif self._joins(segment):
            self._begin(segment, reply)
        else:
            reply.body.drop()
        self._pump()

    def _unanswered(self, failure: Failure, segment: Segment) -> None:
        segment.asking = None
        if segment not in self._line:
            return  # given up, and so cancelled
        if not failure.check(UpstreamError, RegistryError):
            _log.failure("a part of a body could not be asked for", failure=failure)
        self._go_on_alone(segment)
        self._pump()

    def _is_right(self, reply: Reply, segment: Segment) -> bool:
        """Whether an answer has the bytes of ``segment``, from its first on."""
        try:
            next_part(reply, Span(segment.first, segment.end, self._span.size), segment.first)
        except Unfit:
            return False
        return reply.status == 206

    def _joins(self, segment: Segment) -> bool:
        """Whether the front ends where ``segment`` begins or before; not where it has passed that."""
        front = self._line[0]
        if segment is front or front.end <= segment.first:
            return True
        if front.body is not None and front.body.shorten(segment.first):
            front.end = segment.first
            return True
        for _ in range(self._line.index(segment)):
            passed = self._line[1]
            del self._line[1]
            passed.leave()
        # A front that is faster than every answer needs no others.
        self._is_alone = len(self._line) == 1
        return False

    def _go_on_alone(self, segment: Segment) -> None:
        """Have all from ``segment`` on over one connection."""
        self._is_alone = True
        left = None
        while left is not segment:
            left = self._line.pop()
            left.leave()
        first = self._line[-1].end if self._line else segment.first
        if first < self._end:
            self._line.append(self._segment(first, self._end))

    # Parts

    def _segment(self, first: int, end: int) -> Segment:
        return Segment(first, end, self._received, self._segment_ended)

    def _begin(self, segment: Segment, reply: Reply | None) -> None:
        span = Span(segment.first, segment.end, self._span.size)
        segment.body = self._make(reply, span, self._course)
        if self._paused and segment is self._line[0]:
            segment.pause()
        segment.body.deliver(segment)


@implementer(IBody)
class _Missing:
    """A body of which nothing came: it is asked for at once."""

    def deliver(self, protocol: IProtocol) -> None:
        protocol.makeConnection(None)  # type: ignore[arg-type]  # there is nothing to pause or to close
        protocol.connectionLost(Failure(_missing()))

    def drop(self) -> None:
        """There is nothing to let go."""

    def read(self, limit: int) -> Deferred[bytes]:
        return fail(_missing())


def _missing() -> UpstreamBroken:
    return UpstreamBroken("the rest cannot be had in segments")


def body_maker(limits: LimitSettings, clock: IReactorTime) -> Unbroken:
    """Makes the bodies that their upstream's settings ask for: over one connection, or over several."""
    plain = unbroken_maker(limits, clock)

    def make(
        reply: Reply,
        span: Span,
        course: Course,
        ask: Ask | None,
        upstream: UpstreamSettings,
        ahead: Ask | None = None,
    ) -> IBody:
        missing = Reply(206, (), None, host_of(upstream.urls[-1]), False, _Missing())

        def part(reply: Reply | None, span: Span, course: Course) -> UnbrokenBody:
            return plain(reply or missing, span, course, ask, upstream)

        if ask is None or ahead is None or not _is_large(span, upstream):
            return part(reply, span, course)
        lanes = Lanes(upstream.connections, upstream.segment)
        return ParallelBody(reply, span, course, part, ahead, lanes)

    return make


def _is_large(span: Span, upstream: UpstreamSettings) -> bool:
    """Whether a part of a content is worth several connections."""
    if upstream.connections == 1 or span.end is None or span.size is None:
        return False
    return span.end - span.first >= upstream.parallel_from
