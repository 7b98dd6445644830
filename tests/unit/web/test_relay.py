"""Bodies on their way: whole, short, slow, and verified."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.resource import Resource

from docxy.answers import Answer
from docxy.interfaces import IBody, UpstreamBroken
from docxy.oci.names import Digest
from docxy.oci.verify import Verifier
from docxy.testing import End, MemoryBody
from docxy.web.closing import PATIENCE
from docxy.web.exchange import Exchange
from docxy.web.relay import BodyRelay, Misfit, RelayEnded
from docxy.web.request import MirrorRequest
from tests.unit.web.rig import Came, Connection, Rig, request

CLIENT_STALL = 300.0


def digest(content: bytes, algorithm: str = "sha256") -> Digest:
    """Its digest."""
    return Digest(algorithm, hashlib.new(algorithm, content).hexdigest())


class Relaying(Resource):
    """Answers with one body."""

    def __init__(self, rig: Rig, body: IBody, length: int | None, verifier: Verifier | None) -> None:
        super().__init__()
        self._rig = rig
        self._body = body
        self._length = length
        self._verifier = verifier
        self.relay: BodyRelay
        self.done: Deferred[int]

    def render(self, request: MirrorRequest) -> int:
        """Begin."""
        Exchange(request, "client", self._rig.clock, self._rig.traffic).head(Answer(200, (), self._length))
        request.write(b"")
        self.relay = BodyRelay(request, self._length, self._rig.clock, CLIENT_STALL)
        if self._verifier is not None:
            self.relay.verify(self._verifier)
        self.done = self.relay.done
        request.notifyFinish().addErrback(lambda _: self.done.cancel())
        self._body.deliver(self.relay)
        return 1


class RelayCase(SynchronousTestCase):
    """Tests with one relay."""

    def start(
        self,
        body: IBody,
        length: int | None,
        *,
        verifier: Verifier | None = None,
        reading: bool = True,
        version: str = "1.1",
    ) -> Connection:
        """Begin to relay ``body`` to a client."""
        self.rig = Rig()
        self.resource = Relaying(self.rig, body, length, verifier)
        self.rig.site.resource_for = lambda request: self.resource  # type: ignore[method-assign]
        connection = self.rig.connect()
        connection.line.reading = reading
        connection.send(request("GET", "/x", version=version))
        return connection

    def ended_short(self, connection: Connection, why: str, body: bytes) -> Came:
        """The client has ``body`` and an orderly, early end; the cause is told."""
        error = self.failureResultOf(self.resource.done, RelayEnded).value
        self.assertIn(why, str(error))
        came = connection.answer()
        self.assertEqual((came.body, came.whole), (body, False))
        self.assertTrue(connection.line.disconnecting)
        self.assertFalse(connection.line.aborted)
        self.assertEqual(self.resource.relay._ticks.running, False)
        return came

    def ended_whole(self, connection: Connection, body: bytes) -> None:
        """The client has ``body``, its end, and a connection to go on with."""
        self.assertEqual(self.successResultOf(self.resource.done), len(body))
        came = connection.answer()
        self.assertEqual((came.body, came.whole), (body, True))
        self.assertFalse(connection.closed)
        self.assertIsNone(connection.http._requestProducer)
        self.assertFalse(self.resource.relay._ticks.running)


class WholeTests(RelayCase):
    """Bodies that come whole."""

    def test_length(self) -> None:
        """A body of known size, in one piece or many."""
        for piece in (1, 3, 100):
            with self.subTest(piece=piece):
                connection = self.start(MemoryBody(b"0123456789", piece=piece), 10)
                self.ended_whole(connection, b"0123456789")

    def test_empty(self) -> None:
        """An empty body ends at once."""
        self.ended_whole(self.start(MemoryBody(b""), 0), b"")

    def test_no_length(self) -> None:
        """A body of unknown size goes out in chunks, the last of them at its clean end only."""
        connection = self.start(MemoryBody(b"0123456789", piece=3), None)
        self.assertTrue(connection.line.taken.endswith(b"\r\n0\r\n\r\n"))
        self.ended_whole(connection, b"0123456789")

    def test_verified(self) -> None:
        """A body that is what its digest says, of known and of unknown size, told whole or not."""
        content = b"0123456789"
        ends: list[tuple[int | None, End]] = [(10, "whole"), (None, "whole"), (None, "unknown")]
        for length, end in ends:
            for piece in (1, 4, 100):
                with self.subTest(length=length, end=end, piece=piece):
                    body = MemoryBody(content, piece=piece, end=end)
                    self.ended_whole(self.start(body, length, verifier=Verifier(digest(content))), content)

    def test_sha512(self) -> None:
        """The other algorithm of the specification is checked as well."""
        content = b"0123456789"
        verifier = Verifier(digest(content, "sha512"))
        self.ended_whole(self.start(MemoryBody(content, piece=4), 10, verifier=verifier), content)

    @settings(derandomize=True, max_examples=50, deadline=None)
    @given(st.binary(max_size=60), st.integers(1, 20), st.booleans(), st.booleans())
    def test_any(self, content: bytes, piece: int, known: bool, verified: bool) -> None:
        """Whatever the pieces: what arrives is what was sent."""
        verifier = Verifier(digest(content)) if verified else None
        body = MemoryBody(content, piece=piece)
        self.ended_whole(self.start(body, len(content) if known else None, verifier=verifier), content)


class ShortTests(RelayCase):
    """Bodies that do not come whole end short, in order, and never clean."""

    def test_broken(self) -> None:
        """Upstream breaks off."""
        for length in (10, None):
            with self.subTest(length=length):
                connection = self.start(MemoryBody(b"01234", end="broken"), length)
                self.ended_short(connection, "upstream broke off", b"01234")

    def test_less_than_announced(self) -> None:
        """Upstream says that all is there, and it is not."""
        connection = self.start(MemoryBody(b"01234"), 10)
        self.ended_short(connection, "less than it announced", b"01234")

    def test_loss_unknown(self) -> None:
        """An end that tells nothing is no clean one without a digest to tell."""
        connection = self.start(MemoryBody(b"01234", end="unknown"), None)
        self.ended_short(connection, "broke off", b"01234")

    def test_mismatch(self) -> None:
        """Bytes that are not those of the digest never get their end."""
        for algorithm in ("sha256", "sha512"):
            with self.subTest(algorithm=algorithm):
                verifier = Verifier(digest(b"9876543210", algorithm))
                connection = self.start(MemoryBody(b"0123456789", piece=4), 10, verifier=verifier)
                error = self.failureResultOf(self.resource.done, Misfit).value
                self.resource.done = fail(error)
                self.ended_short(connection, f"content is {algorithm}:", b"01234567")

    def test_mismatch_chunked(self) -> None:
        """Nor do they of unknown size."""
        for end in ("whole", "unknown"):
            verifier = Verifier(digest(b"9876543210"))
            body = MemoryBody(b"0123456789", piece=4, end=end)
            connection = self.start(body, None, verifier=verifier)
            self.ended_short(connection, "content is sha256:", b"01234567")
            self.assertNotIn(b"\r\n0\r\n\r\n", connection.line.taken)

    def test_held_back(self) -> None:
        """A verified body's last piece waits for upstream's end, and goes nowhere if that is broken."""
        content = b"0123456789"
        body = MemoryBody(content, piece=4, end="never")
        connection = self.start(body, 10, verifier=Verifier(digest(content)))
        self.assertTrue(connection.line.taken.endswith(b"01234567"))
        body.close("broken")
        self.ended_short(connection, "broke off", b"01234567")

    def test_then_silence(self) -> None:
        """What upstream still says after the end goes nowhere."""
        connection = self.start(MemoryBody(b"01234", end="broken"), 10)
        relay = self.resource.relay
        relay.dataReceived(b"56789")
        relay.pauseProducing()
        relay.resumeProducing()
        relay.stopProducing()
        relay.connectionLost(Failure(ResponseDone()))
        self.ended_short(connection, "broke off", b"01234")

    def test_cause(self) -> None:
        """What the body itself tells of its end is told on."""
        body = MemoryBody(b"01234", end="never")
        connection = self.start(body, 10)
        self.resource.relay.connectionLost(Failure(UpstreamBroken("it was asked 8 times")))
        self.ended_short(connection, "it was asked 8 times", b"01234")

    def test_http_1_0(self) -> None:
        """Without length and chunks only a reset can say that something is missing."""
        connection = self.start(MemoryBody(b"01234", end="broken"), None, version="1.0")
        self.failureResultOf(self.resource.done, RelayEnded)
        self.assertTrue(connection.line.aborted)
        connection = self.start(MemoryBody(b"01234", end="broken"), 10, version="1.0")
        self.failureResultOf(self.resource.done, RelayEnded)
        self.assertFalse(connection.line.aborted)
        connection = self.start(MemoryBody(b"01234"), None, version="1.0")
        self.assertEqual(self.successResultOf(self.resource.done), 5)
        self.assertFalse(connection.line.aborted)

    def test_reader_gone_to_sleep(self) -> None:
        """A client that does not read the short end is aborted once nothing leaves any more."""
        body = MemoryBody(b"x" * 200_000, end="never")
        connection = self.start(body, 500_000, reading=False)
        connection.line.take()
        body.close("broken")
        self.failureResultOf(self.resource.done, RelayEnded)
        self.assertFalse(connection.line.aborted)
        self.rig.clock.pump([PATIENCE] * 3)
        self.assertTrue(connection.line.aborted)
        self.rig.clock.advance(0)
        self.assertEqual(self.rig.clock.getDelayedCalls(), [])


class SlowClientTests(RelayCase):
    """No faster than the client takes it."""

    def test_paused(self) -> None:
        """A client that does not read stops upstream, and memory holds little of a large body."""
        body = MemoryBody(b"x" * 65536, endless=True, end="never")
        connection = self.start(body, 1 << 40, reading=False)
        self.assertTrue(body.paused)
        self.assertLess(body.sent, 200_000)
        for _ in range(50):
            connection.line.take()
            connection.line.taken = b""
            self.assertTrue(body.paused)
        self.assertLess(connection.line.peak, 200_000)
        self.assertGreater(body.sent, 3_000_000)

    def test_late_data(self) -> None:
        """Data that arrives although upstream is paused is passed on in its turn."""
        body = MemoryBody(b"x" * 131072, end="never", piece=131072)
        connection = self.start(body, 131073, reading=False)
        self.assertTrue(body.paused)
        self.resource.relay.dataReceived(b"y")
        connection.line.take()
        self.ended_whole(connection, b"x" * 131072 + b"y")

    def test_willing_client(self) -> None:
        """A client that takes all that comes is waited for as long as that is slow to come."""
        body = MemoryBody(b"01234", end="never")
        connection = self.start(body, 10)
        self.rig.clock.pump([1.0] * 1000)
        body.arrive(b"56789")
        self.ended_whole(connection, b"0123456789")

    def test_client_stalls(self) -> None:
        """A client that takes nothing for 300 s is let go, and upstream with it."""
        body = MemoryBody(b"x" * 65536, endless=True, end="never")
        connection = self.start(body, 1 << 40, reading=False)
        self.rig.clock.pump([1.0] * 250)
        connection.line.take()
        self.rig.clock.pump([1.0] * 299)
        self.assertNoResult(self.resource.done)
        self.rig.clock.pump([1.0] * 2)
        error = self.failureResultOf(self.resource.done, RelayEnded).value
        self.assertEqual(str(error), "the client took nothing for 300 s")
        self.assertTrue(connection.line.aborted)
        self.assertTrue(body.stopped)
        self.assertEqual(self.rig.connections(), 0)

    def test_client_leaves(self) -> None:
        """A client that leaves ends the upstream transfer at once."""
        for reading in (True, False):
            with self.subTest(reading=reading):
                body = MemoryBody(b"x" * 200_000, end="never")
                connection = self.start(body, 1 << 40, reading=reading)
                connection.leave()
                self.assertTrue(body.stopped)
                self.failureResultOf(self.resource.done)
                body.close()
                self.assertEqual(self.rig.clock.getDelayedCalls(), [])

    def test_leaves_after_end(self) -> None:
        """A client that leaves once it has all changes nothing."""
        connection = self.start(MemoryBody(b"0123456789"), 10)
        connection.leave()
        self.assertEqual(self.successResultOf(self.resource.done), 10)

    def test_before_a_transport(self) -> None:
        """A relay that was never connected bears to be paused, resumed and cancelled."""
        rig = Rig()
        request_: Any = None
        relay = BodyRelay(request_, None, rig.clock, CLIENT_STALL)
        relay.pauseProducing()
        relay.resumeProducing()
        relay.done.cancel()
        self.failureResultOf(relay.done)
