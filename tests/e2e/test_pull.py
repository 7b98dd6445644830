"""
podman, skopeo, buildah, ctr and curl pull through docxy, and get what the source has.

The clients' network reaches no registry: there is nothing to fall back to.
"""

from __future__ import annotations

from typing import Literal

import pytest

from .conftest import Seats
from .rig.clients import Containerd, Containers, Curl, Host
from .rig.clients.curl import ACCEPT
from .rig.hub import PASSWORD, USER, Hub
from .rig.mirror import Mirror
from .rig.processes import RigError
from .rig.seed import Image

Tool = Literal["podman", "skopeo", "buildah"]
FAMILY: tuple[Tool, ...] = ("podman", "skopeo", "buildah")
IMAGES = ("alpine", "debian", "hello", "zstd", "layers")
ACCOUNT = ("--user", f"{USER}:{PASSWORD}")

HUB_IN_REGISTRIES_CONF = {"plain": "mirror.test", "prefix": "mirror.test/docker.io"}
OTHER_IN_REGISTRIES_CONF = {"prefix": "mirror.test/ghcr.io", "host": "ghcr.mirror.test"}
HUB_IN_HOSTS_TOML = {
    "plain": Host("https://mirror.test"),
    "before-v2": Host("https://mirror.test/docker.io"),
    "after-v2": Host("https://mirror.test/v2/docker.io", override_path=True),
}
OTHER_IN_HOSTS_TOML = {
    "ns": Host("https://mirror.test"),
    "before-v2": Host("https://mirror.test/ghcr.io"),
    "after-v2": Host("https://mirror.test/v2/ghcr.io", override_path=True),
    "host": Host("https://ghcr.mirror.test"),
}


def image(hub: Hub, name: str) -> Image:
    """The seeded image of that name."""
    found = getattr(hub.images, name)
    assert isinstance(found, Image)
    return found


def expected(tool: Tool, wanted: Image) -> str:
    """The digest that a tool reports: `skopeo copy` takes this machine's platform, the others the index."""
    return wanted.own if tool == "skopeo" else wanted.digest


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("tool", FAMILY)
def test_containers(hub: Hub, mirror: Mirror, seat: Seats, tool: Tool, name: str) -> None:
    """With a mirror in registries.conf every shape of image arrives."""
    client = Containers(seat(tool), tool, {"docker.io": "mirror.test"})
    wanted = image(hub, name)
    assert client.pull(wanted.name) == expected(tool, wanted)


@pytest.mark.parametrize("location", HUB_IN_REGISTRIES_CONF.values(), ids=HUB_IN_REGISTRIES_CONF)
@pytest.mark.parametrize("tool", FAMILY)
def test_containers_private(hub: Hub, mirror: Mirror, seat: Seats, tool: Tool, location: str) -> None:
    """A login to the mirror's host opens a private image that is refused without."""
    client = Containers(seat(tool), tool, {"docker.io": location})
    wanted = hub.images.private
    assert client.attempt(wanted.name)[0].code != 0
    client.login("mirror.test", USER, PASSWORD).check()
    assert client.pull(wanted.name) == wanted.digest


@pytest.mark.parametrize("tool", FAMILY)
def test_containers_prefix(hub: Hub, mirror: Mirror, seat: Seats, tool: Tool) -> None:
    """The mirror's location may name the upstream after its host."""
    client = Containers(seat(tool), tool, {"docker.io": HUB_IN_REGISTRIES_CONF["prefix"]})
    assert client.pull(hub.images.alpine.name) == expected(tool, hub.images.alpine)


@pytest.mark.parametrize("location", OTHER_IN_REGISTRIES_CONF.values(), ids=OTHER_IN_REGISTRIES_CONF)
@pytest.mark.parametrize("tool", FAMILY)
def test_containers_other(hub: Hub, mirror: Mirror, seat: Seats, tool: Tool, location: str) -> None:
    """The second registry is reached by prefix and by host name."""
    client = Containers(seat(tool), tool, {"ghcr.io": location})
    assert client.pull(hub.images.app.name) == expected(tool, hub.images.app)


