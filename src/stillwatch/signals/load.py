"""Load: how evenly do a stream's exchanges spread over its principals?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result

LEAST_MEAN = 2.0
"""Exchanges a principal, on average, below which every spread looks alike."""


class Load:
    """Evenness 1 / (1 + v), v the variance of exchanges a principal beyond chance, in units of the squared
    mean.

    v is the inverse shape of a negative binomial fitted by moments: 0 for a dispatcher that deals at random,
    about 1 for exponentially spread interest, more for a heavy tail.

    >>> stats = pa.table({"stream_id": [0, 1], "principals": [100, 100], "n": [2500, 2500],
    ...     "squares": [65_000, 300_000]})
    >>> [round(value, 2) for value in Load().value(stats)["value"].to_pylist()]
    [1.0, 0.21]
    """

    name = "load"
    reads = frozenset({"takers"})
    needs: tuple[str, ...] = ()
    statistics = """
        SELECT stream_id, CAST(count(*) AS BIGINT) AS principals, CAST(sum(exchanges) AS BIGINT) AS n,
               CAST(sum(exchanges * exchanges) AS BIGINT) AS squares
        FROM takers GROUP BY stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Evenness in (0, 1]; silent below ``LEAST_MEAN`` exchanges a principal."""
        principals, n, squares = integers(stats, "principals", "n", "squares")
        mean = ratio(n, principals)
        variance = ratio(squares, principals) - mean**2
        beyond = np.maximum(ratio(variance - mean, mean**2), 0)
        return result(stats, 1 / (1 + beyond), principals, (mean >= LEAST_MEAN) & (principals > 1))

    def describe(self, value: float, n: int) -> str:
        """Say how uneven the load is."""
        spread = (1 / value - 1) ** 0.5
        return (
            f"the load varies by {spread:.0%} of its mean over {n:,} principals, beyond what chance explains"
        )


SIGNAL = Load()
