"""
On what a run was made: the machine, and the versions of all that took part.

Owns no measurement; what cannot be found out is left out.
"""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from docxy import __version__
from tests.e2e.rig.processes import environment

_CHECKOUT = Path(__file__).resolve().parent.parent
_COMMANDS = {
    "nginx": ["nginx", "-v"],
    "docker-registry": ["docker-registry", "--version"],
    "skopeo": ["skopeo", "--version"],
    "curl": ["curl", "--version"],
    "wrk": ["wrk", "-v"],
    "openssl": ["openssl", "version"],
}
_VERSION = re.compile(r"\d+\.\d+[\w.+~-]*")


def value_of(lines: Iterable[str], key: str) -> str:
    """What stands behind the colon of the first line that begins so; empty where none does."""
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(key))
    return next(found, "")


def machine() -> dict[str, str]:
    """Its processor, memory, kernel and distribution."""
    cpu = Path("/proc/cpuinfo").read_text().splitlines()
    memory = value_of(Path("/proc/meminfo").read_text().splitlines(), "MemTotal").split()[0]
    return {
        "processor": value_of(cpu, "model name") or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory) / (1 << 20):.1f} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
        "load at start": f"{os.getloadavg()[0]:.2f}",
    }


def versions() -> dict[str, str]:
    """Of docxy and what it runs on, and of the programs beside it."""
    found = {
        "docxy": __version__,
        "commit": told_by(["git", "-C", str(_CHECKOUT), "describe", "--always", "--dirty"]),
    }
    found |= {name: version(name) for name in ("twisted", "pyopenssl", "cryptography")}
    found |= {"python": platform.python_version(), "python's openssl": ssl.OPENSSL_VERSION.split()[1]}
    return found | {name: told(argv) for name, argv in _COMMANDS.items()}


def told(argv: list[str]) -> str:
    """The first version number in what a command prints; empty where there is none."""
    found = _VERSION.search(told_by(argv))
    return found.group() if found else ""


def told_by(argv: list[str]) -> str:
    """What a command prints; empty where there is no such command."""
    try:
        done = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        return ""
    return (done.stdout + done.stderr).strip()


def today() -> str:
    """The day of the run."""
    return datetime.now(UTC).date().isoformat()
