"""
A certificate authority that speaks ACME: Debian's pebble, with its own test server for DNS.

Owns their settings, their processes and their ports, all on loopback, which may
be a namespace's.  Pebble asks for proofs on the ports that it is told, and
refuses good nonces by chance.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .daemon import free_port
from .hub import require
from .namespace import Namespace
from .pki import Authority
from .processes import Process, RigError, environment

FAULTS = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "30", "PEBBLE_AUTHZREUSE": "0"}
BLOCKED = "blocked.example.com"
"""A name that it does not issue for."""

KID, HMAC = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


class Pebble:
    """
    One authority; ``http`` and ``tls`` are where it looks for proofs.

    ``more`` are settings of its own.  With ``bound`` accounts need the key
    identifier `KID` and the key `HMAC`.
    """

    def __init__(
        self, folder: Path, bound: bool = False, namespace: Namespace | None = None, **more: Any
    ) -> None:
        require(("pebble", "pebble-challtestsrv"))
        folder.mkdir()
        self._folder = folder
        self._namespace = namespace
        self._authority = Authority(folder / "pki")
        self._leaf = self._authority.issue("pebble", ["localhost", "127.0.0.1"])
        self._more = more
        self._bound = bound
        self.http, self.tls = free_port(), free_port()
        self.port, self._management, self._dns, self._dns_management = (free_port() for _ in range(4))
        self.directory = f"https://localhost:{self.port}/dir"
        self._processes: list[Process] = []
        try:
            self._start_dns()
            self._start()
        except RigError:
            self.close()
            raise

    def server_context(self) -> ssl.SSLContext:
        """What a server needs that stands before its directory."""
        return self._leaf.server_context()

    @property
    def ca(self) -> Path:
        """What its directory's TLS is believed by."""
        return self._authority.cert

    def _start_dns(self) -> None:
        none = [f"-{name}=" for name in ("http01", "https01", "tlsalpn01", "defaultIPv6")]
        ports = [f"-dns01=127.0.0.1:{self._dns}", f"-management=127.0.0.1:{self._dns_management}"]
        started = self._run("challtestsrv", ["pebble-challtestsrv", *none, *ports], "dns.log", environment())
        started.ready(lambda: "Starting management server" in started.said())

    def _start(self) -> None:
        config = self._folder / "pebble.json"
        values: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(self._leaf.cert),
            "privateKey": str(self._leaf.key),
            "httpPort": self.http,
            "tlsPort": self.tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": self._bound,
            "externalAccountMACKeys": {KID: HMAC} if self._bound else {},
            "domainBlocklist": [BLOCKED],
            **self._more,
        }
        config.write_text(json.dumps({"pebble": values}))
        command = ["pebble", "-strict", "-config", str(config), "-dnsserver", f"127.0.0.1:{self._dns}"]
        started = self._run("pebble", command, "pebble.log", environment(**FAULTS))
        started.ready(self._answers)

    def _run(self, name: str, argv: Sequence[str], log: str, env: Mapping[str, str]) -> Process:
        file = self._folder / log
        if self._namespace is None:
            started = Process(name, argv, file, env)
        else:
            started = self._namespace.start(name, argv, file, env)
        self._processes.append(started)
        return started

    def _answers(self) -> bool:
        try:
            self.root()
        except OSError:
            return False
        return True

    def lose(self, host: str) -> None:
        """Let its DNS fail for ``host``."""
        self._tell("set-servfail", {"host": host})

    def find(self, host: str) -> None:
        """Let its DNS answer for ``host`` again."""
        self._tell("clear-servfail", {"host": host})

    def _tell(self, path: str, what: Mapping[str, Any]) -> None:
        url = f"http://127.0.0.1:{self._dns_management}/{path}"
        self._ask(url, json.dumps(what).encode())

    def root(self) -> str:
        """The root of what it issues, in PEM."""
        context = ssl.create_default_context(cafile=str(self.ca))
        url = f"https://localhost:{self._management}/roots/0"
        return self._ask(url, context=context)

    def _ask(self, url: str, given: bytes | None = None, context: ssl.SSLContext | None = None) -> str:
        def asked() -> str:
            with urllib.request.urlopen(url, given, timeout=10, context=context) as answer:
                return str(answer.read().decode())

        return asked() if self._namespace is None else self._namespace.inside(asked)

    def client_context(self) -> ssl.SSLContext:
        """What a client that trusts this authority alone needs."""
        return ssl.create_default_context(cadata=self.root())

    def said(self) -> str:
        """Its log."""
        return self._processes[-1].said()

    def count(self, path: str) -> int:
        """How often it was asked there, by POST."""
        return self.said().count(f"POST /{path} ")

    def restart(self) -> None:
        """Start it anew: it has forgotten every account."""
        self._processes.pop().stop()
        self._start()

    def close(self) -> None:
        """End both."""
        for process in self._processes:
            process.stop()
