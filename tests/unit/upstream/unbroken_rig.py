"""
A body that mends itself, what upstream answers it, and the sink that it is for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from docxy.interfaces import Ask, Course, HeaderLines, Reply, Span, UpstreamBroken
from docxy.policy.retry import Patience
from docxy.testing import End, MemoryBody, reply
from docxy.upstream.pace import Care
from docxy.upstream.unbroken import UnbrokenBody

HOME = "registry.example"
CDN = "cdn.example"
CONTENT = bytes(range(100))
SIZE = len(CONTENT)
CARE = Care(stall=15.0, crawl=0, patience=Patience(), jitter=lambda: 0.0, home=HOME)


def whole(
    content: bytes = CONTENT, cut: int | None = None, end: End = "broken", told: bool = True, **how: Any
) -> Reply:
    """A 200, of which only ``cut`` bytes come."""
    body = MemoryBody(content[:cut], end=end, piece=7)
    return _sent(reply(200, body, length=len(content) if told else None), **how)


def part(
    first: int, cut: int | None = None, end: End = "whole", told: str | None = None, **how: Any
) -> Reply:
    """A 206 from byte ``first`` on, of which what lies before byte ``cut`` comes."""
    told = f"bytes {first}-{SIZE - 1}/{SIZE}" if told is None else told
    body = MemoryBody(CONTENT[first:cut], end=end, piece=7)
    return _sent(reply(206, body, [(b"Content-Range", told.encode())]), **how)


def refusal(status: int, *headers: tuple[bytes, bytes], **how: Any) -> Reply:
    """An answer without bytes of the content."""
    return _sent(reply(status, b"{}", headers), **how)


def _sent(answer: Reply, host: str = CDN, address: str = "", headers: HeaderLines = ()) -> Reply:
    return replace(
        answer,
        host=host,
        address=address,
        redirected=host != HOME,
        headers=(*answer.headers, *headers),
    )


def body_of(answer: Reply) -> MemoryBody:
    """The scripted body of an answer."""
    assert isinstance(answer.body, MemoryBody)
    return answer.body


class Sink(Protocol):
    """Takes what comes, and does ``then`` after each piece."""

    def __init__(self) -> None:
        self.came = b""
        self.reason: Failure | None = None
        self.then: Callable[[], object] = lambda: None

    @property
    def producer(self) -> IPushProducer:
        """The body, as sinks use it."""
        producer: IPushProducer = self.transport  # type: ignore[assignment]
        return producer

    def dataReceived(self, data: bytes) -> None:
        self.came += data
        self.then()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        assert self.reason is None, "an end was told twice"
        self.reason = reason


Line = Reply | Exception | Deferred[Reply]


@dataclass
class Bench:
    """One body, its script of answers to resumes, and its sink."""

    care: Care = CARE
    script: deque[Line] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.course = Course()
        self.sink = Sink()
        self.asked: list[tuple[int, int | None, frozenset[str]]] = []
        self.asked_at: list[float] = []

    def ask(self, first: int, end: int | None, avoid: frozenset[str]) -> Deferred[Reply]:
        """Give the next line of the script."""
        self.asked.append((first, end, avoid))
        self.asked_at.append(self.clock.seconds())
        line = self.script.popleft()
        if isinstance(line, Deferred):
            return line
        return fail(line) if isinstance(line, Exception) else succeed(line)

    def body(self, first: Reply, span: Span | None, ask: Ask | None) -> UnbrokenBody:
        """The body that begins with ``first``."""
        if span is None:
            span = Span(0, first.length, first.length)
        return UnbrokenBody(first, span, self.course, ask, self.care, self.clock)

    def deliver(self, first: Reply, *script: Line, span: Span | None = None) -> Sink:
        """Let a body be delivered whose resumes are answered so."""
        self.script.extend(script)
        self.body(first, span, self.ask).deliver(self.sink)
        return self.sink

    def wait(self, seconds: float = 30.0) -> None:
        """Let time pass, from one delayed call to the next."""
        until = self.clock.seconds() + seconds
        while calls := [call.getTime() for call in self.clock.getDelayedCalls()]:
            if min(calls) > until:
                break
            self.clock.advance(max(min(calls) - self.clock.seconds(), 1e-9))
        self.clock.advance(max(until - self.clock.seconds(), 0.0))

    @property
    def firsts(self) -> list[int]:
        """The bytes from which on was asked."""
        return [first for first, _, _ in self.asked]


class UnbrokenCase(SynchronousTestCase):
    """What tests of bodies ask."""

    def setUp(self) -> None:
        """A body to be."""
        self.bench = Bench()

    def ended_whole(self, bench: Bench, content: bytes = CONTENT) -> None:
        """All is there, told so, and nothing is left behind."""
        assert bench.sink.reason is not None
        bench.sink.reason.trap(ResponseDone)
        self.assertEqual(bench.sink.came, content)
        self.left_nothing(bench)

    def ended_short(self, bench: Bench, why: str, content: bytes) -> None:
        """A part is there, the cause told, and nothing left behind."""
        assert bench.sink.reason is not None
        bench.sink.reason.trap(UpstreamBroken)
        self.assertIn(why, str(bench.sink.reason.value))
        self.assertEqual(bench.sink.came, content)
        self.left_nothing(bench)

    def left_nothing(self, bench: Bench) -> None:
        """No try is to come, no call is delayed."""
        asked = len(bench.asked)
        bench.wait(11.0)
        self.assertEqual((len(bench.asked), bench.clock.getDelayedCalls()), (asked, []))
