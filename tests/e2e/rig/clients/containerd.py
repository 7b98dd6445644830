"""
containerd and ctr, which read hosts.toml.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from ..processes import Finished, RigError
from .seat import Seat

_CONFIG = """
version = 2
root = "{state}/root"
state = "{state}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{state}/sock"
"""
_SERVERS = {"docker.io": "https://registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Host:
    """The mirror of one registry, as hosts.toml names it."""

    url: str
    override_path: bool = False

    def text(self, registry: str) -> str:
        """The whole hosts.toml."""
        server = _SERVERS.get(registry, f"https://{registry}")
        override = "  override_path = true\n" if self.override_path else ""
        return f'server = "{server}"\n[host."{self.url}"]\n  capabilities = ["pull", "resolve"]\n{override}'


class Containerd:
    """A containerd of its own, and ctr."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        state = seat.folder("containerd")
        self._socket = state / "sock"
        config = seat.file("containerd/config.toml", _CONFIG.format(state=state))
        self._daemon = seat.start("containerd", ["containerd", "-c", str(config)])
        self._daemon.ready(lambda: self._ctr("version").code == 0)

    def _ctr(self, *argv: str) -> Finished:
        return self._seat.run(["ctr", "-a", str(self._socket), *argv])

    def _hosts(self, hosts: Mapping[str, Host]) -> str:
        folder = self._seat.folder("certs.d")
        shutil.rmtree(folder)
        for registry, host in hosts.items():
            self._seat.file(f"certs.d/{registry}/hosts.toml", host.text(registry))
        return str(folder)

    def pull(self, name: str, hosts: Mapping[str, Host], *options: str) -> str:
        """The digest that a pull got; the image is removed. Raises `RigError` where it failed."""
        pull = [
            "images",
            "pull",
            "--hosts-dir",
            self._hosts(hosts),
            "--snapshotter",
            "native",
            *options,
            name,
        ]
        try:
            done = self._ctr(*pull)
            if done.code:
                raise RigError(
                    f"ctr {' '.join(pull)}: exit {done.code}\n{done.out[-1500:]}\n{done.err[-1500:]}"
                )
            return self._digest(name)
        finally:
            self._ctr("images", "rm", "--sync", name)

    def _digest(self, name: str) -> str:
        for line in self._ctr("images", "ls").check().out.splitlines():
            words = line.split()
            if words and words[0] == name:
                return words[2]
        raise RigError(f"ctr pulled {name} and does not list it")

    def close(self) -> None:
        """Stop the daemon."""
        self._daemon.stop()
