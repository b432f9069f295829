"""How sure, at several priors: one dot each on an axis of log-odds, with the threshold marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stillwatch.report.charts import svg
from stillwatch.report.wording import log_odds_bits, one_in, percent

LOW, HIGH = log_odds_bits(0.01), log_odds_bits(0.9999)
HEIGHT = 38
EDGE = 14  # pixels left and right, so that the outer labels are not cut


def draw_certainty(
    identity: str,
    posterior: Sequence[Mapping[str, Any]],
    own: Mapping[str, Any],
    threshold: float,
    width: float = 230,
) -> str:
    """A strip from 1% to 99.99%; the full dot is the probability at the prior of the scan.

    posterior: items with ``prior`` and ``probability``; what lies beyond the axis is drawn at its end. own: that of the
    scan, which need not be among them.
    """

    def place(probability: float) -> float:
        part = (log_odds_bits(probability) - LOW) / (HIGH - LOW)
        return EDGE + (width - 2 * EDGE) * min(max(part, 0.0), 1.0)

    middle = 10.0
    parts = [svg.line(EDGE, middle, width - EDGE, middle, "axis")]
    for probability, label in ((0.01, "1%"), (0.5, "50%"), (0.9, "90%"), (0.99, "99%"), (0.9999, "99.99%")):
        x = place(probability)
        parts.append(svg.line(x, middle - 3, x, middle + 3, "axis"))
        anchor = "end" if probability > 0.999 else "middle"
        parts.append(
            svg.text(x + (EDGE if anchor == "end" else 0), 32, label, "muted", anchor=anchor, size=11)
        )
    mark = place(threshold)
    parts.append(svg.line(mark, middle - 9, mark, middle + 9, "ink"))
    others = [item for item in posterior if item["prior"] != own["prior"]]
    shown = sorted([*others, own], key=lambda item: float(item["prior"]))
    spots = [place(item["probability"]) for item in shown]
    parts.append(svg.rect(min(spots), middle - 1, max(spots) - min(spots), 2, "total"))
    for item in others:
        x = place(item["probability"])
        parts.extend((svg.circle(x, middle, 4, "paper"), svg.circle(x, middle, 4, "total", hollow=True)))
    # Last, so that none of the others covers it.
    parts.append(svg.circle(place(own["probability"]), middle, 5, "total"))
    told = "; ".join(
        f"{percent(item['probability'])} at a prior of {one_in(item['prior'])}" for item in shown
    )
    description = f"{told}. The threshold is {percent(threshold)}."
    return svg.picture(
        identity, width, HEIGHT, parts, title="Probability at several priors", description=description
    )
