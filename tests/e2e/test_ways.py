"""
The three ways to run: alone with TLS, behind another server that does TLS, and plain where that is wished.
"""

from __future__ import annotations

import pytest

from .conftest import Seats, Start
from .rig import hub as places
from .rig.clients import Containerd, Containers, Curl, Docker, Host, Seat
from .rig.hub import PASSWORD, USER, Hub
from .rig.mirror import Mirror, Plan, both
from .rig.nginx import Proxy
from .rig.processes import run
from .test_pull import FAMILY, Tool, expected

FORGED = ["X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: http", "X-Forwarded-Host: evil.example"]


@pytest.fixture(scope="module")
def behind(hub: Hub, start: Start) -> Mirror:
    """https://front.test: nginx terminates TLS before a docxy on loopback."""
    hub.nginx("front", [Proxy("front.test", places.FRONT, "http://127.0.0.1:5001")])
    server = {"trusted_proxies": ["127.0.0.0/8"]}
    listen = ["tcp:5001:interface=127.0.0.1"]
    return start(Plan("behind", "https://front.test", listen, both(hub), server, tls=False))


@pytest.fixture(scope="module")
def by_socket(hub: Hub, start: Start) -> Mirror:
    """https://socket.test: nginx terminates TLS before a docxy on a Unix socket."""
    path = hub.state / "docxy.sock"
    hub.nginx("socket", [Proxy("socket.test", places.SOCKET, f"http://unix:{path}")])
    return start(Plan("socket", "https://socket.test", [f"unix:{path}"], both(hub), tls=False))


@pytest.fixture(scope="module")
def origin(hub: Hub, start: Start) -> Mirror:
    """https://origin.test: nginx as a CDN before a docxy that speaks TLS as well."""
    hub.nginx("origin", [Proxy("origin.test", places.ORIGIN, "https://127.0.0.1:5443", hub.authority.cert)])
    server = {"trusted_proxies": ["127.0.0.0/8"]}
    return start(Plan("origin", "https://origin.test", ["ssl:5443:interface=127.0.0.1"], both(hub), server))


@pytest.fixture(scope="module")
def plain(hub: Hub, start: Start) -> Mirror:
    """http://plain.test:5000: plain HTTP for a LAN, by explicit wish."""
    listen = [f"tcp:5000:interface={places.PLAIN}"]
    return start(Plan("plain", "http://plain.test:5000", listen, both(hub), tls=False))


@pytest.fixture(scope="module")
def loopback(hub: Hub, start: Start) -> Mirror:
    """http://127.0.0.1:5005: plain HTTP for this machine alone."""
    listen = ["tcp:5005:interface=127.0.0.1"]
    return start(Plan("loopback", "http://127.0.0.1:5005", listen, both(hub), tls=False))


def test_alone(mirror: Mirror, seat: Seats) -> None:
    """With TLS of its own the realm is on the name that the client used, whatever it forges."""
    curl = Curl(seat("curl"))
    for host in ("mirror.test", "ghcr.mirror.test"):
        for headers in ([], FORGED):
            realm = curl.ask(f"https://{host}/v2/", headers).challenge()["realm"]
            assert realm.startswith(f"https://{host}/auth/")


def test_alone_client_address(mirror: Mirror, seat: Seats) -> None:
    """The access log names the peer, not what it forges."""
    Curl(seat("curl")).ask("https://mirror.test/v2/library/forged/manifests/latest", FORGED)
    event = mirror.wait_served(repository="library/forged")
    assert event["client"] == places.CLIENT


def test_behind_nginx(hub: Hub, behind: Mirror, seat: Seats) -> None:
    """Behind nginx the realm is https on the public name, and an image comes."""
    curl = Curl(seat("curl"))
    assert curl.ask("https://front.test/v2/").challenge()["realm"] == "https://front.test/auth/token"
    client = Containers(seat("behind"), "podman", {"docker.io": "front.test"})
    assert client.pull(hub.images.layers.name) == hub.images.layers.digest


@pytest.mark.parametrize("headers", [[], FORGED[:1]], ids=["honest", "forged"])
def test_behind_nginx_client_address(behind: Mirror, seat: Seats, headers: list[str]) -> None:
    """The access log names the client that nginx saw, also when that client forges X-Forwarded-For."""
    name = f"library/address{len(headers)}"
    Curl(seat("curl")).ask(f"https://front.test/v2/{name}/manifests/latest", headers)
    assert behind.wait_served(repository=name)["client"] == places.CLIENT


def test_behind_nginx_by_socket(hub: Hub, by_socket: Mirror, seat: Seats) -> None:
    """A Unix socket's peer is trusted as a proxy: https realm, the client's address, and an image."""
    curl = Curl(seat("curl"))
    assert curl.ask("https://socket.test/v2/").challenge()["realm"] == "https://socket.test/auth/token"
    client = Containers(seat("socket"), "skopeo", {"docker.io": "socket.test"})
    assert client.pull(hub.images.alpine.name) == hub.images.alpine.own
    event = by_socket.wait_served(repository="library/alpine", status=200)
    assert event["client"] == places.CLIENT


