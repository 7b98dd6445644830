"""Tests for `docxy.tls.watch`: files that change while docxy runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.given import Given
from docxy.tls.certificates import PairFiles
from docxy.tls.shown import Certificates
from docxy.tls.watch import LOOK, SETTLE, CertificateWatch
from tests.unit.tls.throwaway import NOW, Wish, intermediate, issue, write
from tests.unit.web.rig import Logged


class WatchCase(SynchronousTestCase):
    """A pair in files, shown and watched."""

    def setUp(self) -> None:
        """The first certificate is shown."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        self.logged = Logged(self)
        self.clock = Clock()
        self.now = NOW
        self.taken = 0
        self.make("old.example")
        self.swap("old.example")
        live = str(self.folder / "live")
        self.files = PairFiles(f"{live}/cert", f"{live}/key")
        self.certificates = Certificates(self.time, self.files)
        given = Given({"tls.cert": "--cert"})
        self.watch = CertificateWatch(self.certificates, self.clock, lambda: given, self.take)
        self.watch.begin()

    def time(self) -> datetime:
        """The time that validity is judged by."""
        return self.now

    def take(self) -> None:
        """A certificate was taken over."""
        self.taken += 1

    def make(self, name: str) -> Path:
        """A folder with a pair for this name."""
        wish = Wish(name, key=f"p256 {name}", caissuers="http://ca.example/i.der")
        one, folder = issue(wish, intermediate()), self.folder / name
        folder.mkdir(exist_ok=True)
        write(folder / "cert", [one.pem, intermediate().pem])
        write(folder / "key", one.key_pem())
        return folder

    def swap(self, name: str) -> None:
        """Lead to the pair of this name at once, as certbot and Kubernetes do."""
        link = self.folder / "next"
        link.symlink_to(name)
        link.replace(self.folder / "live")

    def pass_time(self, seconds: float) -> None:
        """Time passes in small steps."""
        for _ in range(round(seconds * 2)):
            self.clock.advance(0.5)

    def shows(self) -> str:
        """The name that new connections see."""
        return self.certificates.names()[0]

    def said(self, level: str = "error") -> list[str]:
        """What was logged at this level."""
        return self.logged.said("docxy.tls.watch", level)


class TakeoverTests(WatchCase):
    """Certificates that are renewed."""

    def test_swapped(self) -> None:
        """What a link leads to is taken over after at most 12 seconds, and told once."""
        self.make("new.example")
        self.swap("new.example")
        self.pass_time(LOOK + SETTLE - 0.5)
        self.assertEqual(self.shows(), "old.example")
        self.pass_time(0.5)
        self.assertEqual((self.shows(), self.taken), ("new.example", 1))
        self.pass_time(60)
        cert = self.files.cert
        self.assertEqual(self.said("info"), [f"new connections are shown the new certificate in {cert}"])
        self.assertEqual((self.said(), self.taken), ([], 1))

    def test_one_after_the_other(self) -> None:
        """Key and chain that are written one after the other are judged once both have settled."""
        new = self.make("new.example")
        self.pass_time(LOOK - 0.5)
        shutil.copy(new / "key", self.files.key)
        self.pass_time(SETTLE)
        shutil.copy(new / "cert", self.files.cert)
        self.pass_time(2 * SETTLE)
        self.assertEqual((self.shows(), self.said()), ("new.example", []))

    def test_bad(self) -> None:
        """A pair that does not fit is refused with one line, and is taken as soon as it fits."""
        new = self.make("new.example")
        shutil.copy(new / "key", self.files.key)
        self.pass_time(120)
        self.assertEqual(self.shows(), "old.example")
        [line] = self.said()
        self.assertTrue(line.startswith("the old certificate stays: tls.key: the key in "), line)
        shutil.copy(new / "cert", self.files.cert)
        self.pass_time(LOOK + SETTLE)
        self.assertEqual((self.shows(), self.taken), ("new.example", 1))
        self.assertEqual(len(self.said()), 1)

    def test_bad_in_other_ways(self) -> None:
        """Each new reason is told, under the name that the operator gave."""
        Path(self.files.cert).write_text("broken")
        self.pass_time(30)
        Path(self.files.cert).unlink()
        self.pass_time(30)
        first, second = self.said()
        self.assertTrue(first.startswith("the old certificate stays: --cert: "), first)
        self.assertIn("does not exist", second)

    def test_time_comes(self) -> None:
        """A pair that is not valid yet is taken when it is, without another change."""
        self.now = NOW - timedelta(days=3)
        self.make("new.example")
        self.swap("new.example")
        self.pass_time(30)
        self.assertIn("is not valid before", "".join(self.said()))
        self.now = NOW
        self.pass_time(LOOK)
        self.assertEqual((self.shows(), len(self.said())), ("new.example", 1))

    def test_hidden(self) -> None:
        """Files that the service's user cannot see, though root read them, are no news."""
        os.rename(self.folder / "live", self.folder / "hidden")
        self.watch.end()
        self.watch.begin()
        self.pass_time(60)
        self.assertEqual((self.shows(), self.said()), ("old.example", []))
        os.rename(self.folder / "hidden", self.folder / "live")
        self.pass_time(LOOK + SETTLE)
        self.assertEqual(self.taken, 1)

    def test_reloaded(self) -> None:
        """What a reload took already is not taken again."""
        self.make("new.example")
        self.swap("new.example")
        self.certificates.reload(None)
        self.pass_time(60)
        self.assertEqual((self.shows(), self.taken), ("new.example", 0))

    def test_change_before_begin(self) -> None:
        """What changed between the first reading and the first look is seen."""
        self.watch.end()
        self.make("new.example")
        self.swap("new.example")
        self.watch.begin()
        self.pass_time(LOOK + SETTLE)
        self.assertEqual(self.shows(), "new.example")

    def test_end(self) -> None:
        """After the end nothing is looked at, and no clock runs on."""
        for _ in range(2):
            self.watch.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ExpiryTests(WatchCase):
    """Certificates that nobody renews."""

    def test_said(self) -> None:
        """A warning comes before the end of this one, of 31 days, and an error from 3, each once a day."""
        [expiry] = self.certificates.expiries()
        for days, warned, urged in ((8, 0, 0), (7, 1, 0), (7, 1, 0), (2, 1, 1), (1, 1, 2)):
            self.now = expiry.not_after - timedelta(days=days)
            self.pass_time(LOOK)
            self.assertEqual((len(self.said("warn")), len(self.said())), (warned, urged))
        self.assertTrue(self.said()[0].startswith(f"--cert: the certificate in '{self.files.cert}' expires"))

    def test_goes_on(self) -> None:
        """A look that fails is not the last one."""
        self.patch(self.certificates, "look", lambda: 1 / 0)
        for _ in range(2):
            self.assertRaises(ZeroDivisionError, self.clock.advance, LOOK)
