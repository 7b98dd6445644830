"""
Small Debian machines to install a package on: a chroot that has no init, and one booted by its own systemd.

Each lives in a namespace of its own: its loopback is nobody else's, and it
reaches nothing.  Owns how commands get in there; knows nothing of docxy.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from .namespace import Namespace
from .processes import Finished, environment, run, wait_until
from .release import root_folder

Init = Literal["init", "systemd"]

_SYSTEMD = ("dbus", "systemd-sysv")
_KERNEL = ("proc", "sys", "dev")
_PASSING = {*_KERNEL, "run", "tmp", "var/cache", "var/lib/apt"}
# Not every machine can raise limits, or has a cgroup that counts processes.
_CONTAINERS = """
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]
pids_limit = 0
"""


class Machine(ABC):
    """One machine: its root folder and its network."""

    init: Init

    def __init__(self, root: Path, namespace: Namespace) -> None:
        self.root = root
        self.namespace = namespace

    @abstractmethod
    def run(self, *argv: str, seconds: float = 180) -> Finished:
        """Run a command in there, as root, to its end."""

    @abstractmethod
    def close(self) -> None:
        """Switch it off."""

    def files(self) -> set[str]:
        """All its files and folders, but for what belongs to a kernel, a running system or a cache."""
        found: set[str] = set()
        for folder, folders, files in os.walk(self.root):
            here = os.path.relpath(folder, self.root)
            inside = {name: os.path.normpath(f"{here}/{name}") for name in (*folders, *files)}
            folders[:] = [name for name in folders if inside[name] not in _PASSING]
            found |= set(inside.values())
        return found


# The first process of a machine without an init: it takes up what daemons leave behind.
_FIRST = """
import contextlib, os, signal, subprocess, sys
subprocess.run(["mount", "-t", "proc", "proc", sys.argv[1] + "/proc"], check=True)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
print("ready", flush=True)
while True:
    signal.sigwait([signal.SIGCHLD])
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
"""


class Chroot(Machine):
    """No init runs: packages start their services by init scripts."""

    init: Init = "init"

    def __init__(self, root: Path, namespace: Namespace) -> None:
        super().__init__(root, namespace)
        for folder in ("sys", "dev"):
            namespace.run(["mount", "--rbind", f"/{folder}", f"{root}/{folder}"]).check()
        # Without an init packages start nothing, unless the machine's policy says so.
        policy = root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 0\n")
        policy.chmod(0o755)
        first = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", _FIRST, str(root)]
        self._init = namespace.start("first process", first, namespace.state / "first.log")
        self._init.ready(lambda: "ready" in self._init.said())
        # unshare has one child.
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children")
        self._first = int(children.read_text())

    def run(self, *argv: str, seconds: float = 180) -> Finished:
        """In the chroot."""
        env = environment(HOME="/root", DEBIAN_FRONTEND="noninteractive")
        enter = ["nsenter", f"--pid=/proc/{self._first}/ns/pid", "chroot", str(self.root)]
        return self.namespace.run([*enter, *argv], env, seconds)

    def close(self) -> None:
        """With the first process all others end."""
        self._init.signal(signal.SIGKILL)
        self._init.wait()


class Booted(Machine):
    """systemd is the first process, in a podman container: units really start."""

    init: Init = "systemd"

    def __init__(self, root: Path, namespace: Namespace) -> None:
        super().__init__(root, namespace)
        state = namespace.state
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        (state / "containers.conf").write_text(_CONTAINERS.format(files=files))
        self._env = environment(CONTAINERS_CONF=str(state / "containers.conf"), HOME=str(state))
        places = ["--root", str(state / "root"), "--runroot", str(state / "run"), "--storage-driver", "vfs"]
        # runc, for crun refuses machines whose cgroups are of both versions.
        self._podman = ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", *places]
        rights = [
            "--cap-add=SYS_ADMIN",
            "--security-opt=seccomp=unconfined",
            "--security-opt=apparmor=unconfined",
        ]
        boot = ["run", "--detach", "--name=machine", "--systemd=always", "--network=host", *rights]
        namespace.run([*self._podman, *boot, "--rootfs", str(root), "/sbin/init"], self._env).check()
        wait_until(self._is_up, "systemd to boot", 60)

    def _is_up(self) -> bool:
        return self.run("systemctl", "is-system-running").out.strip() in ("running", "degraded")

    def run(self, *argv: str, seconds: float = 180) -> Finished:
        """In the container."""
        enter = ["exec", "--env=DEBIAN_FRONTEND=noninteractive", "--env=LANG=C.UTF-8", "machine"]
        return self.namespace.run([*self._podman, *enter, *argv], self._env, seconds)

    def close(self) -> None:
        """Switch it off."""
        self.namespace.run([*self._podman, "rm", "--force", "--time=3", "machine"], self._env).check()


@contextmanager
def machine(suite: str, init: Init, packages: Sequence[str], scratch: Path) -> Iterator[Machine]:
    """A fresh machine of that release with these packages, and what its init needs."""
    kind: type[Machine] = Booted if init == "systemd" else Chroot
    wanted = (*packages, *(_SYSTEMD if init == "systemd" else ()))
    made = root_folder(suite, wanted, scratch, f"base-{zlib.crc32(' '.join(wanted).encode()):08x}")
    scratch.mkdir(parents=True, exist_ok=True)
    # A home of its own: what an earlier one left is neither copied into nor taken for this one's.
    home = Path(tempfile.mkdtemp(prefix=f"{suite}-", dir=scratch))
    root = home / "machine"
    run(["cp", "--archive", "--reflink=auto", str(made), str(root)]).check()
    namespace = Namespace(f"{suite}-{init}", home, {})
    try:
        started = kind(root, namespace)
        try:
            yield started
        finally:
            started.close()
    finally:
        namespace.close()
