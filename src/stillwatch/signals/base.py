"""What every signal promises, and the arithmetic that several share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Signal(Protocol):
    """One measured property of a stream. More means more suspicious, for every signal.

    ``statistics`` is portable SQL over the tables that ``reads`` names; it gives ``stream_id`` and integers,
    one row a stream. ``value`` turns them into floats, in Python, once. A signal is silent (null) where it
    has no power or where the log lacks all the columns in ``needs``; silence is no evidence.
    """

    name: str
    reads: frozenset[str]
    needs: tuple[str, ...]
    statistics: str

    def value(self, stats: pa.Table) -> pa.Table:
        """``stream_id``, ``value`` (float or null) and ``n`` (what was counted), one row a row of
        ``stats``."""

    def describe(self, value: float, n: int) -> str:
        """One sentence for a person who has never seen the code: what was found in this stream."""


def integers(stats: pa.Table, *names: str) -> list[NDArray[np.float64]]:
    """Columns of integer statistics as floats, nulls as 0."""
    return [stats[name].combine_chunks().fill_null(0).to_numpy().astype(np.float64) for name in names]


def ratio(above: Any, below: Any) -> NDArray[np.float64]:
    """``above / below``, 0 where there is nothing below."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    quotient: NDArray[np.float64] = np.divide(above, below, out=np.zeros_like(above), where=below != 0)
    return quotient


def result(
    stats: pa.Table, value: NDArray[np.float64], n: NDArray[np.float64], speaks: NDArray[np.bool_]
) -> pa.Table:
    """The table that ``Signal.value`` returns: null wherever ``speaks`` is false."""
    return pa.table(
        {
            "stream_id": stats["stream_id"],
            "value": pa.array(value, mask=~speaks),
            "n": pa.array(n.astype(np.int64)),
        }
    )


def share_lift(
    count: NDArray[np.float64],
    of: NDArray[np.float64],
    all_count: NDArray[np.float64],
    all_of: NDArray[np.float64],
    most: float,
) -> NDArray[np.float64]:
    """log2 of how many of a stream's ``of`` members have a habit over how many would at the rate of the rest of
    the log, two added to both, between 0 and ``most`` bits.

    >>> share_lift(*(np.array([x]) for x in (30.0, 40.0, 70.0, 4040.0)), most=4.0).round(2).tolist()
    [3.74]
    """
    expected = of * ratio(np.maximum(all_count - count, 0), all_of - of)
    lift: NDArray[np.float64] = np.clip(np.log2((count + 2) / (expected + 2)), 0.0, most)
    return lift


def cautious_lift(expected: NDArray[np.float64], observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """log2 of expected over observed coincidences, with the observed ones at their upper bound.

    Few coincidences prove little, so the bound is what an innocent stream might as well have shown: two
    standard deviations up, the variance taken as twice the count since each exchange is in several pairs. At
    most 0.
    """
    upper = observed + 2 * np.sqrt(2 * observed) + 2
    lift: NDArray[np.float64] = np.minimum(np.log2((expected + 1e-9) / upper), 0.0)
    return lift
