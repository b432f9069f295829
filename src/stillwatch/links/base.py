"""What every link promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Linked:
    """Two families that belong to one operator."""

    kind: str
    first: int
    second: int
    bits: float
    """log2 of observed over expected agreement."""

    reason: str


@dataclass(frozen=True, slots=True)
class Suspects:
    """The families that a link may join, s of them, and what is known of the log around them."""

    family: NDArray[np.int32]
    """int32[s]: their numbers."""

    rows: list[NDArray[np.int32]]
    """Exchanges of each, ascending."""

    principals: list[NDArray[np.int32]]
    """Principals of each, ascending."""

    payments: list[NDArray[np.int64]]
    """int64[2, k] each: account and means of payment of each pair of them; empty where the log names none."""

    all_principals: int
    """Principals of the whole log."""

    payment_holders: dict[int, int]
    """Accounts of the whole log behind each means of payment."""

    first_us: NDArray[np.int64]
    last_us: NDArray[np.int64]
    """int64[all principals]: first and last exchange of each, whatever it sends."""


class Link(Protocol):
    """One reason to join two families."""

    name: str

    def find(self, suspects: Suspects) -> list[Linked]:
        """Pairs that this link joins; never more than what one operator explains."""


TABLE = 4096
"""Sets of which common elements are counted in a table of all pairs, 64 MB at most."""


def overlaps(sets: Sequence[NDArray[np.integer[Any]]]) -> dict[tuple[int, int], int]:
    """Common elements of each two of s sets that have any.

    >>> overlaps([np.array([1, 2, 3]), np.array([2, 3]), np.array([9])])
    {(0, 1): 2}
    """
    if not sets:
        return {}
    owner = np.repeat(np.arange(len(sets)), [len(values) for values in sets])
    values = np.concatenate(sets)
    order = np.lexsort((owner, values))
    owner, values = owner[order], values[order]
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1], True])
    if len(sets) <= TABLE:
        table = np.zeros((len(sets), len(sets)), np.int32)
        for start, stop in pairwise(starts.tolist()):
            table[np.ix_(owner[start:stop], owner[start:stop])] += 1
        first, second = np.nonzero(np.triu(table, 1))
        return dict(
            zip(zip(first.tolist(), second.tolist(), strict=True), table[first, second].tolist(), strict=True)
        )
    counts: dict[tuple[int, int], int] = {}
    for start, stop in pairwise(starts.tolist()):
        holders = owner[start:stop].tolist()
        for place, first in enumerate(holders):
            for second in holders[place + 1 :]:
                counts[first, second] = counts.get((first, second), 0) + 1
    return counts
