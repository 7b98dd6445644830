"""
The rig itself: the clients pull straight from the hub, so that a failure elsewhere is docxy's.
"""

from __future__ import annotations

import pytest

from .rig.clients import Containerd, Containers, Curl, Docker, Seat
from .rig.hub import PASSWORD, USER, Hub
from .rig.namespace import Namespace
from .rig.processes import RigError
from .rig.recorder import Call, Recorder
from .test_pull import FAMILY, Tool, expected


def direct(hub: Hub, name: str) -> Seat:
    """A place beside the hub, without a mirror."""
    return Seat(hub.namespace, hub.state / "direct" / name, hub.authority.cert)


@pytest.mark.parametrize("tool", FAMILY)
def test_containers_straight(hub: Hub, tool: Tool) -> None:
    """podman, skopeo and buildah get an index with attestations, and a private image by their login."""
    client = Containers(direct(hub, tool), tool, {})
    assert client.pull(hub.images.alpine.name) in expected(tool, hub.images.alpine)
    client.set_logins({"docker.io": (USER, PASSWORD)})
    assert client.pull(hub.images.private.name) == hub.images.private.digest


def test_ctr_straight(hub: Hub) -> None:
    """ctr gets an index, and a private image by --user."""
    containerd = Containerd(direct(hub, "ctr"))
    try:
        assert containerd.pull(hub.images.debian.name, {}) == hub.images.debian.digest
        account = ("--user", f"{USER}:{PASSWORD}")
        assert containerd.pull(hub.images.private.name, {}, *account) == hub.images.private.digest
    finally:
        containerd.close()


def test_docker_straight(hub: Hub) -> None:
    """docker gets an index, and the second registry's image."""
    docker = Docker(direct(hub, "docker"), [])
    try:
        assert docker.pull(hub.images.alpine.name) == hub.images.alpine.digest
        assert docker.pull(hub.images.app.name) == hub.images.app.digest
    finally:
        docker.close()


def test_cdn_is_strict(hub: Hub) -> None:
    """The CDN refuses an Authorization header, a request without a signature, and one that has expired."""
    curl = Curl(direct(hub, "curl"))
    token = curl.token(
        curl.ask("https://registry-1.docker.io/v2/").challenge(), "repository:library/hello:pull"
    )
    blob = f"https://registry-1.docker.io/v2/library/hello/blobs/{hub.images.hello.layers[0].digest}"
    redirect = curl.ask(blob, [f"Authorization: Bearer {token}"])
    assert redirect.status == 307
    signed = redirect.headers["location"]
    unsigned = signed.partition("?")[0]
    assert curl.ask(signed, ["Range: bytes=0-9"]).status == 206
    assert curl.ask(signed, [f"Authorization: Bearer {token}"]).status == 400
    assert curl.ask(unsigned).status == 403
    assert curl.ask(f"{unsigned}?expires=1&verify=AAAAAAAAAAAAAAAAAAAAAA").status == 403


def test_private_is_private(hub: Hub) -> None:
    """Without an account a private image is refused, and so is a wrong password."""
    client = Containers(direct(hub, "private"), "skopeo", {})
    assert client.attempt(hub.images.private.name)[0].code != 0
    with pytest.raises(RigError, match="invalid username/password"):
        client.login("docker.io", USER, "wrong").check()


def test_clients_are_alone(hub: Hub, clients: Namespace) -> None:
    """From the clients' network the hub is out of reach, and the recorder sees who tries."""
    curl = Curl(Seat(clients, hub.state / "seats" / "alone", hub.authority.cert))
    with Recorder(clients) as recorder:
        with pytest.raises(RigError, match="connect"):
            curl.ask("https://registry-1.docker.io/v2/", [], "--connect-timeout", "5")
        with pytest.raises(RigError, match="resolve"):
            curl.ask("https://nobody.example/")
    assert Call("tcp", "127.0.77.2", 443) in recorder.calls