@pytest.mark.parametrize("tool", FAMILY)
def test_containers_named(hub: Hub, mirror: Mirror, seat: Seats, tool: Tool) -> None:
    """The mirror can be named as the registry itself: short official names, and credentials."""
    client = Containers(seat(tool), tool, {})
    assert client.pull("mirror.test/hello:latest") == hub.images.hello.digest
    private = f"mirror.test/{hub.images.private.path}"
    option = "--src-creds" if tool == "skopeo" else "--creds"
    assert client.pull(private, f"{option}={USER}:{PASSWORD}") == hub.images.private.digest


def test_skopeo_whole_index(hub: Hub, mirror: Mirror, seat: Seats) -> None:
    """`skopeo copy --all` takes every platform of an index, and the attestations."""
    client = Containers(seat("skopeo-all"), "skopeo", {"docker.io": "mirror.test"})
    assert client.pull(hub.images.alpine.name, "--all") == hub.images.alpine.digest


@pytest.mark.parametrize("name", IMAGES)
def test_ctr(hub: Hub, mirror: Mirror, containerd: Containerd, name: str) -> None:
    """With a mirror in hosts.toml every shape of image arrives."""
    wanted = image(hub, name)
    assert containerd.pull(wanted.name, {"docker.io": HUB_IN_HOSTS_TOML["plain"]}) == wanted.digest


@pytest.mark.parametrize("host", HUB_IN_HOSTS_TOML.values(), ids=HUB_IN_HOSTS_TOML)
def test_ctr_ways(hub: Hub, mirror: Mirror, containerd: Containerd, host: Host) -> None:
    """Each way to write the mirror gives an image, and a private one to who has an account alone."""
    wanted = hub.images.alpine
    assert containerd.pull(wanted.name, {"docker.io": host}) == wanted.digest
    private = hub.images.private
    with pytest.raises(RigError):
        containerd.pull(private.name, {"docker.io": host})
    assert containerd.pull(private.name, {"docker.io": host}, *ACCOUNT) == private.digest


@pytest.mark.parametrize("host", OTHER_IN_HOSTS_TOML.values(), ids=OTHER_IN_HOSTS_TOML)
def test_ctr_other(hub: Hub, mirror: Mirror, containerd: Containerd, host: Host) -> None:
    """The second registry is reached by ns, by prefix on either side of /v2, and by host name."""
    wanted = hub.images.app
    assert containerd.pull(wanted.name, {"ghcr.io": host}) == wanted.digest


@pytest.mark.parametrize("account", ["", f"{USER}:{PASSWORD}"], ids=["anonymous", "alice"])
@pytest.mark.parametrize("base", ["https://mirror.test", "https://mirror.test/docker.io"])
def test_curl(hub: Hub, mirror: Mirror, seat: Seats, base: str, account: str) -> None:
    """The dance done by hand gives every blob of an image with the digest that its manifest says."""
    wanted = hub.images.private if account else hub.images.zstd
    top, blobs = Curl(seat("curl")).pull(base, wanted.repository, wanted.tag, account)
    assert top == wanted.digest
    assert blobs[1:] == [layer.digest for layer in wanted.layers]


@pytest.mark.parametrize(
    ("base", "repository", "query"),
    [
        ("https://mirror.test", "org/app", "?ns=ghcr.io"),
        ("https://mirror.test/ghcr.io", "org/app", ""),
        ("https://ghcr.mirror.test", "org/app", ""),
    ],
)
def test_curl_other(hub: Hub, mirror: Mirror, seat: Seats, base: str, repository: str, query: str) -> None:
    """The second registry, by hand, in each way of naming it."""
    top, _ = Curl(seat("curl")).pull(base, repository, "v1", query=query)
    assert top == hub.images.app.digest


def test_token_by_post(hub: Hub, mirror: Mirror, seat: Seats) -> None:
    """The password grant goes through to the upstream's token server, whose status stays."""
    curl = Curl(seat("curl"))
    form = (
        f"grant_type=password&username={USER}&service=registry.docker.io&scope=repository:acme/private:pull"
    )
    granted = curl.ask("https://mirror.test/auth/token", [], "-d", f"{form}&password={PASSWORD}")
    assert granted.status == 200
    bearer = f"Authorization: Bearer {granted.json()['access_token']}"
    head = curl.ask("https://mirror.test/v2/acme/private/manifests/latest", [bearer, *ACCEPT], "--head")
    assert head.status == 200
    assert curl.ask("https://mirror.test/auth/token", [], "-d", f"{form}&password=wrong").status == 401
