"""What a successor gets, and what it hears."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.scripts._twistd_unix import UnixApplicationRunner
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from docxy import inheritance
from docxy.inheritance import VARIABLE, Inheritance, inherited, place, release
from docxy.tls.sockets import Heir


def is_open(fd: int) -> bool:
    """Whether there is such a descriptor."""
    with contextlib.suppress(OSError):
        os.fstat(fd)
        return True
    return False


class InheritedCase(SynchronousTestCase):
    """Tests with a successor's descriptors, at other numbers."""

    def setUp(self) -> None:
        """Pipes and a socket as the process before would hand them over."""
        # Once the tests have taken these over, their numbers are others'.
        self.told, ready = os.pipe()
        word, self.speaks = os.pipe()
        errors = os.open(os.devnull, os.O_RDWR)
        self.listening = socket.create_server(("127.0.0.1", 0))
        first = os.dup(self.listening.fileno())
        self.fds = (ready, word, errors, first)
        for name, fd in zip(("READY", "WORD", "ERRORS", "FIRST"), self.fds, strict=True):
            self.patch(inheritance, name, fd)
        self.addCleanup(self.listening.close)
        for fd in (*self.fds, self.told, self.speaks):
            self.addCleanup(self.close, fd)
        self.addCleanup(signal.signal, signal.SIGUSR2, signal.getsignal(signal.SIGUSR2))

    def close(self, fd: int) -> None:
        """Close what is open yet."""
        with contextlib.suppress(OSError):
            os.close(fd)

    def environ(self, **more: object) -> dict[str, str]:
        """The environment of a successor."""
        told = {"from": os.getppid(), "listeners": ["tcp:5000"], **more}
        return {VARIABLE: json.dumps(told), "HOME": "/"}


class InheritedTests(InheritedCase):
    """From the environment."""

    def test_taken(self) -> None:
        """Its listeners are there, its children inherit nothing, and USR2 does not end it yet."""
        environ = self.environ()
        for fd in self.fds:
            os.set_inheritable(fd, True)
        found = inherited(environ)
        self.assertTrue(found.handed)
        self.assertEqual(environ, {"HOME": "/"})
        self.assertEqual([os.get_inheritable(fd) for fd in self.fds], [False] * 4)
        self.assertEqual(signal.getsignal(signal.SIGUSR2), signal.SIG_IGN)
        self.assertEqual(found.take("tcp:5000"), self.fds[3])

    def test_nothing(self) -> None:
        """What was meant for another process, or is not what it should be, is left alone and forgotten."""
        word = self.fds[1]
        for environ in (
            {},
            self.environ(**{"from": os.getpid()}),
            self.environ(listeners=["tcp:5000"] * 999),
            self.environ(listeners=None),
            {VARIABLE: "{"},
            {VARIABLE: "[]"},
            {VARIABLE: "{}"},
        ):
            with self.subTest(environ=environ):
                found = inherited(environ)
                self.assertEqual((found.handed, found.take("tcp:5000")), (False, None))
                self.assertNotIn(VARIABLE, environ)
        self.patch(inheritance, "FIRST", word)  # a pipe is no listener
        self.assertFalse(inherited(self.environ()).handed)
        self.assertTrue(all(map(is_open, self.fds)))


class TakeTests(InheritedCase):
    """Which socket is whose."""

    def test_exact(self) -> None:
        """The same description comes first, and each socket is taken once."""
        found = Inheritance([("ssl:5000", 1), ("tcp:5000", 2)])
        self.assertEqual([found.take("tcp:5000") for _ in range(3)], [2, 1, None])

    def test_place(self) -> None:
        """TLS or not is no part of a socket's address, all else is."""
        for one, other, same in (
            ("tcp:5000", "ssl:5000", True),
            ("ssl:443", "ssl:443:privateKey=/k.pem", True),
            ("tcp:5000:interface=127.0.0.1", "ssl:port=5000:interface=127.0.0.1", True),
            ("tcp:5000", "tcp:5001", False),
            ("tcp:5000", "tcp:5000:interface=127.0.0.1", False),
            ("unix:/a", "unix:/a", True),
            ("unix:/a", "unix:/a:mode=600", False),
            ("ssl:systemd:domain=INET:index=0", "systemd:domain=INET:index=0", False),
            ("tcp:\\", "tcp:\\", True),
        ):
            self.assertEqual(place(one) == place(other), same, (one, other))

    def test_reactor(self) -> None:
        """A listener that was handed over listens on its socket, another one by the reactor itself."""
        reactor = MemoryReactorClock()
        found = Inheritance([("tcp:5000", self.fds[3])])
        self.assertIs(found.reactor(reactor, "tcp:5001"), reactor)
        self.assertIsInstance(found.reactor(reactor, "tcp:5000"), Heir)

    def test_rest(self) -> None:
        """What nobody took is closed."""
        Inheritance([("tcp:5000", self.fds[3])]).close_rest()
        self.assertFalse(is_open(self.fds[3]))


