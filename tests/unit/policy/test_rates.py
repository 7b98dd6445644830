"""Tests for `docxy.policy.rates`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.policy.rates import MAX_DEBT, Bucket, Pace, Rates
from docxy.settings.values import AccessSettings, Allotment, KeySettings

quick = settings(derandomize=True, max_examples=200, deadline=None)

ALICE = KeySettings("alice", "alices-path", Allotment(requests=2, rate=100))


class BucketTests(SynchronousTestCase):
    """One bucket."""

    def test_burst_then_rate(self) -> None:
        """The burst is there at once, the rest comes at the rate; it is never fuller than the burst."""
        bucket = Bucket(2, 4, 0)
        self.assertEqual(bucket.wait(4, 0), 0)
        bucket.draw(4, 0)
        self.assertEqual(bucket.wait(1, 0), 0.5)
        self.assertEqual(bucket.wait(1, 0.5), 0)
        self.assertEqual(bucket.wait(4, 100), 0)
        bucket.draw(4, 100)
        self.assertEqual(bucket.wait(4, 100), 2)

    def test_debt(self) -> None:
        """What passed already is drawn in any case, and waited for."""
        bucket = Bucket(10, 10, 0)
        bucket.draw(60, 0)
        self.assertEqual(bucket.wait(0, 0), 5)
        self.assertEqual(bucket.wait(0, 5), 0)

    def test_debt_is_bounded(self) -> None:
        """However much has passed at once, nobody waits for more than half a minute, at any rate."""
        bucket = Bucket(10, 10, 0)
        bucket.draw(1e9, 0)
        self.assertEqual(bucket.wait(0, 0), MAX_DEBT)
        bucket.change(1, 1, 0)
        self.assertEqual(bucket.wait(0, 0), MAX_DEBT)

    def test_change(self) -> None:
        """Another rate forgives no debt and gives nothing at once."""
        bucket = Bucket(10, 10, 0)
        bucket.draw(30, 0)
        bucket.change(20, 20, 0)
        self.assertEqual(bucket.wait(0, 0), 1)
        full = Bucket(10, 10, 0)
        full.change(1, 1, 0)
        full.draw(1, 0)
        self.assertEqual(full.wait(1, 0), 1)

    def test_clock_back(self) -> None:
        """A clock that goes back gives nothing and takes nothing."""
        bucket = Bucket(1, 1, 10)
        bucket.draw(1, 10)
        self.assertEqual(bucket.wait(1, 5), 1)

    @quick
    @given(
        st.floats(0.1, 1000),
        st.floats(1, 1000),
        st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 1)), max_size=50),
    )
    def test_never_more(self, rate: float, burst: float, asked: list[tuple[float, float]]) -> None:
        """Who draws only when there is enough never gets more than rate * seconds + burst."""
        bucket, now, got = Bucket(rate, burst, 0), 0.0, 0.0
        for seconds, part in asked:
            now += seconds
            amount = part * burst
            if bucket.wait(amount, now) == 0:
                bucket.draw(amount, now)
                got += amount
            self.assertLessEqual(got, rate * now + burst + 1e-6)

    @quick
    @given(st.floats(1, 1000), st.lists(st.floats(0.1, 500), min_size=1, max_size=30))
    def test_pace_keeps_rate(self, rate: float, pieces: list[float]) -> None:
        """Who waits as told after each piece has, when the wait is over, at most rate * seconds + burst."""
        bucket, now, got = Bucket(rate, rate, 0), 0.0, 0.0
        for piece in pieces:
            piece = min(piece, rate * MAX_DEBT)
            bucket.draw(piece, now)
            got += piece
            now += bucket.wait(0, now)
            self.assertLessEqual(got, rate * now + rate + 1e-6)


class PaceTests(SynchronousTestCase):
    """Several buckets of one transfer."""

    def test_slowest(self) -> None:
        """It waits for the slowest, and draws from all."""
        slow, fast = Bucket(10, 10, 0), Bucket(100, 100, 0)
        self.assertEqual(Pace((slow, fast)).draw(30, 0), 2)
        self.assertEqual(Pace((slow, fast)).wait(0), 2)
        self.assertEqual(Pace((fast,)).draw(170, 0), 1)

    def test_piece(self) -> None:
        """A piece is a small part of a second's worth of the slowest, and no crumb."""
        slow, fast = Bucket(320_000, 1, 0), Bucket(640_000, 1, 0)
        self.assertEqual(Pace((fast, slow)).piece, 10_000)
        self.assertEqual(Pace((Bucket(10, 10, 0),)).piece, 1024)


