"""
Tests of `docxy.upstream.shared`: one piece of work, many who wait.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from docxy.upstream.shared import SharedByKey


class SharedByKeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shared: SharedByKey[str] = SharedByKey()
        self.started: list[Deferred[str]] = []
        self.cancelled: list[Deferred[str]] = []

    def start(self) -> Deferred[str]:
        """Work that the test ends."""
        self.started.append(Deferred(self.cancelled.append))
        return self.started[-1]

    def test_one_start_for_all(self) -> None:
        """Who comes while it runs gets the same outcome, and starts nothing."""
        waiting = [self.shared.join("a", self.start) for _ in range(3)]
        self.started[0].callback("done")
        self.assertEqual([self.successResultOf(each) for each in waiting], ["done"] * 3)
        self.assertEqual(len(self.started), 1)

    def test_keys_are_apart(self) -> None:
        """Another key is another piece of work."""
        first, second = self.shared.join("a", self.start), self.shared.join("b", self.start)
        self.started[1].callback("b's")
        self.assertEqual(self.successResultOf(second), "b's")
        self.assertNoResult(first)

    def test_failure_reaches_all(self) -> None:
        """Everybody is told of a failure, and the next one starts anew."""
        waiting = [self.shared.join("a", self.start) for _ in range(2)]
        self.started[0].errback(KeyError("gone"))
        for each in waiting:
            self.failureResultOf(each, KeyError)
        self.shared.join("a", self.start)
        self.assertEqual(len(self.started), 2)

    def test_at_once(self) -> None:
        """Work that is done when it starts leaves nothing behind."""
        self.assertEqual(self.successResultOf(self.shared.join("a", lambda: succeed("now"))), "now")
        self.shared.join("a", self.start)
        self.assertEqual(len(self.started), 1)

    def test_start_that_raises(self) -> None:
        """A start that raises fails its waiter; the next one starts anew, and no ghost waits with it."""

        def explode() -> Deferred[str]:
            raise ValueError("no")

        self.failureResultOf(self.shared.join("a", explode), ValueError)
        waiting = self.shared.join("a", self.start)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.cancelled, self.started)

    def test_one_leaves(self) -> None:
        """A waiter that is cancelled leaves the work to the others."""
        leaver, stayer = self.shared.join("a", self.start), self.shared.join("a", self.start)
        leaver.cancel()
        self.failureResultOf(leaver, CancelledError)
        self.assertEqual(self.cancelled, [])
        self.started[0].callback("done")
        self.assertEqual(self.successResultOf(stayer), "done")

    def test_last_leaves(self) -> None:
        """The last waiter to leave cancels the work."""
        waiting = [self.shared.join("a", self.start) for _ in range(2)]
        for each in waiting:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual(self.cancelled, self.started)

    def test_newcomer_and_dying_work(self) -> None:
        """Who comes while cancelled work is still dying starts anew, and keeps its place after that."""
        dying: Deferred[str] = Deferred()
        outer: Deferred[str] = Deferred()
        outer.addCallback(lambda _: dying)
        outer.callback("")
        slow: Deferred[str] = Deferred(lambda _: None)
        dying.addErrback(lambda _: slow)
        first = self.shared.join("a", lambda: outer)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        second = self.shared.join("a", self.start)
        slow.callback("late")
        third = self.shared.join("a", self.start)
        self.assertEqual(len(self.started), 1)
        self.started[0].callback("fresh")
        self.assertEqual([self.successResultOf(second), self.successResultOf(third)], ["fresh"] * 2)

    def test_cancelled_while_told(self) -> None:
        """A waiter that another one's callback cancels is simply cancelled, of a result or of a failure."""
        for outcome in ("done", KeyError("gone")):
            first, second = self.shared.join("a", self.start), self.shared.join("a", self.start)
            first.addBoth(lambda _, other: other.cancel(), second)
            work = self.started.pop()
            work.errback(outcome) if isinstance(outcome, Exception) else work.callback(outcome)
            self.failureResultOf(second, CancelledError)
            self.assertEqual(self.cancelled, [])

    def test_again_from_a_callback(self) -> None:
        """Who asks again in answer to the outcome starts a second piece of work."""
        again: list[Deferred[str]] = []
        waiting = self.shared.join("a", self.start)
        waiting.addCallback(lambda _: again.append(self.shared.join("a", self.start)))
        self.started[0].callback("first")
        self.started[1].callback("second")
        self.assertEqual(self.successResultOf(again[0]), "second")
