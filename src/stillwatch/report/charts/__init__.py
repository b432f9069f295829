"""Charts of a campaign, and of an experiment, as pure functions from its data to the text of one SVG picture.

Each picture carries a title and a description for those who do not see it, default colours so that it
stands alone, and class names so that a page can recolour it. Text has its true size: draw at the
width at which it will be shown instead of scaling.
"""

from stillwatch.report.charts.certainty import draw_certainty
from stillwatch.report.charts.curves import draw_curves
from stillwatch.report.charts.principal_days import draw_principal_days
from stillwatch.report.charts.timeline import draw_timeline
from stillwatch.report.charts.waterfall import draw_waterfall

__all__ = ["draw_certainty", "draw_curves", "draw_principal_days", "draw_timeline", "draw_waterfall"]
