"""
The end of a connection that its client may be slow to see.

A reset makes containerd give up where a short body makes it resume, and a
reset throws away what the kernel still holds for a slow reader.  So a
connection that was closed in order is aborted only when nothing more leaves it.
"""

from __future__ import annotations

import struct
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

PATIENCE = 5.0  # seconds between looks, and the time in which a short body's client must take something


def unsent_bytes(transport: Any) -> int:
    """Bytes that the kernel holds for the peer; 0 where that cannot be known."""
    try:
        answer = ioctl(_socket_of(transport).fileno(), TIOCOUTQ, b"\0\0\0\0")
    except (OSError, AttributeError, ValueError):
        return 0
    return int(struct.unpack("i", answer)[0])


def _socket_of(transport: Any) -> Any:
    """The socket below whatever wraps it, as TLS does."""
    below = getattr(transport, "transport", None)
    return transport.getHandle() if below is None else _socket_of(below)


class Watch:
    """
    Sees to it that a ``transport`` whose ``loseConnection`` was called does end.

    Aborts it when all has left and it is still there (over TLS: the peer does
    not say goodbye), or when nothing has left for ``patience`` seconds.
    """

    def __init__(self, transport: Any, clock: IReactorTime, patience: float) -> None:
        self._transport = transport
        self._patience = patience
        self._unsent = -1
        self._still = 0.0
        self._looks = LoopingCall(self._look)
        self._looks.clock = clock
        self._looks.start(PATIENCE, now=False)

    def stop(self) -> None:
        """The connection has ended."""
        if self._looks.running:
            self._looks.stop()

    def _look(self) -> None:
        unsent = unsent_bytes(self._transport)
        self._still = self._still + PATIENCE if unsent == self._unsent else 0.0
        self._unsent = unsent
        patience = PATIENCE if unsent == 0 else self._patience
        if self._still >= patience:
            self.stop()
            self._transport.abortConnection()
