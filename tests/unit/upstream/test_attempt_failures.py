"""
Tests of the failures in `docxy.upstream.attempt`: giving up, and the names of what went wrong.
"""

from __future__ import annotations

from OpenSSL.SSL import Error as TLSError
from service_identity import VerificationError
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectBindError, ConnectionLost, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed, ResponseNeverReceived
from twisted.web.iweb import IResponse

from docxy.interfaces import UpstreamBroken, UpstreamTimedOut, UpstreamUnreachable
from docxy.upstream.attempt import cancellable, named
from docxy.upstream.resolver import AddressesRefused
from tests.unit.upstream.rig import HUB, UpstreamTestCase, reply


class CancellableTests(SynchronousTestCase):
    def test_outcomes(self) -> None:
        """What comes before anybody gives up is handed on."""
        response = object()
        self.assertIs(self.successResultOf(cancellable(succeed(response), Clock())), response)  # type: ignore[arg-type]
        self.failureResultOf(cancellable(fail(KeyError()), Clock()), KeyError)

    def test_late_failure(self) -> None:
        """A failure after giving up is nobody's."""
        sent: Deferred[IResponse] = Deferred(lambda d: d.errback(ConnectionLost()))
        waiting = cancellable(sent, Clock())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)


class LateAnswerTests(UpstreamTestCase):
    def test_late_answer(self) -> None:
        """An answer that comes in spite of giving up is let go, and its connection with it."""
        self.net.serve(HUB, reply(200, b"x" * 100))
        stubborn: Deferred[None] = Deferred()
        sent = self.agent.request(b"GET", HUB.encode())
        sent.addCallback(lambda response: stubborn.addBoth(lambda _: response))
        waiting = cancellable(sent, self.clock)
        self.net.advance()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assert_idle()


class NamedTests(UpstreamTestCase):
    def test_names(self) -> None:
        """Every failure of Twisted's has a name of ours, which repeats nothing that a peer said."""
        tls = TLSError([("SSL routines", "", "certificate verify failed")])
        for error, kind, text in (
            (ConnectTimeout(), UpstreamTimedOut, "connecting took too long"),
            (DNSLookupError("x"), UpstreamUnreachable, "no usable address"),
            (AddressesRefused(), UpstreamUnreachable, "none of its addresses is public"),
            (ConnectBindError(99, "no such address"), UpstreamUnreachable, "cannot connect"),
            (
                ResponseNeverReceived([Failure(tls)]),
                UpstreamUnreachable,
                "TLS failed: certificate verify failed",
            ),
            (ResponseNeverReceived([Failure(TLSError())]), UpstreamUnreachable, "TLS failed: Error"),
            (
                ResponseNeverReceived([Failure(VerificationError(errors=[]))]),
                UpstreamUnreachable,
                "another name",
            ),
            (ResponseFailed([Failure(ValueError("s3cret"))]), UpstreamBroken, "ended before an answer"),
            (ConnectionLost("s3cret"), UpstreamBroken, "ended before an answer"),
            (ValueError("s3cret"), UpstreamUnreachable, "cannot be used"),
        ):
            found = named(error, 8.0)
            self.assertIs(type(found), kind, error)
            self.assertIn(text, str(found))
            self.assertNotIn("s3cret", str(found))

    def test_unforeseen(self) -> None:
        """What nobody foresaw is broken, and told to the log in full."""
        self.assertEqual(str(named(RuntimeError("odd"), 8.0)), "RuntimeError")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
