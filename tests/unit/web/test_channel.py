"""One connection: what is refused before there is a request, and how long anything may take."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel

from docxy.testing import MemoryBody, reply
from docxy.web.channel import LINGER, MAX_AHEAD, MAX_FORM, MAX_HEADERS, MirrorChannel
from docxy.web.closing import PATIENCE
from tests.unit.web.rig import HOST, Logged, Rig, request, with_limits

FORM = "Content-Type: application/x-www-form-urlencoded"
MANIFEST = "/v2/library/alpine/manifests/latest"


def chunk(data: bytes) -> bytes:
    """One chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class PrivateNameTests(SynchronousTestCase):
    """What this code takes from inside Twisted is still there."""

    def test_methods(self) -> None:
        """Twisted calls the methods that are overridden here."""
        for name in (
            "_respondToBadRequestAndDisconnect",
            "allContentReceived",
            "allHeadersReceived",
            "headerReceived",
            "lineLengthExceeded",
            "lineReceived",
            "rawDataReceived",
            "requestDone",
            "resumeProducing",
            "timeoutConnection",
        ):
            self.assertTrue(callable(getattr(HTTPChannel, name)), name)

    def test_attributes(self) -> None:
        """A channel keeps its state under the names that are read here."""
        channel = HTTPChannel()
        for name in (
            "_dataBuffer",
            "_handlingRequest",
            "_receivedHeaderCount",
            "_receivedHeaderSize",
            "_waitingForTransport",
            "maxHeaders",
            "paused",
            "persistent",
            "requests",
            "totalHeadersSize",
        ):
            self.assertTrue(hasattr(channel, name), name)

    def test_while_serving(self) -> None:
        """Between headers and end of the head, a request's command and version are kept."""
        rig = Rig()
        connection = rig.connect()
        connection.send(b"POST /auth/token HTTP/1.1\r\n")
        self.assertEqual((connection.http._command, connection.http._version), (b"POST", b"HTTP/1.1"))
        self.assertIs(connection.http._networkProducer, connection.line)


class RefusalCase(SynchronousTestCase):
    """Tests of what is refused."""

    def refused(self, data: bytes, status: int, code: str = "UNSUPPORTED") -> None:
        """Sent alone, ``data`` is refused once, in JSON, and the connection closed in order."""
        rig = Rig()
        connection = rig.connect()
        connection.send(data)
        came = connection.answer()
        self.assertEqual((came.status, came.code, came.headers["Connection"]), (status, code, "close"))
        connection.send(request("GET", "/health"))
        self.assertTrue(connection.silent)
        self.assertFalse(connection.closed)
        rig.clock.advance(LINGER)
        rig.clock.advance(0)
        self.assertTrue(connection.closed)
        self.assertFalse(connection.line.aborted)
        self.assertEqual(rig.connections(), 0)
        self.assertEqual(rig.clock.getDelayedCalls(), [])


class HeadTests(RefusalCase):
    """Heads: their size, their form, their Host."""

    def test_large_token(self) -> None:
        """An Authorization header of 40 KiB reaches upstream as it is."""
        rig = Rig()
        token = "Bearer " + "t" * 40 * 1024
        rig.hub.will_answer(reply(404, b"{}"))
        self.assertEqual(rig.connect().get(MANIFEST, f"Authorization: {token}").status, 404)
        self.assertEqual(rig.hub.asked[0].lines(b"Authorization"), [token.encode()])

    def test_too_large(self) -> None:
        """More than 64 KiB is refused: in one line, without an end, in all, and in number."""
        long = b"x" * MAX_HEADERS
        for head in (
            b"GET /" + long + b" HTTP/1.1\r\n",
            b"GET /" + long + long,
            request("GET", "/", f"X-Large: {'x' * (MAX_HEADERS + 1)}"),
            request("GET", "/", f"X-A: {'x' * 40000}", f"X-B: {'x' * 40000}"),
            request("GET", "/", *[f"X-{number}: x" for number in range(600)]),
        ):
            with self.subTest(head=head[:40]):
                self.refused(head, 431)

    def test_malformed(self) -> None:
        """What is no HTTP gets 400, and a second answer never follows the first."""
        for head in (
            b"\0\1\2\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /v2/ HTTP/9.9\r\nHost: h\r\n\r\n",
            b"GET /v2/\r\n\r\n",
            b"G\xffT /v2/ HTTP/1.1\r\n\r\n",
            b"GET /v2/\x80 HTTP/1.1\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nBad\x0bName: x\r\nHost: h\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nHost: h\r\nX: a\nb\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
            b"POST /auth/token HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
            b"POST /auth/token HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"POST /auth/token HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n",
            b"POST /auth/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
            b"POST /auth/token HTTP/1.1\r\nContent-Length: %s\r\nHost: h\r\n\r\n" % (b"9" * 5000),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        ):
            with self.subTest(head=head):
                self.refused(head, 400)

    def test_host(self) -> None:
        """HTTP/1.1 needs exactly one Host; HTTP/1.0 none."""
        self.refused(b"GET /health HTTP/1.1\r\n\r\n", 400)
        self.refused(request("GET", "/health", "Host: other"), 400)
        self.refused(request("GET", "/health", "Host: other", version="1.0"), 400)
        connection = Rig().connect()
        connection.send(b"GET /health HTTP/1.0\r\n\r\n")
        self.assertEqual(connection.answer().status, 200)

    def test_http_1_0(self) -> None:
        """An HTTP/1.0 client gets its answer and the end of the connection."""
        rig = Rig()
        connection = rig.connect()
        connection.send(request("GET", "/health", version="1.0"))
        self.assertEqual(connection.answer().status, 200)
        self.assertTrue(connection.closed)
        rig.clock.advance(0)
        self.assertEqual(rig.connections(), 0)

    def test_byte_by_byte(self) -> None:
        """How the bytes of a request fall into deliveries makes no difference."""
        connection = Rig().connect()
        for byte in request("GET", "/v2/A/manifests/x"):
            connection.send(bytes([byte]))
        self.assertEqual(connection.answer().code, "NAME_INVALID")
        self.assertEqual(connection.get("/health").status, 200)


