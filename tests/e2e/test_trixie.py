"""
Debian 13's clients through docxy: docker 26, containerd 1.7, podman 5, skopeo 1.18, oras.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import SECRET, Seats
from .rig.clients import Containerd, Containers, Docker, Host, Seat
from .rig.clients.seat import logins
from .rig.hub import PASSWORD, USER, Hub
from .rig.mirror import Mirror
from .rig.namespace import Namespace
from .rig.release import joined, root_folder
from .rig.writer import sha256
from .test_pull import ACCOUNT, IMAGES, Tool, expected, image
from .test_secret_path import IN_HOSTS_TOML, OTHER_IN_HOSTS_TOML

pytestmark = pytest.mark.slow

PACKAGES = (
    *("buildah", "ca-certificates", "containerd", "crun", "docker-cli", "docker.io", "oras", "podman"),
    *("skopeo", "util-linux"),
)
FAMILY: tuple[Tool, ...] = ("podman", "skopeo", "buildah")


@pytest.fixture(scope="module")
def root(hub: Hub, clients: Namespace) -> Iterator[Path]:
    """The release's root folder, joined to the clients' network."""
    made = root_folder("trixie", PACKAGES, hub.state)
    with joined(clients, made, hub.state):
        yield made


@pytest.fixture(scope="module")
def newer(hub: Hub, clients: Namespace, root: Path) -> Seats:
    """A place for one of the release's clients, by name."""
    return lambda name: Seat(clients, hub.state / "seats" / f"trixie-{name}", hub.authority.cert, root)


@pytest.fixture(scope="module")
def newer_containerd(newer: Seats) -> Iterator[Containerd]:
    """The release's containerd."""
    started = Containerd(newer("containerd"))
    yield started
    started.close()


@pytest.fixture
def docker(newer: Seats) -> Iterator[Callable[[str], Docker]]:
    """The release's docker with a registry mirror; the last one is stopped."""
    started: list[Docker] = []

    def one(url: str) -> Docker:
        started.append(Docker(newer("docker"), [url]))
        return started[-1]

    yield one
    for each in started:
        each.close()


@pytest.mark.parametrize(
    "url", ["https://mirror.test", "https://mirror.test/docker.io", f"https://secret.test/{SECRET}"]
)
def test_docker(hub: Hub, mirror: Mirror, secret: Mirror, docker: Callable[[str], Docker], url: str) -> None:
    """registry-mirrors takes a path now, the secret one too; a Docker Hub login opens a private image."""
    client = docker(url)
    for name in IMAGES if url == "https://mirror.test" else ["alpine", "zstd"]:
        assert client.pull(image(hub, name).name) == image(hub, name).digest
    assert client.attempt(hub.images.private.name).code != 0
    client.set_logins({"https://index.docker.io/v1/": (USER, PASSWORD)})
    assert client.pull(hub.images.private.name) == hub.images.private.digest


def test_docker_named(hub: Hub, mirror: Mirror, docker: Callable[[str], Docker]) -> None:
    """The mirror named as the registry, logged in to it, with either upstream behind it."""
    client = docker("https://mirror.test")
    client.login("mirror.test", USER, PASSWORD).check()
    assert client.pull(f"mirror.test/{hub.images.private.path}") == hub.images.private.digest
    assert client.pull("mirror.test/ghcr.io/org/app:v1") == hub.images.app.digest


def test_docker_secret_named(hub: Hub, secret: Mirror, docker: Callable[[str], Docker]) -> None:
    """The secret goes first in a name; a login is written down by hand, for `docker login` cannot show it."""
    client = docker(f"https://secret.test/{SECRET}")
    assert client.pull(f"secret.test/{SECRET}/library/hello:latest") == hub.images.hello.digest
    assert client.pull(f"secret.test/{SECRET}/ghcr.io/org/app:v1") == hub.images.app.digest
    assert client.login("secret.test", USER, PASSWORD).code != 0
    client.set_logins({"secret.test": (USER, PASSWORD)})
    private = hub.images.private
    assert client.pull(f"secret.test/{SECRET}/{private.path}") == private.digest


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("tool", FAMILY)
def test_containers(hub: Hub, mirror: Mirror, newer: Seats, tool: Tool, name: str) -> None:
    """Every shape of image arrives by registries.conf."""
    wanted = image(hub, name)
    client = Containers(newer(tool), tool, {"docker.io": "mirror.test"})
    assert client.pull(wanted.name) in expected(tool, wanted)


@pytest.mark.parametrize("tool", FAMILY)
def test_containers_ways(hub: Hub, mirror: Mirror, secret: Mirror, newer: Seats, tool: Tool) -> None:
    """Logged in, by prefix, and by the secret path."""
    client = Containers(newer(tool), tool, {"docker.io": "mirror.test", "ghcr.io": "mirror.test/ghcr.io"})
    client.login("mirror.test", USER, PASSWORD).check()
    assert client.pull(hub.images.private.name) == hub.images.private.digest
    assert client.pull(hub.images.app.name) in expected(tool, hub.images.app)
    mirrors = {"docker.io": f"secret.test/{SECRET}", "ghcr.io": f"secret.test/{SECRET}/ghcr.io"}
    client = Containers(newer(tool), tool, mirrors)
    assert client.pull(hub.images.alpine.name) in expected(tool, hub.images.alpine)
    assert client.pull(hub.images.app.name) in expected(tool, hub.images.app)
    client.set_logins({"secret.test": (USER, PASSWORD)})
    assert client.pull(hub.images.private.name) == hub.images.private.digest


