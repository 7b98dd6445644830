"""
The requests that are being served, and the count of what was.

Owns what is counted of a request and when: at its end, and of one that is
still served whenever somebody asks.  No byte and no piece of a body is counted as it passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from docxy.interfaces import IMetrics
from docxy.oci.errors import RegistryError


class InService(Protocol):
    """
    One request that is being served.

    ``kind`` is its route's; ``sent`` are bytes of its body that were given to
    the client, ``mended`` its mendings by cause.  ``is_transfer`` tells that
    it holds one of the places of `docxy.policy.limits.RelayCounter`; ``key``
    names the `[[access.key]]` that it shows.
    """

    upstream: str
    kind: str
    source: str
    is_transfer: bool
    key: str

    @property
    def sent(self) -> int: ...

    @property
    def mended(self) -> Mapping[str, int]: ...

    def shown(self) -> dict[str, object]:
        """What is known of it, for `docxy.overview`."""


def _nobody(key: str, size: int) -> None:
    pass


@dataclass(slots=True)
class _Counted:
    """What of a request was counted already."""

    sent: int = 0
    mended: Counter[str] = field(default_factory=Counter)


class Traffic:
    """
    All requests of all listeners, counted in ``metrics``.

    ``spend`` is told the bytes that went to clients, and their key.
    """

    def __init__(self, metrics: IMetrics, spend: Callable[[str, int], None] = _nobody) -> None:
        self._metrics = metrics
        self._spend = spend
        self._upstreams: tuple[str, ...] = ()
        self._running: dict[InService, _Counted] = {}

    def expect(self, upstreams: Iterable[str]) -> None:
        """These are the upstreams of the settings."""
        self._upstreams = tuple(upstreams)
        for name in self._upstreams:
            self._metrics.expected(name)

    def begin(self, served: InService) -> None:
        """A request is being served from now on."""
        self._running[served] = _Counted()

    def end(self, served: InService, status: int) -> None:
        """It was served; ``status`` is 0 where nothing of an answer was written."""
        self._count(served)
        del self._running[served]
        self._metrics.answered(served.upstream, served.kind, status)
        if served.key:
            self._metrics.used(served.key, 1, 0)

    def refused(self, status: int) -> None:
        """Something was refused that never became a request."""
        self._metrics.answered("", "other", status)

    def denied(self, error: RegistryError) -> None:
        """A request was refused; it counts where that was by a rule of the mirror's own."""
        if error.cause:
            self._metrics.refused(error.cause)

    def broke(self, served: InService, cause: str) -> None:
        """Its body ended short, for that ``cause``."""
        self._metrics.broke(served.upstream, cause)

    def settle(self) -> None:
        """Count what those have sent that are still served."""
        for served in self._running:
            self._count(served)

    def transfers(self) -> list[InService]:
        """Those that hold a place, the oldest first."""
        return [served for served in self._running if served.is_transfer]

    def active(self) -> dict[tuple[str, ...], float]:
        """How many of these each upstream has."""
        running = Counter(dict.fromkeys(self._upstreams, 0))
        running.update(served.upstream for served in self.transfers())
        return {(name,): float(count) for name, count in running.items()}

    def _count(self, served: InService) -> None:
        counted = self._running[served]
        if served.sent > counted.sent:
            size = served.sent - counted.sent
            counted.sent += size
            self._metrics.sent(served.upstream, served.source, size)
            self._spend(served.key, size)
            if served.key:
                self._metrics.used(served.key, 0, size)
        for cause, times in served.mended.items():
            if times > counted.mended[cause]:
                self._metrics.resumed(served.upstream, cause, times - counted.mended[cause])
                counted.mended[cause] = times
