"""Digests checked beside the reactor."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.names import Digest
from docxy.oci.verify import DigestMismatch, Verifier
from docxy.web.hashing import MAX_BACKLOG, MAX_THREADS, PIECE, HashThreads, ThreadedVerifier, threads


class NotingVerifier(Verifier):
    """Notes the sizes of what it is fed, in order."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(digest)
        self.fed: list[int] = []

    def feed(self, data: bytes) -> None:
        """Take and note."""
        self.fed.append(len(data))
        super().feed(data)


class ThreadedReactor:
    """A reactor as far as threads need it, whose calls from them wait until they are run."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = SimpleQueue()
        self.triggers: list[tuple[str, str, Callable[[], None]]] = []

    def callFromThread(self, call: Callable[..., object], *args: object) -> None:  # noqa: N802 Twisted's name
        """Keep the call."""
        self.calls.put((call, args))

    def addSystemEventTrigger(  # noqa: N802 Twisted's name
        self, phase: str, event: str, call: Callable[[], None]
    ) -> None:
        """Keep the trigger."""
        self.triggers.append((phase, event, call))

    def run_one(self) -> None:
        """Wait for a thread's call, and run it."""
        call, args = self.calls.get(timeout=30)
        call(*args)


class HashThreadsTests(SynchronousTestCase):
    """The threads."""

    def setUp(self) -> None:
        """Threads of a reactor."""
        self.reactor = ThreadedReactor()
        self.threads = HashThreads(self.reactor)

    def stop(self) -> None:
        """The reactor ends."""
        for _, _, call in self.reactor.triggers:
            call()

    def test_apart(self) -> None:
        """Work is done in threads that are nobody else's, and what it raises is told."""
        self.addCleanup(self.stop)
        names: list[str] = []
        done = self.threads(lambda: names.append(threading.current_thread().name))
        failed = self.threads(lambda: names[9:10].remove(""))
        for _ in range(2):
            self.reactor.run_one()
        self.assertIsNone(self.successResultOf(done))
        self.failureResultOf(failed, ValueError)
        self.assertIn("hash", names[0])

    def test_lazy(self) -> None:
        """No thread comes before the first work, as there may be a fork, and none outlives the reactor."""
        before = threading.active_count()
        self.assertEqual(self.reactor.triggers, [])
        for _ in range(2):
            self.threads(lambda: None)
            self.reactor.run_one()
        self.assertGreater(threading.active_count(), before)
        self.assertEqual([trigger[:2] for trigger in self.reactor.triggers], [("during", "shutdown")])
        self.stop()
        self.assertEqual(threading.active_count(), before)

    def test_number(self) -> None:
        """There is one thread for each core, up to a few."""
        for cores, number in ((None, 1), (1, 1), (2, 2), (64, MAX_THREADS)):
            self.assertEqual(threads(cores), number)

    def test_cores(self) -> None:
        """At most as many work at a time as there are cores: the next one waits for its turn."""
        self.addCleanup(self.stop)
        gate = threading.Event()
        self.addCleanup(gate.set)
        cores = threads(os.cpu_count())
        started: SimpleQueue[int] = SimpleQueue()

        def work(number: int) -> None:
            started.put(number)
            gate.wait(30)

        for number in range(cores + 1):
            self.threads(partial(work, number))
        self.assertEqual({started.get(timeout=30) for _ in range(cores)}, set(range(cores)))
        self.assertTrue(started.empty())
        gate.set()
        self.assertEqual(started.get(timeout=30), cores)


