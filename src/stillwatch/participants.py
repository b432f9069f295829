"""Which principals of a campaign's stream take part in it, and which met its text somewhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stillwatch.streams import HOUR_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_EXCHANGES, LEAST_SHARE = 2, 0.2
CROWDED = 2.5
"""Times as many of a principal's requests of one day in one hour as the stream's schedule explains."""

DEVIATIONS = 4.0
DISPATCHED = 2.0
"""A stream whose own principals exceed its schedule by more than this factor has none to compare a principal
with."""


def takes_part(exchanges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of a campaign's principals take part in it, by their exchanges in it: bool[p].

    One who sent its text once may have met it anywhere: at least ``LEAST_EXCHANGES``, and ``LEAST_SHARE`` of
    the median of those who have so many, are asked for.

    >>> takes_part(np.array([1, 2, 24, 25, 26, 30])).tolist()
    [False, False, True, True, True, True]
    """
    several = exchanges >= LEAST_EXCHANGES
    if not several.any():
        return several
    return several & (exchanges >= LEAST_SHARE * np.median(exchanges[several]))


def keeps_own_hours(
    principal: NDArray[np.int64], at_us: NDArray[np.int64], principals: int
) -> NDArray[np.bool_]:
    """Which principals of a dispatched stream sit down to their requests instead of being fed:
    bool[principals].

    ``principal`` (0 to ``principals`` - 1) and ``at_us`` describe the stream's n exchanges. A pair of a
    principal's requests of one day should share its hour as often as the stream's pairs do; a user of a
    client that has the campaign's prompt, say, works in sittings, with several times as many. All false where
    the stream itself is made of sittings, since then there is no schedule to compare with.
    """
    hour = at_us // HOUR_US
    in_hour, in_day = _pairs(principal, hour), _pairs(principal, hour // 24)
    everybody = np.zeros_like(principal)
    rate = _pairs(everybody, hour)[0] / max(_pairs(everybody, hour // 24)[0], 1)
    own = np.zeros((2, principals))
    own[0, : len(in_hour)], own[1, : len(in_day)] = in_hour, in_day
    expected = own[1] * rate
    if own[0].sum() > DISPATCHED * expected.sum() or rate > 0.5:
        return np.zeros(principals, bool)
    beyond = (own[0] - expected) / np.sqrt(2 * expected + 1)
    sits: NDArray[np.bool_] = (own[0] > CROWDED * expected) & (beyond > DEVIATIONS)
    return sits


def _pairs(owner: NDArray[np.int64], slot: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ordered pairs of each owner's entries that share a slot: int64[largest owner + 1]."""
    if not len(owner):
        return np.zeros(1, np.int64)
    key, counts = np.unique(np.stack([owner, slot]), axis=1, return_counts=True)
    return np.bincount(key[0], weights=counts * (counts - 1)).astype(np.int64)
