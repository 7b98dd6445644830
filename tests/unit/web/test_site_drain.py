"""The end of a site: what runs is let run, what is idle is closed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.testing import MemoryBody, reply
from tests.unit.web.rig import Connection, Rig


class DrainTests(SynchronousTestCase):
    """The end of a site."""

    def busy(self) -> tuple[Rig, Connection, MemoryBody]:
        """A mirror that relays."""
        rig = Rig()
        body = MemoryBody(b"[", end="never")
        rig.hub.will_answer(reply(200, body))
        connection = rig.connect()
        connection.ask("/v2/library/alpine/tags/list")
        return rig, connection, body

    def test_nobody(self) -> None:
        """Without connections it is drained at once, however often one asks."""
        rig = Rig()
        self.successResultOf(rig.site.drain())
        self.successResultOf(rig.site.drain())

    def test_idle(self) -> None:
        """Idle connections are closed."""
        rig = Rig()
        connection = rig.connect()
        connection.get("/health")
        drained = rig.site.drain()
        self.assertNoResult(drained)
        rig.clock.advance(0)
        self.assertTrue(connection.closed)
        self.successResultOf(drained)

    def test_grace(self) -> None:
        """For a while, idle connections may send one more request; then they are closed."""
        rig = Rig()
        idle, late, gone = rig.connect(), rig.connect(), rig.connect()
        idle.get("/health")
        drained = rig.site.drain(5)
        gone.leave()
        rig.clock.advance(4.9)
        came = late.get("/health")
        self.assertEqual((came.status, came.headers["Connection"]), (200, "close"))
        self.assertTrue(late.closed)
        self.assertFalse(idle.closed)
        self.assertNoResult(drained)
        rig.clock.advance(0.2)
        rig.clock.advance(0)
        self.assertTrue(idle.closed)
        self.successResultOf(drained)
        self.assertEqual(rig.clock.getDelayedCalls(), [])

    def test_grace_busy(self) -> None:
        """A request that came in that time is answered to its end."""
        rig, connection, body = self.busy()
        idle = rig.connect()
        drained = rig.site.drain(5)
        rig.hub.will_answer(reply(200, late := MemoryBody(b"[", end="never")))
        idle.ask("/v2/library/alpine/tags/list")
        rig.clock.advance(6)
        for each, relay in ((connection, body), (idle, late)):
            relay.arrive(b"]")
            relay.close("whole")
            self.assertEqual(each.answer().body, b"[]")
        rig.clock.advance(0)
        self.successResultOf(drained)

    def test_relays_end(self) -> None:
        """A relay goes on to its end, a new connection is turned away, and then all is drained."""
        rig, connection, body = self.busy()
        drained = rig.site.drain()
        self.assertTrue(rig.connect().closed)
        self.assertFalse(connection.closed)
        body.arrive(b"]")
        body.close("whole")
        came = connection.answer()
        self.assertEqual((came.body, came.whole), (b"[]", True))
        self.assertTrue(connection.closed)
        rig.clock.advance(0)
        self.successResultOf(drained)

    def test_abort(self) -> None:
        """Aborting ends all connections at once, and their upstream transfers."""
        rig, connection, body = self.busy()
        drained = rig.site.drain()
        rig.site.abort()
        rig.clock.advance(0)
        self.assertTrue(connection.line.aborted)
        self.assertTrue(body.stopped)
        self.successResultOf(drained)

    def test_twice(self) -> None:
        """Everybody who waits for the end is told."""
        rig, connection, _ = self.busy()
        first, second = rig.site.drain(), rig.site.drain()
        connection.leave()
        self.successResultOf(first)
        self.successResultOf(second)
