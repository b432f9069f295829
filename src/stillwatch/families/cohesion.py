"""Part what one everyday phrase has joined: a family is what exchanges of one template have in common.

Fragments that stand side by side are joined into components (``components.py``), and a phrase that two templates
happen to share, or the first words that many seeds begin with, joins both. So each component is looked at from its
exchanges: a few steps of a random walk between fragments and exchanges, begun at its most frequent pair of
neighbours, stay inside one template (local partitioning by truncated walks: Spielman & Teng 2013; weights as in the
hubs and authorities of Kleinberg 1999). Wordings that are recombined at will are reached, since each occurs with all
wordings of every other sentence; what hangs on a phrase alone is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from stillwatch.families.components import Edges, connected

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNIT = 1 << 20
"""Weight 1 of a fragment or exchange; integers make the walk independent of the order of the log."""


@dataclass(frozen=True, slots=True)
class Cohesion:
    """What belongs to one template."""

    steps: int = 2
    """Steps of the walk from exchanges to fragments and back."""

    near: float = 0.3
    """Share of the usual weight of an exchange from which it is of the template."""

    held: float = 0.5
    """Share of a fragment's exchanges that must be of the template for it to belong to it."""

    share: float = 0.02
    """Share of the template's exchanges in which a fragment of it must stand: what fills its slots does not."""


def part(
    row: NDArray[np.int32],
    code: NDArray[np.int32],
    component: NDArray[np.int32],
    edges: Edges,
    rule: Cohesion,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Component of each fragment after parting, named by its smallest fragment, and its weight there.

    Two arrays of ``len(component)``; the weight grows with the exchanges of the template that hold the fragment, up to
    ``UNIT``. ``row`` and ``code`` are postings in order of row.
    """
    fragments = len(component)
    posting = np.unique(code.astype(np.int64) << 32 | row)
    rows = (posting & 0xFFFFFFFF).astype(np.int32)
    bounds = np.searchsorted(posting >> 32, np.arange(fragments + 1))
    score = np.zeros(int(row.max(initial=-1)) + 1, np.int64)
    result, weights = np.arange(fragments, dtype=np.int32), np.full(fragments, UNIT)
    work = _groups(component, np.arange(fragments, dtype=np.int32), edges)
    while work:
        members, own = work.pop()
        if not len(own.left):
            result[members] = members[0]
            continue
        seed = int(np.lexsort((own.right, own.left, -own.exchanges))[0])
        inside, weight = _walk(
            members, bounds, rows, score, int(own.left[seed]), int(own.right[seed]),
            rule.steps, rule.near, rule.held, rule.share,
        )  # fmt: skip
        result[members[inside]], weights[members[inside]] = members[inside][0], weight[inside]
        rest = members[~inside]
        if len(rest):
            work.extend(_rest(rest, own))
    return result, weights


def _rest(rest: NDArray[np.int32], edges: Edges) -> list[tuple[NDArray[np.int32], Edges]]:
    """Components of the fragments that are left, by the edges among them."""
    kept = np.isin(edges.left, rest) & np.isin(edges.right, rest)
    left, right = np.searchsorted(rest, edges.left[kept]), np.searchsorted(rest, edges.right[kept])
    component = connected(left.astype(np.int32), right.astype(np.int32), len(rest))
    return _groups(component, rest, Edges(edges.left[kept], edges.right[kept], edges.exchanges[kept]))


def _groups(
    component: NDArray[np.int32], fragments: NDArray[np.int32], edges: Edges
) -> list[tuple[NDArray[np.int32], Edges]]:
    """Fragments and edges of each component of more than one fragment; ``fragments`` ascends."""
    order = np.argsort(component, kind="stable")
    starts = (
        np.flatnonzero(np.r_[True, np.diff(component[order]) != 0, True]) if len(order) else np.zeros(1, int)
    )
    of_edge = component[np.searchsorted(fragments, edges.left)]
    sorting = np.argsort(of_edge, kind="stable")
    names = component[order[starts[:-1]]]
    edge_bounds = np.searchsorted(of_edge[sorting], np.stack([names, names + 1]))
    groups = []
    for (start, stop), (first, last) in zip(pairwise(starts.tolist()), edge_bounds.T.tolist(), strict=True):
        if stop - start > 1:
            own = sorting[first:last]
            groups.append(
                (fragments[order[start:stop]], Edges(edges.left[own], edges.right[own], edges.exchanges[own]))
            )
    return groups


@numba.njit(nogil=True, cache=True)
def _walk(
    members: Any, bounds: Any, rows: Any, score: Any, left: int, right: int,
    steps: int, near: float, held: float, share: float,
) -> Any:  # fmt: skip
    """Which fragments of ``members`` the walk from the pair ``left``, ``right`` finds to be of one template; weights.

    ``score`` is scratch space for all exchanges, zero before and after.
    """
    weight = np.zeros(len(members), np.int64)
    for place in range(len(members)):
        if members[place] == left or members[place] == right:
            weight[place] = UNIT
    _spread(members, bounds, rows, score, weight)
    for _ in range(steps):
        most = np.int64(1)
        for place in range(len(members)):
            total = np.int64(0)
            for at in range(bounds[members[place]], bounds[members[place] + 1]):
                total += score[rows[at]]
            weight[place] = total
            most = max(most, total)
        for place in range(len(members)):
            weight[place] = np.int64(weight[place] / most * UNIT)
        _spread(members, bounds, rows, score, weight)
    enough, exchanges = _near(members, bounds, rows, score, near)
    inside = np.zeros(len(members), np.bool_)
    for place in range(len(members)):
        start, stop = bounds[members[place]], bounds[members[place] + 1]
        count = 0
        for at in range(start, stop):
            count += abs(score[rows[at]]) >= enough
        inside[place] = count >= held * (stop - start) and count >= share * exchanges
        inside[place] |= members[place] == left or members[place] == right
    for place in range(len(members)):
        for at in range(bounds[members[place]], bounds[members[place] + 1]):
            score[rows[at]] = 0
    return inside, np.maximum(weight, 1)


@numba.njit(nogil=True, cache=True)
def _spread(members: Any, bounds: Any, rows: Any, score: Any, weight: Any) -> None:
    """Score of each exchange: the weights of its fragments together."""
    for place in range(len(members)):
        for at in range(bounds[members[place]], bounds[members[place] + 1]):
            score[rows[at]] = 0
    for place in range(len(members)):
        for at in range(bounds[members[place]], bounds[members[place] + 1]):
            score[rows[at]] += weight[place]


@numba.njit(nogil=True, cache=True)
def _near(members: Any, bounds: Any, rows: Any, score: Any, near: float) -> Any:
    """Least score of an exchange of the template, and how many exchanges reach it.

    The usual score is the mean of the exchanges', each weighted by its own. An exchange that was counted is marked
    by its sign.
    """
    total, squares = np.float64(0), np.float64(0)
    for place in range(len(members)):
        for at in range(bounds[members[place]], bounds[members[place] + 1]):
            value = score[rows[at]]
            if value > 0:
                total += value
                squares += np.float64(value) * value
                score[rows[at]] = -value
    enough = near * squares / max(total, 1.0)
    exchanges = 0
    for place in range(len(members)):
        for at in range(bounds[members[place]], bounds[members[place] + 1]):
            value = score[rows[at]]
            if value < 0:
                exchanges += -value >= enough
                score[rows[at]] = -value
    return enough, exchanges
