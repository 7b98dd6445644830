"""
Where a client sits: a namespace, a folder for its state, and whom it trusts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..namespace import Namespace
from ..processes import Finished, Process, environment


@dataclass(frozen=True, slots=True)
class Seat:
    """
    One client's place.

    ``root`` is the root folder of another release whose programs are meant,
    with ``state`` mounted at the same path inside.
    """

    namespace: Namespace
    state: Path
    ca: Path
    root: Path | None = None

    def folder(self, name: str) -> Path:
        """A folder of the client's own, made if missing."""
        made = self.state / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    def file(self, name: str, text: str) -> Path:
        """A file of the client's own with this text."""
        path = self.state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def _command(self, argv: Sequence[str]) -> list[str]:
        return ["chroot", str(self.root), *argv] if self.root else list(argv)

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of its programs: they trust the rig's authority and keep to its folder."""
        return environment(
            HOME=str(self.folder("home")),
            TMPDIR=str(self.folder("tmp")),
            XDG_RUNTIME_DIR=str(self.folder("runtime")),
            SSL_CERT_FILE=str(self.ca),
            SSL_CERT_DIR="/nonexistent",
            **more,
        )

    def run(
        self, argv: Sequence[str], seconds: float = 120, given: str | None = None, **env: str
    ) -> Finished:
        """Run one of its programs to the end."""
        return self.namespace.run(self._command(argv), self.environment(**env), seconds, given)

    def start(self, name: str, argv: Sequence[str], **env: str) -> Process:
        """Start one of its daemons, the output in its folder."""
        return self.namespace.start(
            name, self._command(argv), self.folder("log") / f"{name}.log", self.environment(**env)
        )


def logins(accounts: dict[str, tuple[str, str]]) -> str:
    """The JSON in which docker and podman keep the user and password of each host."""
    auths = {
        host: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
        for host, (user, password) in accounts.items()
    }
    return json.dumps({"auths": auths})
