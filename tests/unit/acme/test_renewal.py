"""Tests for `docxy.acme.renewal`: a certificate's life on a clock that a test turns."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.outcome import Issued, Refused
from docxy.acme.renewal import BUSY, FIRST_LOOK, Renewal
from docxy.acme.state import State, Trouble
from docxy.interfaces import Clocks
from docxy.policy.renewals import DAY, LONGEST_LOOK, Span, Suggestion
from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.certificates import load_files
from docxy.tls.shown import Certificates, Coming
from tests.unit.tls.throwaway import NOW, Wish, intermediate, issue, write
from tests.unit.web.rig import Logged

NAME = "mirror.example.com"


class Source:
    """Gives certificates that are valid for 30 days, a day of them gone, or what it is told."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self.refusal: Exception | None = None
        self.names = (NAME,)
        self.orders: list[float] = []
        self.asked: list[float] = []
        self.suggested: Suggestion | Refused | None = None

    def issue(self) -> Issued:
        """One of now."""
        day = self._elapsed() / DAY
        one = issue(Wish(NAME, names=self.names, days=(day - 1, day + 29)), intermediate())
        return Issued(one.pem + intermediate().pem, one.key_pem())

    def obtain(self) -> Issued:
        """The next one, or a refusal."""
        self.orders.append(self._elapsed())
        if self.refusal is not None:
            raise self.refusal
        return self.issue()

    def suggestion(self, leaf: x509.Certificate) -> Suggestion | None:
        """What the authority says of the first one; of others nothing."""
        self.asked.append(self._elapsed())
        if len(self.orders) > 1:
            return None
        if isinstance(self.suggested, Refused):
            raise self.suggested
        return self.suggested


class RenewalCase(SynchronousTestCase):
    """No certificate yet, and a clock."""

    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        self.logged = Logged(self)
        self.clock = Clock()
        self.source = Source(self.clock.seconds)
        self.settings = AcmeSettings(
            (NAME,), directory="https://ca.example/dir", state=str(self.folder / "acme")
        )
        self.state = State(self.settings)
        self.work: Callable[[Callable[[], Any]], Deferred[Any]] = maybeDeferred
        self.make()

    def make(self) -> None:
        """A process that begins."""
        stand_in = issue(Wish("stand-in"))
        files = write(self.folder / "stand-in.pem", [stand_in.pem, stand_in.key_pem()])
        pair = load_files(self.state.pair.__class__(files, files), now=NOW)
        coming = Coming(lambda: pair, lambda name, key: None)
        self.certificates = Certificates(
            lambda: NOW + timedelta(seconds=self.clock.seconds()), self.state.pair, coming
        )
        clocks = Clocks(self.clock, lambda: NOW.timestamp() + self.clock.seconds())
        self.renewal = Renewal(
            self.settings, self.state, self.certificates, self.source, clocks, lambda work: self.work(work)
        )
        self.renewal.chance = lambda: 0.0
        self.addCleanup(self.renewal.stop)

    def start(self) -> None:
        """Begin, and have the first look."""
        self.renewal.start()
        self.clock.advance(FIRST_LOOK)

    def pass_days(self, days: float, step: float = 600.0) -> None:
        """Let time go by, in short steps."""
        self.clock.pump([step] * round(days * DAY / step))

    def said(self, level: str) -> list[str]:
        """What was logged at this level."""
        return [
            str(event["log_format"]).format(**event)
            for event in self.logged.events
            if event.get("log_namespace") == "docxy.acme.renewal" and event["log_level"].name == level
        ]


