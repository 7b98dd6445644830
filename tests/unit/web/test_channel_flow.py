"""One connection over time: slow clients, requests ahead of their turn, and closing."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from docxy.testing import MemoryBody, reply
from docxy.web.channel import LINGER, MAX_AHEAD, MirrorChannel
from docxy.web.closing import PATIENCE
from tests.unit.web.rig import Rig, request, with_limits

FORM = "Content-Type: application/x-www-form-urlencoded"
MANIFEST = "/v2/library/alpine/manifests/latest"


class SlowTests(SynchronousTestCase):
    """A head has 20 seconds from its first byte to its last."""

    def test_silent(self) -> None:
        """A client that says nothing is let go."""
        rig = Rig()
        connection = rig.connect()
        rig.clock.advance(19)
        self.assertFalse(connection.closed)
        rig.clock.advance(1)
        self.assertTrue(connection.closed)
        self.assertEqual(connection.line.taken, b"")

    def test_drip(self) -> None:
        """Bytes that come one by one do not extend the time; who was too slow is told."""
        rig = Rig()
        for head in (request("GET", "/v2/"), b"GET /" + b"a" * 60):
            connection = rig.connect()
            for byte in head[:40]:
                connection.send(bytes([byte]))
                rig.clock.advance(0.5)
            self.assertEqual(connection.answer().status, 408)
            rig.clock.pump([LINGER, 0])
            self.assertTrue(connection.closed)

    def test_slow_form(self) -> None:
        """The time is that of the whole request, its form included."""
        rig = Rig()
        connection = rig.connect()
        connection.ask("/auth/token", FORM, "Content-Length: 30", method="POST")
        for _ in range(20):
            connection.send(b"x")
            rig.clock.advance(1)
        self.assertEqual(connection.answer("POST").status, 408)

    def test_kept_alive(self) -> None:
        """A later request has as long as the first, from its own first byte on."""
        rig = Rig(with_limits(request_headers=5.0))
        connection = rig.connect()
        self.assertEqual(connection.get("/health").status, 200)
        rig.clock.advance(60)
        connection.send(b"GET /hea")
        rig.clock.advance(4)
        connection.send(b"lth")
        self.assertFalse(connection.closed)
        rig.clock.advance(1)
        self.assertEqual(connection.answer().status, 408)

    def test_idle(self) -> None:
        """A connection without requests ends after a while, in order, and is not waited for."""
        rig = Rig()
        connection = rig.connect()
        connection.get("/health")
        rig.clock.advance(76)
        rig.clock.advance(0)
        self.assertTrue(connection.closed)
        self.assertFalse(connection.line.aborted)
        self.assertEqual(rig.clock.getDelayedCalls(), [])

    def test_no_limit_while_served(self) -> None:
        """The time that an answer takes is not the client's."""
        rig = Rig()
        body = MemoryBody(end="never")
        rig.hub.will_answer(reply(200, body, [(b"Content-Type", b"application/json")]))
        connection = rig.connect()
        connection.ask("/v2/library/alpine/tags/list")
        for _ in range(10):
            body.arrive(b"x")
            rig.clock.advance(14)
        self.assertFalse(connection.closed)


