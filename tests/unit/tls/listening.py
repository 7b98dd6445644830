"""
A reactor for endpoints that open real sockets, and one connection to such a socket.

Owns accepting without running a reactor.  Knows nothing of endpoint strings.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock


class Greeting(Protocol):
    """Notes who called, and hangs up."""

    def connectionMade(self) -> None:
        """Note the caller's address."""
        transport: Any = self.transport
        factory: Any = self.factory
        factory.callers.append(transport.getPeer().host)
        transport.abortConnection()


class Callers(Factory):
    """Makes `Greeting` lists who called, and hangs up."""

    protocol = Greeting

    def __init__(self) -> None:
        self.callers: list[str] = []


def caller(port: Any, factory: Callers, family: socket.AddressFamily, address: str) -> str:
    """The address that a client is seen to have when it calls the open ``port`` at ``address``."""
    with socket.socket(family) as client:
        client.connect((address, port.getHost().port))
        port.doRead()
        port.reactor.advance(0)
    return factory.callers.pop()


def close(port: Any, reactor: MemoryReactorClock) -> None:
    """Close the open ``port``."""
    port.stopListening()
    reactor.advance(0)
