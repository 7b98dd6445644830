"""
A run as a table for the terminal: a block for each case, a line for each way, a column for each metric.

Pure: text in, text out.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.results import Results, Series


def number(value: float) -> str:
    """Three significant digits, and never an exponent: 0.0123, 1.23, 12.3, 123, 12345."""
    if value == 0:
        return "0"
    places = 2
    size = abs(value)
    while size >= 9.995 and places > 0:
        size, places = size / 10, places - 1
    while size < 0.9995 and places < 6:
        size, places = size * 10, places + 1
    return f"{value:.{places}f}"


def cell(series: Series | None) -> str:
    """The median and, where it was measured more than once, what it ranged over."""
    if series is None:
        return "-"
    if len(series.values) == 1:
        return number(series.median)
    return f"{number(series.median)} ({number(series.low)} to {number(series.high)})"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines in which every column has its widest cell's width; the first is flush left, the others right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        first, *others = (
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    return [line(row) for row in rows]


def block(results: Results, case: str) -> list[str]:
    """One case: its title, the table, and who failed, with the reason."""
    metrics = results.metrics(case)
    rows = [["", *metrics]]
    for way in results.ways(case):
        rows.append([way, *(cell(results.find(case, way, metric)) for metric in metrics)])
    failed = [f"{way} failed: {reason}" for (name, way), reason in results.failures.items() if name == case]
    return [f"{case}: {results.titles[case]}", *(f"  {line}" for line in columns(rows) + failed), ""]


def about(results: Results) -> list[str]:
    """When, where and with what: what a figure is worth nothing without."""
    machine, versions = (results.about.get(part, {}) for part in ("machine", "versions"))
    kind = "quick run" if results.about.get("quick") else "run"
    lines = [f"{kind} of {results.about.get('date')}"]
    lines += [", ".join(f"{name} {value}" for name, value in part.items()) for part in (machine, versions)]
    return [*(line for line in lines if line), ""]


def table(results: Results) -> str:
    """The whole run."""
    blocks = [block(results, case) for case in results.titles]
    return "\n".join(line for lines in [about(results), *blocks] for line in lines)
