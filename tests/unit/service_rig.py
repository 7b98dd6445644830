"""A service on a reactor in memory, as its tests build it."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from docxy.daemon import MirrorService
from docxy.service import build_service
from docxy.settings.values import Settings, TLSSettings
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
        """What docxy.daemon has logged at this level."""
        return self.logged.said("docxy.daemon", level)