class PipeliningTests(SynchronousTestCase):
    """Requests that come ahead of their turn."""

    def test_order(self) -> None:
        """Requests that come at once are answered one by one, in order."""
        connection = Rig().connect()
        targets = ["/v2/", "/health", "/v2/A/manifests/x", "/generate_204", "/health"]
        connection.send(b"".join(request("GET", target) for target in targets))
        self.assertEqual([connection.answer().status for _ in targets], [401, 200, 400, 204, 200])
        self.assertTrue(connection.silent)

    def test_bounded_while_served(self) -> None:
        """While an answer is on its way only a little is read of what follows, whatever the client does."""
        for reading in (True, False):
            with self.subTest(reading=reading):
                rig = Rig()
                body = MemoryBody(b"x" * 200_000, end="never")
                rig.hub.will_answer(reply(200, body))
                connection = rig.connect()
                connection.line.reading = reading
                connection.ask("/v2/library/alpine/tags/list")
                connection.send(b"y" * 1_000_000)
                self.assertGreater(connection.unread, 1_000_000 - MAX_AHEAD - 8192)

    def test_read_on(self) -> None:
        """What was not read while an answer was on its way is served after it."""
        rig = Rig()
        body = MemoryBody(b"[]", end="never")
        rig.hub.will_answer(reply(200, body))
        connection = rig.connect()
        count = 500
        connection.ask("/v2/library/alpine/tags/list")
        connection.send(request("GET", "/health") * count)
        self.assertGreater(connection.unread, 0)
        body.close("whole")
        connection.send(b"")
        self.assertEqual([connection.answer().status for _ in range(1 + count)], [200] * (1 + count))

    def test_answers_do_not_pile_up(self) -> None:
        """The next request waits until the client has taken the answer before it."""
        rig = Rig()
        answers = 10
        content = b"m" * 1_000_000
        rig.hub.will_answer(*[reply(200, content) for _ in range(answers)])
        connection = rig.connect()
        connection.line.reading = False
        connection.send(request("GET", MANIFEST) * answers)
        self.assertEqual(len(rig.hub.asked), 1)
        connection.send(request("GET", "/health"))
        self.assertGreater(connection.unread, 0)
        for asked in range(2, answers + 1):
            connection.line.take()
            self.assertEqual(len(rig.hub.asked), asked)
            self.assertLess(connection.line.peak, 1_010_000)
        connection.line.take()
        connection.line.reading = True
        connection.send(b"")
        statuses = [connection.answer().status for _ in range(answers + 1)]
        self.assertEqual(statuses, [200] * (answers + 1))
        self.assertFalse(connection.closed)

    def test_drained_meanwhile(self) -> None:
        """A connection that ends after its answer takes no further request."""
        rig = Rig()
        connection = rig.connect()
        connection.send(request("GET", "/health", "Connection: close") + request("GET", "/health"))
        self.assertEqual(connection.answer().status, 200)
        self.assertTrue(connection.silent)
        self.assertTrue(connection.closed)


class LeavingTests(SynchronousTestCase):
    """Connections that were closed in order do end."""

    def leaving(self) -> tuple[Rig, MirrorChannel]:
        """A channel that closed while its client does not read, over a transport that stays."""
        rig = Rig()
        connection = rig.connect()
        connection.line.reading = False
        connection.send(request("GET", "/health", "Connection: close"))
        self.assertTrue(connection.line.disconnecting)
        self.line = connection.line
        return rig, connection.http

    def test_deaf(self) -> None:
        """What comes after we closed is not looked at, as over TLS it does come."""
        _, channel = self.leaving()
        before = self.line.pending
        channel.dataReceived(request("GET", "/health"))
        channel.lineReceived(b"GET / HTTP/1.1")
        channel.allContentReceived()
        self.assertEqual(self.line.pending, before)

    def test_never_taken(self) -> None:
        """A client that takes nothing is aborted in the end."""
        rig, _ = self.leaving()
        for _ in range(3):
            rig.clock.advance(PATIENCE)
        self.assertTrue(self.line.aborted)
        rig.clock.advance(0)
        self.assertEqual(rig.connections(), 0)
        self.assertEqual(rig.clock.getDelayedCalls(), [])

    def test_told_to_leave_again(self) -> None:
        """A connection that leaves already goes on leaving."""
        rig, channel = self.leaving()
        watch = channel._leaving
        channel.leave(1.0)
        self.assertIs(channel._leaving, watch)
        self.line.take()
        rig.clock.advance(0)
        self.assertEqual(rig.clock.getDelayedCalls(), [])

    def test_abort_without_transport(self) -> None:
        """Aborting before there is a connection does nothing."""
        channel = MirrorChannel()
        channel.abort()
        self.assertFalse(channel._handlingRequest)
