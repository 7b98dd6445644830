"""
What is counted, as Prometheus reads it.

Owns the names, the labels and the forms in which they are shown.  Knows
nothing of what is counted: whoever does a thing tells of it.  No label is a
client's word: upstreams are those of the settings, kinds, sources and causes
are closed lists, a status is a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    Info,
    Metric,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from zope.interface import implementer

from docxy.interfaces import IMetrics

NO_UPSTREAM = "none"
"""The label of what concerns no upstream: an empty one would be none at all."""

BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
"""Seconds until an upstream's first header; more than 25 it does not get."""

MENDED = ("reset", "short", "stall", "crawl", "misfit", "refused", "unanswered")
"""Why a body is asked for again."""

ENDED = (*MENDED, "digest", "client")
"""Why a body ends short."""

REFUSED = ("network", "repository", "requests", "budget", "places", "logins", "quota")
"""The causes of `docxy.oci.errors.RegistryError`."""

_OPENMETRICS = "application/openmetrics-text"

Values: TypeAlias = Mapping[tuple[str, ...], float]
"""What a gauge shows: a number for the values of its labels."""


@implementer(IMetrics)
class Metrics:
    """
    The counts of one process.

    ``build`` are the versions that it is made of, by what they are of.
    """

    def __init__(self, build: Mapping[str, str]) -> None:
        # The time at which each series began, told with every one, would double their number.
        disable_created_metrics()
        registry = self._registry = CollectorRegistry()
        self._before: list[Callable[[], None]] = []
        self._requests = Counter(
            "docxy_requests", "Requests answered.", ("upstream", "kind", "status"), registry=registry
        )
        self._bytes = Counter(
            "docxy_bytes", "Bytes of bodies given to clients.", ("upstream", "source"), registry=registry
        )
        self._seconds = Histogram(
            "docxy_upstream_seconds",
            "Seconds from asking an upstream to its answer's header.",
            ("upstream", "kind"),
            buckets=BUCKETS,
            registry=registry,
        )
        self._resumes = Counter(
            "docxy_resumes",
            "Bodies that broke and were asked for again.",
            ("upstream", "cause"),
            registry=registry,
        )
        self._broken = Counter(
            "docxy_broken",
            "Bodies that ended short at their client.",
            ("upstream", "cause"),
            registry=registry,
        )
        text = "Requests refused by rules of the mirror's own."
        self._refusals = Counter("docxy_refusals", text, ("cause",), registry=registry)
        for cause in REFUSED:
            self._refusals.labels(cause)
        self._key_requests = Counter(
            "docxy_key_requests", "Requests with a key.", ("key",), registry=registry
        )
        text = "Bytes of bodies given to clients with a key."
        self._key_bytes = Counter("docxy_key_bytes", text, ("key",), registry=registry)
        Info("docxy_build", "What this process is made of.", registry=registry).info(dict(build))
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)

    # IMetrics

    def expected(self, upstream: str) -> None:
        self._bytes.labels(upstream, "relay")
        for cause in MENDED:
            self._resumes.labels(upstream, cause)
        for cause in ENDED:
            self._broken.labels(upstream, cause)

    def answered(self, upstream: str, kind: str, status: int) -> None:
        self._requests.labels(upstream or NO_UPSTREAM, kind, str(status)).inc()

    def sent(self, upstream: str, source: str, size: int) -> None:
        self._bytes.labels(upstream or NO_UPSTREAM, source).inc(size)

    def asked(self, upstream: str, kind: str, seconds: float) -> None:
        self._seconds.labels(upstream, kind).observe(seconds)

    def resumed(self, upstream: str, cause: str, times: int) -> None:
        self._resumes.labels(upstream, cause).inc(times)

    def broke(self, upstream: str, cause: str) -> None:
        self._broken.labels(upstream, cause).inc()

    def refused(self, cause: str) -> None:
        self._refusals.labels(cause).inc()

    def used(self, key: str, requests: int, size: int) -> None:
        self._key_requests.labels(key).inc(requests)
        self._key_bytes.labels(key).inc(size)

    # What is looked at when somebody asks

    def gauge(self, name: str, text: str, labels: Sequence[str], read: Callable[[], Values]) -> None:
        """Show what ``read`` gives, whenever the metrics are shown, under ``name`` with the help ``text``."""
        self._registry.register(_Gauge(name, text, labels, read))

    def before(self, settle: Callable[[], None]) -> None:
        """Call ``settle`` before the metrics are shown: it counts what is still under way."""
        self._before.append(settle)

    def shown(self, accept: str) -> tuple[str, bytes]:
        """All of them, for a client that sent ``accept``: the content type, and the content."""
        for settle in self._before:
            settle()
        # What else a client says there, its versions among it, the library cannot be trusted to read.
        encode, content_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept.lower() else "")
        return content_type, encode(self._registry)

    def names(self) -> frozenset[str]:
        """The names of all families, as ``# TYPE`` lines have them."""
        return frozenset(family.name for family in self._registry.collect())


class _Gauge(Collector):
    """A gauge without a memory of its own."""

    def __init__(self, name: str, text: str, labels: Sequence[str], read: Callable[[], Values]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Its name, so that no other takes it."""
        return [GaugeMetricFamily(self._name, self._text, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        """Its present values."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for values, number in self._read().items():
            family.add_metric(values, number)
        return [family]
