"""Bodies that mend themselves, over true responses."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol, Request
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from docxy.interfaces import Reply, Span
from docxy.upstream.body import ResponseBody
from tests.unit.upstream.unbroken_rig import CDN, CONTENT, SIZE, Bench, UnbrokenCase


class Wire:
    """One connection to upstream, and what becomes of it."""

    def __init__(self, clock: Clock) -> None:
        self.transport = StringTransport(lenient=True)
        self.idle: list[HTTP11ClientProtocol] = []
        self.client = HTTP11ClientProtocol(self.idle.append)
        self.client.makeConnection(self.transport)
        self._clock = clock

    def answer(self, status: int, *lines: bytes, content: bytes = b"") -> Reply:
        """The reply that begins so."""
        asked = Request(b"GET", b"/", Headers({b"Host": [b"h"]}), None, persistent=True)
        waiting: Deferred[IResponse] = self.client.request(asked)
        head = b"\r\n".join([b"HTTP/1.1 %d X" % status, *lines, b"", b""])
        self.client.dataReceived(head + content)
        found: list[IResponse] = []
        waiting.addCallback(found.append)
        headers = [(key, value) for key, values in found[0].headers.getAllRawHeaders() for value in values]
        return Reply(status, headers, None, CDN, True, ResponseBody(found[0], self._clock))


class WireTests(UnbrokenCase):
    """What in-memory bodies only pretend."""

    def setUp(self) -> None:
        """One connection for the first answer, one for the next."""
        super().setUp()
        self.first, self.second = Wire(self.bench.clock), Wire(self.bench.clock)

    def test_mended(self) -> None:
        """A reset is mended; the second connection serves again."""
        first = self.first.answer(200, b"Content-Length: 100", content=CONTENT[:33])
        told = b"Content-Range: bytes 33-99/100"
        self.bench.deliver(
            first, self.second.answer(206, told, b"Content-Length: 67"), span=Span(0, SIZE, SIZE)
        )
        self.first.client.connectionLost(Failure(ConnectionLost()))
        self.bench.wait(1)
        self.second.client.dataReceived(CONTENT[33:])
        self.ended_whole(self.bench)
        self.assertEqual((len(self.second.idle), self.second.transport.producerState), (1, "producing"))

    def test_chunked_end(self) -> None:
        """A chunked answer whose bytes are all there is read to its end, though the sink pauses by then."""
        self.bench.sink.then = lambda: self.bench.sink.producer.pauseProducing()
        first = self.first.answer(200, b"Transfer-Encoding: chunked", content=b"64\r\n" + CONTENT)
        self.bench.deliver(first, span=Span(0, SIZE, SIZE))
        self.assertEqual(self.first.transport.producerState, "producing")
        self.first.client.dataReceived(b"\r\n0\r\n\r\n")
        self.ended_whole(self.bench)
        self.assertEqual(len(self.first.idle), 1)

    def test_pause(self) -> None:
        """A pause holds through the delivery of an answer, which resumes its connection by itself."""
        sink = self.bench.sink
        sink.connectionMade = lambda: sink.producer.pauseProducing()  # type: ignore[method-assign]
        first = self.first.answer(200, b"Content-Length: 100", content=CONTENT[:33])
        asked: Deferred[Reply] = Deferred()
        self.bench.deliver(first, asked, span=Span(0, SIZE, SIZE))
        self.assertEqual(self.first.transport.producerState, "paused")
        sink.producer.resumeProducing()
        self.first.client.connectionLost(Failure(ConnectionLost()))
        self.bench.wait(1)
        sink.producer.pauseProducing()
        asked.callback(self.second.answer(200, b"Content-Length: 100"))
        self.assertEqual(self.second.transport.producerState, "paused")
        sink.producer.resumeProducing()
        self.second.client.dataReceived(CONTENT)
        self.ended_whole(self.bench)

    def test_leaves(self) -> None:
        """A sink that leaves ends the connection at once, paused or not."""
        for is_paused in (True, False):
            bench = Bench()
            wire = Wire(bench.clock)
            bench.deliver(wire.answer(200, b"Content-Length: 100"), span=Span(0, SIZE, SIZE))
            if is_paused:
                bench.sink.producer.pauseProducing()
            bench.sink.producer.stopProducing()
            self.assertEqual(wire.transport.producerState, "stopped")
            wire.client.connectionLost(Failure(ConnectionLost()))
            self.left_nothing(bench)
