"""What every link promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numba
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


def overlaps(
    sets: Sequence[NDArray[np.integer[Any]]],
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Of each of s sets, the later ones that have elements in common with it, and how many.

    >>> sets = [np.array([1, 2, 3]), np.array([2, 3]), np.array([9])]
    >>> [(first, others.tolist(), common.tolist()) for first, others, common in overlaps(sets)]
    [(0, [1], [2]), (1, [], []), (2, [], [])]
    """
    bounds = np.cumsum([0, *(len(values) for values in sets)])
    _, code = np.unique(np.concatenate([np.empty(0, np.int64), *sets]), return_inverse=True)
    order = np.argsort(code, kind="stable")
    holders = np.repeat(np.arange(len(sets)), np.diff(bounds))[order]
    starts = np.searchsorted(code[order], np.arange(int(code.max(initial=-1)) + 2))
    counts = np.zeros(len(sets), np.int64)
    for first in range(len(sets)):
        _count_common(first, code[bounds[first] : bounds[first + 1]], starts, holders, counts)
        others = np.flatnonzero(counts)
        yield first, others, counts[others]
        counts[others] = 0


@numba.njit(nogil=True, cache=True)
def _count_common(first: int, values: Any, starts: Any, holders: Any, counts: Any) -> None:
    """Count the ``values`` that each set after the ``first`` holds."""
    for value in values:
        for at in range(starts[value], starts[value + 1]):
            if holders[at] > first:
                counts[holders[at]] += 1
