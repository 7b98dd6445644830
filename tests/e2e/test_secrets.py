"""
Nothing secret in docxy's logs, and no credential at a host that it was not meant for.

The logs of one docxy at its most talkative, and all requests at every host of
the rig, are read after pulls of every kind.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .conftest import SECRET, Seats, Start
from .rig import hub as places
from .rig.clients import Containerd, Containers, Curl, Docker, Host
from .rig.hub import PASSWORD, USER, Hub
from .rig.mirror import Mirror, Plan, both, tls_listener
from .rig.processes import RigError
from .rig.tokens import TokenRequest

BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was logged and what every host was sent, from the first pull to the last."""

    log: str
    requests: list[dict[str, Any]]
    docker_tokens: list[TokenRequest]
    ghcr_tokens: list[TokenRequest]
    refresh_token: str

    def at(self, *hosts: str) -> list[dict[str, Any]]:
        """The requests at these hosts."""
        return [request for request in self.requests if request["host"] in hosts]


def pull_in_every_way(hub: Hub, seat: Seats) -> str:
    """Anonymous and logged in pulls, right and wrong passwords; the refresh token of one login."""
    images = hub.images
    podman = Containers(
        seat("logs-podman"), "podman", {"docker.io": "logs.test", "ghcr.io": "logs.test/ghcr.io"}
    )
    podman.pull(images.alpine.name)
    podman.login("logs.test", USER, PASSWORD).check()
    assert podman.login("logs.test", USER, f"{PASSWORD}-wrong").code != 0
    podman.set_logins({"logs.test": (USER, PASSWORD)})
    podman.pull(images.private.name)
    podman.pull(images.app.name)  # sends the login of the same host for the second registry
    docker = Docker(seat("logs-docker"), ["https://logs.test"])
    docker.set_logins({"https://index.docker.io/v1/": (USER, PASSWORD)})
    docker.pull(images.private.name)
    docker.close()
    containerd = Containerd(seat("logs-ctr"))
    hosts = {"docker.io": Host("https://logs.test"), "ghcr.io": Host("https://logs.test/ghcr.io")}
    containerd.pull(images.private.name, hosts, "--user", f"{USER}:{PASSWORD}")
    with pytest.raises(RigError):
        containerd.pull(images.private.name, hosts, "--user", f"{USER}:wrong")
    containerd.pull(images.app.name, hosts)
    containerd.close()
    return refreshed(Curl(seat("logs-curl")))


def refreshed(curl: Curl) -> str:
    """Get a refresh token, and use it."""
    realm = "https://logs.test/auth/token?service=registry.docker.io"
    first = curl.ask(f"{realm}&offline_token=true&account={USER}", [], "-u", f"{USER}:{PASSWORD}").json()
    form = "grant_type=refresh_token&client_id=test&service=registry.docker.io"
    form += f"&scope=repository:acme/private:pull&refresh_token={first['refresh_token']}"
    assert curl.ask("https://logs.test/auth/token", [], "-d", form).status == 200
    curl.ask("https://logs.test/v2/acme/private/tags/list", [f"Authorization: Bearer {first['token']}"])
    curl.ask("https://logs.test/v2/acme/private/tags/list", [f"Authorization: Basic {BASIC}"])
    return str(first["refresh_token"])


@pytest.fixture(scope="module")
def seen(hub: Hub, start: Start, seat: Seats) -> Iterator[Seen]:
    """Everything, after pulls of every kind through a docxy of its own."""
    mirror = start(Plan("logs", "https://logs.test", [tls_listener(places.LOGS)], both(hub)))
    before = (len(hub.requests()), len(hub.docker.tokens.requests), len(hub.ghcr.tokens.requests))
    refresh_token = pull_in_every_way(hub, seat)
    yield Seen(
        mirror.said(),
        hub.requests()[before[0] :],
        hub.docker.tokens.requests[before[1] :],
        hub.ghcr.tokens.requests[before[2] :],
        refresh_token,
    )


def test_the_pulls_were_seen(seen: Seen) -> None:
    """There is something to look at: credentials where they belong, and blobs."""
    assert any(request.authorization == f"Basic {BASIC}" for request in seen.docker_tokens)
    assert any(PASSWORD in request.body for request in seen.docker_tokens)
    assert seen.at("production.cloudfront.docker.com")
    assert seen.at("pkg-containers.githubusercontent.com")
    assert "acme/private" in seen.log


def test_no_password_in_the_log(seen: Seen) -> None:
    """Neither the password nor its Basic form is logged, at debug level either."""
    assert PASSWORD not in seen.log
    assert BASIC not in seen.log


def test_no_token_in_the_log(hub: Hub, seen: Seen) -> None:
    """No token that was issued is logged, not even its signature."""
    for token in [*hub.docker.tokens.issued, *hub.ghcr.tokens.issued]:
        assert token not in seen.log
        assert token.rpartition(".")[2] not in seen.log
    assert seen.refresh_token not in seen.log


def test_no_signed_url_in_the_log(seen: Seen) -> None:
    """No signature of a CDN's URL is logged, and no query string of ours."""
    signatures = {
        value
        for request in seen.requests
        for value in parse_qs(urlsplit(request["target"]).query).get("verify", [])
    }
    assert signatures
    assert not [value for value in signatures if value in seen.log]
    assert "verify=" not in seen.log
    assert "service=registry.docker.io" not in seen.log


def test_the_cdn_gets_no_credentials(seen: Seen) -> None:
    """The CDNs saw neither Authorization nor Cookie."""
    requests = seen.at("production.cloudfront.docker.com", "pkg-containers.githubusercontent.com")
    assert {(request["authorization"], request["cookie"]) for request in requests} == {("", "")}


def test_a_registry_gets_its_own_tokens(hub: Hub, seen: Seen) -> None:
    """Each registry saw tokens of its own service and nothing else: no password, no cookie."""
    own = {"registry-1.docker.io": hub.docker.tokens.issued, "ghcr.io": hub.ghcr.tokens.issued}
    for host, issued in own.items():
        allowed = {"", *(f"Bearer {token}" for token in issued)}
        assert {request["authorization"] for request in seen.at(host)} <= allowed
        assert {request["cookie"] for request in seen.at(host)} == {""}


def test_the_other_token_service_gets_nothing(seen: Seen) -> None:
    """The second registry's token service was asked, and never with the account of the first."""
    assert seen.ghcr_tokens
    for request in seen.ghcr_tokens:
        assert request.authorization == ""
        assert PASSWORD not in request.target + request.body
        assert USER not in request.target + request.body


def test_the_secret_path_is_secret(hub: Hub, secret: Mirror, seat: Seats) -> None:
    """The secret path is in no log, and no upstream hears of it."""
    curl = Curl(seat("curl"))
    before = len(hub.requests())
    curl.pull(f"https://secret.test/{SECRET}", "library/hello", "latest")
    challenge = curl.ask(f"https://secret.test/v2/{SECRET}/library/hello/manifests/latest").challenge()
    curl.token(challenge, f"repository:{SECRET}/library/hello:pull")
    assert SECRET not in secret.said()
    assert SECRET not in repr(hub.requests()[before:])
    assert SECRET not in repr(hub.docker.tokens.requests)
