"""Ranges of whole numbers, several at once: the places of many short lists that stand one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def taken(
    values: NDArray[Any], starts: NDArray[np.integer[Any]], stops: NDArray[np.integer[Any]]
) -> NDArray[Any]:
    """What stands in each range of ``values``, range after range: ``values[places(starts, stops)]`` without a list of
    places, which would take more memory than the values.

    >>> taken(np.array([10, 11, 12, 13]), np.array([2, 0]), np.array([4, 1])).tolist()
    [12, 13, 10]
    """
    plain = np.asarray(values)  # slices of a mapped file are slow to make
    parts = [plain[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
    return np.concatenate(parts) if parts else plain[:0].copy()


def places(starts: NDArray[np.integer[Any]], stops: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """All whole numbers from each start to before its stop, range after range.

    >>> places(np.array([3, 0, 7]), np.array([5, 0, 8])).tolist()
    [3, 4, 7]
    """
    lengths = stops - starts
    ends = np.cumsum(lengths)
    found: NDArray[np.int64] = np.repeat(starts - (ends - lengths), lengths)
    return found + np.arange(len(found))
