"""
Listening sockets that the reactor alone does not open as we want them.

Owns the one socket for IPv6 and IPv4, the UNIX socket that outlives no crash,
and sockets that another process opened.  Knows nothing of endpoint strings or TLS.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorCore, IStreamServerEndpoint
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

# What a kernel without IPv6 says to the socket itself, or to binding it.
_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})


class DualStackPort(tcp.Port):
    """A TCP port on every address, IPv4 peers included, whatever ``net.ipv6.bindv6only`` says."""

    def createInternetSocket(self) -> socket.socket:  # noqa: N802 Twisted calls it
        """The socket that Twisted is about to bind."""
        made: socket.socket = super().createInternetSocket()
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return made


@implementer(IStreamServerEndpoint)
class DualStackEndpoint:
    """Listens on one socket for IPv6 and IPv4, or for IPv4 alone where the machine has no IPv6."""

    def __init__(self, reactor: IReactorCore, port: int, backlog: int) -> None:
        self._reactor = reactor
        self._port = port
        self._backlog = backlog

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Open it; fails with Twisted's `CannotListenError`."""
        try:
            return succeed(self._open(protocolFactory))
        except CannotListenError as refusal:
            if getattr(refusal.socketError, "errno", None) in _NO_IPV6:
                return self._open_ipv4(protocolFactory)
            return fail(refusal)

    def _open(self, factory: IProtocolFactory) -> IListeningPort:
        port = DualStackPort(self._port, factory, self._backlog, "::", self._reactor)
        port.startListening()
        return port

    def _open_ipv4(self, factory: IProtocolFactory) -> Deferred[IListeningPort]:
        opened: Deferred[IListeningPort] = TCP4ServerEndpoint(
            self._reactor, self._port, self._backlog
        ).listen(factory)
        return opened


@implementer(IStreamServerEndpoint)
class FreshUnixEndpoint:
    """Removes the socket that a killed process left at ``path``, then listens there."""

    def __init__(self, path: str, below: IStreamServerEndpoint) -> None:
        self._path = path
        self._below = below

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Open it; fails with Twisted's `CannotListenError`."""
        remove_stale_socket(self._path)
        return self._below.listen(protocolFactory)


def remove_stale_socket(path: str) -> None:
    """Remove the UNIX socket at ``path`` if nobody listens on it; files of other kinds stay."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        if not stat.S_ISSOCK(Path(path).lstat().st_mode):
            return
        probe.setblocking(False)  # a full queue is an answer too: somebody listens
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            Path(path).unlink()


class InheritedUnixPort(unix.Port):
    """A UNIX socket that is open already; its file keeps its mode."""

    def startListening(self) -> None:  # noqa: N802 Twisted calls it
        """Not the inherited one: it opens the file to all, and asks for a shorter queue."""
        factory: Any = self.factory
        factory.doStart()
        given, self._preexistingSocket = self._preexistingSocket, None
        assert given is not None  # by `_fromListeningDescriptor`
        self.socket = given
        self.fileno = given.fileno  # type: ignore[method-assign]  # as tcp.Port does
        self.connected = True
        self.numberAccepts = 100  # at a time; tcp.Port adapts it
        self.startReading()


class LastingUnixPort(InheritedUnixPort):
    """A UNIX socket that is another's: systemd listens on when we have ended."""

    _shouldShutdown = False  # noqa: N815 Twisted reads it

    def connectionLost(self, reason: Failure) -> None:
        """Not the inherited one: it removes the file, and nobody could connect any more."""
        tcp.Port.connectionLost(self, reason)


@implementer(IStreamServerEndpoint)
class Heir:
    """
    A reactor that opens no socket: whatever is to listen listens on ``fileno``, which is open.

    Is the endpoint of that socket, too; with ``lasting`` the file of a UNIX
    socket outlives the port.
    """

    def __init__(self, reactor: Any, fileno: int, lasting: bool = False) -> None:
        self._reactor = reactor
        self._fileno = fileno
        self._unix_port = LastingUnixPort if lasting else InheritedUnixPort
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def lasting(self) -> Heir:
        """The same, for a socket that systemd opened."""
        return Heir(self._reactor, self._fileno, True)

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Take the socket; ``fileno`` itself is closed."""
        return execute(self.listenTCP, None, protocolFactory)

    def listenTCP(self, _: object, factory: IProtocolFactory, *__: object, **___: object) -> IListeningPort:
        """Take it, in the place of a port that Twisted's own endpoints would open."""
        os.set_blocking(self._fileno, False)
        with socket.socket(fileno=self._fileno) as given:  # closed behind us: Twisted takes a copy
            if given.family != socket.AF_UNIX:
                port: IListeningPort = self._reactor.adoptStreamPort(self._fileno, given.family, factory)
                return port
            adopted = self._unix_port._fromListeningDescriptor(self._reactor, self._fileno, factory)
            adopted.startListening()
            return IListeningPort(adopted)

    listenUNIX = listenTCP  # noqa: N815 Twisted calls it
