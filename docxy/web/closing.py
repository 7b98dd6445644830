"""
The orderly end of a connection, and what follows for those who do not read.

A reset makes containerd give up where a short body makes it resume, and a
reset throws away what the kernel still holds for a slow reader.  So the
connection is aborted only when nothing more leaves it.
"""

from __future__ import annotations

import struct
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

PATIENCE = 5.0  # seconds without a byte taken, after which the client is not reading


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


def close_in_order(request: Request, clock: IReactorTime) -> None:
    """End the connection of an unfinished answer by FIN; abort it once its client stops reading."""
    channel: HTTPChannel | None = request.channel
    if channel is None:
        return
    gone = request.notifyFinish()
    request.loseConnection()
    watch = LoopingCall(_Watch(channel.transport))
    watch.clock = clock
    watch.start(PATIENCE, now=False)
    gone.addBoth(lambda _: watch.stop() if watch.running else None)


class _Watch:
    """Aborts ``transport`` when called twice without a byte having left in between."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._unsent = -1

    def __call__(self) -> None:
        unsent = unsent_bytes(self._transport)
        if unsent == 0 or unsent == self._unsent:
            self._transport.abortConnection()
        self._unsent = unsent
