"""
Processes of the rig: started, waited for, and ended by their own id.

Owns nothing that outlives the test run: every process is told by the kernel
to end when the tests do.  Knows nothing of registries.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # the distribution's programs, not what a machine has beside them
_POLL = 0.03  # seconds


class RigError(Exception):
    """A part of the rig did not do what it should; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    def check(self) -> Finished:
        """Give itself back if the command succeeded, else raise `RigError` with its words."""
        if self.code:
            raise RigError(f"{' '.join(self.argv)}: exit {self.code}\n{self.out[-2000:]}\n{self.err[-4000:]}")
        return self


def environment(**more: str) -> dict[str, str]:
    """The whole environment of a process: a search path and what is named, nothing inherited."""
    return {"PATH": PATH, "LANG": "C.UTF-8", **more}


def run(
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    seconds: float = 180,
    given: str | None = None,
) -> Finished:
    """Run a command to its end; raises `RigError` where it is missing or takes too long."""
    try:
        done = subprocess.run(
            argv,
            env=dict(environment() if env is None else env),
            input=given,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            stdin=subprocess.DEVNULL if given is None else None,
        )
    except FileNotFoundError:
        raise RigError(f"{argv[0]} is not installed: see tests/e2e/packages.txt") from None
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"") + (late.stderr or b"")
        raise RigError(f"{' '.join(argv)}: not done after {seconds} s\n{said[-4000:]!r}") from None
    return Finished(tuple(argv), done.returncode, done.stdout, done.stderr)


def whole_lines(text: str) -> list[str]:
    """The lines of a log, without one that is being written."""
    return text.rpartition("\n")[0].splitlines()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Poll until ``condition`` holds; raises `RigError` naming ``what`` when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RigError(f"waited {seconds} s in vain: {what}")
        time.sleep(_POLL)


class Process:
    """A daemon of the rig, its output kept in a file."""

    def __init__(
        self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                # The kernel ends what a killed test run leaves behind.
                ["setpriv", "--pdeathsig", "TERM", *argv],
                env=dict(environment() if env is None else env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def ended(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._popen.poll()

    def said(self) -> str:
        """All of its output so far."""
        return self.log.read_text(errors="replace")

    def ready(self, condition: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until ``condition`` holds; raises `RigError` with its last words if it ends before."""

        def holds() -> bool:
            if self.ended() is not None:
                raise RigError(f"{self.name} ended with {self.ended()}:\n{self.said()[-4000:]}")
            return condition()

        try:
            wait_until(holds, f"{self.name} to be ready", seconds)
        except RigError as error:
            raise RigError(f"{error}\n{self.said()[-4000:]}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def wait(self, seconds: float = 20) -> int:
        """Its exit status, waited for; raises `RigError` when it does not end."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise RigError(f"{self.name} did not end within {seconds} s") from None

    def stop(self, seconds: float = 20) -> None:
        """Ask it to end, and end it with what it started if it does not."""
        if self.ended() is None:
            self._popen.terminate()
            try:
                self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()
