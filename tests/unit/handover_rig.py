"""What the tests of a handover share: a reactor that starts no process, and a pidfile."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.testing import MemoryReactorClock
from twisted.scripts._twistd_unix import UnixApplicationRunner
from twisted.trial.unittest import SynchronousTestCase

from docxy.handover import Command
from docxy.inheritance import WORD
from docxy.notify import Notifier
from tests.unit.notify_rig import Systemd


class Reactor(MemoryReactorClock):
    """Starts no process, but knows how it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[tuple[Any, ...]] = []
        self.refusal: OSError | None = None
        self.stops = 0
        self.killed: list[str] = []
        self.is_gone = False
        self.words = -1

    def spawnProcess(self, protocol: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N802 Twisted's name
        """Note it, and keep the end of the pipe that the successor would read."""
        if self.refusal is not None:
            raise self.refusal
        self.spawned.append((*args, kwargs["childFDs"]))
        self.words = os.dup(kwargs["childFDs"][WORD])
        protocol.transport = self

    def signalProcess(self, name: str) -> None:  # noqa: N802 Twisted's name
        """Note it."""
        if self.is_gone:
            raise ProcessExitedAlready
        self.killed.append(name)

    def stop(self) -> None:
        """Count it."""
        self.stops += 1

    def heard(self) -> bytes:
        """All that the successor was told."""
        try:
            return os.read(self.words, 100)
        finally:
            os.close(self.words)


class HandoverCase(SynchronousTestCase):
    """Tests with a folder, a reactor and twistd's ways, which come back at the end."""

    def setUp(self) -> None:
        """A pidfile that names this process."""
        made = TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        self.pidfile = self.folder / "docxy.pid"
        self.pidfile.write_text(str(os.getpid()))
        self.aside = self.folder / "docxy.pid.old"
        self.patch(UnixApplicationRunner, "removePID", UnixApplicationRunner.removePID)
        self.remove_pid = UnixApplicationRunner.removePID
        self.reactor = Reactor()
        self.command = Command(("/bin/python", "-n"), "/start", str(self.pidfile))
        self.manager = Systemd(self)
        self.notifier = Notifier(self.manager.address, None, self.reactor)

    def files(self) -> list[str]:
        """What is in the folder."""
        return sorted(path.name for path in self.folder.iterdir())
