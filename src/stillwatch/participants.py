"""Which principals of a campaign's stream take part in it, and which met its text somewhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from stillwatch.streams import HOUR_US

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_EXCHANGES, LEAST_SHARE = 2, 0.1

WHOLE, OFTEN = 0.75, 0.35
"""Share of the fragments that an exchange of a family matches at the median, from which one is of its template, and share
of a principal's exchanges that are. Of two templates that have a part in common one may match half as much as the other,
and chance decides of which an account sends more."""

CROWDED = 4.0
"""Times as many of a principal's requests of one day in one hour as the stream's schedule explains."""

MOST_CROWDED = 0.5
"""Share of different principals' pairs of one day in one hour, above which there is no schedule at all."""

DEVIATIONS = 6.0
"""Standard deviations beyond the schedule: an account that is fed passes them less than once in ten thousand."""

SEATED = 0.5
"""Share of a principal's exchanges that are made in crowded hours, from which it works in sittings. An account that is fed
and sends some of its work at once does not."""

NEW_DAYS = 2
"""Days between the opening of an account, or its first sight, and its first use of a template that it was opened for."""

MOST_VOUCHED = 0.2
"""Principals who were opened for it, as a share of those who take part without: with more, the text is one that people
meet somewhere."""

CONTAINED = 0.9
"""Share of a campaign's principals who take part in a stronger one too, above which the first is a piece of the second."""

MADE_OF_SITTINGS = 0.2
"""Share of the principals with two requests of one day that are so crowded: above it, the stream is made of
sittings and has no schedule to compare a principal with. Of a campaign that is fed by a schedule, few are strangers."""


def takes_part(exchanges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of a campaign's principals take part in it, by their exchanges in it: bool[p].

    One who sent its text once may have met it anywhere: at least ``LEAST_EXCHANGES``, and ``LEAST_SHARE`` of
    the median of those who have so many, are asked for.

    >>> takes_part(np.array([1, 2, 24, 25, 26, 30])).tolist()
    [False, False, True, True, True, True]
    """
    return take_part(exchanges, np.array([0, len(exchanges)]))


def take_part(exchanges: NDArray[np.int64], bounds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``takes_part`` of many campaigns, whose principals begin and end at ``bounds``: bool[p].

    >>> take_part(np.array([1, 2, 24, 25, 26, 30, 1, 1]), np.array([0, 6, 8])).tolist()
    [False, False, True, True, True, True, False, False]
    """
    several = exchanges >= LEAST_EXCHANGES
    campaign = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    places = np.flatnonzero(several)
    order = places[np.lexsort((exchanges[places], campaign[places]))]
    if not len(order):
        return several
    counts = np.bincount(campaign[places], minlength=len(bounds) - 1)
    last = len(order) - 1
    middle = np.cumsum(counts) - counts + (counts - 1) // 2
    upper = np.minimum(middle + 1 - counts % 2, last)
    median = (exchanges[order][np.minimum(middle, last)] + exchanges[order][upper]) / 2
    taking: NDArray[np.bool_] = several & (exchanges >= LEAST_SHARE * median[campaign])
    return taking


def sends_whole(
    principal: NDArray[np.int64],
    row: NDArray[np.int32],
    family: NDArray[np.int32],
    matched: NDArray[np.int32],
    principals: int,
) -> NDArray[np.bool_]:
    """Which principals send a campaign's template, and not some text that has a phrase of it: bool[principals].

    ``principal`` (0 to ``principals`` - 1), ``row``, ``family`` and ``matched``, the fragments in common, describe n
    memberships of exchanges in the campaign's families. An exchange counts by the family that it matches best, a
    principal by the share :data:`OFTEN` of its exchanges. One is added to both counts: of a short template, the text beside
    it decides about the last fragment.

    >>> owner, matched = np.array([0, 0, 1, 1, 2, 2]), np.array([12, 13, 13, 13, 5, 7])
    >>> sends_whole(owner, np.arange(6, dtype=np.int32), np.zeros(6, np.int32), matched, 3).tolist()
    [True, True, False]
    """
    if not len(row):
        return np.zeros(principals, bool)
    share = (matched + 1) / (_medians(family, matched)[family] + 1)
    order = np.argsort(row, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(row[order]) > 0])
    of_template = np.maximum.reduceat(share[order], first) >= WHOLE
    sender = principal[order][first]
    sent, whole = (
        np.bincount(sender, minlength=principals),
        np.bincount(sender[of_template], minlength=principals),
    )
    return (whole > 0) & (whole >= OFTEN * sent)


def opened_for_it(
    begun_us: NDArray[np.int64], first_us: NDArray[np.int64], since_us: int
) -> NDArray[np.bool_]:
    """Which principals were opened for a campaign: bool[p].

    ``begun_us``: when each was opened, -1 where that is unknown; ``first_us``: its first exchange of the template;
    ``since_us``: first exchange of the campaign. A replacement for a banned account is opened while the campaign runs and
    sends its template within ``NEW_DAYS``.

    >>> days = np.array([1, 40, 41, -1]) * 24 * HOUR_US
    >>> opened_for_it(days, np.array([42, 42, 42, 42]) * 24 * HOUR_US, 40 * 24 * HOUR_US).tolist()
    [False, True, True, False]
    """
    span = NEW_DAYS * 24 * HOUR_US
    return (begun_us >= 0) & (begun_us >= since_us - span) & (first_us - begun_us <= span)


