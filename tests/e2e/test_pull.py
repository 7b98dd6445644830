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


def expected(tool: Tool, wanted: Image) -> set[str]:
    """
    The digest that a tool reports, or may.

    `skopeo copy` takes this machine's platform; podman reports the index, since 5 that platform.
    """
    reported = {"podman": {wanted.digest, wanted.own}, "skopeo": {wanted.own}, "buildah": {wanted.digest}}
    return reported[tool]


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("tool", FAMILY)
def test_containers(hub: Hub, mirror: Mirror, seat: Seats, tool: Tool, name: str) -> None:
    """With a mirror in registries.conf every shape of image arrives."""
    client = Containers(seat(tool), tool, {"docker.io": "mirror.test"})
    wanted = image(hub, name)
    assert client.pull(wanted.name) in expected(tool, wanted)


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
    assert client.pull(hub.images.alpine.name) in expected(tool, hub.images.alpine)


@pytest.mark.parametrize("location", OTHER_IN_REGISTRIES_CONF.values(), ids=OTHER_IN_REGISTRIES_CONF)
@pytest.mark.parametrize("tool", FAMILY)
def test_containers_other(hub: Hub, mirror: Mirror, seat: Seats, tool: Tool, location: str) -> None:
    """The second registry is reached by prefix and by host name."""
    client = Containers(seat(tool), tool, {"ghcr.io": location})
    assert client.pull(hub.images.app.name) in expected(tool, hub.images.app)


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


def test_referrers(hub: Hub, mirror: Mirror, seat: Seats) -> None:
    """Of a registry without the referrers API the 404 comes through, and not as one of an unknown name."""
    curl = Curl(seat("curl"))
    token = curl.token(curl.ask("https://mirror.test/v2/").challenge(), "repository:library/alpine:pull")
    base, bearer = "https://mirror.test/v2/library/alpine", f"Authorization: Bearer {token}"
    answer = curl.ask(f"{base}/referrers/{hub.images.alpine.digest}", [bearer])
    assert answer.status == 404
    assert answer.json()["errors"][0]["code"] != "NAME_UNKNOWN"  # oras looks no further after that
    fallback = hub.images.alpine.digest.replace(":", "-")
    listed = curl.ask(f"{base}/manifests/{fallback}", [bearer, *ACCEPT])
    assert hub.images.artifact in [one["digest"] for one in listed.json()["manifests"]]


def test_head_and_range(hub: Hub, mirror: Mirror, seat: Seats) -> None:
    """HEAD tells length, type and digest; a blob comes in ranges, and no redirect is ever shown."""
    curl = Curl(seat("curl"))
    token = curl.token(curl.ask("https://mirror.test/v2/").challenge(), "repository:library/zstd:pull")
    base, bearer = "https://mirror.test/v2/library/zstd", f"Authorization: Bearer {token}"
    head = curl.ask(f"{base}/manifests/latest?ns=docker.io", [bearer, *ACCEPT], "--head")
    wanted, layer = hub.images.zstd, hub.images.zstd.layers[-1]
    assert head.headers["docker-content-digest"] == wanted.digest
    assert (head.headers["content-length"], head.headers["content-type"]) == (
        str(wanted.size),
        wanted.media_type,
    )
    assert head.headers["oci-namespace"] == "docker.io"
    part = curl.ask(f"{base}/blobs/{layer.digest}", [bearer, "Range: bytes=100-199"])
    assert (part.status, len(part.body)) == (206, 100)
    assert part.headers["content-range"] == f"bytes 100-199/{layer.size}"
    whole = curl.ask(f"{base}/blobs/{layer.digest}", [bearer])
    assert whole.body[100:200] == part.body
    assert (whole.headers["content-length"], whole.headers["docker-content-digest"]) == (
        str(layer.size),
        layer.digest,
    )
    assert "location" not in whole.headers


def test_tags(mirror: Mirror, seat: Seats) -> None:
    """The list of tags comes as the upstream has it, for an official image by its short name too."""
    curl = Curl(seat("curl"))
    token = curl.token(curl.ask("https://mirror.test/v2/").challenge(), "repository:alpine:pull")
    listed = curl.ask("https://mirror.test/v2/alpine/tags/list", [f"Authorization: Bearer {token}"]).json()
    assert listed["name"] == "library/alpine"
    assert {"latest", "3.20"} <= set(listed["tags"])
