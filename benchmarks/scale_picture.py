"""How the cost of a scan grows with its log: processor time a row and peak memory, on the results of the benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log

from stillwatch.report.charts import svg

WIDTH, HEIGHT, LEFT, GAP, TOP = 720.0, 200.0, 44.0, 56.0, 44.0
PANEL = (WIDTH - LEFT - GAP - 12.0) / 2
RADIUS = 4.2

Row = Mapping[str, str]


def draw(rows: Sequence[Row]) -> str:
    """Two panels over the size of the log, one line each for every amount of memory that was allowed."""
    memories = list(dict.fromkeys(row["memory"] for row in rows))
    sizes = sorted({int(row["rows"]) for row in rows})
    parts = _legend(memories)
    panels: tuple[tuple[str, Callable[[Row], float]], ...] = (
        ("processor time, µs a row", lambda row: float(row["cpu_us_a_row"])),
        ("peak memory, GB", lambda row: float(row["scan_peak_gb"])),
    )
    for place, (title, value) in enumerate(panels):
        left = LEFT + place * (PANEL + GAP)
        parts += _panel(rows, memories, sizes, title, value, left)
    told = "; ".join(
        f"{int(row['rows']):,} rows with {row['memory']}: {row['cpu_us_a_row']} µs a row, {row['scan_peak_gb']} GB"
        for row in rows
    )
    drawn = svg.picture(
        "scale",
        WIDTH,
        TOP + HEIGHT + 34,
        parts,
        title="Cost of a scan by the size of its log",
        description=told,
    )
    return svg.on_paper(drawn) + "\n"


def _legend(memories: Sequence[str]) -> list[str]:
    parts, x = [], 0.0
    for place, memory in enumerate(memories):
        parts += [svg.circle(x + 5, 8, 4.5, f"series{place}"), svg.text(x + 16, 12, f"--memory {memory}")]
        x += 130
    return parts


def _panel(
    rows: Sequence[Row], memories: Sequence[str], sizes: Sequence[int], title: str,
    value: Callable[[Row], float], left: float,
) -> list[str]:  # fmt: skip
    bottom, most = TOP + HEIGHT, _round_up(max(value(row) for row in rows))
    parts = [svg.text(left - 30, TOP - 12, title, "muted", size=11)]
    for step in range(5):
        y = bottom - HEIGHT * step / 4
        parts.append(svg.line(left, y, left + PANEL, y, "axis" if step == 0 else "grid"))
        parts.append(svg.text(left - 6, y + 4, f"{most * step / 4:g}", "muted", anchor="end", size=11))
    places = {size: left + PANEL * _share(size, sizes) for size in sizes}
    for size, x in places.items():
        parts.append(svg.text(x, bottom + 16, f"{size / 1e6:.1f}M", "ink", anchor="middle", size=11))
    for place, memory in enumerate(memories):
        points = [
            (places[int(row["rows"])], bottom - HEIGHT * value(row) / most)
            for row in rows
            if row["memory"] == memory
        ]
        parts.append(svg.polyline(points, f"series{place}"))
        parts += [svg.circle(x, y, RADIUS, f"series{place}") for x, y in points]
    return parts


def _share(size: int, sizes: Sequence[int]) -> float:
    """Place of a size on the axis, by its logarithm."""
    if len(sizes) == 1:
        return 0.5
    return 0.06 + 0.88 * log(size / sizes[0]) / log(sizes[-1] / sizes[0])


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 ... times a power of ten, so that quarters are short numbers."""
    step = 10.0**-3
    while step * 8 < value:
        step *= 10
    return next(step * times for times in (1, 2, 4, 8) if step * times >= value)
