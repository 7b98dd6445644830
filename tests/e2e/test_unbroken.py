"""
Real clients before an upstream that breaks: their pulls succeed at the first try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import pytest

from .conftest import Seats, Start
from .rig import hub as places
from .rig.clients import Containerd, Containers, Docker, Host
from .rig.faulty import Asked, Reply, Script
from .rig.faulty_origin import CDN, OTHER_CDN, REPOSITORY, Content, Origin, image, noise, serve
from .rig.faulty_parts import LARGE, cut, fails, in_turn
from .rig.faulty_ways import attempt, plan
from .rig.hub import Hub
from .rig.mirror import Mirror
from .rig.processes import RigError, wait_until
from .rig.seed import MIB

STEP = 10 * MIB
LAYER = 300 * MIB
OVERHEAD = 1.02  # of the layer's bytes come from upstream, HTTP's and TLS's own among them
LIMIT = 100 * MIB  # of the daemon's memory
CLIENTS = ("skopeo", "podman", "ctr", "docker")


@pytest.fixture(scope="module")
def steady(hub: Hub, start: Start) -> Mirror:
    """https://steady.test, whose upstream breaks."""
    return start(plan(hub, "steady", places.STEADY, stall=3))


class Pulls:
    """Each client by its name, started when it is first wanted."""

    def __init__(self, seat: Seats) -> None:
        self._seat = seat
        self._closing = ExitStack()
        self._started: dict[str, Callable[[str], str]] = {}

    def __call__(self, client: str, tag: str) -> str:
        """The digest that a pull got; raises `RigError` where it failed."""
        if client not in self._started:
            self._started[client] = getattr(self, f"_{client}")()
        return self._started[client](f"docker.io/{REPOSITORY}:{tag}")

    def _skopeo(self) -> Callable[[str], str]:
        return Containers(self._seat("steady-skopeo"), "skopeo", {"docker.io": "steady.test"}).pull

    def _podman(self) -> Callable[[str], str]:
        return Containers(self._seat("steady-podman"), "podman", {"docker.io": "steady.test"}).pull

    def _ctr(self) -> Callable[[str], str]:
        containerd = self._closing.enter_context(closing(Containerd(self._seat("steady-ctr"))))
        return lambda name: containerd.pull(name, {"docker.io": Host("https://steady.test")})

    def _docker(self) -> Callable[[str], str]:
        daemon = Docker(self._seat("steady-docker"), ["https://steady.test"])
        return self._closing.enter_context(closing(daemon)).pull

    def close(self) -> None:
        """Stop the daemons."""
        self._closing.close()


@pytest.fixture(scope="module")
def pulls(steady: Mirror, seat: Seats) -> Iterator[Pulls]:
    """The clients."""
    made = Pulls(seat)
    yield made
    made.close()


def served(mirror: Mirror, content: Content) -> list[tuple[int, int]]:
    """Status and bytes of every answer that had to do with the layer."""
    return [(one["status"], one["bytes"]) for one in mirror.served(reference=content.digest, method="GET")]


def resetting(script: Script) -> Script:
    """Every body of more than `STEP` bytes is reset after so many."""
    broken = cut(script, STEP, "reset at once")

    def answer(asked: Asked) -> Reply:
        whole = script(asked)
        return broken(asked) if len(whole.body) > STEP else whole

    return answer


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_large_layer(hub: Hub, steady: Mirror, pulls: Pulls, client: str) -> None:
    """A layer of 300 MiB comes in one answer made of 30 and more that were reset, and hardly a byte twice."""
    content = image(f"large {client}", LAYER)
    origin = Origin(hub, content)
    origin.cdn.script = resetting(origin.blob)
    with closing(origin.start()):
        before = hub.namespace.loopback_bytes()  # the registry and the CDN are met there, and nobody else
        assert pulls(client, client) == content.manifest_digest
        steady.wait_served(reference=content.digest)
        came = hub.namespace.loopback_bytes() - before
    size = len(content.layer)
    assert served(steady, content) == [(200, size)]
    assert len(origin.cdn.asked) >= size // STEP
    assert came <= OVERHEAD * size
    assert steady.peak_memory() < LIMIT


FAULTS: dict[str, Callable[[Origin], None]] = {}


