"""Tests for `docxy.policy.limits`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.policy.limits import (
    MAX_FAILED_LOGINS,
    MAX_WAIT,
    MIN_WAIT,
    ConnectionCounter,
    FailedLogins,
    Quota,
    RelayCounter,
    short_wait,
)

# 2026-11-23 12:00:00 UTC
WALL = 1795435200.0

WAITS = (
    (None, 10),
    ("0", 1),
    ("1", 1),
    (" 30 ", 30),
    ("60", 60),
    ("61", 60),
    ("3600", 60),
    ("9" * 19, 60),
    ("Mon, 23 Nov 2026 12:00:30 GMT", 30),
    ("Mon, 23 Nov 2026 13:00:00 GMT", 60),
    ("Mon, 23 Nov 2026 12:00:00 GMT", 1),
    ("Sun, 06 Nov 1994 08:49:37 GMT", 1),
    ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
)

UNREADABLE = (
    "",
    "-1",
    "1.5",
    "+5",
    "٣",
    "9" * 5000,
    "soon",
    "Mon, 23 Nov 2026 12:00:30",
    "Mon, 23 Foo 2026 12:00:30 GMT",
    "Mon, 31 Feb 2026 12:00:30 GMT",
    "Mon, 23 Nov 0000 12:00:30 GMT",
    "Mon, 23 Nov 2026 25:00:30 GMT",
    "Monday, 23-Nov-26 12:00:30 GMT",
)


class QuotaTests(SynchronousTestCase):
    """Remembering 429."""

    def test_unknown(self) -> None:
        """Nobody waits before upstream has said so."""
        self.assertIsNone(Quota().wait("docker.io", 0.0))

    def test_retry_after(self) -> None:
        """The wait is what upstream says, in either form, between 1 and 60 seconds."""
        for retry_after, seconds in WAITS:
            quota = Quota()
            self.assertEqual(quota.remember("k", 100.0, retry_after, wall_clock=WALL), seconds)
            self.assertEqual(quota.wait("k", 100.0), seconds)

    def test_unreadable(self) -> None:
        """What is neither seconds nor a date counts as absent."""
        for retry_after in UNREADABLE:
            self.assertEqual(Quota().remember("k", 0.0, retry_after, wall_clock=WALL), 10, retry_after)

    def test_wait_runs_down(self) -> None:
        """The remaining seconds are told, rounded up, to the last moment."""
        quota = Quota()
        quota.remember("k", 100.0, "30", wall_clock=WALL)
        for now, seconds in ((100.5, 30), (101.0, 29), (129.0, 1), (129.999, 1)):
            self.assertEqual(quota.wait("k", now), seconds)

    def test_one_probe(self) -> None:
        """After the wait one request is let through, and the others wait for its result."""
        quota = Quota()
        quota.remember("k", 0.0, "5", wall_clock=WALL)
        self.assertIsNone(quota.wait("k", 5.0))
        self.assertEqual([quota.wait("k", now) for now in (5.0, 6.0, 34.9)], [2, 2, 2])

    def test_probe_refused(self) -> None:
        """A probe that meets 429 begins the wait anew."""
        quota = Quota()
        quota.remember("k", 0.0, "5", wall_clock=WALL)
        self.assertIsNone(quota.wait("k", 5.0))
        quota.remember("k", 6.0, "5", wall_clock=WALL)
        self.assertEqual(quota.wait("k", 6.0), 5)
        self.assertIsNone(quota.wait("k", 11.0))

    def test_probe_answered(self) -> None:
        """A probe that is answered ends the wait for all."""
        quota = Quota()
        quota.remember("k", 0.0, "5", wall_clock=WALL)
        self.assertIsNone(quota.wait("k", 5.0))
        quota.forget("k")
        quota.forget("k")
        self.assertEqual([quota.wait("k", 5.0), quota.wait("k", 5.0)], [None, None])

    def test_probe_lost(self) -> None:
        """A probe without a result is followed by another one, half a minute later."""
        quota = Quota()
        quota.remember("k", 0.0, "5", wall_clock=WALL)
        self.assertEqual([quota.wait("k", now) for now in (5.0, 34.0, 35.0, 36.0)], [None, 2, None, 2])

    def test_probe_without_result(self) -> None:
        """A probe that ended and told nothing makes way for the next one; the memory stays."""
        quota = Quota()
        quota.release("k")
        self.assertIsNone(quota.wait("k", 0.0))
        quota.remember("k", 0.0, "5", wall_clock=WALL)
        quota.release("k")
        self.assertEqual(quota.wait("k", 4.0), 1)
        self.assertEqual([quota.wait("k", 5.0), quota.wait("k", 5.0)], [None, 2])
        quota.release("k")
        self.assertEqual([quota.wait("k", 5.0), quota.wait("k", 5.0)], [None, 2])

    def test_keys_are_apart(self) -> None:
        """One credential's 429 is nobody else's."""
        quota = Quota()
        quota.remember(("hub", "anonymous"), 0.0, None, wall_clock=WALL)
        self.assertIsNone(quota.wait(("hub", "account"), 0.0))

    def test_bounded(self) -> None:
        """The oldest memory goes when there are too many."""
        quota = Quota(max_keys=2)
        for key in ("a", "b", "a", "c"):
            quota.remember(key, 0.0, "9", wall_clock=WALL)
        self.assertEqual([quota.wait(key, 0.0) for key in ("a", "b", "c")], [9, None, 9])

    @settings(derandomize=True, max_examples=200)
    @given(st.text(max_size=40) | st.dates().map("{:%a, %d %b %Y 00:00:00 GMT}".format))
    def test_hostile_text(self, retry_after: str) -> None:
        """Whatever upstream sends, the wait stays in its bounds."""
        seconds = Quota().remember("k", 0.0, retry_after, wall_clock=WALL)
        self.assertTrue(MIN_WAIT <= seconds <= MAX_WAIT)


class ShortWaitTests(SynchronousTestCase):
    """What a client is told where nothing is remembered."""

    def test_bounded(self) -> None:
        """It is told the same seconds that would have been remembered."""
        for retry_after, seconds in WAITS:
            self.assertEqual(short_wait(retry_after, WALL), seconds)
        for retry_after in UNREADABLE:
            self.assertEqual(short_wait(retry_after, WALL), 10)


class RelayCounterTests(SynchronousTestCase):
    """Bounding what runs at once."""

    def test_per_client(self) -> None:
        """One client's surplus is answered 429, with the seconds to wait; others go on."""
        counter = RelayCounter(limit_total=10, limit_per_client=2)
        counter.take("a")
        counter.take("a")
        error = self.assertRaises(RegistryError, counter.take, "a")
        self.assertEqual((error.status, error.headers), (429, (("Retry-After", "5"),)))
        counter.take("b")
        self.assertEqual(counter.active, 3)

    def test_other_limits(self) -> None:
        """New limits hold from then on; what is more than they allow ends by itself."""
        counter = RelayCounter(limit_total=3, limit_per_client=3)
        for client in "aab":
            counter.take(client)
        counter.set_limits(2, 1)
        self.assertEqual((counter.active, counter.limit), (3, 2))
        self.assertEqual(self.assertRaises(RegistryError, counter.take, "b").status, 429)
        self.assertEqual(self.assertRaises(RegistryError, counter.take, "c").status, 503)
        counter.release("a")
        counter.release("a")
        counter.take("c")

    def test_total(self) -> None:
        """The surplus of all is answered 503."""
        counter = RelayCounter(limit_total=2, limit_per_client=2)
        counter.take("a")
        counter.take("b")
        error = self.assertRaises(RegistryError, counter.take, "c")
        self.assertEqual((error.status, error.headers), (503, (("Retry-After", "5"),)))
        self.assertEqual(counter.active, 2)

    def test_release(self) -> None:
        """What is given back can be taken again."""
        counter = RelayCounter(limit_total=2, limit_per_client=2)
        counter.take("a")
        counter.take("a")
        counter.release("a")
        counter.take("b")
        counter.release("a")
        counter.release("b")
        self.assertEqual(counter.active, 0)
        counter.take("a")

    def test_release_without_take(self) -> None:
        """Giving back more than was taken is a bug of ours, and changes no count."""
        counter = RelayCounter(limit_total=2, limit_per_client=2)
        counter.take("a")
        self.assertRaises(ValueError, counter.release, "b")
        self.assertEqual(counter.active, 1)

    def test_no_trace(self) -> None:
        """A client that has nothing running is not remembered."""
        counter = RelayCounter(limit_total=2, limit_per_client=2)
        counter.take("a")
        counter.release("a")
        self.assertRaises(ValueError, counter.release, "a")

    def test_held(self) -> None:
        """What a context holds is given back at its end, however it ends."""
        counter = RelayCounter(limit_total=1, limit_per_client=1)
        with counter.held("a"):
            self.assertEqual(counter.active, 1)
            self.assertRaises(RegistryError, counter.held("b").__enter__)
            self.assertEqual(counter.active, 1)

        def breaks() -> None:
            with counter.held("a"):
                raise KeyError

        self.assertRaises(KeyError, breaks)
        self.assertEqual(counter.active, 0)

    def test_what_is_counted(self) -> None:
        """The refusals name what there is too much of."""
        for limits in ((9, 1), (1, 9)):
            counter = RelayCounter(*limits, "walks")
            counter.take("a")
            message = self.assertRaises(RegistryError, counter.take, "a").message
            self.assertIn(" walks ", message)
            self.assertIn("; try again ", message)


