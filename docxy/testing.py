"""
Fakes of the seams, for tests of docxy and of what is built on it.

Owns scripted stand-ins for `IUpstream`, `ITokenSource` and `IBody`.  They open
no connection, wait for nothing, and fail loudly when asked for more than their
script holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from docxy.interfaces import (
    Authority,
    HeaderLines,
    IBody,
    ITokenSource,
    IUpstream,
    Reply,
    TokenReply,
    TokenRequest,
    UpstreamBroken,
    UpstreamTooLarge,
)
from docxy.oci.scopes import Scope
from docxy.settings.values import UpstreamSettings

_T = TypeVar("_T")

End: TypeAlias = Literal["whole", "unknown", "broken", "never"]
"""How a body ends: told to be whole, by a close that tells nothing, broken off, or not at all."""


class ScriptOver(AssertionError):
    """A fake was asked for more than its script holds, or for one body twice."""


def _reason(end: End) -> Failure:
    if end == "whole":
        return Failure(ResponseDone())
    if end == "unknown":
        return Failure(PotentialDataLoss())
    return Failure(ResponseFailed([Failure(ConnectionLost())]))


@implementer(IBody)
class MemoryBody:
    """
    A body of ``content`` that comes in pieces of ``piece`` bytes and ends as ``end`` says.

    With ``endless`` the content comes again and again, to whoever does not
    pause or stop it.  ``fate`` tells what became of the body: "untaken",
    "delivered", "dropped" or "read"; ``paused`` and ``stopped`` what its
    reader asked for, and ``sent`` how many bytes were handed over.  As with a
    real connection, who stops it is not called back at once: the test calls
    `close` when the loss is to be told; and who pauses it in
    ``connectionMade`` gets bytes all the same.
    """

    def __init__(
        self, content: bytes = b"", *, end: End = "whole", endless: bool = False, piece: int = 65536
    ) -> None:
        self.fate: Literal["untaken", "delivered", "dropped", "read"] = "untaken"
        self.paused = False
        self.stopped = False
        self.sent = 0
        self._pieces = deque(content[at : at + piece] for at in range(0, len(content), piece))
        self._endless = endless
        self._end: End = end
        self._reader: IProtocol | None = None
        self._pumping = False

    def deliver(self, protocol: IProtocol) -> None:
        self._take("delivered")
        self._connect(protocol)

    def drop(self) -> None:
        self._take("dropped")

    def read(self, limit: int) -> Deferred[bytes]:
        self._take("read")
        collector = _Collector(self, limit)
        self._connect(collector)
        return collector.done

    def arrive(self, data: bytes) -> None:
        """More bytes come, for a body that has not ended."""
        self._pieces.append(data)
        self.pump()

    def close(self, end: End = "broken") -> None:
        """The body ends, without what has not been handed over yet."""
        self._pieces.clear()
        self._endless = False
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.connectionLost(_reason(end))

    def pump(self) -> None:
        """Hand over what there is while the reader takes it."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._pieces and self._reader is not None and not (self.paused or self.stopped):
                self._hand_over(self._reader)
        finally:
            self._pumping = False
        if not (self._pieces or self.paused or self.stopped) and self._end != "never":
            self.close(self._end)

    def _hand_over(self, reader: IProtocol) -> None:
        data = self._pieces.popleft()
        if self._endless:
            self._pieces.append(data)
        self.sent += len(data)
        reader.dataReceived(data)

    def _take(self, fate: Literal["delivered", "dropped", "read"]) -> None:
        if self.fate != "untaken":
            raise ScriptOver(f"the body was {self.fate} already")
        self.fate = fate

    def _connect(self, reader: IProtocol) -> None:
        self._reader = reader
        reader.makeConnection(_Wire(self))  # type: ignore[arg-type]  # a producer is all that Twisted gives
        self.paused = False
        self.pump()


@implementer(IPushProducer)
class _Wire:
    """What a reader sees of its body's transport."""

    def __init__(self, body: MemoryBody) -> None:
        self._body = body

    def pauseProducing(self) -> None:
        self._body.paused = True

    def resumeProducing(self) -> None:
        self._body.paused = False
        self._body.pump()

    def stopProducing(self) -> None:
        self._body.stopped = True

    loseConnection = stopProducing


