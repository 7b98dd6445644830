"""Tests for `docxy.policy.budget`."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.oci.errors import RegistryError
from docxy.policy.budget import EVERYBODY, MonthlyCounts, budgets
from docxy.settings.values import AccessSettings, Allotment, KeySettings

quick = settings(derandomize=True, max_examples=100, deadline=None)


def moment(text: str) -> float:
    """Seconds since 1970 of a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = moment("2026-11-23T12:00:00")
NEXT = moment("2026-12-01T00:00:00")
ALICE = KeySettings("alice", "alices-path", Allotment(budget=100))
BOB = KeySettings("bob", "bobs-path")
ACCESS = AccessSettings(everybody=Allotment(budget=1000), keys=(ALICE, BOB))

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["2026-11", "2026-10", "bytes", "keys", "x"]), inner)
    ),
    max_leaves=8,
)


class MonthlyCountsTests(SynchronousTestCase):
    """The counts of a month, and the refusal beyond a budget."""

    def setUp(self) -> None:
        """Nothing is counted yet."""
        self.counts = MonthlyCounts()

    def refused(self, key: str, now: float = NOW) -> tuple[str, str]:
        """Whose budget is spent, and the wait."""
        error = self.assertRaises(RegistryError, self.counts.check, key, ACCESS, now)
        self.assertEqual((error.status, error.code, error.cause), (503, "UNAVAILABLE", "budget"))
        [(name, seconds)] = error.headers
        self.assertEqual(name, "Retry-After")
        return error.message.partition(" has ")[0], seconds

    def test_budgets(self) -> None:
        """Who has none is not among them."""
        self.assertEqual(budgets(ACCESS), {EVERYBODY: 1000, "alice": 100})
        self.assertEqual(budgets(AccessSettings()), {})

    def test_key(self) -> None:
        """A key that has used its own up is refused until the month's end, and nobody else is."""
        self.counts.spend("alice", 99, NOW)
        self.counts.check("alice", ACCESS, NOW)
        self.counts.spend("alice", 1, NOW)
        self.assertEqual(self.refused("alice"), ("your key", str(int(NEXT - NOW))))
        for key in ("", "bob"):
            self.counts.check(key, ACCESS, NOW)

    def test_everybody(self) -> None:
        """What all have used up is refused to all."""
        self.counts.spend("", 600, NOW)
        self.counts.spend("bob", 400, NOW)
        for key in ("", "alice", "bob"):
            self.assertEqual(self.refused(key)[0], "this mirror")
        self.assertEqual((self.counts.spent(EVERYBODY, NOW), self.counts.spent("bob", NOW)), (1000, 400))

    def test_month(self) -> None:
        """A new month begins with nothing, at midnight in UTC, from December to January too."""
        for last, first in (
            ("2026-11-30T23:59:59", NEXT),
            ("2026-12-31T23:59:59", moment("2027-01-01T00:00:00")),
        ):
            self.counts.spend("alice", 1000, moment(last))
            self.assertEqual(self.refused("alice", moment(last))[1], "1")
            self.counts.check("alice", ACCESS, first)
            self.assertEqual(self.counts.spent(EVERYBODY, first), 0)

    def test_warnings(self) -> None:
        """From 80 % on there is one warning, at the end another, and the next month begins anew."""
        for size, expected in (
            (79, []),
            (1, ["access.key[alice].budget: 80% of 100 bytes are sent this month"]),
            (19, []),
            (1, ["access.key[alice].budget: 100 bytes are sent, and nothing more is before the month ends"]),
            (1, []),
            (900, ["access.budget: 1000 bytes are sent, and nothing more is before the month ends"]),
        ):
            self.counts.spend("alice", size, NOW)
            self.assertEqual(list(self.counts.warnings(ACCESS, NOW)), expected)
        self.counts.spend("alice", 80, NEXT)
        self.assertEqual(len(list(self.counts.warnings(ACCESS, NEXT))), 1)

    def keep(self, counts: MonthlyCounts, content: object, now: float = NOW) -> object:
        """Bring counts and a file's content together."""
        made = counts.merged(content, now)
        counts.kept()
        return made

    def test_kept(self) -> None:
        """What is kept is found again, and is in no need to be kept again."""
        self.counts.spend("alice", 5, NOW)
        self.counts.spend("", 7, NOW)
        self.assertTrue(self.counts.is_dirty)
        content = self.keep(self.counts, None)
        self.assertEqual(content, {"2026-11": {"bytes": 12, "keys": {"alice": 5}}})
        self.assertFalse(self.counts.is_dirty)
        after = MonthlyCounts()
        self.assertEqual(self.keep(after, content), content)
        self.assertEqual((after.spent(EVERYBODY, NOW), after.spent("alice", NOW)), (12, 5))

    def test_moved(self) -> None:
        """Another file gets what this month had, unless it has the month itself; in the next one nothing."""
        november = {"2026-11": {"bytes": 12, "keys": {"alice": 5}}}
        for new, expected in (
            (None, november),
            ({"2026-10": {"bytes": 1, "keys": {}}}, {"2026-10": {"bytes": 1, "keys": {}}, **november}),
            ({"2026-11": {"bytes": 3, "keys": {}}}, {"2026-11": {"bytes": 3, "keys": {}}}),
        ):
            counts = MonthlyCounts()
            self.keep(counts, november)
            counts.move()
            self.assertTrue(counts.is_dirty)
            self.assertEqual(counts.spent("alice", NOW), 5)
            counts.merged(None, NOW)  # which could not be written
            self.assertEqual(self.keep(counts, new), expected)
            self.assertEqual(self.keep(counts, None), {"2026-11": {"bytes": 0, "keys": {}}})
        self.keep(self.counts, november)
        self.counts.move()
        self.assertEqual(self.keep(self.counts, None, NEXT), {"2026-12": {"bytes": 0, "keys": {}}})

    def test_months(self) -> None:
        """The last twelve months are kept, each as it ended."""
        content: object = None
        for number in range(14):
            now = moment(f"{2026 + number // 12}-{number % 12 + 1:02}-15T00:00:00")
            self.counts.spend("", number + 1, now)
            content = self.keep(self.counts, content, now)
        assert isinstance(content, dict)
        self.assertEqual(list(content)[0::11], ["2026-03", "2027-02"])
        self.assertEqual([month["bytes"] for month in content.values()], list(range(3, 15)))

    def test_wrong_clock(self) -> None:
        """A clock that is wrong at first costs no month its counts; put right, it finds them."""
        self.counts.spend("alice", 100, NOW)
        content = self.keep(self.counts, None)
        for wrong in (0.0, NOW + 10 * 366 * 86_400):
            after = MonthlyCounts()
            after.spend("", 7, wrong)
            content = self.keep(after, content, wrong)
            self.assertFalse(after.is_dirty)
            after.check("bob", ACCESS, NOW)
            self.assertTrue(after.is_dirty)
            content = self.keep(after, content)
            self.assertEqual(after.spent("alice", NOW), 100)
            self.assertRaises(RegistryError, after.check, "alice", ACCESS, NOW)

    def test_not_kept(self) -> None:
        """What could not be written is counted all the same, and once."""
        self.counts.spend("", 7, NOW)
        for _ in range(3):
            self.counts.merged(None, NOW)
        self.assertEqual(self.counts.spent(EVERYBODY, NOW), 7)
        self.assertTrue(self.counts.is_dirty)

    def test_two(self) -> None:
        """Two processes with one file have, by turns, the sum of both."""
        other, content = MonthlyCounts(), None
        for size in (1, 10, 100):
            self.counts.spend("", size, NOW)
            content = self.keep(self.counts, content)
            other.spend("", 2 * size, NOW)
            content = self.keep(other, content)
        self.assertEqual(other.spent(EVERYBODY, NOW), 333)
        self.keep(self.counts, content)
        self.assertEqual(self.counts.spent(EVERYBODY, NOW), 333)

    def test_strange(self) -> None:
        """Numbers that are none count nothing."""
        for value in (-1, True, "5", 1.5, 1 << 70, None):
            content = {"2026-11": {"bytes": value, "keys": {"alice": value, "bob": 3}}, "2026-1x": 1, "y": 2}
            self.assertEqual(list(self.counts.merged(content, NOW)), ["2026-11"])
            found = [self.counts.spent(name, NOW) for name in (EVERYBODY, "alice", "bob")]
            self.assertEqual(found, [0, 0, 3], value)

    @quick
    @given(json)
    def test_any(self, content: object) -> None:
        """Whatever a file holds is taken for what it is worth."""
        counts = MonthlyCounts()
        counts.spend("", 5, NOW)
        counts.merged(content, NOW)
        self.assertGreaterEqual(counts.spent(EVERYBODY, NOW), 5)
