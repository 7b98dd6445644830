"""
What the service manager is told: systemd's notification protocol, sd_notify(3).

Owns the messages, when they are sent, and what of the environment is for us.
Without ``NOTIFY_SOCKET`` nothing is sent.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, MutableMapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

_log = Logger()

STATUS_EVERY = 10.0  # seconds between two status lines, at the least
_MAX_STATUS = 200  # characters
_ADDRESS, _INTERVAL, _WATCHED = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Notifier:
    """
    Tells the manager that listens at ``address``; None: there is none.

    ``watchdog`` is after how many seconds of silence it takes us for dead; None: never.
    """

    def __init__(self, address: str | None, watchdog: float | None, clock: IReactorTime) -> None:
        self._address = address
        self._watchdog = watchdog
        self._clock = clock
        self._status: Callable[[], str] = str
        self._told = ""
        self._loops: list[LoopingCall] = []

    def begin(self, status: Callable[[], str]) -> None:
        """We serve from now on; ``status`` is what to say of it, asked for anew every ten seconds."""
        self._status = status
        self._tell("READY=1", *self._news())
        if self._address is not None:
            self._repeat(STATUS_EVERY, lambda: self._tell(*self._news()))
        if self._address is not None and self._watchdog is not None:
            self._repeat(self._watchdog / 2, lambda: self._tell("WATCHDOG=1"))

    def _repeat(self, seconds: float, work: Callable[[], None]) -> None:
        loop = LoopingCall(work)
        loop.clock = self._clock
        loop.start(seconds, now=False)
        self._loops.append(loop)

    def _news(self) -> list[str]:
        """The status as a line of a message, where it has changed."""
        status = self._status().replace("\n", " ")[:_MAX_STATUS]
        if status == self._told:
            return []
        self._told = status
        return [f"STATUS={status}"]

    def reloading(self) -> None:
        """We read our settings; `reloaded` follows."""
        # The time is what Type=notify-reload wants, from systemd 253 on; older ones pass over it.
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def reloaded(self) -> None:
        """We serve by what we have read, or by what we had."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """We take nothing new and end; status and watchdog go on until `end`."""
        self._tell("STOPPING=1", *self._news())

    def end(self) -> None:
        """Say nothing more."""
        self._address = None
        while self._loops:
            self._loops.pop().stop()

    # Successors

    def hand_on(self) -> dict[str, str]:
        """The variables by which a successor finds the manager."""
        found = {}
        if self._address is not None:
            found[_ADDRESS] = self._address
        if self._watchdog is not None:
            # Without WATCHDOG_PID, which is ours: the successor is watched once it is the main process.
            found[_INTERVAL] = str(round(self._watchdog * 1_000_000))
        return found

    def name_main(self, pid: int) -> None:
        """
        The process ``pid`` of our service is the main one.

        Where the manager hears the main process alone, only that one can say
        so of another. Messages come in order: one that the other sends later is heard.
        """
        self._tell(f"MAINPID={pid}")

    def _tell(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        # An abstract address is written with "@" for its first byte, which is zero.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            _log.warn("the service manager cannot be told {line}: {error}", line=lines[0], error=str(error))


def notifier(environ: MutableMapping[str, str], clock: IReactorTime) -> Notifier:
    """
    What tells the manager that ``environ`` names; ``environ`` no longer tells of it then.

    So no process that we start takes itself for the service.
    """
    address = environ.pop(_ADDRESS, "")
    interval, watched = environ.pop(_INTERVAL, ""), environ.pop(_WATCHED, str(os.getpid()))
    seconds = None
    if re.fullmatch("[1-9][0-9]{0,18}", interval) and watched == str(os.getpid()):
        seconds = int(interval) / 1_000_000
    return Notifier(address if address[:1] in ("/", "@") and address[1:] else None, seconds, clock)
