"""
A Debian machine to run `install.sh` on, with what it is given in /srv and a registry beside it.

Knows docxy by its packages alone, and `install.sh` by its options.
"""

from __future__ import annotations

import functools
import http.client
import http.server
import shlex
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .machines import Init, Machine, machine
from .mirror import CHECKOUT
from .paced import DIGEST, NAME, PacedRegistry
from .package import needs, wheels
from .pki import Authority, Leaf
from .processes import Finished, environment
from .waiting import serving
from .writer import sha256

HOST = "mirror.test"
PAIR = ("--cert", "/srv/chain.pem", "--key", "/srv/key.pem")


@dataclass(frozen=True, slots=True)
class Place:
    """A machine with install.sh, docxy's package and a certificate in /srv, and a registry beside it."""

    machine: Machine
    registry: PacedRegistry
    package: Path
    scratch: Path
    authority: Authority
    leaf: Leaf

    def install(self, *options: str) -> Finished:
        """Run install.sh where there is no terminal."""
        return self.machine.run("/srv/install.sh", *options)

    def answer(self, said: str, *options: str) -> Finished:
        """Run install.sh at a terminal, and say these lines there."""
        (self.machine.root / "srv/said").write_text(said)
        command = shlex.quote(shlex.join(["/srv/install.sh", *options]))
        return self.machine.run(
            "sh", "-c", f"script --quiet --return --command {command} /dev/null </srv/said"
        )

    @property
    def deb(self) -> tuple[str, str]:
        """The options that name the package."""
        return ("--package", f"/srv/{self.package.name}")

    @property
    def upstream(self) -> tuple[str, str]:
        """The options that name the registry."""
        return ("--upstreams", f"rig.test={self.registry.url}")

    @property
    def settings(self) -> str:
        """What was written."""
        return (self.machine.root / "etc/docxy/docxy.toml").read_text()

    def processes(self) -> list[str]:
        """The service's process, by its id."""
        return self.machine.run("pgrep", "-u", "docxy").out.split()

    def pull(self, trusted: Path | None = None) -> None:
        """An image comes through, over TLS that the authority vouches for."""
        target = self.scratch / "pulled"
        command = ["skopeo", "--insecure-policy", "copy", f"docker://{HOST}/{NAME}", f"dir:{target}"]
        trusting = {"SSL_CERT_FILE": str(trusted or self.authority.cert), "SSL_CERT_DIR": "/nonexistent"}
        self.machine.namespace.run(command, environment(HOME="/nonexistent", **trusting)).check()
        assert sha256((target / "manifest.json").read_bytes()) == DIGEST
        shutil.rmtree(target)

    def ask(self, **headers: str) -> int:
        """The status of the mirror's answer to a client with these headers."""
        connection = http.client.HTTPSConnection(HOST, timeout=20)
        plain = self.machine.namespace.connect("127.0.0.1", 443, 20)
        connection.sock = self.authority.client_context().wrap_socket(plain, server_hostname=HOST)
        try:
            connection.request(
                "GET", "/v2/", headers={name.replace("_", "-"): headers[name] for name in headers}
            )
            return connection.getresponse().status
        finally:
            connection.close()

    def offline(self, python: str = "3.11") -> list[str]:
        """The variables by which the pip of that Python takes what it needs from the machine itself."""
        shutil.copytree(wheels(self.scratch, python), self.machine.root / "srv/wheels")
        return ["PIP_NO_INDEX=1", "PIP_FIND_LINKS=/srv/wheels"]

    @contextmanager
    def web(self) -> Iterator[str]:
        """A web server with TLS for the files in ``scratch``; its URL."""
        server = self.machine.namespace.inside(self._web)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"https://{HOST}:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()

    def _web(self) -> http.server.ThreadingHTTPServer:
        handler = functools.partial(_Files, directory=str(self.scratch))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.socket = self.leaf.server_context().wrap_socket(server.socket, server_side=True)
        return server


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def furnished(
    init: Init, scratch: Path, package: Path, authority: Authority, suite: str = "bookworm"
) -> Iterator[Place]:
    """A fresh machine of that release; the package is one for it, if it is to be installed there."""
    leaf = authority.issue("leaf", [HOST])
    other = authority.issue("other", [HOST])
    tools = ["curl", "nginx-light", "procps", "python3-venv"]
    with machine(suite, init, [*needs(package), *tools], scratch) as made:
        there = made.root / "srv"
        for file, name in (
            (package, package.name),
            (CHECKOUT / "install.sh", "install.sh"),
            (leaf.cert, "chain.pem"),
            (leaf.key, "key.pem"),
            (other.key, "other.pem"),
            (authority.cert, "ca.pem"),
        ):
            shutil.copy(file, there / name)
        made.run("sh", "-c", f"echo 127.0.0.1 localhost {HOST} >/etc/hosts").check()
        (made.namespace.state / "hosts").write_text(f"127.0.0.1 localhost {HOST}\n")
        with serving(made.namespace.inside(PacedRegistry)) as registry:
            registry.go.set()
            yield Place(made, registry, package, scratch, authority, leaf)
