"""
Tests of `docxy.upstream.body`, by true responses over in-memory transports.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import AccumulatingProtocol, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse
from zope.interface.verify import verifyObject

from docxy.interfaces import IBody, UpstreamBroken, UpstreamTimedOut
from docxy.upstream.body import DROP_LIMIT, DROP_SECONDS, READ_SECONDS, Collector, ResponseBody, close


class ResponseBodyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.transport = StringTransport(lenient=True)
        self.idle: list[HTTP11ClientProtocol] = []
        self.client = HTTP11ClientProtocol(self.idle.append)
        self.client.makeConnection(self.transport)

    def body(self, head: bytes) -> ResponseBody:
        """The body of the answer that begins with ``head``."""
        asked = Request(b"GET", b"/", Headers({b"Host": [b"h"]}), None, persistent=True)
        waiting: Deferred[IResponse] = self.client.request(asked)
        self.client.dataReceived(b"HTTP/1.1 200 OK\r\n" + head)
        return ResponseBody(self.successResultOf(waiting), self.clock)

    def lose(self) -> None:
        """Break the connection."""
        self.client.connectionLost(Failure(ConnectionLost()))

    def test_interface(self) -> None:
        """It is a body as the mirror knows it."""
        self.assertTrue(verifyObject(IBody, self.body(b"Content-Length: 1\r\n\r\n")))

    def test_deliver(self) -> None:
        """It is paused until it is delivered; the protocol is told whether it was whole."""
        body = self.body(b"Content-Length: 6\r\n\r\nabc")
        self.assertEqual(self.transport.producerState, "paused")
        taken = AccumulatingProtocol()
        body.deliver(taken)
        self.assertEqual((self.transport.producerState, taken.data), ("producing", b"abc"))
        self.client.dataReceived(b"def")
        self.assertEqual(taken.data, b"abcdef")
        assert taken.closedReason is not None
        self.assertTrue(taken.closedReason.check(ResponseDone))

    def test_read_whole(self) -> None:
        """All bytes come, whatever the framing, and the connection can serve again."""
        for framed in (
            b"Content-Length: 5\r\n\r\nhello",
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ):
            self.assertEqual(self.successResultOf(self.body(framed).read(5)), b"hello")
        self.assertEqual(self.successResultOf(self.body(b"Content-Length: 0\r\n\r\n").read(5)), b"")
        self.assertEqual(self.idle, [self.client] * 3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_read_until_close(self) -> None:
        """A body without length and chunks ends with its connection."""
        waiting = self.body(b"\r\nhello").read(5)
        self.lose()
        self.assertEqual(self.successResultOf(waiting), b"hello")

    def test_read_too_large(self) -> None:
        """One byte more than the limit is an error, at once, and ends the connection."""
        waiting = self.body(b"Content-Length: 600\r\n\r\n" + b"x" * 5).read(5)
        self.assertNoResult(waiting)
        self.client.dataReceived(b"x")
        self.assertIn("larger than 5 bytes", str(self.failureResultOf(waiting, UpstreamBroken).value))
        self.assertEqual(self.transport.producerState, "stopped")
        self.client.dataReceived(b"x")
        self.lose()

    def test_read_broken(self) -> None:
        """A body that breaks off is an error, with a length and with chunks."""
        for framed in (b"Content-Length: 6\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"):
            self.setUp()
            waiting = self.body(framed).read(100)
            self.lose()
            self.assertIn("broke off", str(self.failureResultOf(waiting, UpstreamBroken).value))
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_read_of_a_cause(self) -> None:
        """A body that tells why it ended is believed."""
        collector = Collector(100)
        collector.connectionLost(Failure(UpstreamBroken("it stalled")))
        collector.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(str(self.failureResultOf(collector.done, UpstreamBroken).value), "it stalled")

    def test_read_cancelled(self) -> None:
        """Who reads no longer ends the connection, even after the first bytes."""
        waiting = self.body(b"Content-Length: 6\r\n\r\nhell").read(100)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.transport.producerState, "stopped")
        self.client.dataReceived(b"o")
        self.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_read_takes_too_long(self) -> None:
        """A body in drops ends with an error of time, and its connection."""
        waiting = self.body(b"Content-Length: 1000\r\n\r\n").read(1000)
        for _ in range(3):
            self.client.dataReceived(b"x")
            self.clock.advance(READ_SECONDS / 3)
        self.assertIn("not whole", str(self.failureResultOf(waiting, UpstreamTimedOut).value))
        self.assertEqual(self.transport.producerState, "stopped")

    def test_drop_short(self) -> None:
        """A short rest is read, and the connection serves again."""
        self.body(b"Content-Length: %d\r\n\r\n" % (DROP_LIMIT - 1)).drop()
        self.client.dataReceived(b"x" * (DROP_LIMIT - 1))
        self.assertEqual((self.idle, self.transport.producerState), ([self.client], "producing"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_drop_none(self) -> None:
        """Where there is nothing left there is nothing to do."""
        self.body(b"Content-Length: 0\r\n\r\n").drop()
        self.assertEqual((self.idle, self.clock.getDelayedCalls()), ([self.client], []))

    def test_drop_long(self) -> None:
        """After 64 KiB it is cheaper to close; what still arrives is ignored."""
        self.body(b"Content-Length: 900000\r\n\r\n").drop()
        self.client.dataReceived(b"x" * DROP_LIMIT)
        self.assertEqual(self.transport.producerState, "stopped")
        self.client.dataReceived(b"x" * DROP_LIMIT)
        self.lose()
        self.assertEqual((self.idle, self.clock.getDelayedCalls()), ([], []))

    def test_drop_stalled(self) -> None:
        """A rest that does not come holds its connection for some seconds only."""
        self.body(b"Content-Length: 9\r\n\r\n").drop()
        self.clock.advance(DROP_SECONDS)
        self.assertEqual(self.transport.producerState, "stopped")
        self.lose()

    def test_close_paused(self) -> None:
        """`close` reaches a transport that is paused, where a TLS farewell would wait for ever."""
        taken = AccumulatingProtocol()
        self.body(b"Content-Length: 9\r\n\r\n").deliver(taken)
        self.transport.pauseProducing()
        close(taken)
        self.assertEqual(self.transport.producerState, "stopped")

    def test_close_before_connection(self) -> None:
        """A protocol that was never connected has nothing to close."""
        close(Protocol())
