"""A service manager that hears what it is told: a real socket, without systemd."""

from __future__ import annotations

import socket
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase


class Systemd:
    """Listens in a folder of its own, or at ``address``, until the test ends."""

    def __init__(self, test: SynchronousTestCase, address: str = "") -> None:
        made = TemporaryDirectory()
        test.addCleanup(made.cleanup)
        self.address = address or f"{made.name}/notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self._socket.close)
        self._socket.setblocking(False)
        self._socket.bind(self.address.replace("@", "\0", 1))

    def heard(self) -> list[str]:
        """The messages since the last time."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found
