"""Tests for `docxy.tls.expiry`: when the end of a certificate is spoken of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from twisted.trial.unittest import SynchronousTestCase

from docxy.tls.certificates import PairFiles
from docxy.tls.expiry import Reminders, reminder_of
from docxy.tls.shown import Expiry

END = datetime(2026, 12, 24, 18, 0, tzinfo=UTC)
FILES = PairFiles("/etc/docxy/tls/fullchain.pem", "/etc/docxy/tls/privkey.pem")
DAY = timedelta(days=1)


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
            reminder = reminder_of(Expiry(FILES, END, False), END - left)
            self.assertEqual(None if reminder is None else reminder.urgent, urgent, left)
            if reminder is not None:
                self.assertIn(said, reminder.text)
                self.assertEqual(reminder.setting, "tls.cert")
                self.assertIn(FILES.cert, reminder.text)

    def test_remedy(self) -> None:
        """What its listener has taken for good needs a restart, and says so."""
        for lasting, said in ((False, "takes the new files over by itself"), (True, "restart docxy")):
            reminder = reminder_of(Expiry(FILES, END, lasting), END)
            self.assertIn(said, reminder.text if reminder else "")


class RemindersTests(SynchronousTestCase):
    """How often it is said."""

    def said(self, reminders: Reminders, left: timedelta, *files: PairFiles) -> list[bool]:
        """Whether each reminder is urgent that is due so long before the end."""
        ends = [Expiry(one, END, False) for one in (files or (FILES,))]
        return [reminder.urgent for reminder in reminders.due(ends, END - left)]

    def test_daily(self) -> None:
        """Each thing is said at once, and then once a day."""
        reminders = Reminders()
        hour = timedelta(hours=1)
        self.assertEqual(self.said(reminders, 15 * DAY), [])
        self.assertEqual(self.said(reminders, 14 * DAY), [False])
        self.assertEqual(self.said(reminders, 13 * DAY + hour), [])
        self.assertEqual(self.said(reminders, 13 * DAY), [False])
        self.assertEqual(self.said(reminders, 3 * DAY + hour), [False])
        self.assertEqual(self.said(reminders, 3 * DAY), [True])
        self.assertEqual(self.said(reminders, 3 * DAY - hour), [])
        self.assertEqual(self.said(reminders, 2 * DAY), [True])

    def test_each(self) -> None:
        """Certificates are told apart, and what was renewed is forgotten."""
        reminders, other = Reminders(), PairFiles("/other", "/key")
        self.assertEqual(self.said(reminders, DAY), [True])
        self.assertEqual(self.said(reminders, DAY, FILES, other), [True])
        self.assertEqual(reminders.due([Expiry(FILES, END + 90 * DAY, False)], END), [])
        self.assertEqual(self.said(reminders, DAY, FILES, other), [True, True])
