"""
Handing over to a successor: the same command line, the same sockets, another process.

Owns how a successor is started, and when the old process gives way to it.
Knows nothing of what is served.  What the two say to each other stands in
`docxy.inheritance`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from docxy.inheritance import ERRORS, FIRST, READY, VARIABLE, WORD, Inheritance, release
from docxy.notify import Notifier
from docxy.pidfile import Pidfile
from docxy.process import twistd_options
from docxy.settings.sources import working_folder

_log = Logger()

PATIENCE = 60.0  # seconds until a successor has to be ready
GRACE = 5.0  # seconds in which an idle connection may still send a request

_SYSTEMD = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_MAX_SAID = 65536  # bytes kept of what a successor says to stderr
_MAX_REASON = 500  # characters of it in the log

Listening = Sequence[tuple[str, int]]
"""Listeners' descriptions, each with its open socket's descriptor."""


class NotHandedOver(Exception):
    """There is no successor; the text says why."""


# How this process was started


@dataclass(frozen=True, slots=True)
class Command:
    """What starts this process once more: ``arguments`` begin with the interpreter; ``pidfile`` may be ""."""

    arguments: tuple[str, ...]
    folder: str
    pidfile: str


def this_command(argv: list[str]) -> Command | None:
    """
    The command line of this process, for as long as its folder is the one it was started in.

    :param argv: as twistd sees it.
    :returns: None where it was not twistd that was started.
    """
    options = twistd_options(argv)
    if options is None:
        return None
    # orig_argv has the interpreter's own options too.
    arguments = (sys.executable, *sys.orig_argv[1:])
    return Command(arguments, working_folder(), str(options["pidfile"] or ""))


# The old process


class Handover(ProcessProtocol):
    """
    One try to start a successor.

    ``done`` fires with its process id once it is ready and was told to serve,
    or fails with `NotHandedOver`.
    """

    def __init__(self, reactor: Any, command: Command, listening: Listening, notifier: Notifier) -> None:
        self.done: Deferred[int] = Deferred()
        self._reactor = reactor
        self._command = command
        self._listening = listening
        self._notifier = notifier
        self._pidfile = Pidfile(command.pidfile)
        self._said = b""
        self._ready = b""
        self._word = -1
        self._limit: Any = None

    def start(self) -> Deferred[int]:
        """Start it; returns ``done``."""
        try:
            self._pidfile.step_aside()
        except OSError as error:
            self._end(f"the pidfile cannot be moved aside ({error})")
            return self.done
        reading, self._word = os.pipe()
        try:
            self._spawn(reading)
        except OSError as error:
            self._end(f"it cannot be started ({error})")
        else:
            self._limit = self._reactor.callLater(PATIENCE, self._too_slow)
        finally:
            os.close(reading)
        return self.done

    def _spawn(self, reading: int) -> None:
        environ = {name: value for name, value in os.environ.items() if name not in _SYSTEMD}
        environ |= self._notifier.hand_on()
        names = [description for description, _ in self._listening]
        environ[VARIABLE] = json.dumps({"from": os.getpid(), "listeners": names})
        fds: dict[int, int | str] = {0: 0, 1: 1, 2: "r", READY: "r", WORD: reading, ERRORS: 2}
        fds |= {number: fd for number, (_, fd) in enumerate(self._listening, FIRST)}
        command = self._command
        # Where that is the present folder too, or is gone, None: Twisted then need not fork.
        folder = None if command.folder in ("", working_folder()) else command.folder
        self._reactor.spawnProcess(
            self, command.arguments[0], command.arguments, environ, folder, childFDs=fds
        )

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N803 Twisted's name
        if childFD == READY:
            self._ready += data
            if self._ready.endswith(b"\n") and not self.done.called:
                self._told_ready()
        else:
            self._said = (self._said + data)[-_MAX_SAID:]

    def _told_ready(self) -> None:
        self._notifier.name_main(int(self._ready))  # before it serves, and says so
        try:
            os.write(self._word, b"go")
        except OSError:
            self._notifier.name_main(os.getpid())
            return  # it has died meanwhile: processEnded is on its way
        # The pipe stays open for as long as this process lives: so the successor learns of our end.
        self._word = -1
        self._over()
        self._notifier.end()
        self._pidfile.give_up()
        self.done.callback(int(self._ready))

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 Twisted's name
        if not self.done.called:
            self._end(reason_of(self._said, reason.getErrorMessage()))

    def _too_slow(self) -> None:
        self._limit = None
        self.cancel(f"it was not ready after {PATIENCE:g} s")

    def cancel(self, why: str) -> None:
        """Do without it, unless it serves already."""
        if self.done.called:
            return
        with suppress(OSError):
            # Daemonised it is not our child any more, and has to end by itself.
            os.write(self._word, b"no")
        assert self.transport is not None  # from `start` on
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")
        self._end(why)

    def _end(self, why: str) -> None:
        self._over()
        self._pidfile.come_back()
        self.done.errback(NotHandedOver(why))

    def _over(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
        if self._word >= 0:
            os.close(self._word)
        self._limit, self._word = None, -1


def reason_of(said: bytes, status: str) -> str:
    """Why a process ended that wrote ``said`` to stderr: our own line, else its last, else ``status``."""
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("docxy: ")]
    return (ours or lines or [status])[-1].removeprefix("docxy: ")[:_MAX_REASON]


class Succession:
    """
    A service's place in the line: from whom it inherits, and to whom it hands over.

    ``ports`` are those that this process accepts from; ``grace`` is how many
    seconds its idle connections have at its end; ``notifier`` has a successor
    taken for the service; ``ended`` tells that the reactor was told to stop.
    """

    def __init__(self, reactor: Any, inheritance: Inheritance, argv: list[str], notifier: Notifier) -> None:
        self._listeners: list[tuple[str, Any]] = []
        self.grace = 0.0
        self.ended = False
        self.notifier = notifier
        self._reactor = reactor
        self._inheritance = inheritance
        self._command = this_command(argv)
        self._handover: Handover | None = None

    def add(self, description: str, port: Any) -> None:
        """The service has opened its next listener."""
        self._listeners.append((description, port))

    @property
    def ports(self) -> list[Any]:
        """What is open."""
        return [port for _, port in self._listeners]

    def prepare(self) -> None:
        """This process is about to give up root's rights, if it has them: see to its pidfile."""
        if self._command is not None:
            Pidfile(self._command.pidfile).show()

    def begin(self, status: Callable[[], str]) -> None:
        """
        The service starts: at once, or when the process before it gives way.

        From then on the notifier tells its ``status``.
        """
        if not self._inheritance.handed:
            self._reactor.callWhenRunning(self.notifier.begin, status)
            return

        def serve() -> None:
            for port in self.ports:
                port.startReading()
            self.notifier.begin(status)

        for port in self.ports:
            port.stopReading()
        self._reactor.callWhenRunning(self._inheritance.report, self._reactor, serve, self._leave)

    def _leave(self) -> None:
        _log.error("the process before this one goes on, so this one ends")
        self._release()
        self._stop()

    def hand_over(self) -> None:
        """Start a successor on the same sockets; once it serves, drain and stop."""
        if self._command is None:
            _log.warn("SIGUSR2: only twistd can hand over to a successor; restart this process")
        elif self._handover is not None or self.ended:
            _log.warn("SIGUSR2: a handover, or the end of this process, is under way")
        else:
            _log.info("handing over")
            listening = [(description, port.fileno()) for description, port in self._listeners]
            self._handover = Handover(self._reactor, self._command, listening, self.notifier)
            self._handover.start().addCallbacks(self._handed_over, self._not_handed_over)

    def _handed_over(self, successor: int) -> None:
        _log.info("handed over to process {successor}", successor=successor)
        self._release()
        self.grace = GRACE
        self._stop()

    def _not_handed_over(self, failure: Failure) -> None:
        self._handover = None
        _log.error("not handed over: {reason}", reason=failure.getErrorMessage())

    def _stop(self) -> None:
        if not self.ended:
            self.ended = True
            self._reactor.stop()

    def _release(self) -> None:
        while self._listeners:
            release(self._listeners.pop()[1])

    def end(self) -> None:
        """The service ends: no successor is wanted any more."""
        self.ended = True
        if self._handover is not None:
            self._handover.cancel("this process was told to end")

    def alone(self) -> Deferred[None]:
        """Fires once the process that handed over to this one has ended, or at `wait_no_more`."""
        return self._inheritance.alone()

    def wait_no_more(self) -> None:
        """End without it."""
        self._inheritance.wait_no_more()
