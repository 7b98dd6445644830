"""Tests for `docxy.acme.renewal`: renewals that the authority wants (RFC 9773)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from twisted.internet.defer import Deferred

from docxy.acme.outcome import Refused
from docxy.policy.renewals import DAY, Span, Suggestion
from tests.unit.acme.renewal_rig import RenewalCase
from tests.unit.tls.throwaway import NOW


class SuggestionTests(RenewalCase):
    """When the authority wants it renewed."""

    def suggest(self, start: float, end: float, again: float = DAY) -> Suggestion:
        """A window, in days from now."""
        base = NOW.timestamp()
        return Suggestion(Span(base + start * DAY, base + end * DAY), again)

    def test_window(self) -> None:
        """The window decides, and is asked for as often as the authority wants."""
        self.source.suggested = self.suggest(10, 12)
        self.start()
        self.source.suggested = self.suggest(5, 6)  # a day later: it was revoked, say
        self.pass_days(5.5)
        self.assertEqual([round(at / DAY, 1) for at in self.source.orders], [0, 5.0])
        self.assertEqual([round(at / DAY) for at in self.source.asked][:5], [0, 1, 2, 3, 4])

    def test_asked_as_told(self) -> None:
        """The authority says how soon it is asked again, also where it refuses; a new window is told once."""
        self.source.suggested = replace(self.suggest(10, 12, 3600.0), explanation="https://ca.example/why")
        self.start()
        self.pass_days(0.25)
        self.assertEqual([round(at / 3600) for at in self.source.asked], [0, 1, 2, 3, 4, 5, 6])
        self.source.suggested = Refused("busy", 7200.0)
        self.pass_days(0.25)
        self.assertEqual([round(at / 3600) for at in self.source.asked][7:], [7, 9, 11])
        told = [line for line in self.said("info") if "wants the certificate renewed between" in line]
        self.assertEqual(len(told), 1)
        self.assertTrue(
            told[0].endswith(f"{NOW + timedelta(days=12):%Y-%m-%d %H:%M} UTC (https://ca.example/why)")
        )

    def test_hurried(self) -> None:
        """HUP has the authority asked at once."""
        self.source.suggested = self.suggest(10, 12)
        self.start()
        now = self.clock.seconds() / DAY
        self.source.suggested = self.suggest(now - 0.5, now)
        self.renewal.hurry()
        self.assertEqual((len(self.source.asked), len(self.source.orders)), (3, 2))

    def test_fault(self) -> None:
        """A fault while it is asked keeps no certificate from being renewed."""
        self.source.suggested = ZeroDivisionError()
        self.start()
        self.pass_days(21)
        self.assertEqual([round(at / DAY) for at in self.source.orders], [0, 19])
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 60)

    def test_ended(self) -> None:
        """Of a certificate that has ended nothing is asked any more."""
        self.start()
        self.source.refusal = Refused("no")
        self.pass_days(40, 6 * 3600.0)
        last = self.source.asked[-1]
        self.assertLess(last, 29 * DAY)
        self.assertGreater(self.source.orders[-1], 29 * DAY)

    def test_given_up(self) -> None:
        """A question that the end of the process interrupts is no fault."""
        self.start()
        self.renewal.stop()
        self.make()
        self.work = lambda work: Deferred()
        self.start()
        self.renewal.stop()
        self.assertEqual(self.said("error"), [])

    def test_refused(self) -> None:
        """Where it cannot be asked, its last word stands, and it is asked again in some hours."""
        self.source.suggested = self.suggest(3, 4)
        self.start()
        self.source.suggested = Refused("gone")
        self.pass_days(3.5)
        self.assertEqual(round(self.source.orders[1] / DAY, 1), 3.0)
        self.assertIn("acme: the authority does not say when to renew: gone", self.said("info"))
        self.assertGreater(len(self.source.asked), 6)
