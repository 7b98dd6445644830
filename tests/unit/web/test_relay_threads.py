"""Bodies whose digest is checked in threads, on their way."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred

from docxy.interfaces import IBody
from docxy.oci.verify import Verifier
from docxy.testing import MemoryBody
from docxy.web.hashing import MAX_BACKLOG
from docxy.web.relay import RelayEnded
from tests.unit.web.rig import Connection
from tests.unit.web.test_relay import RelayCase, digest


class Threads:
    """Work for threads, done when the test says so."""

    def __init__(self) -> None:
        self.work: list[tuple[Callable[[], None], Deferred[None]]] = []

    def take(self, work: Callable[[], None]) -> Deferred[None]:
        """As a thread pool would."""
        done: Deferred[None] = Deferred()
        self.work.append((work, done))
        return done

    def run(self) -> None:
        """One thread does its work."""
        work, done = self.work.pop(0)
        work()
        done.callback(None)


class ThreadTests(RelayCase):
    """Hashing beside the relay."""

    def setUp(self) -> None:
        """Threads that wait."""
        self.threads = Threads()

    def hashed(self, body: IBody, content: bytes, length: int | None = None) -> Connection:
        """A relay that is verified in threads."""
        size = len(content) if length is None else length
        return self.start(body, size, verifier=Verifier(digest(content)), in_thread=self.threads.take)

    def test_waits_for_the_hash(self) -> None:
        """The end waits for the thread, and comes when it is done."""
        content = b"x" * 600_000
        connection = self.hashed(MemoryBody(content, piece=300_000), content)
        self.assertNoResult(self.resource.done)
        self.assertEqual(self.resource.relay.relayed, 300_000)
        self.threads.run()
        self.threads.run()
        self.assertEqual(self.threads.work, [])
        self.ended_whole(connection, content)

    def test_backlog(self) -> None:
        """A hash that does not keep up pauses upstream until its backlog has found a thread."""
        content = b"x" * (3 * MAX_BACKLOG)
        body = MemoryBody(content, piece=65536)
        connection = self.hashed(body, content)
        self.assertTrue(body.paused)
        self.assertLess(body.sent, MAX_BACKLOG + 600_000)
        connection.line.reading = False
        self.threads.run()
        self.assertTrue(body.paused)
        sent = body.sent
        connection.line.take()
        self.assertGreater(body.sent, sent)
        connection.line.reading = True
        while self.threads.work or body.paused:
            connection.line.take()
            if self.threads.work:
                self.threads.run()
        self.ended_whole(connection, content)

    def test_huge_piece(self) -> None:
        """One piece that fills the backlog by itself goes to a thread at once, and nobody waits."""
        content = b"x" * (MAX_BACKLOG + 1)
        body = MemoryBody(content, piece=len(content) - 1)
        connection = self.hashed(body, content)
        self.assertFalse(body.paused)
        self.threads.run()
        self.ended_whole(connection, content)

    def test_slow_client(self) -> None:
        """Bytes that went to a client that is slow now do not wait for more of them."""
        content = b"x" * 200_000
        body = MemoryBody(content[:100_000], piece=100_000, end="never")
        connection = self.start(
            body, 200_000, verifier=Verifier(digest(content)), in_thread=self.threads.take, reading=False
        )
        self.assertEqual(self.threads.work, [])
        self.rig.clock.pump([1.0] * 3)
        self.assertEqual(len(self.threads.work), 1)
        self.threads.run()
        connection.line.reading = True
        connection.line.take()
        body.arrive(content[100_000:])
        body.close("whole")
        self.ended_whole(connection, content)

    def test_no_thread(self) -> None:
        """Where no thread is to be had nothing is known of the bytes: a short end, and no misfit."""
        content = b"x" * 600_000
        body = MemoryBody(content, piece=300_000)
        self.hashed(body, content)
        while self.threads.work:
            self.threads.work.pop(0)[1].errback(RuntimeError("no thread"))
        error = self.failureResultOf(self.resource.done, RelayEnded).value
        self.assertEqual((type(error), str(error)), (RelayEnded, "no thread"))

    def test_leaves_while_hashing(self) -> None:
        """A client that leaves while the last bytes are hashed hears no more, whatever they are."""
        content = b"x" * 300_000
        for meant in (content, b"other"):
            body = MemoryBody(content, piece=300_000)
            connection = self.start(
                body, 300_000, verifier=Verifier(digest(meant)), in_thread=self.threads.take
            )
            connection.leave()
            self.failureResultOf(self.resource.done)
            self.threads.run()
            self.assertEqual(self.rig.clock.getDelayedCalls(), [])
