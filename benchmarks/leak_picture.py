"""How much campaigns get: shares of their exchanges before the first flag, each principal's own, and a decision."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from leak_rows import Row, newest
from stillwatch.report.charts import svg

WIDTH, LEFT, RIGHT, TOP, ROW = 720.0, 210.0, 24.0, 56.0, 30.0
RADIUS = 4.5
MEASURES = {
    "leak_at_first_flag": "the first flag",
    "leak_until_own_flag": "each principal's own flag",
    "leak_until_decided": "a decision on it",
    "leak_at_first_flag_uncalibrated": "the first flag, not calibrated",
}


def draw(rows: Sequence[Row]) -> str:
    """A line for each scenario and number of looks, a dot for each measure: medians over the logs of its newest run."""
    every = {run: [row for row in own if row["exchanges"]] for run, own in newest(rows).items()}
    found = {run: own for run, own in every.items() if own}  # a log in which nobody collects has no leak
    parts, x = [], 0.0
    for place, told in enumerate(MEASURES.values()):
        parts += [
            svg.circle(x + 5, 8, RADIUS, f"series{place}"),
            svg.text(x + 15, 12, f"until {told}", size=11),
        ]
        x += 60.0 + 5.6 * len(told)
    bottom = TOP + ROW * len(found)
    for step in range(5):
        across = _across(step / 4)
        parts.append(svg.line(across, TOP - 8, across, bottom, "axis" if step == 0 else "grid"))
        parts.append(svg.text(across, bottom + 16, f"{step * 25}%", "muted", anchor="middle", size=11))
    sentences = []
    for number, ((name, looks), own) in enumerate(found.items()):
        y = TOP + ROW * (number + 0.4)
        size = f"{name.replace('_', ' ')}, {int(median(int(row['exchanges']) for row in own)):,}"
        told = f"{size}, {looks} look{'s' * (looks != '1')}"
        parts.append(svg.text(LEFT - 12, y + 4, told, "ink", anchor="end", size=12))
        shares = {measure: median(float(row[measure]) for row in own) for measure in MEASURES}
        parts.append(svg.line(_across(min(shares.values())), y, _across(max(shares.values())), y, "grid"))
        for place, share in reversed(list(enumerate(shares.values()))):
            parts.append(svg.circle(_across(share), y, RADIUS, f"series{place}"))
        said = ", ".join(f"{share:.1%} until {MEASURES[measure]}" for measure, share in shares.items())
        sentences.append(f"{size} exchanges, flagged at {looks} in a row: {said}")
    drawn = svg.picture(
        "leak", WIDTH, bottom + 30, parts, title="What campaigns got of their exchanges",
        description="; ".join(sentences),
    )  # fmt: skip
    return svg.on_paper(drawn) + "\n"


def _across(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)
