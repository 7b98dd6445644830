"""
Tests for `docxy.tls.sockets`: real sockets on loopback, without a running reactor.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import tcp
from twisted.internet.defer import succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from docxy.tls.sockets import DualStackEndpoint, DualStackPort, FreshUnixEndpoint, Heir, remove_stale_socket
from tests.unit.tls.listening import Callers, caller, close


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class DualStackTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A reactor that opens real ports."""
        self.reactor = MemoryReactorClock()
        self.factory = Callers()

    def listen(self, number: int = 0) -> Any:
        """The open port."""
        endpoint = DualStackEndpoint(self.reactor, number, 5)
        verifyObject(IStreamServerEndpoint, endpoint)
        port = self.successResultOf(endpoint.listen(self.factory))
        self.addCleanup(close, port, self.reactor)
        return port

    def test_both_families(self) -> None:
        """One socket takes clients of IPv6, where this machine has it, and of IPv4."""
        port = self.listen()
        if has_ipv6():
            self.assertEqual(caller(port, self.factory, socket.AF_INET6, "::1"), "::1")
        seen = caller(port, self.factory, socket.AF_INET, "127.0.0.1")
        self.assertEqual(seen.removeprefix("::ffff:"), "127.0.0.1")

    def test_without_ipv6(self) -> None:
        """Where the kernel has no IPv6, IPv4 alone is listened on."""
        for number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):

            def refuse(_: DualStackPort, number: int = number) -> None:
                raise OSError(number, "no IPv6")

            self.patch(DualStackPort, "createInternetSocket", refuse)
            self.successResultOf(DualStackEndpoint(self.reactor, 8080, 5).listen(self.factory))
            self.assertEqual(self.reactor.tcpServers.pop(), (8080, self.factory, 5, ""))

    def test_taken(self) -> None:
        """A taken port fails as with Twisted's own endpoints, and does not fall back to IPv4."""
        taken = tcp.Port(0, Callers(), 5, "127.0.0.1", self.reactor)
        taken.startListening()
        self.addCleanup(close, taken, self.reactor)
        endpoint = DualStackEndpoint(self.reactor, taken.getHost().port, 5)
        failure = self.failureResultOf(endpoint.listen(self.factory), CannotListenError)
        self.assertEqual(failure.value.socketError.errno, errno.EADDRINUSE)
        self.assertEqual(self.reactor.tcpServers, [])


class Below:
    """An endpoint that notes whether the path was free."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[bool] = []

    def listen(self, protocolFactory: Any) -> Any:
        """Note it."""
        self.seen.append(self.path.exists())
        return succeed(None)


class UnixTests(SynchronousTestCase):
    def setUp(self) -> None:
        """A path for a socket."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.path = Path(made.name) / "socket"

    def listening(self) -> socket.socket:
        """A socket that listens at the path."""
        made = socket.socket(socket.AF_UNIX)
        self.addCleanup(made.close)
        made.bind(str(self.path))
        made.listen(1)
        return made

    def test_stale(self) -> None:
        """A socket whose process is gone is removed before listening."""
        self.listening().close()
        below = Below(self.path)
        self.successResultOf(FreshUnixEndpoint(str(self.path), below).listen(Callers()))  # type: ignore[arg-type]
        self.assertEqual(below.seen, [False])

    def test_alive(self) -> None:
        """A socket that somebody listens on stays, even while its queue is full."""
        self.listening()
        clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        for client in clients:
            self.addCleanup(client.close)
            client.setblocking(False)
            client.connect_ex(str(self.path))
        remove_stale_socket(str(self.path))
        self.assertTrue(self.path.exists())

    def test_other_files(self) -> None:
        """Files, and links to sockets, stay; a missing file is none of our business."""
        remove_stale_socket(str(self.path))
        self.path.write_text("precious")
        remove_stale_socket(str(self.path))
        self.assertEqual(self.path.read_text(), "precious")
        self.path.unlink()
        self.listening().close()
        link = self.path.with_name("link")
        link.symlink_to(self.path)
        remove_stale_socket(str(link))
        self.assertTrue(link.is_symlink())


class HeirTests(SynchronousTestCase):
    """Sockets that another process opened."""

    def setUp(self) -> None:
        """A reactor that opens real ports."""
        self.reactor = MemoryReactorClock()
        self.factory = Callers()

    def inherit(self, opened: socket.socket) -> Heir:
        """What is given for an open socket, of which this process keeps a copy."""
        self.addCleanup(opened.close)
        heir = Heir(self.reactor, os.dup(opened.fileno()))
        verifyObject(IStreamServerEndpoint, heir)
        return heir

    def test_unix(self) -> None:
        """A UNIX socket is listened on as it is; its file keeps its mode and goes with the listener."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "socket")
            opened = socket.socket(socket.AF_UNIX)
            opened.bind(str(path))
            opened.listen()
            path.chmod(0o640)
            port: Any = self.successResultOf(self.inherit(opened).listen(self.factory))
            self.assertEqual(path.stat().st_mode & 0o777, 0o640)
            self.assertIn(port, self.reactor.getReaders())
            self.assertEqual(self.factory.numPorts, 1)
            close(port, self.reactor)
            self.assertFalse(path.exists())

    def test_lasting_unix(self) -> None:
        """A socket that systemd opened, and its file, stay as they are when the listener ends."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "socket")
            opened = socket.socket(socket.AF_UNIX)
            opened.bind(str(path))
            opened.listen()
            path.chmod(0o600)
            port: Any = self.successResultOf(self.inherit(opened).lasting().listen(self.factory))
            self.assertIn(port, self.reactor.getReaders())
            close(port, self.reactor)
            self.assertEqual(self.factory.numPorts, 0)
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                opened.accept()[0].close()

    def test_tcp(self) -> None:
        """Whatever is asked to listen listens on the given socket, which is of the family that it is."""
        opened = socket.create_server(("127.0.0.1", 0))
        heir = self.inherit(opened)
        number = heir._fileno
        port = heir.listenTCP(1, self.factory, 50, interface="::1")
        self.assertIsNotNone(port)
        [(adopted, family, factory)] = self.reactor.adoptedPorts
        self.assertEqual((adopted, family, factory), (number, socket.AF_INET, self.factory))
        self.assertRaises(OSError, os.fstat, number)

    def test_reactor(self) -> None:
        """In all else it is the reactor."""
        heir = self.inherit(socket.create_server(("127.0.0.1", 0)))
        heir.callLater(1, self.fail)
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.assertTrue(IReactorTime.providedBy(heir))
        os.close(heir._fileno)

    def test_refused(self) -> None:
        """A descriptor that is none fails in order."""
        heir = self.inherit(socket.create_server(("127.0.0.1", 0)))
        os.close(heir._fileno)
        self.failureResultOf(heir.listen(self.factory), OSError)
