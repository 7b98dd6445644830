"""Tests for `docxy.acme.renewal`: a certificate's life on a clock that a test turns."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred

from docxy.acme.outcome import Issued, Refused
from docxy.acme.renewal import BUSY, FIRST_LOOK, Renewal
from docxy.acme.state import Trouble
from docxy.interfaces import Clocks
from docxy.policy.renewals import DAY, LONGEST_LOOK
from docxy.settings.values import AcmeSettings, SettingsError
from docxy.tls.certificates import load_files
from docxy.tls.shown import Certificates, Coming
from tests.unit.acme.renewal_rig import NAME, RenewalCase
from tests.unit.tls.throwaway import NOW, Wish, intermediate, issue, write


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
        self.settings = AcmeSettings((NAME,), ca="/gone", state=self.settings.state)
        self.make()
        self.assertRaises(SettingsError, self.renewal.start)

    def test_broken(self) -> None:
        """A fault of ours is logged with its traceback, and counts as a failure, after which it goes on."""
        self.source.refusal = ZeroDivisionError()
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("a fault in docxy itself, which is told above; next try at ", self.said("error")[0])
        self.source.refusal = None
        self.clock.advance(60)
        self.assertFalse(self.certificates.awaited)

    def test_no_thread(self) -> None:
        """Where no thread can be had, it is tried again."""

        def refuse(work: Callable[[], Any]) -> Deferred[Any]:
            raise RuntimeError("can't start new thread")

        self.work = refuse
        self.start()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.work = maybeDeferred
        self.clock.advance(60)
        self.assertFalse(self.certificates.awaited)

    def test_disk_elsewhere(self) -> None:
        """The reactor's thread never waits for the disk, which may be busy for long."""
        self.source.refusal = Refused("no")
        elsewhere, synced = [0], []

        def work(job: Callable[[], Any]) -> Deferred[Any]:
            elsewhere[0] += 1
            try:
                return maybeDeferred(job)
            finally:
                elsewhere[0] -= 1

        self.work = work
        self.patch(os, "fsync", lambda descriptor: synced.append(elsewhere[0]))
        self.start()
        self.source.refusal = None
        self.clock.advance(60)
        self.assertFalse(self.certificates.awaited)
        self.assertEqual(set(synced), {1})

    def test_key_type(self) -> None:
        """A certificate whose key is of another type than the settings' is followed by one that is not."""
        self.start()
        self.settings = AcmeSettings(
            (NAME,), directory=self.settings.directory, key_type="rsa2048", state=self.settings.state
        )
        self.renewal.stop()
        self.make()
        self.source.key = "rsa2048"
        self.start()
        self.assertEqual(len(self.source.orders), 2)
        self.clock.advance(DAY)
        self.assertEqual(len(self.source.orders), 2)

    def test_replaced(self) -> None:
        """An order knows which certificate it replaces."""
        self.start()
        assert self.certificates.pair is not None
        first = self.certificates.pair.chain[0]
        self.pass_days(25)
        self.assertEqual(self.source.replaced, [None, first])

    def test_meanwhile(self) -> None:
        """What another authority has issued is no stand-in."""
        other = issue(Wish(NAME), intermediate())
        content = [other.pem, intermediate().pem, other.key_pem()]
        files = write(self.folder / "other.pem", content)
        pair = load_files(self.state.pair.__class__(files, files), now=NOW)
        self.certificates = Certificates(
            lambda: NOW, self.state.pair, Coming(lambda: pair, lambda name, key: None)
        )
        clocks = Clocks(self.clock, lambda: NOW.timestamp())
        self.renewal = Renewal(
            self.settings, self.state, self.certificates, self.source, clocks, lambda work: self.work(work)
        )
        self.addCleanup(self.renewal.stop)
        self.renewal.start()
        told = f"acme: no certificate for {NAME} yet; what another authority has issued is shown until then"
        self.assertEqual(self.said("warn"), [told])


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
        """A full disk is told; nothing is ordered in vain, and the waits grow though they cannot be kept."""
        self.renewal.start()

        def refuse(source: str, target: Path) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "replace", refuse)
        self.clock.advance(FIRST_LOOK)
        self.assertIn("it cannot be kept or shown: [Errno 28] No space left on device", self.said("error")[0])
        self.clock.pump([10.0] * 60)
        self.assertEqual((len(self.said("error")), self.source.orders), (5, []))

    def test_not_shown(self) -> None:
        """A certificate that cannot serve is told as a failure."""
        self.source.issue = lambda: Issued(b"nonsense", b"nonsense")  # type: ignore[method-assign]  # an authority's own
        self.start()
        self.assertIn("it cannot be kept or shown: acme.state: ", self.said("error")[0])
