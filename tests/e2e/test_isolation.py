"""
Who is called from the clients' side while every client pulls: the mirror, and nobody else.
"""

from __future__ import annotations

from .conftest import Seats
from .rig import hub as places
from .rig.clients import Containerd, Containers, Curl, Docker, Host
from .rig.hub import PASSWORD, USER, Hub
from .rig.mirror import Mirror
from .rig.namespace import Namespace
from .rig.recorder import Call, Recorder
from .test_pull import FAMILY, expected


def pull_with_all(hub: Hub, seat: Seats) -> None:
    """Pull anonymously and logged in, with each client, its daemon started and stopped."""
    alpine, private = hub.images.alpine, hub.images.private
    for tool in FAMILY:
        client = Containers(seat(f"alone-{tool}"), tool, {"docker.io": "mirror.test"})
        assert client.pull(alpine.name) in expected(tool, alpine)
        client.login("mirror.test", USER, PASSWORD).check()
        assert client.pull(private.name) == private.digest
    containerd = Containerd(seat("alone-ctr"))
    hosts = {"docker.io": Host("https://mirror.test"), "ghcr.io": Host("https://mirror.test")}
    assert containerd.pull(alpine.name, hosts) == alpine.digest
    assert containerd.pull(private.name, hosts, "--user", f"{USER}:{PASSWORD}") == private.digest
    assert containerd.pull(hub.images.app.name, hosts) == hub.images.app.digest
    containerd.close()
    docker = Docker(seat("alone-docker"), ["https://mirror.test"])
    assert docker.pull(alpine.name) == alpine.digest
    docker.set_logins({"https://index.docker.io/v1/": (USER, PASSWORD)})
    assert docker.pull(private.name) == private.digest
    docker.close()
    Curl(seat("alone-curl")).pull("https://mirror.test", "library/alpine", "latest")


def test_nobody_else(hub: Hub, mirror: Mirror, clients: Namespace, seat: Seats) -> None:
    """Every connection and every datagram of the clients' side goes to the mirror."""
    with Recorder(clients) as recorder:
        pull_with_all(hub, seat)
    assert recorder.calls == {Call("tcp", places.MIRROR, 443)}
