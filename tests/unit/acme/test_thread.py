"""Tests for `docxy.acme.thread`: there, and back into the reactor's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.thread import in_thread


class Calls:
    """What is to be called in the reactor's thread."""

    def __init__(self) -> None:
        self.waiting: Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = Queue()

    def callFromThread(self, call: Callable[..., Any], *args: Any) -> None:  # noqa: N802 Twisted's name
        """Keep it."""
        self.waiting.put((call, args))

    def step(self) -> None:
        """Call the next, waited for."""
        call, args = self.waiting.get(timeout=30)
        call(*args)


class ThreadTests(SynchronousTestCase):
    def setUp(self) -> None:
        """Nothing called yet."""
        self.calls = Calls()
        self.reactor = cast("Any", self.calls)

    def test_result(self) -> None:
        """The work is done elsewhere, in a thread that no end waits for; its result comes back."""
        done = in_thread(self.reactor, threading.current_thread)
        self.assertNoResult(done)
        self.calls.step()
        thread = self.successResultOf(done)
        self.assertIsNot(thread, threading.current_thread())
        self.assertTrue(thread.daemon)

    def test_failure(self) -> None:
        """What it raises comes back as well."""
        known: dict[str, str] = {}
        done = in_thread(self.reactor, lambda: known["gone"])
        self.calls.step()
        self.failureResultOf(done, KeyError)

    def test_cancelled(self) -> None:
        """Nobody hears of the end of what was given up."""
        go = threading.Event()
        done = in_thread(self.reactor, lambda: go.wait(30))
        done.addErrback(lambda failure: None)
        done.cancel()
        go.set()
        self.calls.step()
        self.assertIsNone(self.successResultOf(done))
