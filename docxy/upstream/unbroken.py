"""
A body that does not break: one stream of bytes, however many answers it took.

Upstream's answer is a leg.  When a leg ends early, resets, stalls or crawls,
the registry is asked again from the next missing byte, and the sink behind
sees a pause at most.  The sink's transport is this body: it pauses whichever
leg is there, and a pause outlives the leg.

States: flowing (a leg delivers), waiting (between tries, or for a sink that
wants nothing now), asking (a try is under way), ended.  Misuses guarded
against: bytes of a leg that was given up, a leg that answers for another part
or another content, bytes beyond the end, a sink that leaves while nothing
flows, tries after it left, a leg that is left paused.

Knows nothing of credentials: the try itself is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import random

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol, IPushProducer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from docxy.interfaces import Ask, Course, IBody, Reply, Span, UpstreamBroken, UpstreamError, UpstreamRefused
from docxy.policy.retry import Budget, Patience, told_wait
from docxy.settings.values import LimitSettings, UpstreamSettings
from docxy.upstream.attempt import host_of
from docxy.upstream.body import Collector, close
from docxy.upstream.leg import Leg
from docxy.upstream.pace import Care, Pace
from docxy.upstream.parts import Part, Unfit, first_part, is_end, next_part

_log = Logger()

TICK = 1.0  # seconds between looks at a leg's pace
CUT = ("reset", "short")  # causes of which a sender's bytes until then say that it is a good one
MAX_AVOIDED = 64  # hosts and addresses; with more, all are as good as any


@implementer(IBody, IPushProducer)
class UnbrokenBody:
    """
    The body of ``first``, mended by ``ask``; without it broken bodies stay broken.

    ``course`` is told how it goes.
    """

    def __init__(
        self,
        first: Reply,
        span: Span,
        course: Course,
        ask: Ask | None,
        care: Care,
        clock: IReactorTime,
    ) -> None:
        self._course = course
        self._reply = first
        self._span = span
        self._position = self._broke_at = span.first
        self._ask = ask
        self._care = care
        self._clock = clock
        self._budget = Budget(care.patience, clock.seconds(), care.jitter)
        self._sink: IProtocol | None = None
        self._leg: Leg | None = None
        self._asking: Deferred[Reply] | None = None
        self._waiting: IDelayedCall | None = None
        self._avoid: set[str] = set()
        self._ended = False
        self._paused_at: float | None = None
        self._paused_seconds = 0.0
        self._is_postponed = False
        self._is_ahead = False
        self._loss: Failure | None = None
        self._pace = Pace(care.stall, care.crawl)
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = clock

    # IBody

    def deliver(self, protocol: IProtocol) -> None:
        self._sink = protocol
        self._budget.progressed(self._willing_time())
        protocol.makeConnection(self)  # type: ignore[arg-type]  # a push producer is all that it is
        if self._ended:
            self._reply.body.drop()
        else:
            self._ticks.start(TICK, now=False)
            self._take(first_part(self._reply, self._span))

    def drop(self) -> None:
        self._reply.body.drop()

    def shorten(self, end: int) -> bool:
        """End at byte ``end`` already; False where that is behind what was delivered."""
        if self._ended or end <= self._position:
            return False
        self._span = replace(self._span, end=end)
        return True

    def read(self, limit: int) -> Deferred[bytes]:
        collector = Collector(limit)
        self.deliver(collector)
        return collector.done

    # From the sink: IPushProducer

    def pauseProducing(self) -> None:
        if self._paused_at is None:
            self._paused_at = self._clock.seconds()
        if self._leg is not None:
            self._leg.pause()

    def resumeProducing(self) -> None:
        self._paused_seconds = self._clock.seconds() - self._willing_time()
        self._paused_at = None
        self._pace.restart()
        if self._is_postponed and not self._ended:
            self._is_postponed = False
            self._waiting = self._clock.callLater(0, self._try)
        if self._leg is not None:
            self._leg.resume()

    def stopProducing(self) -> None:
        """The sink wants no more."""
        if not self._ended:
            self._stop()

    def _stop(self) -> None:
        self._ended = True
        self._course.mending.discard(self)
        if self._ticks.running:
            self._ticks.stop()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
        self._let_go()

    # From the legs

    def _take(self, part: Part) -> None:
        """Let the present reply's body deliver."""
        self._course.comes(self, self._reply.host)
        self._span = part.span
        if self._position == part.span.end:
            self._reply.body.drop()
            self._finish()
            return
        leg = Leg(self, part)
        self._reply.body.deliver(leg)
        if self._paused_at is not None and leg is self._leg:
            leg.pause()  # delivering resumes, whatever was said meanwhile

    def _let_go(self) -> None:
        """Take no more from the present leg."""
        leg, self._leg = self._leg, None
        if leg is not None:
            close(leg)

    def leg_made(self, leg: Leg) -> None:
        """A leg is ready to deliver."""
        self._leg = leg
        self._pace.restart()

    def leg_received(self, leg: Leg, data: bytes) -> None:
        """Pass on what is new, up to the end of the span."""
        if leg is not self._leg:
            close(leg)  # given up: its bytes are of no use
            return
        assert self._sink is not None
        self._pace.took(len(data))
        skipped = min(leg.skip, len(data))
        leg.skip -= skipped
        end = self._span.end
        data = data[skipped : None if end is None else skipped + end - self._position]
        if not data:
            return
        self._is_ahead = True
        self._loss = None
        self._position += len(data)
        self._sink.dataReceived(data)
        if self._position == self._span.end and not self._ended:
            self._leg = None
            leg.leave_over(self._clock)
            self._finish()

    def leg_lost(self, leg: Leg, reason: Failure) -> None:
        """A leg is over: so is the body, or it is mended."""
        if leg is not self._leg:
            return
        self._leg = None
        is_untold = reason.check(PotentialDataLoss) is not None and not leg.skip
        if self._span.end is None and reason.check(ResponseDone) and leg.is_rest and not leg.skip:
            self._finish()
        elif is_untold and self._loss is not None:
            self._give_up("short", "it ends here")  # for the second time: the sink may know that it is whole
        elif reason.check(ResponseDone, PotentialDataLoss):
            self._loss = reason if is_untold else None
            self._mend("short", "it ended early")
        elif reason.check(UpstreamError):
            self._mend("unanswered", str(reason.value))
        else:
            self._mend("reset", "the connection broke")

    # Time

    def _tick(self) -> None:
        self._note_progress()
        if self._leg is None or self._paused_at is not None:
            return
        cause = self._pace.passed(TICK)
        if cause is not None:
            self._let_go()
            self._mend(*cause)

    def _note_progress(self) -> None:
        """Bytes that were skipped are no progress: a leg that always breaks early would last for ever."""
        if self._is_ahead:
            self._is_ahead = False
            self._budget.progressed(self._willing_time())

    def _willing_time(self) -> float:
        """The clock less the time in which the sink wanted nothing: that is no patience of ours."""
        now = self._clock.seconds() if self._paused_at is None else self._paused_at
        return now - self._paused_seconds

    # Mending

    def _mend(self, cause: str, why: str, retry_after: float | None = None) -> None:
        self._note_progress()
        now, brought, self._broke_at = self._willing_time(), self._position - self._broke_at, self._position
        wait = None if self._ask is None else self._budget.failed(now, retry_after, brought=brought)
        if wait is None:
            self._give_up(cause, why)
            return
        self._avoid_sender(is_worth=cause in CUT and brought >= self._care.patience.worth)
        self._course.mends(self, cause)
        _log.warn(
            "{host}: {why} at byte {position}; asked again in {wait:.1f} s",
            host=self._reply.host,
            why=why,
            position=self._position,
            wait=wait,
        )
        self._waiting = self._clock.callLater(wait, self._try)

    def _avoid_sender(self, is_worth: bool) -> None:
        """Others first; but to ask for another host than one that brought much costs more than it gives."""
        if len(self._avoid) >= MAX_AVOIDED:
            self._avoid.clear()
        at_home = not self._reply.redirected and self._reply.host == self._care.home
        self._avoid |= {self._reply.address, "" if at_home or is_worth else self._reply.host} - {""}

    def _try(self) -> None:
        self._waiting = None
        if self._paused_at is not None:
            self._is_postponed = True  # nobody wants bytes: a leg would only grow old
            return
        assert self._ask is not None
        asking = self._asking = self._ask(self._position, self._span.end, frozenset(self._avoid))
        asking.addCallback(self._answered).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self._asking = None
        if self._ended:
            failure.trap(CancelledError, UpstreamError)
        elif failure.check(UpstreamRefused):
            self._give_up("refused", str(failure.value))
        elif failure.check(UpstreamError):
            self._mend("unanswered", str(failure.value))
        else:
            _log.failure("a body could not be asked for again", failure=failure)
            self._give_up("unanswered", "it could not be asked for again")

    def _answered(self, reply: Reply) -> None:
        self._asking = None
        if self._ended:
            reply.body.drop()
            return
        self._reply = reply
        if reply.status in (200, 206):
            self._go_on(reply)
            return
        reply.body.drop()
        if reply.status == 416 and is_end(reply, self._span, self._position):
            self._finish()
        else:
            self._refused(reply)

    def _go_on(self, reply: Reply) -> None:
        """Take a leg that is a part of the same content, from the right byte on."""
        try:
            part = next_part(reply, self._span, self._position)
        except Unfit as error:
            reply.body.drop()
            self._mend("misfit", str(error))
        else:
            self._take(part)

    def _refused(self, reply: Reply) -> None:
        if reply.status in (401, 403, 404) and not reply.redirected and reply.host == self._care.home:
            self._give_up("refused", f"upstream answered with status {reply.status} to a resume")
            return
        wait = told_wait(reply.header(b"retry-after"), reply.header(b"date"))
        self._mend("refused", f"status {reply.status}", wait)

    # Ends

    def _finish(self) -> None:
        self._end(Failure(ResponseDone()))

    def _give_up(self, cause: str, why: str) -> None:
        self._course.broken = cause
        # Where nothing tells the end, the sink may know by the digest that all is there.
        self._end(self._loss or Failure(UpstreamBroken(why)))

    def _end(self, reason: Failure) -> None:
        self._stop()
        assert self._sink is not None
        self._sink.connectionLost(reason)


Maker = Callable[[Reply, Span, Course, "Ask | None", UpstreamSettings], UnbrokenBody]


def unbroken_maker(limits: LimitSettings, clock: IReactorTime) -> Maker:
    """Makes `UnbrokenBody`s with the care that ``limits`` and their upstream's settings ask for."""
    patience = Patience(limits.mend_attempts, limits.mend)

    def make(
        reply: Reply, span: Span, course: Course, ask: Ask | None, upstream: UpstreamSettings
    ) -> UnbrokenBody:
        home = host_of(upstream.urls[-1])
        care = Care(upstream.stall, upstream.crawl, patience, random, home)
        return UnbrokenBody(reply, span, course, ask, care, clock)

    return make
