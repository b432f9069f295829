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
BESIDE = 15.0
"""Pixels between points of the same price, which are drawn side by side."""


def draw_frontier(identity: str, data: Mapping[str, Any], width: float = 720) -> str:
    """What two sides lose: across and up, both as shares.

    data: ``title``, ``across`` and ``up`` (names of the axes), ``above`` (what it says of a point to lie above the line),
    ``series`` (``name``, ``at`` and ``seeds``: for every point the values of all seeds across and up; ``joined``: whether a
    line joins the means, from the origin on). Points that cost the same would lie on each other: they stand side by side.
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
    parts.append(svg.text(right, top - 14, str(data["above"]), "muted", anchor="end", size=11))
    shifts = _side_by_side([[x(_mean(at)) for at in item["at"]] for item in series if not item.get("joined")])
    means_over_all = []
    for place, item in enumerate(series):
        paint = f"series{place % len(svg.SERIES)}"
        aside = [0.0] * len(item["at"]) if item.get("joined") else shifts.pop(0)
        points = list(zip(item["at"], item["seeds"], aside, strict=True))
        means = [(x(_mean(at)) + shift, y(_mean(values))) for at, values, shift in points]
        if item.get("joined"):
            parts.append(svg.polyline([(x(0), y(0)), *means], paint))
        parts += [
            svg.circle(x(one) + shift, y(other), SEED_RADIUS, paint, hollow=True)
            for at, values, shift in points
            for one, other in zip(at, values, strict=True)
        ]
        means_over_all += [svg.circle(*mean, MEAN_RADIUS, paint) for mean in means]
    parts += means_over_all
    return svg.picture(identity, width, bottom + 42, parts, title=str(data["title"]), description=_told(data))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _side_by_side(places: Sequence[Sequence[float]]) -> list[list[float]]:
    """How far every point moves aside, in pixels, so that no two lie closer than ``BESIDE``: one list a group, as given.

    >>> _side_by_side([[100.0], [101.0], [200.0]])
    [[-7.0], [7.0], [0.0]]
    """
    order = sorted((at, group, point) for group, row in enumerate(places) for point, at in enumerate(row))
    shifts = [[0.0] * len(row) for row in places]
    crowds: list[list[tuple[float, int, int]]] = []
    for item in order:
        if crowds and item[0] - crowds[-1][-1][0] < BESIDE:
            crowds[-1].append(item)
        else:
            crowds.append([item])
    for crowd in crowds:
        middle = sum(at for at, _, _ in crowd) / len(crowd)
        for place, (at, group, point) in enumerate(sorted(crowd, key=lambda item: item[1:])):
            shifts[group][point] = (
                round(middle + (place - (len(crowd) - 1) / 2) * BESIDE - at, 1) if crowd[1:] else 0.0
            )
    return shifts


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
