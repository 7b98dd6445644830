"""
A docxy, started as its users start it: `twistd docxy` with a settings file.

Owns that file, the process and its log.  Knows docxy by its command line, its
settings and what it logs, and imports none of it.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .hub import DOCKER_HUB, GHCR, Hub, Registry
from .processes import Process, RigError, environment, run, wait_until, whole_lines

CHECKOUT = Path(__file__).resolve().parents[3]
TWISTD = Path(sys.executable).with_name("twistd")


@dataclass(frozen=True, slots=True)
class Plan:
    """
    How one docxy is to stand.

    ``url`` is what clients call it, ``listen`` its endpoints.  ``server``,
    ``limits``, ``access`` with its ``keys`` and ``upstreams`` are added to the
    settings of that name.
    """

    name: str
    url: str
    listen: Sequence[str]
    upstreams: Sequence[Mapping[str, Any]]
    server: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    tls: bool = True
    access: Mapping[str, Any] = field(default_factory=dict)
    keys: Sequence[Mapping[str, Any]] = ()


def tls_listener(address: str) -> str:
    """The endpoint of a docxy with TLS at that address."""
    return f"ssl:443:interface={address}"


def upstream(hub: Hub, registry: Registry, **more: Any) -> dict[str, Any]:
    """A registry of the rig as the settings name it; hosts in full, for they have loopback addresses."""
    return {
        "name": registry.name,
        "url": f"https://{registry.host}",
        "realm": registry.realm,
        "redirects": [registry.cdn],
        "ca": str(hub.authority.cert),
        **more,
    }


def both(hub: Hub) -> list[dict[str, Any]]:
    """Docker Hub, the default, and the second registry, which has a host name of its own."""
    return [upstream(hub, DOCKER_HUB), upstream(hub, GHCR, hosts=["ghcr.mirror.test"])]


def faulty(hub: Hub, **more: Any) -> list[dict[str, Any]]:
    """The upstream that does as a test tells it."""
    return [
        {
            "name": "faulty.test",
            "url": "https://faulty.test",
            "redirects": ["cdn.faulty.test", "*.wild.test"],
            "ca": str(hub.authority.cert),
            **more,
        }
    ]


def _toml(table: str, values: Mapping[str, Any]) -> str:
    """One table; every JSON string, number, boolean and list is TOML as well."""
    return "\n".join([table, *(f"{key} = {json.dumps(value)}" for key, value in values.items())]) + "\n"


def settings(hub: Hub, plan: Plan) -> str:
    """The text of docxy.toml."""
    server = {"listen": list(plan.listen), "public_url": [plan.url], "redirect": [], **plan.server}
    tables = [_toml("[server]", server), _toml("[log]", {"format": "json", "level": "debug"})]
    if plan.tls:
        tables.append(_toml("[tls]", {"cert": str(hub.leaf.cert), "key": str(hub.leaf.key)}))
    if plan.limits:
        tables.append(_toml("[limits]", plan.limits))
    if plan.access:
        tables.append(_toml("[access]", plan.access))
    tables += [_toml("[[access.key]]", key) for key in plan.keys]
    return "\n".join(tables + [_toml("[[upstream]]", one) for one in plan.upstreams])


class Mirror:
    """A running docxy."""

    def __init__(self, hub: Hub, plan: Plan) -> None:
        if not TWISTD.exists():
            raise RigError(f"no twistd beside {sys.executable}: the tests run in an environment with Twisted")
        self._hub = hub
        self.url = plan.url
        state = hub.state / f"mirror-{plan.name}"
        state.mkdir()
        self.config = state / "docxy.toml"
        self.config.write_text(settings(hub, plan))
        self.process: Process = hub.namespace.start(
            f"docxy {plan.name}",
            [str(TWISTD), "-n", "--pidfile=", f"--rundir={state}", "docxy", "--config", str(self.config)],
            state / "docxy.log",
            environment(HOME=str(state), PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1"),
        )
        try:
            self.process.ready(lambda: self._healthy(plan.url))
        except RigError:
            self.close()
            raise

    def _healthy(self, url: str) -> bool:
        ask = [
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--cacert",
            str(self._hub.authority.cert),
        ]
        done = run(self._hub.namespace.command([*ask, "--max-time", "5", f"{url}/health"]))
        return done.code == 0 and done.out in ("200", "404")  # 404: only below its secret path

    def said(self) -> str:
        """All that it has logged."""
        return self.process.said()

    def events(self) -> list[dict[str, Any]]:
        """Its access log: the events of requests, oldest first."""
        found = []
        for line in whole_lines(self.said()):
            if line.startswith("{"):
                event = json.loads(line)
                found += [event] if "repository" in event and "status" in event else []
        return found

    def served(self, **wanted: Any) -> list[dict[str, Any]]:
        """The events that have all these values."""
        return [event for event in self.events() if wanted.items() <= event.items()]

    def wait_served(self, **wanted: Any) -> dict[str, Any]:
        """The last event that has all these values, waited for."""
        wait_until(lambda: bool(self.served(**wanted)), f"{self.url} to log {wanted}")
        return self.served(**wanted)[-1]

    def peak_memory(self) -> int:
        """The most bytes of memory that it has held so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(kib) * 1024

    def hang_up(self) -> None:
        """Have it read its settings again."""
        self.process.signal(signal.SIGHUP)

    def close(self) -> None:
        """End it."""
        self.process.stop(40)