def pays_with_them(
    principal: NDArray[np.int32], payment: NDArray[np.int64], part: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which principals have a means of payment in common with several who take part: bool[len(part)].

    ``principal`` and ``payment``: the pairs of the whole log; ``part``: bool[principals of the log]. At least two holders
    of the means must take part, and half of all its holders, so that a brand of cards vouches for nobody.

    >>> owner, card = np.array([0, 1, 2, 3, 4]), np.array([7, 7, 7, 8, 8])
    >>> pays_with_them(owner, card, np.array([True, True, False, False, True])).tolist()
    [True, True, True, False, False]
    """
    values, inverse, holders = np.unique(payment, return_inverse=True, return_counts=True)
    mine = np.bincount(inverse, weights=part[principal], minlength=len(values))
    shared = (mine >= 2) & (2 * mine >= holders)
    found = np.zeros(len(part), bool)
    found[principal[shared[inverse]]] = True
    return found


def of_one_hand(parts: Sequence[NDArray[np.int32]], bits: Sequence[float]) -> list[NDArray[np.bool_]]:
    """Who of each campaign's principals belongs to it, and did not only meet what the operator's slots are filled with.

    ``parts``: those who take part in each of c campaigns, ascending; ``bits``: the evidence of each. Where nearly all
    principals of a campaign take part in a stronger one as well, the two are of one hand, and what they share may be a
    text that others have too, such as the problems of a public benchmark: the few who send nothing else of it are left out.

    >>> strong, weak = np.arange(0, 20), np.arange(1, 21)
    >>> [int(kept.sum()) for kept in of_one_hand([strong, weak], [30.0, 12.0])]
    [20, 19]
    """
    groups = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    principals = np.concatenate([np.empty(0, np.int32), *parts])
    order = np.argsort(principals, kind="stable")
    known, held = principals[order], groups[order]
    first = np.searchsorted(known, principals, "left")
    last = np.searchsorted(known, principals, "right")
    kept, ends = [], np.cumsum([0, *(len(part) for part in parts)])
    for piece, part in enumerate(parts):
        stays = np.ones(len(part), bool)
        own = [held[first[at] : last[at]] for at in range(ends[piece], ends[piece + 1])]
        common = np.bincount(np.concatenate([np.empty(0, np.int64), *own]), minlength=len(parts))
        for whole in np.flatnonzero(common >= CONTAINED * max(len(part), 1)).tolist():
            if bits[whole] > bits[piece] and common[whole] < len(part):
                stays &= np.isin(part, parts[whole])
        kept.append(stays)
    return kept


def _medians(owner: NDArray[Any], values: NDArray[Any], owners: int = 0) -> NDArray[np.float64]:
    """Median of each owner's values, 0 where it has none: float64[``owners``, at least the largest owner + 1]."""
    order = np.lexsort((values, owner))
    counts = np.bincount(owner, minlength=owners)
    first = np.cumsum(counts) - counts
    held = np.flatnonzero(counts)
    result = np.zeros(len(counts))
    middle = [values[order[first[held] + (counts[held] + shift) // 2]] for shift in (-1, 0)]
    result[held] = (middle[0] + middle[1].astype(np.float64)) / 2
    return result


def keeps_own_hours(
    principal: NDArray[np.int64], at_us: NDArray[np.int64], principals: int
) -> NDArray[np.bool_]:
    """Which principals of a dispatched stream sit down to their requests instead of being fed:
    bool[principals].

    ``principal`` (0 to ``principals`` - 1) and ``at_us`` describe the stream's n exchanges. A pair of a
    principal's requests of one day should share its hour as often as pairs of two different principals do; a
    user of a client that has the campaign's prompt, say, works in sittings, with several times as many, and most of
    what it sends is of them (:data:`SEATED`). All false where the stream itself is made of sittings, since then there is no
    schedule to compare with.
    """
    if not len(principal):
        return np.zeros(principals, bool)
    hour = at_us // HOUR_US
    hour -= hour.min() // 24 * 24
    slots = hours, days = _slots(principal, hour), _slots(principal, hour // 24)
    own = [_pairs(one, principals) for one in slots]
    everybody = np.zeros_like(principal)
    among = [
        _pairs(_slots(everybody, one), 1)[0] - mine.sum()
        for one, mine in zip((hour, hour // 24), own, strict=True)
    ]
    rate = among[0] / max(among[1], 1.0)
    expected = own[1] * rate
    crowded = own[0] > CROWDED * expected
    if rate > MOST_CROWDED or crowded.sum() > MADE_OF_SITTINGS * (own[1] > 0).sum():
        return np.zeros(principals, bool)
    of_day = days.held[np.searchsorted(days.key, hours.owner << 32 | hours.slot // 24)]
    in_crowd = (hours.held > 1) & (hours.held - 1 > CROWDED * rate * (of_day - 1))
    sitting = np.bincount(hours.owner, hours.held * in_crowd, principals)
    seated = sitting >= SEATED * np.bincount(principal, minlength=principals)
    sits: NDArray[np.bool_] = crowded & seated & (own[0] - expected > DEVIATIONS * np.sqrt(2 * expected + 1))
    return sits


class _Slots(NamedTuple):
    """How many exchanges each owner has in each slot of time where it has any, ascending by owner and slot."""

    key: NDArray[np.int64]
    owner: NDArray[np.int64]
    slot: NDArray[np.int64]
    held: NDArray[np.float64]


def _slots(owner: NDArray[np.int64], slot: NDArray[np.int64]) -> _Slots:
    key, held = np.unique(owner << 32 | slot, return_counts=True)
    return _Slots(key, key >> 32, key & 0xFFFFFFFF, held.astype(np.float64))


def _pairs(slots: _Slots, owners: int) -> NDArray[np.float64]:
    """Ordered pairs of each owner's exchanges that share a slot: float64[owners]."""
    return np.bincount(slots.owner, slots.held * (slots.held - 1), owners).astype(np.float64)
