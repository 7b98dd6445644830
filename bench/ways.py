"""
What stands between the clients and the origin: nothing, nginx, docker-registry, docxy, or a peer.

Each way is started for each case, as its own documentation says, and gives a `Proxy`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from bench import ways_text as text
from bench.meter import Meter
from bench.place import Place, name_of
from bench.setup import Setup
from tests.e2e.rig.mirror import CHECKOUT, TWISTD
from tests.e2e.rig.processes import Process


@dataclass
class Proxy:
    """A way that runs: its URL and address, and its processes unless it is the origin itself."""

    url: str
    address: str = ""
    process: Process | None = None
    begun: float = 0  # when it was started, by the monotonic clock
    token: str = "/token"  # where it gives tokens
    renew: Callable[[], None] = field(default=lambda: None)

    @property
    def meter(self) -> Meter | None:
        """Of its processes."""
        return Meter(self.process.pid) if self.process else None

    @property
    def port(self) -> int:
        """Where it listens, as its URL says."""
        url = urlsplit(self.url)
        return url.port or {"https": 443, "http": 80}[url.scheme]

    def close(self) -> None:
        """End it."""
        if self.process:
            self.process.stop()


class Way(Protocol):
    """
    One line of the comparison.

    One that is ``primed`` is measured once before it counts.
    """

    @property
    def name(self) -> str:
        """As the table has it."""

    @property
    def primed(self) -> bool:
        """Whether it has to have done a thing once to do it well."""

    def fits(self, setup: Setup) -> bool:
        """Whether it can do that at all."""

    def start(self, place: Place, setup: Setup) -> Proxy:
        """Start it, not yet waited for; raises `RigError` where it cannot be."""


@dataclass(frozen=True, slots=True)
class Straight:
    """The origin itself."""

    name: str = "straight"
    primed: bool = False

    def fits(self, setup: Setup) -> bool:
        """Only where both sides speak the same, for here they are one."""
        return setup.tls_client == setup.tls_upstream

    def start(self, place: Place, setup: Setup) -> Proxy:
        """Nothing is started."""
        return Proxy(setup.upstream)


@dataclass(frozen=True, slots=True)
class Nginx:
    """nginx as a reverse proxy, which follows no redirect: blobs are asked of the CDN at once."""

    name: str = "nginx"
    primed: bool = False

    def fits(self, setup: Setup) -> bool:
        """Always."""
        return True

    def start(self, place: Place, setup: Setup) -> Proxy:
        """An nginx of its own."""
        address, state = place.address(), place.folder(self.name)
        config = state / "nginx.conf"
        config.write_text(text.nginx(place, setup, address, state))
        argv = ["nginx", "-e", "stderr", "-p", str(state), "-c", str(config)]
        return _started(place, setup, address, partial(place.start, self.name, argv, state))


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """docker-registry as a pull-through cache; ``cold`` empties it before each measurement."""

    cold: bool

    @property
    def name(self) -> str:
        """Cold and warm are two."""
        return "docker-registry, cold" if self.cold else "docker-registry, warm"

    @property
    def primed(self) -> bool:
        """The warm one is."""
        return not self.cold

    def fits(self, setup: Setup) -> bool:
        """Always."""
        return True

    def start(self, place: Place, setup: Setup) -> Proxy:
        """A registry with an empty store."""
        address, state = place.address(), place.folder(self.name.replace(",", ""))
        store, config = state / "store", state / "config.yml"
        config.write_text(text.registry(place, setup, address, store))
        launch = partial(
            place.start,
            self.name,
            ["docker-registry", "serve", str(config)],
            state,
            OTEL_TRACES_EXPORTER="none",
        )
        proxy = _started(place, setup, address, launch)

        def renew() -> None:
            proxy.close()
            shutil.rmtree(store, ignore_errors=True)
            proxy.process = launch()
            proxy.process.ready(partial(place.namespace.answers, address, setup.client_port))

        if self.cold:
            proxy.renew = renew
        return proxy


@dataclass(frozen=True, slots=True)
class Docxy:
    """docxy as its documentation has it started, with ``verify`` on or off."""

    verify: bool
    primed: bool = False

    @property
    def name(self) -> str:
        """With and without are two."""
        return "docxy" if self.verify else "docxy, verify = false"

    def fits(self, setup: Setup) -> bool:
        """Always."""
        return True

    def start(self, place: Place, setup: Setup) -> Proxy:
        """A docxy of this checkout."""
        address, state = place.address(), place.folder("docxy")
        config = state / "docxy.toml"
        config.write_text(text.docxy(place, setup, address, self.verify))
        argv = [str(TWISTD), "-n", "--pidfile=", f"--rundir={state}", "docxy", "--config", str(config)]
        launch = partial(place.start, self.name, argv, state, PYTHONPATH=str(CHECKOUT))
        return replace(_started(place, setup, address, launch), token="/auth/token")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another proxy, by its command, in which the words in braces of `placeholders` are put in."""

    name: str
    command: str
    url: str = "{url}"
    primed: bool = False

    def fits(self, setup: Setup) -> bool:
        """Only TLS on both sides: its command says nothing of others."""
        return setup.tls_client and setup.tls_upstream

    def start(self, place: Place, setup: Setup) -> Proxy:
        """Its command, by the shell."""
        address, state = place.address(), place.folder("peer")
        words = placeholders(place, setup, address, state)
        argv = ["sh", "-c", _filled(self.command, words)]
        launch = partial(place.start, self.name, argv, state)
        return replace(_started(place, setup, address, launch), url=_filled(self.url, words))


def placeholders(place: Place, setup: Setup, address: str, state: Path) -> dict[str, str]:
    """What a peer's command may name."""
    return {
        "url": f"{setup.client_scheme}://{name_of(address)}",
        "listen": address,
        "upstream": setup.upstream,
        "cert": str(place.leaf.cert),
        "key": str(place.leaf.key),
        "ca": str(place.authority.cert),
        "state": str(state),
    }


def _filled(command: str, words: dict[str, str]) -> str:
    for name, value in words.items():
        command = command.replace("{" + name + "}", value)
    return command


def _started(place: Place, setup: Setup, address: str, launch: Callable[[], Process]) -> Proxy:
    begun = time.monotonic()
    return Proxy(f"{setup.client_scheme}://{name_of(address)}", address, launch(), begun)


def every(peers: Sequence[Peer]) -> list[Way]:
    """All ways, in the order of the table."""
    return [
        Straight(),
        Nginx(),
        DockerRegistry(cold=True),
        DockerRegistry(cold=False),
        Docxy(verify=True),
        Docxy(verify=False),
        *peers,
    ]
