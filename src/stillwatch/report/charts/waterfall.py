"""The evidence as a waterfall: from the prior to the posterior, one step a signal, in bits of log-odds.

After the match-weight waterfall of record linkage (Fellegi & Sunter 1969, as splink draws it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillwatch.report.charts import svg
from stillwatch.report.wording import START, log_odds_bits, one_in, percent, signed_bits, spoken

MARKS = ((1e-5, "1 in 100,000"), (0.001, "0.1%"), (0.1, "10%"), (0.5, "50%"), (0.9, "90%"), (0.999, "99.9%"))
LABELS_BESIDE = 520  # pixels; a narrower picture puts each label above its bar
TOP = 24.0  # pixels above the bars, for the names of the marks
REMAINDER = "joint weighting"


@dataclass(frozen=True, slots=True)
class Step:
    """One bar of the waterfall."""

    label: str
    """What moved the odds."""
    start: float
    """Log-odds before it, bits."""
    end: float
    """Log-odds after it, bits."""
    paint: str
    """``for``, ``against``, ``muted`` for what is no signal, or ``total``."""
    figure: str
    """What is printed at the end of the bar."""


def steps(campaign: Mapping[str, Any]) -> list[Step]:
    """Bars from the prior and where every text starts through the signals, strongest first, to the posterior.

    Signals are weighed together, so their bits need not add up to the total; the difference is a bar of
    its own and never hidden.
    """
    at = log_odds_bits(campaign["prior"])
    bars = [Step("prior", at, at, "total", one_in(campaign["prior"]))]
    ranked = sorted(
        campaign["evidence"], key=lambda item: (item["signal"] != START, -item["bits"], item["signal"])
    )
    moves = [(spoken(item["signal"]), float(item["bits"])) for item in ranked]
    left_over = campaign["evidence_bits"] - sum(bits for _, bits in moves)
    if abs(left_over) >= 0.05:
        moves.append((REMAINDER, left_over))
    for label, bits in moves:
        paint = "muted" if label == spoken(START) else "for" if bits >= 0 else "against"
        bars.append(Step(label, at, at + bits, paint, signed_bits(bits)))
        at += bits
    bars.append(Step("posterior", at, at, "total", percent(campaign["probability"])))
    return bars


def draw_waterfall(identity: str, campaign: Mapping[str, Any], threshold: float, width: float = 720) -> str:
    """Draw the steps; what speaks for extraction goes right, what speaks against goes left."""
    bars = steps(campaign)
    beside = width >= LABELS_BESIDE
    left = max(svg.text_width(bar.label) for bar in bars) + 14 if beside else 6.0
    row, thick = (27.0, 13.0) if beside else (38.0, 12.0)
    right = max(svg.text_width(bar.figure) for bar in bars) + 18
    ends = [end for bar in bars for end in (bar.start, bar.end)] + [log_odds_bits(threshold)]
    low, high = min(ends) - 0.6, max(ends) + 0.6
    scale = (width - left - right) / (high - low)
    height = TOP + row * len(bars) + 4

    def place(bits: float) -> float:
        return left + scale * (bits - low)

    marks = {place(bits): name for bits, name in _marks(low, high)}
    parts = _axis(marks, place(log_odds_bits(threshold)), f"threshold {percent(threshold)}", height)
    figures: list[str] = []
    previous: float | None = None
    for number, bar in enumerate(bars):
        y = TOP + row * number + (row - thick) / 2 + (0 if beside else 7)
        begin, end = place(bar.start), place(bar.end)
        if previous is not None:
            parts.append(svg.line(begin, previous + thick, begin, y, "axis"))
        if bar.paint == "total":
            parts.append(svg.circle(begin, y + thick / 2, 5, "total"))
        else:
            parts.append(svg.rect(min(begin, end), y, max(abs(end - begin), 1.0), thick, bar.paint))
        parts.append(svg.text(0, y + thick - 2 if beside else y - 5, bar.label))
        figures.append(svg.text(max(begin, end) + 9, y + thick - 2, bar.figure))
        previous = y
    parts.append(svg.with_halo(figures))
    told = "; ".join(f"{bar.label} {bar.figure}" for bar in bars[1:-1])
    description = (
        f"Prior {bars[0].figure}. Evidence in bits, positive speaks for extraction: {told or 'none'}. "
        f"Posterior {bars[-1].figure}; the threshold is {percent(threshold)}."
    )
    return svg.picture(
        identity, width, height, parts, title="Evidence from prior to posterior", description=description
    )


def _marks(low: float, high: float) -> list[tuple[float, str]]:
    placed = [(log_odds_bits(probability), name) for probability, name in MARKS]
    return [(bits, name) for bits, name in placed if low <= bits <= high]


def _axis(marks: Mapping[float, str], limit: float, limit_name: str, height: float) -> list[str]:
    parts: list[str] = []
    for x, name in marks.items():
        parts.append(svg.line(x, TOP, x, height))
        if abs(x - limit) > svg.text_width(limit_name, 11) / 2 + 20:
            anchor = "start" if x < 30 else "middle"
            parts.append(svg.text(x, TOP - 10, name, "muted", anchor=anchor, size=11))
    parts.append(svg.line(limit, TOP - 4, limit, height, "ink", dash="4 3"))
    parts.append(svg.text(limit, TOP - 10, limit_name, anchor="middle", size=11))
    return parts
