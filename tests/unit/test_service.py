"""The wiring, and the life of the service."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

from twisted.application.service import Application, IServiceCollection
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver
from twisted.trial.unittest import SynchronousTestCase

from docxy import service
from docxy.service import MirrorService, build_service, https_url
from docxy.settings.forms import network
from docxy.settings.values import LogSettings, Settings, SettingsError, TLSSettings
from tests.unit.tls import throwaway
from tests.unit.web.rig import Connection, Logged, address
from tests.unit.web.rig import settings as mirror_settings


class Reactor(MemoryReactorClock):
    """A reactor whose end can be asked for."""

    def __init__(self, taken: int | None = None) -> None:
        super().__init__()
        self.taken = taken
        self.stops = 0
        self.threads = 0

    def listenTCP(self, port: int, *args: Any, **kwargs: Any) -> Any:
        """Refuse the port that is taken."""
        if port == self.taken:
            raise CannotListenError("127.0.0.1", port, OSError(98, "Address already in use"))
        return super().listenTCP(port, *args, **kwargs)

    def stop(self) -> None:
        """Count it."""
        self.stops += 1

    def suggestThreadPoolSize(self, size: int) -> None:  # noqa: N802 Twisted's name
        """Keep it."""
        self.threads = size


def settings(*listen: str, **more: Any) -> Settings:
    """Settings of a service on loopback."""
    found = mirror_settings(
        listen=tuple(f"tcp:{port}:interface=127.0.0.1" for port in (listen or ("5000",))),
        redirect=tuple(more.pop("redirect", ())),
        public_urls=tuple(more.pop("public_urls", ("https://mirror.example.com",))),
    )
    return replace(found, **more)


class ServiceCase(SynchronousTestCase):
    """Tests of a whole service in memory."""

    def setUp(self) -> None:
        """A reactor, and the limits of this process as they were."""
        self.logged = Logged(self)
        self.reactor = Reactor()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)

    def build(self, found: Settings, load: Callable[[], Settings] | None = None) -> MirrorService:
        """The service of these settings, bound."""
        built = build_service(self.reactor, found, load)
        assert isinstance(built, MirrorService)
        return built

    def folder(self) -> Path:
        """A folder for this test."""
        made = TemporaryDirectory()
        self.addCleanup(made.cleanup)
        return Path(made.name)

    def pair(self, *names: str) -> TLSSettings:
        """A certificate and its key, in files."""
        folder = self.folder()
        leaf = throwaway.leaf(*names)
        chain = [leaf.pem, throwaway.intermediate().pem]
        return TLSSettings(
            throwaway.write(folder / "cert", chain), throwaway.write(folder / "key", leaf.key_pem())
        )

    def connect(self, index: int = 0) -> Connection:
        """A client of the listener of this number."""
        site = cast("Any", self.reactor.tcpServers[index][1])
        return Connection(site, cast("Any", self.reactor), address("127.0.0.1"), address("127.0.0.1", 5000))

    def said(self, level: str) -> list[str]:
        """What docxy.service has logged at this level."""
        return [
            str(event["log_format"]).format(**event)
            for event in self.logged.events
            if event.get("log_namespace") == "docxy.service" and event["log_level"].name == level
        ]


class BindTests(ServiceCase):
    """Listeners are opened as the service is built."""

    def test_all(self) -> None:
        """Every endpoint listens; all of `listen` share one site, and so do those of `redirect`."""
        self.build(settings("5000", "5001", redirect=("tcp:8080:interface=127.0.0.1",)))
        ports, sites = zip(*[server[:2] for server in self.reactor.tcpServers], strict=True)
        self.assertEqual(ports, (5000, 5001, 8080))
        self.assertEqual((sites[0] is sites[1], sites[0] is sites[2]), (True, False))
        self.assertEqual(self.connect().get("/health").status, 200)

    def test_taken(self) -> None:
        """A taken port is told by its setting; what was open already is closed again."""
        self.reactor.taken = 5001
        for found, key in (
            (settings("5000", "5001"), "server.listen"),
            (settings("5000", redirect=("tcp:5001:interface=127.0.0.1",)), "server.redirect"),
        ):
            error = self.assertRaises(SettingsError, self.build, found)
            self.assertEqual(error.key, key)
            self.assertIn("is taken by another process", error.problem)

    def test_malformed(self) -> None:
        """An endpoint that means nothing is told by its setting."""
        found = replace(settings(), server=replace(settings().server, listen=("nonsense:1",)))
        self.assertEqual(self.assertRaises(SettingsError, self.build, found).key, "server.listen")

    def test_broken_certificate(self) -> None:
        """A pair that cannot serve is told before anything is opened."""
        tls = self.pair()
        found = settings(tls=TLSSettings(tls.cert, self.pair("other.example").cert))
        self.assertIn("tls.", self.assertRaises(SettingsError, self.build, found).key)
        self.assertEqual(self.reactor.tcpServers, [])

    def test_tls(self) -> None:
        """A TLS listener shows the certificate, whose names are believed."""
        found = settings(tls=self.pair("cert.example"))
        found = replace(found, server=replace(found.server, listen=("ssl:5443:interface=127.0.0.1",)))
        self.build(found)
        site = cast("Any", self.reactor.tcpServers[0][1]).wrappedFactory
        connection = Connection(site, cast("Any", self.reactor), address("::1"), address("::1"))
        challenge = connection.get("/v2/", host="cert.example").headers["WWW-Authenticate"]
        self.assertIn('realm="http://cert.example/auth/token"', challenge)


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
        self.assertEqual(self.reactor.threads, service.LOOKUP_THREADS)

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

    def test_certificate_warnings(self) -> None:
        """A certificate's warnings are said."""
        tls = self.pair("cert.example")
        assert tls.key is not None
        Path(tls.key).chmod(0o644)
        self.assertIn("open to every user", self.build(settings(tls=tls))._warnings()[0])

    def test_no_trust_roots(self) -> None:
        """A machine without trust roots is told what to install."""
        self.patch(service, "trust_roots_present", lambda: False)
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
            warnings = list(service._raise_file_limit(settings()))
            self.assertEqual((limits[-1][0], len(warnings)), (raised, said))

    def test_file_limit_of_connections(self) -> None:
        """A relay that takes several connections to its upstream needs so many more files."""
        found = settings()
        wide = replace(found.upstreams[0], name="wide.example", connections=4)
        limits = [(100, 100_000)]
        self.patch(resource, "getrlimit", lambda _: limits[-1])
        self.patch(resource, "setrlimit", lambda _, new: limits.append(new))
        list(service._raise_file_limit(replace(found, upstreams=(*found.upstreams, wide))))
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


