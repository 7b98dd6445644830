"""
One part of a content that is fetched in parts: what came of it and was not passed on yet.

Owns the bytes while they wait, bounded by what its span is long.  Knows nothing of turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from docxy.interfaces import Reply
from docxy.upstream.unbroken import UnbrokenBody

PIECE = 65536  # bytes; a peer that sends them one by one would cost forty times their memory


class Segment(Protocol):
    """
    The bytes from ``first`` up to, without, ``end``; the sink of its body.

    ``received`` and ``ended`` are told what comes and how it ends.  Without a
    body and without a question it waits to be asked for.
    """

    def __init__(
        self,
        first: int,
        end: int,
        received: Callable[[Segment, bytes], None],
        ended: Callable[[Segment, Failure], None],
    ) -> None:
        self.first = first
        self.end = end
        self.position = first
        self.held = 0  # bytes
        self.asking: Deferred[Reply] | None = None
        self.body: UnbrokenBody | None = None
        self.reason: Failure | None = None  # how it ended
        self._received = received
        self._ended = ended
        self._pieces: deque[bytearray] = deque()

    @property
    def is_unasked(self) -> bool:
        """Whether nothing was done for it yet."""
        return self.body is None and self.asking is None

    def dataReceived(self, data: bytes) -> None:
        self.position += len(data)
        self._received(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self._ended(self, reason)

    def keep(self, data: bytes) -> None:
        """Hold ``data`` until its turn comes."""
        self.held += len(data)
        if self._pieces and len(self._pieces[-1]) < PIECE:
            self._pieces[-1] += data
        else:
            self._pieces.append(bytearray(data))

    def take(self) -> bytes:
        """The oldest bytes held."""
        data = bytes(self._pieces.popleft())
        self.held -= len(data)
        return data

    def pause(self) -> None:
        """Let its body stand still."""
        if self.body is not None:
            self.body.pauseProducing()

    def resume(self) -> None:
        """Let its body go on."""
        if self.body is not None:
            self.body.resumeProducing()

    def leave(self) -> None:
        """Give it up, whatever it does."""
        asking, self.asking = self.asking, None
        if asking is not None:
            asking.cancel()
        if self.body is not None:
            self.body.stopProducing()
