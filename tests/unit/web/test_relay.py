"""Bodies on their way: whole, short, slow, and verified."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from docxy.answers import Answer, Stream
from docxy.interfaces import IBody
from docxy.oci.names import Digest
from docxy.oci.ranges import Interval
from docxy.oci.verify import Verifier
from docxy.testing import End, MemoryBody
from docxy.web.closing import PATIENCE
from docxy.web.exchange import Exchange
from docxy.web.relay import BodyRelay, RelayEnded
from docxy.web.request import MirrorRequest
from tests.unit.web.rig import Came, Connection, Rig, request

STALL = 15.0
CLIENT_STALL = 300.0


def digest(content: bytes) -> Digest:
    """Its sha256."""
    return Digest("sha256", hashlib.sha256(content).hexdigest())


class Relaying(Resource):
    """Answers with one stream."""

    def __init__(self, rig: Rig, stream: Stream, length: int | None) -> None:
        super().__init__()
        self._rig = rig
        self._stream = stream
        self._length = length
        self.relay: BodyRelay
        self.done: Deferred[int]

    def render(self, request: MirrorRequest) -> int:
        """Begin."""
        Exchange(request, "client", self._rig.clock).head(Answer(200, (), self._length, self._stream))
        request.write(b"")
        self.relay = BodyRelay(request, self._stream, self._length, self._rig.clock, CLIENT_STALL)
        self.done = self.relay.done
        request.notifyFinish().addErrback(lambda _: self.done.cancel())
        self._stream.body.deliver(self.relay)
        return 1


class RelayCase(SynchronousTestCase):
    """Tests with one relay."""

    def start(
        self,
        body: IBody,
        length: int | None,
        *,
        window: Interval | None = None,
        verifier: Verifier | None = None,
        reading: bool = True,
        version: str = "1.1",
    ) -> Connection:
        """Begin to relay ``body`` to a client."""
        self.rig = Rig()
        stream = Stream(body, "cdn.example", STALL, window, verifier)
        self.resource = Relaying(self.rig, stream, length)
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

    def test_window(self) -> None:
        """Of a larger body the part that was asked for goes out, and upstream is not read further."""
        content = bytes(range(100))
        for first, last in ((0, 0), (0, 9), (10, 39), (99, 99), (0, 99)):
            for piece in (1, 7, 200):
                with self.subTest(first=first, last=last, piece=piece):
                    body = MemoryBody(content * 1000, piece=piece)
                    window = Interval(first, last)
                    connection = self.start(body, window.length, window=window)
                    self.ended_whole(connection, content[first : last + 1])
                    self.assertTrue(body.stopped)
                    self.assertLess(body.sent, last + 1 + piece)
                    body.close()

    def test_verified_window(self) -> None:
        """A window that is the whole is verified like it."""
        content = b"0123456789"
        body = MemoryBody(content, piece=3)
        connection = self.start(body, 10, window=Interval(0, 9), verifier=Verifier(digest(content)))
        self.ended_whole(connection, content)

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
                self.ended_short(connection, "cdn.example: upstream broke off", b"01234")

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
        verifier = Verifier(digest(b"9876543210"))
        connection = self.start(MemoryBody(b"0123456789", piece=4), 10, verifier=verifier)
        self.ended_short(connection, "content is sha256:", b"01234567")

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

    def test_stalled(self) -> None:
        """Upstream sends nothing for as long as is borne."""
        body = MemoryBody(b"01234", end="never")
        connection = self.start(body, 10)
        self.rig.clock.pump([1.0] * 10)
        body.arrive(b"5")
        self.rig.clock.pump([1.0] * 15)
        self.assertNoResult(self.resource.done)
        self.rig.clock.advance(1)
        self.ended_short(connection, "sent nothing for 15 s", b"012345")
        self.assertTrue(body.stopped)

    def test_then_silence(self) -> None:
        """What upstream still says after the end goes nowhere."""
        body = MemoryBody(b"01234", end="never")
        connection = self.start(body, 10)
        self.rig.clock.pump([1.0] * 17)
        relay = self.resource.relay
        relay.dataReceived(b"56789")
        relay.pauseProducing()
        relay.resumeProducing()
        relay.stopProducing()
        body.close("whole")
        self.ended_short(connection, "sent nothing", b"01234")

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

    def test_not_upstreams_stall(self) -> None:
        """While the client pauses, upstream's clock stands; afterwards it begins anew."""
        body = MemoryBody(b"x" * 131072, end="never")
        connection = self.start(body, 200_000, reading=False)
        self.rig.clock.pump([1.0] * 200)
        self.assertNoResult(self.resource.done)
        connection.line.take()
        self.rig.clock.pump([1.0] * 14)
        self.assertNoResult(self.resource.done)
        self.rig.clock.pump([1.0] * 2)
        self.failureResultOf(self.resource.done, RelayEnded)

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
        stream = Stream(MemoryBody(), "h", STALL)
        request_: Any = None
        relay = BodyRelay(request_, stream, None, rig.clock, CLIENT_STALL)
        relay.pauseProducing()
        relay.resumeProducing()
        relay.done.cancel()
        self.failureResultOf(relay.done)
