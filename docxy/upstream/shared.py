"""
One piece of work that any number of callers wait for.

Each waiter has a Deferred of its own: cancelling one forgets that waiter, and
the last one to leave cancels the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """
    The outcome of ``start()``, for all who `join` before it is there.

    ``ended`` is called once there is nothing more to join.
    """

    def __init__(self, start: Callable[[], Deferred[_T]], ended: Callable[[], None]) -> None:
        self._waiting: list[Deferred[_T]] = []
        self._start = start
        self._ended = ended
        self._work: Deferred[_T] | None = None

    def join(self) -> Deferred[_T]:
        """A Deferred of the outcome; the first one starts the work."""
        waiter: Deferred[_T] = Deferred(self._leave)
        self._waiting.append(waiter)
        if self._work is None:
            self._work = maybeDeferred(self._start)
            self._work.addCallbacks(self._succeeded, self._failed)
        return waiter

    def _leave(self, waiter: Deferred[_T]) -> None:
        if waiter not in self._waiting:
            return  # the others are being told the outcome at this very moment
        self._waiting.remove(waiter)
        if not self._waiting and self._work is not None:
            self._ended()  # before it is cancelled: who comes now must not wait for dying work
            self._work.cancel()

    def _settle(self) -> list[Deferred[_T]]:
        self._ended()
        waiting, self._waiting = self._waiting, []
        return waiting

    def _succeeded(self, outcome: _T) -> None:
        for waiter in self._settle():
            if not waiter.called:
                waiter.callback(outcome)

    def _failed(self, failure: Failure) -> None:
        for waiter in self._settle():
            if not waiter.called:
                waiter.errback(failure)


class SharedByKey(Generic[_T]):
    """Work in progress, at most one piece a key."""

    def __init__(self) -> None:
        self._running: dict[object, Shared[_T]] = {}

    def join(self, key: object, start: Callable[[], Deferred[_T]]) -> Deferred[_T]:
        """Wait for what runs under ``key``, or start it."""
        running = self._running.get(key)
        if running is not None:
            return running.join()
        shared: Shared[_T] = Shared(start, lambda: self._forget(key, shared))
        self._running[key] = shared
        return shared.join()

    def _forget(self, key: object, shared: Shared[_T]) -> None:
        if self._running.get(key) is shared:
            del self._running[key]
