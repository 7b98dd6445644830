"""
A content in memory that is fetched in parts, each answer given when the test says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from docxy.interfaces import Course, HeaderLines, Reply, Span, UpstreamBroken
from docxy.settings.values import LimitSettings, UpstreamSettings
from docxy.testing import MemoryBody
from docxy.upstream.body import DROP_SECONDS
from docxy.upstream.parallel import ParallelBody, body_maker

SETTINGS = UpstreamSettings(name="hub.example", urls=("https://hub.example",))
CDN = "cdn.example"
SEGMENT = 100
SIZE = 1000
CONTENT = bytes(at % 251 for at in range(SIZE))


class Sink(Protocol):
    """Takes a body, and pauses or stops it where told to."""

    def __init__(self) -> None:
        self.received = b""
        self.ends: list[Failure] = []
        self.pauses_at: set[int] = set()  # after so many bytes
        self.resumes = False  # at once, after each pause
        self.stops_at: int | None = None

    @property
    def producer(self) -> Any:
        """What it takes from."""
        return self.transport

    def connectionMade(self) -> None:
        if self.stops_at == 0:
            self.producer.stopProducing()

    def dataReceived(self, data: bytes) -> None:
        before = len(self.received)
        self.received += data
        if any(before < at <= len(self.received) for at in self.pauses_at):
            self.producer.pauseProducing()
            if self.resumes:
                self.producer.resumeProducing()
        if self.stops_at is not None and len(self.received) >= self.stops_at:
            self.producer.stopProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ends.append(reason)


@dataclass
class Lane:
    """One answer that was asked for, or is being given: the bytes from ``at`` up to ``end``."""

    world: World
    at: int
    end: int
    asked: Deferred[Reply]
    body: MemoryBody
    is_cut: bool = False

    def answer(self, status: int = 206, length: int | None = None, **told: object) -> Lane:
        """Answer, rightly unless told else: ``first``, ``size``, ``headers``."""
        size = len(self.world.content)
        headers = self.world.headers(told.get("first", self.at), self.end, told.get("size", size))
        extra: Any = told.get("headers", ())
        if status == 200:
            self.at, self.end = 0, size
        self.world.unanswered.remove(self)
        self.world.lanes.append(self)
        self.asked.callback(
            Reply(status, (*(headers if status == 206 else ()), *extra), length, CDN, True, self.body)
        )
        return self

    def fail(self, error: Exception | None = None) -> None:
        """No answer."""
        self.world.unanswered.remove(self)
        self.asked.errback(Failure(error or UpstreamBroken("no")))

    def send(self, count: int | None = None) -> Lane:
        """Send so many more bytes, or all that are left, and then the end; nothing to who pauses it."""
        if self.body.paused or self.is_over:
            return self
        count = self.end - self.at if count is None else min(count, self.end - self.at)
        self.at += count
        self.body.arrive(self.world.content[self.at - count : self.at])
        if self.at == self.end:
            self.body.close("whole")
        return self

    def cut(self) -> None:
        """Break off."""
        self.is_cut = True
        self.body.close("broken")

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come of it."""
        return self.is_cut or self.body.stopped or self.body.fate == "dropped" or self.at == self.end


class World:
    """One parallel body of ``content``, and all that it asks for."""

    def __init__(
        self, content: bytes = CONTENT, connections: int = 3, segment: int = SEGMENT, first: int = 0
    ) -> None:
        self.content = content
        self.clock = Clock()
        self.course = Course()
        self.asked: list[tuple[str, int, int | None]] = []
        self.unanswered: list[Lane] = []
        self.lanes: list[Lane] = []
        self.too_late: Reply | None = None  # what a question is answered with when it is taken back
        self.sink = Sink()
        self.front = Lane(self, first, len(content), Deferred(), MemoryBody(end="never"))
        self.lanes.append(self.front)
        headers = self.headers(first, len(content), len(content))
        reply = Reply(206, headers, len(content) - first, CDN, True, self.front.body)
        span = Span(first, len(content), len(content))
        settings = replace(SETTINGS, connections=connections, segment=segment, parallel_from=0)
        make = body_maker(LimitSettings(), self.clock)
        made = make(reply, span, self.course, self.ask, settings, self.ahead)
        assert isinstance(made, ParallelBody)
        self.body = made

    def headers(self, first: object, end: int, size: object) -> HeaderLines:
        """Those of a 206."""
        return ((b"Content-Range", f"bytes {first}-{end - 1}/{size}".encode()),)

    def ask(self, first: int, end: int | None, avoid: frozenset[str]) -> Deferred[Reply]:
        """To mend."""
        return self._asked("again", first, end)

    def ahead(self, first: int, end: int | None, avoid: frozenset[str]) -> Deferred[Reply]:
        """Before its turn."""
        return self._asked("ahead", first, end)

    def _asked(self, way: str, first: int, end: int | None) -> Deferred[Reply]:
        self.asked.append((way, first, end))
        end = len(self.content) if end is None else end
        lane = Lane(self, first, end, Deferred(), MemoryBody(end="never"))

        def cancelled(asked: Deferred[Reply]) -> None:
            self.unanswered.remove(lane)
            if self.too_late is not None:
                asked.callback(self.too_late)

        lane.asked = Deferred(cancelled)
        self.unanswered.append(lane)
        return lane.asked

    def start(self) -> World:
        """Deliver."""
        self.body.deliver(self.sink)
        return self

    def held(self) -> int:
        """Bytes that came and were not passed on."""
        return sum(segment.held for segment in self.body._line)

    def running(self) -> list[Lane]:
        """Answers that can still bring bytes."""
        return [lane for lane in self.lanes if not lane.is_over]


class ParallelCase(SynchronousTestCase):
    """Tests with one world."""

    def assert_whole(self, world: World) -> None:
        """All came, in order, and its end once; nothing is left running."""
        self.assertEqual(world.sink.received, world.content[-len(world.sink.received) :])
        self.assertEqual([end.check(ResponseDone) for end in world.sink.ends], [ResponseDone])
        self.assert_over(world)

    def assert_short(self, world: World, received: bytes) -> None:
        """These bytes came, and then a failure."""
        self.assertEqual(world.sink.received, received)
        self.assertEqual([end.check(ResponseDone) for end in world.sink.ends], [None])
        self.assert_over(world)

    def assert_over(self, world: World) -> None:
        """No question is open, no answer runs, no call waits."""
        world.clock.advance(DROP_SECONDS)
        self.assertEqual(world.unanswered, [])
        self.assertEqual(world.running(), [])
        self.assertEqual(world.clock.getDelayedCalls(), [])
