"""
Charts drawn as SVG, by matplotlib, the same bytes for the same figures.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.charts import Chart
from bench.table import number

_WIDTH, _BAR, _TITLE = 8.0, 0.26, 0.5  # inches
_OURS, _OTHERS = "#2b6cb0", "#a0aec0"


def draw(chart: Chart, folder: Path) -> Path:
    """Write a chart as NAME.svg: horizontal bars of the medians, with lines from least to most."""
    heights = [_TITLE + _BAR * len(group) for _, group in chart.groups]
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.4), layout="constrained")
    places = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights, sharex=True)[:, 0]
    for place, (title, group) in zip(places, chart.groups, strict=True):
        medians = [bar.median for bar in group]
        spread = [[bar.median - bar.low for bar in group], [bar.high - bar.median for bar in group]]
        colours = [_OURS if bar.way.startswith("docxy") else _OTHERS for bar in group]
        drawn = place.barh([bar.way for bar in group], medians, xerr=spread, color=colours, ecolor="#4a5568")
        place.bar_label(drawn, [number(value) for value in medians], label_type="center", color="white")
        place.set_title(title, fontsize="medium", loc="left")
        place.invert_yaxis()
        place.spines[["top", "right"]].set_visible(False)
    places[-1].set_xlabel(chart.metric)
    path = folder / f"{chart.name}.svg"
    with mpl.rc_context({"svg.hashsalt": "docxy", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path
