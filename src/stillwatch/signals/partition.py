"""Partition: is each item asked by a few principals only, or by everyone, as in an evaluation?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result
from stillwatch.signals.coverage import LEAST_FILLS, OF_TEMPLATE


class Partition:
    """One minus the share of the other principals that send the same item too.

    Runs of one benchmark repeat its items in full, so every item is seen by nearly everybody. An operator who
    asks each seed four times still leaves it with four of two hundred accounts. Wordings of the template fill no slot
    (``OF_TEMPLATE``).

    >>> stats = pa.table({"stream_id": [0, 1], "fills": [800, 800], "seen": [3200, 15200],
    ...     "principals": [200, 20]})
    >>> [round(value, 3) for value in Partition().value(stats)["value"].to_pylist()]
    [0.985, 0.053]
    """

    name = "partition"
    reads = frozenset({"fills", "takers"})
    needs: tuple[str, ...] = ()
    statistics = f"""
        SELECT f.stream_id, CAST(sum(f.exchanges) AS BIGINT) AS fills,
               CAST(sum(f.exchanges * f.principals) AS BIGINT) AS seen, min(c.principals) AS principals
        FROM fills f
        JOIN (SELECT stream_id, CAST(count(*) AS BIGINT) AS principals,
                     CAST(sum(exchanges) AS BIGINT) AS n
              FROM takers GROUP BY stream_id) c ON f.stream_id = c.stream_id
        WHERE f.exchanges * {OF_TEMPLATE} <= c.n OR f.exchanges = 1
        GROUP BY f.stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """One minus the mean share of the other principals that send an item; silent below
        ``LEAST_FILLS``."""
        fills, seen, principals = integers(stats, "fills", "seen", "principals")
        shared = ratio(ratio(seen, fills) - 1, principals - 1)
        return result(stats, 1 - np.clip(shared, 0, 1), fills, (fills >= LEAST_FILLS) & (principals > 1))

    def describe(self, value: float, n: int) -> str:
        """Say what share of the principals sends the same item."""
        return (
            f"an item is sent by {1 - value:.1%} of the other principals on average ({n:,} fragments "
            "compared)"
        )


SIGNAL = Partition()
