"""How names are looked up by a command that has to end in time."""

import subprocess
import sys
from threading import current_thread

from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from docxy.cli.lookups import OwnThreads, look_up_apart
from tests.unit.cli.test_listeners import Threads

SILENT = """\
import socket, threading
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from docxy.cli.lookups import look_up_apart
look_up_apart(reactor)
HostnameEndpoint(reactor, "a.example", 1).connect(Factory())
reactor.callWhenRunning(reactor.callLater, 0, reactor.stop)
reactor.run()
"""


class LookUpTests(SynchronousTestCase):
    """Where names are looked up."""

    def test_threads(self) -> None:
        """In threads that the process's end does not wait for; what they give or raise is told."""
        reactor = Threads()
        told: list[tuple[object, ...]] = []
        for work in (lambda: current_thread().daemon, lambda: 1 // 0):
            OwnThreads(reactor).callInThreadWithCallback(lambda *one: told.append(one), work)
            reactor.serve()
        (first, second) = told
        self.assertEqual((first, second[0]), ((True, True), False))

    def test_installed(self) -> None:
        """It is so for whatever the reactor looks up."""
        reactor = MemoryReactorClock()
        before = reactor.nameResolver
        look_up_apart(reactor)
        self.assertIsNot(reactor.nameResolver, before)
        self.assertTrue(IHostnameResolver.providedBy(reactor.nameResolver))

    def test_silent(self) -> None:
        """A process whose resolver never answers ends when its reactor does."""
        done = subprocess.run([sys.executable, "-c", SILENT], timeout=60)
        self.assertEqual(done.returncode, 0)
