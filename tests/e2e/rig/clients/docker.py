"""
dockerd and the docker command, which know ``registry-mirrors``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

from ..processes import Finished, RigError
from .seat import Seat, logins

_NO_NETWORK = (
    "--bridge=none",
    *(f"--{part}=false" for part in ("iptables", "ip6tables", "ip-forward", "ip-masq")),
)


class Docker:
    """A dockerd of its own with these mirrors; it pulls and runs nothing."""

    def __init__(self, seat: Seat, mirrors: Sequence[str]) -> None:
        self._seat = seat
        self.set_logins({})
        state = seat.folder("docker")
        config = seat.file("docker/daemon.json", json.dumps({"registry-mirrors": list(mirrors)}))
        self._socket = f"unix://{state}/sock"
        places = {
            "config-file": config,
            "host": self._socket,
            "pidfile": f"{state}/pid",
            "data-root": f"{state}/root",
            "exec-root": f"{state}/exec",
            "storage-driver": "vfs",
        }
        options = [f"--{name}={value}" for name, value in places.items()]
        self._daemon = seat.start("dockerd", ["dockerd", *options, *_NO_NETWORK])
        try:
            self._daemon.ready(lambda: self._docker("version").code == 0)
        except RigError:
            self.close()
            raise

    def _docker(self, *argv: str, given: str | None = None) -> Finished:
        config = str(self._seat.folder("dot-docker"))
        return self._seat.run(["docker", "-H", self._socket, *argv], given=given, DOCKER_CONFIG=config)

    def set_logins(self, accounts: dict[str, tuple[str, str]]) -> None:
        """Give it the user and password of each host, as ``docker login`` keeps them."""
        self._seat.file("dot-docker/config.json", logins(accounts))

    def login(self, host: str, user: str, password: str) -> Finished:
        """Log in to a host."""
        return self._docker("login", "-u", user, "--password-stdin", host, given=password)

    @property
    def version(self) -> tuple[int, ...]:
        """The daemon's version."""
        said = self._docker("version", "--format", "{{.Server.Version}}").check().out
        return tuple(int(part) for part in said.split("+")[0].strip().split("."))

    def attempt(self, name: str) -> Finished:
        """Pull and see how it goes."""
        return self._docker("pull", "-q", name)

    def pull(self, name: str) -> str:
        """The digest that a pull got; the image is removed. Raises `RigError` where it failed."""
        try:
            self.attempt(name).check()
            said = self._docker("image", "inspect", "-f", "{{json .RepoDigests}}", name).check().out
            return str(json.loads(said)[0]).rpartition("@")[2]
        finally:
            self._docker("rmi", "-f", name)

    def close(self) -> None:
        """Stop the daemon and forget what it held."""
        self._daemon.stop()
        shutil.rmtree(self._seat.folder("docker"), ignore_errors=True)
