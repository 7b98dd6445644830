"""`docxy.daemon`: start, signals, drain, end."""

from __future__ import annotations

import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from twisted.application.service import Application, IServiceCollection
from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver

from docxy import daemon
from docxy.handover import Command
from docxy.settings.values import LogSettings
from tests.unit.notify_rig import Systemd
from tests.unit.service_rig import ServiceCase, settings
from tests.unit.web.rig import Connection


class LifeTests(ServiceCase):
    """Start, drain, end."""

    def setUp(self) -> None:
        """A service that runs."""
        super().setUp()
        self.service = self.build(settings(warnings=("be careful",)))
        self.service.startService()

    def test_start(self) -> None:
        """The start says what is mirrored where, and every warning."""
        [line] = self.said("info")
        self.assertRegex(line, r"docxy \S+ mirrors docker.io on tcp:5000:interface=127.0.0.1")
        self.assertIn("be careful", self.said("warn"))
        self.assertEqual(self.reactor.threads, daemon.LOOKUP_THREADS)

    def test_pidfile(self) -> None:
        """With root's rights still the pidfile is made one that the service's user can read."""
        pidfile = self.folder() / "pid"
        pidfile.write_text(str(os.getpid()))
        pidfile.chmod(0o600)
        self.patch(self.service._succession, "_command", Command(("twistd",), "/", str(pidfile)))
        self.service.privilegedStartService()
        self.assertEqual(pidfile.stat().st_mode & 0o777, 0o644)

    def test_drain_idle(self) -> None:
        """Without connections the end comes at once, and no clock runs on."""
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.said("info")[1:], ["draining for up to 30 s", "drained"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertFalse(self.service.running)

    def test_waits_for_listeners(self) -> None:
        """The end waits until every listener is closed; one that cannot be is no error of ours."""
        closing: Deferred[None] = Deferred()
        ports = [SimpleNamespace(stopListening=lambda: closing), SimpleNamespace(stopListening=lambda: 1 / 0)]
        self.patch(self.service._succession, "_listeners", [("", port) for port in ports])
        stopped = self.service.stopService()
        self.assertNoResult(stopped)
        closing.errback(OSError("not permitted"))
        self.successResultOf(stopped)

    def busy(self) -> Connection:
        """A client in the middle of its request."""
        connection = self.connect()
        connection.send(b"POST /auth/token HTTP/1.1\r\nHost: x\r\n")
        connection.http._handlingRequest = True
        return connection

    def test_drain_ends(self) -> None:
        """What has not ended after `server.drain` seconds is ended in order; no clock runs on."""
        connection = self.busy()
        stopped = self.service.stopService()
        self.reactor.advance(29.9)
        self.assertFalse(connection.closed)
        self.reactor.advance(0.2)
        self.reactor.advance(0)
        self.assertEqual((connection.closed, connection.line.aborted), (True, False))
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_drain_aborts(self) -> None:
        """A client that does not read to the end is cut off 5 seconds later."""
        connection = self.busy()
        connection.line.reading = False
        connection.line.write(b"x")
        stopped = self.service.stopService()
        self.reactor.advance(30)
        self.reactor.advance(4.9)
        self.assertEqual((connection.closed, connection.line.aborted), (True, False))
        self.reactor.advance(0.2)
        self.reactor.advance(0)
        self.assertTrue(connection.line.aborted)
        self.successResultOf(stopped)

    def test_terminate(self) -> None:
        """The first signal asks the reactor to stop, the second ends all connections."""
        connection = self.busy()
        self.service.terminate()
        self.assertEqual(self.reactor.stops, 1)
        stopped = self.service.stopService()
        self.service.terminate()
        self.reactor.advance(0)
        self.assertTrue(connection.line.aborted)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.stops, 1)
        self.assertIn("ending at once", self.said("info"))

    def test_terminate_after_handover(self) -> None:
        """Who drains already is told once more without harm; only then the end is at once."""
        connection = self.busy()
        self.service._succession._stop()  # as once a successor serves
        self.service.terminate()
        stopped = self.service.stopService()
        self.reactor.advance(29.9)
        self.assertFalse(connection.closed)
        self.assertEqual(self.reactor.stops, 1)
        self.assertIn("draining already", self.said("info"))
        self.service.terminate()
        self.reactor.advance(0)
        self.assertTrue(connection.line.aborted)
        self.successResultOf(stopped)

    def before(self) -> Deferred[None]:
        """A process that has handed over to this one, and drains."""
        draining: Deferred[None] = Deferred()
        self.patch(self.service._succession._inheritance, "_draining", draining)
        return draining

    def test_waits_for_the_one_before(self) -> None:
        """The end waits for that of the process that handed over."""
        draining = self.before()
        stopped = self.service.stopService()
        self.reactor.advance(20)
        self.assertNoResult(stopped)
        draining.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_waits_no_longer(self) -> None:
        """It waits no longer than for its own clients, and not at all at a second signal."""
        self.before()
        stopped = self.service.stopService()
        self.reactor.advance(30)
        self.assertNoResult(stopped)
        self.reactor.advance(5)
        self.successResultOf(stopped)
        self.before()
        self.service.terminate()
        self.service.terminate()
        self.successResultOf(self.service.stopService())

    def test_signals(self) -> None:
        """Four signals are ours."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
        for number in numbers:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        for hook, args, kwargs in self.reactor.whenRunningHooks:
            hook(*args, **kwargs)
        self.assertEqual(len({signal.getsignal(number) for number in numbers}), 1)


class StartTests(ServiceCase):
    """What is found out at the start."""

    def test_manager(self) -> None:
        """A service manager learns of start, reload, relays and end."""
        manager = Systemd(self)
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": manager.address})
        service = self.build(settings())
        self.assertNotIn("NOTIFY_SOCKET", os.environ)
        service.startService()
        hook, args, _ = next(one for one in self.reactor.whenRunningHooks if one[1])
        hook(*args)
        service._wired.relays.take("client")
        self.reactor.advance(10)
        service.reload()
        self.successResultOf(service.stopService())
        heard = [line for message in manager.heard() for line in message.split("\n")]
        self.assertEqual(
            [line for line in heard if not line.startswith("MONOTONIC_USEC=")],
            [
                "READY=1",
                "STATUS=serving, transfers in progress: 0",
                "STATUS=serving, transfers in progress: 1",
                "RELOADING=1",
                "READY=1",
                "STOPPING=1",
                "STATUS=draining for up to 30 s, transfers in progress: 1",
            ],
        )
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_certificate_warnings(self) -> None:
        """A certificate's warnings are said."""
        tls = self.pair("cert.example")
        assert tls.key is not None
        Path(tls.key).chmod(0o644)
        self.assertIn("open to every user", self.build(settings(tls=tls))._warnings()[0])

    def test_no_trust_roots(self) -> None:
        """A machine without trust roots is told what to install."""
        self.patch(daemon, "trust_roots_present", lambda: False)
        self.assertIn("ca-certificates", self.build(settings())._warnings()[-1])

    def test_file_limit(self) -> None:
        """The limit of open files is raised as far as may be, and what is missing is said."""
        for soft, hard, raised, said in (
            (100, 100_000, 8448, 0),
            (100, resource.RLIM_INFINITY, 8448, 0),
            (100, 1000, 1000, 1),
            (50_000, 50_000, 50_000, 0),
        ):
            limits: list[Any] = [(soft, hard)]
            self.patch(resource, "getrlimit", lambda _, limits=limits: limits[-1])
            self.patch(resource, "setrlimit", lambda _, new, limits=limits: limits.append(new))
            warnings = list(daemon._raise_file_limit(settings()))
            self.assertEqual((limits[-1][0], len(warnings)), (raised, said))

    def test_file_limit_of_connections(self) -> None:
        """A relay that takes several connections to its upstream needs so many more files."""
        found = settings()
        wide = replace(found.upstreams[0], name="wide.example", connections=4)
        limits = [(100, 100_000)]
        self.patch(resource, "getrlimit", lambda _: limits[-1])
        self.patch(resource, "setrlimit", lambda _, new: limits.append(new))
        list(daemon._raise_file_limit(replace(found, upstreams=(*found.upstreams, wide))))
        self.assertEqual(limits[-1][0], 5 * 4096 + 256)

    def test_log(self) -> None:
        """An application's log is written as the settings say; another parent's is not ours."""
        self.patch(sys, "argv", ["twistd", "-n"])
        application = Application("docxy")
        self.build(settings(log=LogSettings(format="json"))).setServiceParent(application)
        self.assertIsNotNone(cast("Any", application).getComponent(ILogObserver, None))
        other = Application("other")
        self.build(settings("5001")).setServiceParent(IServiceCollection(other))
        self.assertIsNone(cast("Any", other).getComponent(ILogObserver, None))
