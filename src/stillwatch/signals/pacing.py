"""Pacing: is each account a thinned share of one schedule, or does each work in sittings of its own?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.base import cautious_lift, integers, ratio, result

LEAST_PAIRS = 40
"""Pairs of one principal's exchanges on one day below which the ratio says nothing."""

MOST_CROWDED = 0.5
"""Share of all pairs of one day that fall into one hour, above which there is no schedule to thin."""


class Pacing:
    """log2 of expected over observed: pairs of a principal's exchanges of one day that fall into the same
    hour.

    A dispatcher spreads one stream over its accounts, so a pair within an account shares its hour no more
    often than a pair of two accounts does (independent thinning of a point process; Daley & Vere-Jones 2003):
    0. People sit down and ask several things, and a firm's job runs at its own time: below 0. Human hours do
    not change it, since the expectation follows the stream's own day.

    >>> stats = pa.table({"stream_id": [0], "hour_pairs": [620], "day_pairs": [900], "all_hour": [90_000],
    ...     "all_day": [1_800_000]})
    >>> round(Pacing().value(stats)["value"][0].as_py(), 1)
    -4.0
    """

    name = "pacing"
    reads = frozenset({"cells"})
    needs: tuple[str, ...] = ()
    statistics = """
        WITH h AS (SELECT stream_id, principal, hour, hour - hour % 24 AS day, CAST(sum(exchanges) AS BIGINT) AS n
                   FROM cells GROUP BY stream_id, principal, hour)
        SELECT p.stream_id, p.hour_pairs, p.day_pairs, a.hour_pairs AS all_hour, a.day_pairs AS all_day
        FROM (SELECT stream_id, CAST(sum(hour_pairs) AS BIGINT) AS hour_pairs,
               CAST(sum(n * (n - 1)) AS BIGINT) AS day_pairs
              FROM (SELECT stream_id, principal, day, CAST(sum(n) AS BIGINT) AS n,
                           CAST(sum(n * (n - 1)) AS BIGINT) AS hour_pairs
                    FROM h GROUP BY stream_id, principal, day) d
              GROUP BY stream_id) p
        JOIN (SELECT stream_id, CAST(sum(hour_pairs) AS BIGINT) AS hour_pairs,
               CAST(sum(n * (n - 1)) AS BIGINT) AS day_pairs
              FROM (SELECT stream_id, day, CAST(sum(n) AS BIGINT) AS n,
                     CAST(sum(n * (n - 1)) AS BIGINT) AS hour_pairs
                    FROM (SELECT stream_id, hour, min(day) AS day, CAST(sum(n) AS BIGINT) AS n
                          FROM h GROUP BY stream_id, hour) o
                    GROUP BY stream_id, day) d
              GROUP BY stream_id) a ON p.stream_id = a.stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """log2(expected / observed), cautiously; silent below ``LEAST_PAIRS`` pairs, or within a few
        hours."""
        hour, day, all_hour, all_day = integers(stats, "hour_pairs", "day_pairs", "all_hour", "all_day")
        within_an_hour = ratio(all_hour - hour, all_day - day)
        expected = day * within_an_hour
        return result(
            stats, cautious_lift(expected, hour), day, (day >= LEAST_PAIRS) & (within_an_hour <= MOST_CROWDED)
        )

    def describe(self, value: float, n: int) -> str:
        """Say how many times more often than by chance a principal works within one hour."""
        return (
            f"a principal's requests of one day share their hour at most {2**-value:.1f} times as often "
            "as those of different "
            f"principals ({n:,} pairs); people sit down and ask several things"
        )


SIGNAL = Pacing()
