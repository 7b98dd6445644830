"""Tests for `docxy.usage.usage`."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.interfaces import Clocks
from docxy.oci.errors import RegistryError
from docxy.settings.values import AccessSettings, Allotment, KeySettings
from docxy.usage.usage import KEEP, LOOK, Usage
from tests.unit.web.rig import Logged

WALL = 1_795_000_000.0  # in November 2026
ALICE = KeySettings("alice", "alices-path", Allotment(budget=100))


class UsageTests(SynchronousTestCase):
    """The counts of a process."""

    def setUp(self) -> None:
        """A budget of 1000 bytes for all and of 100 for alice, and a file."""
        made = TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = Path(made.name) / "traffic.json"
        self.access = AccessSettings(
            everybody=Allotment(budget=1000), keys=(ALICE,), state=str(self.path), client=Allotment(1, 50)
        )
        self.clock = Clock()
        self.logged = Logged(self)
        self.running: list[int] = []
        self.start = WALL

    def usage(self) -> Usage:
        """That of a process which begins now."""
        made = Usage(self.access, Clocks(self.clock, lambda: self.start + self.clock.seconds()))

        def settle() -> None:
            if self.running:
                made.sent("", self.running.pop())

        made.begin(settle)
        return made

    def said(self) -> list[str]:
        """The warnings."""
        return [
            str(event["log_format"]).format(**event) for event in self.logged.events if "log_level" in event
        ]

    def kept(self) -> object:
        """Bytes of all in this month, in the file."""
        return json.loads(self.path.read_text())["2026-11"]["bytes"]

    def test_restart(self) -> None:
        """The next process goes on where the last one stopped."""
        first = self.usage()
        first.sent("alice", 60)
        first.end()
        second = self.usage()
        second.sent("alice", 40)
        error = self.assertRaises(RegistryError, second.check_budget, "alice")
        self.assertEqual((error.status, error.cause), (503, "budget"))
        second.check_budget("")
        self.assertEqual(second.spent(), {("",): 100, ("alice",): 100})
        self.assertEqual(second.budgets(), {("",): 1000, ("alice",): 100})

    def test_killed(self) -> None:
        """What was counted is in the file within a minute, and written no more often than that."""
        usage = self.usage()
        for _ in range(int(KEEP / LOOK) - 1):
            usage.sent("", 1)
            self.clock.advance(LOOK)
            self.assertEqual(self.kept(), 0)
        self.clock.advance(LOOK)
        self.assertEqual(self.kept(), KEEP / LOOK - 1)
        written = self.path.stat().st_ino
        self.clock.pump([LOOK] * 12)
        self.assertEqual(self.path.stat().st_ino, written)

    def test_running(self) -> None:
        """What running transfers have sent is asked for at each look, and at the end."""
        usage = self.usage()
        self.running = [30, 800]
        self.clock.advance(LOOK)
        self.assertEqual(usage.spent()[("",)], 800)
        self.assertEqual(self.said(), ["access.budget: 80% of 1000 bytes are sent this month"])
        self.clock.advance(LOOK)
        self.assertEqual(len(self.said()), 1)
        usage.end()
        self.assertEqual((self.kept(), self.clock.getDelayedCalls()), (830, []))

    def test_handover(self) -> None:
        """What the old process still sends is in the new one's count as soon as both have written."""
        old = self.usage()
        old.sent("", 10)
        new = self.usage()
        self.assertEqual(new.spent()[("",)], 0)
        old.end()
        new.sent("", 5)
        self.clock.advance(KEEP)
        self.assertEqual((new.spent()[("",)], self.kept()), (15, 15))

    def test_wrong_clock(self) -> None:
        """A process that begins in a wrong month finds the right one's counts a minute after it is known."""
        usage = self.usage()
        usage.sent("alice", 100)
        usage.end()
        self.start, right = 0.0, self.start
        usage = self.usage()
        usage.check_budget("alice")
        self.start = right
        usage.check_budget("alice")
        self.clock.advance(KEEP)
        self.assertRaises(RegistryError, usage.check_budget, "alice")

    def test_unwritable(self) -> None:
        """Where nothing can be written, it is said once, and the count is in memory."""
        self.access = replace(self.access, state=str(self.path / "deeper"))
        usage = self.usage()
        for _ in range(3):
            usage.sent("", 500)
            self.clock.advance(KEEP)
        self.assertEqual(usage.spent()[("",)], 1500)
        usage.end()
        [warning] = [one for one in self.said() if one.startswith("access.state")]
        self.assertIn("deeper cannot be written (No such file or directory)", warning)

    def test_taken(self) -> None:
        """A file that another process writes just now is written a minute later."""
        usage = self.usage()
        usage.sent("", 5)
        folder = os.open(self.path.parent, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        self.clock.advance(KEEP)
        self.assertEqual((self.kept(), self.said()), (0, []))
        os.close(folder)
        self.clock.advance(KEEP)
        self.assertEqual(self.kept(), 5)

    def test_taken_at_the_end(self) -> None:
        """At the end another process is waited for, as no later moment comes."""
        usage = self.usage()
        usage.sent("", 5)
        folder = os.open(self.path.parent, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        other = Thread(target=os.close, args=[folder])
        other.start()
        usage.end()
        other.join()
        self.assertEqual(self.kept(), 5)

    def test_no_budget(self) -> None:
        """Without a budget there is no file, nor with the first one of a reload an old count."""
        self.access = replace(self.access, everybody=Allotment(), keys=())
        usage = self.usage()
        usage.sent("", 5)
        self.clock.advance(KEEP)
        self.assertFalse(self.path.exists())
        usage.renew(replace(self.access, everybody=Allotment(budget=10)))
        self.assertEqual((self.kept(), usage.spent()), (5, {("",): 5}))

    def test_reload(self) -> None:
        """A reload keeps every count."""
        usage = self.usage()
        usage.sent("alice", 100)
        usage.admit("192.0.2.1", "")
        usage.renew(replace(self.access, client=Allotment(1, 60)))
        self.assertRaises(RegistryError, usage.check_budget, "alice")
        self.assertRaises(RegistryError, usage.admit, "192.0.2.1", "")
        pace = usage.pace("192.0.2.1", "")
        assert pace is not None
        self.assertEqual(pace.draw(110, 0), 1)

    def test_another_file(self) -> None:
        """Another file by a reload takes the month's counts over, those of a process before this one too."""
        first = self.usage()
        first.sent("alice", 60)
        first.end()
        usage = self.usage()
        usage.sent("alice", 40)
        old, self.path = self.path, self.path.with_name("other.json")
        usage.renew(replace(self.access, state=str(self.path)))
        self.assertRaises(RegistryError, usage.check_budget, "alice")
        self.assertEqual(self.kept(), 100)
        self.assertIn('"bytes": 60', old.read_text())
        usage.renew(replace(self.access, state=str(self.path)))
        self.assertEqual(self.kept(), 100)

    def test_not_begun(self) -> None:
        """A reload before the start, and an end without one, touch no file that is not there yet."""
        usage = Usage(self.access, Clocks(self.clock, self.clock.seconds))
        usage.renew(self.access)
        self.assertFalse(self.path.exists())
        usage.end()
        self.assertTrue(self.path.exists())
