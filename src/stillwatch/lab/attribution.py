"""What each of several sources gave a student: Shapley values, and what sources give together.

``v(S)`` is what a student has that was trained with the sources S. The Shapley value (Shapley 1953) of source i is the mean
of ``v(S + i) - v(S)`` over all orders in which the sources can come; the values of all sources sum to ``v(all) - v(none)``.
The interaction index (Grabisch & Roubens 1999) of a set T is the weighted mean over S without T of the alternating sum
``sum_{L in T} (-1)^(|T| - |L|) v(S + L)``: positive where sources need each other, negative where one does what the
other does. A share alone hides that, so both are always said together. Values are arrays of any shape, and all results
are linear in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import factorial

from stillwatch.lab.measures import Numbers

Cells = Mapping[frozenset[str], Numbers]
"""What a student has by the sources that it was trained with; all sets of sources."""


def shapley(cells: Cells, source: str) -> Numbers:
    """Shapley value of a source, in the unit of the cells.

    >>> import numpy as np
    >>> cells = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 0.0, frozenset("ab"): 4.0}
    >>> shapley(cells, "a"), shapley(cells, "b")
    (2.5, 1.5)
    """
    return interaction(cells, (source,))


def interaction(cells: Cells, together: Iterable[str]) -> Numbers:
    """Interaction index of a set of sources; that of a single one is its Shapley value.

    >>> cells = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 0.0, frozenset("ab"): 4.0}
    >>> interaction(cells, "ab")
    3.0
    """
    chosen = frozenset(together)
    rest = sorted(frozenset().union(*cells) - chosen)
    total = None
    for size in range(len(rest) + 1):
        weight = factorial(size) * factorial(len(rest) - size) / factorial(len(rest) + 1)
        for others in combinations(rest, size):
            part = weight * _alternating(cells, frozenset(others), chosen)
            total = part if total is None else total + part
    assert total is not None
    return total


def _alternating(cells: Cells, base: frozenset[str], chosen: frozenset[str]) -> Numbers:
    parts = [
        (-1) ** (len(chosen) - size) * cells[base | frozenset(some)]
        for size in range(len(chosen) + 1)
        for some in combinations(sorted(chosen), size)
    ]
    result: Numbers = parts[0]
    for part in parts[1:]:
        result = result + part
    return result
