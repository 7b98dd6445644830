"""One part: what waits, in which pieces, and how it is given up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Reply
from docxy.upstream.segment import PIECE, Segment


class SegmentTests(SynchronousTestCase):
    """A segment without a body."""

    def setUp(self) -> None:
        self.told: list[object] = []

    def segment(self) -> Segment:
        """Its owner notes what it is told."""

        def received(segment: Segment, data: bytes) -> None:
            self.told.append((segment, data))

        def ended(segment: Segment, reason: Failure) -> None:
            self.told.append((segment, reason))

        return Segment(10, 1 << 20, received, ended)

    def test_tells(self) -> None:
        """Its owner learns what comes, and how it ends."""
        segment = self.segment()
        segment.dataReceived(b"abc")
        reason = Failure(ValueError())
        segment.connectionLost(reason)
        self.assertEqual(self.told, [(segment, b"abc"), (segment, reason)])
        self.assertEqual((segment.position, segment.reason, segment.held), (13, reason, 0))

    @given(st.lists(st.integers(0, 2 * PIECE), max_size=8))
    @settings(derandomize=True, max_examples=50)
    def test_keeps(self, sizes: list[int]) -> None:
        """Bytes come out as they went in."""
        segment = self.segment()
        pieces = [bytes([at]) * size for at, size in enumerate(sizes)]
        for piece in pieces:
            segment.keep(piece)
        self.assertEqual(segment.held, sum(sizes))
        taken = b""
        while segment.held:
            taken += segment.take()
        self.assertEqual(taken, b"".join(pieces))

    def test_tiny_pieces(self) -> None:
        """Bytes that come one by one wait in few pieces: each would cost more than itself."""
        segment = self.segment()
        for _ in range(2 * PIECE + 1):
            segment.keep(b"x")
        self.assertEqual([len(segment.take()) for _ in range(3)], [PIECE, PIECE, 1])

    def test_unasked(self) -> None:
        """A segment that waits to be asked for says so, and has nothing to pause or to leave."""
        segment = self.segment()
        self.assertTrue(segment.is_unasked)
        segment.pause()
        segment.resume()
        segment.leave()

    def test_leave_while_asking(self) -> None:
        """A question is taken back once."""
        segment = self.segment()
        asking: Deferred[Reply] = Deferred()
        segment.asking = asking
        self.assertFalse(segment.is_unasked)
        segment.leave()
        self.failureResultOf(asking, CancelledError)
        self.assertIsNone(segment.asking)
