"""Principals by day: how many were in service, how many appeared and how many were last seen."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from typing import Any

from stillwatch.report.charts import svg
from stillwatch.report.wording import count, instant

CELL_PIXELS = 20  # room for a two-digit number
CELL_HEIGHT = 22.0
LABELS_BESIDE = 520  # pixels; a narrower picture puts each label above its row
GUTTER = 104.0
SHADES = 6


@dataclass(frozen=True, slots=True)
class DayCounts:
    """Principals in one cell of the strip."""

    first_day: date
    """First day of the cell, UTC."""
    in_service: int
    """Principals of which the span from first to last exchange touches the cell; idle days count."""
    appeared: int
    """Principals of which the first exchange lies in the cell."""
    last_seen: int
    """Principals of which the last exchange lies in the cell."""


def day_counts(principals: Sequence[Mapping[str, Any]], most_cells: int) -> list[DayCounts]:
    """Counts a day, or a run of days where there are more days than cells."""
    firsts = sorted(instant(item["first_seen"]).date() for item in principals)
    lasts = sorted(instant(item["last_seen"]).date() for item in principals)
    if not firsts:
        return []
    begin, end = firsts[0], lasts[-1]
    days = max(1, -(-((end - begin).days + 1) // most_cells))
    cells = []
    while begin <= end:
        close = begin + timedelta(days=days - 1)
        appeared_by, gone_before = bisect_right(firsts, close), bisect_left(lasts, begin)
        cells.append(
            DayCounts(
                begin,
                appeared_by - gone_before,
                appeared_by - bisect_left(firsts, begin),
                bisect_right(lasts, close) - gone_before,
            )
        )
        begin = close + timedelta(days=1)
    return cells


def draw_principal_days(identity: str, principals: Sequence[Mapping[str, Any]], width: float = 720) -> str:
    """Three rows of cells, darker where more principals are; the number is printed where it fits."""
    beside = width >= LABELS_BESIDE
    left = GUTTER if beside else 0.0
    cells = day_counts(principals, max(1, int((width - left) / CELL_PIXELS)))
    pixels = min(64.0, (width - left) / max(1, len(cells)))
    rows = (
        ("in service", [cell.in_service for cell in cells]),
        ("first seen", [cell.appeared for cell in cells]),
        ("last seen", [cell.last_seen for cell in cells]),
    )
    most = max((max(values, default=0) for _, values in rows), default=0) or 1
    parts, y = [], 0.0
    for label, values in rows:
        if beside:
            parts.append(svg.text(0, y + 15, label))
        else:
            parts.append(svg.text(0, y + 12, label))
            y += 18
        parts.extend(_row(values, most, left, y, pixels))
        y += CELL_HEIGHT + (3 if beside else 8)
    parts.extend(_dates(cells, left, y + 12, pixels))
    if len(cells) > 1 and (days := (cells[1].first_day - cells[0].first_day).days) > 1:
        y += 18
        parts.append(svg.text(left, y + 12, f"each cell is {days} days", "muted", size=11))
    return svg.picture(identity, width, y + 20, parts, title="Principals by day", description=_told(cells))


def _row(values: Sequence[int], most: int, left: float, y: float, pixels: float) -> list[str]:
    """One outline for all cells of a shade, one group for all numbers of a colour: a small page."""
    shades: list[list[str]] = [[] for _ in range(SHADES + 1)]
    numbers: dict[str, list[str]] = {"ink": [], "onheat": []}
    for place, value in enumerate(values):
        x = left + place * pixels
        # A square root keeps single principals visible beside hundreds.
        shade = min(SHADES, ceil(SHADES * (value / most) ** 0.5))
        corner, across, down = svg.number(x), svg.number(pixels - 1.5), svg.number(CELL_HEIGHT)
        shades[shade].append(f"M{corner} {svg.number(y)}h{across}v{down}H{corner}z")
        if value and svg.text_width(count(value), 11) <= pixels - 2:
            numbers["onheat" if shade > 0.6 * SHADES else "ink"].append(
                svg.text(x + pixels / 2 - 0.75, y + 15, count(value))
            )
    parts = [svg.path("".join(shades[0]), "empty")] if shades[0] else []
    parts += [
        svg.path("".join(cells), "heat", max(0.12, place / SHADES))
        for place, cells in enumerate(shades)
        if place and cells
    ]
    centred = 'text-anchor="middle" font-size="11"'
    parts += [svg.group(paint, centred, texts) for paint, texts in numbers.items() if texts]
    return parts


def _dates(cells: Sequence[DayCounts], left: float, y: float, pixels: float) -> list[str]:
    every = max(1, -(-48 // int(pixels)))
    return [
        svg.text(left + place * pixels, y, f"{cell.first_day.day} {cell.first_day:%b}", "muted", size=11)
        for place, cell in enumerate(cells)
        if place % every == 0 and (place == 0 or (len(cells) - place) * pixels >= 38)
    ]


def _told(cells: Sequence[DayCounts]) -> str:
    if not cells:
        return "No principal is listed."
    fullest = max(cells, key=lambda cell: cell.in_service)
    opening = max(cells, key=lambda cell: cell.appeared)
    return (
        f"{len(cells)} columns from {cells[0].first_day.isoformat()}. "
        f"Most in service: {count(fullest.in_service)} from {fullest.first_day.isoformat()}. "
        f"Most first seen: {count(opening.appeared)} from {opening.first_day.isoformat()}."
    )