class _Collector(Protocol):
    """All bytes of a body within a bound."""

    def __init__(self, body: MemoryBody, limit: int) -> None:
        self.done: Deferred[bytes] = Deferred(self._cancelled)
        self._body = body
        self._limit = limit
        self._content = b""

    def _cancelled(self, _: Deferred[bytes]) -> None:
        self._body.stopped = True

    def dataReceived(self, data: bytes) -> None:
        self._content += data
        if len(self._content) > self._limit:
            self._body.stopped = True
            self.done.errback(UpstreamTooLarge(f"the answer is larger than {self._limit} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.done.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(self._content)
        else:
            self.done.errback(UpstreamBroken("the answer broke off"))


def reply(
    status: int = 200,
    content: bytes | MemoryBody = b"",
    headers: HeaderLines = (),
    *,
    length: int | None = None,
    host: str = "registry.example",
    redirected: bool = False,
) -> Reply:
    """
    A `Reply`; ``length`` is that of ``content`` where it is bytes and no other is given.

    For a body of unknown size give a `MemoryBody` and no length.
    """
    if isinstance(content, bytes):
        length = len(content) if length is None else length
        content = MemoryBody(content)
    return Reply(status, tuple(headers), length, host, redirected, content)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that a fake upstream was asked."""

    method: bytes
    target: bytes
    headers: HeaderLines
    avoid: frozenset[str] = frozenset()

    def lines(self, name: bytes) -> list[bytes]:
        """Every value of header ``name``, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def _outcome(scripted: _T | Exception | Deferred[_T]) -> Deferred[_T]:
    if isinstance(scripted, Deferred):
        return scripted
    return fail(scripted) if isinstance(scripted, Exception) else succeed(scripted)


@implementer(IUpstream)
class FakeUpstream:
    """
    Answers each request with the next line of its script and remembers it in ``asked``.

    A line is a `Reply`, an error to fail with, or a Deferred that the test
    fires; `reply` makes replies.  Raises `ScriptOver` when none is left.
    """

    def __init__(self, *script: Reply | Exception | Deferred[Reply]) -> None:
        self.asked: list[Asked] = []
        self._script = deque(script)

    def will_answer(self, *script: Reply | Exception | Deferred[Reply]) -> None:
        """Add to the script."""
        self._script.extend(script)

    def fetch(
        self,
        method: bytes,
        target: bytes,
        headers: HeaderLines,
        avoid: frozenset[str] = frozenset(),
    ) -> Deferred[Reply]:
        return self._next(Asked(method, target, tuple(headers), avoid))

    def again(self, target: bytes, headers: HeaderLines, avoid: frozenset[str]) -> Deferred[Reply]:
        return self._next(Asked(b"GET", target, tuple(headers), avoid))

    def ping(self, headers: HeaderLines) -> Deferred[Reply]:
        return self._next(Asked(b"GET", b"/v2/", tuple(headers)))

    def search(self, query: bytes) -> Deferred[Reply]:
        return self._next(Asked(b"GET", b"/v1/search?" + query, ()))

    def _next(self, asked: Asked) -> Deferred[Reply]:
        self.asked.append(asked)
        if not self._script:
            raise ScriptOver(f"nothing to answer {asked.method!r} {asked.target!r} with")
        return _outcome(self._script.popleft())


BEARER = Authority("bearer", "https://auth.example/token", "registry.example")
"""An upstream with a token server, as most have."""


@implementer(ITokenSource)
class FakeTokenSource:
    """
    Gives what its lists hold, and remembers what it was asked for.

    ``answers`` are for `relay` and ``bearers`` for `bearer`, in order; a line
    may be an error.  ``learning`` stands for an authority that is still asked
    for.  ``ours`` names the credentials behind header values,
    ``foreigners`` are values that are another upstream's.  What was asked is
    in ``relayed``, ``wanted``, ``forgotten`` and ``doubts``.
    """

    def __init__(
        self,
        settings: UpstreamSettings,
        known: Authority = BEARER,
        *,
        answers: Iterable[TokenReply | Exception | Deferred[TokenReply]] = (),
        bearers: Iterable[bytes | Exception | Deferred[bytes | None] | None] = (),
    ) -> None:
        self.settings = settings
        self.known = known
        self.learning: Deferred[Authority] | None = None
        self.answers = deque(answers)
        self.bearers = deque(bearers)
        self.ours: dict[bytes | None, str] = {None: "anonymous"}
        self.foreigners: set[bytes] = set()
        self.relayed: list[TokenRequest] = []
        self.wanted: list[tuple[Scope, ...]] = []
        self.forgotten: list[bytes] = []
        self.doubts = 0

    def authority(self) -> Deferred[Authority]:
        return succeed(self.known) if self.learning is None else self.learning

    def relay(self, request: TokenRequest) -> Deferred[TokenReply]:
        self.relayed.append(request)
        if not self.answers:
            raise ScriptOver("no token answer is left")
        return _outcome(self.answers.popleft())

    def bearer(self, scopes: tuple[Scope, ...]) -> Deferred[bytes | None]:
        self.wanted.append(scopes)
        if not self.bearers:
            raise ScriptOver("no bearer token is left")
        return _outcome(self.bearers.popleft())

    def forget(self, authorization: bytes) -> None:
        self.forgotten.append(authorization)

    def doubt(self) -> None:
        self.doubts += 1

    def credential(self, authorization: bytes | None) -> str | None:
        return self.ours.get(authorization)

    def foreign(self, authorization: bytes) -> bool:
        return authorization in self.foreigners