class ReportTests(InheritedCase):
    """What the two say to each other."""

    def setUp(self) -> None:
        """A successor that is ready; twistd's own ways, and stderr, come back at the end."""
        super().setUp()
        self.patch(UnixApplicationRunner, "removePID", UnixApplicationRunner.removePID)
        self.before: Callable[..., Any] = UnixApplicationRunner.removePID
        self.copied: list[tuple[int, int]] = []
        self.patch(os, "dup2", lambda *fds: self.copied.append(fds))
        self.reactor = MemoryReactorClock()
        self.heard: list[str] = []
        self.inheritance = Inheritance(handed=True)

    def report(self) -> Any:
        """Say that we are ready; what reads the answer."""
        serve, leave = (lambda: self.heard.append("serve")), (lambda: self.heard.append("leave"))
        self.inheritance.report(self.reactor, serve, leave)
        [reader] = self.reactor.getReaders()
        verifyObject(IReadDescriptor, reader)
        self.assertEqual((reader.fileno(), reader.logPrefix()), (self.fds[1], "handover"))
        return reader

    def test_serve(self) -> None:
        """After "go" it serves, once, and has its stderr back."""
        reader = self.report()
        self.assertEqual(os.read(self.told, 100), b"%d\n" % os.getpid())
        self.assertEqual(self.heard, [])
        os.write(self.speaks, b"go")
        reader.doRead()
        reader.connectionLost(Failure(OSError()))
        self.assertEqual(self.heard, ["serve"])
        self.assertEqual(self.copied, [(self.fds[2], 2)])
        self.assertFalse(any(map(is_open, (self.fds[0], self.fds[2]))))
        self.assertIs(UnixApplicationRunner.removePID, self.before)

    def test_old_one_drains(self) -> None:
        """After "go" the end of the old process is heard of, and can be waited for."""
        reader = self.report()
        self.successResultOf(self.inheritance.alone())
        os.write(self.speaks, b"go")
        reader.doRead()
        alone = self.inheritance.alone()
        reader.connectionLost(Failure(OSError()))  # not the pipe's end but the reactor's
        self.assertNoResult(alone)
        os.close(self.speaks)
        reader.connectionLost(Failure(OSError()))
        self.successResultOf(alone)
        self.successResultOf(self.inheritance.alone())
        self.assertEqual((self.heard, self.reactor.getReaders()), (["serve"], []))
        self.assertFalse(any(map(is_open, self.fds[:3])))

    def test_wait_no_more(self) -> None:
        """It need not be waited for, and its end is no surprise then."""
        reader = self.report()
        os.write(self.speaks, b"go")
        reader.doRead()
        alone = self.inheritance.alone()
        self.inheritance.wait_no_more()
        self.successResultOf(alone)
        os.close(self.speaks)
        reader.doRead()
        self.assertEqual(self.reactor.getReaders(), [])

    def test_alone(self) -> None:
        """Where the old process has died, it serves, and there is nobody to wait for."""
        os.close(self.told)
        reader = self.report()
        os.close(self.speaks)
        reader.connectionLost(Failure(OSError()))  # as epoll has it where nothing else can be read
        self.assertEqual((self.heard, self.reactor.getReaders()), (["serve"], []))
        self.successResultOf(self.inheritance.alone())

    def test_leave(self) -> None:
        """After "no" it leaves, and leaves the pidfile to the old process."""
        reader = self.report()
        os.write(self.speaks, b"no")
        reader.doRead()
        self.assertEqual((self.heard, self.reactor.getReaders()), (["leave"], []))
        self.successResultOf(self.inheritance.alone())
        self.assertIsNot(UnixApplicationRunner.removePID, self.before)
        self.assertIsNone(UnixApplicationRunner.removePID(None, "/nowhere/pid"))  # type: ignore[arg-type]


class ReleaseTests(SynchronousTestCase):
    """Sockets that two processes share."""

    def test_release(self) -> None:
        """It is closed here and listens on there."""
        with socket.create_server(("127.0.0.1", 0)) as theirs:
            ours = theirs.dup()
            read: list[str] = []
            release(SimpleNamespace(stopReading=lambda: read.append("stopped"), socket=ours))
            self.assertEqual((read, ours.fileno()), (["stopped"], -1))
            socket.create_connection(theirs.getsockname()).close()