def _break(name: str) -> Callable[[Callable[[Origin], None]], None]:
    def listed(apply: Callable[[Origin], None]) -> None:
        FAULTS[name] = apply

    return listed


@_break("reset")
def _(origin: Origin) -> None:
    origin.cdn.script = cut(origin.blob, LARGE, "reset")


@_break("close")
def _(origin: Origin) -> None:
    origin.cdn.script = cut(origin.blob, LARGE, "close")


@_break("stall")
def _(origin: Origin) -> None:
    origin.cdn.script = in_turn(cut(origin.blob, LARGE, "hang"), then=origin.blob)


@_break("registry fails")
def _(origin: Origin) -> None:
    origin.at_registry("/blobs/", in_turn(fails(503), fails(500), then=origin.registry.script))


@_break("dead host")
def _(origin: Origin) -> None:
    dead = places.LONE[-1]
    origin.cdn.script = in_turn(cut(origin.blob, LARGE, "reset"), then=origin.blob)

    def to_the_dead(asked: Asked) -> Reply:
        return origin.redirect_to(dead)

    good = origin.registry.script
    layer = origin.content.digest
    origin.at_registry(layer, in_turn(to_the_dead, good, to_the_dead, then=good))


@_break("manifest cut")
def _(origin: Origin) -> None:
    origin.at_registry("/manifests/", in_turn(cut(origin.manifest, 100, "reset"), then=origin.manifest))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_clients(hub: Hub, steady: Mirror, pulls: Pulls, client: str, fault: str) -> None:
    """Each client pulls at the first try what breaks upstream: it is answered once, and whole."""
    content = image(f"{client} {fault}", 4 * MIB)
    origin = Origin(hub, content)
    FAULTS[fault](origin)
    with closing(origin.start()):
        assert pulls(client, f"{client}-{fault.replace(' ', '-')}") == content.manifest_digest
    steady.wait_served(reference=content.digest)
    assert served(steady, content) == [(200, len(content.layer))]


@dataclass
class Flipped:
    """An origin whose first CDN has one bit wrong; the registry sends to either in turn."""

    origin: Origin

    def start(self) -> Origin:
        """Start it."""
        origin = self.origin
        wrong = bytearray(origin.content.layer)
        wrong[len(wrong) // 2] ^= 1
        origin.cdn.script = lambda asked: serve(memoryview(wrong), asked)
        hosts = iter([CDN, *[CDN, OTHER_CDN] * 1000])
        origin.at_registry(origin.content.digest, lambda asked: origin.redirect_to(next(hosts)))
        return origin.start()


def test_flipped(hub: Hub, steady: Mirror, seat: Seats) -> None:
    """Wrong bytes end short, their host is named and remembered: no tail resume, and elsewhere next time."""
    content = noise("flipped")
    url = f"{steady.url}/v2/{REPOSITORY}/blobs/{content.digest}"
    with closing(Flipped(Origin(hub, content)).start()):
        first = attempt(seat("flipped"), url)
        assert first.code == 18
        assert len(first.answer.body) < len(content.layer)
        assert CDN in steady.wait_served(reference=content.digest)["error"]
        tail = attempt(seat("flipped"), url, f"Range: bytes={len(first.answer.body)}-")
        assert tail.answer.status == 416
        assert tail.answer.headers["content-range"] == f"bytes */{len(content.layer)}"
        again = attempt(seat("flipped"), url)
        assert (again.code, again.answer.body) == (0, content.layer)


@pytest.mark.parametrize("client", CLIENTS)
def test_flipped_clients(hub: Hub, steady: Mirror, pulls: Pulls, client: str) -> None:
    """No client takes the wrong bytes; docker gets the right ones at once, the others by a further pull."""
    content = image(f"flipped {client}", 4 * MIB)
    tried: list[str] = []

    def pulled() -> bool:
        try:
            tried.append(pulls(client, f"flipped-{client}"))
        except RigError as error:
            tried.append(str(error))
        return tried[-1] == content.manifest_digest

    with closing(Flipped(Origin(hub, content)).start()):
        wait_until(pulled, f"{client} to pull anew what was wrong")
    print(client, len(tried), *(said[-300:] for said in tried), served(steady, content), sep="\n")
