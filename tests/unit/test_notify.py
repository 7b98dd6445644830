"""`docxy.notify`: what the service manager is told."""

from __future__ import annotations

import os
import secrets
import time

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from docxy.notify import STATUS_EVERY, Notifier, notifier
from tests.unit.notify_rig import Systemd
from tests.unit.web.rig import Logged


class NotifierTests(SynchronousTestCase):
    """The messages, by a real socket."""

    def setUp(self) -> None:
        """A service under a manager that watches it."""
        self.logged = Logged(self)
        self.clock = Clock()
        self.manager = Systemd(self)
        self.notifier = Notifier(self.manager.address, 30.0, self.clock)
        self.status = "serving"

    def begin(self) -> None:
        """The service serves, and that was heard."""
        self.notifier.begin(lambda: self.status)
        self.assertEqual(self.manager.heard(), ["READY=1\nSTATUS=serving"])

    def test_watchdog(self) -> None:
        """The manager hears from us at half of its patience."""
        self.begin()
        for _ in range(3):
            self.clock.advance(14.9)
            self.assertEqual(self.manager.heard(), [])
            self.clock.advance(0.1)
            self.assertEqual(self.manager.heard(), ["WATCHDOG=1"])

    def test_no_watchdog(self) -> None:
        """It hears nothing where nothing is new and it does not watch us."""
        self.notifier = Notifier(self.manager.address, None, self.clock)
        self.begin()
        self.clock.pump([1.0] * 600)
        self.assertEqual(self.manager.heard(), [])

    def test_status(self) -> None:
        """The status is told when it has changed, every ten seconds at most, in one line."""
        self.notifier = Notifier(self.manager.address, None, self.clock)
        self.begin()
        for number in range(20):
            self.status = f"{number}\nREADY=0 " + 300 * "x"
            self.clock.advance(STATUS_EVERY / 20)
        [told] = self.manager.heard()
        self.assertTrue(told.startswith("STATUS=19 READY=0 xxx"), told)
        self.assertEqual(len(told), 207)

    def test_reload(self) -> None:
        """A reload begins, with the time, and ends."""
        self.begin()
        before = time.monotonic_ns() // 1000
        self.notifier.reloading()
        self.notifier.reloaded()
        reloading, ready = self.manager.heard()
        first, _, told = reloading.partition("\nMONOTONIC_USEC=")
        self.assertEqual((first, ready), ("RELOADING=1", "READY=1"))
        self.assertGreaterEqual(int(told), before)

    def test_stopping(self) -> None:
        """The end is told, the watchdog goes on while transfers end, and then there is silence."""
        self.begin()
        self.status = "draining"
        self.notifier.stopping()
        self.clock.advance(15)
        self.assertEqual(self.manager.heard(), ["STOPPING=1\nSTATUS=draining", "WATCHDOG=1"])
        self.notifier.end()
        self.notifier.reloaded()
        self.assertEqual((self.manager.heard(), self.clock.getDelayedCalls()), ([], []))

    def test_main(self) -> None:
        """A successor is named as the main process."""
        self.notifier.name_main(77)
        self.assertEqual(self.manager.heard(), ["MAINPID=77"])

    def test_unheard(self) -> None:
        """A manager that is gone is a line in the log."""
        Notifier("/nowhere/notify", None, self.clock).reloaded()
        [event] = [one for one in self.logged.events if one.get("log_namespace") == "docxy.notify"]
        self.assertIn("No such file", event["error"])

    def test_none(self) -> None:
        """Without a manager nothing is sent, and no clock runs."""
        alone = Notifier(None, 30.0, self.clock)
        alone.begin(lambda: "serving")
        for tell in (alone.reloading, alone.reloaded, alone.stopping, alone.end):
            tell()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EnvironmentTests(SynchronousTestCase):
    """What the environment says, and what a successor's will."""

    def handed_on(self, **environ: str) -> dict[str, str]:
        """What of it goes to a successor; nothing stays."""
        given = {"HOME": "/", **environ}
        found = notifier(given, Clock())
        self.assertEqual(given, {"HOME": "/"})
        return found.hand_on()

    def test_addresses(self) -> None:
        """Paths and abstract addresses are ours; others are not."""
        for address in ("/run/systemd/notify", "@abstract"):
            self.assertEqual(self.handed_on(NOTIFY_SOCKET=address), {"NOTIFY_SOCKET": address})
        for address in ("", "/", "@", "vsock:2:1234", "relative"):
            self.assertEqual(self.handed_on(NOTIFY_SOCKET=address), {})
        self.assertEqual(self.handed_on(), {})

    def test_watchdog(self) -> None:
        """The watchdog is ours where it is meant for this process; a successor has no such mark."""
        ours = str(os.getpid())
        told = {"WATCHDOG_USEC": "30000000"}
        self.assertEqual(self.handed_on(**told), told)
        self.assertEqual(self.handed_on(**told, WATCHDOG_PID=ours), told)
        self.assertEqual(self.handed_on(**told, WATCHDOG_PID="1"), {})
        for wrong in ("", "0", "-1", "x", "1e6", "9" * 20):
            self.assertEqual(self.handed_on(WATCHDOG_USEC=wrong), {})

    def test_abstract(self) -> None:
        """An abstract address is met."""
        manager = Systemd(self, f"@docxy-{secrets.token_hex(8)}")
        notifier({"NOTIFY_SOCKET": manager.address}, Clock()).reloaded()
        self.assertEqual(manager.heard(), ["READY=1"])
