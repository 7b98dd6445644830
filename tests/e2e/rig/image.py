"""
docxy's container image: built by buildah without a registry, and run by podman.

The base is a fresh Debian with Python, given to the Dockerfile as its BASE.
Owns a store of its own; knows docxy by its Dockerfile alone.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from .mirror import CHECKOUT
from .namespace import Namespace
from .processes import Finished, environment, run
from .release import root_folder

NAME = "localhost/docxy"
_BASE = "localhost/base"
_PACKAGES = ("ca-certificates", "python3", "python3-venv")
# Not every machine can raise limits, or has a cgroup that counts processes.
_CONTAINERS = """
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]
pids_limit = 0
"""


class Image:
    """The image in a store in ``state``, whose path must be short."""

    def __init__(self, state: Path) -> None:
        state.mkdir()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        (state / "containers.conf").write_text(_CONTAINERS.format(files=files))
        self._env = environment(CONTAINERS_CONF=str(state / "containers.conf"), HOME=str(state))
        self._places = [
            "--root",
            str(state / "root"),
            "--runroot",
            str(state / "run"),
            "--storage-driver=vfs",
        ]
        self._base(root_folder("bookworm", _PACKAGES, state, "container-base"))
        self._buildah(
            *("build", "--isolation=chroot", "--network=host", "--format=docker"),
            *("--build-arg", f"BASE={_BASE}", "--tag", NAME, str(CHECKOUT)),
        )

    def _base(self, root: Path) -> None:
        """A base that reaches PyPI as this machine does."""
        for file in [Path("/etc/pip.conf"), *Path("/usr/local/share/ca-certificates").glob("*.crt")]:
            if file.exists():
                there = root / file.relative_to("/")
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, there)
        run(["chroot", str(root), "update-ca-certificates"]).check()
        container = self._buildah("from", "scratch").out.strip()
        self._buildah("copy", "--quiet", container, str(root), "/")
        self._buildah("commit", "--quiet", container, _BASE)
        self._buildah("rm", container)

    def _buildah(self, *words: str) -> Finished:
        return run(["buildah", *self._places, *words], self._env, 900).check()

    def podman(self, namespace: Namespace, *words: str, seconds: float = 180) -> Finished:
        """A podman command; runc, for crun refuses machines whose cgroups are of both versions."""
        command = ["podman", "--runtime=runc", "--cgroup-manager=cgroupfs", *self._places, *words]
        return namespace.run(command, self._env, seconds)


class Container:
    """docxy in a container with its namespace's network and no right, which writes to its volumes alone."""

    def __init__(
        self,
        image: Image,
        namespace: Namespace,
        name: str,
        variables: Mapping[str, str],
        volumes: Sequence[str] = (),
    ) -> None:
        self._image = image
        self._namespace = namespace
        self._name = name
        rights = [
            "--read-only",
            "--read-only-tmpfs=false",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
        ]
        given = [
            *(f"--env={key}={value}" for key, value in variables.items()),
            *(f"--volume={one}" for one in volumes),
        ]
        self.podman("run", "--detach", f"--name={name}", "--network=host", *rights, *given, NAME).check()

    def podman(self, *words: str) -> Finished:
        """A podman command."""
        return self._image.podman(self._namespace, *words)

    def inspect(self, what: str) -> str:
        """A value of its description, by a Go template's path."""
        return self.podman("inspect", f"--format={{{{{what}}}}}", self._name).check().out.strip()

    def said(self) -> str:
        """What it has written."""
        done = self.podman("logs", self._name).check()
        return done.out + done.err

    def healthy(self) -> Finished:
        """The image's own check, once."""
        return self.podman("healthcheck", "run", self._name)

    def stop(self, seconds: int = 45) -> None:
        """Stop it, and return when it has."""
        self.podman("stop", f"--time={seconds}", self._name).check()

    def close(self) -> None:
        """Remove it."""
        self.podman("rm", "--force", "--time=3", self._name).check()