class BodyTests(RefusalCase):
    """Bodies: forms of POSTs alone, and small."""

    def test_on_get(self) -> None:
        """A body on another method is refused, and is never taken for the next request."""
        smuggled = request("GET", "/smuggled")
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            with self.subTest(method=method):
                length = f"Content-Length: {len(smuggled)}"
                self.refused(request(method, "/v2/", length) + smuggled, 400)
        self.refused(request("GET", "/v2/", "Transfer-Encoding: chunked") + chunk(smuggled), 400)

    def test_declared(self) -> None:
        """A form that announces more than 64 KiB is refused before it is sent."""
        self.refused(
            request("POST", "/auth/token", FORM, f"Content-Length: {MAX_FORM + 1}"), 413, "SIZE_INVALID"
        )

    def test_expect(self) -> None:
        """Who asks first is told to go on, or not to."""
        connection = Rig().connect()
        connection.ask("/auth/token", FORM, "Content-Length: 5", "Expect: 100-continue", method="POST")
        self.assertEqual(connection.line.taken, b"HTTP/1.1 100 Continue\r\n\r\n")
        too_large = request("POST", "/auth/token", f"Content-Length: {MAX_FORM + 1}", "Expect: 100-continue")
        self.refused(too_large, 413, "SIZE_INVALID")

    def test_chunked(self) -> None:
        """A chunked form is refused as it outgrows 64 KiB, its end included in the same delivery or not."""
        head = request("POST", "/auth/token", FORM, "Transfer-Encoding: chunked")
        large = chunk(b"x" * (MAX_FORM + 1))
        for body in (large, large + large, chunk(b"x" * MAX_FORM) + chunk(b"x")):
            for end in (b"", chunk(b"")):
                with self.subTest(body=len(body), end=end):
                    self.refused(head + body + end, 413, "SIZE_INVALID")

    def test_bad_chunks(self) -> None:
        """Malformed chunks get 400."""
        head = request("POST", "/auth/token", FORM, "Transfer-Encoding: chunked")
        for body in (b"x\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n", b"5" * 2000, b"0x5\r\nabcde\r\n"):
            with self.subTest(body=body[:20]):
                self.refused(head + body, 400)

    def test_refused_in_mid_body(self) -> None:
        """What follows a refused chunk in a delivery of its own is not looked at."""
        connection = Rig().connect()
        connection.ask("/auth/token", FORM, "Transfer-Encoding: chunked", method="POST")
        connection.send(b"zz\r\n")
        connection.send(chunk(b"") + request("GET", "/health"))
        self.assertEqual(connection.answer("POST").status, 400)
        self.assertTrue(connection.silent)


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


class LogTests(SynchronousTestCase):
    """A refusal leaves one line."""

    def test_line(self) -> None:
        """The client and the reason are told, and nothing of what it sent."""
        logged = Logged(self)
        rig = Rig(clock=Clock())
        connection = rig.connect()
        connection.send(b"GET /secret HTTP/1.1\r\nAuthorization: Bearer abc\r\nbad\r\n\r\n")
        events = [event for event in logged.events if event.get("log_namespace") == "docxy.web.channel"]
        self.assertEqual(
            [(e["client"], e["error"]) for e in events], [("203.0.113.7", "the request is malformed")]
        )
        self.assertNotIn("abc", repr(events))
        self.assertIn(HOST, request("GET", "/").decode())
