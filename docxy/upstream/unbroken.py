"""
A body that does not break: one stream of bytes, however many answers it took.

Upstream's answer is a leg.  When a leg ends early, resets, stalls or crawls,
the registry is asked again from the next missing byte, and the sink behind
sees a pause at most.  The sink's transport is this body: it pauses whichever
leg is there, and a pause outlives the leg.

States: flowing (a leg delivers), waiting (between tries), asking (a try is
under way), ended.  Misuses guarded against: bytes of a leg that was given up,
a leg that answers for another part or another content, bytes beyond the end,
a sink that leaves while nothing flows, tries after it left.

Knows nothing of credentials: the try itself is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import random

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from docxy.interfaces import Ask, Course, IBody, Reply, Span, Unbroken, UpstreamBroken, UpstreamError
from docxy.oci.ranges import ContentRange, parse_content_range
from docxy.policy.retry import Budget, Patience, told_wait
from docxy.settings.values import LimitSettings, UpstreamSettings
from docxy.upstream.body import close

_log = Logger()

TICK = 1.0  # seconds between looks at a leg's pace
CRAWL_WINDOW = 10  # ticks over which a pace is judged


@dataclass(frozen=True, slots=True)
class Care:
    """
    What is borne: ``stall`` seconds without a byte, ``crawl`` bytes a second, and how many tries.

    ``jitter`` gives numbers from 0 up to 1, to spread the tries of many.
    """

    stall: float
    crawl: int
    patience: Patience
    jitter: Callable[[], float]


class _Leg(Protocol):
    """One upstream answer's body, as long as it is the one that delivers."""

    def __init__(self, owner: UnbrokenBody, skip: int) -> None:
        self.owner = owner
        self.skip = skip  # bytes in front that were delivered before
        self.is_down = False

    def connectionMade(self) -> None:
        self.owner.leg_made(self)

    def dataReceived(self, data: bytes) -> None:
        self.owner.leg_received(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_down = True
        self.owner.leg_lost(self, reason)


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
        self._course.hosts.append(first.host)
        self._reply = first
        self._span = span
        self._position = span.first
        self._ask = ask
        self._care = care
        self._clock = clock
        self._budget = Budget(care.patience, clock.seconds(), care.jitter)
        self._sink: IProtocol | None = None
        self._leg: _Leg | None = None
        self._asking: Deferred[Reply] | None = None
        self._waiting: IDelayedCall | None = None
        self._avoid: set[str] = set()
        self._ended = False
        self._paused = False
        self._is_ahead = False
        self._loss: Failure | None = None
        self._pace = _Pace(care)
        self._ticks = LoopingCall(self._tick)
        self._ticks.clock = clock

    # IBody

    def deliver(self, protocol: IProtocol) -> None:
        self._sink = protocol
        self._budget.progressed(self._clock.seconds())
        protocol.makeConnection(self)  # type: ignore[arg-type]  # a push producer is all that it is
        if self._span.end == self._position:
            self._reply.body.drop()
            self._finish()
        elif not self._ended:
            self._ticks.start(TICK, now=False)
            skip = self._position if self._reply.status == 200 else 0
            self._reply.body.deliver(_Leg(self, skip))

    def drop(self) -> None:
        self._reply.body.drop()

    def read(self, limit: int) -> Deferred[bytes]:
        read: Deferred[bytes] = self._reply.body.read(limit)
        return read

    # From the sink: IPushProducer

    def pauseProducing(self) -> None:
        self._paused = True
        self._pace.restart()
        if self._leg is not None and self._leg.transport is not None:
            self._leg.transport.pauseProducing()  # type: ignore[attr-defined]  # an IPushProducer here

    def resumeProducing(self) -> None:
        self._paused = False
        self._pace.restart()
        if self._leg is not None and self._leg.transport is not None:
            self._leg.transport.resumeProducing()  # type: ignore[attr-defined]

    def stopProducing(self) -> None:
        """The sink wants no more."""
        if not self._ended:
            self._stop()

    def _stop(self) -> None:
        self._ended = True
        if self._ticks.running:
            self._ticks.stop()
        if self._waiting is not None and self._waiting.active():
            self._waiting.cancel()
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
        self._let_go()

    def _let_go(self) -> None:
        """Take no more from the present leg."""
        leg, self._leg = self._leg, None
        if leg is not None and not leg.is_down:
            close(leg)

    # From the legs

    def leg_made(self, leg: _Leg) -> None:
        """A leg is ready to deliver."""
        if self._ended:
            close(leg)
            return
        self._leg = leg
        self._pace.restart()
        if self._paused and leg.transport is not None:
            leg.transport.pauseProducing()  # type: ignore[attr-defined]

    def leg_received(self, leg: _Leg, data: bytes) -> None:
        """Pass on what is new, up to the end of the span."""
        if leg is not self._leg or self._sink is None:
            close(leg)  # given up, or beyond the end: its bytes are of no use
            return
        self._pace.took(len(data))
        if leg.skip:
            skipped = min(leg.skip, len(data))
            leg.skip -= skipped
            data = data[skipped:]
        if self._span.end is not None:
            data = data[: self._span.end - self._position]
        if data:
            self._is_ahead = True
            self._loss = None
            self._position += len(data)
            self._sink.dataReceived(data)
            if self._position == self._span.end and not self._ended:
                self._leg = None  # what is left of it is its own end
                self._finish()

    def leg_lost(self, leg: _Leg, reason: Failure) -> None:
        """A leg is over: so is the body, or it is mended."""
        if leg is not self._leg:
            return
        self._leg = None
        if self._span.end is None and reason.check(ResponseDone):
            self._finish()
        elif reason.check(ResponseDone, PotentialDataLoss):
            self._loss = reason if reason.check(PotentialDataLoss) else None
            self._mend("short", "it ended early")
        else:
            self._mend("reset", "the connection broke")

    # Time

    def _tick(self) -> None:
        self._note_progress()
        if self._leg is None or self._paused:
            return
        cause = self._pace.tick(TICK)
        if cause is not None:
            self._let_go()
            self._mend(*cause)

    def _note_progress(self) -> None:
        """Bytes that were skipped are no progress: a leg that always breaks early would last for ever."""
        if self._is_ahead:
            self._is_ahead = False
            self._budget.progressed(self._clock.seconds())

    # Mending

    def _mend(self, cause: str, why: str, retry_after: float | None = None) -> None:
        self._note_progress()
        wait = None if self._ask is None else self._budget.failed(self._clock.seconds(), retry_after)
        if wait is None:
            self._give_up(why)
            return
        if self._reply.redirected:
            self._avoid |= {self._reply.host, self._reply.address} - {""}
        self._course.resumes[cause] += 1
        _log.warn(
            "{host}: {why} at byte {position}; asked again in {wait:.1f} s",
            host=self._reply.host,
            why=why,
            position=self._position,
            wait=wait,
        )
        self._waiting = self._clock.callLater(wait, self._try)

    def _try(self) -> None:
        assert self._ask is not None
        self._asking = self._ask(self._position, self._span.end, frozenset(self._avoid))
        self._asking.addCallbacks(self._answered, self._failed)

    def _failed(self, failure: Failure) -> None:
        self._asking = None
        if self._ended:
            return
        if failure.check(UpstreamError):
            self._mend("unanswered", str(failure.value))
        else:
            _log.failure("a body could not be asked for again", failure=failure)
            self._give_up("it could not be asked for again")

    def _answered(self, reply: Reply) -> None:
        self._asking = None
        if self._ended:
            reply.body.drop()
            return
        self._reply = reply
        self._course.hosts.append(reply.host)
        if reply.status in (200, 206):
            self._go_on(reply)
        elif reply.status == 416 and self._is_end(reply):
            reply.body.drop()
            self._finish()
        else:
            reply.body.drop()
            self._refused(reply)

    def _refused(self, reply: Reply) -> None:
        if reply.status in (401, 403, 404) and not reply.redirected:
            self._give_up(f"upstream answered with status {reply.status} to a resume")
            return
        wait = told_wait(reply.header(b"retry-after"), reply.header(b"date"))
        self._mend("refused", f"status {reply.status}", wait)

    def _is_end(self, reply: Reply) -> bool:
        """Whether a 416 says that there is nothing behind what we have."""
        told = parse_content_range(reply.header(b"content-range") or "")
        return self._span.size is None and told is not None and told.size == self._position

    def _go_on(self, reply: Reply) -> None:
        """Take a leg that is a part of the same content, from the right byte on."""
        told = _told(reply)
        problem = self._misfit(told)
        if problem is not None:
            reply.body.drop()
            self._mend("misfit", problem)
            return
        skip = self._position if reply.status == 200 else 0
        if told is not None and told.size is not None and self._span.size is None:
            end = told.size if self._span.end is None else self._span.end
            self._span = Span(self._span.first, end, told.size)
        reply.body.deliver(_Leg(self, skip))

    def _misfit(self, told: ContentRange | None) -> str | None:
        """Why an answer cannot be gone on with."""
        if told is None or told.interval is None:
            return None if self._reply.status == 200 else "its Content-Range makes no sense"
        if self._reply.status == 206 and told.interval.first != self._position:
            return f"it begins at byte {told.interval.first}"
        if self._span.size is not None and told.size not in (None, self._span.size):
            return f"it is of {told.size} bytes, not of {self._span.size}"
        return None

    # Ends

    def _finish(self) -> None:
        self._end(Failure(ResponseDone()))

    def _give_up(self, why: str) -> None:
        # Where nothing tells the end, the sink may know by the digest that all is there.
        self._end(self._loss or Failure(UpstreamBroken(why)))

    def _end(self, reason: Failure) -> None:
        self._stop()
        if self._sink is not None:
            self._sink.connectionLost(reason)


def _told(reply: Reply) -> ContentRange | None:
    """Where an answer's bytes belong, as it says."""
    if reply.status == 206:
        return parse_content_range(reply.header(b"content-range") or "")
    if reply.length is None:
        return None
    return parse_content_range(f"bytes 0-{reply.length - 1}/{reply.length}")


class _Pace:
    """How fast a leg delivers while its sink is willing."""

    def __init__(self, care: Care) -> None:
        self._care = care
        self.heard = False
        self.restart()

    def restart(self) -> None:
        """Count anew: the leg or the sink's mind has changed."""
        self.heard = False
        self._quiet = 0.0
        self._taken = 0
        self._ticks = 0

    def took(self, size: int) -> None:
        """Bytes came."""
        self.heard = True
        self._taken += size

    def tick(self, seconds: float) -> tuple[str, str] | None:
        """After ``seconds`` more: the cause and the words for a leg that is too slow."""
        if self.heard:
            self.heard = False
            self._quiet = 0.0
        else:
            self._quiet += seconds
        if self._quiet >= self._care.stall:
            return "stall", f"it sent nothing for {self._care.stall:g} s"
        self._ticks += 1
        if self._ticks < CRAWL_WINDOW:
            return None
        slow = self._taken < self._care.crawl * CRAWL_WINDOW * seconds
        self._taken = self._ticks = 0
        return ("crawl", f"it sent less than {self._care.crawl} bytes a second") if slow else None


def unbroken_maker(limits: LimitSettings, clock: IReactorTime) -> Unbroken:
    """Makes `UnbrokenBody`s with the care that ``limits`` and their upstream's settings ask for."""
    patience = Patience(limits.mend_attempts, limits.mend)

    def make(reply: Reply, span: Span, course: Course, ask: Ask | None, upstream: UpstreamSettings) -> IBody:
        care = Care(upstream.stall, upstream.crawl, patience, random)
        return UnbrokenBody(reply, span, course, ask, care, clock)

    return make
