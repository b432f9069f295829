"""Shares of several groups at several points: the mean of the seeds as a line, every seed as a dot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log
from typing import Any

from stillwatch.report.charts import svg
from stillwatch.report.wording import count, share

PLOT_HEIGHT = 230.0
LEFT, RIGHT = 46.0, 12.0
ROW = 18.0
SEED_RADIUS, MEAN_RADIUS = 2.6, 4.2
NEAR = 0.1  # a dot so close to a level may hide its name
MOST_BEYOND = 1.0  # how far the scale follows dots below nothing or above the whole; those farther out stand at its edge
APART = 0.7  # part of a point's slot over which the groups are spread


def draw_curves(identity: str, data: Mapping[str, Any], width: float = 720) -> str:
    """Groups side by side at each point, on a scale of shares.

    data: ``title``, ``across`` and ``up`` (names of the axes), ``points`` (numbers, drawn on a log scale and joined by
    lines, or names), ``series`` (``name``, ``seeds``: for every point the values of all seeds), ``lines``
    (``name``, ``value``: levels to compare with) and, if need be, ``most``: the top of the scale, 1 by default.
    """
    points, most = data["points"], data.get("most", 1.0)
    series = [
        {**item, "seeds": [[value / most for value in values] for values in item["seeds"]]}
        for item in data["series"]
    ]
    legend, rows = _legend([item["name"] for item in series], width)
    below, above = _beyond([value for item in series for values in item["seeds"] for value in values])
    top = rows * ROW + 30.0
    zero = top + PLOT_HEIGHT * (1 + above)
    bottom = zero + PLOT_HEIGHT * below
    places = _places(points, width)
    parts = [*legend, svg.text(0, top - 14, str(data["up"]), "muted", size=11)]
    for part in (quarter / 4 for quarter in range(round(-4 * below), round(4 * (1 + above)) + 1)):
        y = zero - PLOT_HEIGHT * part
        parts.append(svg.line(LEFT, y, width - RIGHT, y, "axis" if part == 0 else "grid"))
        parts.append(svg.text(LEFT - 8, y + 4, share(part * most), "muted", anchor="end", size=11))
    lines = [{**level, "value": level["value"] / most} for level in data["lines"]]
    parts.extend(part for level in lines for part in _level(level, series, zero, width))
    for point, x in zip(points, places, strict=True):
        told = count(point) if isinstance(point, int) else str(point)
        parts.append(svg.text(x, bottom + 16, told, "ink", anchor="middle", size=11))
    parts.append(svg.text(width - RIGHT, bottom + 34, str(data["across"]), "muted", anchor="end", size=11))
    joined = all(isinstance(point, int) for point in points)
    for place, item in enumerate(series):
        shift = _shift(place, len(series), places, joined)
        parts.extend(
            _series(item, [x + shift for x in places], zero, f"series{place % len(svg.SERIES)}", joined)
        )
    return svg.picture(
        identity,
        width,
        bottom + 42,
        parts,
        title=str(data["title"]),
        description=_told(points, data["series"]),
    )


def _beyond(values: Sequence[float]) -> tuple[float, float]:
    """How far the scale must go below nothing and above the whole for all dots, in quarters of it.

    >>> _beyond([0.1, 1.02]), _beyond([-0.3, 1.2]), _beyond([-7e9, 0.5])
    ((0.0, 0.0), (0.5, 0.25), (1.0, 0.0))
    """
    least, most = min(values, default=0.0), max(values, default=1.0)
    below = ceil(-4 * least) / 4 if least < -NEAR else 0.0
    above = ceil(4 * (most - 1)) / 4 if most > 1 + NEAR else 0.0
    return min(below, MOST_BEYOND), min(above, MOST_BEYOND)


def _level(
    level: Mapping[str, Any], series: Sequence[Mapping[str, Any]], zero: float, width: float
) -> list[str]:
    """A level to compare with; its name stands at the end where fewer dots are near."""
    y = zero - PLOT_HEIGHT * level["value"]
    first, last = (
        sum(abs(value - level["value"]) < NEAR for item in series for value in item["seeds"][end])
        for end in (0, -1)
    )
    x, anchor = (width - RIGHT - 4, "end") if first > last else (LEFT + 4, "start")
    name = svg.with_halo([svg.text(x, y - 4, level["name"], "muted", anchor=anchor, size=11)])
    return [svg.line(LEFT, y, width - RIGHT, y, "total", dash="4 3"), name]


def _legend(names: Sequence[str], width: float) -> tuple[list[str], int]:
    parts, x, row = [], 0.0, 0
    for place, name in enumerate(names):
        needed = 16 + svg.text_width(name) + 18
        if x and x + needed > width:
            x, row = 0.0, row + 1
        parts.append(svg.circle(x + 5, row * ROW + 8, 4.5, f"series{place % len(svg.SERIES)}"))
        parts.append(svg.text(x + 16, row * ROW + 12, name))
        x += needed
    return parts, row + 1


def _places(points: Sequence[Any], width: float) -> list[float]:
    room = width - LEFT - RIGHT
    if all(isinstance(point, int) for point in points) and len(points) > 1:
        first, last = log(points[0]), log(points[-1])
        return [LEFT + room * (0.05 + 0.9 * (log(point) - first) / (last - first)) for point in points]
    return [LEFT + room * (place + 0.5) / len(points) for place in range(len(points))]


def _shift(place: int, total: int, places: Sequence[float], joined: bool) -> float:
    """Groups stand beside each other, so that equal values do not hide each other."""
    slot = 14.0 * total if joined or len(places) < 2 else APART * (places[1] - places[0])
    return slot * ((place + 0.5) / total - 0.5)


def _series(
    item: Mapping[str, Any], places: Sequence[float], zero: float, paint: str, joined: bool
) -> list[str]:
    means = [sum(values) / len(values) for values in item["seeds"]]
    heights = [zero - PLOT_HEIGHT * _inside(mean) for mean in means]
    parts = []
    if joined:
        parts.append(svg.polyline(list(zip(places, heights, strict=True)), paint))
    for x, values in zip(places, item["seeds"], strict=True):
        for place, value in enumerate(values):
            aside = 3.0 * ((place % 3) - 1)
            parts.append(
                svg.circle(x + aside, zero - PLOT_HEIGHT * _inside(value), SEED_RADIUS, paint, hollow=True)
            )
    parts.extend(svg.circle(x, y, MEAN_RADIUS, paint) for x, y in zip(places, heights, strict=True))
    return parts


def _inside(value: float) -> float:
    return min(max(value, -MOST_BEYOND), 1 + MOST_BEYOND)


def _told(points: Sequence[Any], series: Sequence[Mapping[str, Any]]) -> str:
    said = []
    for item in series:
        means = (share(sum(values) / len(values)) for values in item["seeds"])
        pairs = ", ".join(f"{point}: {mean}" for point, mean in zip(points, means, strict=True))
        said.append(f"{item['name']}: {pairs}")
    return "Means of all seeds. " + "; ".join(said) + "."
