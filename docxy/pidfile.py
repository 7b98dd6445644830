"""
twistd's pidfile: who may read it, and whose it is.

Knows nothing of successors but that they write one of their own in its place.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.scripts._twistd_unix import UnixApplicationRunner

_MAX_PID = 32  # bytes of a pidfile


def keep_pidfile() -> None:
    """Have twistd leave the pidfile alone at its end: it would remove it, whoever is named there."""
    runner: Any = UnixApplicationRunner
    runner.removePID = lambda *_: None


class Pidfile:
    """twistd's pidfile: twistd does not start where it names a living process."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._aside = Path(f"{path}.old")
        self._moved = False

    def show(self) -> None:
        """
        Let everybody read it.

        A daemon of twistd's creates its files for their owner alone, which
        here is root, also where it goes on as another user.
        """
        if self._path is None:
            return
        # Its folder may be that user's, who could put a link there: what is read is what is changed.
        with suppress(OSError):  # a handover says why
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _is_us(os.read(fd, _MAX_PID)):
                    os.fchmod(fd, 0o644)
            finally:
                os.close(fd)

    def step_aside(self) -> None:
        """Make room for a successor's; raises `OSError`."""
        if self._path is not None and _names_us(self._path):
            self._path.replace(self._aside)
            self._moved = True

    def come_back(self) -> None:
        """Take the place again, whatever a failed successor left there."""
        if self._moved and self._path is not None:
            self._moved = False
            with suppress(OSError):
                self._aside.replace(self._path)

    def give_up(self) -> None:
        """It is another process's from now on."""
        keep_pidfile()
        if self._moved:
            with suppress(OSError):
                self._aside.unlink()


def _names_us(pidfile: Path) -> bool:
    try:
        return _is_us(pidfile.read_bytes())
    except FileNotFoundError:
        return False


def _is_us(said: bytes) -> bool:
    return said.strip() == b"%d" % os.getpid()
