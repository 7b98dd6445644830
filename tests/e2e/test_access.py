"""
`[access]`: who is refused is told why, what is slowed down arrives, and a spent budget stays spent.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from .conftest import Seats, Start
from .rig.clients import Containers, Curl
from .rig.hub import ACCESS, CLIENT, OTHER_CLIENT, Hub
from .rig.mirror import Mirror, Plan, both, tls_listener

REQUESTS = 60
OPEN, SPENT = "open-key-7d1c", "spent-key-4f0a"


@pytest.fixture(scope="module")
def plan(hub: Hub) -> Plan:
    """https://access.test: paced, with two keys, one of them with a budget of less than an image."""
    denied, *others = both(hub)
    return Plan(
        "access",
        "https://access.test",
        [tls_listener(ACCESS)],
        [{**denied, "deny_repositories": ["library/zs*"]}, *others],
        access={
            "requests_per_client": REQUESTS,
            "rate_per_client": "500 KB",
            "state": str(hub.state / "traffic.json"),
        },
        keys=[
            {"name": "open", "path": OPEN},
            {"name": "spent", "path": SPENT, "budget": "1 MB"},
        ],
    )


@pytest.fixture(scope="module")
def access(plan: Plan, start: Start) -> Mirror:
    """It runs."""
    return start(plan)


def test_paced(hub: Hub, access: Mirror, seat: Seats) -> None:
    """skopeo pulls through a mirror that is slower than it could be; nothing breaks, nothing is mended."""
    client = Containers(seat("paced"), "skopeo", {"docker.io": f"access.test/{OPEN}"})
    assert client.pull(hub.images.alpine.name) == hub.images.alpine.own
    for layer in hub.images.alpine.layers:
        served = access.wait_served(reference=layer.digest)
        assert (served["status"], served["bytes"], served["resumes"]) == (200, layer.size, 0)


def test_denied(hub: Hub, access: Mirror, seat: Seats) -> None:
    """A repository that is denied is 403, in words that skopeo shows."""
    answer = Curl(seat("curl")).ask(f"https://access.test/{OPEN}/v2/library/zstd/manifests/latest")
    assert answer.status == 403
    assert answer.json()["errors"][0]["code"] == "DENIED"
    client = Containers(seat("denied"), "skopeo", {"docker.io": f"access.test/{OPEN}"})
    done, _ = client.attempt(hub.images.zstd.name)
    assert done.code != 0


def test_requests(access: Mirror, seat: Seats) -> None:
    """A client that asks too often gets 429 with a wait; one at another address is served."""
    curl = Curl(seat("curl"))
    url = f"https://access.test/{OPEN}/v2/"
    answers = [curl.ask(url, [], "--interface", OTHER_CLIENT) for _ in range(2 * REQUESTS)]
    assert {answer.status for answer in answers[:REQUESTS]} == {401}
    answer = next(answer for answer in answers if answer.status == 429)
    assert answer.json()["errors"][0]["code"] == "TOOMANYREQUESTS"
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert curl.ask(url, [], "--interface", CLIENT).status == 401


def test_budget(hub: Hub, plan: Plan, access: Mirror, seat: Seats, start: Start) -> None:
    """A key that has used up its month is told so until the month ends, also by the next process."""
    client = Containers(seat("spent"), "skopeo", {"docker.io": f"access.test/{SPENT}"})
    curl = Curl(seat("curl"))
    manifest = "v2/library/alpine/manifests/latest"
    client.attempt(hub.images.alpine.name)  # whether it fits depends on which layer comes first
    refused = curl.ask(f"https://access.test/{SPENT}/{manifest}")
    assert refused.status == 503
    assert "used up its traffic of this month" in refused.json()["errors"][0]["message"]
    assert int(refused.headers["retry-after"]) > 0
    access.close()
    again = start(replace(plan, name="access-again"))
    assert curl.ask(f"https://access.test/{SPENT}/{manifest}").status == 503
    assert curl.ask(f"https://access.test/{OPEN}/{manifest}").status == 401
    assert "access.state" not in again.said()


def test_networks(hub: Hub, seat: Seats, start: Start) -> None:
    """Who is let in: networks, also of who comes through a proxy; an IPv6 /64 is one client."""
    mirror = start(
        Plan(
            "access-networks",
            "https://access.test:18443",
            ["ssl:18443"],
            both(hub),
            {"trusted_proxies": [CLIENT]},
            access={
                "allow": ["10.77.0.0/24", "2001:db8::/32"],
                "deny": [OTHER_CLIENT],
                "requests_per_client": 2,
            },
        )
    )
    curl = Curl(seat("curl"))
    url = f"{mirror.url}/v2/"
    refused = curl.ask(url, [], "--interface", OTHER_CLIENT)
    assert (refused.status, refused.json()["errors"][0]["code"]) == (403, "DENIED")
    for client, status in (
        ("198.51.100.1", 403),
        (OTHER_CLIENT, 403),
        ("10.77.0.50", 401),
        ("2001:db8::1", 401),
        ("2001:db8::2", 401),
        ("2001:db8::3", 429),
        ("2001:db8:0:1::1", 401),
    ):
        answer = curl.ask(url, [f"X-Forwarded-For: {client}"], "--interface", CLIENT)
        assert answer.status == status, client
    assert "may pull, at your cost" not in mirror.said()


def test_open(hub: Hub, seat: Seats, start: Start) -> None:
    """A mirror that is open to everybody says so at its start; all its clients share its rate."""
    rate = 1_000_000
    mirror = start(
        Plan("access-open", "https://access.test:18444", ["ssl:18444"], both(hub), access={"rate": rate})
    )
    assert "everybody who reaches ssl:18444 may pull, at your cost" in mirror.said()
    curl = Curl(seat("curl"))
    layer = hub.images.zstd.layers[-1]
    token = curl.token(curl.ask(f"{mirror.url}/v2/").challenge(), "repository:library/zstd:pull")
    url = f"{mirror.url}/v2/library/zstd/blobs/{layer.digest}"
    began = time.monotonic()
    for client in (CLIENT, OTHER_CLIENT):
        answer = curl.ask(url, [f"Authorization: Bearer {token}"], "--interface", client)
        assert len(answer.body) == layer.size
    # No measurement: it cannot be less, however fast the machine is.
    assert time.monotonic() - began >= (2 * layer.size - rate) / rate
