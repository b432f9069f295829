"""The campaign's exchanges over time, stacked by objective, with the releases of models marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from stillwatch.report.charts import svg
from stillwatch.report.wording import count, duration, instant, moment, objective_name, period

STEPS = (60, 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000)
PIXELS_A_BIN = 7  # narrower bars cannot be told apart
SHOWN_SERIES = len(svg.SERIES) - 1
PLOT_HEIGHT = 150
ROW = 18


def draw_timeline(identity: str, data: Mapping[str, Any], width: float = 720) -> str:
    """Exchanges a step, stacked; steps are joined until each bar is wide enough to see.

    data: ``step_seconds``, ``start``, ``series`` (``name``, ``counts`` of equal length), ``releases``
    (``model``, ``at``) and, where known, ``replaced`` (times). Series past the sixth by size are drawn together as "other".
    """
    left, right = max(40.0, _scale_width(data)), 8.0
    series = _largest(data["series"])
    length = max((len(values) for _, values in series), default=0)
    step, joined = _join(int(data["step_seconds"]), length, width - left - right)
    series = [(name, _summed(values, joined)) for name, values in series]
    bins = max(1, -(-length // joined))
    start = instant(data["start"])
    end = start + timedelta(seconds=step * bins)
    releases = [item for item in data["releases"] if start <= instant(item["at"]) <= end]

    legend, legend_rows = _legend(series, width)
    top = legend_rows * ROW + len(releases) * ROW + 34.0
    bottom = top + PLOT_HEIGHT
    pixels = (width - left - right) / bins
    tops = [sum(values[place] for _, values in series) for place in range(bins)] if series else [0]
    ceiling = _round_up(max(*tops, 1))

    unit = f"exchanges per {duration(step)}"
    replaced = [instant(at) for at in data.get("replaced", ()) if start <= instant(at) <= end]
    ticks = f"; ticks: {count(len(replaced))} replaced" if replaced else ""
    parts = [*legend, svg.text(0, top - 14, unit + ticks, "muted", size=11)]
    for x in sorted({left + pixels * ((at - start).total_seconds() / step) for at in replaced}):
        parts.append(svg.line(x, top - 9, x, top - 2, "ink"))
    for part in (0.0, 0.5, 1.0):
        y = bottom - PLOT_HEIGHT * part
        parts.append(svg.line(left, y, width - right, y, "axis" if part == 0 else "grid"))
        parts.append(svg.text(left - 6, y + 4, _tick(ceiling * part), "muted", anchor="end", size=11))
    parts.extend(_areas(series, left, bottom, pixels, PLOT_HEIGHT / ceiling))
    parts.extend(_days(start, end, left, bottom, width - left - right))
    for row, item in enumerate(releases):
        x = left + pixels * ((instant(item["at"]) - start).total_seconds() / step)
        parts.append(_release(x, legend_rows * ROW + row * ROW + 14, bottom, item["model"], width))

    title = f"{unit.capitalize()}, {period(start, end)}"
    description = _told(series, releases, tops, start, step) + (
        f" {count(len(replaced))} principals began within six hours of another's end." if replaced else ""
    )
    return svg.picture(identity, width, bottom + 24, parts, title=title, description=description)


def _scale_width(data: Mapping[str, Any]) -> float:
    largest = max((max(item["counts"], default=0) for item in data["series"]), default=0)
    return svg.text_width(count(largest * 10), 11)


def _largest(series: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[int]]]:
    ranked = sorted(series, key=lambda item: (-sum(item["counts"]), str(item["name"])))
    shown = [(objective_name(str(item["name"])), list(item["counts"])) for item in ranked[:SHOWN_SERIES]]
    rest = [item["counts"] for item in ranked[SHOWN_SERIES:]]
    if rest:
        shown.append((f"other ({len(rest)})", [sum(column) for column in zip(*rest, strict=True)]))
    return shown


def _join(step: int, length: int, pixels: float) -> tuple[int, int]:
    """Seconds of a bar, and how many steps it joins."""
    most = max(1, int(pixels / PIXELS_A_BIN))
    for candidate in STEPS:
        if candidate % step == 0 and length * step / candidate <= most:
            return candidate, candidate // step
    joined = max(1, -(-length // most))
    return step * joined, joined


def _summed(values: Sequence[int], joined: int) -> list[int]:
    return [sum(values[place : place + joined]) for place in range(0, len(values), joined)]


def _round_up(value: int) -> int:
    power = 1
    while power * 10 <= value:
        power *= 10
    return next(factor * power // 2 for factor in (2, 3, 4, 6, 8, 12, 16, 20) if factor * power // 2 >= value)


def _tick(value: float) -> str:
    return count(int(value)) if value == int(value) else f"{value:g}"


def _areas(
    series: Sequence[tuple[str, Sequence[int]]], left: float, bottom: float, pixels: float, scale: float
) -> list[str]:
    """One stepped outline a series, laid on the sum of those before it."""
    if not series:
        return []
    floor = [0] * len(series[0][1])
    shapes = []
    for place, (_, values) in enumerate(series):
        roof = [below + value for below, value in zip(floor, values, strict=True)]
        upper = [bottom - scale * value for value in roof]
        lower = [bottom - scale * value for value in floor]
        forward = _stairs(upper, left, pixels, forward=True)
        back = _stairs(lower, left, pixels, forward=False)
        begin = f"M{svg.number(left)} {svg.number(lower[0])}"
        shapes.append(svg.path(f"{begin}{forward}{back}Z", f"series{place}"))
        floor = roof
    return shapes


def _stairs(levels: Sequence[float], left: float, pixels: float, *, forward: bool) -> str:
    commands: list[str] = []
    order = range(len(levels)) if forward else range(len(levels) - 1, -1, -1)
    for place in order:
        following = place + 1 if forward else place - 1
        if 0 <= following < len(levels) and levels[following] == levels[place]:
            continue
        edge = left + pixels * (place + 1 if forward else place)
        if not commands or not commands[-1].startswith(f"V{svg.number(levels[place])}H"):
            commands.append(f"V{svg.number(levels[place])}H{svg.number(edge)}")
    return "".join(commands)


def _days(start: datetime, end: datetime, left: float, bottom: float, pixels: float) -> list[str]:
    """Dates under the axis, as many as fit, each at its midnight."""
    span = (end - start).total_seconds()
    room = max(2, int(pixels / 62))
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    every = max(1, -(-int(span // 86400 + 1) // room))
    parts = []
    while midnight <= end:
        x = left + pixels * (midnight - start).total_seconds() / span
        label = f"{midnight.day} {midnight:%b}"
        half = svg.text_width(label, 11) / 2
        if left <= x and x + half <= left + pixels + 8:
            parts.append(svg.line(x, bottom, x, bottom + 4, "axis"))
            parts.append(svg.text(x, bottom + 17, label, "muted", anchor="middle", size=11))
        midnight += timedelta(days=every)
    if not parts:
        parts.append(svg.text(left, bottom + 17, moment(start), "muted", size=11))
    return parts


def _release(x: float, y: float, bottom: float, model: str, width: float) -> str:
    label = f"{model} released"
    mirrored = x + svg.text_width(label) > width
    place, anchor = (x - 5, "end") if mirrored else (x + 5, "start")
    under = svg.line(x, y - 10, x, bottom, "paper")
    return (
        under + svg.line(x, y - 10, x, bottom, "ink", dash="2 3") + svg.text(place, y, label, anchor=anchor)
    )


def _legend(series: Sequence[tuple[str, Sequence[int]]], width: float) -> tuple[list[str], int]:
    parts, x, row = [], 0.0, 0
    for place, (name, values) in enumerate(series):
        label = f"{name}, {count(sum(values))}"
        needed = 16 + svg.text_width(label) + 18
        if x > 0 and x + needed > width:
            x, row = 0.0, row + 1
        parts.append(svg.rect(x, row * ROW + 3, 10, 10, f"series{place}"))
        parts.append(svg.text(x + 16, row * ROW + 12, svg.fitted(label, width - 16), "ink"))
        x += needed
    return parts, row + 1


def _told(
    series: Sequence[tuple[str, Sequence[int]]],
    releases: Sequence[Mapping[str, Any]],
    tops: Sequence[int],
    start: datetime,
    step: int,
) -> str:
    sums = "; ".join(f"{name}: {count(sum(values))} exchanges" for name, values in series)
    peak = tops.index(max(tops))
    at = moment(start + timedelta(seconds=step * peak))
    marked = "".join(f" {item['model']} was released on {moment(item['at'])}." for item in releases)
    return f"{sums or 'no exchanges'}. The most in one step: {count(max(tops))}, from {at} UTC.{marked}"
