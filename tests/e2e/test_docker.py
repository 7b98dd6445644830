"""
docker pulls through docxy: by registry-mirrors, and with the mirror named as the registry.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import SECRET, Seats
from .rig.clients import Docker
from .rig.hub import PASSWORD, USER, Hub
from .rig.mirror import Mirror
from .rig.processes import RigError, run
from .test_pull import IMAGES, image

FIRST_WITH_ZSTD = (23,)
FIRST_WITH_PATH = (25,)  # in registry-mirrors


@pytest.fixture(scope="module")
def docker(mirror: Mirror, seat: Seats) -> Iterator[Docker]:
    """A daemon whose registry-mirrors names the mirror."""
    started = Docker(seat("docker"), ["https://mirror.test"])
    yield started
    started.close()


@pytest.fixture
def nobody(docker: Docker) -> Iterator[Docker]:
    """The daemon with nobody logged in, before and after."""
    docker.set_logins({})
    yield docker
    docker.set_logins({})


@pytest.mark.parametrize("name", IMAGES)
def test_registry_mirrors(hub: Hub, mirror: Mirror, nobody: Docker, name: str) -> None:
    """Every shape of image arrives through the mirror; what an old docker cannot unpack, it got whole."""
    wanted = image(hub, name)
    if name != "zstd" or nobody.version >= FIRST_WITH_ZSTD:
        assert nobody.pull(wanted.name) == wanted.digest
        return
    assert nobody.attempt(wanted.name).code != 0
    for layer in wanted.layers:
        assert mirror.served(reference=layer.digest, status=200, bytes=layer.size)


def test_hub_login_reaches_the_hub(hub: Hub, nobody: Docker) -> None:
    """A login to Docker Hub, which docker sends to the mirror's token endpoint, opens a private image."""
    wanted = hub.images.private
    assert nobody.attempt(wanted.name).code != 0
    nobody.set_logins({"https://index.docker.io/v1/": (USER, PASSWORD)})
    assert nobody.pull(wanted.name) == wanted.digest


def test_login_to_the_mirror(hub: Hub, nobody: Docker) -> None:
    """`docker login mirror.test` takes the Docker Hub password, and opens a private image."""
    wanted = hub.images.private
    name = f"mirror.test/{wanted.path}"
    assert nobody.attempt(name).code != 0
    assert nobody.login("mirror.test", USER, "wrong").code != 0
    nobody.login("mirror.test", USER, PASSWORD).check()
    assert nobody.pull(name) == wanted.digest


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mirror.test/library/hello:latest", "hello"),
        ("mirror.test/hello:latest", "hello"),
        ("mirror.test/docker.io/library/hello:latest", "hello"),
        ("mirror.test/ghcr.io/org/app:v1", "app"),
        ("ghcr.mirror.test/org/app:v1", "app"),
    ],
)
def test_named(hub: Hub, nobody: Docker, name: str, source: str) -> None:
    """The mirror can be named as the registry, with either upstream behind it."""
    assert nobody.pull(name) == image(hub, source).digest


def test_secret_path_named(hub: Hub, nobody: Docker, secret: Mirror) -> None:
    """The secret path goes first in a name that has the mirror as its registry."""
    assert nobody.pull(f"secret.test/{SECRET}/library/hello:latest") == hub.images.hello.digest
    assert nobody.pull(f"secret.test/{SECRET}/ghcr.io/org/app:v1") == hub.images.app.digest
    assert nobody.attempt("secret.test/library/hello:latest").code != 0
    assert nobody.login("secret.test", USER, PASSWORD).code != 0  # it asks without the path
    nobody.set_logins({"secret.test": (USER, PASSWORD)})
    private = hub.images.private
    assert nobody.pull(f"secret.test/{SECRET}/{private.path}") == private.digest


@pytest.mark.parametrize("path", ["mirror.test/docker.io", f"secret.test/{SECRET}"])
def test_registry_mirrors_with_path(hub: Hub, mirror: Mirror, secret: Mirror, seat: Seats, path: str) -> None:
    """A path in registry-mirrors is refused by an old docker itself, and pulls with a new one."""
    said = run(["dockerd", "--version"]).check().out.split()[2]
    if int(said.split(".")[0]) < FIRST_WITH_PATH[0]:
        with pytest.raises(RigError, match="invalid mirror"):
            Docker(seat("docker-path"), [f"https://{path}"]).close()
        return
    docker = Docker(seat("docker-path"), [f"https://{path}"])
    try:
        assert docker.pull(hub.images.alpine.name) == hub.images.alpine.digest
    finally:
        docker.close()
