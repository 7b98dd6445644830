"""Tests for `docxy.tls.expiry`: when the end of a certificate is spoken of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from docxy.policy.renewals import Span, renew_at
from docxy.tls.certificates import PairFiles
from docxy.tls.expiry import Reminders, counted, reminder_of
from docxy.tls.shown import Expiry

END = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
FILES = PairFiles("/etc/docxy/tls/fullchain.pem", "/etc/docxy/tls/privkey.pem")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LIFE = 90 * DAY


def ending(files: PairFiles = FILES, life: timedelta = LIFE, *, lasting: bool = False) -> Expiry:
    """A certificate with this end."""
    return Expiry(files, END, life, lasting)


class ReminderTests(SynchronousTestCase):
    """What is said of one certificate."""

    def test_when(self) -> None:
        """Nothing is said until 14 days before the end; from 3 days on it is urgent."""
        for left, urgent, said in (
            (14 * DAY + timedelta(seconds=1), None, ""),
            (14 * DAY, False, "expires on 2026-12-24 18:00 UTC, in 14 days; renew it"),
            (3 * DAY + timedelta(seconds=1), False, "in 3 days;"),
            (3 * DAY, True, "in 3 days;"),
            (DAY, True, "in 24 hours;"),
            (timedelta(0), True, "in 0 hours;"),
            (-DAY, True, "expired on 2026-12-24 18:00 UTC: clients refuse it; renew it"),
        ):
            reminder = reminder_of(ending(), END - left)
            self.assertEqual(None if reminder is None else reminder.urgent, urgent, left)
            if reminder is not None:
                self.assertIn(said, reminder.text)
                self.assertEqual(reminder.setting, "tls.cert")
                self.assertIn(FILES.cert, reminder.text)

    def test_short_life(self) -> None:
        """What lives shortly is spoken of from a quarter of its life on, and is urgent from a tenth."""
        second = timedelta(seconds=1)
        for life, warned, urgent in (
            (90 * DAY, 14 * DAY, 3 * DAY),
            (56 * DAY, 14 * DAY, 3 * DAY),
            (47 * DAY, 47 * DAY / 4, 3 * DAY),
            (30 * DAY, 7.5 * DAY, 3 * DAY),
            (160 * HOUR, 40 * HOUR, 16 * HOUR),
            (10 * HOUR, 2.5 * HOUR, HOUR),
        ):
            for left, expected in (
                (warned + second, None),
                (warned, False),
                (urgent + second, False),
                (urgent, True),
            ):
                reminder = reminder_of(ending(life=life), END - left)
                self.assertEqual(None if reminder is None else reminder.urgent, expected, (life, left))

    @given(st.floats(600, 400 * 86400), st.floats(0, 1))
    def test_renewed_in_time(self, seconds: float, chance: float) -> None:
        """Whatever docxy renews at two thirds of its life is not spoken of until then."""
        due = renew_at(Span(0, seconds), None, chance)
        one = ending(life=timedelta(seconds=seconds))
        self.assertIsNone(reminder_of(one, END - timedelta(seconds=seconds - due)))

    def test_remedy(self) -> None:
        """What its listener has taken for good needs a restart, and says so."""
        for lasting, said in ((False, "takes the new files over by itself"), (True, "restart docxy")):
            reminder = reminder_of(ending(lasting=lasting), END)
            self.assertIn(said, reminder.text if reminder else "")


class RemindersTests(SynchronousTestCase):
    """How often it is said."""

    def said(self, reminders: Reminders, left: timedelta, *files: PairFiles) -> list[bool]:
        """Whether each reminder is urgent that is due so long before the end."""
        ends = [ending(one) for one in (files or (FILES,))]
        return [reminder.urgent for reminder in reminders.due(ends, END - left)]

    def test_daily(self) -> None:
        """Each thing is said at once, and then once a day."""
        reminders = Reminders()
        self.assertEqual(self.said(reminders, 15 * DAY), [])
        self.assertEqual(self.said(reminders, 14 * DAY), [False])
        self.assertEqual(self.said(reminders, 13 * DAY + HOUR), [])
        self.assertEqual(self.said(reminders, 13 * DAY), [False])
        self.assertEqual(self.said(reminders, 3 * DAY + HOUR), [False])
        self.assertEqual(self.said(reminders, 3 * DAY), [True])
        self.assertEqual(self.said(reminders, 3 * DAY - HOUR), [])
        self.assertEqual(self.said(reminders, 2 * DAY), [True])

    def test_each(self) -> None:
        """Certificates are told apart, and what was renewed is forgotten."""
        reminders, other = Reminders(), PairFiles("/other", "/key")
        self.assertEqual(self.said(reminders, DAY), [True])
        self.assertEqual(self.said(reminders, DAY, FILES, other), [True])
        self.assertEqual(reminders.due([ending()], END - 80 * DAY), [])
        self.assertEqual(self.said(reminders, DAY, FILES, other), [True, True])

    def test_counted(self) -> None:
        """Of several it is told how many are spoken of, each as what is said of it."""
        some = [ending(life=life) for life in (90 * DAY, 60 * DAY, 20 * DAY, 160 * HOUR)]
        for left, warned, urgent in (
            (80 * DAY, 0, 0),
            (10 * DAY, 2, 0),
            (4 * DAY, 3, 0),
            (DAY, 1, 3),
            (-DAY, 0, 4),
        ):
            told = counted(some, END - left)
            self.assertEqual(told, {("warning",): warned, ("error",): urgent}, left)
