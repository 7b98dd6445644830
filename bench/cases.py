"""
What is measured: every case, with what it asks of a way.

Owns the list. `measures` has what one round of a case does; `interleave` runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from bench import measures
from bench.measures import GIB, MANIFEST
from bench.origin import LINE, PACED, RESETTING, RESETTING_LINE, STEADY, STEADY_LINE
from bench.place import Place
from bench.setup import TLS, Setup
from bench.ways import Proxy, Way
from tests.e2e.rig.seed import MIB

Measure = Callable[[Place, Proxy], dict[str, float]]
Life = Literal["case", "round", "exec"]


@dataclass(frozen=True, slots=True)
class Case:
    """
    One case; ``only`` are the names of the ways it is for, empty for all.

    A proxy lives for the case, or for one round; or it is measured from its exec on, and lives for that.
    ``quick`` cases are those of a quick run; ``most`` is the most rounds that it takes, 0 for any number.
    """

    name: str
    title: str
    measure: Measure
    setup: Setup = TLS
    only: tuple[str, ...] = ()
    life: Life = "case"
    quick: bool = False
    most: int = 0

    def fits(self, way: Way) -> bool:
        """Whether that way is measured in it."""
        wanted = not self.only or way.name in self.only
        return wanted and way.fits(self.setup)


def bytes_cases() -> list[Case]:
    """One blob and many."""
    plain_client, plain_upstream = Setup(tls_client=False), Setup(tls_upstream=False)
    plain = Setup(tls_client=False, tls_upstream=False)
    one = partial(measures.blobs, size=GIB)
    several = {count: partial(measures.blobs, size=GIB // count, count=count) for count in (8, 64)}
    return [
        Case("blob", "one blob, TLS from the upstream, TLS to the client", one, quick=True),
        Case("blob-plain-client", "one blob, TLS from the upstream, plain to the client", one, plain_client),
        Case(
            "blob-plain-upstream", "one blob, plain from the upstream, TLS to the client", one, plain_upstream
        ),
        Case("blob-plain", "one blob, plain on both sides", one, plain),
        Case("blobs-8", "8 blobs at once, TLS on both sides", several[8]),
        Case("blobs-64", "64 blobs at once, TLS on both sides", several[64]),
    ]


def request_cases() -> list[Case]:
    """Manifests and tokens."""

    def asked(method: str, new: bool, path: str = MANIFEST) -> Measure:
        return partial(measures.requests, path=path, method=method, new=new)

    return [
        Case("head", "HEAD of a manifest, connections kept", asked("HEAD", new=False), quick=True),
        Case("head-new", "HEAD of a manifest, each on a new TLS connection", asked("HEAD", new=True)),
        Case("get", "GET of a manifest, connections kept", asked("GET", new=False), quick=True),
        Case("get-new", "GET of a manifest, each on a new TLS connection", asked("GET", new=True)),
        Case("token", "GET of a token, connections kept", asked("GET", new=False, path=""), only=_RELAYS),
    ]


def life_cases() -> list[Case]:
    """Images, crowds, starts, and an upstream that gives each connection little."""
    small = partial(measures.blobs, size=64 * MIB, least=32 * MIB)
    several = Setup(PACED, connections=4)
    line, crowd = "an image of ten layers, by skopeo", "1000 clients at 200 kB/s each"
    return [
        Case("image", f"{line}, cold", measures.image, quick=True),
        Case("image-line", f"{line}, cold, 100 Mbit/s a connection", measures.image, Setup(LINE)),
        Case("slow", crowd, measures.slow, only=_PROXIES, life="round", quick=True, most=3),
        Case(
            "start", "from exec to the first answer", measures.start, only=_STARTED, life="exec", quick=True
        ),
        Case(
            "paced-1", "upstream gives a connection 2 MB/s, one of them", small, Setup(PACED), _RELAYS, most=2
        ),
        Case("paced-4", "upstream gives a connection 2 MB/s, four of them", small, several, _DOCXY, most=2),
    ]


def resetting_cases() -> list[Case]:
    """A CDN that resets, and the same one when it does not, on the loopback and on a line."""
    whole, cut = "a CDN that resets nothing", "a CDN that resets every 10 MB"
    on_line = partial(measures.broken, size=128 * MIB)
    return [
        Case("steady", whole, measures.broken, Setup(STEADY), _RELAYS, quick=True),
        Case("resetting", cut, measures.broken, Setup(RESETTING), _RELAYS, quick=True),
        Case("steady-line", f"{whole}, 100 Mbit/s", on_line, Setup(STEADY_LINE), _DOCXY, most=2),
        Case("resetting-line", f"{cut}, 100 Mbit/s", on_line, Setup(RESETTING_LINE), _DOCXY, most=2),
    ]


_RELAYS = ("straight", "nginx", "docxy", "docxy, verify = false")
_PROXIES = ("nginx", "docxy")  # what a body's check costs in memory and at the start is nothing
_STARTED = ("nginx", "docker-registry, warm", "docxy")
_DOCXY = ("docxy",)


def every() -> list[Case]:
    """All cases, in the order in which they run."""
    return [*bytes_cases(), *request_cases(), *life_cases(), *resetting_cases()]
