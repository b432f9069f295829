"""Routine: does each principal keep hours of its own, or do all keep the stream's?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.base import cautious_lift, integers, ratio, result
from stillwatch.signals.rhythm import LEAST_DAYS

LEAST_PAIRS = 40
"""Pairs of one principal's sittings on different days below which the ratio says nothing."""

BLOCK_HOURS = 3


class Routine:
    """log2 of expected over observed: pairs of a principal's sittings on two days at the same time of day.

    People have a time zone and habits, and a firm's job starts when its clock says so: a principal comes back
    at its own time of day more often than the stream as a whole would have it, well below 0. Accounts that
    one dispatcher feeds keep the dispatcher's hours: 0, also where those are human. An event's guests keep
    those of the event, so days are waited for. A sitting is a block of
    three hours with any exchange, so asking many things in one conversation, which blinds ``pacing``, counts
    once.

    >>> stats = pa.table({"stream_id": [0], "same": [600], "pairs": [2000], "all_same": [40_000],
    ...     "all_pairs": [320_000], "days": [9]})
    >>> round(Routine().value(stats)["value"][0].as_py(), 2)
    -1.44
    """

    name = "routine"
    reads = frozenset({"cells"})
    needs: tuple[str, ...] = ()
    statistics = f"""
        WITH s AS (SELECT DISTINCT stream_id, principal, hour - hour % 24 AS day,
                                   hour % 24 - hour % 24 % {BLOCK_HOURS} AS block FROM cells)
        SELECT p.stream_id, p.same, p.pairs, a.all_same, a.all_pairs, d.days
        FROM (SELECT b.stream_id, CAST(sum(b.same) AS BIGINT) AS same,
               CAST(sum(b.k * b.k - d.squares) AS BIGINT) AS pairs
              FROM (SELECT stream_id, principal, CAST(sum(n * (n - 1)) AS BIGINT) AS same,
                     CAST(sum(n) AS BIGINT) AS k
                    FROM (SELECT stream_id, principal, block, CAST(count(*) AS BIGINT) AS n
                          FROM s
                          GROUP BY stream_id, principal, block) g
                    GROUP BY stream_id, principal) b
              JOIN (SELECT stream_id, principal, CAST(sum(n * n) AS BIGINT) AS squares
                    FROM (SELECT stream_id, principal, day, CAST(count(*) AS BIGINT) AS n
                          FROM s
                          GROUP BY stream_id, principal, day) g
                    GROUP BY stream_id, principal) d ON b.stream_id = d.stream_id
                           AND b.principal = d.principal
              GROUP BY b.stream_id) p
        JOIN (SELECT stream_id, CAST(sum(n * (n - 1)) AS BIGINT) AS all_same,
                     CAST(sum(n) * (sum(n) - 1) AS BIGINT) AS all_pairs
              FROM (SELECT stream_id, block, CAST(count(*) AS BIGINT) AS n
                    FROM s
                    GROUP BY stream_id, block) g
              GROUP BY stream_id) a ON p.stream_id = a.stream_id
        JOIN (SELECT stream_id, CAST(count(DISTINCT day) AS BIGINT) AS days
              FROM s GROUP BY stream_id) d ON p.stream_id = d.stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """log2(expected / observed), cautiously; silent below ``LEAST_PAIRS`` or ``LEAST_DAYS``."""
        same, pairs, all_same, all_pairs, days = integers(
            stats, "same", "pairs", "all_same", "all_pairs", "days"
        )
        return result(
            stats,
            cautious_lift(pairs * ratio(all_same - same, all_pairs - pairs), same),
            pairs,
            (pairs >= LEAST_PAIRS) & (days >= LEAST_DAYS),
        )

    def describe(self, value: float, n: int) -> str:
        """Say how many times more often than by chance a principal keeps its own time of day."""
        return (
            f"a principal comes back at its own time of day at most {2**-value:.1f} times as often as "
            "the stream's hours explain "
            f"({n:,} pairs of sittings); people and firms keep hours of their own"
        )


SIGNAL = Routine()
