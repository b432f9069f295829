"""How much the wordings of a template vary, where each principal varies them alike.

A shared prompt is pasted or sent by a program: word for word the same, or in a version that a principal keeps. A template of
which the sentences are reworded and recombined from one exchange to the next, by all its principals from one stock of
wordings, is made not to be recognised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNIT = 1000
"""Variety of a template of which every fragment varies."""

LEAST_EXCHANGES, LEAST_FRAGMENTS = 60, 4
"""Exchanges of a family, and fragments of its template in each, below which nothing is said."""

RARE, USUAL = 0.04, 0.6
"""Shares of a family's exchanges between which a fragment is one wording of several."""

LEAST_PAIRS = 20
"""Pairs of one principal's exchanges with one wording in common, expected by chance, below which nothing is said."""


def variety(
    row: NDArray[np.int32],
    principal: NDArray[np.int32],
    fragment: NDArray[np.int32],
    family: NDArray[np.int32],
    member_row: NDArray[np.int32],
    member_family: NDArray[np.int32],
    families: int,
) -> NDArray[np.int32]:
    """Variety of each family's wordings, 0 to ``UNIT``: int32[families].

    The first three arrays are postings in order of row, ``family`` is the family of each fragment, -1 for none; the
    next two are memberships in order of row. The value is the share of the matched fragments that vary, less where
    exchanges match more or fewer of them (as everyday phrases do, and optional paragraphs), and less where a principal
    comes back to its own wordings (a version of a client, say).
    """
    counts, sizes, squares, varying = _count(row, fragment, family, member_row, member_family, families)
    held = np.bincount(family[family >= 0], weights=counts[family >= 0], minlength=families)
    exchanges = np.bincount(member_family, minlength=families)
    share = counts / np.maximum(exchanges[family], 1)
    wording = (family >= 0) & (share >= RARE) & (share <= USUAL)
    mean = sizes / np.maximum(exchanges, 1)
    spread = np.sqrt(np.maximum(squares / np.maximum(exchanges, 1) - mean**2, 0)) / np.maximum(mean, 1)
    mass = np.bincount(family[wording], weights=counts[wording], minlength=families) / np.maximum(held, 1)
    spoken = (exchanges >= LEAST_EXCHANGES) & (mean >= LEAST_FRAGMENTS) & (mass > 0) & (spread < 0.5)
    value = np.where(spoken, mass * (1 - 2 * np.minimum(spread, 0.5)), 0.0)
    chosen = varying & wording[fragment] & spoken[family[fragment]]
    alike = _alike(principal[chosen], fragment[chosen], counts, family, exchanges, _own_pairs(
        principal, row, member_row, member_family, families
    ), families)  # fmt: skip
    return np.round(UNIT * value * alike).astype(np.int32)


def _own_pairs(
    principal: NDArray[np.int32], row: NDArray[np.int32], member_row: NDArray[np.int32],
    member_family: NDArray[np.int32], families: int,
) -> NDArray[np.float64]:  # fmt: skip
    """Ordered pairs of one principal's exchanges in each family: float64[families]."""
    owner = principal[np.searchsorted(row, member_row)]
    pairs, counts = np.unique(member_family.astype(np.int64) << 32 | owner, return_counts=True)
    own: NDArray[np.float64] = np.bincount(
        pairs >> 32, weights=counts * (counts - 1.0), minlength=families
    ).astype(np.float64)
    return own


def _alike(
    principal: NDArray[np.int32], fragment: NDArray[np.int32], counts: NDArray[np.int64], family: NDArray[np.int32],
    exchanges: NDArray[np.int64], own: NDArray[np.float64], families: int,
) -> NDArray[np.float64]:  # fmt: skip
    """1 where a principal's wordings vary as those of different principals do, towards 0 where it keeps its own."""
    pairs, times = np.unique(fragment.astype(np.int64) << 32 | principal, return_counts=True)
    code = pairs >> 32
    within = np.bincount(family[code], weights=times * (times - 1.0), minlength=families)
    used = np.unique(code)
    every = np.bincount(family[used], weights=counts[used] * (counts[used] - 1.0), minlength=families)
    among = exchanges * (exchanges - 1.0) - own
    expected = own * (every - within) / np.maximum(among, 1)
    upper = within + 2 * np.sqrt(2 * within) + 2
    ratio: NDArray[np.float64] = np.minimum(expected / upper, 1.0) ** 2
    return np.where(expected >= LEAST_PAIRS, ratio, 0.0)


@numba.njit(nogil=True, cache=True)
def _count(row: Any, fragment: Any, family: Any, member_row: Any, member_family: Any, families: int) -> Any:
    """Exchanges of its family that hold each fragment; sum and sum of squares of each exchange's; which postings count."""
    counts = np.zeros(len(family), np.int64)
    sizes, squares = np.zeros(families, np.int64), np.zeros(families, np.int64)
    counted = np.zeros(len(row), np.bool_)
    last = np.full(len(family), -1, np.int64)
    at = 0
    member = 0
    while member < len(member_row):
        stop = member
        while stop < len(member_row) and member_row[stop] == member_row[member]:
            stop += 1
        while at < len(row) and row[at] < member_row[member]:
            at += 1
        held = np.zeros(stop - member, np.int64)
        while at < len(row) and row[at] == member_row[member]:
            code = fragment[at]
            if family[code] >= 0 and last[code] != row[at]:
                for place in range(member, stop):
                    if member_family[place] == family[code]:
                        last[code] = row[at]
                        counts[code] += 1
                        held[place - member] += 1
                        counted[at] = True
                        break
            at += 1
        for place in range(member, stop):
            sizes[member_family[place]] += held[place - member]
            squares[member_family[place]] += held[place - member] ** 2
        member = stop
    return counts, sizes, squares, counted