class HashingTests(SynchronousTestCase):
    """One digest, and threads that work when they are told to."""

    def start(self, content: bytes) -> ThreadedVerifier:
        """A check of ``content``."""
        self.work: list[tuple[Callable[[], None], Deferred[None]]] = []
        self.drained = 0
        self.verifier = NotingVerifier(Digest("sha256", hashlib.sha256(content).hexdigest()))
        return ThreadedVerifier(self.verifier, self.in_thread, self.on_drained)

    def in_thread(self, work: Callable[[], None]) -> Deferred[None]:
        """Keep the work."""
        done: Deferred[None] = Deferred()
        self.work.append((work, done))
        return done

    def on_drained(self) -> None:
        """Count."""
        self.drained += 1

    def run_one(self) -> None:
        """One thread works."""
        work, done = self.work.pop(0)
        work()
        done.callback(None)

    def test_small(self) -> None:
        """What is small needs no thread, and is hashed at the end."""
        checked = self.start(b"abcdef")
        checked.feed(b"abc")
        checked.feed(b"def")
        self.assertEqual((self.work, self.verifier.fed), ([], []))
        self.successResultOf(checked.finish())
        self.assertEqual(self.verifier.fed, [3, 3])

    def test_empty(self) -> None:
        """Nothing has a digest as well."""
        self.successResultOf(self.start(b"").finish())

    def test_order(self) -> None:
        """Pieces are hashed in their order, one thread at a time."""
        content = bytes(PIECE) + b"a" * PIECE + b"b" * 10
        checked = self.start(content)
        for first in range(0, len(content), PIECE):
            checked.feed(content[first : first + PIECE])
            self.assertEqual(len(self.work), 1)
        finished = checked.finish()
        self.run_one()
        self.assertNoResult(finished)
        self.assertEqual((len(self.work), self.verifier.fed), (1, [PIECE]))
        self.run_one()
        self.successResultOf(finished)
        self.assertEqual((self.verifier.fed, self.verifier.size), ([PIECE, PIECE, 10], len(content)))

    def test_mismatch(self) -> None:
        """Other bytes fail, small or large, told before their thread is done or after it."""
        for size in (3, PIECE, 3 * PIECE):
            for early in (True, False):
                checked = self.start(b"other")
                checked.feed(bytes(size))
                if not early and self.work:
                    self.run_one()
                finished = checked.finish()
                while self.work:
                    self.run_one()
                self.failureResultOf(finished, DigestMismatch)

    def test_backlog(self) -> None:
        """It is full while much waits for a thread that is busy, and says when that is over, once."""
        checked = self.start(b"")
        checked.feed(bytes(PIECE))
        checked.feed(bytes(MAX_BACKLOG - 1))
        self.assertFalse(checked.is_full)
        checked.feed(b"x")
        self.assertTrue(checked.is_full)
        self.assertEqual(self.drained, 0)
        self.run_one()
        self.assertEqual((checked.is_full, self.drained, len(self.work)), (False, 1, 1))
        self.run_one()
        self.assertEqual((self.drained, self.work), (1, []))

    def test_huge_piece(self) -> None:
        """One piece that fills it by itself goes to a thread at once."""
        checked = self.start(b"")
        checked.feed(bytes(MAX_BACKLOG))
        self.assertEqual((checked.is_full, self.drained, len(self.work)), (False, 1, 1))

    def test_flush(self) -> None:
        """What waits for more is hashed when asked, after what is hashed now."""
        checked = self.start(b"abcdef")
        checked.flush()
        self.assertEqual(self.work, [])
        checked.feed(b"abc")
        checked.flush()
        checked.feed(b"def")
        checked.flush()
        self.assertEqual(len(self.work), 1)
        self.run_one()
        self.assertEqual((self.verifier.fed, self.work), ([3], []))
        self.successResultOf(checked.finish())

    def test_no_thread(self) -> None:
        """A piece that found no thread leaves the digest unknown, whatever comes after it."""
        checked = self.start(bytes(2 * PIECE))
        checked.feed(bytes(PIECE))
        checked.feed(bytes(PIECE))
        self.work.pop(0)[1].errback(RuntimeError("no thread"))
        self.run_one()
        self.failureResultOf(checked.finish(), RuntimeError)

    @settings(derandomize=True, max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from([0, 1, 1000, PIECE // 2, PIECE, 2 * PIECE]), st.booleans()), max_size=12
        )
    )
    def test_any(self, pieces: list[tuple[int, bool]]) -> None:
        """However pieces and threads come: all is hashed, once and in order."""
        content = b"".join(bytes([at]) * size for at, (size, _) in enumerate(pieces))
        checked = self.start(content)
        for at, (size, works) in enumerate(pieces):
            checked.feed(bytes([at]) * size)
            if works and self.work:
                self.run_one()
        finished = checked.finish()
        while self.work:
            self.run_one()
        self.successResultOf(finished)
        self.assertEqual(self.verifier.size, len(content))