@pytest.mark.parametrize("name", IMAGES)
def test_ctr(hub: Hub, mirror: Mirror, newer_containerd: Containerd, name: str) -> None:
    """Every shape of image arrives by hosts.toml."""
    wanted = image(hub, name)
    hosts = {"docker.io": Host("https://mirror.test")}
    assert newer_containerd.pull(wanted.name, hosts) == wanted.digest


def test_ctr_ways(hub: Hub, mirror: Mirror, secret: Mirror, newer_containerd: Containerd) -> None:
    """Logged in, by ns, by a path on either side of /v2, and by the secret path."""
    plain, private, app = Host("https://mirror.test"), hub.images.private, hub.images.app
    assert newer_containerd.pull(private.name, {"docker.io": plain}, *ACCOUNT) == private.digest
    for host in (plain, Host("https://mirror.test/ghcr.io"), Host("https://mirror.test/v2/ghcr.io", True)):
        assert newer_containerd.pull(app.name, {"ghcr.io": host}) == app.digest


@pytest.mark.parametrize("host", IN_HOSTS_TOML.values(), ids=IN_HOSTS_TOML)
def test_ctr_secret(hub: Hub, secret: Mirror, newer_containerd: Containerd, host: Host) -> None:
    """The secret path, on either side of /v2; logged in too."""
    alpine, private = hub.images.alpine, hub.images.private
    assert newer_containerd.pull(alpine.name, {"docker.io": host}) == alpine.digest
    assert newer_containerd.pull(private.name, {"docker.io": host}, *ACCOUNT) == private.digest


@pytest.mark.parametrize("host", OTHER_IN_HOSTS_TOML.values(), ids=OTHER_IN_HOSTS_TOML)
def test_ctr_secret_other(hub: Hub, secret: Mirror, newer_containerd: Containerd, host: Host) -> None:
    """The second registry is behind the same secret."""
    assert newer_containerd.pull(hub.images.app.name, {"ghcr.io": host}) == hub.images.app.digest


def test_oras(hub: Hub, mirror: Mirror, newer: Seats) -> None:
    """oras fetches an index, copies an image, and finds and pulls an artifact by its subject."""
    seat = newer("oras")
    subject = f"mirror.test/{hub.images.alpine.repository}@{hub.images.alpine.digest}"
    raw = seat.run(["oras", "manifest", "fetch", "mirror.test/library/alpine:latest"]).check().out
    assert sha256(raw.encode()) == hub.images.alpine.digest
    layout = seat.folder("oras-layout")
    seat.run(
        ["oras", "copy", "--to-oci-layout", "mirror.test/library/alpine:latest", f"{layout}:alpine"]
    ).check()
    assert hub.images.alpine.digest in (layout / "index.json").read_text()
    found = json.loads(seat.run(["oras", "discover", "--format", "json", subject]).check().out)
    assert hub.images.artifact in json.dumps(found)
    seat.run(
        ["oras", "pull", f"mirror.test/library/alpine@{hub.images.artifact}", "-o", str(seat.folder("out"))]
    ).check()


def test_oras_private(hub: Hub, mirror: Mirror, newer: Seats) -> None:
    """oras logs in to the mirror, and fetches a private manifest."""
    seat = newer("oras")
    config = ["--registry-config", str(seat.folder("oras") / "config.json")]
    fetch = ["oras", "manifest", "fetch", *config, f"mirror.test/{hub.images.private.path}"]
    assert seat.run(fetch).code != 0
    login = ["oras", "login", *config, "-u", USER, "--password-stdin", "mirror.test"]
    seat.run(login, given=PASSWORD).check()
    assert sha256(seat.run(fetch).check().out.encode()) == hub.images.private.digest


def test_oras_secret(hub: Hub, secret: Mirror, newer: Seats) -> None:
    """With the secret first in the name oras gets images of either registry, and without it nothing."""
    seat = newer("oras")
    for name, wanted in (
        (f"{SECRET}/library/alpine:latest", "alpine"),
        (f"{SECRET}/ghcr.io/org/app:v1", "app"),
    ):
        raw = seat.run(["oras", "manifest", "fetch", f"secret.test/{name}"]).check().out
        assert sha256(raw.encode()) == image(hub, wanted).digest
        layout = seat.folder(f"oras-secret-{wanted}")
        seat.run(["oras", "copy", "--to-oci-layout", f"secret.test/{name}", f"{layout}:{wanted}"]).check()
        assert image(hub, wanted).digest in (layout / "index.json").read_text()
    assert seat.run(["oras", "manifest", "fetch", "secret.test/library/alpine:latest"]).code != 0


def test_oras_secret_private(hub: Hub, secret: Mirror, newer: Seats) -> None:
    """A login that is written down by hand opens a private image below the secret."""
    seat = newer("oras")
    config = seat.file("oras-secret/config.json", logins({"secret.test": (USER, PASSWORD)}))
    fetch = ["oras", "manifest", "fetch", f"secret.test/{SECRET}/{hub.images.private.path}"]
    assert seat.run(fetch).code != 0
    raw = seat.run([*fetch, "--registry-config", str(config)]).check().out
    assert sha256(raw.encode()) == hub.images.private.digest
