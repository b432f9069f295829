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
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from stillwatch.families.components import Edges
from stillwatch.families.outlines import Outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNIT = 1 << 20
"""Weight 1 of a fragment; integers make the walk independent of the order of the log."""

SLIGHT = UNIT >> 8
"""Weight below which a fragment is left out of the walk, so that it goes no further than the template."""


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
    outlines: Outlines, component: NDArray[np.int32], edges: Edges, rule: Cohesion
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Component of each fragment after parting, named by its smallest fragment, and its weight there.

    Two arrays of ``len(component)``; the weight grows with the exchanges of the template that hold the fragment, up to
    ``UNIT``.
    """
    order = np.lexsort((edges.right, edges.left, -edges.exchanges))
    outline, code = outlines.postings()
    bounds, holders = _transposed(outline, code, len(component))
    of_holder = np.repeat(np.arange(len(component), dtype=np.int32), np.diff(bounds))
    own_bounds, held = _transposed(of_holder, holders, len(outlines.role))
    result: tuple[NDArray[np.int32], NDArray[np.int64]] = _part(
        own_bounds, held, outlines.times, bounds, holders, component, edges.left[order], edges.right[order],
        rule.steps, rule.near, rule.held, rule.share,
    )  # fmt: skip
    return result


@numba.njit(nogil=True, cache=True)
def _transposed(row: Any, code: Any, fragments: int) -> Any:
    """Where the distinct rows of each fragment begin and end, and they, ascending."""
    last = np.full(fragments, -1, np.int32)
    bounds = np.zeros(fragments + 1, np.int64)
    for at in range(len(row)):
        if last[code[at]] != row[at]:
            last[code[at]] = row[at]
            bounds[code[at] + 1] += 1
    bounds = np.cumsum(bounds)
    rows = np.empty(bounds[-1], np.int32)
    place = bounds[:-1].copy()
    last[:] = -1
    for at in range(len(row)):
        if last[code[at]] != row[at]:
            last[code[at]] = row[at]
            rows[place[code[at]]] = row[at]
            place[code[at]] += 1
    return bounds, rows


@numba.njit(nogil=True, cache=True)
def _part(
    row_bounds: Any, code: Any, times: Any, bounds: Any, rows: Any, component: Any, left: Any, right: Any,
    steps: int, near: float, held: float, share: float,
) -> Any:  # fmt: skip
    """Walk from each edge whose two fragments no template has yet, the most frequent first.

    A row is an outline, and counts for as many exchanges as ``times`` says.
    """
    fragments = len(component)
    result, weights = np.arange(fragments).astype(np.int32), np.full(fragments, UNIT, np.int64)
    left_in = component.copy()  # component in which a fragment still is, -1 once a template has it
    score = np.zeros(len(row_bounds) - 1, np.int64)
    weight = np.zeros(fragments, np.int64)
    met, seen = np.empty(fragments, np.int32), np.empty(len(score), np.int32)
    for edge in range(len(left)):
        first, second = left[edge], right[edge]
        if left_in[first] < 0 or left_in[second] < 0:
            continue
        weight[first] = weight[second] = UNIT
        met[0], met[1] = first, second
        count, reached = 2, _spread(met, 2, bounds, rows, score, weight, seen)
        for _ in range(steps):
            count = _gather(
                left_in, left_in[first], row_bounds, code, times, score, seen, reached, weight, met, count
            )
            reached = _spread(met, count, bounds, rows, score, weight, seen, reached)
        enough, exchanges = _near(times, score, seen, reached, near)
        name = min(first, second)
        for place in range(count):
            fragment = met[place]
            inside, whole = 0, 0
            for at in range(bounds[fragment], bounds[fragment + 1]):
                whole += times[rows[at]]
                if score[rows[at]] >= enough:
                    inside += times[rows[at]]
            if fragment in (first, second) or (inside >= held * whole and inside >= share * exchanges):
                left_in[fragment] = -2  # of this template; -1 when its name is known
                name = min(name, fragment)
        for place in range(count):
            fragment = met[place]
            if left_in[fragment] == -2:
                left_in[fragment] = -1
                result[fragment], weights[fragment] = name, max(weight[fragment], 1)
            weight[fragment] = 0
        for place in range(reached):
            score[seen[place]] = 0
    return result, weights


@numba.njit(nogil=True, cache=True)
def _spread(
    met: Any, count: int, bounds: Any, rows: Any, score: Any, weight: Any, seen: Any, reached: int = 0
) -> int:
    """Score of each exchange: the weights of its fragments together. Lists in ``seen`` those above 0."""
    for place in range(reached):
        score[seen[place]] = 0
    reached = 0
    for place in range(count):
        fragment = met[place]
        if weight[fragment] < SLIGHT:
            continue
        for at in range(bounds[fragment], bounds[fragment + 1]):
            if score[rows[at]] == 0:
                seen[reached] = rows[at]
                reached += 1
            score[rows[at]] += weight[fragment]
    return reached


@numba.njit(nogil=True, cache=True)
def _gather(
    left_in: Any, component: int, row_bounds: Any, code: Any, times: Any, score: Any, seen: Any, reached: int,
    weight: Any, met: Any, count: int,
) -> int:  # fmt: skip
    """Weight of each fragment: the scores of its exchanges together, the largest ``UNIT``. Lists them in ``met``."""
    for place in range(count):
        weight[met[place]] = 0
    count = 0
    most = np.int64(1)
    for place in range(reached):
        row = seen[place]
        for at in range(row_bounds[row], row_bounds[row + 1]):
            fragment = code[at]
            if left_in[fragment] != component:
                continue
            if weight[fragment] == 0:
                met[count] = fragment
                count += 1
            weight[fragment] += score[row] * times[row]
            most = max(most, weight[fragment])
    for place in range(count):
        weight[met[place]] = max(np.int64(weight[met[place]] / most * UNIT), 1)
    return count


@numba.njit(nogil=True, cache=True)
def _near(times: Any, score: Any, seen: Any, reached: int, near: float) -> Any:
    """Least score of an exchange of the template, and how many exchanges reach it.

    The usual score is the mean of the exchanges', each weighted by its own.
    """
    total, squares = np.float64(0), np.float64(0)
    for place in range(reached):
        value, count = np.float64(score[seen[place]]), np.float64(times[seen[place]])
        total += count * value
        squares += count * value * value
    enough = near * squares / total
    exchanges = 0
    for place in range(reached):
        if score[seen[place]] >= enough:
            exchanges += times[seen[place]]
    return enough, exchanges
