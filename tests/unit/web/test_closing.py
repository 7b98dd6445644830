"""Connections that were closed and stay."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.web import closing
from docxy.web.closing import PATIENCE, Watch, unsent_bytes


class Held:
    """A transport over a real socket, or something above one."""

    def __init__(self, handle: Any = None, below: Any = None) -> None:
        self.aborted = 0
        self.handle = handle
        if below is not None:
            self.transport = below

    def getHandle(self) -> Any:  # noqa: N802 Twisted calls it
        """Its socket."""
        return self.handle

    def abortConnection(self) -> None:
        """Count it."""
        self.aborted += 1


class UnsentTests(SynchronousTestCase):
    """What the kernel still holds for a peer."""

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two ends of a connection."""
        ends = socket.socketpair()
        for end in ends:
            self.addCleanup(end.close)
        return ends

    def test_counts(self) -> None:
        """It is counted while the peer does not read, below TLS too."""
        ours, theirs = self.pair()
        self.assertEqual(unsent_bytes(Held(ours)), 0)
        ours.send(b"x" * 1000)
        held = unsent_bytes(Held(ours))
        self.assertGreaterEqual(held, 1000)
        self.assertEqual(unsent_bytes(Held(below=Held(below=Held(ours)))), held)
        theirs.recv(1000)
        self.assertEqual(unsent_bytes(Held(ours)), 0)

    def test_unknown(self) -> None:
        """It is nothing where there is no socket, or no more."""
        ours, _ = self.pair()
        ours.close()
        for transport in (Held(ours), Held(None), object()):
            self.assertEqual(unsent_bytes(transport), 0)


class WatchTests(SynchronousTestCase):
    """The watch aborts when nothing leaves any more."""

    def watch(self, patience: float, *unsent: int) -> int:
        """After how many looks it aborts, when each finds the next of ``unsent``; -1: not at all."""
        clock, held = Clock(), Held()
        found = iter(unsent)
        self.patch(closing, "unsent_bytes", lambda _: next(found))
        watch = Watch(held, clock, patience)
        for look in range(1, len(unsent) + 1):
            clock.advance(PATIENCE)
            if held.aborted:
                self.assertEqual(clock.getDelayedCalls(), [])
                return look
        watch.stop()
        watch.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
        return -1

    def test_looks(self) -> None:
        """Not while bytes leave; after ``patience`` when they stand; soon when all have left."""
        for patience, unsent, aborted_at in (
            (5.0, (500, 400, 300, 200, 100), -1),
            (5.0, (500, 500), 2),
            (5.0, (500, 400, 400), 3),
            (300.0, (500,) * 60, -1),
            (300.0, (500,) * 61, 61),
            (300.0, (500, 0, 0), 3),
            (300.0, (0, 0), 2),
            (5.0, (0,), -1),
        ):
            with self.subTest(patience=patience, unsent=unsent):
                self.assertEqual(self.watch(patience, *unsent), aborted_at)