class LifeTests(RenewalCase):
    """Obtained and renewed."""

    def test_first(self) -> None:
        """The stand-in is told of, a certificate is ordered and is shown at once, and that is told."""
        self.renewal.start()
        self.assertTrue(self.certificates.awaited)
        told = f"acme: no certificate for {NAME} yet; clients refuse the stand-in"
        self.assertEqual(self.said("warn"), [told])
        self.assertEqual(self.source.orders, [])
        self.clock.advance(FIRST_LOOK)
        assert self.certificates.pair is not None
        self.assertEqual(self.certificates.pair.names, (NAME,))
        end = f"{self.certificates.pair.not_after:%Y-%m-%d %H:%M}"
        self.assertEqual(
            self.said("info"),
            [
                f"acme: ordering a certificate for {NAME} from https://ca.example/dir",
                f"acme: obtained a certificate for {NAME}, valid until {end} UTC",
            ],
        )

    def test_renewed(self) -> None:
        """After two thirds of its life a certificate is followed by the next, again and again."""
        self.start()
        self.pass_days(45)
        days = [round(at / DAY) for at in self.source.orders]
        self.assertEqual(days, [0, 19, 38])

    def test_restart(self) -> None:
        """A process that finds a certificate orders none."""
        self.start()
        self.renewal.stop()
        self.make()
        self.start()
        self.assertEqual(len(self.source.orders), 1)
        self.assertEqual(len(self.said("warn")), 1)

    def test_other_names(self) -> None:
        """A certificate that lacks a name is shown until another one is there, which is ordered at once."""
        self.source.names = ("old.example",)
        issued = self.source.issue()
        self.state.prepare()
        self.state.keep_pair(issued.chain, issued.key)
        self.source.names = (NAME,)
        self.make()
        self.assertFalse(self.certificates.awaited)
        self.start()
        self.assertEqual(self.certificates.names(), (NAME,))

    def test_no_loop(self) -> None:
        """What is to be replaced as soon as it is there counts as a failure."""
        self.source.names = ("old.example",)
        self.start()
        self.clock.pump([1.0] * 100)
        self.assertEqual(len(self.source.orders), 3)
        self.assertIn("is to be replaced already; check this machine's clock", self.said("error")[0])

    def test_taken_from_another(self) -> None:
        """What another process has obtained is shown with the next look."""
        self.start()
        self.clock.advance(5 * DAY)
        issued = self.source.issue()
        self.state.keep_pair(issued.chain, issued.key)
        self.clock.advance(LONGEST_LOOK)
        assert self.certificates.pair is not None
        self.assertEqual(self.certificates.pair.chain[0], x509.load_pem_x509_certificate(issued.chain))
        self.assertEqual(len(self.source.orders), 1)

    def test_spoilt_file(self) -> None:
        """A file that somebody spoils is told of; what is shown stays."""
        self.start()
        Path(self.state.pair.cert).write_text("spoilt")
        self.clock.advance(LONGEST_LOOK)
        self.assertIn("acme: not taken: acme.state: ", self.said("error")[0])
        self.assertIsNotNone(self.certificates.pair)

    def test_stopped(self) -> None:
        """At the end nothing is waited for, and the end of an order is not heard of."""
        order: Deferred[None] = Deferred()
        self.work = lambda work: order
        self.start()
        self.renewal.stop()
        order.callback(None)
        self.assertEqual((self.said("error"), self.clock.getDelayedCalls()), ([], []))
        self.make()
        self.renewal.start()
        self.renewal.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_start_refused(self) -> None:
        """A folder or a secret that cannot be used ends the start."""
        (self.folder / "acme").touch()
        self.assertRaises(SettingsError, self.renewal.start)
        (self.folder / "acme").unlink()
        self.settings = AcmeSettings((NAME,), eab_kid="kid", eab_hmac_file="/gone", state=self.settings.state)
        self.make()
        self.assertRaises(SettingsError, self.renewal.start)

    def test_broken(self) -> None:
        """A fault of ours is logged with its traceback, and does not go on."""
        self.source.refusal = ZeroDivisionError()
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


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

    def test_refused(self) -> None:
        """Where it cannot be asked, its last word stands, and it is asked again in some hours."""
        self.source.suggested = self.suggest(3, 4)
        self.start()
        self.source.suggested = Refused("gone")
        self.pass_days(3.5)
        self.assertEqual(round(self.source.orders[1] / DAY, 1), 3.0)
        self.assertIn("acme: the authority does not say when to renew: gone", self.said("info"))
        self.assertGreater(len(self.source.asked), 6)


