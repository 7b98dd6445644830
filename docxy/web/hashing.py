"""
A digest's check beside the reactor: big pieces in a thread, in order.

Hashing costs a third of what a relay does; a second core can do it while the
first one relays.  Small rests are hashed where they are.  The threads are no
others' than its own: the reactor's wait for look-ups of names, which can hang.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from docxy.oci.verify import Verifier

PIECE = 256 * 1024  # bytes; below this a thread costs more than it saves
MAX_THREADS = 4  # together they hash more than one reactor relays
MAX_BACKLOG = 4 << 20  # bytes that wait for their thread before the source has to

InThread = Callable[[Callable[[], None]], Deferred[None]]
"""Run a function in a thread."""


def threads(cores: int | None) -> int:
    """How many there are on a machine of so many cores; None: nobody knows."""
    return min(cores or 1, MAX_THREADS)


class HashThreads:
    """
    An `InThread` by `threads` of its own.

    They start when they are first wanted, as a daemon forks before that, and
    stop with ``reactor``.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, threads(os.cpu_count()), "hash")

    def __call__(self, work: Callable[[], None]) -> Deferred[None]:
        if not self._pool.started:
            self._pool.start()
            self._reactor.addSystemEventTrigger("during", "shutdown", self._pool.stop)
        return deferToThreadPool(self._reactor, self._pool, work)


class ThreadedVerifier:
    """
    Feeds ``verifier``; ``drained`` is called when a backlog that was full is gone.

    States: idle, hashing (a thread has the pieces), and finishing, in which
    nothing more may be fed.
    """

    def __init__(self, verifier: Verifier, in_thread: InThread, drained: Callable[[], None]) -> None:
        self._verifier = verifier
        self._in_thread = in_thread
        self._drained = drained
        self._waiting: list[bytes] = []
        self._size = 0
        self._is_hashing = False
        self._failure: Failure | None = None
        self._finished: Deferred[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether the source should wait for `drained`."""
        return self._size >= MAX_BACKLOG

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size >= PIECE and not self._is_hashing:
            self._start()

    def flush(self) -> None:
        """Hash what waits for more, as more may be long in coming."""
        if self._waiting and not self._is_hashing:
            self._start()

    def finish(self) -> Deferred[None]:
        """Fires once all is hashed and fits; fails with `DigestMismatch`."""
        self._finished = Deferred()
        finished = self._finished
        if not self._is_hashing:
            self._conclude()
        return finished

    def _start(self) -> None:
        pieces, self._waiting = self._waiting, []
        was_full, self._size = self.is_full, 0
        self._is_hashing = True

        def hash_pieces() -> None:
            for piece in pieces:
                self._verifier.feed(piece)

        self._in_thread(hash_pieces).addBoth(self._hashed)
        if was_full:
            self._drained()

    def _hashed(self, outcome: object) -> None:
        self._is_hashing = False
        if isinstance(outcome, Failure):  # no thread was to be had: nothing is known of these pieces
            self._failure = outcome
        if self._size >= PIECE:
            self._start()
        elif self._finished is not None:
            self._conclude()

    def _conclude(self) -> None:
        finished = self._finished
        assert finished is not None
        if self._failure is not None:
            finished.errback(self._failure)
            return
        for piece in self._waiting:
            self._verifier.feed(piece)
        self._waiting.clear()
        maybeDeferred(self._verifier.finish).addCallbacks(finished.callback, finished.errback)
