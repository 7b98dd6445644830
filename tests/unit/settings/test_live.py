"""`docxy.settings.live`: what a reload takes over."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from docxy.settings.live import RESTART, taken_over, waiting
from docxy.settings.values import AcmeSettings, AdminSettings, LimitSettings, LogSettings, TLSSettings
from tests.unit.service_rig import settings


class LiveTests(SynchronousTestCase):
    """Running settings, and those that are wanted."""

    running = settings("5000")
    wanted = replace(
        settings("5001", redirect=("tcp:80",), public_urls=("https://new.example",)),
        admin=AdminSettings("tcp:9100"),
        limits=LimitSettings(relays=7),
        log=LogSettings("json"),
        acme=AcmeSettings(("a.example",)),
        tls=TLSSettings("a", "b", bulk=False),
        warnings=("new",),
    )

    def test_waiting(self) -> None:
        """Each key of the list that differs is named, and no other."""
        self.assertEqual(waiting(self.running, self.running), ())
        self.assertEqual(waiting(self.running, self.wanted), tuple(RESTART))

    def test_taken_over(self) -> None:
        """Everything is taken over but these."""
        found = taken_over(self.running, self.wanted)
        self.assertEqual(waiting(self.running, found), ())
        self.assertEqual(found.server.public_urls, ("https://new.example",))
        self.assertEqual(found.tls, TLSSettings("a", "b"))
        for part in ("limits", "log", "warnings", "upstreams"):
            self.assertEqual(getattr(found, part), getattr(self.wanted, part), part)

    def test_names(self) -> None:
        """The keys of the list are there, and each has a reason."""
        for key, reason in RESTART.items():
            part, _, name = key.partition(".")
            table = getattr(self.running, part)
            self.assertTrue(not name or hasattr(table, name), key)
            self.assertTrue(reason)
