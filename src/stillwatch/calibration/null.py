"""The empirical null: how the innocent streams of this very log are spread, most of them being innocent.

A normal curve is matched to the middle of n streams (central matching, Efron 2004): its mean is their median, and
its deviation that of the quarter above it. We match quartiles where Efron matches the log density, since a log has
some hundred streams and not thousands, and only above, since public clients, against which much speaks, stretch
the half below. The share of streams that the curve does not
explain is the contamination (Storey 2002, under that curve). What the curve leaves beyond the bar estimates how
many innocent streams reach it: an extrapolation far into a tail that need not be normal, and no guarantee.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_STREAMS = 50
"""Fewer streams say nothing of their spread."""

QUARTILE = 0.6745
"""Upper quartile of the standard normal curve."""

BEYOND = 2.0
"""Deviations above the mean from which streams that the curve does not explain are counted."""


@dataclass(frozen=True, slots=True)
class Null:
    """The normal curve of a log's innocent streams."""

    streams: int
    """Streams that it was matched to."""

    mean: float
    """Bits."""

    deviation: float
    """Bits."""

    contamination: float
    """Estimated share of the streams that are not of the curve."""

    asking: int
    """Streams among them that ask for training data, so that they could be accused."""

    def expected(self, bits: float) -> float:
        """Innocent streams of this log that should ask for training data and reach so many bits."""
        return self.asking * (1 - self.contamination) * _above((bits - self.mean) / self.deviation)

    def alpha(self, bits: float) -> float:
        """Estimated chance that any innocent stream of such a log reaches so many bits (Poisson)."""
        return -math.expm1(-self.expected(bits))


def fit_null(bits: NDArray[np.float64], asks: NDArray[np.bool_]) -> Null | None:
    """The null of n streams, or None where they are too few or lie all in one place.

    ``bits``: float64[n], evidence of streams that were measured; ``asks``: bool[n], which of them ask for
    training data.

    >>> spread = np.linspace(-20, 0, 101)
    >>> null = fit_null(spread, spread > -5)
    >>> null.mean, round(null.deviation, 1), round(null.alpha(14.2), 3)
    (-10.0, 7.4, 0.014)
    """
    if len(bits) < LEAST_STREAMS:
        return None
    middle, high = np.quantile(bits, (0.5, 0.75)).tolist()
    deviation = (high - middle) / QUARTILE
    if deviation == 0:
        return None
    within = float(np.mean(bits <= middle + BEYOND * deviation))
    innocent = min(1.0, within / (1 - _above(BEYOND)))
    return Null(len(bits), middle, deviation, 1 - innocent, int(asks.sum()))


def _above(deviations: float) -> float:
    """Share of a normal curve beyond so many deviations."""
    return 0.5 * math.erfc(deviations / math.sqrt(2))
