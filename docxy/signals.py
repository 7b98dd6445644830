"""
What signals do: drain, end at once, reload.

Ours are installed once the reactor runs, after its own: the stock ones log a
traceback for a second TERM, and HUP kills.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

Action = Callable[[], None]


def install(reactor: Any, actions: Mapping[signal.Signals, Action]) -> None:
    """Call each action in the reactor's thread when its signal comes, from the start of the reactor on."""

    def caught(number: int, _: FrameType | None) -> None:
        reactor.callFromThread(actions[signal.Signals(number)])

    def install_all() -> None:
        for number in actions:
            signal.signal(number, caught)

    reactor.callWhenRunning(install_all)
