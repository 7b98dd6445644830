"""
What the tests of TLS transports put at the ends of a connection.

Owns sources of bytes, and a client that is OpenSSL itself.  Asks nothing of the transports.
"""

from __future__ import annotations

import contextlib
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from docxy.tls.server import server_creator
from tests.unit.tls.test_server import pair_of
from tests.unit.tls.throwaway import intermediate, leaf
from tests.unit.tls.wire import Wire

CREATOR = server_creator(pair_of(leaf(), intermediate()))


@implementer(IPushProducer)
class Source:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Wait."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Go on."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """End."""
        self.told.append("stop")


@implementer(IPullProducer)
class Drops:
    """Gives one piece each time it is asked, and then no more."""

    def __init__(self, end: Any, pieces: list[bytes]) -> None:
        self._end = end
        self._pieces = pieces

    def resumeProducing(self) -> None:
        """Give one."""
        self._end.write(self._pieces.pop(0))
        if not self._pieces:
            self._end.unregisterProducer()

    def stopProducing(self) -> None:
        """End."""


def shake_hands(client: SSL.Connection, wire: Wire) -> None:
    """Let ``client`` shake hands, for the first time or again, with Twisted's end of ``wire``."""
    for _ in range(10):
        try:
            client.do_handshake()
        except SSL.WantReadError:
            pass
        else:
            return
        finally:
            with contextlib.suppress(SSL.WantReadError):
                wire.end.dataReceived(client.bio_read(65536))
        client.bio_write(wire.transport.value())
        wire.transport.clear()
    raise AssertionError("the handshake never ends")
