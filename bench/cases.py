"""
What is measured: each case one function of a place and a proxy, which gives the values of one round.

Owns the list and the sizes. A case knows nothing of other ways or rounds; `interleave` runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench import load
from bench.meter import Meter
from bench.place import Place
from bench.results import CPU_PER_GIB, PEAK, THROUGHPUT
from bench.setup import Setup
from bench.ways import Proxy, Way
from tests.e2e.rig.seed import MIB

GIB = 1 << 30
Measure = Callable[[Place, Proxy], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Case:
    """
    One case; ``only`` are the first words of the ways it is for, empty for all.

    ``fresh`` has each round start the proxy anew, not waited for. ``quick`` cases are those of a quick run.
    """

    name: str
    title: str
    setup: Setup
    measure: Measure
    only: tuple[str, ...] = ()
    fresh: bool = False
    quick: bool = True

    def fits(self, way: Way) -> bool:
        """Whether that way is measured in it."""
        wanted = not self.only or way.name.startswith(self.only)
        return wanted and way.fits(self.setup)


def blobs(place: Place, proxy: Proxy, size: int, count: int) -> dict[str, float]:
    """Different blobs at once, to as many clients: how fast, at which cost."""
    wanted = place.content.blobs(size // 4 if place.small else size, count)
    gauge = Gauge(proxy.meter)
    fetched = load.fetch(place, [proxy.url + blob.path for blob in wanted])
    used = gauge.used()
    total = sum(one.size for one in fetched)
    assert total == sum(blob.size for blob in wanted), "a body was short"
    speed = {THROUGHPUT: total / max(one.seconds for one in fetched) / 1e6}
    return speed | ({CPU_PER_GIB: used[0] / total * GIB, PEAK: used[1] / MIB} if used else {})


class Gauge:
    """What a proxy uses from now on."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter
        if meter:
            meter.reset()
            self._before = meter.cpu()

    def used(self) -> tuple[float, int] | None:
        """CPU seconds since then, and the peak of its memory in bytes; None where there are no processes."""
        return (self._meter.cpu() - self._before, self._meter.peak()) if self._meter else None


def _blob(name: str, title: str, setup: Setup, quick: bool = False) -> Case:
    return Case(name, title, setup, partial(blobs, size=GIB, count=1), quick=quick)


def every() -> list[Case]:
    """All cases, in the order in which they run."""
    plain_client, plain_upstream = Setup(tls_client=False), Setup(tls_upstream=False)
    plain = Setup(tls_client=False, tls_upstream=False)
    return [
        _blob("blob", "one blob, TLS from the upstream, TLS to the client", Setup(), quick=True),
        _blob("blob-plain-client", "one blob, TLS from the upstream, plain to the client", plain_client),
        _blob("blob-plain-upstream", "one blob, plain from the upstream, TLS to the client", plain_upstream),
        _blob("blob-plain", "one blob, plain on both sides", plain),
        Case("blobs-8", "8 blobs at once", Setup(), partial(blobs, size=GIB // 8, count=8)),
        Case("blobs-64", "64 blobs at once", Setup(), partial(blobs, size=GIB // 64, count=64), quick=False),
    ]