class FailureTests(RenewalCase):
    """Tries that fail."""

    def test_told(self) -> None:
        """The reason and the next try are told, and the stand-in is shown on."""
        self.source.refusal = Refused("a.example: dns: NXDOMAIN")
        self.start()
        due = f"{NOW + timedelta(seconds=31):%Y-%m-%d %H:%M:%S}"
        told = (
            f"acme: no new certificate for {NAME}: a.example: dns: NXDOMAIN; next try at {due} UTC, or on HUP"
        )
        self.assertEqual(self.said("error"), [told])
        self.assertTrue(self.certificates.awaited)

    def test_waits_grow(self) -> None:
        """Each wait is twice the one before it, and success ends them."""
        self.source.refusal = Refused("no")
        self.start()
        self.clock.pump([1.0] * 450)
        self.assertEqual([round(at) for at in self.source.orders], [1, 31, 91, 211, 451])
        self.source.refusal = None
        self.clock.pump([10.0] * 50)
        self.assertFalse(self.certificates.awaited)
        self.assertIsNone(self.state.trouble((NAME,)))

    def test_retry_after(self) -> None:
        """The authority's own wait is heeded."""
        self.source.refusal = Refused("rateLimited", 7200.0)
        self.start()
        self.clock.pump([60.0] * 119)
        self.assertEqual(len(self.source.orders), 1)
        self.clock.pump([60.0] * 2)
        self.assertEqual(len(self.source.orders), 2)

    def test_restart(self) -> None:
        """A restart does not try sooner; HUP does."""
        self.source.refusal = Refused("no", 7200.0)
        self.start()
        self.renewal.stop()
        self.make()
        self.start()
        self.clock.advance(600)
        self.assertEqual(len(self.source.orders), 1)
        self.source.refusal = None
        self.renewal.hurry()
        self.assertEqual(len(self.source.orders), 2)
        self.assertFalse(self.certificates.awaited)

    def test_hurry(self) -> None:
        """HUP with all well, or before anything began, or during an order, changes nothing."""
        self.renewal.hurry()
        order: Deferred[None] = Deferred()
        self.work = lambda work: order
        self.start()
        self.renewal.hurry()
        self.work = maybeDeferred
        issued = self.source.issue()
        self.state.keep_pair(issued.chain, issued.key)
        order.callback(None)
        self.renewal.hurry()
        self.renewal.hurry()
        self.assertEqual(self.source.orders, [])
        self.assertFalse(self.certificates.awaited)

    def test_wrong_clock(self) -> None:
        """A wait that only a wrong clock can have written is none."""
        self.state.prepare()
        self.state.keep_trouble(Trouble(3, NOW.timestamp() + 400 * DAY, (NAME,)))
        self.start()
        self.assertEqual(len(self.source.orders), 1)

    def test_another_process(self) -> None:
        """Where another process orders, it is left to that one."""
        self.renewal.start()
        with self.state.locked():
            self.clock.advance(FIRST_LOOK)
            self.assertEqual(self.source.orders, [])
            self.assertIn("acme: another process is ordering; it is left to that one", self.said("info"))
        self.clock.advance(BUSY)
        self.assertEqual(len(self.source.orders), 1)

    def test_not_kept(self) -> None:
        """A disk that is full is told; nothing ends by it, not even where the failure cannot be kept."""
        self.renewal.start()

        def refuse(source: str, target: Path) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "replace", refuse)
        self.clock.advance(FIRST_LOOK)
        self.assertIn("it cannot be kept or shown: [Errno 28] No space left on device", self.said("error")[0])

    def test_not_shown(self) -> None:
        """A certificate that cannot serve is told as a failure."""
        self.source.issue = lambda: Issued(b"nonsense", b"nonsense")  # type: ignore[method-assign]  # an authority's own
        self.start()
        self.assertIn("it cannot be kept or shown: acme.state: ", self.said("error")[0])
