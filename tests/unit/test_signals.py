"""Signals, as the running reactor gets them."""

from __future__ import annotations

import os
import signal

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from docxy import signals


class Reactor(MemoryReactorClock):
    """A reactor that runs what other threads ask for when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[signals.Action] = []

    def callFromThread(self, action: signals.Action) -> None:  # noqa: N802 Twisted's name
        """Keep it."""
        self.asked.append(action)


class SignalTests(SynchronousTestCase):
    """Signals call our actions, from the start of the reactor on."""

    def test_caught(self) -> None:
        """A signal runs nothing by itself: its action is for the reactor to call."""
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        before = signal.getsignal(signal.SIGUSR1)
        reactor = Reactor()
        called: list[str] = []
        actions = {
            signal.SIGUSR1: lambda: called.append("one"),
            signal.SIGUSR2: lambda: called.append("two"),
        }
        signals.install(reactor, actions)
        self.assertIs(signal.getsignal(signal.SIGUSR1), before)
        for hook, args, kwargs in reactor.whenRunningHooks:
            hook(*args, **kwargs)
        for number in (signal.SIGUSR2, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        self.assertEqual(called, [])
        for action in reactor.asked:
            action()
        self.assertEqual(sorted(called), ["one", "two"])
