"""Charts of a campaign, and of an experiment, as pure functions from its data to the text of one SVG picture.

Each picture carries a title and a description for those who do not see it, default colours so that it
stands alone, and class names so that a page can recolour it. Text has its true size: draw at the
width at which it will be shown instead of scaling.
"""

from collections.abc import Mapping
from typing import Any

from stillwatch.report.charts.certainty import draw_certainty
from stillwatch.report.charts.curves import draw_curves
from stillwatch.report.charts.frontier import draw_frontier
from stillwatch.report.charts.infrastructure import draw_infrastructure
from stillwatch.report.charts.principal_days import draw_principal_days
from stillwatch.report.charts.timeline import draw_timeline
from stillwatch.report.charts.waterfall import draw_waterfall

__all__ = [
    "draw_certainty",
    "draw_curves",
    "draw_experiment",
    "draw_frontier",
    "draw_infrastructure",
    "draw_principal_days",
    "draw_timeline",
    "draw_waterfall",
]


def draw_experiment(identity: str, data: Mapping[str, Any], width: float = 720) -> str:
    """A picture of an experiment: a frontier where its series have two coordinates, else shares at points."""
    draw = draw_frontier if any("at" in item for item in data["series"]) else draw_curves
    return draw(identity, data, width)