class RatesTests(SynchronousTestCase):
    """The buckets of all, of keys and of clients."""

    def refused(self, rates: Rates, client: str, key: str, now: float) -> tuple[str, str]:
        """The refusal's text and its wait."""
        error = self.assertRaises(RegistryError, rates.admit, client, key, now)
        self.assertEqual((error.status, error.code, error.cause), (429, "TOOMANYREQUESTS", "requests"))
        [(name, seconds)] = error.headers
        self.assertEqual(name, "Retry-After")
        return error.message, seconds

    def test_unbound(self) -> None:
        """Without settings nobody waits, and no client is remembered."""
        rates = Rates(AccessSettings(), 0)
        for _ in range(1000):
            rates.admit("192.0.2.1", "alice", 0)
        self.assertIsNone(rates.pace("192.0.2.1", "", 0))
        self.assertEqual(len(rates._clients), 0)

    def test_client(self) -> None:
        """Each client has its own minute, however many keys it shows."""
        rates = Rates(AccessSettings(client=Allotment(requests=2)), 0)
        for client in ("192.0.2.1", "192.0.2.2"):
            rates.admit(client, "", 0)
            rates.admit(client, "alice", 0)
            self.assertIn("your address", self.refused(rates, client, "", 0)[0])
        self.assertEqual(self.refused(rates, "192.0.2.1", "", 1)[1], "29")
        rates.admit("192.0.2.1", "", 30)

    def test_key(self) -> None:
        """All clients of a key share its minute; a name that is no key is nobody's."""
        rates = Rates(AccessSettings(keys=(ALICE,)), 0)
        rates.admit("192.0.2.1", "alice", 0)
        rates.admit("192.0.2.2", "alice", 0)
        self.assertIn("your key", self.refused(rates, "192.0.2.3", "alice", 0)[0])
        for key in ("", "bob"):
            rates.admit("192.0.2.3", key, 0)

    def test_everybody(self) -> None:
        """All share one minute; who is refused has used nothing up."""
        rates = Rates(AccessSettings(everybody=Allotment(requests=1), client=Allotment(requests=2)), 0)
        rates.admit("192.0.2.1", "", 0)
        for _ in range(5):
            self.assertIn("all clients", self.refused(rates, "192.0.2.2", "", 0)[0])
        self.assertEqual(self.refused(rates, "192.0.2.2", "", 0)[1], "60")
        rates.admit("192.0.2.2", "", 60)
        self.assertEqual(rates._clients["192.0.2.2"].requests.wait(1, 60), 0)  # type: ignore[union-attr]  # it has one

    def test_stranger(self) -> None:
        """Who shows no secret has a minute as a client, and none of that of all."""
        rates = Rates(AccessSettings(everybody=Allotment(requests=1), client=Allotment(requests=2)), 0)
        for _ in range(2):
            rates.admit("192.0.2.1", "", 0, is_stranger=True)
        error = self.assertRaises(RegistryError, rates.admit, "192.0.2.1", "", 0, is_stranger=True)
        self.assertIn("your address", error.message)
        rates.admit("192.0.2.2", "", 0)
        self.assertIn("all clients", self.refused(rates, "192.0.2.2", "", 0)[0])

    def test_longest_wait(self) -> None:
        """Of several that are used up the longest wait is told, so that nobody comes back in vain."""
        access = AccessSettings(everybody=Allotment(requests=4), client=Allotment(requests=3), keys=(ALICE,))
        rates = Rates(access, 0)
        for _ in range(2):
            rates.admit("192.0.2.1", "alice", 0)
        rates.admit("192.0.2.1", "", 0)
        rates.admit("192.0.2.2", "", 0)
        text, seconds = self.refused(rates, "192.0.2.1", "alice", 0)
        self.assertIn("your key", text)
        self.assertEqual(seconds, "30")
        self.assertEqual(self.refused(rates, "192.0.2.1", "", 0)[1], "20")
        self.assertEqual(self.refused(rates, "192.0.2.2", "", 0)[1], "15")

    def test_shared_pace(self) -> None:
        """The transfers of one client share a bucket; a key adds its own."""
        rates = Rates(AccessSettings(client=Allotment(rate=1000), keys=(ALICE,)), 0)
        one, other = rates.pace("192.0.2.1", "", 0), rates.pace("192.0.2.1", "alice", 0)
        assert one is not None and other is not None
        self.assertEqual(one.draw(1000, 0), 0)
        self.assertEqual(other.draw(1000, 0), 9)  # the key's 100 a second are the slower ones
        self.assertEqual(one.draw(500, 0), 1.5)
        stranger = rates.pace("192.0.2.2", "", 0)
        assert stranger is not None
        self.assertEqual(stranger.draw(1000, 0), 0)

    def test_bounded(self) -> None:
        """So many clients are remembered; the one that was away longest is forgotten first."""
        rates = Rates(AccessSettings(client=Allotment(requests=1)), 0, max_clients=2)
        for client in ("a", "b"):
            rates.admit(client, "", 0)
        self.refused(rates, "a", "", 0)
        rates.admit("c", "", 0)
        self.refused(rates, "a", "", 0)
        rates.admit("b", "", 0)
        self.assertEqual(len(rates._clients), 2)

    def test_renew(self) -> None:
        """Other settings keep what was drawn; new bounds begin full, gone ones are gone."""
        access = AccessSettings(
            everybody=Allotment(requests=100), client=Allotment(requests=2, rate=100), keys=(ALICE,)
        )
        rates = Rates(access, 0)
        pace = rates.pace("a", "", 0)
        assert pace is not None
        for _ in range(2):
            rates.admit("a", "alice", 0)
        bob = KeySettings("bob", "bobs-path", Allotment(requests=1))
        rates.renew(replace(access, client=Allotment(requests=3, rate=200), keys=(ALICE, bob)), 0)
        self.refused(rates, "a", "", 0)
        self.refused(rates, "b", "alice", 0)
        rates.admit("b", "bob", 0)
        self.assertEqual(pace.draw(300, 0), 1)  # of 100 that it had, at 200 a second
        rates.renew(AccessSettings(client=Allotment(requests=3)), 0)
        rates.admit("b", "alice", 0)
        self.assertIsNone(rates.pace("a", "", 0))
        rates.renew(access, 0)
        self.assertIsNotNone(rates.pace("a", "", 0))
