"""One self-contained HTML page of an experiment of the lab: the claim, what was found, and every seed in a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from stillwatch.report import charts
from stillwatch.report.page import DEFAULT_PAINT, NARROW, WIDE, _policy, _resource, environment


def render_experiment(
    claim: str,
    conclusions: Sequence[Mapping[str, Any]],
    pictures: Sequence[Mapping[str, Any]],
    facts: Mapping[str, str],
) -> str:
    """Lay an experiment out as one HTML document; the same result gives the same text.

    Args:
        claim: the claim as it is made.
        conclusions: rows of ``summary.json``.
        pictures: ``name``, ``caption`` and ``data`` of each chart.
        facts: how it was run, by name.
    """
    style = _resource("page.css")
    return (
        environment("stillwatch.report")
        .get_template("experiment.html")
        .render(
            claim=claim,
            conclusions=conclusions,
            pictures=[{**picture, "drawn": _drawn(picture)} for picture in pictures],
            facts=facts,
            style=Markup(style),  # noqa: S704 (a file of this package)
            policy=_policy(style, ""),
        )
    )


def _drawn(picture: Mapping[str, Any]) -> Markup:
    wide, narrow = (
        charts.draw_experiment(f"{picture['name']}-{width}", picture["data"], width)
        for width in (WIDE, NARROW)
    )
    both = f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'
    return Markup(DEFAULT_PAINT.sub("", both))  # noqa: S704 (the charts escape what they draw)