class ConnectionCounterTests(SynchronousTestCase):
    """Bounding what is open."""

    def test_per_client(self) -> None:
        """A client has a limit of its own, and the network around it four times that."""
        counter = ConnectionCounter(100, 2)
        for client, taken in (("a", 2), ("b", 2), ("c", 2), ("d", 2), ("e", 0)):
            found = [counter.take((client, "wide")) for _ in range(3)]
            self.assertEqual(found, [True] * taken + [False] * (3 - taken))
        self.assertTrue(counter.take(("e", "other")))
        self.assertTrue(counter.take(("f",)))
        self.assertEqual((counter.active, counter.limit), (10, 100))

    def test_total(self) -> None:
        """All have one limit, those without networks too, who have no other."""
        counter = ConnectionCounter(3, 1)
        self.assertEqual([counter.take(()) for _ in range(4)], [True, True, True, False])
        self.assertFalse(counter.take(("a",)))

    def test_release(self) -> None:
        """What is given back can be taken again, and nothing of it is remembered."""
        counter = ConnectionCounter(1, 1)
        for networks in (("a", "wide"), ("b", "wide"), ()):
            self.assertTrue(counter.take(networks))
            self.assertFalse(counter.take(networks))
            self.assertRaises(ValueError, counter.release, ("z",))
            counter.release(networks)
        self.assertRaises(ValueError, counter.release, ())

    @settings(derandomize=True, max_examples=50)
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
    def test_any_order(self, steps: list[tuple[str, bool]]) -> None:
        """In whatever order connections come and go, no count goes over its limit or below nothing."""
        counter = ConnectionCounter(4, 2)
        open_: list[str] = []
        for name, comes in steps:
            if comes and counter.take((name,)):
                open_.append(name)
            elif not comes and name in open_:
                counter.release((name,))
                open_.remove(name)
            self.assertLessEqual(len(open_), 4)
            self.assertLessEqual(max(map(open_.count, "abc")), 2)


