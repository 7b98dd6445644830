"""
Tests of `docxy.upstream.agent`: one connection, and how much may come before a body.
"""

from __future__ import annotations

from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver, StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import Request, ResponseFailed, ResponseNeverReceived
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from docxy.upstream.agent import (
    MAX_HEAD,
    MAX_INTERIM,
    BoundedClient,
    BoundedFactory,
    HeadTooLarge,
    address_of,
)
from docxy.upstream.failures import FailureMemory

OK = b"HTTP/1.1 200 OK\r\n"


class Sizes(Protocol):
    """Notes how much came at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def dataReceived(self, data: bytes) -> None:
        self.sizes.append(len(data))


class Aborted(StringTransport):
    """A transport that tells when it was aborted."""

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    aborted = False


class BoundedClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.logged = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)  # type: ignore[arg-type]
        self.transport = Aborted(lenient=True)
        self.idle: list[object] = []
        self.failures = FailureMemory(Clock())
        client = BoundedFactory(self.failures, self.idle.append, "here").buildProtocol(None)
        self.client: BoundedClient = client
        self.client.makeConnection(self.transport)

    def ask(self, method: bytes = b"GET") -> Deferred[IResponse]:
        """Send a request."""
        asked = Request(method, b"/", Headers({b"Host": [b"h"]}), None, persistent=True)
        return self.client.request(asked)

    def assert_too_large(self, waiting: Deferred[IResponse], problem: str = str(MAX_HEAD)) -> None:
        """The request failed for its head alone."""
        self.assertTrue(self.transport.aborted)
        self.assertNoResult(waiting)
        self.client.connectionLost(Failure(ConnectionLost()))
        failure = self.failureResultOf(waiting, ResponseFailed)
        self.assertIsInstance(failure.value.reasons[0].value, HeadTooLarge)
        self.assertIn(problem, str(failure.value.reasons[0].value))

    def test_large_head_passes(self) -> None:
        """A head somewhat below the limit is read, in one delivery or in many."""
        head = OK + b"X-A: %b\r\n" % (b"a" * 4000) * 15 + b"Content-Length: 5\r\n\r\nhello"
        for size in (len(head), 1000, 7):
            waiting = self.ask()
            for start in range(0, len(head), size):
                self.client.dataReceived(head[start : start + size])
            response = self.successResultOf(waiting)
            self.assertEqual(len(response.headers.getRawHeaders(b"X-A", [])), 15)
            response.deliverBody(Sizes())
        self.assertEqual(len(self.idle), 3)

    def test_endless_lines(self) -> None:
        """A stream of header lines ends at the limit, and its connection by an abort."""
        waiting = self.ask()
        self.client.dataReceived(OK)
        sent = 0
        while not self.transport.aborted and sent < 2 * MAX_HEAD:
            self.client.dataReceived(b"A: b\r\n" * 100)
            sent += 600
        self.assertLessEqual(sent, MAX_HEAD + 600)
        self.assert_too_large(waiting)

    def test_one_huge_delivery(self) -> None:
        """However much comes at once, no more than the limit is looked at."""
        waiting = self.ask()
        self.client.dataReceived(OK + b"a:\r\n" * (1 << 18))
        self.assert_too_large(waiting)

    def test_interim_flood(self) -> None:
        """However 1xx answers come, a few too many end the request."""
        for interim in (b"HTTP/1.1 100 \r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"):
            for size in (len(interim), 7, 100_000):
                self.setUp()
                waiting = self.ask()
                flood, sent = interim * 200, 0
                while sent < len(flood) and not self.transport.aborted:
                    self.client.dataReceived(flood[sent : sent + size])
                    sent += size
                self.assertLessEqual(sent, (MAX_INTERIM + 1) * len(interim) + size)
                self.assert_too_large(waiting, f"more than {MAX_INTERIM} interim")

    def test_interim_answers(self) -> None:
        """As many 1xx answers as are borne, before each answer on a connection, are passed over unlogged."""
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * MAX_INTERIM
        for _ in range(3):
            waiting = self.ask()
            self.client.dataReceived(interim + OK + b"Content-Length: 0\r\n\r\n")
            self.assertEqual(self.successResultOf(waiting).code, 200)
        self.assertFalse(self.transport.aborted)
        self.assertEqual(list(self.logged), [])

    def test_large_interim_answers(self) -> None:
        """1xx answers have no room of their own: with the answer they are one head."""
        waiting = self.ask()
        for _ in range(MAX_INTERIM):
            self.client.dataReceived(b"HTTP/1.1 103 Early Hints\r\nLink: %b\r\n\r\n" % (b"x" * 4500))
            if self.transport.aborted:
                break
        self.assert_too_large(waiting)

    def test_long_line(self) -> None:
        """A header line that Twisted finds too long ends the request."""
        waiting = self.ask()
        self.client.dataReceived(OK + b"X: " + b"a" * 20000 + b"\r\n")
        self.assertTrue(self.transport.disconnecting)
        self.client.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(waiting, ResponseFailed)

    def test_body_is_free(self) -> None:
        """What follows the head is as long as it likes, and comes as it came."""
        waiting = self.ask()
        self.client.dataReceived(OK + b"Content-Length: 200000\r\n\r\n")
        taken = Sizes()
        self.successResultOf(waiting).deliverBody(taken)
        self.client.dataReceived(b"x" * 150000)
        self.client.dataReceived(b"x" * 50000)
        self.assertEqual(taken.sizes, [150000, 50000])
        self.assertEqual(self.idle, [self.client])

    def test_each_request_anew(self) -> None:
        """Every request on a connection has the whole room."""
        for _ in range(3):
            waiting = self.ask()
            self.client.dataReceived(OK + b"X: %b\r\n" % (b"a" * 9000) * 6 + b"Content-Length: 0\r\n\r\n")
            self.successResultOf(waiting)
        self.assertFalse(self.transport.aborted)

    def test_more_than_was_asked(self) -> None:
        """Bytes after an answer are no answer to the request that is sent at that moment."""
        again: list[Deferred[IResponse]] = []
        waiting = self.ask(b"HEAD").addCallback(lambda _: again.append(self.ask()))
        poison = OK + b"Content-Length: 4\r\n\r\nevil"
        self.client.dataReceived(OK + b"X: " + b"a" * 8000 + b"\r\n\r\n" + poison * 200)
        self.successResultOf(waiting)
        self.assertTrue(self.transport.aborted)
        self.client.connectionLost(Failure(ConnectionLost()))
        self.failureResultOf(again[0], ResponseNeverReceived)

    def test_more_and_nothing_asked(self) -> None:
        """Bytes after an answer, while nothing is asked, end the connection."""
        waiting = self.ask(b"HEAD")
        self.client.dataReceived(OK + b"\r\n" + b"x" * 9000)
        self.successResultOf(waiting)
        self.assertTrue(self.transport.disconnecting)

    def test_factory(self) -> None:
        """The factory tells whom it connects to, for Twisted's own log."""
        self.assertIn("here", repr(BoundedFactory(self.failures, self.idle.append, "here")))

    # Addresses

    def test_address_of_answer(self) -> None:
        """An answer tells the address that it came from."""
        waiting = self.ask()
        self.client.dataReceived(OK + b"Content-Length: 0\r\n\r\n")
        self.assertEqual(address_of(self.successResultOf(waiting)), "192.168.1.1")
        self.assertFalse(self.failures.bad("192.168.1.1"))

    def test_new_connection_fails(self) -> None:
        """A new connection that breaks before an answer or within its head, by TLS or its peer, is noted."""
        for said in (b"", OK, b"nonsense\r\n\r\n"):
            for reason in (ConnectionLost(), ConnectionDone(), TLSError([("", "", "bad certificate")])):
                self.setUp()
                waiting = self.ask()
                self.client.dataReceived(said)
                self.client.connectionLost(Failure(reason))
                failure = self.failureResultOf(waiting, ResponseFailed, ResponseNeverReceived)
                self.assertEqual(address_of(failure.value), "192.168.1.1")
                self.assertTrue(self.failures.bad("192.168.1.1"))

    def test_kept_connection_fails(self) -> None:
        """That a kept connection has died says nothing of its address."""
        self.ask()
        self.client.dataReceived(OK + b"Content-Length: 0\r\n\r\n")
        waiting = self.ask()
        self.client.connectionLost(Failure(ConnectionDone()))
        failure = self.failureResultOf(waiting, ResponseNeverReceived)
        self.assertEqual(address_of(failure.value), "")
        self.assertFalse(self.failures.bad("192.168.1.1"))

    def test_given_up(self) -> None:
        """Whoever gives up learns the address, and nothing is held against it."""
        for said in (b"", OK):
            waiting = self.ask()
            self.client.dataReceived(said)
            waiting.cancel()
            failure = self.failureResultOf(waiting, ResponseFailed, ResponseNeverReceived)
            self.assertEqual(address_of(failure.value), "192.168.1.1")
            self.assertFalse(self.failures.bad("192.168.1.1"))
            self.setUp()

    def test_unknown_address(self) -> None:
        """What is neither an answer nor a failure of a request has no address."""
        self.assertEqual(address_of(ConnectionLost()), "")
