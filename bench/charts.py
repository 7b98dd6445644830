"""
Which figures of a run become pictures, and what they show.

Pure: results in, charts out; `plots` draws them.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.results import (
    ABOVE_IDLE,
    CPU_PER_GIB,
    FIRST_ANSWER,
    P50,
    SECONDS,
    THROUGHPUT,
    Results,
)

# The file's name, the cases and the metric: one group of bars for each case.
SHOWN = (
    ("throughput", ("blob", "blob-plain-client", "blob-plain-upstream", "blob-plain"), THROUGHPUT),
    ("cpu", ("blob", "blob-plain-client", "blob-plain-upstream", "blob-plain"), CPU_PER_GIB),
    ("many", ("blobs-8", "blobs-64"), THROUGHPUT),
    ("latency", ("head", "get", "token"), P50),
    ("latency-new", ("head-new", "get-new"), P50),
    ("image", ("image", "image-line"), SECONDS),
    ("slow", ("slow",), ABOVE_IDLE),
    ("start", ("start",), FIRST_ANSWER),
    ("paced", ("paced-1", "paced-4"), THROUGHPUT),
    ("resetting", ("steady", "resetting"), THROUGHPUT),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One way's value and range."""

    way: str
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture: its file's name, what the bars measure, and the bars of each case by its title."""

    name: str
    metric: str
    groups: tuple[tuple[str, tuple[Bar, ...]], ...]


def bars(results: Results, case: str, metric: str) -> tuple[Bar, ...]:
    """What a case has of a metric."""
    found = ((way, results.find(case, way, metric)) for way in results.ways(case))
    return tuple(Bar(way, one.median, one.low, one.high) for way, one in found if one)


def charts(results: Results) -> list[Chart]:
    """The pictures of a run; what it did not measure is left out."""
    made = []
    for name, cases, metric in SHOWN:
        groups = ((results.titles.get(case, ""), bars(results, case, metric)) for case in cases)
        shown = tuple((title, group) for title, group in groups if group)
        made += [Chart(name, metric, shown)] if shown else []
    return made
