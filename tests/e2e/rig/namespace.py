"""
A network of the rig's own: namespaces with their own hosts file, joined by a wire.

Owns one network and one mount namespace each, held by a process and gone with
it; nothing is written under /etc or /run/netns.  Knows nothing of registries.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from .processes import Finished, Process, RigError, environment, run

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000
_FRAME = 14 + 20 + 32  # bytes of the headers of Ethernet, IPv4, and TCP with its timestamps
_HOLD = """
set -e
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/resolv.conf" "$(readlink -f /etc/resolv.conf)"
ip link set lo up
echo ready
exec sleep infinity
"""


class Namespace:
    """Where processes run that may meet each other and nobody else."""

    def __init__(self, name: str, state: Path, hosts: Mapping[str, Sequence[str]]) -> None:
        if os.geteuid() != 0:
            raise RigError("the end-to-end tests make network namespaces and need root")
        self.name = name
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        lines = ["127.0.0.1 localhost", *(f"{address} {' '.join(names)}" for address, names in hosts.items())]
        (state / "hosts").write_text("\n".join(lines) + "\n")
        (state / "resolv.conf").write_text("")  # other names are unknown at once
        self._holder = self._hold()

    def _hold(self) -> subprocess.Popen[str]:
        holder = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "unshare",
                "--net",
                "--mount",
                "sh",
                "-c",
                _HOLD,
                "sh",
                str(self.state),
            ],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None and holder.stderr is not None
        if holder.stdout.readline() != "ready\n":
            raise RigError(f"no namespace {self.name}: {holder.stderr.read()}")
        return holder

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command that runs ``argv`` in here; its paths must be absolute."""
        # In a chroot nsenter leaves behind a working directory that is outside of the root.
        there = ["env", f"--chdir={Path.cwd()}"]
        return ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", "--root", "--", *there, *argv]

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        seconds: float = 180,
        given: str | None = None,
    ) -> Finished:
        """Run a command in here to its end."""
        return run(self.command(argv), env, seconds, given)

    def start(
        self, name: str, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a daemon in here."""
        return Process(name, self.command(argv), log, env)

    def inside(self, function: Callable[[], _T]) -> _T:
        """Call ``function`` in a thread that is in here: sockets it makes stay in here."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._entered, function).result()

    def _entered(self, function: Callable[[], _T]) -> _T:
        libc = ctypes.CDLL(None, use_errno=True)
        there = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY)
        try:
            if libc.setns(there, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(there)
        return function()

    def listen(self, address: str, port: int) -> socket.socket:
        """A listening socket in here."""
        return self.inside(lambda: socket.create_server((address, port), backlog=256))

    def connect(self, address: str, port: int, seconds: float = 60) -> socket.socket:
        """A socket in here, connected."""
        return self.inside(lambda: socket.create_connection((address, port), seconds))

    def loopback_bytes(self) -> int:
        """What TCP carried over the loopback device in here so far: how many packets it took is chance."""
        rows = self.inside(lambda: Path("/proc/thread-self/net/dev").read_text()).splitlines()
        _, size, packets = next(row.split()[:3] for row in rows if row.split()[0] == "lo:")
        return int(size) - _FRAME * int(packets)

    def answers(self, address: str, port: int) -> bool:
        """Whether somebody listens there."""
        try:
            self.connect(address, port, 2).close()
        except OSError:
            return False
        return True

    def wire(self, other: Namespace, here: Sequence[str], there: Sequence[str], network: int = 24) -> None:
        """Join this namespace to another by one link, with these addresses at the two ends."""
        self._ip(
            "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", str(other._holder.pid)
        )
        for end, addresses in ((self, here), (other, there)):
            for address in addresses:
                end._ip("address", "add", f"{address}/{network}", "dev", "wire")
            end._ip("link", "set", "wire", "up")

    def _ip(self, *argv: str) -> None:
        self.run(["ip", *argv]).check()

    def close(self) -> None:
        """End the holder; the namespace goes with its last process."""
        self._holder.kill()
        self._holder.communicate()
