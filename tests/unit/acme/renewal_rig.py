"""A certificate's life on a clock that a test turns."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.outcome import Issued
from docxy.acme.renewal import FIRST_LOOK, Renewal
from docxy.acme.state import State
from docxy.interfaces import Clocks
from docxy.policy.renewals import DAY, Suggestion
from docxy.settings.values import AcmeSettings
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
        self.replaced: list[x509.Certificate | None] = []
        self.asked: list[float] = []
        self.suggested: Suggestion | Exception | None = None
        self.key = "p256"

    def issue(self) -> Issued:
        """One of now."""
        day = self._elapsed() / DAY
        one = issue(Wish(NAME, self.key, names=self.names, days=(day - 1, day + 29)), intermediate())
        return Issued(one.pem + intermediate().pem, one.key_pem())

    def obtain(self, old: x509.Certificate | None) -> Issued:
        """The next one, or a refusal."""
        self.orders.append(self._elapsed())
        self.replaced.append(old)
        if self.refusal is not None:
            raise self.refusal
        return self.issue()

    def suggestion(self, leaf: x509.Certificate) -> Suggestion | None:
        """What the authority says of the first one; of others nothing."""
        self.asked.append(self._elapsed())
        if len(self.orders) > 1:
            return None
        if isinstance(self.suggested, Exception):
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
        return self.logged.said("docxy.acme.renewal", level)
