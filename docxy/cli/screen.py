"""
The terminal of ``docxy top``: asks for the status, draws it, and waits for a key.

Owns the terminal's mode, which is as it was when this ends.  Runs no reactor.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from typing import Any

from docxy.cli.findings import printable
from docxy.cli.listeners import connected
from docxy.cli.top import view
from docxy.settings.values import SettingsError
from docxy.tls.endpoints import Malformed

MAX_STATUS = 64 << 20  # bytes; ten thousand relays are a tenth of it
INTERVAL = 1.0  # seconds between two views

_HOME_AND_CLEAR = "\x1b[H\x1b[J"
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # a screen of its own, without the cursor


def status_of(listener: str) -> dict[str, Any]:
    """
    The ``/status`` of the docxy whose admin listener is ``listener``.

    :raises SettingsError: nobody answers there, or not docxy.
    """
    try:
        with connected(listener) as there:
            there.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = HTTPResponse(there)
            answer.begin()
            found = json.loads(answer.read(MAX_STATUS))
    except (OSError, Malformed, HTTPException, ValueError) as error:
        problem = f"no status is to be had at {listener} ({error})"
        remedy = "see that docxy runs, and that you may open it: it shows who pulls what"
        raise SettingsError("admin.listen", problem, remedy) from None
    if answer.status != 200 or not isinstance(found, dict) or "relays" not in found:
        problem = f"what answers at {listener} is not docxy's status"
        raise SettingsError("admin.listen", problem, "name the admin listener: --admin")
    return found


def once(listener: str) -> None:
    """Print one view, as long as it is; raises `SettingsError`."""
    sys.stdout.write(_drawn(listener, 1000, 1_000_000))


def watch(listener: str) -> None:
    """
    Draw a view each second until somebody presses q, or Ctrl-C.

    :raises SettingsError: the first time already there is none; later it is waited for.
    """
    seen = _drawn(listener, *_size())
    with _terminal(sys.stdin.fileno()) as pressed:
        while True:
            sys.stdout.write(f"{_HOME_AND_CLEAR}{seen}q ends")
            sys.stdout.flush()
            if pressed(INTERVAL) in (b"q", b"Q", b""):
                return
            seen = _drawn_or_why(listener, *_size())


def _size() -> tuple[int, int]:
    """Width and height of a view, which leaves the last line free."""
    width, height = shutil.get_terminal_size()
    return width, max(height - 1, 1)


def _drawn(listener: str, width: int, height: int) -> str:
    status = status_of(listener)
    try:
        return view(status, width, height)
    except (KeyError, TypeError, ValueError, AttributeError):
        problem = f"what answers at {listener} is of another version than this command"
        raise SettingsError("admin.listen", problem, "use the command that belongs to it") from None


def _drawn_or_why(listener: str, width: int, height: int) -> str:
    """A docxy that is restarted, or hands over, is back in a moment."""
    try:
        return _drawn(listener, width, height)
    except SettingsError as error:
        return f"{printable(error.problem)[:width]}\n"


@contextmanager
def _terminal(fileno: int) -> Iterator[Callable[[float], bytes | None]]:
    """Keys come at once while it lasts; gives what waits for one: None for none, empty at the input's end."""
    before = termios.tcgetattr(fileno)

    def pressed(seconds: float) -> bytes | None:
        ready, _, _ = select.select([fileno], [], [], seconds)
        return os.read(fileno, 1) if ready else None

    try:
        tty.setcbreak(fileno)
        sys.stdout.write(_ENTER)
        yield pressed
    except KeyboardInterrupt:
        pass
    finally:
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(fileno, termios.TCSADRAIN, before)