@pytest.mark.parametrize("headers", [[], FORGED], ids=["honest", "forged"])
def test_origin_realm(origin: Mirror, seat: Seats, headers: list[str]) -> None:
    """With TLS on both sides of nginx the realm is https on the public name, whatever the client forges."""
    realm = Curl(seat("curl")).ask("https://origin.test/v2/", headers).challenge()["realm"]
    assert realm == "https://origin.test/auth/token"


def test_origin_pulls(hub: Hub, origin: Mirror, seat: Seats) -> None:
    """An image comes through both, and the access log names the client that nginx saw."""
    client = Containers(seat("origin"), "podman", {"docker.io": "origin.test"})
    assert client.pull(hub.images.layers.name) == hub.images.layers.digest
    served = [event for event in origin.events() if event["repository"] == "library/layers"]
    assert {event["client"] for event in served} == {places.CLIENT}


def test_origin_private(hub: Hub, origin: Mirror, seat: Seats) -> None:
    """A login passes through both, and opens a private image."""
    client = Containers(seat("origin"), "skopeo", {"docker.io": "origin.test"})
    assert client.attempt(hub.images.private.name)[0].code != 0
    client.login("origin.test", USER, PASSWORD).check()
    assert client.pull(hub.images.private.name) == hub.images.private.digest


def test_origin_forged_address(origin: Mirror, seat: Seats) -> None:
    """A client that forges X-Forwarded-For is logged by the address that nginx saw."""
    Curl(seat("curl")).ask("https://origin.test/v2/library/origin/manifests/latest", FORGED[:1])
    assert origin.wait_served(repository="library/origin")["client"] == places.CLIENT


def test_plain_realm(plain: Mirror, seat: Seats) -> None:
    """Plain HTTP has a plain realm, with the port that the client used."""
    realm = Curl(seat("curl")).ask("http://plain.test:5000/v2/").challenge()["realm"]
    assert realm == "http://plain.test:5000/auth/token"


def test_plain_docker(hub: Hub, plain: Mirror, seat: Seats) -> None:
    """docker takes an http:// URL in registry-mirrors."""
    docker = Docker(seat("plain-docker"), ["http://plain.test:5000"])
    try:
        assert docker.pull(hub.images.alpine.name) == hub.images.alpine.digest
    finally:
        docker.close()


def test_plain_ctr(hub: Hub, plain: Mirror, containerd: Containerd) -> None:
    """containerd takes an http:// host."""
    hosts = {"docker.io": Host("http://plain.test:5000")}
    assert containerd.pull(hub.images.alpine.name, hosts) == hub.images.alpine.digest


@pytest.mark.parametrize("tool", FAMILY)
def test_plain_containers(hub: Hub, plain: Mirror, seat: Seats, tool: Tool) -> None:
    """podman and its family take a mirror that registries.conf calls insecure."""
    client = Containers(seat(f"plain-{tool}"), tool, {"docker.io": "plain.test:5000"}, insecure=True)
    assert client.pull(hub.images.alpine.name) in expected(tool, hub.images.alpine)


@pytest.mark.parametrize("tool", FAMILY)
def test_plain_named(hub: Hub, plain: Mirror, seat: Seats, tool: Tool) -> None:
    """They take one that is named as the registry, when told not to verify."""
    client = Containers(seat(f"plain-{tool}"), tool, {})
    option = "--src-tls-verify=false" if tool == "skopeo" else "--tls-verify=false"
    name = "plain.test:5000/library/alpine:latest"
    assert client.pull(name, option) in expected(tool, hub.images.alpine)


def test_loopback(hub: Hub, loopback: Mirror) -> None:
    """On loopback docker and skopeo pull from the mirror as a registry."""
    here = Seat(hub.namespace, hub.state / "seats" / "loopback", hub.authority.cert)
    docker = Docker(here, [])
    try:
        assert docker.pull("127.0.0.1:5005/hello:latest") == hub.images.hello.digest
    finally:
        docker.close()
    skopeo = Containers(here, "skopeo", {})
    assert skopeo.pull("127.0.0.1:5005/hello:latest", "--src-tls-verify=false") == hub.images.hello.digest


def test_both_families(hub: Hub, start: Start) -> None:
    """A listener without an interface answers on IPv4 and IPv6, and an IPv4 client is logged as one."""
    mirror = start(Plan("dual", "http://127.0.0.1:5006", ["tcp:5006"], both(hub), tls=False))
    for address, client in (("127.0.0.1", "127.0.0.1"), ("[::1]", "::1")):
        name = f"library/from-{'v4' if client == '127.0.0.1' else 'v6'}"
        url = f"http://{address}:5006/v2/{name}/manifests/latest"
        run(hub.namespace.command(["curl", "-sS", "-g", url])).check()
        assert mirror.wait_served(repository=name)["client"] == client
