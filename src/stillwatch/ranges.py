"""Ranges of whole numbers, several at once: the places of many short lists that stand one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def places(starts: NDArray[np.integer[Any]], stops: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """All whole numbers from each start to before its stop, range after range.

    >>> places(np.array([3, 0, 7]), np.array([5, 0, 8])).tolist()
    [3, 4, 7]
    """
    lengths = stops - starts
    ends = np.cumsum(lengths)
    found: NDArray[np.int64] = np.repeat(starts - (ends - lengths), lengths)
    return found + np.arange(len(found))
