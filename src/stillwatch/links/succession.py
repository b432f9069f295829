"""Succession: where the accounts of one suspect family end, those of another begin."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.links.base import Linked, Suspects
from stillwatch.signals.succession import HOUR_US, QUIET_US, SOON_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

DAY_HOURS = 24


class Succession:
    """Joins suspect families of which the one's principals begin within six hours of the other's end, far more often
    than they precede it, on several days, while neither family replaces its own. Never by a single pair.

    The statistic is that of the signal of this name, taken between two families. A provider that bans accounts in
    waves makes the replacements of all operators begin together; those follow the ends of their own family as closely
    as those of another, so families whose ends are followed by beginnings of their own are not joined.
    """

    name = "succession"
    least, deviations, days, share, own = 8, 4.0, 4, 0.5, 2.0

    def find(self, suspects: Suspects) -> list[Linked]:
        """Pairs of which the one takes the other's place."""
        if len(suspects.family) < 2:
            return []
        begins, ends = _lives(suspects)
        ending, beginning = (np.flatnonzero(counts.sum(axis=1) >= self.least) for counts in (ends, begins))
        if not len(ending) or not len(beginning):
            return []
        lean = _around(ends[ending])
        excess = lean @ begins[beginning].T
        spread = np.sqrt((lean**2) @ (begins[beginning] ** 2).T)
        deviations = np.divide(excess, spread, out=np.zeros_like(excess), where=spread > 0)
        own = np.zeros(len(suspects.family))
        both, place_ending, place_beginning = np.intersect1d(ending, beginning, return_indices=True)
        own[both] = deviations[place_ending, place_beginning]
        found = []
        for first, second in np.argwhere(deviations >= self.deviations).tolist():
            old, new = int(ending[first]), int(beginning[second])
            gone = float(ends[old].sum())
            if old == new or max(own[old], own[new]) > self.own or excess[first, second] < self.share * gone:
                continue
            if _days_for(lean[first] * begins[new]) < self.days:
                continue
            chance = float((_before(ends[old][::-1])[::-1] * begins[new]).sum())
            after = chance + float(excess[first, second])
            reason = (
                f"of one, {gone:,.0f} principals end, and {after:,.0f} times one of the other begins within six "
                f"hours; {chance:,.0f} would by chance"
            )
            low, high = sorted((int(suspects.family[old]), int(suspects.family[new])))
            found.append(Linked(self.name, low, high, log2((after + 1) / (chance + 1)), reason))
        return found


def _lives(suspects: Suspects) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Beginnings and ends of each family's principals by hour of the log, those at its edges left out:
    float64[s, hours] each."""
    opens, closes = int(suspects.first_us.min()), int(suspects.last_us.max())
    hours = (closes - opens) // HOUR_US + 1
    begins, ends = np.zeros((2, len(suspects.family), hours))
    for place, own in enumerate(suspects.principals):
        first, last = suspects.first_us[own], suspects.last_us[own]
        first = first[(first >= opens + QUIET_US) & (first <= closes - QUIET_US - SOON_US)]
        last = last[last <= closes - QUIET_US]
        begins[place] = np.bincount((first - opens) // HOUR_US, minlength=hours)
        ends[place] = np.bincount((last - opens) // HOUR_US, minlength=hours)
    return begins, ends


def _before(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the hours before each that lie within ``SOON_US``, along the last axis."""
    soon = SOON_US // HOUR_US
    sums = np.concatenate([np.zeros((*counts.shape[:-1], 1)), np.cumsum(counts, axis=-1)], axis=-1)
    hour = np.arange(counts.shape[-1])
    window: NDArray[np.float64] = sums[..., hour] - sums[..., np.maximum(hour - soon, 0)]
    return window


def _around(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ends just before each hour less those just after it."""
    return _before(ends) - _before(ends[:, ::-1])[:, ::-1]


def _days_for(lean: NDArray[np.float64]) -> int:
    """Days that speak for a succession, less three times those that speak against."""
    day = np.add.reduceat(lean, np.arange(0, len(lean), DAY_HOURS))
    return int((day > 0).sum() - 3 * (day < 0).sum())


LINK = Succession()