class FailedLoginsTests(SynchronousTestCase):
    """Bounding what is guessed."""

    def wait(self, logins: FailedLogins, now: float, bucket: str = "a") -> int | None:
        """The seconds that a client is told to wait."""
        try:
            logins.check(bucket, now)
        except RegistryError as error:
            self.assertEqual((error.status, error.cause), (429, "logins"))
            self.assertIn("; wait a minute, then log in again ", error.message)
            return int(dict(error.headers)["Retry-After"])
        return None

    def test_count(self) -> None:
        """Those of the last minute can be counted."""
        logins = FailedLogins()
        for moment, client in ((0.0, "a"), (30.0, "a"), (31.0, "b")):
            logins.failed(client, "x", moment)
        self.assertEqual([logins.count(now) for now in (31.0, 60.0, 90.5, 91.0)], [3, 2, 1, 0])

    def test_ten_a_minute(self) -> None:
        """Ten refused logins within a minute are borne, one client's are its own."""
        logins = FailedLogins()
        for second in range(MAX_FAILED_LOGINS):
            self.assertIsNone(self.wait(logins, second))
            logins.failed("a", b"x", second)
        self.assertEqual(self.wait(logins, 9), 51)
        self.assertEqual(self.wait(logins, 59.5), 1)
        self.assertIsNone(self.wait(logins, 9, "b"))
        self.assertIsNone(self.wait(logins, 60))
        logins.failed("a", b"x", 60)
        self.assertEqual(self.wait(logins, 60), 1)
        self.assertIsNone(self.wait(logins, 61))

    def test_good_after_all(self) -> None:
        """A login that succeeds is no guess, and others that were refused still count."""
        logins = FailedLogins()
        for _ in range(MAX_FAILED_LOGINS - 1):
            logins.failed("a", b"guess", 0)
        for _ in range(5):
            logins.failed("a", b"good", 0)
            logins.succeeded("a", b"good")
            logins.succeeded("a", b"unheard of")
            self.assertIsNone(self.wait(logins, 0))
        logins.failed("a", b"guess", 0)
        self.assertEqual(self.wait(logins, 0), 60)
        logins.succeeded("a", b"guess")
        self.assertIsNone(self.wait(logins, 0))

    def test_bounded(self) -> None:
        """Only so many clients are remembered, those of late."""
        logins = FailedLogins(max_keys=2)
        for bucket in ("a", "b", "c"):
            for _ in range(MAX_FAILED_LOGINS + 5):
                logins.failed(bucket, b"x", 0)
        waits = [self.wait(logins, 0, bucket) for bucket in ("a", "b", "c")]
        self.assertEqual(waits, [None, 60, 60])