class RedirectTests(ServiceCase):
    """The plain twin of a TLS listener."""

    def location(self, host: str, **more: Any) -> str:
        """Where it leads who calls it by this name."""
        self.reactor = Reactor()
        self.build(settings(redirect=("tcp:8080:interface=127.0.0.1",), **more))
        return str(self.connect(1).get("/", host=host).headers["Location"])

    def test_public(self) -> None:
        """It leads to the public URL, whoever asks and by whichever name."""
        self.assertEqual(self.location("evil.example"), "https://mirror.example.com/")
        both = ("http://plain.example", "https://tls.example:8443", "https://other.example")
        self.assertEqual(self.location("plain.example", public_urls=both), "https://tls.example:8443/")

    def test_without_public(self) -> None:
        """Without an https one it leads to the name it was asked by, or to our own address."""
        for host in ("127.0.0.1:8080", "evil.example"):
            self.assertEqual(self.location(host, public_urls=()), "https://127.0.0.1/")
        plain = ("http://plain.example:8080",)
        self.assertEqual(self.location("plain.example:8080", public_urls=plain), "https://plain.example/")

    def test_url(self) -> None:
        """The port is that of the TLS listener, an IPv6 address stays in its brackets."""
        for base, listen, url in (
            ("http://a.example", ("ssl:443",), "https://a.example"),
            ("http://a.example:8080", ("tcp:80", "ssl:8443"), "https://a.example:8443"),
            ("http://[2001:db8::1]:80", ("ssl:443",), "https://[2001:db8::1]"),
            ("http://[::1]", ("ssl:8443",), "https://[::1]:8443"),
            ("http://a.example", ("ssl:systemd:domain=INET:index=0",), "https://a.example"),
            ("http://a.example", (), "https://a.example"),
        ):
            self.assertEqual(https_url(base, listen), url)

    def test_open_to_all(self) -> None:
        """Clients outside of `server.allow` are told where the mirror is as well."""
        found = settings(redirect=("tcp:8080:interface=127.0.0.1",))
        nobody = (network("198.51.100.0/24"),)
        self.build(replace(found, server=replace(found.server, allow=nobody)))
        self.assertEqual(self.connect(0).get("/v2/").status, 403)
        self.assertEqual(self.connect(1).get("/").status, 308)
