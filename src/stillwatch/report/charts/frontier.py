"""Groups in two coordinates, each a loss: the mean of the seeds as a dot, every seed beside it, and one group as a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, floor
from typing import Any

from stillwatch.report.charts import svg
from stillwatch.report.charts.curves import LEFT, MEAN_RADIUS, RIGHT, ROW, SEED_RADIUS, _legend
from stillwatch.report.wording import share

PLOT_HEIGHT = 330.0
STEP = 0.2
ROOM = 0.04


def draw_frontier(identity: str, data: Mapping[str, Any], width: float = 720) -> str:
    """What two sides lose: across and up, both as shares.

    data: ``title``, ``across`` and ``up`` (names of the axes), ``series`` (``name``, ``at`` and ``seeds``: for every point
    the values of all seeds across and up; ``joined``: whether a line joins the means, from the origin on).
    """
    series = data["series"]
    legend, rows = _legend([item["name"] for item in series], width)
    top, left, right = rows * ROW + 30.0, LEFT, width - RIGHT
    bottom = top + PLOT_HEIGHT
    across = _range([value for item in series for values in item["at"] for value in values])
    up = _range([value for item in series for values in item["seeds"] for value in values])

    def x(value: float) -> float:
        return left + (right - left) * (value - across[0]) / (across[1] - across[0])

    def y(value: float) -> float:
        return bottom - PLOT_HEIGHT * (value - up[0]) / (up[1] - up[0])

    parts = [*legend, svg.text(0, top - 14, str(data["up"]), "muted", size=11)]
    for value in _ticks(up):
        parts.append(svg.line(left, y(value), right, y(value), "axis" if value == 0 else "grid"))
        parts.append(svg.text(left - 8, y(value) + 4, share(value), "muted", anchor="end", size=11))
    for value in _ticks(across):
        parts.append(svg.line(x(value), top, x(value), bottom, "axis" if value == 0 else "grid"))
        parts.append(svg.text(x(value), bottom + 16, share(value), "ink", anchor="middle", size=11))
    parts.append(svg.text(right, bottom + 34, str(data["across"]), "muted", anchor="end", size=11))
    for place, item in enumerate(series):
        paint = f"series{place % len(svg.SERIES)}"
        means = [
            (x(_mean(at)), y(_mean(values))) for at, values in zip(item["at"], item["seeds"], strict=True)
        ]
        if item.get("joined"):
            parts.append(svg.polyline([(x(0), y(0)), *means], paint))
        parts += [
            svg.circle(x(one), y(other), SEED_RADIUS, paint, hollow=True)
            for at, values in zip(item["at"], item["seeds"], strict=True)
            for one, other in zip(at, values, strict=True)
        ]
        parts += [svg.circle(*mean, MEAN_RADIUS, paint) for mean in means]
    return svg.picture(identity, width, bottom + 42, parts, title=str(data["title"]), description=_told(data))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(0.0, *values) - ROOM, max(STEP, *values) + ROOM


def _ticks(bounds: tuple[float, float]) -> list[float]:
    return [round(place * STEP, 6) for place in range(ceil(bounds[0] / STEP), floor(bounds[1] / STEP) + 1)]


def _told(data: Mapping[str, Any]) -> str:
    said = [
        f"{item['name']}: {', '.join(f'{share(_mean(at))} and {share(_mean(values))}' for at, values in pairs)}"
        for item in data["series"]
        for pairs in (list(zip(item["at"], item["seeds"], strict=True)),)
    ]
    return f"Means of all seeds, {data['across']} and {data['up']}. " + "; ".join(said) + "."
