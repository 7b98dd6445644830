"""
`server.secret_path`: the one key that every client can carry opens the mirror, and nothing else does.
"""

from __future__ import annotations

import pytest

from .conftest import SECRET, Seats
from .rig.clients import Containerd, Containers, Curl, Host
from .rig.hub import PASSWORD, USER, Hub
from .rig.mirror import Mirror
from .rig.processes import RigError
from .test_pull import ACCOUNT, FAMILY, Tool, expected

IN_HOSTS_TOML = {
    "before-v2": Host(f"https://secret.test/{SECRET}"),
    "after-v2": Host(f"https://secret.test/v2/{SECRET}", override_path=True),
    "as-k3s": Host(f"https://secret.test/{SECRET}/v2", override_path=True),
}
OTHER_IN_HOSTS_TOML = {
    "ns": Host(f"https://secret.test/{SECRET}"),
    "after-v2": Host(f"https://secret.test/v2/{SECRET}/ghcr.io", override_path=True),
    "as-k3s": Host(f"https://secret.test/{SECRET}/v2", override_path=True),
}


@pytest.mark.parametrize("tool", FAMILY)
def test_containers(hub: Hub, secret: Mirror, seat: Seats, tool: Tool) -> None:
    """In registries.conf the secret follows the host, before any upstream's name."""
    mirrors = {"docker.io": f"secret.test/{SECRET}", "ghcr.io": f"secret.test/{SECRET}/ghcr.io"}
    client = Containers(seat(f"secret-{tool}"), tool, mirrors)
    assert client.pull(hub.images.alpine.name) in expected(tool, hub.images.alpine)
    assert client.pull(hub.images.app.name) in expected(tool, hub.images.app)
    assert client.login("secret.test", USER, PASSWORD).code != 0  # it asks without the path
    client.set_logins({"secret.test": (USER, PASSWORD)})
    assert client.pull(hub.images.private.name) == hub.images.private.digest
    outside = Containers(seat(f"outside-{tool}"), tool, {"docker.io": "secret.test"})
    assert outside.attempt(hub.images.alpine.name)[0].code != 0


@pytest.mark.parametrize("host", IN_HOSTS_TOML.values(), ids=IN_HOSTS_TOML)
def test_ctr(hub: Hub, secret: Mirror, containerd: Containerd, host: Host) -> None:
    """In hosts.toml the secret is a path, on either side of /v2; logged in too."""
    assert containerd.pull(hub.images.alpine.name, {"docker.io": host}) == hub.images.alpine.digest
    assert (
        containerd.pull(hub.images.private.name, {"docker.io": host}, *ACCOUNT) == hub.images.private.digest
    )


@pytest.mark.parametrize("host", OTHER_IN_HOSTS_TOML.values(), ids=OTHER_IN_HOSTS_TOML)
def test_ctr_other(hub: Hub, secret: Mirror, containerd: Containerd, host: Host) -> None:
    """The second registry is behind the same secret."""
    assert containerd.pull(hub.images.app.name, {"ghcr.io": host}) == hub.images.app.digest


def test_ctr_outside(hub: Hub, secret: Mirror, containerd: Containerd) -> None:
    """Without the secret ctr gets nothing."""
    with pytest.raises(RigError):
        containerd.pull(hub.images.alpine.name, {"docker.io": Host("https://secret.test")})


def test_curl(hub: Hub, secret: Mirror, seat: Seats) -> None:
    """The dance by hand, with the secret before /v2."""
    top, _ = Curl(seat("curl")).pull(f"https://secret.test/{SECRET}", "library/hello", "latest")
    assert top == hub.images.hello.digest


@pytest.mark.parametrize(
    "path",
    [
        "/v2/library/hello/manifests/latest",
        "/v2/library/hello/tags/list",
        "/v2/ghcr.io/org/app/manifests/v1",
        "/v2/k7x-wrong0/library/hello/manifests/latest",
        "/k7x-wrong0/v2/",
        "/k7x-wrong0/v2/library/hello/manifests/latest",
        f"/v2/library/{SECRET}/manifests/latest",
        "/v2/_catalog",
    ],
)
def test_outside(hub: Hub, secret: Mirror, seat: Seats, path: str) -> None:
    """Without the secret all content is 404, with a token as well, and no upstream hears of it."""
    curl = Curl(seat("curl"))
    before = len(hub.requests())
    assert curl.ask(f"https://secret.test{path}").status == 404
    assert curl.ask(f"https://secret.test{path}", ["Authorization: Bearer x"]).status == 404
    assert len(hub.requests()) == before


def test_ping_outside(secret: Mirror, seat: Seats) -> None:
    """The bare /v2/ still challenges, for podman pings there; its realm gives no token."""
    curl = Curl(seat("curl"))
    challenge = curl.ask("https://secret.test/v2/").challenge()
    assert challenge["realm"].startswith("https://secret.test/")
    asked = f"{challenge['realm']}?service=registry.docker.io&scope=repository:library/hello:pull"
    assert curl.ask(asked).status == 404
