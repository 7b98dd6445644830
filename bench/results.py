"""
What was measured: series of values by case, way and metric, and their JSON.

Pure: it neither measures nor prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

FORMAT = 1  # of the JSON

# The metrics that cases give; each name ends in its unit.
THROUGHPUT = "throughput, MB/s"
CPU_PER_GIB = "CPU, s/GiB"
CPU_PER_REQUEST = "CPU, ms/request"
CPU_PER_CENT = "CPU, %"
PEAK = "peak RSS, MiB"
IDLE = "idle RSS, MiB"
ABOVE_IDLE = "above idle, MiB"
SECONDS = "time, s"
FIRST_ANSWER = "first answer, s"
P50 = "p50, ms"
P99 = "p99, ms"
RATE = "requests/s"
SERVED = "clients served"
WHOLE = "whole, %"


@dataclass(frozen=True, slots=True)
class Series:
    """The values of one metric, one for each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return median(self.values)

    @property
    def low(self) -> float:
        """The least value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest value."""
        return max(self.values)


@dataclass
class Results:
    """
    One run: ``about`` is the machine, the versions and the options, and ``titles`` has what each case is.

    A way that could not do a case has its reason in ``failures`` and no series after it.
    """

    about: dict[str, Any] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    series: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, case: str, way: str, metrics: Mapping[str, float]) -> None:
        """Take the values of one round."""
        for metric, value in metrics.items():
            self.series.setdefault((case, way, metric), []).append(value)

    def fail(self, case: str, way: str, reason: str) -> None:
        """Note that a way could not do a case."""
        self.failures[case, way] = reason

    def find(self, case: str, way: str, metric: str) -> Series | None:
        """The series of that name, if there is one."""
        values = self.series.get((case, way, metric))
        return Series(tuple(values)) if values else None

    def ways(self, case: str) -> list[str]:
        """Who was measured in a case or failed in it, in the order of the first round."""
        measured = [way for name, way, _ in self.series if name == case]
        return list(dict.fromkeys(measured + [way for name, way in self.failures if name == case]))

    def metrics(self, case: str) -> list[str]:
        """What was measured in a case, in the order in which it gave it."""
        return list(dict.fromkeys(metric for name, _, metric in self.series if name == case))


def to_json(results: Results) -> dict[str, Any]:
    """The document of a run; `from_json` reads it."""
    return {
        "format": FORMAT,
        "about": results.about,
        "cases": [
            {
                "name": case,
                "title": title,
                "ways": [_way(results, case, way) for way in results.ways(case)],
            }
            for case, title in results.titles.items()
        ],
    }


def _way(results: Results, case: str, way: str) -> dict[str, Any]:
    metrics = {}
    for metric in results.metrics(case):
        found = results.find(case, way, metric)
        if found:
            metrics[metric] = {
                "median": _short(found.median),
                "low": _short(found.low),
                "high": _short(found.high),
                "values": [_short(value) for value in found.values],
            }
    failure = results.failures.get((case, way))
    return {"name": way, "metrics": metrics} | ({"failed": failure} if failure else {})


def _short(value: float) -> float:
    """Six significant digits: more are noise."""
    return float(f"{value:.6g}")


def from_json(document: Mapping[str, Any]) -> Results:
    """The run that a document tells; raises `ValueError` for another format."""
    if document.get("format") != FORMAT:
        raise ValueError(f"not a document of format {FORMAT}")
    results = Results(about=dict(document["about"]))
    for case in document["cases"]:
        results.titles[case["name"]] = case["title"]
        for way in case["ways"]:
            for metric, told in way["metrics"].items():
                results.series[case["name"], way["name"], metric] = list(told["values"])
            if "failed" in way:
                results.fail(case["name"], way["name"], way["failed"])
    return results
