"""Who shares what: groups of a campaign's principals on the left, the values that they share on the right."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from stillwatch.report.charts import svg
from stillwatch.report.wording import quantity

ROW, HEAD = 26, 30
LEFT, RIGHT = 108, 146
"""Pixels of the labels; beyond ``ROOMY`` the values say who else has them."""
ROOMY, MORE = 560, 150
KINDS = ("payment", "address", "network", "organization", "device", "client")


def draw_infrastructure(identity: str, shared: Mapping[str, Any], width: float = 720) -> str:
    """A line from each group to each value that its principals share, thicker for more of them."""
    values, groups = shared["values"], shared["groups"]
    most = max((group["principals"] for group in groups), default=1)
    right = width - RIGHT - (MORE if width >= ROOMY else 0)
    tall = max(len(values), len(groups))
    side = _places(len(groups), tall), _places(len(values), tall)
    order = sorted(range(len(groups)), key=lambda place: (_middle(groups[place]), place))
    lines, dots = [], []
    for y, place in zip(side[0], order, strict=True):
        group = groups[place]
        part = sqrt(group["principals"] / most)
        for value in group["values"]:
            lines.append(_joined(LEFT, y, right, side[1][value], _paint(values[value]), 0.8 + 3.2 * part))
        dots.append(svg.circle(LEFT, y, 3 + 5 * part, "total"))
        dots.append(
            svg.text(LEFT - 14, y + 4, quantity(group["principals"], "principal"), anchor="end", size=11.5)
        )
    for y, value in zip(side[1], values, strict=True):
        dots.append(svg.circle(right, y, 5, _paint(value)))
        told = f"{value['kind']} {value['name']}"
        if width >= ROOMY:
            told += f": {value['principals']:,} here, {value['others']:,} elsewhere"
        dots.append(svg.text(right + 12, y + 4, svg.fitted(told, width - right - 12), size=11.5))
    head = [
        svg.text(LEFT - 14, 14, "who", "muted", anchor="end"),
        svg.text(right + 12, 14, "shares", "muted"),
    ]
    description = (
        f"{quantity(len(groups), 'group')} of principals and {quantity(len(values), 'value')} that they share; "
        f"{quantity(shared['alone'], 'principal')} with none. The table below says the same."
    )
    return svg.picture(
        identity, width, HEAD + ROW * max(tall, 1), [*head, *lines, *dots],
        title="What the principals share", description=description,
    )  # fmt: skip


def _places(count: int, tall: int) -> list[float]:
    """Heights of so many rows, spread over the taller side."""
    step = ROW * tall / max(count, 1)
    return [HEAD + step * (place + 0.5) for place in range(count)]


def _middle(group: Mapping[str, Any]) -> float:
    values: list[int] = group["values"]
    return sum(values) / len(values)


def _paint(value: Mapping[str, Any]) -> str:
    return f"series{KINDS.index(value['kind'])}"


def _joined(x1: float, y1: float, x2: float, y2: float, paint: str, thick: float) -> str:
    """A curve that leaves and arrives level."""
    middle = svg.number((x1 + x2) / 2)
    start, end = (f"{svg.number(x)} {svg.number(y)}" for x, y in ((x1, y1), (x2, y2)))
    return (
        f'<path d="M{start}C{middle} {svg.number(y1)} {middle} {svg.number(y2)} {end}" fill="none" '
        f'stroke-width="{thick:.1f}" stroke-opacity=".55" {svg.stroked(paint)}/>'
    )
