"""Upper confidence limits of a rate that was counted, as the package computes them."""

from __future__ import annotations

from stillwatch.calibration.intervals import LEVEL, upper_limit

__all__ = ["LEVEL", "upper_limit"]
