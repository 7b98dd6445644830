"""
A service manager that hears what docxy tells it: a real socket, without systemd.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

from .processes import wait_until


class Systemd:
    """Hears the main process alone, as systemd does by default (NotifyAccess=main), and knows which it is."""

    _SENDER = struct.Struct("iii")  # process, user, group: unix(7), SCM_CREDENTIALS

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self.main = 0
        self.heard: list[tuple[int, str]] = []
        self.unheard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(0)
        self._socket.bind(self.address)

    def listen(self) -> None:
        """Take what has come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._take(*self._socket.recvmsg(4096, socket.CMSG_SPACE(self._SENDER.size))[:2])

    def _take(self, message: bytes, told: list[tuple[int, int, bytes]]) -> None:
        [(_, _, credentials)] = told
        pid, *_ = self._SENDER.unpack(credentials)
        for line in message.decode().splitlines():
            self.main = self.main or pid
            if pid != self.main:
                self.unheard.append(line)
                continue
            self.heard.append((pid, line))
            if line.startswith("MAINPID="):
                self.main = int(line[8:])

    def wait_for(self, pid: int, line: str) -> None:
        """Wait until the process has said it."""

        def said() -> bool:
            self.listen()
            return (pid, line) in self.heard

        wait_until(said, f"{line} of {pid}, not only {self.heard}")

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
