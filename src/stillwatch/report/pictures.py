"""The pictures of the report as files of their own, in light colours on paper, for slides and tickets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stillwatch.report import charts
from stillwatch.report.charts import svg
from stillwatch.report.wording import threshold_of

WIDTH = 720  # pixels
FOLDER = "pictures"
"""Folder of the result in which they lie."""


def pictures(overview: Mapping[str, Any], campaigns: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Name of each file and its text; the same result gives the same text."""
    found = {}
    for campaign in campaigns:
        threshold = threshold_of(campaign, overview)
        drawn = {
            "certainty": charts.draw_certainty("c", campaign["posterior"], campaign, threshold, WIDTH / 2),
            "evidence": charts.draw_waterfall("e", campaign, threshold, WIDTH),
            "timeline": charts.draw_timeline("t", campaign["timeline"], WIDTH),
            "principals": charts.draw_principal_days("p", campaign["principals"], WIDTH),
        }
        for name, picture in drawn.items():
            found[f"{campaign['campaign_id']}-{name}.svg"] = svg.on_paper(picture) + "\n"
    return found
