"""What metrics show, as a person would read it."""

from __future__ import annotations

from docxy.metrics import Metrics


def lines(metrics: Metrics, *names: str) -> list[str]:
    """The lines of the metrics whose names begin so, without the zeros that all start with."""
    _, content = metrics.shown("")
    found = [line for line in content.decode("utf-8").splitlines() if line.startswith(names)]
    return [line for line in found if not line.endswith(" 0.0")]
