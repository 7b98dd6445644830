"""
What `docxy client-config` prints, given to real clients as it is: they pull through the mirror by it.

The clients' network reaches no registry: there is nothing to fall back to.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from textwrap import dedent

import pytest

from .conftest import Seats
from .rig.clients import Containerd, Containers, Docker, Host
from .rig.hub import Hub
from .rig.mirror import CHECKOUT, Mirror
from .rig.processes import environment, run
from .test_check import DOCXY
from .test_docker import FIRST_WITH_PATH
from .test_pull import FAMILY, Tool, expected

HOSTS_TOML = "/etc/containerd/certs.d/{}/hosts.toml"


@dataclass(frozen=True, slots=True)
class Printed(Host):
    """A hosts.toml as it was printed; its ``url`` is unused."""

    whole: str = ""

    def text(self, registry: str) -> str:
        """All of it."""
        return self.whole


def printed(hub: Hub, mirror: Mirror, client: str) -> str:
    """What is printed for this client."""
    there = environment(PYTHONPATH=str(CHECKOUT), PYTHONDONTWRITEBYTECODE="1", PYTHONUTF8="1")
    words = ["client-config", "--config", str(mirror.config), client]
    said = hub.namespace.run([sys.executable, "-c", DOCXY, *words], there, 60).check().out
    print(said)
    return said


def files_in(said: str) -> dict[str, str]:
    """The files that are to be written, by their paths."""
    return {path: dedent(text) for path, text in re.findall(r"^(/\S+):\n\n((?:    .*\n|\n)+)", said, re.M)}


@pytest.fixture(params=["mirror", "secret"])
def shown(request: pytest.FixtureRequest) -> Mirror:
    """A mirror that everybody may use, and one with a secret path; both have two registries."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Mirror)
    return found


def test_containerd(hub: Hub, shown: Mirror, containerd: Containerd) -> None:
    """ctr pulls from both registries by the folders that were printed."""
    files = files_in(printed(hub, shown, "containerd"))
    hosts = {name: Printed("", whole=files[HOSTS_TOML.format(name)]) for name in ("docker.io", "ghcr.io")}
    assert len(files) == len(hosts)
    for wanted in (hub.images.alpine, hub.images.app):
        assert containerd.pull(wanted.name, hosts) == wanted.digest


@pytest.mark.parametrize("tool", FAMILY)
def test_containers(hub: Hub, shown: Mirror, seat: Seats, tool: Tool) -> None:
    """podman, skopeo and buildah pull from both registries by the file that was printed."""
    (text,) = files_in(printed(hub, shown, "podman")).values()
    place = seat(f"printed-{tool}")
    client = Containers(place, tool, {})
    place.file("registries.conf", text)
    for wanted in (hub.images.alpine, hub.images.app):
        assert client.pull(wanted.name) in expected(tool, wanted)


def test_docker(hub: Hub, shown: Mirror, seat: Seats) -> None:
    """docker pulls from Docker Hub by the file that was printed; before 25 perhaps by the name that was."""
    said = printed(hub, shown, "docker")
    (text,) = files_in(said).values()
    mirrors, name = json.loads(text)["registry-mirrors"], hub.images.alpine.name
    version = run(["dockerd", "--version"]).check().out.split()[2]
    if shown.url != mirrors[0] and int(version.split(".")[0]) < FIRST_WITH_PATH[0]:
        (name,) = re.findall(r"^  docker pull (\S+/library/alpine)$", said, re.M)
        mirrors = []
    docker = Docker(seat("printed-docker"), mirrors)
    try:
        assert docker.pull(name) == hub.images.alpine.digest
    finally:
        docker.close()
