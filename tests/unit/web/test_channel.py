"""One connection: what is refused before there is a request, and how long anything may take."""

from __future__ import annotations

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import HTTPChannel

from docxy.testing import reply
from docxy.web.channel import LINGER, MAX_FORM, MAX_HEADERS
from tests.unit.web.rig import HOST, Logged, Rig, request

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
            b"POST /auth/token HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
            b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            b"GET /v2/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n"
            b"Transfer-Encoding: identity\r\n\r\n",
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


class LogTests(SynchronousTestCase):
    """A refusal leaves one line."""

    def test_line(self) -> None:
        """The client and the reason are told, and nothing of what it sent."""
        logged = Logged(self)
        rig = Rig(clock=Clock())
        connection = rig.connect()
        connection.send(b"GET /secret HTTP/1.1\r\nAuthorization: Bearer not-for-logs\r\nbad\r\n\r\n")
        events = [event for event in logged.events if event.get("log_namespace") == "docxy.web.channel"]
        self.assertEqual(
            [(e["client"], e["error"]) for e in events], [("203.0.113.7", "the request is malformed")]
        )
        self.assertNotIn("not-for-logs", repr(events))
        self.assertIn(HOST, request("GET", "/").decode())


class HandshakeTests(SynchronousTestCase):
    """What a handshake over TLS has settled."""

    def test_proof_alone(self) -> None:
        """Who wanted to see a proof of a name alone is let go; others go on (RFC 8737 section 3)."""
        for chosen, closed in ((b"acme-tls/1", True), (b"http/1.1", False), (None, False)):
            client = Rig().connect()
            client.line.negotiatedProtocol = chosen  # type: ignore[attr-defined]  # of TLS alone
            IHandshakeListener(client.http).handshakeCompleted()
            self.assertEqual(client.closed, closed)
