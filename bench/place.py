"""
Where the bench runs: one network namespace with the origin in it, and a folder for everybody's state.

Owns the namespace, the certificates, the content and the origin's nginx; proxies and clients are
started in here by others. Everybody meets on the namespace's own loopback.
"""

from __future__ import annotations

import itertools
import resource
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

from bench import origin
from bench.content import Content
from tests.e2e.rig.namespace import Namespace
from tests.e2e.rig.pki import Authority
from tests.e2e.rig.processes import Process, environment

_DOMAIN = "proxies.test"
ADDRESSES = [f"127.0.99.{number}" for number in range(1, 250)]  # of proxies, each started anew at the next


def name_of(address: str) -> str:
    """The host name of a proxy's address."""
    return f"proxy{address.rpartition('.')[2]}.{_DOMAIN}"


class Place:
    """The namespace, the origin and the content; ``small`` is whether sizes are those of a quick run."""

    def __init__(self, state: Path, layers: Sequence[int], small: bool = False) -> None:
        self.state = state
        self.small = small
        self._closing = ExitStack()
        self._addresses = itertools.cycle(ADDRESSES)
        self._folders = itertools.count(1)
        _open_files()
        try:
            self._start(layers)
        except BaseException:
            self.close()
            raise

    def _start(self, layers: Sequence[int]) -> None:
        origins = {address: names for one in origin.ORIGINS for address, names in one.hosts().items()}
        hosts = origins | {address: [name_of(address)] for address in ADDRESSES}
        self.namespace = self._closing.enter_context(
            closing(Namespace("bench", self.state / "namespace", hosts))
        )
        self.authority = Authority(self.state / "pki")
        self.leaf = self.authority.issue("leaf", [f"*.{_DOMAIN}"])
        shown = self.authority.issue("origin", [name for names in origins.values() for name in names])
        self.content = Content(self.state / "content", layers)
        for one in origin.FOREIGN:
            cdn = origin.breaking(self.namespace, shown, one, self.content)
            self._closing.enter_context(cdn)
        state = self.folder("origin")
        config = state / "nginx.conf"
        config.write_text(origin.configuration(state, shown, self.content))
        process = self.start("origin", ["nginx", "-e", "stderr", "-p", str(state), "-c", str(config)], state)
        self._closing.callback(process.stop)
        process.ready(partial(self.namespace.answers, origin.FAST.registry, 443))

    def folder(self, name: str) -> Path:
        """A new folder for somebody's state."""
        made = self.state / f"{next(self._folders)}-{name.replace(' ', '-')}"
        made.mkdir()
        return made

    def address(self) -> str:
        """An address for a proxy; its name is `name_of` it."""
        return next(self._addresses)

    def start(self, name: str, argv: Sequence[str], state: Path, **more: str) -> Process:
        """Start a process with its output and home in a folder; it trusts our authority."""
        env = environment(HOME=str(state), SSL_CERT_FILE=str(self.authority.cert), **more)
        return self.namespace.start(name, argv, state / "output.log", env)

    def close(self) -> None:
        """Stop what it started."""
        self._closing.close()


def _open_files() -> None:
    """Thousand clients need more files than a shell allows; what is started inherits the limit."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
