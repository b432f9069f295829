"""Rhythm: is the stream busy round the clock, or does it follow somebody's day?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result

LEAST_EXCHANGES = 100
LEAST_DAYS = 6
"""Days with an exchange, below which the hours say when a log was cut or an event was held, and not how somebody lives. A
week of exams or of a sprint has five."""


class Rhythm:
    """Evenness 1 / (1 + v), v the squared coefficient of variation over the hours of the day beyond chance
    (UTC).

    >>> hours = pa.table({"stream_id": [0, 1], "n": [2400, 2400], "squares": [242_400, 700_000],
    ...     "days": [9, 9]})
    >>> [round(value, 2) for value in Rhythm().value(hours)["value"].to_pylist()]
    [1.0, 0.34]
    """

    name = "rhythm"
    reads = frozenset({"cells"})
    needs: tuple[str, ...] = ()
    statistics = """
        SELECT h.stream_id, h.n, h.squares, d.days
        FROM (SELECT stream_id, CAST(sum(n) AS BIGINT) AS n, CAST(sum(n * n) AS BIGINT) AS squares
              FROM (SELECT stream_id, hour % 24 AS hour_of_day, CAST(sum(exchanges) AS BIGINT) AS n
                    FROM cells GROUP BY stream_id, hour % 24) o
              GROUP BY stream_id) h
        JOIN (SELECT stream_id, CAST(count(DISTINCT hour - hour % 24) AS BIGINT) AS days
              FROM cells GROUP BY stream_id) d ON h.stream_id = d.stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Evenness over the 24 hours in (0, 1]; silent below ``LEAST_EXCHANGES`` or ``LEAST_DAYS``."""
        n, squares, days = integers(stats, "n", "squares", "days")
        mean = n / 24
        beyond = np.maximum(ratio(squares / 24 - mean**2 - mean, mean**2), 0)
        return result(stats, 1 / (1 + beyond), n, (n >= LEAST_EXCHANGES) & (days >= LEAST_DAYS))

    def describe(self, value: float, n: int) -> str:
        """Say how much the hours differ."""
        return (
            f"the hours of the day differ by {(1 / value - 1) ** 0.5:.0%} of their mean over {n:,} exchanges"
        )


SIGNAL = Rhythm()
