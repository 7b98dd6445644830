"""Whether each listener can be opened, or who has it."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from docxy.acme.thread import in_thread
from docxy.cli import listeners
from docxy.cli.findings import Finding, Mark
from docxy.settings.reader import read
from docxy.settings.values import Settings
from docxy.tls.shown import Certificates
from tests.unit.tls.throwaway import NOW

TCP = "tcp:5000:interface=127.0.0.1"


def at_once(reactor: object, work: Callable[[], Any]) -> Deferred[Any]:
    """In the place of a thread."""
    return succeed(work())


class ListenerTests(SynchronousTestCase):
    """Whether each listener can be opened."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.patch(listeners, "in_thread", at_once)

    def listened(self, settings: Settings, reactor: Any = None) -> list[Finding]:
        """What is found of the listeners."""
        looking = listeners.listener_findings(
            reactor or MemoryReactorClock(), settings, Certificates(lambda: NOW)
        )
        return self.successResultOf(Deferred.fromCoroutine(looking))

    def settings(self, listen: str, **tables: Any) -> Settings:
        """Settings with one listener."""
        return read({"server": {"listen": [listen], "redirect": []}, **tables})

    def free_port(self) -> int:
        """A port that nobody has."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            return int(server.getsockname()[1])

    def test_free(self) -> None:
        """One that can be opened is closed again; the admin listener is looked at as well."""
        reactor = MemoryReactorClock()
        one, other = (f"tcp:{self.free_port()}:interface=127.0.0.1" for _ in "ab")
        found = self.listened(self.settings(one, admin={"listen": other}), reactor)
        self.assertEqual([(each.subject, each.text) for each in found], [(one, "free"), (other, "free")])
        self.assertEqual(len(reactor.tcpServers), 2)

    def answering(self, answer: bytes) -> str:
        """A listener's description, where somebody answers so."""
        server = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            there, _ = server.accept()
            with there:
                there.recv(4096)
                there.sendall(answer)

        serving = Thread(target=serve)
        serving.start()
        self.addCleanup(server.close)
        self.addCleanup(serving.join)
        return f"tcp:{server.getsockname()[1]}:interface=127.0.0.1"

    def test_ours(self) -> None:
        """One that docxy answers on is held by it."""
        listen = self.answering(b"HTTP/1.1 200 OK\r\nServer: docxy\r\n\r\n")
        (found,) = self.listened(self.settings(listen))
        self.assertEqual((found.mark, found.text), (Mark.OK, "held by the docxy that runs"))

    def test_taken(self) -> None:
        """One that somebody else has is wrong, with the way to find out who."""
        listen = self.answering(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n")
        (found,) = self.listened(self.settings(listen), Refusing(98))
        self.assertEqual((found.mark, found.text), (Mark.FAILED, "is taken by another process"))
        self.assertIn("ss -ltnp", found.remedy)

    def test_denied(self) -> None:
        """A privileged port cannot be judged by one who may not open it; root can."""
        listen = f"tcp:{self.free_port()}:interface=127.0.0.1"
        for user, mark in ((1000, Mark.WARNING), (0, Mark.FAILED)):
            self.patch(os, "geteuid", lambda user=user: user)
            (found,) = self.listened(self.settings(listen), Refusing(13))
            self.assertEqual(found.mark, mark)

    def test_systemd(self) -> None:
        """What systemd opens is not looked at."""
        (found,) = self.listened(self.settings("systemd:domain=INET:index=0"))
        self.assertEqual((found.mark, "systemd" in found.text), (Mark.OK, True))

    def test_malformed(self) -> None:
        """What is no endpoint is wrong."""
        (found,) = self.listened(self.settings("tcp:x"))
        self.assertEqual((found.mark, found.subject), (Mark.FAILED, "server.listen"))

    def test_unix(self) -> None:
        """A UNIX socket on which nobody listens is free."""
        reactor = MemoryReactorClock()
        (found,) = self.listened(self.settings(f"unix:{self.folder}/sock"), reactor)
        self.assertEqual((found.text, len(reactor.unixServers)), ("free", 1))

    def test_left_behind(self) -> None:
        """A UNIX socket that somebody left behind stays where it is."""
        path = self.folder / "sock"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
        (found,) = self.listened(self.settings(f"unix:{path}"))
        self.assertEqual((found.mark, found.text.split(";")[0], path.is_socket()), (Mark.OK, "free", True))

    def test_closed_socket(self) -> None:
        """Who may not connect to a UNIX socket cannot tell whose it is; root may."""

        def refuse(*_: object) -> None:
            raise PermissionError(13, "no")

        self.patch(listeners, "connected", refuse)
        settings = self.settings(f"unix:{self.folder}/sock")
        for user, found in (
            (1000, (Mark.WARNING, "cannot be looked at by this user")),
            (0, (Mark.OK, "free")),
        ):
            self.patch(os, "geteuid", lambda user=user: user)
            (one,) = self.listened(settings)
            self.assertEqual((one.mark, one.text), found)

    def test_proxied(self) -> None:
        """One that takes nobody without a PROXY header is not asked."""
        (found,) = self.listened(self.settings("haproxy:tcp:5000:interface=127.0.0.1"), Refusing(98))
        self.assertEqual((found.mark, "not looked at" in found.text), (Mark.OK, True))

    def test_silent(self) -> None:
        """Who takes connections and says nothing is waited for so long; other listeners are told as well."""
        self.patch(listeners, "in_thread", in_thread)
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        first, second = (
            f"tcp:{port}:interface=127.0.0.1" for port in (silent.getsockname()[1], self.free_port())
        )
        reactor = Threads(98)
        settings = self.settings(first, admin={"listen": second})
        looking = Deferred.fromCoroutine(
            listeners.listener_findings(reactor, settings, Certificates(lambda: NOW))
        )
        there, _ = silent.accept()
        reactor.advance(listeners.PATIENCE)
        reactor.serve()
        found = self.successResultOf(looking)
        there.close()
        self.assertEqual([one.subject for one in found], [first, second])
        self.assertEqual(found[0].text, "is taken by another process, which does not answer")
        reactor.serve()

    def test_slow(self) -> None:
        """A connection that stalls is one that does not answer, too."""

        def stall(*_: object) -> None:
            raise TimeoutError

        self.patch(listeners, "connected", stall)
        (found,) = self.listened(self.settings(TCP), Refusing(98))
        self.assertEqual(found.text, "is taken by another process, which does not answer")


class Refusing(MemoryReactorClock):
    """A reactor that may open nothing, for this reason."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def listenTCP(self, *arguments: Any, **named: Any) -> Any:
        """Refuse."""
        raise CannotListenError("127.0.0.1", 1, OSError(self.number, "no"))


class Threads(Refusing):
    """A reactor that hears of one thread's end each time that `serve` is called."""

    def __init__(self, number: int = 98) -> None:
        super().__init__(number)
        self.heard: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def callFromThread(self, work: Callable[..., object], *arguments: object) -> None:  # noqa: N802 Twisted's name
        """Keep it."""
        self.heard.put(lambda: work(*arguments))

    def serve(self) -> None:
        """Wait for one, and let it be heard."""
        self.heard.get(timeout=30)()
