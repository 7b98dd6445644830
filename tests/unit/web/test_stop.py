"""The end of the service, as the clients of that moment see it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Reply
from docxy.testing import MemoryBody, reply
from docxy.web.closing import PATIENCE
from tests.unit.web.rig import Connection, Logged, Rig, request

BLOB = f"/v2/library/alpine/blobs/sha256:{'0' * 64}"
MANIFEST = "/v2/library/alpine/manifests/latest"


class StopTests(SynchronousTestCase):
    """What still runs ends short, in order."""

    def setUp(self) -> None:
        """A mirror and one client."""
        self.logged = Logged(self)
        self.rig = Rig()
        self.client = self.rig.connect()

    def begin(self, length: int | None = 200_000, version: str = "1.1") -> MemoryBody:
        """A body on its way."""
        body = MemoryBody(b"x" * 1000, end="never")
        self.rig.hub.will_answer(reply(200, body, length=length))
        self.client.send(request("GET", BLOB, version=version))
        return body

    def stop(self) -> None:
        """The time to drain is over."""
        drained = self.rig.site.drain()
        self.assertNoResult(drained)
        self.rig.site.end_short()
        self.rig.clock.advance(0)

    def ended(self) -> None:
        """The client saw an orderly end, nothing runs on, and one event tells why."""
        self.assertEqual((self.client.closed, self.client.line.aborted), (True, False))
        self.assertEqual((self.rig.connections(), self.rig.relays.active), (0, 0))
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])
        self.assertEqual([event["error"] for event in self.logged.access], ["docxy stopped"])

    def test_relay(self) -> None:
        """A relay ends short of its length, upstream's transfer with it."""
        body = self.begin()
        self.stop()
        came = self.client.answer()
        self.assertEqual((came.status, came.whole, len(came.body)), (200, False, 1000))
        self.assertTrue(body.stopped)
        self.ended()
        self.assertEqual(self.logged.access[0]["bytes"], 1000)

    def test_chunked(self) -> None:
        """One in chunks ends without the last of them."""
        self.begin(length=None)
        self.stop()
        self.assertFalse(self.client.answer().whole)
        self.ended()

    def test_without_length(self) -> None:
        """One whose end only the connection tells is cut off: an orderly end would say that all is there."""
        self.begin(length=None, version="1.0")
        self.stop()
        self.assertTrue(self.client.line.aborted)

    def test_before_the_answer(self) -> None:
        """A request that waits for upstream is refused."""
        cancelled: list[object] = []
        asked: Deferred[Reply] = Deferred(cancelled.append)
        self.rig.hub.will_answer(asked)
        self.client.ask(BLOB)
        self.stop()
        came = self.client.answer()
        self.assertEqual((came.status, came.code, len(cancelled)), (503, "UNAVAILABLE", 1))
        self.ended()

    def test_slow_client(self) -> None:
        """A client that does not read has until the connection is aborted; what it has not is not the end."""
        self.client.line.reading = False
        self.begin()
        self.stop()
        self.assertEqual((self.client.closed, self.client.line.lost), (True, False))
        self.rig.clock.pump([PATIENCE] * 3)
        self.assertTrue(self.client.line.aborted)

    def test_half_a_request(self) -> None:
        """A request that is still being sent is not waited for."""
        self.client.send(b"GET / HT")
        self.stop_at_once()
        form = self.client = self.rig.connect()
        form.ask("/auth/token", "Content-Length: 9", method="POST")
        self.stop_at_once()

    def stop_at_once(self) -> None:
        """Without a drain before it."""
        self.rig.site.end_short()
        self.rig.clock.advance(0)
        self.assertEqual((self.client.closed, self.client.line.aborted), (True, False))
        self.assertEqual(self.rig.connections(), 0)

    def test_bug_of_the_end(self) -> None:
        """The end is told, also where the work fails of it."""
        asked: Deferred[Reply] = Deferred(lambda it: it.errback(ValueError("a bug")))
        self.rig.hub.will_answer(asked)
        self.client.ask(BLOB)
        self.stop()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.client.answer().status, 503)


class TakenTests(SynchronousTestCase):
    """A manifest counts as on its way until its client has taken it."""

    CONTENT = b"m" * 1_000_000

    def setUp(self) -> None:
        """A client that does not read the manifest it asks for."""
        self.logged = Logged(self)
        self.rig = Rig()
        self.client = self.slow()

    def slow(self) -> Connection:
        """Such a client."""
        client = self.rig.connect()
        client.line.reading = False
        return client

    def ask(self, *headers: str) -> None:
        """Ask for it."""
        self.rig.hub.will_answer(reply(200, self.CONTENT))
        self.client.ask(MANIFEST, *headers)
        self.assertEqual((self.rig.relays.active, self.logged.access), (1, []))

    def test_taken(self) -> None:
        """As the client takes the last byte its place is free, and the next request is served."""
        self.ask()
        self.client.line.take(500_000)
        self.assertEqual(self.rig.relays.active, 1)
        self.client.line.take()
        self.assertEqual(self.rig.relays.active, 0)
        [event] = self.logged.access
        self.assertEqual((event["status"], event["bytes"]), (200, len(self.CONTENT)))
        self.client.line.reading = True
        self.assertEqual([self.client.answer().status, self.client.get("/health").status], [200, 200])

    def test_gone(self) -> None:
        """A client that leaves frees it."""
        self.ask()
        self.client.leave()
        self.assertEqual((self.rig.relays.active, len(self.logged.access)), (0, 1))

    def test_last_answer(self) -> None:
        """On a connection that ends after the answer it is free when the connection has ended."""
        self.ask("Connection: close")
        self.client.line.take()
        self.rig.clock.advance(0)
        self.assertEqual((self.rig.relays.active, self.rig.connections()), (0, 0))

    def test_limit(self) -> None:
        """So that clients that do not read cannot have more of them at once than they may."""
        for _ in range(self.rig.settings.limits.relays_per_client):
            self.rig.hub.will_answer(reply(200, self.CONTENT[:70_000]))
            self.slow().ask(MANIFEST)
        self.assertEqual(self.rig.connect().get(MANIFEST).status, 429)

    def test_left_before(self) -> None:
        """An answer to who has left is not waited for."""
        asked: Deferred[Reply] = Deferred(lambda it: it.callback(reply(200, b"{}")))
        self.rig.hub.will_answer(asked)
        self.client.ask(MANIFEST)
        self.client.leave()
        self.assertEqual((self.rig.relays.active, len(self.logged.access)), (0, 1))
